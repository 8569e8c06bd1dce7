"""Starts the server of a shared directory: a process of its own, which outlives the one that started it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vecdb import errors
from vecdb.client.shared_folder import LOG, SharedFolder
from vecdb.errors import DeadlineExceeded, InvalidArgument, PartialWrite, Unavailable, VecdbError

SERVER = "vecdb.cli.shared"
READY = b"ready\n"

# The server imports vecdb from where this process did, whatever lies in the current directory.
_IMPORTED_FROM = Path(__file__).parents[2]

_KINDS = {
    kind.reason: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, VecdbError) and kind is not PartialWrite
}
_PARTS = ("field", "expected", "received")


def start(folder: SharedFolder, claim: int, options: Mapping[str, Any], deadline: float | None) -> None:
    """Start a server that inherits ``claim``, and return when it answers.

    Raises what opening the directory raises there, DeadlineExceeded when it is not open by ``deadline``
    (of the monotonic clock; the server goes on opening it), Unavailable when it ended and did not say why.
    """
    try:
        given = json.dumps(dict(options), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(
            "the options cannot be sent to the server",
            field="options",
            expected="numbers, text, booleans or None",
            received=str(error),
        ) from None
    ours, theirs = os.pipe()
    with open(ours, "rb", buffering=0) as report:
        log = folder.open_log()
        try:
            begun = subprocess.Popen(
                [sys.executable, "-m", SERVER, str(folder.data), given, str(claim), str(theirs)],
                cwd=_IMPORTED_FROM,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(claim, theirs),
                start_new_session=True,
            )
        finally:
            os.close(theirs)
            os.close(log)
        said = _read(report, deadline)
        begun.wait()  # it left the server to itself and ended at once
    if said is None:
        raise DeadlineExceeded(f"the server of {folder.data} is still opening it")
    if said != READY:
        raise _failure(folder, said)


def _read(report: Any, deadline: float | None) -> bytes | None:
    """All that the server says before it serves or ends; None when the deadline passes."""
    poll = select.poll()
    poll.register(report, select.POLLIN)
    said = b""
    while poll.poll(None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000):
        piece = report.read(65_536)
        if not piece:
            return said
        said += piece
    return None


def tell(error: VecdbError) -> bytes:
    """An error as the server reports it."""
    return json.dumps({name: getattr(error, name) for name in ("reason", "message", *_PARTS)}).encode()


def _failure(folder: SharedFolder, said: bytes) -> VecdbError:
    try:
        told = json.loads(said)
        return _KINDS[told["reason"]](told["message"], **{name: told[name] for name in _PARTS})
    except (KeyError, ValueError):
        lines = folder.read(LOG).decode("utf-8", "replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "nothing")
        return Unavailable(
            f"the server of {folder.data} ended before it served; its log is {folder.path / LOG}",
            expected="a server",
            received=last[:200],
        )
