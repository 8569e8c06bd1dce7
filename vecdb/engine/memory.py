"""How much memory the process uses, and the limit past which writes are refused."""

from __future__ import annotations

import time
from pathlib import Path

from vecdb.errors import MemoryLimit

LOOK_EVERY_S = 0.1
_STATUS = Path("/proc/self/status")


def process_memory() -> dict[str, int]:
    """Bytes of this process: ``resident``, and of it ``anonymous`` and ``mapped`` (0 where the system does not say)."""
    wanted = {"VmRSS:": "resident", "RssAnon:": "anonymous", "RssFile:": "mapped"}
    found = dict.fromkeys(wanted.values(), 0)
    try:
        for line in _STATUS.read_text().splitlines():
            name, _, rest = line.partition("\t")
            if name in wanted:
                found[wanted[name]] = 1024 * int(rest.split()[0])
    except OSError:
        pass
    return found


class MemoryGuard:
    """Refuses writes while anonymous memory is above a limit; mapped files do not count, they can be dropped."""

    def __init__(self, limit_bytes: int | None) -> None:
        self._limit = limit_bytes
        self._looked = 0.0
        self._used = 0

    def admit(self) -> None:
        """Raise MemoryLimit when the process is above the limit. Looks at most every 0.1 s."""
        if self._limit is None:
            return
        now = time.monotonic()
        if now - self._looked >= LOOK_EVERY_S:
            self._looked, self._used = now, process_memory()["anonymous"]
        if self._used > self._limit:
            raise MemoryLimit(
                "the memory limit is reached; reads and deletes go on",
                expected=f"<= {self._limit} anonymous bytes",
                received=str(self._used),
                retry_after_s=5.0,
            )
