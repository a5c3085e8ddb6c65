"""A worker that writes each command it gets into the file of its first argument."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from compress.benching import worker

IN: Any = sys.stdin


class Commands:
    def readline(self) -> str:
        line = IN.readline()
        job = json.loads(line)
        self.about = [job["folder"], job["target"]["runtime"], job["target"]["sequence_length"]]
        return line

    def __iter__(self) -> Iterator[str]:
        for line in IN:
            command = json.loads(line)
            with Path(sys.argv[1]).open("a") as log:
                log.write(json.dumps([*self.about, command["do"], command.get("turn"), os.getpid()]) + "\n")
            yield line


worker.SETTLE_SECONDS = 0.0  # nothing here spins
sys.stdin = Commands()
worker.main()
