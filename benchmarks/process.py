"""What the system says of a process and of a folder: memory, bytes written, disk, caches to be dropped."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from vecdb.engine.space import RESERVE

T = TypeVar("T")

_MEMORY = {"VmRSS:": "resident", "RssAnon:": "anonymous", "RssFile:": "mapped", "RssShmem:": "shared"}


def memory(pid: int | str = "self") -> dict[str, int]:
    """Bytes by kind; ``shared`` is memory without a file, as a graph is saved through."""
    found = {}
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        name, _, rest = line.partition("\t")
        if name in _MEMORY:
            found[_MEMORY[name]] = 1024 * int(rest.split()[0])
    return found


def bytes_written(pid: int | str = "self") -> int:
    """Bytes this process has sent to the disk since it began."""
    for line in Path(f"/proc/{pid}/io").read_text(encoding="utf-8").splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    return 0


def open_files(pid: int | str = "self") -> int:
    """Files, sockets and pipes that a process holds open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def held_files(folder: Path) -> int:
    """How often this process holds a file of a folder: opened, or mapped into memory."""
    held = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            held += os.readlink(f"/proc/self/fd/{descriptor}").startswith(f"{folder}/")
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return held + sum(f" {folder}/" in line for line in maps)


def disk_bytes(folder: Path) -> int:
    """Bytes that a folder takes on disk, the space that is kept back left out; files may come and go meanwhile."""
    blocks = 0
    for place, _, names in os.walk(folder):
        for name in set(names) - {RESERVE}:
            with suppress(FileNotFoundError):
                blocks += os.lstat(os.path.join(place, name)).st_blocks
    return 512 * blocks


def drop_caches(folder: Path) -> bool:
    """Take the folder's files out of the page cache; whether the whole cache could be dropped too."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)
    try:
        Path("/proc/sys/vm/drop_caches").write_text("1\n", encoding="utf-8")
    except OSError:
        return False
    return True


@contextmanager
def sampled(look: Callable[[], T], every_s: float = 0.1) -> Iterator[list[T]]:
    """What ``look`` says, again and again while the block runs, and once at its end."""
    seen: list[T] = []
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(every_s):
            seen.append(look())

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
        seen.append(look())
