"""numpy files: .npy, whose rows are vectors, and .npz, whose arrays are columns. Nothing is unpickled."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from vecdb.client.load.chunk import ArrayColumns, Chunk
from vecdb.client.load.source import BatchSize, Source
from vecdb.errors import InvalidArgument


class NpySource(Source):
    """A memory-mapped array ``[n, dim]``; its only column is ``vector``."""

    kind = "npy"

    def __init__(self, path: Path) -> None:
        super().__init__(path.name, path)
        self._array = map_array(path)
        self.rows = len(self._array)

    def read(self, start: int, size: BatchSize) -> Iterator[Chunk]:
        step = size.at_most(self._array.shape[1] * self._array.itemsize)
        for at in range(start, len(self._array), step):
            yield ArrayColumns(at, {"vector": np.array(self._array[at : at + step])})


class NpzSource(Source):
    """The arrays of a .npz file as columns, all of one length. Read in pieces, compressed or not."""

    kind = "npz"

    def __init__(self, path: Path) -> None:
        super().__init__(path.name, path)
        try:
            with zipfile.ZipFile(path) as file:
                self._members = {name.removesuffix(".npy"): name for name in file.namelist() if name.endswith(".npy")}
                lengths = {}
                for column, name in self._members.items():
                    with file.open(name) as member:
                        lengths[column] = _header(member, f"{path.name}[{column}]")[0][0]
        except (zipfile.BadZipFile, ValueError) as error:
            raise _no_array(path.name, str(error)) from None
        if len(set(lengths.values())) != 1:
            raise InvalidArgument(
                "the arrays are not columns of one table",
                field=path.name,
                expected="arrays of equal length",
                received=", ".join(f"{name}: {n}" for name, n in lengths.items()) or "no arrays",
            )
        self.rows = next(iter(lengths.values()))

    def read(self, start: int, size: BatchSize) -> Iterator[Chunk]:
        assert self.path is not None and self.rows is not None
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(zipfile.ZipFile(self.path))
            members = {column: stack.enter_context(file.open(name)) for column, name in self._members.items()}
            headers = {column: _header(member, column) for column, member in members.items()}
            widths = {name: dtype.itemsize * int(np.prod(shape[1:])) for name, (shape, dtype) in headers.items()}
            step = size.at_most(sum(widths.values()))
            for column, member in members.items():
                _pass_over(member, start * widths[column])
            for at in range(start, self.rows, step):
                n = min(step, self.rows - at)
                arrays = {}
                for column, (shape, dtype) in headers.items():
                    arrays[column] = _take(members[column], n * widths[column], dtype).reshape(n, *shape[1:])
                yield ArrayColumns(at, arrays)


def map_array(path: Path) -> NDArray[Any]:
    """A memory-mapped array of numbers ``[n, dim]``. Raises InvalidArgument."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _no_array(path.name, str(error)) from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu":
        received = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
        raise _no_array(path.name, received)
    return array


def _header(member: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of the array that a stream begins with. Raises InvalidArgument and ValueError."""
    version = npy_format.read_magic(member)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, fortran, dtype = read(member)
    if not shape or dtype.hasobject or (fortran and len(shape) > 1):
        order = " in Fortran order" if fortran else ""
        raise InvalidArgument(
            "an array that is no column",
            field=name,
            expected="one row after the other, no objects",
            received=f"{dtype} {list(shape)}{order}",
        )
    return shape, dtype


def _take(member: IO[bytes], nbytes: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    data = member.read(nbytes)
    if len(data) != nbytes:
        raise _no_array(getattr(member, "name", "array"), "fewer bytes than its header says")
    return np.frombuffer(data, dtype)


def _pass_over(member: IO[bytes], nbytes: int) -> None:
    while nbytes > 0:
        read = len(member.read(min(nbytes, 1 << 20)))
        if not read:
            return
        nbytes -= read


def _no_array(name: str, received: str) -> InvalidArgument:
    return InvalidArgument("no array of vectors", field=name, expected="numbers of shape [n, dim]", received=received)
