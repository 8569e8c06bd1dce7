"""Calls to the server that the processes sharing a data directory have in common.

Whoever needs a server and finds none starts it. A call that loses its server is sent again, within its own
time, to the one that takes over; a call whose second sending would meet the first one's effect is not.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any, TypeVar

from vecdb.client import calls, rpc, shared_start
from vecdb.client.calls import Call
from vecdb.client.channel import is_repeatable
from vecdb.client.shared_folder import OPTIONS, SharedFolder
from vecdb.client.transport_embedded import engine_options
from vecdb.client.transport_grpc import GrpcTransport
from vecdb.errors import (
    Closed,
    CollectionLoading,
    DeadlineExceeded,
    FailedPrecondition,
    ReadOnly,
    Unavailable,
    VecdbError,
)

T = TypeVar("T")

# As over any channel (vecdb/client/channel.py), but a lost server is replaced before the next attempt.
ATTEMPTS = 5
FIRST_PAUSE_S = 0.2  # before asking a server again that said "not now"
LOOK_S = 0.01  # between two looks at whether somebody else's server is ready
LEAVE_S = 2.0  # how long the last client waits for the end of its server


class SharedTransport:
    """A client of the server of data directory ``path``, which is started, within ``timeout``, if there is none.

    ``options`` are the engine's, for the server; a running one must have been given the same. Raises as
    ``vecdb.open``, and FailedPrecondition for other options. A forked child may use its parent's.
    """

    def __init__(self, path: str | os.PathLike[str], options: Mapping[str, Any], timeout: float | None) -> None:
        deadline = _deadline(timeout)
        engine_options(dict(options)).validate()  # before anything is touched
        self._options: dict[str, Any] = dict(options)
        self._folder = SharedFolder(path)
        self._address = f"unix:{self._folder.socket}"
        self._closed = False
        self._link = self._new_link()
        try:
            with self._folder.lock:
                self._join(deadline)
            self._agree()
        except BaseException:
            self.close()
            raise

    def send(self, call: Call[T], timeout: float | None) -> T:
        """The server's answer; see Transport."""
        deadline = _deadline(timeout)
        try:
            if is_repeatable(rpc.path(call)):
                return self._send_again(call, deadline)
            return self._send_once(call, deadline)
        except (DeadlineExceeded, Unavailable) as error:  # the address says nothing to people
            error.message = error.message.replace(self._address, f"the server of {self._folder.data}")
            raise

    def close(self) -> None:
        """Leave the others; the last one to leave waits a little for the server's end."""
        with self._folder.lock:
            if self._closed:
                return
            self._closed = True
            self._link.close()
            if self._folder.leave():
                self._wait_for_end()
            self._folder.close()

    # -- being one of the clients, with a server

    def _joined(self, deadline: float | None) -> GrpcTransport:
        """The link to the server; a forked child takes a place of its own among the clients first."""
        if not self._folder.present:
            with self._locked(deadline):
                self._refuse_closed()
                self._join(deadline)
        return self._link

    def _replace(self, lost: GrpcTransport, deadline: float | None) -> None:
        """Make sure of a server, and connect to it anew, unless another thread has done so."""
        with self._locked(deadline):
            self._refuse_closed()
            if self._link is lost:
                self._link = self._proven_link(deadline)
                lost.close()  # what is under way there, should it have found the new server by itself, is sent again

    def _proven_link(self, deadline: float | None) -> GrpcTransport:
        """A new link that has had an answer: a server that is being killed still takes connections. Under the lock."""
        while True:
            self._join(deadline)
            link = self._new_link()
            try:
                link.send(calls.Info(), _left(deadline))
                return link
            except Unavailable:
                link.close()
                time.sleep(LOOK_S)
            except BaseException:
                link.close()
                raise

    def _join(self, deadline: float | None) -> None:
        """Return when a server answers and counts this process among its clients. Under the lock."""
        try:
            self._wait_for_server(deadline)
        except OSError as error:
            raise Unavailable(f"the server of {self._folder.data} is out of reach: {error}") from error

    def _wait_for_server(self, deadline: float | None) -> None:
        while not (self._folder.enter() and self._answers()):
            claim = self._folder.claim() if self._folder.present else None
            if claim is not None:
                try:
                    shared_start.start(self._folder, claim, self._options, deadline)
                finally:
                    self._folder.unclaim()
            elif deadline is not None and time.monotonic() > deadline:
                raise DeadlineExceeded(f"no answer from the server of {self._folder.data}")
            else:
                time.sleep(LOOK_S)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            try:
                probe.connect(self._folder.socket)
            except BlockingIOError:  # so many wait for it that there is no room
                return True
            except OSError:
                return False
        return True

    def _agree(self) -> None:
        """Refuse a server of other options; take up those it was given, so that its successor gets them too."""
        running = json.loads(self._folder.read(OPTIONS))
        effective: dict[str, Any] = running["effective"]
        asked = asdict(engine_options(self._options))
        other = [name for name in self._options if effective.get(name) != asked[name]]
        if other:
            raise FailedPrecondition(
                f"{self._folder.data} is shared with other options",
                field="options",
                expected=", ".join(f"{name}={effective.get(name)!r}" for name in other),
                received=", ".join(f"{name}={asked[name]!r}" for name in other),
            )
        self._options = running["given"]

    def _wait_for_end(self) -> None:
        deadline = time.monotonic() + LEAVE_S
        with suppress(OSError):  # nothing that goes wrong here keeps anybody from leaving
            while self._folder.claim() is None and time.monotonic() < deadline:
                time.sleep(LOOK_S)
        self._folder.unclaim()

    # -- sending

    def _send_again(self, call: Call[T], deadline: float | None) -> T:
        """Send until answered: to the server that takes over, or later, as the server asks."""
        attempt = 0
        while True:
            attempt += 1
            link = self._joined(deadline)
            try:
                return link.send(call, _left(deadline))
            except (Closed, Unavailable) as error:  # closed: the link, or the engine of a server that stops
                if attempt == ATTEMPTS or self._closed or isinstance(error, ReadOnly):
                    raise
                if error.retry_after_s is None and not isinstance(error, CollectionLoading):
                    self._replace(link, deadline)
                else:
                    _pause(error.retry_after_s or FIRST_PAUSE_S * 2 ** (attempt - 1), deadline, error)

    def _send_once(self, call: Call[T], deadline: float | None) -> T:
        """Over a link of its own that has just worked: what is lost on it was in flight."""
        with self._locked(deadline):
            self._refuse_closed()
            link = self._proven_link(deadline)
        try:
            return link.send(call, _left(deadline))
        finally:
            link.close()

    def _new_link(self) -> GrpcTransport:
        return GrpcTransport(self._address, retries=False)

    @contextmanager
    def _locked(self, deadline: float | None) -> Iterator[None]:
        lock = self._folder.lock
        if not lock.acquire(timeout=-1 if deadline is None else max(0.0, deadline - time.monotonic())):
            raise DeadlineExceeded(f"no answer from the server of {self._folder.data}")
        try:
            yield
        finally:
            lock.release()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise Closed("the client was closed")


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else deadline - time.monotonic()


def _pause(seconds: float, deadline: float | None, error: VecdbError) -> None:
    """Wait before asking again; raise ``error`` at once when there is no time for that."""
    if deadline is not None and time.monotonic() + seconds > deadline:
        raise error
    time.sleep(seconds)
