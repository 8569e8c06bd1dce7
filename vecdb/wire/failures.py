"""What a failed call is told, whatever went wrong."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable

from vecdb.errors import Internal, InvalidArgument, ReadOnly, VecdbError

log = logging.getLogger(__name__)


class Failures:
    """Explains exceptions of handlers. ``on_read_only`` is called when the engine said that it takes no more writes."""

    def __init__(self, on_read_only: Callable[[], None]) -> None:
        self._on_read_only = on_read_only

    def explain(self, error: Exception, method: str) -> VecdbError:
        """The error to answer; anything but a VecdbError is a defect, and the log has its traceback."""
        if isinstance(error, VecdbError):
            if isinstance(error, ReadOnly):
                self._on_read_only()
            return error
        number = uuid.uuid4().hex[:8]
        log.error("defect %s in %s", number, method, exc_info=error)
        return Internal(f"a defect of vecdb; the server's log tells more at {number}")


def unparsable(nbytes: int) -> InvalidArgument:
    """The error of a message that protobuf does not parse."""
    return InvalidArgument(
        "the request cannot be parsed", expected="a message of this method", received=f"{nbytes} bytes"
    )
