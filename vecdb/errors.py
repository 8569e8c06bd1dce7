"""The tree of errors: every refusal has a stable reason and says what was expected and what came.

    VecdbError
    ├── InvalidArgument            the caller's input is wrong; sending it again cannot help
    │   ├── DimensionMismatch      a vector of another length than its field's
    │   └── InvalidVector          NaN, infinity, zero under cosine, out of range
    ├── NotFound
    │   ├── CollectionNotFound
    │   ├── FieldNotFound
    │   └── PointNotFound          a search names an example that is not there, or has no vector
    ├── AlreadyExists
    │   ├── CollectionExists
    │   └── PointExists            an insert met an id that is there already
    ├── FailedPrecondition         the state does not allow it
    │   ├── ModelMismatch          another embedding model than the field's
    │   ├── DataDirInUse           another process holds the directory (names the pid)
    │   ├── DataDirUnusable        unwritable, not ours, or not a directory
    │   ├── FormatTooNew           written by a newer release
    │   ├── EngineNotInstalled     the thin client was asked to open or serve
    │   ├── ChangesGone            the change feed no longer goes back so far
    │   └── Closed                 the database or client was closed
    ├── Aborted                    the state changed meanwhile
    │   └── ConditionFailed        a condition on a write was lost; names the point and its version
    ├── ResourceExhausted          a limit was met; try later or ask for less
    │   ├── IndexingBehind
    │   ├── MemoryLimit
    │   ├── DiskFull               the disk is nearly full; reads and deletes go on
    │   └── TooLarge               one call holds more than one message may carry
    ├── Unavailable                not now
    │   ├── ReadOnly               a sync or write failed; reads go on
    │   └── CollectionLoading
    ├── DeadlineExceeded
    ├── Cancelled
    ├── Unimplemented              the other end does not know this call or feature
    ├── DataLoss                   truth on disk is damaged; names what
    ├── PartialWrite               some of a split upload was written; says where to go on
    └── Internal                   a defect of vecdb

``reason`` is part of the public contract: programs may compare it, and it crosses the wire unchanged.
"""

from __future__ import annotations

from typing import ClassVar


class VecdbError(Exception):
    """Base of every error vecdb raises.

    ``field`` is the path of the offending part of the request (``vectors[""][3]``), ``expected`` and
    ``received`` are short texts, ``retry_after_s`` a hint in seconds where a retry can help.
    """

    reason: ClassVar[str] = "ERROR"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        expected: str | None = None,
        received: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.expected = expected
        self.received = received
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        text = self.message
        if self.expected is not None or self.received is not None:
            text += f" (expected {self.expected}, received {self.received})"
        return f"{text} [at {self.field}]" if self.field else text

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, dict(self.__dict__))


def _rebuild(kind: type[VecdbError], message: str, state: dict[str, object]) -> VecdbError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class InvalidArgument(VecdbError):
    reason = "INVALID_ARGUMENT"


class DimensionMismatch(InvalidArgument):
    reason = "DIMENSION_MISMATCH"


class InvalidVector(InvalidArgument):
    reason = "INVALID_VECTOR"


class NotFound(VecdbError):
    reason = "NOT_FOUND"


class CollectionNotFound(NotFound):
    reason = "COLLECTION_NOT_FOUND"


class FieldNotFound(NotFound):
    reason = "FIELD_NOT_FOUND"


class PointNotFound(NotFound):
    reason = "POINT_NOT_FOUND"


class AlreadyExists(VecdbError):
    reason = "ALREADY_EXISTS"


class CollectionExists(AlreadyExists):
    reason = "COLLECTION_EXISTS"


class PointExists(AlreadyExists):
    reason = "POINT_EXISTS"


class FailedPrecondition(VecdbError):
    reason = "FAILED_PRECONDITION"


class ModelMismatch(FailedPrecondition):
    reason = "MODEL_MISMATCH"


class DataDirInUse(FailedPrecondition):
    reason = "DATA_DIR_IN_USE"


class DataDirUnusable(FailedPrecondition):
    reason = "DATA_DIR_UNUSABLE"


class FormatTooNew(FailedPrecondition):
    reason = "FORMAT_TOO_NEW"


class EngineNotInstalled(FailedPrecondition):
    reason = "ENGINE_NOT_INSTALLED"


class ChangesGone(FailedPrecondition):
    """The changes after a token are no longer kept; ``expected`` names the oldest token from which there are."""

    reason = "CHANGES_GONE"


class Closed(FailedPrecondition):
    reason = "CLOSED"


class Aborted(VecdbError):
    reason = "ABORTED"


class ConditionFailed(Aborted):
    """A condition on a write does not hold of the point that ``field`` names; nothing of the batch was written."""

    reason = "CONDITION_FAILED"

    @property
    def version(self) -> int:
        """The version that the point has (and a next try may ask for); 0 when there is none."""
        return int(self.received) if self.received is not None and self.received.isdigit() else 0


class ResourceExhausted(VecdbError):
    reason = "RESOURCE_EXHAUSTED"


class IndexingBehind(ResourceExhausted):
    reason = "INDEXING_BEHIND"


class MemoryLimit(ResourceExhausted):
    reason = "MEMORY_LIMIT"


class DiskFull(ResourceExhausted):
    reason = "DISK_FULL"


class TooLarge(ResourceExhausted):
    reason = "TOO_LARGE"


class Unavailable(VecdbError):
    reason = "UNAVAILABLE"


class ReadOnly(Unavailable):
    reason = "READ_ONLY"


class CollectionLoading(Unavailable):
    reason = "COLLECTION_LOADING"


class DeadlineExceeded(VecdbError):
    reason = "DEADLINE_EXCEEDED"


class Cancelled(VecdbError):
    reason = "CANCELLED"


class Unimplemented(VecdbError):
    reason = "UNIMPLEMENTED"


class DataLoss(VecdbError):
    reason = "DATA_LOSS"


class Internal(VecdbError):
    reason = "INTERNAL"


class PartialWrite(VecdbError):
    """A large upload was split into several batches and one of them failed.

    The first ``written`` rows are stored; go on from row ``next_index``; ``cause`` is the error met.
    """

    reason = "PARTIAL_WRITE"

    def __init__(self, written: int, next_index: int, cause: VecdbError) -> None:
        super().__init__(f"{written} rows were written, then row {next_index} and on failed: {cause}")
        self.written = written
        self.next_index = next_index
        self.cause = cause
