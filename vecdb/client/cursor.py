"""The cursor of a page, for whoever reads on to keep: where the page ended. It outlives client and server.

base64url, without padding, of one byte version, four bytes CRC-32 of what follows, the last id as UTF-8.
"""

from __future__ import annotations

import base64
import zlib

from vecdb.errors import InvalidArgument

_VERSION = b"\x01"


def encode(after: str) -> str:
    """The cursor of a page that ended with the id ``after``."""
    place = after.encode()
    raw = _VERSION + zlib.crc32(place).to_bytes(4, "big") + place
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(cursor: object) -> str:
    """The id that a page ended with. Raises InvalidArgument for what no page gave."""
    try:
        if not isinstance(cursor, str):
            raise ValueError
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True)
        place = raw[5:]
        if raw[:5] != _VERSION + zlib.crc32(place).to_bytes(4, "big"):
            raise ValueError
        return place.decode()
    except ValueError:
        raise InvalidArgument(
            "not a cursor", field="cursor", expected="the cursor of a page", received=repr(cursor)[:80]
        ) from None
