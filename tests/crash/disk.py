"""Disks that fail. One loses its power: an ext4 file system in a file, copied as it lies on the "disk"; one is full.

What a process wrote and did not sync is in the memory of the mounted file system, not in the file behind it. So
after the process was killed, a copy of that file, mounted, is what a power cut at this moment would have left.

The mount is made to be unkind: metadata may reach the journal before the data it speaks of, a rename does not
push data out, and nothing is written back by itself while a round lasts.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

SIZE_BYTES = 160 << 20
MAKE = ["mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=8", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"]
OPTIONS = "data=writeback,noauto_da_alloc,commit=3600,noatime"
COPIES = 20


class Unusable(Exception):
    """There can be no such disk here; the text says why."""


class Disk:
    """One file system in ``folder``, mounted at ``root``. Made by ``disk``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._image = folder / "disk-0.img"
        self._cuts = 0
        self._loop = ""
        self.root = folder / "mounted"
        self.root.mkdir()
        with open(self._image, "wb") as file:
            file.truncate(SIZE_BYTES)
        _run(*MAKE, str(self._image))

    def mount(self) -> None:
        """Attach the image to a loop device and mount it."""
        self._loop = _run("losetup", "--find", "--show", str(self._image)).strip()
        try:
            _run("mount", "-t", "ext4", "-o", OPTIONS, self._loop, str(self.root))
        except Unusable:
            self._detach()
            raise

    def unmount(self) -> None:
        """Undo ``mount``; no error when nothing is mounted."""
        if os.path.ismount(self.root):
            try:
                _run("umount", str(self.root))
            except Unusable:  # someone is inside; it goes when they do
                _run("umount", "--lazy", str(self.root))
        self._detach()

    def cut(self) -> None:
        """The power goes, and comes back. Nobody may have a file open here: kill first."""
        self._cuts += 1
        left = self._folder / f"disk-{self._cuts}.img"
        for _ in range(COPIES):
            before = self._writes()
            _run("cp", "--sparse=always", str(self._image), str(left))
            if self._writes() == before:
                break  # the disk did not change while it was copied
        else:
            raise Unusable("the disk does not come to rest")
        self.unmount()
        self._image.unlink()
        self._image = left
        self.mount()

    def _writes(self) -> list[str]:
        """Write requests that the device finished, and requests under way."""
        counts = Path("/sys/block", Path(self._loop).name, "stat").read_text().split()
        return [counts[4], counts[8]]

    def _detach(self) -> None:
        if self._loop:
            _run("losetup", "--detach", self._loop)
            self._loop = ""


class Small:
    """A file system in memory in which as much is free as one likes. Made by ``small``."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "mounted"
        self.root.mkdir()
        self._ballast = self.root / "ballast"

    def leave(self, free_bytes: int) -> None:
        """Leave so much, or less, to be written."""
        self.relieve()
        now = os.statvfs(self.root)
        with open(self._ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, now.f_bavail * now.f_frsize - free_bytes))

    def relieve(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def small(folder: Path) -> Iterator[Small]:
    """A mounted small disk; unmounted when the block is left. Raises Unusable."""
    made = Small(folder)
    _run("mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(made.root))
    try:
        yield made
    finally:
        _run("umount", "--lazy", str(made.root))


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """A mounted disk; unmounted and detached when the block is left. Raises Unusable."""
    made = Disk(folder)
    try:
        made.mount()
        yield made
    finally:
        made.unmount()


def missing() -> str | None:
    """What this machine lacks for such a disk, without having tried; None when it should work."""
    if os.geteuid() != 0:
        return "not root"
    if not Path("/dev/loop-control").exists():
        return "no loop devices"
    lacking = [name for name in ("mkfs.ext4", "losetup", "mount", "umount") if shutil.which(name) is None]
    return f"no {', '.join(lacking)}" if lacking else None


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unusable(f"{command[0]} does not run: {error}") from error
    if done.returncode != 0:
        raise Unusable(f"{' '.join(command[:2])} failed: {done.stderr.strip()}")
    return done.stdout
