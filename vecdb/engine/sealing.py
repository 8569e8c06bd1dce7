"""Write a sealed segment as a folder of files that never change, and load it back.

A folder ``segments/<collection>/<number>/`` holds ``bodies`` (rows, sequences, ids), ``expires`` where some of them
have an end, ``columns`` (what filters ask), for each vector field ``<field>.hnsw`` or ``<field>.flat``, and
``<field>.slots`` where slots and bodies differ. Size and checksum of each file are in the manifest and verified before
anything reads them. docs/format.md has the layouts.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vecdb.engine.body_columns import ReadBodies, read_columns
from vecdb.engine.gathering import Gathering, Selection
from vecdb.engine.options import EngineOptions
from vecdb.engine.segment import ALIVE, NEVER, PackedIds, Part, Segment, UInt64
from vecdb.engine.text_index import TextIndex
from vecdb.engine.text_sealing import TextWriter, describe_texts, is_terms, load_texts, remove_unlisted, stem
from vecdb.engine.texts import Texts
from vecdb.errors import Cancelled
from vecdb.failpoint import hit
from vecdb.index import flat, hnsw
from vecdb.index.columns import merge
from vecdb.index.columns.contract import Columns
from vecdb.index.columns.sealed import SealedColumns
from vecdb.index.columns.texts import PackedTexts
from vecdb.index.contract import Mask, VectorIndex
from vecdb.model.point import Int64
from vecdb.model.schema import VectorField
from vecdb.storage import files
from vecdb.storage.codec import TEXT, Tombstones

INSERT_ROWS = 8_192
BODIES = "bodies"
COLUMNS = "columns"
EXPIRES = "expires"


def why_no_graphs(options: EngineOptions) -> str | None:
    """Why every search is exact here, or None where graphs are built."""
    if not options.use_graphs:
        return "use_graphs is off"
    return None if hnsw.available() else hnsw.available().reason


def folder_of(root: Path, collection: int, number: int) -> Path:
    """Where a sealed segment lives."""
    return root / str(collection) / str(number)


class PartWriter(Gathering):
    """Collects the vectors of one field, puts them into a private graph as soon as there are enough for one."""

    def __init__(self, field_id: int, field: VectorField, options: EngineOptions, cancel: Callable[[], bool]) -> None:
        super().__init__(field_id)
        self.insertions = 0
        self._field = field
        self._options = options
        self._cancel = cancel
        self._builder: hnsw.HnswBuilder | None = None
        self._inserted = 0
        self._total = 0
        self._graphs = why_no_graphs(options) is None

    def start_from(self, segment: Segment, path: Path, room: int) -> None:
        """Begin with the whole graph of a sealed segment: its links are kept, nothing is inserted again."""
        if not self._graphs:
            return  # nothing could be added to it
        part = segment.parts[self.key]
        field = self._field
        self._builder = hnsw.HnswBuilder.from_index(path, field.metric, field.dim, len(part), len(part) + room)
        self.selection.append((segment, np.arange(len(part), dtype=np.int64)))
        self._inserted, self._total = 1, len(part)

    def add(self, segment: Segment, ordinals: Int64) -> None:
        """Take vectors of a segment. Raises Cancelled."""
        self.selection.append((segment, ordinals))
        self._total += len(ordinals)
        vector_bytes = 4 * self._field.dim * self._total
        if not self._graphs or (self._builder is None and not self._options.wants_graph(self._total, vector_bytes)):
            return
        if self._builder is None:
            field = self._field
            self._builder = hnsw.HnswBuilder(field.metric, field.dim, field.m, field.ef_construction, self._total)
        while self._inserted < len(self.selection):
            source, chosen = self.selection[self._inserted]
            part = source.parts[self.key]
            for start in range(0, len(chosen), INSERT_ROWS):
                vectors = part.take(chosen[start : start + INSERT_ROWS])
                if not self._builder.add(vectors, self._options.index_threads, self._cancel):
                    raise Cancelled("the build was cancelled")
                self.insertions += len(vectors)
            self._inserted += 1

    def nbytes(self) -> int:
        """Bytes of vectors and graph gathered so far."""
        if self._builder is not None:
            return self._builder.nbytes()
        return 4 * self._field.dim * self._total

    def graph_bytes(self) -> int:
        """Bytes of the private graph, in memory beside the vectors it was made of; 0 where there is none."""
        return 0 if self._builder is None else self._builder.nbytes()

    def write(self, folder: Path) -> str:
        """Write the part's index into ``folder``; returns its kind."""
        if self._builder is not None:
            self._builder.save(folder / f"{self.key}.hnsw")
            return "hnsw"
        dim = self._field.dim
        vectors = np.empty((self._total, dim), dtype=np.float32)
        at = 0
        for segment, chosen in self.selection:
            vectors[at : at + len(chosen)] = segment.parts[self.key].take(chosen)
            at += len(chosen)
        flat.write(folder / f"{self.key}.flat", vectors)
        return "flat"

    def open(self, folder: Path) -> VectorIndex:
        """The index just written, searchable; a graph is the very one that was built."""
        if self._builder is not None:
            return self._builder.finish(folder / f"{self.key}.hnsw")
        field = self._field
        return flat.FlatIndex.load(folder / f"{self.key}.flat", field.metric, field.dim, self._total)

    @property
    def pause_s(self) -> float:
        """Seconds all threads stood still for the last save or load of the graph."""
        return 0.0 if self._builder is None else self._builder.pause_s


