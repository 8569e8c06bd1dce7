"""Checks proto/vecdb/v1 with buf: its style, and that nothing a client may rely on was changed or taken away.

    python proto/check.py

What was changed is seen against every form that the protocol had before, as far as this clone's history
reaches: against the last one alone, a break would be one until the next commit and then no more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROTO = ROOT / "proto"


def main() -> None:
    beside = Path(sys.executable).parent
    buf = shutil.which("buf", path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")
    if buf is None:
        sys.exit("there is no buf; install the extra lint")
    failed = subprocess.run([buf, "lint"], cwd=PROTO, check=False).returncode != 0
    before = _git("log", "--format=%H", "--", "proto/vecdb").decode().split()
    for commit in before:
        with tempfile.TemporaryDirectory() as folder:
            with tarfile.open(fileobj=BytesIO(_git("archive", commit, "proto"))) as archive:
                archive.extractall(folder, filter="data")
            against = Path(folder) / "proto"
            if subprocess.run([buf, "breaking", "--against", against], cwd=PROTO, check=False).returncode:
                print(f"breaks what was in {commit[:12]}")
                failed = True
    if failed:
        sys.exit(1)
    print(f"the protocol is as the {len(before)} forms before it" if before else "this clone knows no form before")


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


if __name__ == "__main__":
    main()
