"""What the system says of a process and of a folder: memory, bytes written, disk, caches to be dropped."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def disk_bytes(folder: Path) -> int:
    """Bytes that a folder takes on disk."""
    return sum(512 * path.stat().st_blocks for path in folder.rglob("*") if path.is_file())


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
def sampled_memory(every_s: float = 0.1) -> Iterator[list[dict[str, int]]]:
    """The memory of this process, again and again while the block runs."""
    seen: list[dict[str, int]] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(every_s):
            seen.append(memory())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
        seen.append(memory())
