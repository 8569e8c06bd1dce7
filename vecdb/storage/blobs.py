"""What is in RocksDB's blob files, read without RocksDB: for a store that has lost its list of files.

A file is a header of 30 bytes and records: sizes of key and value, expiration (u64 each), the masked CRC-32C of these
and that of key and value (u32 each), then key and value. Bodies and vectors are never overwritten, so whichever
record has the key of one has its value.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from pathlib import Path

from vecdb.errors import DataLoss

_HEADER_BYTES = 30
_RECORD = struct.Struct("<QQQII")
_MASK = 0xA282EAD8
_POLYNOMIAL = 0x82F63B78


class Blobs:
    """Values by key, of all blob files in a folder; of several values of a key the one written last."""

    def __init__(self, folder: Path) -> None:
        self._places: dict[bytes, tuple[Path, int, int, int]] = {}
        for file in sorted(folder.glob("*.blob")):
            self._list(file)
        self._keys = sorted(self._places)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def next_key(self, key: bytes) -> bytes | None:
        """The first key that is not below ``key``."""
        at = bisect_left(self._keys, key)
        return self._keys[at] if at < len(self._keys) else None

    def read(self, key: bytes) -> bytes:
        """The value of a key. Raises DataLoss, KeyError."""
        file, at, size, checksum = self._places[key]
        with open(file, "rb") as opened:
            opened.seek(at)
            value = opened.read(size)
        if len(value) != size or _masked(crc32c(key + value)) != checksum:
            raise DataLoss(f"a value in {file.name} is damaged")
        return value

    def _list(self, file: Path) -> None:
        size, at = file.stat().st_size, _HEADER_BYTES
        with open(file, "rb") as opened:
            while at + _RECORD.size <= size:
                opened.seek(at)
                raw = opened.read(_RECORD.size)
                key_size, value_size, _, header_checksum, checksum = _RECORD.unpack(raw)
                if _masked(crc32c(raw[:24])) != header_checksum:
                    return  # the footer, or damage
                at += _RECORD.size + key_size
                self._places[opened.read(key_size)] = (file, at, value_size, checksum)
                at += value_size


def crc32c(data: bytes) -> int:
    """CRC-32 of Castagnoli's polynomial; about 20 MB a second."""
    value, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _masked(value: int) -> int:
    return ((value >> 15 | value << 17) + _MASK) & 0xFFFFFFFF


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = [_entry(i) for i in range(256)]
