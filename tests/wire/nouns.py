"""Hypothesis strategies for the nouns that cross the wire, and how to compare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, get_args

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from vecdb.model.collection import INDEXING, CollectionInfo, CollectionStats, DatabaseStats, SegmentStats
from vecdb.model.facet import Facet, FacetRequest, FacetValue
from vecdb.model.filter import And, Attribute, Comparator, Compare, Exists, HasVector, In, Not, Or, Prefix, Text
from vecdb.model.fusion import DistributionScore, RelativeScore, Rrf
from vecdb.model.highlight import Highlight, Snippet
from vecdb.model.keyword import Keyword
from vecdb.model.modifier import Boost, Decay, Mmr
from vecdb.model.order import OrderBy
from vecdb.model.point import (
    Clear,
    Condition,
    DeleteIds,
    DeleteWhere,
    PayloadMode,
    Points,
    Put,
    PutMode,
    Rows,
    Select,
    UpdateWhere,
    VectorColumn,
    WriteBatch,
)
from vecdb.model.query import (
    NO_VECTORS,
    Examples,
    GroupBy,
    GroupCounts,
    LegColumns,
    Near,
    SearchAnswer,
    SearchRequest,
)
from vecdb.model.recall import MeasuredRecall, Recall, RecallRequest, SegmentRecall
from vecdb.model.schema import METRICS, Schema, SparseField, TextField, VectorField
from vecdb.model.schema_change import (
    AddSparseField,
    AddTextField,
    AddVectorField,
    DropVectorField,
    RenameVectorField,
    SetDefaultVector,
    SetPayloadColumns,
    SetTextField,
    SetTtl,
)
from vecdb.model.snapshot import Pin, RestoredCollection, RestoreReport, SnapshotBase
from vecdb.model.sparse import Sparse, SparseColumn, SparseVectors
from vecdb.model.token import Kind, Token

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NAMES = st.sampled_from(["", "image", "标题"])
COUNTS = st.integers(0, 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def same(a: Any, b: Any) -> bool:
    """Equal, also where numpy arrays are inside, of the same types; a NaN of an array is equal to another."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        nans = a.dtype.kind == "f"
        return type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=nans)
    if is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, Sequence) and not isinstance(a, str | bytes):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def matrices(n: int, dim: int | None = None) -> st.SearchStrategy[np.ndarray]:
    """Float32 ``[n, dim]``."""
    dims = st.integers(1, 4) if dim is None else st.just(dim)
    return dims.flatmap(lambda d: npst.arrays(np.float32, (n, d), elements=st.floats(-9, 9, width=32)))


@st.composite
def vector_columns(draw: st.DrawFn, n: int) -> VectorColumn:
    """A column of ``n`` rows with at least one vector, for all of them or for some."""
    rows = sorted(draw(st.sets(st.integers(0, n - 1), min_size=1)))
    data = draw(matrices(len(rows)))
    return VectorColumn(data, None if len(rows) == n else np.array(rows, dtype=np.int64))


@st.composite
def sparse_vectors(draw: st.DrawFn, n: int) -> SparseVectors:
    """``n`` vectors of up to four entries."""
    counts = draw(npst.arrays(np.int64, n, elements=st.integers(0, 4)))
    entries = int(counts.sum())
    values = draw(npst.arrays(np.float32, entries, elements=st.floats(-9, 9, width=32)))
    return SparseVectors.of(counts, draw(npst.arrays(np.uint32, entries)), values)


@st.composite
def sparse_columns(draw: st.DrawFn, n: int, with_model: bool = True) -> SparseColumn:
    """A column of ``n`` rows with at least one sparse vector, for all of them or for some."""
    rows = sorted(draw(st.sets(st.integers(0, n - 1), min_size=1)))
    data = draw(sparse_vectors(len(rows)))
    model = draw(st.none() | TEXT) if with_model else None
    return SparseColumn(data, None if len(rows) == n else np.array(rows, dtype=np.int64), model)


