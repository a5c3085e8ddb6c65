"""`python -m compress`: Python itself looks for modules in the current folder first; from here on nothing does.

Modules that Python imports before this line may still come from there: in a folder that is not trusted, use the command
`compress`, or `python -P -m compress`.
"""

import os
import sys

if not sys.flags.safe_path and sys.path and sys.path[0] in {"", os.getcwd()}:  # noqa: PTH109  pathlib is not safe yet
    del sys.path[0]

from compress.cli import main

if __name__ == "__main__":
    main()
