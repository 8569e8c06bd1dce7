"""The cursor of a page, for whoever reads on to keep: where the page ended. It outlives client and server.

base64url, without padding, of one byte kind, four bytes CRC-32 of what follows, and the place: of a walk by id the
last id as UTF-8, of an ordered walk what the engine told.
"""

from __future__ import annotations

import base64
import zlib

from vecdb.errors import InvalidArgument

_BY_ID, _ORDERED = b"\x01", b"\x02"


def encode(after: str) -> str:
    """The cursor of a page that ended with the id ``after``."""
    return _packed(_BY_ID, after.encode())


def decode(cursor: object) -> str:
    """The id that a page ended with. Raises InvalidArgument for what no page by id gave."""
    try:
        return _unpacked(_BY_ID, cursor).decode()
    except ValueError:
        raise _refusal(cursor) from None


def encode_ordered(place: bytes) -> str:
    """The cursor of a page of an ordered walk that ended at ``place``."""
    return _packed(_ORDERED, place)


def decode_ordered(cursor: object) -> bytes:
    """The place that an ordered page ended at. Raises InvalidArgument for what no ordered page gave."""
    try:
        return _unpacked(_ORDERED, cursor)
    except ValueError:
        raise _refusal(cursor) from None


def _packed(kind: bytes, place: bytes) -> str:
    raw = kind + zlib.crc32(place).to_bytes(4, "big") + place
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unpacked(kind: bytes, cursor: object) -> bytes:
    """The place. Raises ValueError for a cursor of another kind, InvalidArgument where that is all that is wrong."""
    if not isinstance(cursor, str):
        raise ValueError
    raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True)
    place = raw[5:]
    if raw[:1] not in (_BY_ID, _ORDERED) or raw[1:5] != zlib.crc32(place).to_bytes(4, "big"):
        raise ValueError
    if raw[:1] != kind:
        told = {_BY_ID: "a walk by id", _ORDERED: "a walk with order_by"}
        raise InvalidArgument(
            "the cursor belongs to another order", field="cursor", expected=told[kind], received=told[raw[:1]]
        )
    return place


def _refusal(cursor: object) -> InvalidArgument:
    return InvalidArgument("not a cursor", field="cursor", expected="the cursor of a page", received=repr(cursor)[:80])
