"""Every value layout, in one place. A value begins with its own version byte; integers are little-endian.

The grammar is in ``docs/format.md``; this module is its only implementation. A value that does not
decode raises DataLoss: it passed RocksDB's checksums, so it was written wrong or by something else.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import orjson
from numpy.typing import NDArray

from vecdb.errors import DataLoss, FormatTooNew

FORMAT = 1
"""The format of a data directory. 1: the first."""
OLDEST_FORMAT = 1
"""The oldest format this release opens."""

NEWEST = {"body": 2, "pointer": 1, "head": 2, "alias": 1, "log record": 1, "tombstones": 1, "row list": 1}
"""The newest version of each kind of value: what has another one was written by a newer release, and is refused."""

NO_ROW = 2**64 - 1
"""Stands for "no row": no predecessor in a body, a vector slot that is the row itself."""
BUCKETS = 256
TEXT = 1 << 15
"""Slots of the text field of number n are under TEXT | n, those of a vector field under its number, which is lower."""
SPARSE = 1 << 14
"""In bodies a sparse vector stands among the texts, that of field n under SPARSE | n; texts have lower numbers."""

UInt64 = NDArray[np.uint64]

_BODY = struct.Struct("<BBBQQQB")  # version, flags, bucket, seq, previous row, expires_at, slots
_SLOT = struct.Struct("<HQ")  # field, row whose vector it is (NO_ROW: this one)
_ID = struct.Struct("<H")  # bytes
_TEXTS = struct.Struct("<B")  # how many
_TEXT = struct.Struct("<HI")  # field, bytes
_POINTER = struct.Struct("<BBQQ")  # version, flags, row, seq
_POINTERS = np.dtype([("version", "u1"), ("flags", "u1"), ("row", "<u8"), ("seq", "<u8")])
_HEAD = struct.Struct("<BQQQQ")  # version, seq, next row, commit, live points
_LOG = struct.Struct("<BQQQHQQ")  # version, seq, commit, time_ms, request id length, first row, rows added
_ALIAS = struct.Struct("<BI")  # version, collection
_NUMBERS = struct.Struct("<BI")  # version, next collection
_COUNT = struct.Struct("<Q")

_HAS_PAYLOAD = 1
_DELETED = 1
_ADOPTED = 2
_EXPIRES = 4


class Body(NamedTuple):
    """One version of a point: everything but its vectors' numbers.

    ``seq`` is the write that made it, ``previous`` the row it replaced (NO_ROW: none), ``expires_at``
    milliseconds since 1970 (0: never). ``slots`` gives by field id the row under which the vector is
    stored: an edit that leaves a vector alone adopts the slot of the row before. So with texts, under TEXT | number:
    but a text that has no slot here is the row's own, and the text itself is in every body. ``sparse``, by SPARSE |
    number: sparse vectors, which are kept as texts are; dimension (uint32) and weight (float32) of each entry in turn.
    """

    id: str
    seq: int
    previous: int
    expires_at: int
    slots: dict[int, int]
    texts: dict[int, str]
    payload: bytes | None
    sparse: dict[int, bytes] = {}  # noqa: RUF012 (of a tuple; never changed)

    @property
    def written(self) -> dict[int, str | bytes]:
        """Texts and sparse vectors."""
        return {**self.texts, **self.sparse}


def bucket(id: str) -> int:
    """The fixed hash bucket of an id, 0..255 (CRC-32 of its UTF-8, low byte); shards will own buckets."""
    return crc32(id.encode()) & (BUCKETS - 1)


def encode_tail(id: str, texts: Mapping[int, str | bytes], payload: bytes | None) -> bytes:
    """The part of a body that does not depend on its row and sequence. ``texts``: as in ``Body.written``."""
    raw_id = id.encode()
    parts = [_ID.pack(len(raw_id)), raw_id, _TEXTS.pack(len(texts))]
    for field_id, text in texts.items():
        raw = text if isinstance(text, bytes) else text.encode()
        parts += [_TEXT.pack(field_id, len(raw)), raw]
    if payload is not None:
        parts.append(payload)
    return b"".join(parts)


def encode_slots(slots: dict[int, int]) -> bytes:
    """Vector slots of a body: field id -> row (NO_ROW: its own)."""
    return b"".join([_SLOT.pack(field_id, row) for field_id, row in slots.items()])


def encode_body(
    tail: bytes,
    *,
    has_payload: bool,
    id_bucket: int,
    seq: int,
    previous: int,
    expires_at: int,
    slots: bytes,
    has_sparse: bool = False,
) -> bytes:
    """A whole body from its tail and encoded slots.

    ``has_sparse``: the tail has sparse vectors. It makes version 2, which releases that know none refuse.
    """
    flags = _HAS_PAYLOAD if has_payload else 0
    n_slots = len(slots) // _SLOT.size
    return _BODY.pack(1 + has_sparse, flags, id_bucket, seq, previous, expires_at, n_slots) + slots + tail


def decode_body(value: bytes) -> Body:
    """The inverse of ``encode_body``. Raises DataLoss."""
    try:
        version, flags, _, seq, previous, expires_at, n_slots = _BODY.unpack_from(value, 0)
        _known(version, NEWEST["body"], "body")
        at = _BODY.size
        slots_end = at + n_slots * _SLOT.size
        slots = dict(_SLOT.iter_unpack(value[at:slots_end]))
        at = slots_end + 2
        id_end = at + (value[slots_end] | value[slots_end + 1] << 8)
        point_id = value[at:id_end].decode()
        texts: dict[int, str] = {}
        sparse: dict[int, bytes] = {}
        at = id_end + 1
        for _ in range(value[id_end]):
            field_id, size = _TEXT.unpack_from(value, at)
            at += _TEXT.size
            if field_id & SPARSE:
                sparse[field_id] = value[at : at + size]
            else:
                texts[field_id] = value[at : at + size].decode()
            at += size
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise DataLoss(f"a body does not decode: {error}") from error
    payload = value[at:] if flags & _HAS_PAYLOAD else None
    return Body(point_id, seq, previous, expires_at, slots, texts, payload, sparse)


def body_links(value: bytes) -> tuple[int, int]:
    """(seq, previous row) of an encoded body, without decoding the rest."""
    fields = _BODY.unpack_from(value, 0)
    return fields[3], fields[4]


def body_slots(value: bytes) -> list[tuple[int, int]]:
    """``slots`` of an encoded body, as pairs, without decoding the rest."""
    end = _BODY.size + value[_BODY.size - 1] * _SLOT.size
    return list(_SLOT.iter_unpack(value[_BODY.size : end]))


def body_expiry(value: bytes) -> int:
    """When an encoded body expires (milliseconds since 1970, 0: never), without decoding the rest."""
    try:
        return int(_BODY.unpack_from(value, 0)[5])
    except struct.error as error:
        raise DataLoss(f"a body does not decode: {error}") from error


def body_payload(value: bytes) -> bytes | None:
    """The payload of an encoded body, without decoding the rest."""
    flags, n_slots = value[1], value[_BODY.size - 1]
    if not flags & _HAS_PAYLOAD:
        return None
    at = _BODY.size + n_slots * _SLOT.size
    at += 2 + int.from_bytes(value[at : at + 2], "little")
    n_texts = value[at]
    at += 1
    for _ in range(n_texts):
        at += 6 + int.from_bytes(value[at + 2 : at + 6], "little")
    return value[at:]


class Pointer(NamedTuple):
    """Where an id's newest version is. ``seq`` is the write that set it; a deleted one keeps its last row.

    ``adopted``: that row uses vector slots of other rows (its body tells which). ``expires``: it has a time to live
    (its body tells when).
    """

    row: int
    seq: int
    deleted: bool
    adopted: bool
    expires: bool


def encode_pointer(row: int, seq: int, *, deleted: bool = False, adopted: bool = False, expires: bool = False) -> bytes:
    flags = (_DELETED if deleted else 0) | (_ADOPTED if adopted else 0) | (_EXPIRES if expires else 0)
    return _POINTER.pack(1, flags, row, seq)


def decode_pointer(value: bytes) -> Pointer:
    """Raises DataLoss."""
    try:
        version, flags, row, seq = _POINTER.unpack(value)
    except struct.error as error:
        raise DataLoss(f"a pointer does not decode: {error}") from error
    if version != 1:
        _known(version, NEWEST["pointer"], "pointer")
    return Pointer(row, seq, flags & _DELETED != 0, flags & _ADOPTED != 0, flags & _EXPIRES != 0)


def living_rows(pointers: Sequence[bytes]) -> UInt64:
    """The rows of encoded pointers, without those of deleted ids. Raises DataLoss."""
    raw = b"".join(pointers)
    if len(raw) != _POINTER.size * len(pointers):
        raise DataLoss(
            "a pointer does not decode", expected=f"{_POINTER.size} bytes each", received=f"{len(raw)} in all"
        )
    columns = np.frombuffer(raw, _POINTERS)
    _known(int(columns["version"].max(initial=1)), 1, "pointer")
    rows: UInt64 = columns["row"][columns["flags"] & _DELETED == 0].astype(np.uint64)
    return rows


@dataclass(frozen=True, slots=True)
class Head:
    """Committed counters of a collection: last sequence, next free row, last commit number, live points.

    ``expiring``: some of the live points may have expired by now. It stays once it is set, and makes version 2 of the
    value, which releases that know no times to live refuse.
    """

    seq: int = 0
    next_row: int = 0
    commit: int = 0
    live: int = 0
    expiring: bool = False


def encode_head(head: Head) -> bytes:
    return _HEAD.pack(1 + head.expiring, head.seq, head.next_row, head.commit, head.live)


def decode_head(value: bytes) -> Head:
    """Raises DataLoss."""
    try:
        version, seq, next_row, commit, live = _HEAD.unpack(value)
    except struct.error as error:
        raise DataLoss(f"a head does not decode: {error}") from error
    _known(version, NEWEST["head"], "head")
    return Head(seq, next_row, commit, live, version == 2)


def encode_numbers(next_collection: int) -> bytes:
    """What a database notes of itself: the number of its next collection."""
    return _NUMBERS.pack(1, next_collection)


def decode_numbers(value: bytes) -> int:
    """The number of the next collection. Raises DataLoss."""
    try:
        version, number = _NUMBERS.unpack(value)
    except struct.error as error:
        raise DataLoss(f"the numbers of the database do not decode: {error}") from error
    _known(version, 1, "the numbers of a database")
    return int(number)


def encode_alias(collection: int) -> bytes:
    return _ALIAS.pack(1, collection)


def decode_alias(value: bytes) -> int:
    """The collection that an alias stands for. Raises DataLoss."""
    try:
        version, collection = _ALIAS.unpack(value)
    except struct.error as error:
        raise DataLoss(f"an alias does not decode: {error}") from error
    _known(version, NEWEST["alias"], "alias")
    return int(collection)


@dataclass(frozen=True, slots=True)
class Change:
    """What one write batch does to the rows: the log record, and what memory applies.

    Rows ``first_row .. first_row + added`` are new. ``killed`` (ascending) die. A killed row's vector
    slots die with it, except those in ``adopted``: by field id, parallel arrays of slots and the new rows
    that took them over. ``released`` are slots of other rows that die too, by field id.
    ``count`` is the number reported to the caller.
    """

    seq: int
    commit: int
    time_ms: int
    request_id: bytes
    first_row: int
    added: int
    count: int
    killed: UInt64
    adopted: dict[int, tuple[UInt64, UInt64]] = field(default_factory=dict)
    released: dict[int, UInt64] = field(default_factory=dict)


def encode_change(change: Change) -> bytes:
    parts = [
        _LOG.pack(
            1,
            change.seq,
            change.commit,
            change.time_ms,
            len(change.request_id),
            change.first_row,
            change.added,
        ),
        change.request_id,
        _COUNT.pack(change.count),
        _array(change.killed),
        bytes([len(change.adopted)]),
    ]
    for field_id, (slots, rows) in change.adopted.items():
        parts += [field_id.to_bytes(2, "little"), _array(slots), _array(rows)]
    parts.append(bytes([len(change.released)]))
    for field_id, slots in change.released.items():
        parts += [field_id.to_bytes(2, "little"), _array(slots)]
    return b"".join(parts)


def decode_change(value: bytes) -> Change:
    """Raises DataLoss."""
    try:
        version, seq, commit, time_ms, id_size, first_row, added = _LOG.unpack_from(value, 0)
        _known(version, NEWEST["log record"], "log record")
        at = _LOG.size
        request_id = value[at : at + id_size]
        (count,) = _COUNT.unpack_from(value, at + id_size)
        killed, at = _read_array(value, at + id_size + _COUNT.size)
        adopted: dict[int, tuple[UInt64, UInt64]] = {}
        released: dict[int, UInt64] = {}
        n, at = value[at], at + 1
        for _ in range(n):
            field_id = int.from_bytes(value[at : at + 2], "little")
            slots, at = _read_array(value, at + 2)
            rows, at = _read_array(value, at)
            adopted[field_id] = (slots, rows)
        n, at = value[at], at + 1
        for _ in range(n):
            field_id = int.from_bytes(value[at : at + 2], "little")
            released[field_id], at = _read_array(value, at + 2)
    except (struct.error, IndexError, ValueError) as error:
        raise DataLoss(f"a log record does not decode: {error}") from error
    return Change(seq, commit, time_ms, request_id, first_row, added, count, killed, adopted, released)


@dataclass(frozen=True, slots=True)
class PartTombstones:
    """Of one vector field of a segment: dead slots (bool, by ordinal), and who owns each slot now.

    ``owners`` (uint64, by ordinal) is None while every slot belongs to the row it was written with.
    """

    dead: NDArray[np.bool_]
    owners: UInt64 | None


@dataclass(frozen=True, slots=True)
class Tombstones:
    """The dead of one sealed segment, up to the sequence its manifest states."""

    dead: NDArray[np.bool_]
    parts: dict[int, PartTombstones]


def encode_tombstones(tombstones: Tombstones) -> bytes:
    parts = [b"\x01", _bits(tombstones.dead), bytes([len(tombstones.parts)])]
    for field_id, part in tombstones.parts.items():
        parts += [field_id.to_bytes(2, "little"), _bits(part.dead), bytes([part.owners is not None])]
        if part.owners is not None:
            parts.append(_array(part.owners))
    return b"".join(parts)


def decode_tombstones(value: bytes) -> Tombstones:
    """Raises DataLoss."""
    try:
        _known(value[0], NEWEST["tombstones"], "tombstones")
        dead, at = _read_bits(value, 1)
        parts: dict[int, PartTombstones] = {}
        n, at = value[at], at + 1
        for _ in range(n):
            field_id = int.from_bytes(value[at : at + 2], "little")
            part_dead, at = _read_bits(value, at + 2)
            has_owners, at = value[at], at + 1
            owners = None
            if has_owners:
                owners, at = _read_array(value, at)
            parts[field_id] = PartTombstones(part_dead, owners)
    except (struct.error, IndexError, ValueError) as error:
        raise DataLoss(f"tombstones do not decode: {error}") from error
    return Tombstones(dead, parts)


def encode_json(version: int, document: dict[str, Any]) -> bytes:
    """A version byte and a JSON object: for the few small values a person may want to read."""
    return bytes([version]) + orjson.dumps(document)


def decode_json(value: bytes, newest: int, what: str) -> dict[str, Any]:
    """The inverse of ``encode_json``. Raises DataLoss, or FormatTooNew past version ``newest``."""
    if not value:
        raise DataLoss(f"{what} is empty")
    _known(value[0], newest, what)
    try:
        document = orjson.loads(value[1:])
    except orjson.JSONDecodeError as error:
        raise DataLoss(f"{what} does not decode: {error}") from error
    if not isinstance(document, dict):
        raise DataLoss(f"{what} is not an object")
    return document


def encode_rows(rows: UInt64) -> bytes:
    """A bare list of rows with its version byte (the dead of the unsealed tail, inside a manifest)."""
    return b"\x01" + _array(rows)


def decode_rows(value: bytes) -> UInt64:
    """Raises DataLoss."""
    try:
        _known(value[0], NEWEST["row list"], "row list")
        return _read_array(value, 1)[0]
    except (struct.error, IndexError, ValueError) as error:
        raise DataLoss(f"a row list does not decode: {error}") from error


def _known(version: int, newest: int, what: str) -> None:
    if version > newest:
        raise FormatTooNew(
            f"{what} was written by a newer vecdb", expected=f"version <= {newest}", received=str(version)
        )
    if version == 0:
        raise DataLoss(f"{what} has no version")


def _array(values: UInt64) -> bytes:
    return _COUNT.pack(len(values)) + np.ascontiguousarray(values, dtype="<u8").tobytes()


def _read_array(value: bytes, at: int) -> tuple[UInt64, int]:
    (n,) = _COUNT.unpack_from(value, at)
    end = at + 8 + 8 * n
    if end > len(value):
        raise ValueError(f"{n} numbers announced, {(len(value) - at - 8) // 8} there")
    return np.frombuffer(value, dtype="<u8", count=n, offset=at + 8).astype(np.uint64), end


def _bits(flags: NDArray[np.bool_]) -> bytes:
    return _COUNT.pack(len(flags)) + np.packbits(flags).tobytes()


def _read_bits(value: bytes, at: int) -> tuple[NDArray[np.bool_], int]:
    (n,) = _COUNT.unpack_from(value, at)
    size = (n + 7) // 8
    if at + 8 + size > len(value):
        raise ValueError("a bitmap is cut short")
    packed = np.frombuffer(value, dtype=np.uint8, count=size, offset=at + 8)
    return np.unpackbits(packed, count=n).astype(np.bool_), at + 8 + size
