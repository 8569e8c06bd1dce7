"""The folder of a data directory in which the processes that share it meet.

shared/               mode 0700: who may enter may read and write everything
shared/socket         where the server listens, mode 0600
shared/server         locked exclusively from before a server is started until its process is gone
shared/clients        locked by every client, and exclusively by a server that stops because there is none
shared/options.json   what the last server was started with
shared/server.log     what the servers said; shared/server.log.1 what they said before

Locks are those of flock: the kernel takes them back however a process ends, and no file has to be removed.
Such a lock belongs to the open file, which a forked child inherits: a child closes its copies at once and
unlocks nothing, or its parent's lock would go, or outlive the parent.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
import weakref
from pathlib import Path

from vecdb.client.installed import require_engine
from vecdb.errors import DataDirUnusable

SOCKET = "socket"
OPTIONS = "options.json"
LOG = "server.log"
MAX_LOG_BYTES = 1 << 20

_SERVER = "server"
_CLIENTS = "clients"


class SharedFolder:
    """The folder below the data directory ``path``, both made when missing; this process's locks in it.

    The folder is opened once and everything in it named through its descriptor: a socket's address has room
    for 107 bytes, and gRPC reads some characters of a path as its own. Raises EngineNotInstalled and
    DataDirUnusable. Thread rule: whoever takes or gives up a lock holds ``lock``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.data = Path(path).absolute()
        self.lock = threading.Lock()
        self._claim: int | None = None
        self._presence: int | None = None
        try:
            self.path = _make(self.data)
            self._folder = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                self._make_private()
            except BaseException:
                os.close(self._folder)
                raise
        except OSError as error:
            raise _unusable(self.data, error) from error
        with _forking:
            _folders.add(self)

    @property
    def socket(self) -> str:
        """The path of the socket: short, whatever the data directory is called. Good in forked children too."""
        return f"/proc/self/fd/{self._folder}/{SOCKET}"

    # -- presence

    @property
    def present(self) -> bool:
        """Whether this process holds its place among the clients."""
        return self._presence is not None

    def enter(self) -> bool:
        """Take a place among the clients; False while a server that nobody uses is on its way out."""
        with _forking:
            if self._presence is None:
                self._presence = self._locked(_CLIENTS, fcntl.LOCK_SH)
            return self._presence is not None

    def leave(self) -> bool:
        """Give the place up; whether it was the last one, so that the server stops now."""
        with _forking:
            presence, self._presence = self._presence, None
            if presence is None:
                return False
            try:
                fcntl.flock(presence, fcntl.LOCK_EX | fcntl.LOCK_NB)  # others hold theirs, unless this succeeds
            except BlockingIOError:
                return False
            finally:
                os.close(presence)
            return True

    def wait_until_left(self) -> None:
        """Return when there are no clients; from then on until this process ends nobody can become one."""
        file = self._open_file(_CLIENTS)
        fcntl.flock(file, fcntl.LOCK_EX)

    # -- the right to be the server

    def claim(self) -> int | None:
        """The lock of the server as a descriptor to be inherited by one, None while there is a server."""
        with _forking:
            self._claim = self._locked(_SERVER, fcntl.LOCK_EX)
            return self._claim

    def unclaim(self) -> None:
        """Close our copy: the lock is the server's now, or free if none was started."""
        with _forking:
            claim, self._claim = self._claim, None
            if claim is not None:
                os.close(claim)

    # -- files

    def read(self, name: str) -> bytes:
        """What a file holds, b"" when it is not there."""
        with contextlib.suppress(FileNotFoundError), open(self._open_file(name, os.O_RDONLY), "rb") as file:
            return file.read()
        return b""

    def replace(self, name: str, content: bytes) -> None:
        """Give a file new content at once."""
        temp = name + ".tmp"
        with open(self._open_file(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(content)
        os.replace(temp, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def open_log(self) -> int:
        """A descriptor that appends to the log, which is put aside when it is long."""
        with contextlib.suppress(FileNotFoundError):
            if os.stat(LOG, dir_fd=self._folder).st_size > MAX_LOG_BYTES:
                os.replace(LOG, LOG + ".1", src_dir_fd=self._folder, dst_dir_fd=self._folder)
        return self._open_file(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def close(self) -> None:
        """Let go of everything; not to be used again."""
        with _forking:
            _folders.discard(self)
            self._forget()
            os.close(self._folder)

    def _forget(self) -> None:
        """In a forked child: close our copies of the parent's locks. Never unlock."""
        self.lock = threading.Lock()  # a thread that held it is not here
        for file in (self._claim, self._presence):
            if file is not None:
                os.close(file)
        self._claim = self._presence = None

    def _locked(self, name: str, how: int) -> int | None:
        """The file, opened anew and locked; None when the lock is not to be had."""
        file = self._open_file(name)
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        return file

    def _open_file(self, name: str, flags: int = os.O_RDWR | os.O_CREAT) -> int:
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=self._folder)

    def _make_private(self) -> None:
        found = os.fstat(self._folder)
        if found.st_uid != os.geteuid():
            raise DataDirUnusable(
                f"{self.path} belongs to another user, and a directory is shared by processes of one",
                expected=f"user {os.geteuid()}",
                received=f"user {found.st_uid}",
            )
        if stat.S_IMODE(found.st_mode) != 0o700:
            os.chmod(f"/proc/self/fd/{self._folder}", 0o700)
            mode = stat.S_IMODE(os.fstat(self._folder).st_mode)
            if mode & 0o077:
                raise DataDirUnusable(
                    f"{self.path} is on a file system that does not keep modes, and everybody could use the socket",
                    expected="mode 700",
                    received=f"mode {mode:o}",
                )


# While a process forks nobody may stand between opening a file and having it written down here.
_forking = threading.RLock()
_folders: weakref.WeakSet[SharedFolder] = weakref.WeakSet()


def _in_child() -> None:
    for folder in list(_folders):
        folder._forget()
    _forking.release()


os.register_at_fork(before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_in_child)


def _make(data: Path) -> Path:
    """The folder, made if missing. A directory that is somebody else's is refused before it is touched."""
    require_engine()
    from vecdb.engine.datadir import SHARED, refuse_foreign
    from vecdb.storage.files import make_dir

    refuse_foreign(data)
    make_dir(data)
    path = data / SHARED
    with contextlib.suppress(FileExistsError):
        path.mkdir(0o700)
    return path


def _unusable(data: Path, error: OSError) -> DataDirUnusable:
    return DataDirUnusable(
        f"{data} cannot be shared: {error.strerror or error}",
        expected="a directory this process may write",
        received=type(error).__name__,
    )