def columns(n: int, values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """``n`` values, some but not all of them None."""
    return st.lists(values | st.none(), min_size=n, max_size=n).filter(lambda held: any(v is not None for v in held))


@st.composite
def rows(draw: st.DrawFn) -> Rows:
    n = draw(st.integers(0, 5))
    if n == 0:
        return Rows(ids=[])
    vectors = draw(st.dictionaries(NAMES, vector_columns(n)))
    return Rows(
        ids=draw(st.lists(TEXT, min_size=n, max_size=n)),
        vectors=vectors,
        texts=draw(st.dictionaries(NAMES, columns(n, TEXT))),
        payloads=draw(st.none() | columns(n, st.binary(max_size=9))),
        models={name: draw(TEXT) for name in vectors if draw(st.booleans())},
        sparse=draw(st.dictionaries(NAMES | st.none(), sparse_columns(n))),
    )


scalars = TEXT | st.integers(-(2**63), 2**64 - 1) | FLOATS | st.booleans() | st.none()
paths = st.lists(TEXT, min_size=1, max_size=3).map(tuple)
keys = paths | st.just(Attribute.ID)
arrays = st.lists(scalars | st.lists(scalars, max_size=2), max_size=3).map(tuple)
comparisons = (
    st.builds(Compare, paths, st.just(Comparator.EQ), scalars | arrays)
    | st.builds(Compare, paths, st.sampled_from(Comparator), TEXT | st.integers(-(2**63), 2**64 - 1) | FLOATS)
    | st.builds(Compare, st.just(Attribute.VERSION), st.sampled_from(Comparator), st.integers(0, 2**64 - 1))
)
conditions = (
    comparisons
    | st.builds(In, paths, st.lists(scalars, max_size=3).map(tuple))
    | st.builds(Exists, paths)
    | st.builds(Prefix, keys, TEXT)
    | st.builds(Text, TEXT, st.sampled_from(["word", "two words"]))
    | st.builds(HasVector, TEXT)
)
filters = st.recursive(
    conditions,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, max_size=3).map(tuple))
    ),
    max_leaves=4,
)
unset = st.lists(paths, max_size=2)
lifetimes = st.integers(-1, 10**12)
requirements = st.none() | st.builds(
    Condition, st.booleans(), st.booleans(), st.lists(st.integers(0, 2**64 - 1), max_size=3), st.none() | filters
)
modes = st.sampled_from(PayloadMode)
operations = (
    st.builds(Put, st.sampled_from(PutMode), rows(), modes, unset, st.lists(lifetimes, max_size=3), requirements)
    | st.builds(DeleteIds, st.lists(TEXT), requirements)
    | st.builds(DeleteWhere, filters)
    | st.builds(UpdateWhere, filters, st.none() | st.binary(min_size=1, max_size=9), modes, unset, lifetimes)
    | st.builds(Clear)
)
batches = st.builds(WriteBatch, st.lists(operations, max_size=4), st.sampled_from([None, "fsync", "os"]))
selects = st.builds(Select, st.booleans(), st.booleans(), st.booleans())


fusions = st.builds(Rrf, st.integers(1, 1000)) | st.just(RelativeScore()) | st.just(DistributionScore())
modifiers = st.builds(Decay, paths, FLOATS, st.none() | TEXT | FLOATS, FLOATS, FLOATS) | st.builds(Boost, paths, FLOATS)
mmrs = st.builds(Mmr, FLOATS, st.none() | st.integers(1, 1000), st.none() | NAMES)
highlights = st.builds(Highlight, st.integers(1, 1000), st.integers(1, 10))
spans = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=3)
snippets = st.builds(Snippet, NAMES, TEXT, st.integers(0, 2**32 - 1), spans)


@st.composite
def searches(draw: st.DrawFn) -> SearchRequest:
    q = draw(st.integers(1, 3))
    some = st.builds(Examples, st.lists(TEXT, max_size=2), st.lists(TEXT, max_size=2))
    by_example = st.builds(Near, st.just(NO_VECTORS), NAMES, examples=st.lists(some, min_size=q, max_size=q))
    words = st.builds(
        Keyword,
        st.lists(TEXT, min_size=q, max_size=q),
        st.none() | st.dictionaries(NAMES, FLOATS, min_size=1),
        st.booleans(),
        st.integers(0, 2),
        weight=st.floats(0.1, 9),
        depth=st.none() | st.integers(1, 10_000),
        filter=st.none() | filters,
    )
    by_weights = st.builds(
        Sparse,
        sparse_vectors(q),
        st.none() | NAMES,
        weight=st.floats(0.1, 9),
        depth=st.none() | st.integers(1, 10_000),
        filter=st.none() | filters,
        model=st.none() | TEXT,
    )
    legs = (
        words
        | by_weights
        | by_example
        | st.builds(
            Near,
            matrices(q),
            NAMES,
            weight=st.floats(0.1, 9),
            depth=st.none() | st.integers(1, 10_000),
            filter=st.none() | filters,
            model=st.none() | TEXT,
        )
    )
    return SearchRequest(
        legs=draw(st.lists(legs, min_size=1, max_size=3)),
        fusion=draw(fusions),
        filter=draw(st.none() | filters),
        limit=draw(st.integers(1, 10_000)),
        offset=draw(st.integers(0, 10_000)),
        ef=draw(st.none() | st.integers(1, 10_000)),
        exact=draw(st.booleans()),
        min_score=draw(st.none() | FLOATS),
        select=draw(selects),
        explain=draw(st.booleans()),
        group_by=draw(st.none() | st.builds(GroupBy, keys, st.integers(1, 100))),
        highlight=draw(st.none() | highlights),
        modifiers=draw(st.lists(modifiers, max_size=2)),
        mmr=draw(st.none() | mmrs),
        target_recall=draw(st.none() | st.floats(0.01, 1)),
    )


