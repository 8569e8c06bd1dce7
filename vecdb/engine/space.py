"""The space on the disk of a data directory: some is kept back, and growth is refused before there is none.

``reserve`` is a file that only takes up space. When the disk is full it is deleted, so that the store can be opened
again and deletes can be written; once there is room it is made again. It is there while the directory is open.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from vecdb.errors import DiskFull
from vecdb.storage import files

log = logging.getLogger(__name__)

RESERVE = "reserve"
_FULL = (errno.ENOSPC, errno.EDQUOT)  # a quota is not in what the system says is free
LOOK_EVERY_S = 0.1
RETRY_AFTER_S = 5.0


def free_bytes(folder: Path) -> int:
    """What this process may still write there."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class DiskSpace:
    """Watches the disk of ``folder`` (None: nothing is watched and nothing kept back). Safe from any thread.

    What grows is refused below ``least`` free bytes, until there are half as many again. ``free``: for tests.
    """

    def __init__(self, folder: Path | None, reserve: int, least: int, free: Callable[[Path], int] = free_bytes) -> None:
        self._folder = folder
        self._reserve = reserve
        self._least = least
        self._measure = free
        self._lock = threading.Lock()
        self._looked = 0.0
        self._full = False

    def free(self) -> int:
        """Bytes free now; very many where nothing is watched."""
        return 1 << 62 if self._folder is None else self._measure(self._folder)

    def admit(self) -> None:
        """Raise DiskFull while the disk is nearly full. Looks at most every 0.1 s."""
        if self._folder is None:
            return
        now = time.monotonic()
        if now - self._looked >= LOOK_EVERY_S:
            self._looked = now
            self._look()
        if self._full:
            raise DiskFull(
                "the disk is full; reads and deletes go on, and all writes when there is room again",
                expected=f">= {self._enough} bytes free",
                received=str(self.free()),
                retry_after_s=RETRY_AFTER_S,
            )

    def full(self) -> str | None:
        """Why what grows is refused, or None."""
        if self._folder is None or not self._full:
            return None
        return f"the disk is full: {self.free()} bytes are free, and {self._enough} are needed"

    def room(self) -> int:
        """Bytes of files that leave the disk with room for writes."""
        return max(0, self.free() - self._least)

    def stats(self) -> dict[str, int]:
        """Bytes of the disk, by purpose."""
        if self._folder is None:
            return {}
        reserve = self._folder / RESERVE
        return {"disk_free": self.free(), "disk_reserve": reserve.stat().st_size if reserve.exists() else 0}

    def tend(self) -> None:
        """Look, and make the reserve again once there is room for it and for writes."""
        if self._folder is None:
            return
        self._look()
        if self._reserve and not self._full and self.free() >= self._reserve + 2 * self._least:
            self._make(self._folder / RESERVE)

    def give_back(self, failure: str) -> bool:
        """Delete the reserve if the disk is full, or ``failure`` says so; whether that gave something back."""
        if self._folder is None:
            return False
        self._look()
        full = self._full or any(os.strerror(number) in failure for number in _FULL)
        if not full or not (self._folder / RESERVE).exists():
            return False
        log.warning("the disk is full: the space that was kept back is used now")
        self.release()
        return True

    def release(self) -> None:
        """Delete the reserve: nobody has the directory open any more."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / RESERVE).unlink()

    @property
    def _enough(self) -> int:
        return self._least + self._least // 2 if self._full else self._least

    def _look(self) -> None:
        with self._lock:
            was, self._full = self._full, self.free() < self._enough
        if self._full and not was:
            log.error("%s; what grows is refused, reads and deletes go on", self.full())
        elif was and not self._full:
            log.info("there is room on the disk again: all writes are taken")

    def _make(self, path: Path) -> None:
        with self._lock:
            if path.exists() and path.stat().st_size == self._reserve:
                return
            try:
                files.allocate(path, self._reserve)
            except OSError as error:
                log.warning("no space could be kept back: %s", error)
                path.unlink(missing_ok=True)
