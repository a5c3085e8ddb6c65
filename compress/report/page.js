(function () {
  "use strict";
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const charts = [...document.querySelectorAll("[data-figure]")];

  const phone = matchMedia("screen and (max-width: 760px)"); // as in the styles

  // The figures name colours as var(--name); plotly wants their values.
  function themed(value, style) {
    if (typeof value === "string") {
      return value.replace(/var\((--[a-z]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
    }
    if (Array.isArray(value)) {
      return value.map((item) => themed(item, style));
    }
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, themed(item, style)]));
    }
    return value;
  }

  function draw(fixed) {
    const style = getComputedStyle(root);
    for (const chart of charts) {
      const figure = themed(figures[chart.dataset.figure], style);
      for (const trace of figure.data) {
        Object.assign(trace, phone.matches ? trace.meta?.narrow : {});
      }
      if (fixed) {
        figure.layout.width = chart.clientWidth;
      }
      Plotly.react(chart, figure.data, figure.layout, { displayModeBar: false, responsive: true });
    }
  }

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

  draw(false);
  for (const query of [phone, matchMedia("(prefers-color-scheme: dark)")]) {
    query.addEventListener("change", () => draw(false));
  }
  addEventListener("beforeprint", () => {
    root.dataset.printing = "";
    draw(true);
  });
  addEventListener("afterprint", () => {
    delete root.dataset.printing;
    draw(false);
  });
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(button));
  }
})();
