"""How much memory the process uses, and the limit past which it takes on nothing that grows.

Two kinds of growth are looked at. Writes grow by little, and are refused once the limit is passed. Loading a
collection and merging segments grow by much at once: they are admitted when their peak fits (`footprint` tells it),
and what was admitted and is under way counts as used. Reads go on in any case.

Builds and merges free much in pieces between others that stay, which the allocator keeps: it is told to give that
back. Measured by calling `malloc_trim` before and after the cycles of `python -m benchmarks deletes` at 20,000 rows:
of 247 MiB after them 70 were such, and 12 of 183 before.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vecdb.errors import MemoryLimit

LOOK_EVERY_S = 0.1
GIVE_BACK_EVERY_S = 10.0
"""What is free inside the allocator is given back no more often; that takes a few ms, 70 where it is much."""
SMALL_BYTES = 1 << 20
"""Loading so little is never refused: it is let go of again when it is idle."""
CONTAINER_SHARE = 0.8
"""Of the container's limit, unless another limit is set: it counts files in memory too, and kills past it."""
_STATUS = Path("/proc/self/status")
_CGROUPS = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60  # version 1 says the largest number of pages


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


def _trimming() -> Callable[[], object]:
    """What makes the allocator give back what it holds free, without the GIL; nothing, where that is not glibc."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return lambda: None
    return lambda: trim(0)


_trim = _trimming()


def container_limit(groups: Path = _CGROUPS, mount: Path = _MOUNT) -> int | None:
    """The least memory limit of this process's control groups (version 2 or 1), bytes; None where there is none."""
    found = []
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, name = (mount / "memory", "memory.limit_in_bytes") if controllers else (mount, "memory.max")
        own = top / path.lstrip("/")  # inside a container it may be there under its name, or be the top itself
        for folder in (own, *own.parents):
            if folder.is_relative_to(top):
                found.append(_limit_in(folder / name))
    return min((limit for limit in found if limit is not None), default=None)


def _limit_in(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() and int(text) < _NO_LIMIT else None


def limit_of(asked: int | None) -> int | None:
    """The limit in bytes for what an option asks: 0 none, None a share of the container's where that has one."""
    if asked is not None:
        return asked or None
    found = container_limit()
    return None if found is None else int(CONTAINER_SHARE * found)


class MemoryGuard:
    """Watches a limit of anonymous memory; mapped files do not count, they can be dropped. Any thread."""

    def __init__(self, limit_bytes: int | None) -> None:
        self.limit = limit_bytes
        self._looked = 0.0
        self._used = 0
        self._lock = threading.Lock()
        self._reserved = 0  # by what was admitted and is under way; under the lock
        self._freed = False
        self._gave_back = -GIVE_BACK_EVERY_S

    def freed(self) -> None:
        """Something large is not held any more."""
        self._freed = True

    def give_back(self, resting: bool = False) -> bool:
        """Give free memory back to the system, if something large was freed, and not all the time; whether it was.

        ``resting``: nothing more is about to be freed. Until then it is due again: readers hold what a merge replaced
        for a moment more. After `python -m benchmarks deletes --rounds 1` that was 26 of 348 MiB.
        """
        due = self._freed and time.monotonic() - self._gave_back >= GIVE_BACK_EVERY_S
        if due:
            self._freed, self._gave_back = not resting, time.monotonic()
            _trim()
        return due

    def admit(self) -> None:
        """Raise MemoryLimit when the process is above the limit. Looks at most every 0.1 s."""
        if self.limit is None:
            return
        now = time.monotonic()
        if now - self._looked >= LOOK_EVERY_S:
            self._looked, self._used = now, process_memory()["anonymous"]
        if self._used > self.limit:
            self.freed()
            if self.give_back():
                self._used = process_memory()["anonymous"]
        if self._used > self.limit:
            raise MemoryLimit(
                "the memory limit is reached; reads and deletes go on",
                expected=f"<= {self.limit} anonymous bytes",
                received=str(self._used),
                retry_after_s=5.0,
            )

    def stats(self) -> dict[str, int]:
        """The limit in bytes, where there is one, and ``admitted``: what merges and loads under way may take."""
        return {"admitted": self._reserved} | ({} if self.limit is None else {"limit": self.limit})

    def room(self) -> int:
        """Bytes that may be taken now; very many without a limit, 0 above it."""
        if self.limit is None:
            return 1 << 62
        return max(0, self.limit - process_memory()["anonymous"] - self._reserved)

    @contextmanager
    def taking(self, nbytes: int, what: str = "") -> Iterator[None]:
        """Count ``nbytes`` as used until the block ends. Raises MemoryLimit, naming ``what`` if given, without room."""
        with self._lock:
            room = self.room() if what else 0
            if what and nbytes > max(SMALL_BYTES, room):
                self.freed()
                room = self.room() if self.give_back() else room
            if what and nbytes > max(SMALL_BYTES, room):
                raise MemoryLimit(
                    f"{what} does not fit the memory limit of {self.limit} bytes",
                    expected=f"<= {room} bytes, which are free",
                    received=f"about {nbytes} bytes needed",
                    retry_after_s=5.0,
                )
            self._reserved += nbytes
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= nbytes