@st.composite
def recall_requests(draw: st.DrawFn) -> RecallRequest:
    """What to measure recall by."""
    return RecallRequest(
        using=draw(st.none() | NAMES),
        k=draw(st.integers(1, 100)),
        ef=draw(st.none() | st.integers(1, 10_000)),
        target_recall=draw(st.none() | st.floats(0.01, 1)),
        filter=draw(st.none() | filters),
        vectors=draw(st.none() | matrices(3)),
        count=draw(st.integers(0, 100_000)),
        skip=draw(st.integers(0, 100_000)),
        seed=draw(st.integers(0, 2**63 - 1)),
    )


segment_recalls = st.builds(SegmentRecall, COUNTS, COUNTS, COUNTS, st.none() | st.integers(1, 10_000))
measured_recalls = st.builds(
    MeasuredRecall,
    st.just(10),
    st.integers(0, 1_000),
    st.integers(0, 1_000),
    st.lists(segment_recalls, max_size=3).map(tuple),
    FLOATS,
)
recalls = st.builds(
    Recall,
    st.integers(1, 100),
    st.integers(0, 1_000),
    st.integers(0, 1_000),
    COUNTS,
    st.integers(0, 2**50),
    st.dictionaries(st.integers(1, 10_000), st.floats(0, 1), max_size=4),
)


orders = st.builds(OrderBy, keys, st.booleans())
facet_requests = st.builds(FacetRequest, paths, st.integers(1, 10_000))
bounds = st.none() | TEXT | st.integers(-(2**63), 2**64 - 1) | FLOATS
facet_values = st.lists(st.builds(FacetValue, scalars, COUNTS), max_size=4)
facets = st.builds(Facet, facet_values, COUNTS, COUNTS, COUNTS, bounds, bounds)


@st.composite
def groups(draw: st.DrawFn, hits: int) -> GroupCounts:
    """Groups that hold so many hits together."""
    cuts = sorted(draw(st.lists(st.integers(0, hits), max_size=3)))
    sizes = [end - start for start, end in zip([0, *cuts], [*cuts, hits], strict=True)]
    return GroupCounts(draw(st.lists(scalars, min_size=len(sizes), max_size=len(sizes))), sizes)


@st.composite
def points(draw: st.DrawFn, select: Select, n: int | None = None) -> Points:
    n = draw(st.integers(0, 5)) if n is None else n
    held = n > 0
    return Points(
        ids=draw(st.lists(TEXT, min_size=n, max_size=n)),
        versions=draw(npst.arrays(np.uint64, n)),
        payloads=draw(st.lists(st.none() | st.binary(), min_size=n, max_size=n)) if select.payload else None,
        texts=draw(st.dictionaries(NAMES, columns(n, TEXT)) if held else st.just({})) if select.texts else None,
        vectors=draw(st.dictionaries(NAMES, vector_columns(n)) if held else st.just({})) if select.vectors else None,
        sparse=draw(st.dictionaries(NAMES, sparse_columns(n, False)) if held else st.just({}))
        if select.vectors
        else None,
    )


@st.composite
def leg_columns(draw: st.DrawFn, n: int) -> LegColumns:
    """What a leg says of ``n`` hits."""
    ranks = draw(npst.arrays(np.uint32, n))
    scores = draw(npst.arrays(np.float32, n, elements=st.floats(-9, 9, width=32)))
    return LegColumns(ranks, np.where(ranks > 0, scores, np.float32(np.nan)))


