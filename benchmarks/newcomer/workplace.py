"""Where the parts of this benchmark work, and the finished run that several of them look at."""

import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "quickstart.yaml"


@dataclass(frozen=True)
class Workplace:
    """A folder to work in.

    Attributes:
        folder: exists, and is empty at first.
        given_run: the folder of a finished quickstart, if there is one already.
    """

    folder: Path
    given_run: Path | None = field(default=None)

    @cached_property
    def run(self) -> Path:
        """The folder of a finished run of the quickstart; made if none was given, in several minutes."""
        if self.given_run is not None:
            return self.given_run.resolve()
        runs = self.folder / "runs"
        command = [sys.executable, "-m", "compress", "run", str(RECIPE), "--runs-dir", str(runs), "--set", "goal=null"]
        subprocess.run(command, cwd=self.folder, check=True)
        return runs / "quickstart"

    def new_folder(self, name: str) -> Path:
        """An empty folder of this name."""
        path = self.folder / name
        path.mkdir()
        return path