@dataclass(slots=True)
class SegmentWriter:
    """Gathers what will be one sealed segment; used by the builder's thread alone until it is swapped in."""

    number: int
    root: Path
    collection: int
    fields: Mapping[int, VectorField]
    options: EngineOptions
    cancel: Callable[[], bool]
    columns: bool
    read: ReadBodies
    by: Texts
    bodies: Selection = field(default_factory=list)
    parts: dict[int, PartWriter] = field(default_factory=dict)
    texts: dict[int, TextWriter] = field(default_factory=dict)
    rebuilt: Mapping[int, float] = field(default_factory=dict)
    graph_bytes: int = 0
    """Of the private graphs, as of the last segment that was taken. Any thread may read it."""

    def __post_init__(self) -> None:
        self.know(self.fields, self.by)

    def know(self, fields: Mapping[int, VectorField], texts: Texts) -> None:
        """Take what fields have that were added meanwhile, too, and index texts as they are declared now."""
        self.by = texts
        for key in texts.keys:
            if key not in self.texts:
                self.texts[key] = TextWriter(key)
        for field_id, about in fields.items():
            if field_id not in self.parts:
                self.parts[field_id] = PartWriter(field_id, about, self.options, self.cancel)

    def start_from(self, segment: Segment, room: int) -> None:
        """Take over the graphs of ``segment`` (one of those to be merged), leaving room for more vectors."""
        folder = folder_of(self.root, self.collection, segment.number)
        for field_id, part in segment.parts.items():
            if field_id in self.parts and part.index is not None and part.index.kind == "hnsw":
                self.parts[field_id].start_from(segment, folder / f"{field_id}.hnsw", room)

    def add(self, segment: Segment, seq: int) -> None:
        """Take what lives in ``segment`` at ``seq``. Raises Cancelled."""
        self.bodies.append((segment, _living(segment.alive(seq), len(segment))))
        for field_id, part in segment.parts.items():
            if field_id in self.texts:
                self.texts[field_id].selection.append((segment, _living(part.alive(seq), len(part))))
            writer = self.parts.get(field_id)
            if writer is None:
                continue  # of texts, or of a field that was dropped
            if any(source is segment for source, _ in writer.selection):
                continue  # its whole graph was taken over
            writer.add(segment, _living(part.alive(seq), len(part)))
        self.graph_bytes = sum(part.graph_bytes() for part in self.parts.values())

    def sources(self) -> list[Segment]:
        """The segments that go into this one, by ascending rows."""
        return sorted((segment for segment, _ in self.bodies), key=lambda s: s.first_row)

    def gatherings(self) -> list[Gathering]:
        """Those of all fields."""
        return [*self.parts.values(), *self.texts.values()]

    def nbytes(self) -> int:
        """Bytes of vectors and graphs gathered so far; or of postings, where these are more than four times as many.

        A large graph is worth some memory for postings, but not any.
        """
        vectors = sum(part.nbytes() for part in self.parts.values())
        return max(vectors, sum(texts.nbytes() for texts in self.texts.values()) // 4)

    def write(self, seq: int) -> Segment:
        """Write and publish the folder, then open it. Stamps are not set yet: see ``stamp``.

        ``seq``: of a view that is held meanwhile, so that no body it shows is deleted.
        """
        self.bodies.sort(key=lambda pair: pair[0].first_row)
        hit("seal.before_files")
        final = folder_of(self.root, self.collection, self.number)
        temp = files.temp_path(final)
        shutil.rmtree(temp, ignore_errors=True)
        files.make_dir(temp)
        rows, seqs, offsets, blob = self._write_bodies(temp)
        expires = self._expires()
        if expires is not None:
            expires.astype("<i8").tofile(temp / EXPIRES)
        if self.columns:
            self._write_columns(temp, PackedTexts(offsets, blob))
        hit("seal.between_files")
        same = {}
        for gathering in self.gatherings():
            slots = gathering.slots()
            same[gathering.key] = len(slots) == len(rows) and bool(np.array_equal(slots, rows))
            if not same[gathering.key] and (len(slots) or gathering.key < TEXT):
                slots.astype("<u8").tofile(temp / f"{stem(gathering.key)}.slots")
        for part in self.parts.values():
            part.write(temp)
        for texts in self.texts.values():
            texts.write(temp, self.by, seq, self._refuse_cancelled)
        hit("seal.before_rename")
        shutil.rmtree(final, ignore_errors=True)  # of an attempt that no manifest ever named
        listing = {p.name: (p.stat().st_size, files.checksum(p)) for p in sorted(temp.iterdir())}
        files.publish_folder(temp, final)
        hit("seal.after_rename")
        sources = self.sources()
        parts = {}
        for field_id, writer in self.parts.items():
            slots = rows if same[field_id] else writer.slots()
            parts[field_id] = _part(slots, same[field_id])
            parts[field_id].index = writer.open(final)
        for key, texts in self.texts.items():
            parts[key] = _part(rows if same[key] else texts.slots(), same[key])
            parts[key].text = texts.open(final, self.by)
        ids = PackedIds(offsets, blob)
        return Segment(
            number=self.number,
            state="sealed",
            rows=rows,
            seqs=seqs,
            ids=ids,
            died=np.full(len(rows), ALIVE, dtype=np.uint64),
            parts=parts,
            first_row=sources[0].first_row,
            end_row=sources[-1].end_row,
            disk_bytes=sum(size for size, _ in listing.values()),
            files=listing,
            columns=SealedColumns(final / COLUMNS, ids, seqs) if self.columns else None,
            expires=expires,
            rebuilt=self.rebuilt,
        )

    def stamp(self, segment: Segment) -> None:
        """Copy the stamps of the sources as they are now; call under the publish lock, then swap."""
        segment.died = np.concatenate([source.died[chosen] for source, chosen in self.bodies])
        segment.dead = int(np.count_nonzero(segment.died != ALIVE))
        segment.find_earliest()
        for gathering in self.gatherings():
            part = segment.parts[gathering.key]
            part.died, part.owners = gathering.stamps()
            part.dead = int(np.count_nonzero(part.died != ALIVE))

    def _write_columns(self, folder: Path, ids: PackedTexts) -> None:
        """From the columns of the sources; bodies are read only of a source that has none."""
        sources: list[tuple[Columns, Int64]] = []
        for segment, chosen in self.bodies:
            if segment.columns is not None:
                sources.append((segment.columns, chosen))
            else:
                made = read_columns(segment.rows[chosen].tolist(), self.read, self._refuse_cancelled)
                sources.append((made, np.arange(len(chosen))))
        merge.write(folder / COLUMNS, sources, ids)

    def _refuse_cancelled(self) -> None:
        if self.cancel():
            raise Cancelled("the build was cancelled")

    def _expires(self) -> Int64 | None:
        """When the bodies expire; None when none of them has an end."""
        pieces = [
            np.full(len(chosen), NEVER, dtype=np.int64) if segment.expires is None else segment.expires[chosen]
            for segment, chosen in self.bodies
        ]
        expires = np.concatenate(pieces)
        return expires if np.any(expires != NEVER) else None

    def _write_bodies(self, folder: Path) -> tuple[UInt64, UInt64, UInt64, np.ndarray[Any, np.dtype[np.uint8]]]:
        rows = np.concatenate([segment.rows[chosen] for segment, chosen in self.bodies]).astype("<u8")
        seqs = np.concatenate([segment.seqs[chosen] for segment, chosen in self.bodies]).astype("<u8")
        ids = [i.encode() for segment, chosen in self.bodies for i in segment.ids.take(chosen)]
        offsets = np.zeros(len(ids) + 1, dtype="<u8")
        np.cumsum([len(i) for i in ids], out=offsets[1:])
        with open(folder / BODIES, "wb") as file:
            for array in (rows, seqs, offsets):
                array.tofile(file)
            file.write(b"".join(ids))
        return _map_bodies(folder / BODIES, len(rows))


def describe(segment: Segment) -> dict[str, Any]:
    """The manifest's entry of a sealed segment."""
    rebuilt = {str(field_id): recall for field_id, recall in segment.rebuilt.items()}
    return ({"rebuilt": rebuilt} if rebuilt else {}) | {
        "number": segment.number,
        "first_row": segment.first_row,
        "end_row": segment.end_row,
        "rows": len(segment),
        "files": {name: [size, digest] for name, (size, digest) in segment.files.items()},
        "parts": {
            str(field_id): {
                "vectors": len(part),
                "kind": "none" if part.index is None else part.index.kind,
                "same_rows": part.same_rows,
            }
            for field_id, part in segment.parts.items()
            if field_id < TEXT
        },
        "texts": {
            str(key ^ TEXT): describe_texts(part, key, segment.files)
            for key, part in segment.parts.items()
            if key >= TEXT
        },
    }


def load(
    root: Path, collection: int, entry: dict[str, Any], fields: Mapping[int, VectorField], tombstones: Tombstones | None
) -> tuple[Segment, float]:
    """Verify and load a sealed segment; also the seconds all threads stood still.

    Raises files.Damaged, or DataLoss where a verified file does not fit what the manifest says of it. Postings that
    cannot be used are named in the log and are not known.
    """
    folder = folder_of(root, collection, entry["number"])
    hit("load.before_verify")
    listing = {name: (int(size), str(digest)) for name, (size, digest) in entry["files"].items()}
    for name, (_, digest) in listing.items():
        if not is_terms(name):
            files.verify(folder / name, digest)
    n = int(entry["rows"])
    rows, seqs, offsets, blob = _map_bodies(folder / BODIES, n)
    expires = np.fromfile(folder / EXPIRES, dtype="<i8") if EXPIRES in listing else None
    if expires is not None and len(expires) != n:
        raise files.Damaged(folder / EXPIRES, f"{len(expires)} moments for {n} bodies")
    parts: dict[int, Part] = {}
    pause_s = 0.0
    for key, about in entry["parts"].items():
        field_id = int(key)
        if field_id not in fields:
            continue
        field, m = fields[field_id], int(about["vectors"])
        slots = rows if about["same_rows"] else np.fromfile(folder / f"{key}.slots", dtype="<u8")
        index: VectorIndex
        if about["kind"] == "hnsw":
            if not hnsw.available():
                raise files.Damaged(folder / f"{key}.hnsw", hnsw.available().reason)
            graph = hnsw.HnswIndex.load(folder / f"{key}.hnsw", field.metric, field.dim, m)
            pause_s = max(pause_s, graph.pause_s)
            index = graph
        else:
            index = flat.FlatIndex.load(folder / f"{key}.flat", field.metric, field.dim, m)
        parts[field_id] = _part(slots, about["same_rows"])
        parts[field_id].index = index
    for number, about in entry.get("texts", {}).items():
        name = f"{stem(TEXT | int(number))}.slots"
        slots = np.fromfile(folder / name, dtype="<u8") if name in listing else rows[: int(about["texts"])]
        if len(slots) != int(about["texts"]):
            raise files.Damaged(folder / name, f"{len(slots)} slots for {about['texts']} texts")
        part = parts[TEXT | int(number)] = _part(slots, about["same_rows"])
        part.text = load_texts(folder, TEXT | int(number), about, listing)
    remove_unlisted(folder, listing)
    ids = PackedIds(offsets, blob)
    segment = Segment(
        number=int(entry["number"]),
        state="sealed",
        rows=rows,
        seqs=seqs,
        ids=ids,
        died=np.full(n, ALIVE, dtype=np.uint64),
        parts=parts,
        first_row=int(entry["first_row"]),
        end_row=int(entry["end_row"]),
        disk_bytes=sum(size for size, _ in listing.values()),
        files=listing,
        columns=SealedColumns(folder / COLUMNS, ids, seqs) if COLUMNS in listing else None,
        expires=expires,
        rebuilt={int(field_id): float(recall) for field_id, recall in entry.get("rebuilt", {}).items()},
    )
    if tombstones is not None:
        bury(segment, tombstones)
    segment.find_earliest()
    return segment, pause_s


def add_texts(segment: Segment, folder: Path, key: int, chosen: Mask) -> None:
    """Give a loaded segment the part of a text field that some of its rows have; its slots get a file."""
    slots = np.asarray(segment.rows[chosen])
    part = segment.parts[key] = _part(slots, bool(chosen.all()))
    part.text = TextIndex()
    part.died[segment.died[chosen] == 0] = 0
    part.dead = int(np.count_nonzero(part.died == 0))
    if len(slots) and not part.same_rows:
        path = folder / f"{stem(key)}.slots"
        raw = slots.astype("<u8").tobytes()
        segment.files[path.name] = (len(raw), files.write_file(path, [raw]))
        segment.disk_bytes += len(raw)


def bury(segment: Segment, tombstones: Tombstones) -> None:
    """Mark the dead of a loaded segment. They died before any view of this process: stamp 0."""
    segment.died[tombstones.dead] = 0
    segment.dead = int(np.count_nonzero(tombstones.dead))
    for field_id, about in tombstones.parts.items():
        part = segment.parts.get(field_id)
        if part is not None:
            part.died[about.dead] = 0
            part.dead = int(np.count_nonzero(about.dead))
            part.owners = about.owners


def _part(slots: UInt64, same_rows: bool) -> Part:
    """A part of these slots, all alive; the caller adds its vectors or its texts."""
    ascending = bool(np.all(slots[1:] > slots[:-1]))
    order = None if ascending else np.argsort(slots, kind="stable").astype(np.int64)
    died = np.full(len(slots), ALIVE, dtype=np.uint64)
    return Part(slots=slots, died=died, same_rows=same_rows, order=order)


def _living(alive: np.ndarray[Any, np.dtype[np.bool_]] | None, n: int) -> Int64:
    return np.arange(n, dtype=np.int64) if alive is None else np.flatnonzero(alive).astype(np.int64)


def _map_bodies(path: Path, n: int) -> tuple[UInt64, UInt64, UInt64, np.ndarray[Any, np.dtype[np.uint8]]]:
    """(rows, seqs, id offsets, id bytes) of a bodies file, read in place."""
    raw = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))  # a memmap is slow to index
    numbers = raw[: 8 * (3 * n + 1)].view("<u8")
    return numbers[:n], numbers[n : 2 * n], numbers[2 * n : 3 * n + 1], raw[8 * (3 * n + 1) :]
