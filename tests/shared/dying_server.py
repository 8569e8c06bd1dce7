"""The server of a shared directory, killed at the failpoints that are named in the file ``dies`` beside the data."""

from __future__ import annotations

import sys
from pathlib import Path

from vecdb import failpoint
from vecdb.cli import shared

if __name__ == "__main__":
    dies = Path(sys.argv[1]).with_name("dies")
    if dies.exists():
        failpoint.arm_from_text(dies.read_text())
        dies.unlink()
    shared.main()
