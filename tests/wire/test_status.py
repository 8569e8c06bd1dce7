"""Errors keep their reason and all they say across the wire; trailers stay small."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from vecdb import errors
from vecdb.wire.status import CODES, DETAILS_KEY, PUSHBACK_KEY, from_rpc, to_rpc

MADE_BY_THE_CLIENT = {errors.PartialWrite}
KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.VecdbError) and kind not in MADE_BY_THE_CLIENT
]


class Failed(grpc.RpcError):
    """What a stub raises: a status as it arrives."""

    def __init__(self, code: grpc.StatusCode, details: str, trailers: tuple[tuple[str, str | bytes], ...]) -> None:
        self._status = (code, details, trailers)

    def code(self) -> grpc.StatusCode:
        return self._status[0]

    def details(self) -> str:
        return self._status[1]

    def trailing_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return self._status[2]


def carried(error: errors.VecdbError) -> errors.VecdbError:
    status = to_rpc(error)
    return from_rpc(Failed(status.code, status.details, status.trailing_metadata))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.reason)
def test_every_error_crosses_unchanged(kind: type[errors.VecdbError]) -> None:
    sent = kind("what 发生了", field='vectors[""][3]', expected="384", received="768", retry_after_s=1.5)
    got = carried(sent)
    assert type(got) is kind
    assert (got.reason, got.message) == (sent.reason, sent.message)
    assert (got.field, got.expected, got.received) == (sent.field, sent.expected, sent.received)
    assert got.retry_after_s == sent.retry_after_s
    assert str(got) == str(sent)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.reason)
def test_what_is_not_said_stays_unsaid(kind: type[errors.VecdbError]) -> None:
    got = carried(kind("m"))
    assert (got.field, got.expected, got.received, got.retry_after_s) == (None, None, None, None)


def test_every_error_has_a_code_of_its_family() -> None:
    assert set(KINDS) == set(CODES)
    for kind, code in CODES.items():
        families = [base for base in kind.__mro__ if base in CODES and errors.VecdbError in base.__bases__]
        assert all(CODES[family] is code for family in families)
        assert code is not grpc.StatusCode.UNKNOWN


def test_the_details_are_those_of_google_rpc() -> None:
    error = errors.DimensionMismatch("wrong dimension", field="vectors", expected="3", received="2", retry_after_s=2)
    status = status_pb2.Status.FromString(dict(to_rpc(error).trailing_metadata)[DETAILS_KEY])
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail, message in zip(status.details, (info, bad, retry), strict=True):
        assert detail.Unpack(message)
    assert (info.reason, info.domain) == ("DIMENSION_MISMATCH", "vecdb")
    assert dict(info.metadata) == {"expected": "3", "received": "2"}
    assert bad.field_violations[0].field == "vectors"
    assert retry.retry_delay.seconds == 2


@pytest.mark.parametrize("text", ["x" * 100_000, "语" * 100_000, "\ud800" * 10, "a\0b"])
def test_whatever_an_error_says_its_trailers_fit(text: str) -> None:
    status = to_rpc(errors.InvalidArgument(text, field=text, expected=text, received=text))
    percent_encoded = sum(1 if 0x20 <= b < 0x7F else 3 for b in status.details.encode())
    base64 = sum(len(value) for _, value in status.trailing_metadata) * 4 // 3
    assert percent_encoded + base64 < 8000
    got = carried(errors.InvalidArgument(text, field=text))
    assert got.reason == "INVALID_ARGUMENT"


def test_a_reason_from_the_future_is_kept_on_the_general_error() -> None:
    class TooManyTenants(errors.ResourceExhausted):
        reason = "TOO_MANY_TENANTS"

    got = carried(TooManyTenants("no"))
    assert type(got) is errors.ResourceExhausted
    assert got.reason == "TOO_MANY_TENANTS"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ResourceExhausted),
        (grpc.StatusCode.UNIMPLEMENTED, errors.Unimplemented),
        (grpc.StatusCode.UNKNOWN, errors.Internal),
        (grpc.StatusCode.UNAUTHENTICATED, errors.FailedPrecondition),
        (grpc.StatusCode.OUT_OF_RANGE, errors.InvalidArgument),
    ],
)
def test_a_status_without_details_becomes_the_general_error_of_its_code(
    code: grpc.StatusCode, kind: type[errors.VecdbError]
) -> None:
    got = from_rpc(Failed(code, "says a proxy", ()))
    assert type(got) is kind
    assert got.message == "says a proxy"


def test_details_that_do_not_parse_are_passed_over() -> None:
    got = from_rpc(Failed(grpc.StatusCode.NOT_FOUND, "gone", ((DETAILS_KEY, b"\xff\xff"),)))
    assert (type(got), got.message) == (errors.NotFound, "gone")


def test_a_client_is_told_when_sending_again_cannot_help_or_when_to() -> None:
    def pushback(error: errors.VecdbError) -> object:
        return dict(to_rpc(error).trailing_metadata).get(PUSHBACK_KEY)

    assert pushback(errors.ReadOnly("disk")) == "-1"
    assert pushback(errors.CollectionLoading("soon", retry_after_s=0.25)) == "250"
    assert pushback(errors.Unavailable("no hint")) is None
    assert pushback(errors.ResourceExhausted("full", retry_after_s=1)) is None