@st.composite
def answers(draw: st.DrawFn, select: Select) -> SearchAnswer:
    counts = draw(npst.arrays(np.int64, st.integers(1, 3), elements=st.integers(0, 3)))
    n = int(counts.sum())
    scores = npst.arrays(np.float32, n, elements=st.floats(-9, 9, width=32))
    return SearchAnswer(
        counts=counts,
        scores=draw(scores),
        distances=draw(st.none() | scores),
        points=draw(points(select, n)),
        seq=draw(COUNTS),
        took_ms=draw(FLOATS),
        explain=draw(st.none() | st.dictionaries(TEXT, COUNTS | TEXT, min_size=1)),
        warnings=draw(st.lists(TEXT)),
        groups=[draw(groups(count)) for count in counts.tolist()] if draw(st.booleans()) else None,
        legs=draw(st.none() | st.lists(leg_columns(n), min_size=1, max_size=3)),
        snippets=draw(st.none() | st.lists(st.lists(snippets, max_size=2), min_size=n, max_size=n)),
    )


tokens = st.lists(
    st.builds(
        Token,
        TEXT,
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.sampled_from(get_args(Kind)),
    ),
    max_size=4,
)


vector_fields = st.builds(
    VectorField,
    st.integers(1, 65_536),
    st.sampled_from(METRICS),
    st.integers(2, 128),
    st.integers(4, 10_000),
    st.none() | TEXT,
)
options = st.dictionaries(TEXT, st.booleans() | TEXT | st.lists(TEXT, max_size=2), max_size=2)
text_fields = st.builds(TextField, TEXT.filter(bool), options, FLOATS, FLOATS, st.booleans())
sparse_fields = st.builds(SparseField, st.none() | TEXT)
schemas = st.builds(
    Schema,
    st.dictionaries(NAMES, vector_fields),
    st.dictionaries(NAMES, text_fields),
    sparse=st.dictionaries(NAMES, sparse_fields),
)
changes = (
    st.builds(AddVectorField, NAMES, vector_fields)
    | st.builds(DropVectorField, NAMES)
    | st.builds(RenameVectorField, NAMES, NAMES)
    | st.builds(SetDefaultVector, NAMES)
    | st.builds(AddTextField, NAMES, text_fields)
    | st.builds(SetTextField, NAMES, text_fields)
    | st.builds(AddSparseField, NAMES, sparse_fields)
    | st.builds(SetTtl, COUNTS)
    | st.builds(SetPayloadColumns, st.booleans())
)
collections = st.builds(
    CollectionInfo, TEXT, schemas, st.sampled_from(INDEXING), COUNTS, COUNTS, st.lists(TEXT, max_size=3).map(tuple)
)
kinds = st.dictionaries(NAMES, TEXT)
by_field = st.dictionaries(NAMES, recalls, max_size=2)
segments = st.builds(SegmentStats, COUNTS, TEXT, kinds, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, kinds, by_field)
collection_stats = st.builds(
    CollectionStats,
    TEXT,
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    st.sampled_from(INDEXING),
    TEXT,
    COUNTS,
    st.dictionaries(TEXT, COUNTS),
    st.lists(segments, max_size=2),
    FLOATS,
    FLOATS,
    COUNTS,
    COUNTS,
    by_field,
)
pins = st.builds(Pin, COUNTS, TEXT, COUNTS, COUNTS)
database_stats = st.builds(
    DatabaseStats,
    COUNTS,
    COUNTS,
    COUNTS,
    st.none() | TEXT,
    st.dictionaries(TEXT, COUNTS),
    state=st.sampled_from(["serving", "disk_full", "read_only", "unavailable"]),
    state_since_ms=COUNTS,
    reopen_attempts=st.integers(0, 2**32 - 1),
    pins=st.lists(pins, max_size=2).map(tuple),
)
snapshot_bases = st.builds(SnapshotBase, TEXT, COUNTS, st.dictionaries(COUNTS, COUNTS))
restored_collections = st.builds(
    RestoredCollection,
    TEXT,
    TEXT,
    COUNTS,
    st.dictionaries(NAMES, COUNTS),
    TEXT,
    st.dictionaries(NAMES, st.floats(0, 1)),
)
restore_reports = st.builds(RestoreReport, st.lists(restored_collections, max_size=2).map(tuple), st.booleans())
