"""Collection: everything one does with points."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from vecdb.client import build, calls, changes, feed, steps
from vecdb.client.calls import Call, Steps
from vecdb.client.examples import Ids
from vecdb.client.feed import Changes, Feed
from vecdb.client.filters import Where
from vecdb.client.guess import GUESS, ByField, Column, PayloadColumns
from vecdb.client.keyword import Fields, Keyword, Query
from vecdb.client.modifiers import Boost, Decay
from vecdb.client.near import Near, Vector
from vecdb.client.operations import (
    Delete,
    Id,
    Insert,
    Model,
    Operation,
    PayloadMode,
    Put,
    Ttl,
    Update,
    Upsert,
    Version,
)
from vecdb.client.progress import Progress, reporting
from vecdb.client.reranking import Rerank, Scorer, SecondStage
from vecdb.client.run import Budget, run
from vecdb.client.sparse import Sparse
from vecdb.client.transport import Transport
from vecdb.model.collection import CollectionInfo, CollectionStats, Indexing
from vecdb.model.facet import Facet
from vecdb.model.fusion import Fusion
from vecdb.model.highlight import Highlight
from vecdb.model.hit import Page, Point, SearchResult
from vecdb.model.modifier import Mmr
from vecdb.model.order import OrderBy
from vecdb.model.point import Select, WriteResult
from vecdb.model.recall import MeasuredRecall
from vecdb.model.schema import SparseField, TextField, VectorField
from vecdb.model.token import Token

if TYPE_CHECKING:
    from vecdb.client.load.options import LoadMore
    from vecdb.client.load.report import ExportReport, LoadReport

T = TypeVar("T")

Payloads = Iterable[Mapping[str, Any] | None]


class Collection:
    """A collection of points; made by ``Client.collection`` or ``Client.create_collection``.

    Every method takes ``timeout``, the seconds it may take in all, however many messages that are (None: the
    client's timeout, for each message), and raises CollectionNotFound when there is no such collection.
    Thread rule: may be used from any number of threads.
    """

    def __init__(self, transport: Transport, name: str, timeout: float | None) -> None:
        self._transport = transport
        self._name = name
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"Collection({self._name!r})"

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    def describe(self, *, timeout: float | None = None) -> CollectionInfo:
        """Schema, indexing mode, creation time and number of points."""
        return self._run(calls.Describe(self._name), timeout)

    # -- writing --

    def upsert(
        self,
        ids: Iterable[Id],
        vectors: Any = None,
        texts: Any = None,
        payloads: Payloads | None = None,
        *,
        sparse: Any = None,
        model: Model | None = None,
        ttl: Ttl = None,
        if_absent: bool = False,
        if_exists: bool = False,
        if_version: Version = None,
        if_filter: Where | None = None,
        durability: str | None = None,
        request_id: bytes | None = None,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> WriteResult:
        """Write whole points: what is not given is gone. Of equal ids the last wins.

        ``ids``: str, int or uuid.UUID, ``[n]``. ``vectors``: ``[n, dim]`` numbers, or a list with None where
        there is no vector, or a dict of those by field. ``texts``: n of str or None, or a dict by field.
        ``payloads``: n of dict or None. ``sparse``: n sparse vectors, each a dict of weights by dimension, a pair of
        dimensions and weights, a SparseVector or None, or a sparse matrix of scipy; or a dict of those by field (where
        none is named: the only one there is). ``model`` states the embedding model, and must agree with the field's.
        ``durability``: "fsync" (power loss), "os" (a killed process), None for the server's. ``request_id``: 1..64
        bytes that make it safe to send the same write again; made anew when not given. ``progress``: True for a bar, or
        what is called with the numbers of points written and of all after each batch.

        ``ttl``: seconds (or a timedelta) from now on the server's clock after which the points are gone, math.inf for
        never, None for the collection's own; one for all, or n of them. Conditions: ``if_absent``, none of the points
        exists; ``if_exists``, all do; ``if_version``, the version (Hit.version) they have, one or n, 0 for a point that
        does not exist; ``if_filter``, all exist and match. Where one does not hold nothing of the batch is written, and
        ConditionFailed names the point and has its ``version``.

        What fits one message (64 MiB) is one atomic batch. More goes as several batches in order, and a
        failure raises PartialWrite. Raises InvalidArgument and its kin, naming the row, before anything is sent.
        """
        given = Upsert(
            ids,
            vectors,
            texts,
            payloads,
            model,
            ttl=ttl,
            sparse=sparse,
            if_absent=if_absent,
            if_exists=if_exists,
            if_version=if_version,
            if_filter=if_filter,
        )
        return self._put(given, durability, request_id, progress, timeout)

    def insert(
        self,
        ids: Iterable[Id],
        vectors: Any = None,
        texts: Any = None,
        payloads: Payloads | None = None,
        *,
        sparse: Any = None,
        model: Model | None = None,
        ttl: Ttl = None,
        durability: str | None = None,
        request_id: bytes | None = None,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> WriteResult:
        """Write new points; see ``upsert``. Raises PointExists for an id that exists, InvalidArgument for equal ids."""
        given = Insert(ids, vectors, texts, payloads, model, ttl=ttl, sparse=sparse)
        return self._put(given, durability, request_id, progress, timeout)

    def update(
        self,
        ids: Iterable[Id] | None = None,
        vectors: Any = None,
        texts: Any = None,
        payloads: Payloads | Mapping[str, Any] | None = None,
        *,
        filter: Where | None = None,
        payload_mode: PayloadMode = "merge",
        unset: Iterable[str] | None = None,
        sparse: Any = None,
        model: Model | None = None,
        ttl: Ttl = None,
        if_exists: bool = False,
        if_version: Version = None,
        if_filter: Where | None = None,
        durability: str | None = None,
        request_id: bytes | None = None,
        progress: Progress = False,
        timeout: float | None = None,
    ) -> WriteResult:
        """Change only what is given; see ``upsert``. Ids that do not exist are skipped and not counted.

        ``filter`` instead of ``ids``: every point that matches, in one atomic batch; ``payloads`` is then one dict.
        ``payload_mode``: "merge", the top-level keys given take the place of those there and others stay, or
        "replace". ``unset``: names of values taken out of the payload first; ``"a.b"`` is b inside a. ``ttl`` None
        leaves the time to live as it is.
        """
        given = Update(
            ids,
            vectors,
            texts,
            payloads,
            model,
            ttl=ttl,
            sparse=sparse,
            filter=filter,
            payload_mode=payload_mode,
            unset=unset,
            if_exists=if_exists,
            if_version=if_version,
            if_filter=if_filter,
        )
        return self._put(given, durability, request_id, progress, timeout)

    def delete(
        self,
        ids: Iterable[Id] | None = None,
        *,
        filter: Where | None = None,
        if_exists: bool = False,
        if_version: Version = None,
        if_filter: Where | None = None,
        durability: str | None = None,
        request_id: bytes | None = None,
        timeout: float | None = None,
    ) -> WriteResult:
        """Delete points by id, those that do not exist are not counted; or all that match ``filter``, in one batch.

        Raises InvalidArgument with neither or both; conditions as for ``upsert``, with ids.
        """
        given = Delete(ids, filter=filter, if_exists=if_exists, if_version=if_version, if_filter=if_filter)
        return self._run(steps.delete(self._name, given, durability, request_id), timeout)

    def clear(
        self, *, durability: str | None = None, request_id: bytes | None = None, timeout: float | None = None
    ) -> WriteResult:
        """Delete every point."""
        return self._run(steps.clear(self._name, durability, request_id), timeout)

    def write(
        self,
        operations: Iterable[Operation],
        *,
        durability: str | None = None,
        request_id: bytes | None = None,
        timeout: float | None = None,
    ) -> WriteResult:
        """Apply operations in order as one atomic batch. Raises TooLarge when they do not fit one message."""
        return self._run(steps.write(self._name, operations, durability, request_id), timeout)

    # -- searching --

    def search(
        self,
        vector: Vector | None = None,
        *,
        text: str | Query | None = None,
        fields: Fields | None = None,
        sparse: Any = None,
        id: Ids | None = None,
        unlike: Ids | None = None,
        legs: Sequence[Near | Keyword | Sparse] | None = None,
        filter: Where | None = None,
        limit: int = 10,
        offset: int = 0,
        using: str | None = None,
        model: str | None = None,
        ef: int | None = None,
        target_recall: float | None = None,
        exact: bool = False,
        min_score: float | None = None,
        fusion: Fusion | None = None,
        with_payload: bool = True,
        with_text: bool = True,
        with_vectors: bool = False,
        explain: bool = False,
        group_by: str | Sequence[str] | None = None,
        group_size: int = 3,
        highlight: bool | Highlight = False,
        modifiers: Decay | Boost | Sequence[Decay | Boost] | None = None,
        mmr: float | Mmr | None = None,
        rerank: Scorer | Rerank | None = None,
        timeout: float | None = None,
    ) -> SearchResult:
        """The points nearest to ``vector`` (``[dim]``), or with words of ``text``: exactly min(limit, matches) hits.

        Both together are a hybrid search of two legs, fused by ``fusion`` (Rrf(), RelativeScore() or
        DistributionScore(); Rrf() unless given), and so is ``sparse``, a sparse vector as in ``upsert``, for the points
        that have a dimension in common with it; ``legs`` are any of Near, Keyword and Sparse instead. Each hit of
        several legs has its rank and score in each of them, in ``Hit.legs``. ``text``: plain words, in which no
        character is an operator, or a Query. ``fields``: the text fields searched (None: all), as a name, a list, or a
        dict of how much each counts.

        ``filter``: only points that match, a dict such as ``{"year": {"$gte": 2020}}`` or what ``vecdb.F`` makes; the
        language is in docs/filters.md. ``using``: the vector field (None: the collection's default).
        ``offset + limit`` is at most 10,000. ``ef`` (1..10,000): how widely the graph is searched, None for the
        default; or ``target_recall`` (above 0, up to 1): the share of the true neighbours to find, as widely as was
        measured to be enough for that; ``exact`` scans instead. ``min_score``: no hits below it.

        ``id`` instead of a vector: the nearest to a point, or to the mean of several, and far from those of ``unlike``;
        these are no hits. ``group_by``: gather hits by the value at a key (a path as in ``F``), the best ``group_size``
        (1..100) of each group; ``limit`` is then the number of groups, and the result has them as ``groups``. Both are
        told in docs/searching.md.

        ``highlight``: True, or a Highlight, for where the words stand, in ``Hit.snippets``. ``modifiers``: Decay and
        Boost, which change the scores of what the legs found, in order. ``mmr`` (0..1, or Mmr): hits that differ; 1 is
        as relevant as can be. ``rerank``: what is called with the query and the first 50 hits (Rerank: more or fewer)
        and returns a score for each; if it fails the hits come as found, and ``warnings`` says so.

        Raises DimensionMismatch, InvalidVector, FieldNotFound, PointNotFound, ModelMismatch and InvalidArgument.
        """
        second = SecondStage(rerank, limit, offset, group_by, awaits=False)
        budget = Budget(timeout, self._timeout)
        found = steps.search(
            self._name,
            vector,
            legs,
            text=text,
            fields=fields,
            sparse=sparse,
            id=id,
            unlike=unlike,
            using=using,
            model=model,
            filter=filter,
            limit=second.limit,
            offset=second.offset,
            ef=ef,
            target_recall=target_recall,
            exact=exact,
            min_score=min_score,
            fusion=fusion,
            select=Select(with_payload, with_text, with_vectors),
            explain=explain,
            group_by=group_by,
            group_size=group_size,
            highlight=highlight,
            modifiers=modifiers,
            mmr=mmr,
        )
        return second.run(run(found, self._transport.send, budget), budget)[0]

    def search_batch(
        self,
        vectors: Any = None,
        texts: Iterable[str | Query] | None = None,
        *,
        fields: Fields | None = None,
        sparse: Any = None,
        ids: Iterable[Ids] | None = None,
        filter: Where | None = None,
        filters: Sequence[Where | None] | None = None,
        limit: int = 10,
        offset: int = 0,
        using: str | None = None,
        model: str | None = None,
        ef: int | None = None,
        target_recall: float | None = None,
        exact: bool = False,
        min_score: float | None = None,
        fusion: Fusion | None = None,
        with_payload: bool = True,
        with_text: bool = True,
        with_vectors: bool = False,
        explain: bool = False,
        group_by: str | Sequence[str] | None = None,
        group_size: int = 3,
        highlight: bool | Highlight = False,
        modifiers: Decay | Boost | Sequence[Decay | Boost] | None = None,
        mmr: float | Mmr | None = None,
        rerank: Scorer | Rerank | None = None,
        timeout: float | None = None,
    ) -> list[SearchResult]:
        """One result for each row of ``vectors`` (``[q, dim]``), each of ``ids`` (an id or several), or of ``texts``.

        ``sparse``: n sparse vectors. Texts, or these, beside vectors or ids, as many: hybrid searches. They are all
        plain words, or all Query with the same fields and edits. See ``search``. ``filter`` narrows all queries,
        ``filters`` (one for each, or None) each of them alone. As many queries travel in one call as fit a message and
        its answer.
        """
        second = SecondStage(rerank, limit, offset, group_by, awaits=False)
        budget = Budget(timeout, self._timeout)
        found = steps.search_batch(
            self._name,
            vectors,
            texts=texts,
            fields=fields,
            sparse=sparse,
            ids=ids,
            using=using,
            model=model,
            filter=filter,
            filters=filters,
            limit=second.limit,
            offset=second.offset,
            ef=ef,
            target_recall=target_recall,
            exact=exact,
            min_score=min_score,
            fusion=fusion,
            select=Select(with_payload, with_text, with_vectors),
            explain=explain,
            group_by=group_by,
            group_size=group_size,
            highlight=highlight,
            modifiers=modifiers,
            mmr=mmr,
        )
        return second.run(run(found, self._transport.send, budget), budget)

    # -- reading --

    def get(
        self,
        ids: Iterable[Id],
        *,
        with_payload: bool = True,
        with_text: bool = True,
        with_vectors: bool = False,
        timeout: float | None = None,
    ) -> list[Point]:
        """Points by id, in the order asked; those that do not exist are left out."""
        select = Select(with_payload, with_text, with_vectors)
        return self._run(steps.get(self._name, ids, select), timeout)

    def exists(
        self, ids: Iterable[Id], *, filter: Where | None = None, timeout: float | None = None
    ) -> NDArray[np.bool_]:
        """Which of ``ids`` exist, and match ``filter``: bool ``[n]``."""
        return self._run(steps.exists(self._name, ids, filter), timeout)

    def count(self, *, filter: Where | None = None, timeout: float | None = None) -> int:
        """How many points there are, or match ``filter``."""
        return self._run(steps.count(self._name, filter), timeout)

    def page(
        self,
        cursor: str | None = None,
        limit: int = 100,
        *,
        filter: Where | None = None,
        order_by: str | OrderBy | None = None,
        with_payload: bool = True,
        with_text: bool = True,
        with_vectors: bool = False,
        timeout: float | None = None,
    ) -> Page:
        """The next ``limit`` (1..10,000) points in the order of their ids, and the cursor of the page after them.

        ``filter``: only points that match; a cursor is used with the filter it came from.
        ``order_by``: "key" for the order of a value instead, "-key" for the greatest first, or an OrderBy; see there.
        ``cursor``: that of the page before, None for the first page. It is a short text that stays good across
        restarts, writes and deletes. Raises InvalidArgument for a cursor that no page in this order gave.
        """
        select = Select(with_payload, with_text, with_vectors)
        return self._run(steps.page(self._name, cursor, limit, select, order_by, filter), timeout)

    def scroll(
        self,
        *,
        filter: Where | None = None,
        order_by: str | OrderBy | None = None,
        batch: int = 1000,
        with_payload: bool = True,
        with_text: bool = True,
        with_vectors: bool = False,
        timeout: float | None = None,
    ) -> Iterator[Point]:
        """All points in the order of their ids, or ``order_by`` (see ``page``); fetched by ``batch`` (1..10,000).

        A point that is there from beginning to end, and keeps the value ordered by, comes exactly once, whatever is
        written meanwhile. ``timeout`` is for each fetch.
        """
        walk = steps.Walk(self._name, Select(with_payload, with_text, with_vectors), order_by, filter)
        return self._scroll(walk, steps.points_at_once(batch, "batch"), timeout)

    def _scroll(self, walk: steps.Walk, batch: int, timeout: float | None) -> Iterator[Point]:
        while not walk.ended:
            yield from self._run(walk.more(batch), timeout)

    def facet(
        self,
        key: str | Sequence[str],
        *,
        filter: Where | None = None,
        limit: int = 100,
        timeout: float | None = None,
    ) -> Facet:
        """How many of the points that match have which value at ``key`` (a path as in ``F``), exactly.

        ``limit`` (1..10,000): the values of most points, with their types; 1, 1.0, "1" and true are four. A point with
        an array counts for each different element once.
        """
        return self._run(steps.facet(self._name, key, filter, limit), timeout)

    def changes(
        self, after: str = "now", *, follow: bool = False, limit: int | None = None, timeout: float | None = None
    ) -> Changes:
        """What write batches did to the points after a place, in order: a Change for each, or for parts of a large one.

        ``after``: the ``token`` of a Change, of ``change_token`` or of a snapshot; "now": what is written from the
        first iteration on; "oldest": all that is still kept. ``follow``: wait for what comes, until nothing came for
        ``timeout`` seconds (None: for ever); else end with the newest write, and ``timeout`` is for each fetch.
        ``limit``: end after so many batches. The iterator's ``token`` is where it stands.

        A change goes into another collection by ``other.write(change.operations())``; see docs/changes.md. Raises
        ChangesGone when the changes after the token are no longer kept, InvalidArgument for a token of another
        database or collection.
        """
        walk = Feed(self._name, after, follow, limit, timeout)
        return Changes(walk, lambda: run(walk.more(), self._transport.send, walk.budget(self._timeout)))

    def change_token(self, *, timeout: float | None = None) -> str:
        """The token after the newest write: where ``changes`` goes on from the state that is read after this."""
        return self._run(feed.token(self._name), timeout)

    @overload
    def analyze(  # type: ignore[overload-overlap]
        self, text: str, *, field: str = "", timeout: float | None = None
    ) -> list[Token]: ...

    @overload
    def analyze(self, text: Iterable[str], *, field: str = "", timeout: float | None = None) -> list[list[Token]]: ...

    def analyze(
        self, text: str | Iterable[str], *, field: str = "", timeout: float | None = None
    ) -> list[Token] | list[list[Token]]:
        """The terms that a text, or each of several, of text field ``field`` is found by, and where they stand.

        Places are in characters. A query is asked for the same terms, less those that only a document needs
        (docs/analyzers.md). Raises FieldNotFound.
        """
        if isinstance(text, str):
            return self._run(steps.analyze(self._name, [text], field), timeout)[0]
        return self._run(steps.analyze(self._name, text, field), timeout)

    # -- whole files --

    def load(
        self,
        source: Any,
        *,
        id: Column = GUESS,
        vector: ByField = GUESS,
        text: ByField = GUESS,
        payload: PayloadColumns = GUESS,
        **more: Unpack[LoadMore],
    ) -> LoadReport:
        """Load points from files and tables, in bounded memory; the collection has to exist.

        ``source``: a path (parquet, jsonl, csv, npy, npz, fvecs, bvecs, ivecs, hdf5), "-" for standard input, an
        Arrow table, reader or data set, a DataFrame, or an iterable of dicts or of points. ``id``, ``vector``,
        ``text``: names of columns; those not given are guessed, None is for none (ids are then row numbers, from
        "0"). ``vector`` and ``text`` may be dicts of column by field. ``payload``: a list of columns, a dict of
        column by key, or the name of the one that holds the whole object; not given: every other column.

        Points are upserted, batch by batch. A load of a file that was killed and is started again goes on where it
        was. The further parameters: ``format`` of a file (None: by extension); ``json_columns``, payload columns
        whose text is parsed as JSON; ``on_error``: "raise" stops at the first batch with a row that cannot be a
        point, "skip" writes such rows to the file ``rejects`` (None: beside the source); ``checkpoint``: the file by
        which a load is resumed (None: beside the source, False: none), ``restart`` ignores it; ``batch``: the most
        rows of a write (None: 10,000; a batch also ends at about 8 MiB); ``progress``: True for a bar, or what is
        called with the numbers of rows done and of all; ``dry_run``: read and check the first batch, write nothing;
        ``timeout``: seconds for each batch; ``model``, ``durability``: as for ``upsert``.

        Raises what ``upsert`` raises while nothing is written, PartialWrite afterwards, FailedPrecondition when the
        checkpoint is of another source, collection or mapping, or when a library is missing.
        """
        from vecdb.client.load import load

        return load(self, source, id=id, vector=vector, text=text, payload=payload, **more)

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        filter: Where | None = None,
        format: str | None = None,
        with_vectors: bool = True,
        with_text: bool = True,
        with_payload: bool = True,
        overwrite: bool = False,
        timeout: float | None = None,
        progress: bool | Callable[[int, int | None], object] = False,
    ) -> ExportReport:
        """Write points to ``path``, all or those that match ``filter``, by id; "-" is standard output (jsonl).

        ``format``: parquet, jsonl or npy, None by extension (``.jsonl.gz`` is compressed). ``load`` reads each of them
        back: ids, texts and payloads equal, vectors bit for bit. npy is an array for each vector field, and beside it
        NAME.rows.jsonl with everything else. A point that is there from beginning to end is written once; what is
        written meanwhile may or may not be in it. Files get their names when they are complete.

        ``timeout``: seconds for each fetch. Raises AlreadyExists for a file that is there, unless ``overwrite``.
        """
        from vecdb.client.load import export

        return export(
            self,
            path,
            filter=filter,
            format=format,
            with_vectors=with_vectors,
            with_text=with_text,
            with_payload=with_payload,
            overwrite=overwrite,
            timeout=timeout,
            progress=progress,
        )

    # -- looking after it --

    def stats(self, *, timeout: float | None = None) -> CollectionStats:
        """Counts, bytes by purpose and the progress of indexing."""
        return self._run(calls.Stats(self._name), timeout)

    def measure_recall(
        self,
        k: int = 10,
        queries: Any = None,
        *,
        sample: int = 100,
        ef: int | None = None,
        target_recall: float | None = None,
        using: str | None = None,
        filter: Where | None = None,
        timeout: float | None = None,
    ) -> MeasuredRecall:
        """Which share of the true ``k`` (1..100) nearest neighbours searches find, against exact ones.

        ``queries`` (``[q, dim]``) are what is searched for; None: ``sample`` of what was asked lately, or stored
        vectors where that is too little (they are not counted as their own neighbours). ``ef``, ``target_recall``,
        ``using`` and ``filter`` are those of the searches. What idle time was used to measure is in ``stats()``.
        """
        measuring = steps.measure_recall(
            self._name, k, queries, sample=sample, ef=ef, target_recall=target_recall, using=using, filter=filter
        )
        return self._run_unbounded(measuring, timeout)

    def compact(self, *, timeout: float | None = None) -> int:
        """Give back the space of deleted points; the bytes freed. ``timeout`` None: as long as it takes."""
        return self._run_unbounded(calls.Compact(self._name), timeout)

    def wait_indexed(self, *, timeout: float | None = None) -> None:
        """Wait until every vector that should be in a graph is. ``timeout`` None: as long as it takes."""
        self._run_unbounded(steps.wait_indexed(self._name), timeout)

    def set_indexing(self, mode: Indexing, *, timeout: float | None = None) -> None:
        """ "deferred": build no graphs for now (bulk loading); "auto": build them as points come."""
        self._run(calls.SetIndexing(self._name, build.indexing(mode)), timeout)

    # -- changing it while it serves --

    def add_vector_field(self, name: str, field: VectorField, *, timeout: float | None = None) -> CollectionInfo:
        """Add a vector field while the collection serves; no point has a vector in it yet.

        ``update(ids, vectors={name: ...})`` fills it, point by point, and ``count(filter=F.has_vector(name))`` tells
        how far that is. What is meant where no field is named stays what it was. Raises AlreadyExists if the name is
        taken, InvalidArgument for a bad name or field and for the 65th field.
        """
        return self._run(calls.ChangeSchema(self._name, changes.add_vector(name, field)), timeout)

    def drop_vector_field(self, name: str, *, timeout: float | None = None) -> CollectionInfo:
        """Drop a vector field and its vectors, for good; the points stay.

        From then on nobody finds or writes it; its space is given back in the background. Raises FieldNotFound, and
        FailedPrecondition for the default field: let another be the default first.
        """
        return self._run(calls.ChangeSchema(self._name, changes.drop_vector(name)), timeout)

    def rename_vector_field(self, name: str, new_name: str, *, timeout: float | None = None) -> CollectionInfo:
        """Call a vector field something else; nothing is built again, and a default field stays the default.

        Raises FieldNotFound, AlreadyExists if ``new_name`` is taken, InvalidArgument for a bad name.
        """
        return self._run(calls.ChangeSchema(self._name, changes.rename_vector(name, new_name)), timeout)

    def set_default_vector(self, name: str, *, timeout: float | None = None) -> CollectionInfo:
        """Let another field be meant where none is named, in searches and writes. Raises FieldNotFound."""
        return self._run(calls.ChangeSchema(self._name, changes.set_default(name)), timeout)

    def add_text_field(self, name: str, field: TextField, *, timeout: float | None = None) -> CollectionInfo:
        """Add a text field while the collection serves.

        Raises AlreadyExists if the name is taken, InvalidArgument for a bad name and for the 65th field.
        """
        return self._run(calls.ChangeSchema(self._name, changes.add_text(name, field)), timeout)

    def add_sparse_field(
        self, name: str, field: SparseField | None = None, *, timeout: float | None = None
    ) -> CollectionInfo:
        """Add a field of sparse vectors while the collection serves. With a second one, calls have to name theirs.

        Raises AlreadyExists if the name is taken, InvalidArgument for a bad name and for the 65th field.
        """
        return self._run(calls.ChangeSchema(self._name, changes.add_sparse(name, field or SparseField())), timeout)

    def set_text_field(self, name: str, field: TextField, *, timeout: float | None = None) -> CollectionInfo:
        """Declare a text field anew: another analyzer, other options or numbers of BM25, with keywords or without.

        Where another analyzer is named, what is indexed is indexed anew in the background. Meanwhile searches go on:
        each text is found by the analyzer that it is indexed with. Raises FieldNotFound, and InvalidArgument for what
        can be no field.
        """
        return self._run(calls.ChangeSchema(self._name, changes.set_text(name, field)), timeout)

    def set_ttl(self, ttl: float | timedelta | None, *, timeout: float | None = None) -> CollectionInfo:
        """How long points stay, in seconds, that are written from now on without a time of their own; None: for ever.

        Points that are there keep the time they were written with. Raises InvalidArgument.
        """
        return self._run(calls.ChangeSchema(self._name, changes.set_ttl(ttl)), timeout)

    def set_payload_columns(self, on: bool, *, timeout: float | None = None) -> CollectionInfo:
        """Whether values of payloads are kept in columns, which filters are answered from.

        Without them filters are answered from the points themselves: as exactly, slower, in less memory. What is there
        changes as it is merged. Raises InvalidArgument for what is no bool.
        """
        return self._run(calls.ChangeSchema(self._name, changes.set_columns(on)), timeout)

    def _put(
        self, given: Put, durability: str | None, request_id: bytes | None, progress: Progress, timeout: float | None
    ) -> WriteResult:
        with reporting(progress) as report:
            return self._run(steps.put(self._name, given, durability, request_id, report), timeout)

    def _run(self, operation: Steps[T] | Call[T], timeout: float | None) -> T:
        return run(iter(operation), self._transport.send, Budget(timeout, self._timeout))

    def _run_unbounded(self, operation: Steps[T] | Call[T], timeout: float | None) -> T:
        return run(iter(operation), self._transport.send, Budget(timeout, None))
