"""What is in a data directory, without opening the database: nothing is written, nothing is recovered.

It works beside a process that has the directory open, and tells what that process has committed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vecdb.engine import catalog, manifest
from vecdb.engine.collection import Entry
from vecdb.engine.datadir import ROCKSDB, SEGMENTS, read_marker
from vecdb.engine.sealing import folder_of
from vecdb.engine.text_sealing import terms_file
from vecdb.errors import DataLoss
from vecdb.model.collection import Indexing
from vecdb.model.schema import Schema
from vecdb.storage import codec, files, keys
from vecdb.storage.codec import TEXT, Head
from vecdb.storage.kv import KV
from vecdb.storage.rocksdb import read_only

# One in thirty fails beside a process that rewrites its files all the time.
ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """A segment as its manifest names it: ``dead`` of ``rows``, ``index`` by vector field, bytes on disk.

    ``texts``: by text field the analyzer of its postings and their bytes; without an entry they are still to be made.
    ``problems``: its files that are missing or have another size; such a segment is built again when opened.
    """

    segment: int
    rows: int
    dead: int
    index: Mapping[str, str]
    disk_bytes: int
    problems: Sequence[str]
    texts: Mapping[str, Mapping[str, str | int]]


@dataclass(frozen=True, slots=True)
class StoredCollection:
    """A collection as it is stored: ``points`` live of ``next_row`` rows ever written, as of write ``seq``.

    ``number`` names its folder of segments. ``unsealed_rows``: rows, dead ones among them, in no sealed segment.
    ``covered_seq``: opening reads the log records after this write.
    """

    name: str
    number: int
    aliases: Sequence[str]
    schema: Schema
    indexing: Indexing
    created_at_ms: int
    points: int
    seq: int
    next_row: int
    unsealed_rows: int
    covered_seq: int
    segments: Sequence[SealedSegment]


@dataclass(frozen=True, slots=True)
class Inspection:
    """A data directory: its format and identity, the pid that has it open (None: nobody), bytes by place.

    ``dropped`` numbers of collections whose rows are still to be deleted.
    """

    path: str
    format: int
    database: str
    holder: str | None
    bytes: Mapping[str, int]
    dropped: Sequence[int]
    collections: Sequence[StoredCollection]

    @property
    def problems(self) -> list[str]:
        """What is wrong with the files of segments, a sentence each."""
        return [
            f"collection {collection.name!r}, segment {segment.segment}: {problem}"
            for collection in self.collections
            for segment in collection.segments
            for problem in segment.problems
        ]


def inspect(path: str | os.PathLike[str]) -> Inspection:
    """Look at a data directory. Raises OSError, DataLoss, FormatTooNew."""
    root = Path(path)
    for _ in range(ATTEMPTS - 1):
        try:
            return _look(root)
        except (DataLoss, FileNotFoundError):
            if files.holder(root) is None:
                raise  # else its holder may have replaced files between their listing and their reading
    return _look(root)


def _look(root: Path) -> Inspection:
    format_number, identity = read_marker(root)
    with read_only(root / ROCKSDB) as kv:
        entries, aliases, dropped = catalog.read(kv)
        collections = [
            _collection(kv, root / SEGMENTS, entry, head, sorted(a for a, n in aliases.items() if n == entry.number))
            for entry, head in sorted(entries, key=lambda pair: pair[0].name)
        ]
    places = {f"{name}_bytes": _tree_bytes(root / name) for name in (ROCKSDB, SEGMENTS)}
    return Inspection(str(root), format_number, identity, files.holder(root), places, dropped, collections)


def _collection(kv: KV, segments: Path, entry: Entry, head: Head, aliases: list[str]) -> StoredCollection:
    found = manifest.load(kv, entry.number)
    return StoredCollection(
        name=entry.name,
        number=entry.number,
        aliases=aliases,
        schema=entry.schema,
        indexing=entry.indexing,
        created_at_ms=entry.created_at_ms,
        points=head.live,
        seq=head.seq,
        next_row=head.next_row,
        unsealed_rows=sum(end - start for start, end in found.unsealed) + max(0, head.next_row - found.tail_row),
        covered_seq=found.seq,
        segments=[_segment(kv, segments, entry, said) for said in found.segments],
    )


def _segment(kv: KV, segments: Path, collection: Entry, said: dict[str, Any]) -> SealedSegment:
    number = int(said["number"])
    tombstones = kv.get(keys.tombstones(collection.number, number))
    dead = 0 if tombstones is None else int(np.count_nonzero(codec.decode_tombstones(tombstones).dead))
    folder = folder_of(segments, collection.number, number)
    disk_bytes = 0
    problems = []
    for name, (size, _) in said["files"].items():
        there = _size(folder / name)
        disk_bytes += there or 0
        if there != size:
            what = "is missing" if there is None else f"has {there} bytes"
            problems.append(f"{name} {what}, {size} bytes were written")
    fields = collection.fields
    kinds = {int(field): part["kind"] for field, part in said["parts"].items()}
    index = {name: kinds[field] for name, field in fields.vectors.items() if field in kinds}
    texts: dict[str, Mapping[str, str | int]] = {}
    for name, field in fields.texts.items():
        analyzer = said.get("texts", {}).get(str(field), {}).get("analyzer")
        file = terms_file(said["files"], TEXT | field)
        if analyzer is not None and file is not None:
            texts[name] = {"analyzer": analyzer["name"], "bytes": int(said["files"][file][0])}
    return SealedSegment(number, int(said["rows"]), dead, index, disk_bytes, problems, texts)


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return None


def _tree_bytes(folder: Path) -> int:
    return sum(_size(Path(place, name)) or 0 for place, _, names in os.walk(folder) for name in names)
