"""Freeze a directory of the present format: ``python -m tests.format NAME``."""

from __future__ import annotations

import sys

from tests.format.frozen import freeze_present

if __name__ == "__main__":
    (name,) = sys.argv[1:]
    freeze_present(name)
