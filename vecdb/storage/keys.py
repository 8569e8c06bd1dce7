"""Every key layout, in one place. All integers are big-endian, so that key order is number order.

    m                                database: the number of the next collection
    c  collection:u32                catalog entry of a collection
    a  alias                         the collection that a second name stands for
    x  collection:u32                a dropped collection whose rows are still to be deleted
    h  collection:u32                head: the collection's committed counters
    g  collection:u32                manifest: its sealed segments and what their tombstones cover
    t  collection:u32 segment:u64    tombstones of one sealed segment
    p  collection:u32 id             pointer: id -> newest row
    b  collection:u32 row:u64        body: id, payload, texts, where the vectors are
    v  collection:u32 row:u64 field:u16   one vector, raw little-endian float32
    l  collection:u32 seq:u64        log record of one write batch

Rows are numbered from 0 in each collection and never reused. ``docs/format.md`` describes the values.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DATABASE = b"m"

_U32 = struct.Struct(">I")
_U32_U64 = struct.Struct(">IQ")
_U32_U64_U16 = struct.Struct(">IQH")

_BODY_KEY = np.dtype([("kind", "S1"), ("collection", ">u4"), ("row", ">u8")])
_VECTOR_KEY = np.dtype([*_BODY_KEY.descr, ("field", ">u2")])

LAST_ROW = 2**64 - 1


def catalog(collection: int) -> bytes:
    return b"c" + _U32.pack(collection)


def collection_number(key: bytes) -> int:
    """The collection inside any key but the database's and an alias's."""
    return int(_U32.unpack_from(key, 1)[0])


def alias(name: str) -> bytes:
    return b"a" + name.encode()


def alias_name(key: bytes) -> str:
    """The alias inside an alias key."""
    return key[1:].decode()


def dropped(collection: int) -> bytes:
    return b"x" + _U32.pack(collection)


def head(collection: int) -> bytes:
    return b"h" + _U32.pack(collection)


def manifest(collection: int) -> bytes:
    return b"g" + _U32.pack(collection)


def tombstones(collection: int, segment: int) -> bytes:
    return b"t" + _U32_U64.pack(collection, segment)


def pointer_prefix(collection: int) -> bytes:
    return b"p" + _U32.pack(collection)


def pointer(collection: int, id: str) -> bytes:
    return b"p" + _U32.pack(collection) + id.encode()


def pointer_id(key: bytes) -> str:
    """The id inside a pointer key."""
    return key[5:].decode()


def body(collection: int, row: int) -> bytes:
    return b"b" + _U32_U64.pack(collection, row)


def body_row(key: bytes) -> int:
    """The row inside a body key."""
    return int(_U32_U64.unpack_from(key, 1)[1])


def body_rows(found: Sequence[bytes]) -> NDArray[np.uint64]:
    """The rows inside body keys, uint64 ``[n]``."""
    return np.frombuffer(b"".join(found), _BODY_KEY)["row"].astype(np.uint64)


def vector(collection: int, row: int, field: int) -> bytes:
    return b"v" + _U32_U64_U16.pack(collection, row, field)


def vector_row_field(key: bytes) -> tuple[int, int]:
    """The row and field inside a vector key."""
    _, row, field = _U32_U64_U16.unpack_from(key, 1)
    return row, field


def vector_rows_fields(found: Sequence[bytes]) -> tuple[NDArray[np.uint64], NDArray[np.uint16]]:
    """The rows and fields inside vector keys, uint64 and uint16 ``[n]``."""
    columns = np.frombuffer(b"".join(found), _VECTOR_KEY)
    return columns["row"].astype(np.uint64), columns["field"].astype(np.uint16)


def vector_from(collection: int, row: int) -> bytes:
    """The first possible vector key of ``row``: a bound for scans and range deletes."""
    return b"v" + _U32_U64.pack(collection, row)


def log(collection: int, seq: int) -> bytes:
    return b"l" + _U32_U64.pack(collection, seq)


def collection_ranges(collection: int) -> list[tuple[bytes, bytes]]:
    """[start, end) ranges holding everything of a collection, its catalog entry excepted."""
    low, high = _U32.pack(collection), _U32.pack(collection + 1)
    return [(kind + low, kind + high) for kind in (b"h", b"g", b"t", b"p", b"b", b"v", b"l")]
