"""Freeze a directory of the present format, or archives: ``python -m tests.format NAME``, or ``archive``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.format import archives
from tests.format.frozen import freeze_present

if __name__ == "__main__":
    (name,) = sys.argv[1:]
    if name == "archive":
        with tempfile.TemporaryDirectory(prefix="vecdb-format-") as folder:
            archives.freeze(Path(folder, "data"))
    else:
        freeze_present(name)
