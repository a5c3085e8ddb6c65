(function () {
  "use strict";

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      getSelection().selectAllChildren(source); // a page from a file may have no clipboard
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }

  // A table that is wider than the window says so above it.
  const watch = new ResizeObserver((changes) => {
    for (const { target } of changes) {
      const note = target.previousElementSibling;
      if (note?.classList.contains("more")) {
        note.hidden = target.scrollWidth <= target.clientWidth + 1;
      }
    }
  });

  for (const table of document.querySelectorAll(".scroll")) {
    watch.observe(table);
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(button));
  }
})();
