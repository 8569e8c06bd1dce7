"""Sorted distinct strings end to end, as they lie in a file, and as arrays that numpy sorts without the GIL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vecdb.index.columns.times import Bytes
from vecdb.model.point import Int64


@dataclass(frozen=True, slots=True)
class PackedTexts:
    """UTF-8 strings in the order of their bytes: ``blob`` uint8 from ``offsets[i]`` to ``offsets[i + 1]``."""

    offsets: NDArray[np.uint32] | NDArray[np.uint64]
    blob: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @staticmethod
    def of(*pieces: Bytes) -> PackedTexts:
        """From sorted strings without NUL (dtype S), in pieces that follow each other."""
        sizes = [np.strings.str_len(piece).astype(np.int64) for piece in pieces]
        offsets = np.zeros(sum(map(len, pieces)) + 1, dtype=np.uint64)
        if len(offsets) > 1:
            np.cumsum(np.concatenate(sizes), out=offsets[1:])
        blobs = [np.zeros(0, dtype=np.uint8)]
        for piece, size in zip(pieces, sizes, strict=True):
            width = piece.dtype.itemsize
            wide = np.ascontiguousarray(piece).view(np.uint8).reshape(len(piece), width)
            blobs.append(wide[np.arange(width) < size[:, None]])
        return PackedTexts(offsets.astype(np.uint32) if offsets[-1] < 2**32 else offsets, np.concatenate(blobs))

    def unpacked(self) -> Bytes:
        """The strings as one array, as wide as the longest."""
        sizes = np.diff(self.offsets.astype(np.int64))
        width = max(int(sizes.max(initial=0)), 1)
        wide = np.zeros((len(self), width), dtype=np.uint8)
        wide[np.arange(width) < sizes[:, None]] = self.blob
        texts: Bytes = wide.view(f"S{width}").reshape(len(self))
        return texts

    def place(self, bound: bytes, low: int = 0) -> int:
        """How many of the strings come before ``bound``; at least ``low`` do."""
        offsets, blob = memoryview(self.offsets), memoryview(self.blob)  # type: ignore[arg-type]
        high = len(self)
        while low < high:
            middle = (low + high) // 2
            if bytes(blob[offsets[middle] : offsets[middle + 1]]) < bound:
                low = middle + 1
            else:
                high = middle
        return low

    def find(self, text: bytes) -> int | None:
        """The place of a string; None where it is not."""
        at = self.place(text)
        if at == len(self) or bytes(self.blob[int(self.offsets[at]) : int(self.offsets[at + 1])]) != text:
            return None
        return at

    def take(self, codes: Int64) -> list[str]:
        """The strings at these places."""
        starts, ends = self.offsets[codes].tolist(), self.offsets[codes + 1].tolist()
        blob = memoryview(self.blob)  # type: ignore[arg-type]
        return [str(blob[a:b], "utf-8") for a, b in zip(starts, ends, strict=True)]

    def nbytes(self) -> int:
        return self.offsets.nbytes + self.blob.nbytes


def text_below(texts: Bytes, bound: bytes) -> NDArray[np.bool_]:
    """Which strings (dtype S, without NUL) come before ``bound``, whose last bytes may be NULs: numpy drops these."""
    stripped = bound.rstrip(b"\0")
    return np.asarray(texts < bound if stripped == bound else texts <= stripped)


def as_bytes(texts: Iterable[str]) -> Bytes:
    """Strings without NUL as an array (dtype S)."""
    encoded = [text.encode() for text in texts]
    return np.array(encoded, dtype=np.bytes_) if encoded else np.zeros(0, dtype="S1")
