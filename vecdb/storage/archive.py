"""What is in the parts of an archive, and what they are called; docs/format.md tells it for whoever reads one.

A part ends with the xxh3-128 of what is before it; the two documents begin with that of what follows. A part that does
not have its checksum, or not the form it should have, raises DataLoss by its name.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
import xxhash

from vecdb.errors import DataLoss
from vecdb.model.point import Float32
from vecdb.storage.codec import UInt64

DIGEST_BYTES = 16
_COUNT = struct.Struct("<Q")
_SHAPE = struct.Struct("<QQ")
_PART_NAME = re.compile(r"collections/(?P<collection>\d+)/(?P<number>\d+)\.(?P<kind>[a-z]+)(\.(?P<field>\d+))?")
_SEAL = re.compile(rb'\{"xxh3_128":"([0-9a-f]{32})",')


class PartName(NamedTuple):
    """The name of a part. ``number``: parts are counted from 1 through the whole archive, so a missing one is missed.

    ``field`` is that of the vectors that it is about, None where it is about all of the collection.
    """

    collection: int
    number: int
    kind: str
    field: int | None

    def __str__(self) -> str:
        about = "" if self.field is None else f".{self.field}"
        return f"collections/{self.collection}/{self.number:06d}.{self.kind}{about}"

    @staticmethod
    def of(name: str) -> PartName | None:
        """The inverse; None for what is no name of a part."""
        found = _PART_NAME.fullmatch(name)
        if found is None:
            return None
        field = None if found["field"] is None else int(found["field"])
        part = PartName(int(found["collection"]), int(found["number"]), found["kind"], field)
        return part if str(part) == name else None


def sealed(payload: bytes) -> bytes:
    """A part: its content, then the checksum."""
    return payload + xxhash.xxh3_128_digest(payload)


def opened(name: str, part: bytes) -> bytes:
    """The content of a part. Raises DataLoss."""
    payload = part[:-DIGEST_BYTES]
    if len(part) < DIGEST_BYTES or xxhash.xxh3_128_digest(payload) != part[-DIGEST_BYTES:]:
        raise DataLoss(f"{name} is damaged: its checksum does not fit")
    return payload


def digest(part: bytes) -> str:
    """The checksum of a part as the manifest names it."""
    return part[-DIGEST_BYTES:].hex()


def sealed_document(document: dict[str, Any]) -> bytes:
    """A JSON object whose first entry is the checksum of the bytes after that entry."""
    rest = orjson.dumps(document)[1:]
    return b'{"xxh3_128":"%s",' % xxhash.xxh3_128_hexdigest(rest).encode() + rest


def seal(document: bytes) -> str:
    """The checksum that a document begins with."""
    found = _SEAL.match(document)
    return "" if found is None else found[1].decode()


def opened_document(name: str, data: bytes) -> dict[str, Any]:
    """Raises DataLoss."""
    found = _SEAL.match(data)
    if found is None or xxhash.xxh3_128_hexdigest(data[found.end() :]) != found[1].decode():
        raise DataLoss(f"{name} is damaged: its checksum does not fit")
    document: dict[str, Any] = orjson.loads(data)
    return document


def encode_bodies(rows: UInt64, values: Sequence[bytes]) -> bytes:
    """Bodies as they are in the store, with their rows."""
    sizes = np.fromiter(map(len, values), "<u4", len(values))
    return b"".join([_COUNT.pack(len(rows)), rows.astype("<u8").tobytes(), sizes.tobytes(), *values])


def decode_bodies(name: str, payload: bytes) -> tuple[UInt64, list[bytes]]:
    """Raises DataLoss."""
    (n,) = _COUNT.unpack_from(_enough(name, payload, 8))
    start = 8 + 12 * n
    _enough(name, payload, start)
    rows = np.frombuffer(payload, "<u8", n, 8).astype(np.uint64)
    ends = start + np.cumsum(np.frombuffer(payload, "<u4", n, 8 + 8 * n), dtype=np.int64)
    if (int(ends[-1]) if n else start) != len(payload):
        raise DataLoss(f"{name} is damaged: its sizes do not add up")
    bounds = [start, *ends.tolist()]
    return rows, [payload[bounds[i] : bounds[i + 1]] for i in range(n)]


def encode_vectors(rows: UInt64, values: Sequence[bytes]) -> bytes:
    """Vectors of a field as they are in the store, with the rows under which they are."""
    return b"".join([_COUNT.pack(len(rows)), rows.astype("<u8").tobytes(), *values])


def decode_vectors(name: str, payload: bytes, dim: int) -> tuple[UInt64, Float32]:
    """Rows and vectors float32 ``[n, dim]``. Raises DataLoss."""
    (n,) = _COUNT.unpack_from(_enough(name, payload, 8))
    if len(payload) != 8 + n * (8 + 4 * dim):
        raise DataLoss(
            f"{name} has another size", expected=f"{8 + n * (8 + 4 * dim)} bytes", received=str(len(payload))
        )
    rows = np.frombuffer(payload, "<u8", n, 8).astype(np.uint64)
    return rows, np.frombuffer(payload, "<f4", n * dim, 8 + 8 * n).reshape(n, dim).astype(np.float32, copy=False)


def encode_answers(rows: UInt64, scores: Float32) -> bytes:
    """The rows of the vectors nearest to each query, best first, with their scores; ``[q, k]`` both."""
    return _SHAPE.pack(*rows.shape) + rows.astype("<u8").tobytes() + scores.astype("<f4").tobytes()


def decode_answers(name: str, payload: bytes) -> tuple[UInt64, Float32]:
    """Raises DataLoss."""
    q, k = _SHAPE.unpack_from(_enough(name, payload, 16))
    if len(payload) != 16 + 12 * q * k:
        raise DataLoss(f"{name} has another size", expected=f"{16 + 12 * q * k} bytes", received=str(len(payload)))
    rows = np.frombuffer(payload, "<u8", q * k, 16).reshape(q, k).astype(np.uint64)
    return rows, np.frombuffer(payload, "<f4", q * k, 16 + 8 * q * k).reshape(q, k).astype(np.float32)


def _enough(name: str, payload: bytes, size: int) -> bytes:
    if len(payload) < size:
        raise DataLoss(f"{name} is too short", expected=f">= {size} bytes", received=str(len(payload)))
    return payload
