"""The state machine: one random history on several databases, also over gRPC and in a shared directory, against a dict.

Points are searched by vectors, by words and by both. Half of the histories run as a tenant who may see its own points
only, while somebody else writes around it. Each rule does one thing on every site and compares every answer with the
model. What is drawn are few small numbers; the contents of a batch come from a seed, so that histories are short to
print.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.client.from_loop import LoopThread
from tests.filters.trees import HELD, KEYS, NUMBERS, trees
from tests.machine.model import (
    EXTRA,
    SCHEMA,
    Given,
    Held,
    Leg,
    Model,
    Ranked,
    Step,
    Words,
    differs_well,
    field_called,
    of_client,
    operation,
    rank,
    rank_sparse,
    same,
)
from tests.machine.shared_site import SharedSite
from tests.machine.sites import OPTIONS, TENANT, EngineSite, Site, engines
from vecdb import failpoint
from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.modifiers import Boost, Decay
from vecdb.client.near import Near
from vecdb.client.operations import Insert, Update, Upsert
from vecdb.client.transport_embedded import EmbeddedTransport
from vecdb.engine import planner
from vecdb.engine.database import Database
from vecdb.engine.repair import RepairReport, repair
from vecdb.engine.view import View
from vecdb.errors import (
    ChangesGone,
    ConditionFailed,
    DataLoss,
    DimensionMismatch,
    Internal,
    InvalidArgument,
    PointExists,
    ReadOnly,
    VecdbError,
)
from vecdb.model.collection import INDEXING, CollectionInfo
from vecdb.model.context import CallContext
from vecdb.model.feed import Change
from vecdb.model.filter import Filter, both, to_dict
from vecdb.model.filter.expression import F
from vecdb.model.fusion import DistributionScore, Fusion, RelativeScore, Rrf
from vecdb.model.hit import Point, SearchResult, points_in
from vecdb.model.keyword import Keyword as EngineKeyword
from vecdb.model.modifier import Mmr
from vecdb.model.point import Select, WriteResult
from vecdb.model.query import Near as EngineNear
from vecdb.model.query import SearchRequest
from vecdb.model.schema import TextField

POOL = [f"p{i:02d}" for i in range(90)] + ["é", "日本", "\U0001f9ff", "~"]
TENANTS: list[Any] = ["a", "a", ["a"], ["x", "a"], "b", ["b"], [], 1, None]
INSIDE = 4  # the first of them lie in the scope
PINS = 3
TRUTH = ["*.sst", "*.blob", "*.log", "MANIFEST-*", "CURRENT"]
"""The files of a store that hold what nothing else does."""
ON_THE_WAY = [name for name in failpoint.NAMES if name.startswith("commit.")]
IN_CARE = [name for name in failpoint.NAMES if name.split(".")[0] in ("seal", "merge", "reap", "rewrite")]
OTHERS = sorted(OPTIONS)
IN_LOADING = [name for name in failpoint.NAMES if name.startswith("load.")]
CARE = ["compact", "wait_indexed", *["cover", "reopen", "cut_power"] * 2, *["rest"] * 3, *INDEXING]

VOCABULARY = ["text", "index", "indexes", "vector", "vectors", "C++", "wi-fi", "数据", "数据库", "向量检索", "检索"]
PLAIN = [
    "text",
    "index",
    "vectors",
    "数据库",
    "向量",
    "检索",
    "据",
    "indxe",
    "wifi",
    "C++ 数据",
    "text text 7",
    "5",
    "?!",
]
"""What is asked: words that many texts hold, some with slips, and what nothing is found by."""
CLAUSES = ["text", '"向量检索"', '"text index"', '"wi-fi text"', "ind*", "向*", "vector", "数据", "1*", '"', "*", "-"]
EVERYTHING = " ".join(VOCABULARY)
ANALYZERS = ["multilingual", "english"]
"""Either gives these words the same terms, so that it cannot be seen how far an analysis anew has come."""
MODIFIERS = [Decay("n", 200.0, 500.0), Decay("n", 1.0, 0.0, missing=0.5), Boost("n", 0.1), Boost("n", -0.5)]
FUSIONS: list[Fusion] = [Rrf(), Rrf(1), RelativeScore(), DistributionScore()]

CHANGES = ["add", "fill", "fill", "search", "rename", "default", "drop"]
TREES = trees(sorted(SCHEMA.texts), sorted(SCHEMA.vectors))

places = st.integers(0, len(POOL) - 1)
seeds = st.integers(0, 2**32 - 1)
limits = st.one_of(st.integers(1, 5), st.integers(1, 5), st.integers(1, 60))
offsets = st.one_of(st.just(0), st.just(0), st.integers(0, 20))


@dataclass(frozen=True)
class Sketch:
    """A step before it is filled in: which ids, and the seed of the rest."""

    verb: str
    ids: Sequence[int]
    seed: int


def sketches() -> st.SearchStrategy[Sketch]:
    verbs = st.sampled_from(["upsert"] * 5 + ["insert"] * 2 + ["update"] * 4 + ["delete"] * 3)
    ids = st.one_of(st.lists(places, min_size=1, max_size=4), st.lists(places, min_size=4, max_size=18))
    some = st.builds(Sketch, verbs, ids, seeds)
    return st.one_of(*[some] * 40, st.builds(Sketch, st.just("clear"), st.just(()), seeds))


plain_words = st.builds(
    Words,
    st.lists(st.sampled_from(PLAIN), min_size=1, max_size=3).map(" ".join),
    fuzzy=st.sampled_from([0, 0, 1, 2]),
    fields=st.sampled_from([None, None, {"": 1.0}, {"title": 1.0}, {"": 0.5, "title": 3.0}]),
)
clauses = st.builds(lambda sign, clause: sign + clause, st.sampled_from(["", "", "+", "-"]), st.sampled_from(CLAUSES))
in_language = st.builds(
    lambda first, rest, fields, fuzzy: Words(" ".join([first, *rest]), True, fuzzy, fields),
    st.sampled_from(["text", "+index", "数据", "向*", '"text vectors"']),  # with only what must not be it is refused
    st.lists(clauses, max_size=3),
    st.sampled_from([None, None, {"title": 2.0, "": 1.0}]),
    st.sampled_from([0, 0, 1]),
)
some_words = st.one_of(plain_words, in_language)

batches = st.one_of(*[st.lists(sketches(), min_size=1, max_size=1)] * 2, st.lists(sketches(), min_size=2, max_size=4))


@dataclass
class Recall:
    """How many of the hits that an exact search gives a search by graph gave, over all histories."""

    found: int = 0
    wanted: int = 0

    @property
    def share(self) -> float:
        return self.found / max(1, self.wanted)


@dataclass(frozen=True)
class Pin:
    """A view somebody holds, and what the model was when he took it."""

    site: EngineSite
    view: View
    points: dict[str, Held]


@dataclass
class Replica:
    """What somebody made of the changes of a site: its points, and where to go on."""

    token: str
    points: dict[str, Point]

    def take(self, change: Change) -> None:
        self.points |= {point.id: point for point in change.points}
        for point_id in change.deleted:
            del self.points[point_id]  # nothing is deleted that was not there


@dataclass(frozen=True)
class Sent:
    """A write that was carried out, to be sent again; one without steps is a sweep, which nobody sends."""

    steps: Sequence[Step]
    limited: bool
    request_id: bytes
    result: WriteResult


class Histories(RuleBasedStateMachine):
    """See the module. ``recall``, ``kills`` (of servers), ``followed`` and ``salvaged`` are of all of a run."""

    recall = Recall()
    kills = 0
    followed = 0
    salvaged = 0

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="vecdb-machine-"))
        self.model = Model()
        self.loop = LoopThread()
        self.engines = engines(self.folder, self.loop, self.model.clock)
        self.shared: SharedSite | None = None
        self.sites: list[Site] = [*self.engines]
        self.pins: list[Pin] = []
        self.replicas: dict[str, Replica] = {}
        self.sent: list[Sent] = []  # by number of the write, from 1
        self.history = [self.model.points]  # what there was after each write, from 0
        self.synced = 0  # the last write that was acknowledged as durable
        self.requests = 0
        self.limited = False
        self.extra: str | None = None  # what the field that comes and goes is called while it is there
        self.default = ""  # the field meant where none is named
        self.patch = pytest.MonkeyPatch()

    @initialize(
        limited=st.booleans(),
        walking=st.booleans(),
        awaited=st.booleans(),
        shared=st.booleans(),
        tree=TREES,
        seed=seeds,
        steps=st.integers(0, 10),
    )
    def begin(
        self, limited: bool, walking: bool, awaited: bool, shared: bool, tree: Filter, seed: int, steps: int
    ) -> None:
        """Nobody starts with nothing: most points are there, and some are sealed.

        On so few rows the planner would nearly always scan; half of the histories walk where there is a graph.
        In half of them those from elsewhere use the async client; in half of them there is a shared directory.
        """
        self.limited = limited
        if shared:
            self.shared = SharedSite(self.folder / "shared", self.loop)
            self.sites = [self.shared, *self.engines]  # first: a kill that was sent meets what is asked of it
        for site in self.sites:
            site.connect(awaited)
        if walking:
            self.patch.setattr(planner, "exact_ns", lambda rows, dim, contiguous: 1e12)
        for part in np.array_split(np.random.default_rng(seed).permutation(len(POOL)), 5)[:4]:
            self.carry_out(self.fill([Sketch("upsert", part.tolist(), seed)], False), False, False)
        if shared:
            self.kill([Sketch("upsert", [0], seed)], awaited, seed, under_way=True)
        self.follow(False)
        self.maintain(steps)
        for using in sorted(SCHEMA.vectors):
            self.search_by_graph(using, seed, 2, 5, 0, None, None)
        self.read_filtered(tree, ~tree, awaited, "", seed)

    def teardown(self) -> None:
        failpoint.disarm()
        self.patch.undo()
        try:
            for site in self.sites:
                self.compare_all(site)
                assert site.check() == []
        finally:
            self.pins.clear()
            for site in self.sites:
                site.close()
            self.loop.close()
            shutil.rmtree(self.folder)

    @property
    def scope(self) -> Filter | None:
        """What the caller of this history may see."""
        return TENANT if self.limited else None

    # -- writing

    @rule(batch=batches, remote=st.booleans(), outside=st.booleans(), durable=st.booleans())
    def write(self, batch: Sequence[Sketch], remote: bool, outside: bool, durable: bool) -> None:
        """A batch, by the caller of the history or by somebody without limits; it may be one not worth a sync."""
        limited = self.limited and not outside
        self.carry_out(self.fill(batch, limited), limited, remote, durable=durable)

    @rule(count=st.integers(8, 40) | st.integers(65, 90), seed=seeds, remote=st.booleans())
    def load(self, count: int, seed: int, remote: bool) -> None:
        """Many points at once, so that segments fill; more than one slice at times."""
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(POOL), count, replace=False).tolist()
        self.carry_out(self.fill([Sketch("upsert", chosen, seed)], False), False, remote)

    @rule(seed=seeds, outside=st.booleans(), remote=st.booleans())
    def edit(self, seed: int, outside: bool, remote: bool) -> None:
        """Change parts of points that are there."""
        limited = self.limited and not outside
        there = sorted(self.model.seen(TENANT if limited else None))
        if there:
            rng = np.random.default_rng(seed)
            chosen = rng.choice(there, min(len(there), int(rng.integers(1, 12))), replace=False).tolist()
            batch = [Sketch("update", [POOL.index(i) for i in chosen], seed)]
            self.carry_out(self.fill(batch, limited), limited, remote)

    @rule(seed=seeds, drop=st.booleans(), outside=st.booleans(), remote=st.booleans())
    def write_by_filter(self, seed: int, drop: bool, outside: bool, remote: bool) -> None:
        """Change or drop what matches, in one batch with a write before it, which counts."""
        limited = self.limited and not outside
        rng = np.random.default_rng(seed)
        before = self.fill([Sketch("upsert", rng.integers(len(POOL), size=2).tolist(), seed)], limited)
        matching = F("n") < int(rng.integers(100 if drop else 1000))
        unset = ["seen"] if rng.random() < 0.3 else []
        change = Step("change", filter=matching, payload={"seen": int(rng.integers(9))}, unset=unset)
        self.carry_out([*before, Step("drop", filter=matching) if drop else change], limited, remote)

    @rule(seed=seeds, kind=st.integers(0, 6), remote=st.booleans())
    def write_under_condition(self, seed: int, kind: int, remote: bool) -> None:
        """Some of the conditions hold; else the whole batch is refused everywhere."""
        rng = np.random.default_rng(seed)
        seen = self.model.seen(self.scope)
        pool = sorted(seen) if len(seen) > 1 and rng.random() < 0.8 else POOL
        ids = [pool[i] for i in rng.choice(len(pool), 1 + kind // 4, replace=False)]
        version = seen[ids[0]].version if ids[0] in seen else 0
        conditions: list[dict[str, Any]] = [
            *({"if_version": version}, {"if_version": max(0, version - 1)}, {"if_exists": True}),
            *({"if_filter": F("n") < 500}, {"if_exists": True}, {"if_filter": F("n").exists()}, {"if_version": 0}),
        ]
        payload = {"n": int(rng.integers(1000)), "tenant": "a"}
        rows = [Given(i, Held(payload=payload)) for i in ids]
        verb = str(rng.choice(["upsert", "update", "delete"]))
        if verb == "upsert" and rng.random() < 0.3:
            step = Step(verb, rows, conditions={"if_absent": True})
        else:
            step = Step(verb, rows, merges=verb == "update", conditions=conditions[kind])
        before = self.fill([Sketch("delete", rng.integers(len(POOL), size=1).tolist(), seed)], self.limited)
        self.carry_out([*before, step], self.limited, remote)

    @precondition(lambda self: self.shared is None)  # its server has a clock of its own
    @rule(seed=seeds, seconds=st.sampled_from([0, 1, 1, 2, 5]), swept=st.booleans())
    def pass_time(self, seed: int, seconds: int, swept: bool) -> None:
        """Some points are written for a time; then time passes, and what has expired is gone, be it swept or not.

        The write is durable, so that a power cut takes back nothing that would be judged at another time.
        """
        rng = np.random.default_rng(seed)
        ids = rng.choice(len(POOL), int(rng.integers(1, 30)), replace=False).tolist()
        verb = str(rng.choice(["upsert", "update"]))
        step = self.fill([Sketch(verb, ids, seed)], False)[0]
        self.carry_out([replace(step, ttl=float(rng.integers(1, 6)))], False, bool(rng.random() < 0.5))
        self.carry_out([Step("upsert", [Given("~", Held(payload={"n": 1, "tenant": "a"}))])], False, False)
        self.model.clock.now += seconds
        self.model.expire()
        self.history[-1] = self.model.points
        if swept:
            self.sweep()
        for site in self.sites:
            self.compare_all(site)

    def sweep(self) -> None:
        """Delete what has expired, everywhere at once: it takes a number, like any write."""
        for site in self.engines:
            while site.db.sweep(CallContext(), site.called):
                pass
        if self.model.expired:
            self.model.expired = set()
            self.model.seq += 1
            self.sent.append(Sent([], False, b"", WriteResult(self.model.seq, 0)))
            self.history.append(self.model.points)
            self.synced = self.model.seq

    # -- changing the schema

    @rule(what=st.sampled_from(CHANGES), seed=seeds, near=st.booleans())
    def change_fields(self, what: str, seed: int, near: bool) -> None:
        """A vector field comes, is filled point by point, is renamed, is the default, and goes with its vectors."""
        rng = np.random.default_rng(seed)
        if self.extra is None:
            name = f"extra{seed % 2}"
            self.change_schema(lambda c: c.add_vector_field(name, EXTRA), near)
            self.extra = name
        elif what in ("add", "fill"):
            there = sorted(self.model.points)
            chosen = rng.permutation(there)[: int(rng.integers(1, 30))].tolist()
            rows = [Given(i, Held({self.extra: vector(rng, self.extra)})) for i in chosen]
            if rows:
                self.carry_out([Step("update", rows)], False, near)
        elif what == "search":
            self.search_exactly(self.extra, seed, 10, 0, None)
            wanted = self.model.ranked([Near(query(self.default, seed), self.default)], self.scope, None, 0)[:10]
            for site in self.sites:
                result = site.collection(self.limited, near).search(
                    query(self.default, seed), limit=10, exact=True, with_vectors=True
                )
                self.compare(result, wanted)
        elif what == "rename":
            old, new = self.extra, "extra1" if self.extra == "extra0" else "extra0"
            self.change_schema(lambda c: c.rename_vector_field(old, new), near)
            self.extra, self.default = new, new if self.default == old else self.default
            self.restate({old: new})
        elif what == "default":
            default = self.extra if self.default == "" else ""
            self.change_schema(lambda c: c.set_default_vector(default), near)
            self.default = default
        else:
            gone = self.extra
            if self.default == gone:
                self.change_schema(lambda c: c.set_default_vector(""), near)
                self.default = ""
            self.change_schema(lambda c: c.drop_vector_field(gone), near)
            self.extra = None
            self.restate({gone: None})

    @rule(
        name=st.sampled_from(sorted(SCHEMA.texts)),
        kind=st.sampled_from(ANALYZERS),
        k1=st.sampled_from([0.0, 1.2, 2.0]),
        b=st.sampled_from([0.0, 0.75, 1.0]),
        near=st.booleans(),
    )
    def change_words(self, name: str, kind: str, k1: float, b: float, near: bool) -> None:
        """How a text field is analyzed and scored, while it is searched."""
        about = TextField(kind, k1=k1, b=b)
        self.change_schema(lambda c: c.set_text_field(name, about), near)
        self.model.texts[name] = about
        self.pins.clear()

    def change_schema(self, change: Callable[[Collection], CollectionInfo], near: bool) -> None:
        """On every site; all say the same of themselves then. What was written before is durable with it."""
        schemas = [change(site.collection(False, near)).schema for site in self.sites]
        assert all(schema == schemas[0] for schema in schemas)
        self.synced = self.model.seq

    def restate(self, names: Mapping[str, str | None]) -> None:
        """The same points with other fields; who holds an older view is not asked about those."""
        points = {i: replace(p, vectors=_called(p.vectors, names)) for i, p in self.model.points.items()}
        self.model.points = self.history[-1] = points
        self.pins.clear()
        self.replicas.clear()

    def send_again(self, sent: Sent, remote: bool) -> None:
        named = {name for step in sent.steps for row in step.rows for name in row.held.vectors}
        if not named <= {*SCHEMA.vectors, self.extra}:
            return  # refused for a field that is gone
        if not sent.steps:
            return
        operations = [operation(step) for step in sent.steps]
        for site in self.sites:
            collection = site.collection(sent.limited, remote)
            assert collection.write(operations, request_id=sent.request_id) == sent.result
            assert site.seq() == self.model.seq

    @rule(what=st.integers(0, 12), place=places, remote=st.booleans())
    def without_effect(self, what: int, place: int, remote: bool) -> None:
        """What was sent before has its first result; bad rows among good ones change nothing."""
        if what > 6 and self.sent:
            self.send_again(self.sent[place % len(self.sent)], remote)
        else:
            self.send_bad(what, place, remote)

    def send_bad(self, what: int, place: int, remote: bool) -> None:
        good = Upsert(["good"], {"plan": [[1, 2, 3]]}, payloads=[{"tenant": "a"}])
        there = sorted(self.model.seen(self.scope))
        bad: dict[int, tuple[Any, type[VecdbError]]] = {
            0: (Upsert([POOL[place]], {"plan": [[1, 2]]}, payloads=[{"tenant": "a"}]), DimensionMismatch),
            1: (Update([POOL[place]], {"": [[1, float("nan"), 1, 1]]}), InvalidArgument),
            2: (Upsert([POOL[place]], {"": [[0, 0, 0, 0]]}, payloads=[{"tenant": "a"}]), InvalidArgument),
            3: (Insert(["x", "x"], payloads=[{"tenant": "a"}] * 2), InvalidArgument),
            4: (Upsert([""], payloads=[{"tenant": "a"}]), InvalidArgument),
        }
        if there:
            taken = Insert(["x", there[place % len(there)]], payloads=[{"tenant": "a"}] * 2)
            bad[5] = (taken, PointExists)
        if self.limited:
            bad[6] = (Upsert([POOL[place]], payloads=[{"tenant": "b"}]), InvalidArgument)
        operation_, error = bad.get(what, bad[0])
        for site in self.sites:
            try:
                site.collection(self.limited, remote).write([good, operation_])
            except error:
                pass
            else:
                raise AssertionError(f"{site.name} took what it should refuse")
            assert site.seq() == self.model.seq
            assert site.collection(self.limited).exists(["good", "x"]).tolist() == [False, False]

    @rule(batch=batches, name=st.sampled_from(ON_THE_WAY), which=places, cut=st.booleans(), many=st.booleans())
    def write_stopped(self, batch: Sequence[Sketch], name: str, which: int, cut: bool, many: bool) -> None:
        """Stopped on one site: there entirely or not at all, and sent again, it is there once."""
        if many:
            batch = [*batch, Sketch("upsert", range(which % 20, 90), batch[0].seed)]
        steps = self.fill(batch, self.limited)
        try:
            points, result = self.model.write(steps, self.scope)
        except (PointExists, ConditionFailed):
            return
        site = self.engines[which % len(self.engines)]
        before = site.seq()
        request_id = self.next_request()
        with stopped(name):
            try:
                site.collection(self.limited).write([operation(step) for step in steps], request_id=request_id)
            except (Internal, ReadOnly):
                pass
        changed = site.seq() != before
        after = self.model.at(points, result.seq) if changed else self.model.at(self.model.points, before)
        self.compare_all(site, after)
        if site.db.failure() is not None:
            self.pins = [pin for pin in self.pins if pin.site is not site]
            if cut and site.in_memory:
                self.cut_power(site, 0, [points])
            else:
                site.reopen()
            assert site.check() == []
        self.carry_out(steps, self.limited, False, request_id)

    def cut_power(self, site: EngineSite, keep: int, upcoming: Sequence[dict[str, Held]] = ()) -> None:
        """What is left is a beginning of the history, with all that was acknowledged as durable; the rest is sent
        again. ``keep`` of the batches not synced survive; ``upcoming`` is what may be there beyond the history.
        """
        site.power_cut(keep)
        seq = site.seq()
        assert seq >= self.synced
        left = self.model.at([*self.history, *upcoming][seq], seq)
        self.compare_all(site, left)
        for sent in self.sent[left.seq :]:
            operations = [operation(step) for step in sent.steps]
            assert site.collection(sent.limited).write(operations, request_id=sent.request_id) == sent.result

    def fill(self, batch: Sequence[Sketch], limited: bool) -> list[Step]:
        return [fill(sketch, limited) for sketch in batch]

    def next_request(self) -> bytes:
        self.requests += 1
        return f"request {self.requests}".encode()

    def carry_out(
        self,
        steps: Sequence[Step],
        limited: bool,
        remote: bool,
        request_id: bytes | None = None,
        durable: bool = True,
    ) -> None:
        """Write on every site; all say the same as the model."""
        request_id = request_id or self.next_request()
        operations = [operation(step) for step in steps]
        try:
            points, result = self.model.write(steps, TENANT if limited else None)
        except (PointExists, ConditionFailed) as refusal:
            for site in self.sites:
                try:
                    site.collection(limited, remote).write(operations, request_id=request_id)
                except type(refusal) as error:
                    assert not isinstance(refusal, ConditionFailed) or error.received == refusal.received
                else:
                    raise AssertionError(f"{site.name} took what it should refuse") from None
            return
        for site in self.sites:
            received = site.collection(limited, remote).write(
                operations, request_id=request_id, durability="fsync" if durable else "os"
            )
            assert received == result, site.name
        if result.seq != self.model.seq:
            self.sent.append(Sent(steps, limited, request_id, result))
            self.history.append(points)
            self.synced = result.seq if durable else self.synced
        self.model.points, self.model.seq = points, result.seq
        self.model.expired -= {i for step in steps if step.verb in ("upsert", "insert") for i in step.ids}

    # -- reading

    @rule(
        using=st.sampled_from(sorted(SCHEMA.vectors)),
        seed=seeds,
        limit=limits,
        offset=offsets,
        threshold=st.none() | st.integers(0, 60),
    )
    def search_exactly(self, using: str, seed: int, limit: int, offset: int, threshold: int | None) -> None:
        """Equal in order, ids and scores, bit for bit, wherever asked."""
        near = Near(query(using, seed), using)
        min_score = self.score_at([near], threshold)
        wanted = self.model.ranked([near], self.scope, min_score, limit + offset)[offset : offset + limit]
        for site in self.sites:
            for collection in site.surfaces(self.limited):
                result = collection.search(
                    near.vector,
                    using=using,
                    limit=limit,
                    offset=offset,
                    exact=True,
                    min_score=min_score,
                    with_vectors=True,
                )
                self.compare(result, wanted)

    @rule(
        using=st.sampled_from(sorted(SCHEMA.vectors)),
        seed=seeds,
        count=st.integers(1, 4),
        limit=limits,
        offset=offsets,
        ef=st.sampled_from([None, 1, 4, 16, 500, 0.5, 0.99]),
        threshold=st.none() | st.integers(0, 60),
    )
    def search_by_graph(
        self, using: str, seed: int, count: int, limit: int, offset: int, ef: float | None, threshold: int | None
    ) -> None:
        """As many hits as there are, each live, with its own score, in order; one query or several at once.

        An ``ef`` below 1 is a recall to be reached; nothing is measured here.
        """
        width = {"ef": ef} if ef is None or ef >= 1 else {"target_recall": ef}
        nears = [Near(query(using, seed + i), using) for i in range(count)]
        min_score = self.score_at(nears[:1], threshold)
        rankings = [self.model.ranked([near], self.scope, min_score, 0) for near in nears]
        for site in self.sites:
            for collection in site.surfaces(self.limited):
                results = collection.search_batch(
                    [near.vector for near in nears],
                    using=using,
                    limit=limit,
                    offset=offset,
                    min_score=min_score,
                    with_vectors=True,
                    **width,
                )
                for result, ranking in zip(results, rankings, strict=True):
                    self.compare_approximately(result, ranking, limit, offset, measured=ef is None)

    @rule(data=st.data(), legs=st.integers(2, 4), seed=seeds, limit=limits, offset=offsets)
    def search_by_legs(self, data: st.DataObject, legs: int, seed: int, limit: int, offset: int) -> None:
        """Any fusion of several vectors, fields and words, by the formula; each hit with its place in each leg."""
        names = sorted(SCHEMA.vectors)
        nears = []
        for i in range(legs):
            using = names[data.draw(st.integers(0, len(names) - 1))]
            depth = data.draw(st.sampled_from([None, 1, 3, 50]))
            nears.append(Near(query(using, seed + i), using, data.draw(st.sampled_from([0.5, 1.0, 3.0])), depth))
        legs_: list[Leg] = [*nears]
        for _ in range(data.draw(st.integers(0, 2))):
            depth = data.draw(st.sampled_from([None, 1, 3, 50]))
            weight = data.draw(st.sampled_from([0.5, 1.0, 3.0]))
            legs_.append(replace(data.draw(some_words), weight=weight, depth=depth))
        fusion = data.draw(st.sampled_from(FUSIONS))
        threshold = data.draw(st.none() | st.integers(0, 30))
        every = self.model.ranked(legs_, self.scope, None, limit + offset, fusion)
        min_score = None if threshold is None or not every else every[threshold % len(every)].score
        wanted = self.model.ranked(legs_, self.scope, min_score, limit + offset, fusion)[offset : offset + limit]
        for site in self.sites:
            for collection in site.surfaces(self.limited):
                result = collection.search(
                    legs=[of_client(leg) for leg in legs_],
                    fusion=fusion,
                    limit=limit,
                    offset=offset,
                    exact=True,
                    min_score=min_score,
                    with_vectors=True,
                )
                self.compare(result, wanted)

        self.read(np.random.default_rng(seed))

    @rule(
        words=some_words,
        limit=limits,
        offset=offsets,
        threshold=st.none() | st.integers(0, 60),
        below=st.none() | st.integers(0, 1000),
        others=st.lists(st.sampled_from(PLAIN), min_size=1, max_size=3),
    )
    def search_by_words(
        self, words: Words, limit: int, offset: int, threshold: int | None, below: int | None, others: list[str]
    ) -> None:
        """Equal in order, ids and scores, bit for bit, wherever asked; one query, or several at once."""
        filter = None if below is None else F("n") < below
        every = self.model.ranked([words], self.scope, None, 0, filter=filter)
        min_score = None if threshold is None or not every else every[threshold % len(every)].score
        wanted = [hit for hit in every if min_score is None or hit.score >= min_score][offset : offset + limit]
        rankings = [self.model.ranked([Words(text)], self.scope, None, 0, filter=filter)[:limit] for text in others]
        for site in self.sites:
            for collection in site.surfaces(self.limited):
                result = collection.search(
                    legs=[of_client(words)],
                    filter=filter,
                    limit=limit,
                    offset=offset,
                    min_score=min_score,
                    with_vectors=True,
                )
                self.compare(result, wanted)
                results = collection.search_batch(texts=others, filter=filter, limit=limit, with_vectors=True)
                for result, ranking in zip(results, rankings, strict=True):
                    self.compare(result, ranking)

    @rule(
        using=st.sampled_from(sorted(SCHEMA.sparse)),
        seed=seeds,
        limit=limits,
        offset=offsets,
        below=st.none() | st.integers(0, 1000),
    )
    def search_by_sparse_vectors(self, using: str, seed: int, limit: int, offset: int, below: int | None) -> None:
        """Equal in order, ids and scores, bit for bit, wherever asked; two queries at once."""
        rng = np.random.default_rng(seed)
        filter = None if below is None else F("n") < below
        seen = self.model.seen(both(self.scope, filter))
        asked = [weights(rng) for _ in range(2)]
        rankings = [rank_sparse(seen, one, using)[offset : offset + limit] for one in asked]
        how: dict[str, Any] = {"filter": filter, "limit": limit, "offset": offset, "with_vectors": True}
        for site in self.sites:
            for collection in site.surfaces(self.limited):
                results = collection.search_batch(sparse={using: asked}, **how)
                for result, ranking in zip(results, rankings, strict=True):
                    self.compare(result, ranking)

    @rule(
        using=st.sampled_from(sorted(SCHEMA.vectors)),
        words=st.lists(some_words, max_size=2),
        seed=seeds,
        limit=limits,
        modifiers=st.lists(st.sampled_from(MODIFIERS), max_size=3),
        relevance=st.none() | st.sampled_from([0.0, 0.5, 1.0]),
        threshold=st.none() | st.integers(0, 60),
    )
    def search_in_two_stages(
        self,
        using: str,
        words: list[Words],
        seed: int,
        limit: int,
        modifiers: list[Boost | Decay],
        relevance: float | None,
        threshold: int | None,
    ) -> None:
        """Scores changed by what points have; hits chosen that differ."""
        legs: list[Leg] = [Near(query(using, seed), using), *words]
        every = self.model.ranked(legs, self.scope, None, limit, modifiers=modifiers)
        min_score = None if threshold is None or not every else every[threshold % len(every)].score
        wanted = [hit for hit in every if min_score is None or hit.score >= min_score]
        by_id = {hit.id: hit for hit in wanted}
        for site in self.sites:
            for collection in site.surfaces(self.limited):
                result = collection.search(
                    legs=[of_client(leg) for leg in legs],
                    limit=limit,
                    exact=True,
                    modifiers=modifiers,
                    mmr=None if relevance is None else Mmr(relevance, using=""),
                    min_score=min_score,
                    with_vectors=True,
                )
                if relevance is None or not wanted:
                    self.compare(result, wanted[:limit])
                    continue
                assert len(set(result.ids)) == min(limit, len(wanted))
                self.compare(result, [by_id[i] for i in result.ids])
                assert differs_well(self.model.points, wanted, result.ids, relevance)

    @rule(tree=TREES, other=TREES, as_dict=st.booleans(), using=st.sampled_from(sorted(SCHEMA.vectors)), seed=seeds)
    def read_filtered(self, tree: Filter, other: Filter, as_dict: bool, using: str, seed: int) -> None:
        """Every operation that reads gives what matches, and all of it; a filter for the whole, a leg, a query."""
        rng = np.random.default_rng(seed)
        given: Any = to_dict(tree) if as_dict else tree
        within = both(self.scope, tree)
        seen = self.model.seen(within)
        wanted = [POOL[i] for i in rng.integers(0, len(POOL), 12)]
        page, limit = int(rng.integers(1, 60)), int(rng.integers(1, 30))
        near = Near(query(using, seed), using)
        legs = [replace(near, filter=given), Near(query(using, seed + 1), using, 2.0, filter=other)]
        ranking = self.model.ranked([near], within, None, 0)
        fused = self.model.ranked(legs, self.scope, None, limit)[:limit]
        scopes = [within, self.scope, both(self.scope, other), within]
        rankings = [self.model.ranked([near], scope, None, 0) for scope in scopes]
        for site in self.sites:
            for collection in site.surfaces(self.limited):
                assert collection.count(filter=given) == len(seen)
                assert collection.exists(wanted, filter=given).tolist() == [i in seen for i in wanted]
                every = turn_pages if rng.random() < 0.5 else scroll
                self.compare_scroll(every(collection, page, given), seen)
                result = collection.search(
                    near.vector, using=using, filter=given, limit=limit, exact=True, with_vectors=True
                )
                self.compare(result, ranking[:limit])
                result = collection.search(legs=legs, limit=limit, exact=True, with_vectors=True)
                self.compare(result, fused)
                results = collection.search_batch(
                    [near.vector] * 4,
                    using=using,
                    filters=[given, None, other, given],
                    limit=limit,
                    with_vectors=True,
                )
                for result, each in zip(results, rankings, strict=True):
                    self.compare_approximately(result, each, limit, 0, measured=False)

    def read(self, rng: np.random.Generator) -> None:
        """Get, exists, count, scroll, and the counts of stats and describe."""
        seen = self.model.seen(self.scope)
        wanted = [POOL[i] for i in rng.integers(0, len(POOL), 12)]
        page = int(rng.integers(1, 60))
        for site in self.sites:
            for collection in site.surfaces(self.limited):
                found = collection.get(wanted, with_vectors=True)
                assert [point.id for point in found] == [i for i in wanted if i in seen]
                assert all(same(point, seen[point.id]) for point in found)
                assert collection.exists(wanted).tolist() == [i in seen for i in wanted]
                assert collection.count() == len(seen)
                every = turn_pages if rng.random() < 0.5 else scroll
                self.compare_scroll(every(collection, page), seen)
                self.compare_by_value(collection, seen, page)
            stats = site.collection().stats()
            assert (stats.live, stats.seq) == (len(self.model.points), self.model.seq)
            assert site.collection().describe().points == len(self.model.points)
            assert sum(segment.live for segment in stats.segments) == len(self.model.points)

    def compare_by_value(self, collection: Collection, seen: dict[str, Held], page: int) -> None:
        """An order, a facet, groups and a search by id, by plain Python over the points that are seen."""
        held = {i: tenants(point) for i, point in seen.items()}
        counts = Counter(value for some in held.values() for value in set(some))
        facet = collection.facet("tenant")
        assert {typed(found.value): found.count for found in facet.values} == counts
        assert (facet.present, facet.missing) == (
            sum(map(bool, held.values())),
            sum(not some for some in held.values()),
        )
        for name, first in (("tenant", min), ("-tenant", max)):
            there = sorted((i for i in seen if held[i]), key=str.encode)
            there.sort(key=lambda i, first=first: first(held[i]), reverse=first is max)  # type: ignore[misc]
            ranking = there + sorted((i for i in seen if not held[i]), key=str.encode)
            assert [point.id for point in collection.scroll(order_by=name, batch=page)] == ranking
        having = sorted(i for i, point in seen.items() if "" in point.vectors)
        sizes = Counter(value for i in having for value in set(held[i]))
        groups = collection.search(query("", page), using="", group_by="tenant", group_size=2).groups or []
        assert {typed(group.value): len(group.hits) for group in groups} == {v: min(2, n) for v, n in sizes.items()}
        if having:
            like = having[page % len(having)]
            found = collection.search(id=like, using="", limit=len(POOL) + 1)
            assert sorted(found.ids) == [i for i in having if i != like]

    def score_at(self, nears: Sequence[Near], threshold: int | None) -> float | None:
        """A score that some point has, to cut exactly there."""
        if threshold is None:
            return None
        ranking = self.model.ranked(nears, self.scope, None, 0)
        return ranking[threshold % len(ranking)].score if ranking else 0.5

    def compare(self, result: SearchResult, wanted: Sequence[Ranked], model: Model | None = None) -> None:
        """Of a search that asked for vectors too."""
        model = model or self.model
        hits = list(result)
        assert [(hit.id, hit.score, hit.distance) for hit in hits] == [(w.id, w.score, w.distance) for w in wanted]
        assert [hit.legs for hit in hits] == [w.legs for w in wanted]
        assert all(same(hit, model.points[hit.id]) for hit in hits)
        assert result.seq == model.seq

    def compare_approximately(
        self, result: SearchResult, ranking: Sequence[Ranked], limit: int, offset: int, measured: bool
    ) -> None:
        hits = list(result)
        assert len(hits) == max(0, min(limit, len(ranking) - offset))
        true = {wanted.id: (wanted.score, wanted.distance) for wanted in ranking}
        assert all(true.get(hit.id) == (hit.score, hit.distance) for hit in hits)
        assert len({hit.id for hit in hits}) == len(hits)
        assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.id.encode()))
        assert all(same(hit, self.model.points[hit.id]) for hit in hits)
        if measured and offset == 0 and hits:
            self.recall.wanted += len(hits)
            self.recall.found += sum(hit.score >= ranking[len(hits) - 1].score for hit in hits)

    def compare_scroll(self, found: Sequence[Point], seen: dict[str, Held]) -> None:
        assert [point.id for point in found] == sorted(seen, key=str.encode)
        assert all(same(point, seen[point.id]) for point in found)

    def compare_all(self, site: Site, model: Model | None = None) -> None:
        """Everything there is, through each door."""
        model = model or self.model
        for collection in site.surfaces(False):
            self.compare_scroll(list(collection.scroll(with_vectors=True)), model.points)
        assert site.seq() == model.seq
        for using in SCHEMA.vectors:
            near = Near(query(using, 0), using)
            wanted = model.ranked([near], None, None, 0)
            result = site.collection().search(near.vector, using=using, exact=True, limit=1000, with_vectors=True)
            self.compare(result, wanted, model)
        asked = Words(EVERYTHING)
        result = site.collection().search(text=asked.text, limit=1000, with_vectors=True)
        self.compare(result, model.ranked([asked], None, None, 0), model)

    # -- those who follow

    @rule(remote=st.booleans())
    def follow(self, remote: bool) -> None:
        """A replica of each site, brought up to date by its changes, is what the caller sees of the site.

        What expired is deleted in a replica when it is swept. Where the changes are gone the replica starts over.
        """
        seen = self.model.seen(self.scope)
        for site in self.sites:
            collection = site.collection(self.limited, remote)
            replica = self.replicas.pop(site.name, None)
            if replica is not None:
                try:
                    for change in (told := collection.changes(replica.token)):
                        replica.take(change)
                    Histories.followed += 1
                    replica.token = told.token or replica.token
                except ChangesGone:
                    replica = None
            if replica is None:
                token = collection.change_token()
                replica = Replica(token, {point.id: point for point in scroll(collection, 50)})
            held = {i: point for i, point in replica.points.items() if i not in self.model.expired}
            assert held.keys() == seen.keys()
            assert all(same(point, seen[i]) for i, point in held.items())
            assert replica.token == collection.change_token()
            self.replicas[site.name] = replica

    # -- readers that hold on to what they saw

    @rule(which=st.integers(0, 10), release=st.booleans())
    def pin(self, which: int, release: bool) -> None:
        if release and self.pins:
            self.pins.pop(which % len(self.pins))
            return
        site = self.engines[which % len(self.engines)]
        view = site.db._use(CallContext(), site.called)._look().view
        self.pins = [*self.pins, Pin(site, view, self.model.points)][-PINS:]

    @precondition(lambda self: self.pins)
    @rule(which=st.integers(0, 10), seed=seeds)
    def read_pinned(self, which: int, seed: int) -> None:
        """Whatever was written, merged and deleted since."""
        pin = self.pins[which % len(self.pins)]
        inner = pin.site.db._use(CallContext(), pin.site.called)
        everything = Select(vectors=True)
        points, end = inner.reading.scrolling.page(CallContext(), pin.view, None, 1000, everything, None)
        assert end
        self.compare_scroll(points_in(points), pin.points)
        for scope in (None, TENANT):
            model = self.model.at(pin.points, 0)
            seen = model.seen(scope)
            context = CallContext(scope=scope)
            assert inner.lookup.exists(pin.view, POOL, inner.entry.fields, scope) == [i in seen for i in POOL]
            assert inner.matcher.count(context, pin.view, scope) == len(seen)
            for using in SCHEMA.vectors:
                asked = query(using, seed)
                for exact in (True, False):
                    request = SearchRequest([EngineNear(asked[None], using)], exact=exact, limit=100, select=everything)
                    answer = inner.reading.executor.search(context, pin.view, request)
                    wanted = rank(seen, Near(asked, using))
                    assert answer.points.ids == [w.id for w in wanted]
                    assert answer.scores.tolist() == [w.score for w in wanted]
                    assert all(same(point, seen[point.id]) for point in points_in(answer.points))
            request = SearchRequest([EngineKeyword([EVERYTHING])], limit=100, select=everything)
            answer = inner.reading.executor.search(context, pin.view, request)
            hits = model.ranked([Words(EVERYTHING)], scope, None, 0)
            assert [*zip(answer.points.ids, answer.scores.tolist(), strict=True)] == [(w.id, w.score) for w in hits]

    # -- care, closing, faults

    @rule(steps=st.integers(1, 12))
    def maintain(self, steps: int) -> None:
        """Seal, merge, cover, reap: whatever is due."""
        self.sweep()
        for site in self.engines:
            for _ in range(steps):
                if not site.db.maintain():
                    break
        for any_site in self.sites:
            assert any_site.check() == []

    @rule(what=st.sampled_from(CARE), remote=st.booleans(), keep=st.integers(0, 40))
    def care(self, what: str, remote: bool, keep: int) -> None:
        """Everything else that is done to a database and must change nothing."""
        self.sweep()
        if what == "reopen":
            self.pins.clear()
        if what == "cut_power":
            self.pins = [pin for pin in self.pins if not pin.site.in_memory]
        for site in self.sites:
            collection = site.collection(remote=remote)
            if what == "reopen":
                site.reopen(OTHERS[keep % len(OTHERS)])
            elif what == "cut_power":
                if isinstance(site, EngineSite) and site.in_memory:
                    self.cut_power(site, keep)
                    self.compare_all(site)
            elif what == "cover":
                if isinstance(site, EngineSite):
                    site.db.cover(CallContext(), site.called)
            elif what == "rest":
                if isinstance(site, EngineSite):
                    site.rest()
            elif what in INDEXING:
                collection.set_indexing(what)
            else:
                getattr(collection, what)()
            assert site.check() == []

    @precondition(lambda self: self.shared)
    @rule(batch=batches, remote=st.booleans(), seed=seeds, under_way=st.booleans())
    def killed(self, batch: Sequence[Sketch], remote: bool, seed: int, under_way: bool) -> None:
        self.kill(batch, remote, seed, under_way)

    def kill(self, batch: Sequence[Sketch], remote: bool, seed: int, under_way: bool) -> None:
        """The server of the shared directory, before a write and a read or while they are under way; nobody notices."""
        assert self.shared is not None
        Histories.kills += 1
        if not under_way:
            self.shared.kill()
        with self.shared.killed_meanwhile() if under_way else nullcontext():
            self.carry_out(self.fill(batch, self.limited), self.limited, remote)
            self.read(np.random.default_rng(seed))

    @rule(what=st.sampled_from(["alias", "rename", "drop_alias"]), remote=st.booleans())
    def call_otherwise(self, what: str, remote: bool) -> None:
        """The collection gets another name, or one more; what it holds is found by each."""
        for site in self.sites:
            site.call(what, remote)

    @rule(batch=batches, chain=st.booleans(), remote=st.booleans())
    def restore(self, batch: Sequence[Sketch], chain: bool, remote: bool) -> None:
        """The collection is archived, dropped and restored; ``chain``: with what was written after a first archive."""
        self.sweep()
        whole, later = ({site.name: self.folder / f"{site.name}.{i}.vdb" for site in self.sites} for i in range(2))
        for site in self.sites:
            site.archive(whole[site.name], remote)
        if chain:
            self.carry_out(self.fill(batch, self.limited), self.limited, remote)
        for site in self.sites:
            archives = [whole[site.name]]
            if chain:
                site.archive(later[site.name], remote, base=whole[site.name])
                archives.append(later[site.name])
            site.restore(archives, remote)
            self.compare_all(site)
        self.pins.clear()
        self.replicas.clear()  # it is another collection, which has no changes yet
        self.synced = self.model.seq
        self.sent = [replace(sent, steps=[]) for sent in self.sent]  # what was sent before is not remembered

    @rule(seed=seeds, opening=st.booleans())
    def trouble(self, seed: int, opening: bool) -> None:
        """Maintenance stopped at some point, or files damaged before they are loaded."""
        self.sweep()
        rng = np.random.default_rng(seed)
        if opening:
            self.open_damaged(rng, None if rng.random() < 0.5 else str(rng.choice(IN_LOADING)))
        else:
            what = str(rng.choice(["maintain", "compact", "cover"]))
            self.care_stopped(str(rng.choice(IN_CARE)), int(rng.integers(1, 4)), what)

    @rule(seed=seeds, harm=st.booleans())
    def salvage(self, seed: int, harm: bool) -> None:
        """A copy of all files, one damaged at times, is salvaged: what is there is true, what is not is told."""
        self.sweep()
        self.pins.clear()
        rng = np.random.default_rng(seed)
        damaged, made = self.folder / "damaged", self.folder / "made"
        self.engines[0].copy(damaged)
        if harm:
            files = sorted(path for pattern in TRUTH for path in damaged.glob(f"rocksdb/{pattern}"))
            damage(files[rng.integers(len(files))], rng)
        try:
            report = repair(damaged, made, self.model.clock)
            if not report.whole:
                assert harm
                Histories.salvaged += 1
            self.compare_salvaged(made, report)
        except DataLoss:
            assert harm  # nothing at all could be read
        finally:
            for folder in (damaged, made):
                shutil.rmtree(folder, ignore_errors=True)

    def compare_salvaged(self, made: Path, report: RepairReport) -> None:
        """What was salvaged, against what there was."""
        name = self.engines[0].called
        said = next((c for c in report.collections if c.name == name), None)
        if said is None or said.inferred:  # its catalog entry is gone
            assert not report.whole
            return
        db = Database.open(made, OPTIONS["small"], self.model.clock)
        with Client(EmbeddedTransport(db), None) as client:
            if said.stale_name is not None:
                for point in client.collection(said.stale_name).scroll():
                    assert any(
                        point.payload == points[point.id].payload for points in self.history if point.id in points
                    )
            if name not in {info.name for info in client.list_collections()}:
                assert said.problems or not report.certain
                return
            collection = client.collection(name)
            points = {point.id: point for point in collection.scroll(with_vectors=True)}
            salvaged = {i: replace(self.model.points[i], version=point.version) for i, point in points.items()}
            assert all(same(point, salvaged[i]) for i, point in points.items())
            missing = self.model.points.keys() - salvaged.keys()
            assert missing <= set(said.lost) or said.problems
            model = self.model.at(salvaged, collection.stats().seq)
            near = Near(query("plan", 0), "plan")
            result = collection.search(near.vector, using="plan", exact=True, limit=1000, with_vectors=True)
            self.compare(result, model.ranked([near], None, None, 0), model)
            result = collection.search(text=EVERYTHING, limit=1000, with_vectors=True)
            self.compare(result, model.ranked([Words(EVERYTHING)], None, None, 0), model)
            assert client.check() == []

    def care_stopped(self, name: str, nth: int, what: str) -> None:
        """Whatever is stopped half way changes nothing, and is done again some other time."""
        for site in self.engines:
            with stopped(name, nth):
                try:
                    if what == "maintain":
                        site.rest()
                    else:
                        getattr(site.db, what)(CallContext(), site.called)
                except OSError:
                    pass
            assert site.check() == []

    def open_damaged(self, rng: np.random.Generator, name: str | None) -> None:
        """Derived files are damaged or missing, and the first load may fail."""
        self.pins.clear()
        for site in self.sites:
            site.close()
            files = site.derived_files()
            for _ in range(min(len(files), int(rng.integers(0, 3)))):
                damage(files[rng.integers(len(files))], rng)
            site.open()
            if name is not None:
                with stopped(name):
                    try:
                        site.collection().count()
                    except OSError:
                        pass
            assert site.check() == []
            self.compare_all(site)


@contextmanager
def stopped(name: str, nth: int = 1) -> Iterator[None]:
    """Whoever passes ``name`` for the nth time is stopped there by an OSError."""
    failpoint.arm_from_text(f"{name}=raise:{nth}")
    try:
        yield
    finally:
        failpoint.disarm()


def damage(file: Path, rng: np.random.Generator) -> None:
    """Make a file shorter, longer, different or missing."""
    if not file.exists():
        return
    raw = bytearray(file.read_bytes())
    kind = rng.integers(4) if raw else 3
    if kind == 0:
        del raw[int(rng.integers(len(raw))) :]
    elif kind == 1:
        raw += b"\0"
    elif kind == 2:
        raw[int(rng.integers(len(raw)))] ^= 1 << int(rng.integers(8))
    if kind == 3:
        file.unlink()
    else:
        file.write_bytes(raw)


def scroll(collection: Collection, batch: int, filter: Any = None) -> list[Point]:
    """All points that match, as one walk."""
    return list(collection.scroll(filter=filter, batch=batch, with_vectors=True))


def turn_pages(collection: Collection, limit: int, filter: Any = None) -> list[Point]:
    """All points that match, a page after the other."""
    page = collection.page(limit=limit, filter=filter, with_vectors=True)
    found = page.points
    while page.cursor is not None:
        page = collection.page(page.cursor, limit, filter=filter, with_vectors=True)
        assert page.points
        found = [*found, *page.points]
    return found


def _called(vectors: Mapping[str, Any], names: Mapping[str, str | None]) -> dict[str, Any]:
    """Vectors by other names; None: without them."""
    return {new: v for name, v in vectors.items() if (new := names.get(name, name)) is not None}


def tenants(point: Held) -> list[tuple[int, Any]]:
    """The values at ``tenant``, those of an array one by one, in a form that has their order."""
    value = (point.payload or {}).get("tenant", [])
    return [typed(element) for element in (value if isinstance(value, list) else [value])]


def typed(value: Any) -> tuple[int, Any]:
    """Null, then numbers, then strings."""
    return (0, 0) if value is None else (3, value.encode()) if isinstance(value, str) else (2, value)


def query(using: str, seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return vector(np.random.default_rng(seed), using)


def vector(rng: np.random.Generator, using: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Mostly from a coarse grid, so that there are equal vectors and equal scores."""
    dim = field_called(using).dim
    made = rng.normal(size=dim) if rng.random() < 0.3 else rng.integers(-1, 3, size=dim)
    if not made.any():
        made[0] = 1
    return np.asarray(made, dtype=np.float32)


def some_text(rng: np.random.Generator) -> str:
    """Some words of two languages and a number, in any order; at times nothing that can be found."""
    if rng.random() < 0.05:
        return str(rng.choice(["", "?!"]))
    chosen = [*rng.choice(VOCABULARY, int(rng.integers(1, 6))), str(rng.integers(100))]
    return "".join(f"{word} " if word.isascii() else str(word) for word in rng.permutation(chosen)).strip()


def weights(rng: np.random.Generator) -> dict[int, float]:
    """A sparse vector of few dimensions and coarse weights, so that scores are equal at times; it may be empty."""
    indices = rng.choice(8, rng.integers(4), replace=False).tolist()
    return {index: float(one_of(rng, (-1.0, 0.5, 1.0, 2.0))) for index in indices}


def one_of(rng: np.random.Generator, values: Sequence[Any]) -> Any:
    return values[rng.integers(len(values))]


def fill(sketch: Sketch, limited: bool) -> Step:
    """The step that a sketch stands for. A tenant writes its own points only."""
    rng = np.random.default_rng(sketch.seed)
    ids = [POOL[i] for i in sketch.ids]
    if sketch.verb == "insert":
        ids = list(dict.fromkeys(ids))
    if sketch.verb in ("delete", "clear"):
        return Step(sketch.verb, [Given(i, Held()) for i in ids])
    update = sketch.verb == "update"
    chance = rng.choice([0.0, 0.3, 1.0]) if update else rng.choice([0.8, 1.0])
    rows = []
    for i in ids:
        vectors = {name: vector(rng, name) for name in sorted(SCHEMA.vectors) if rng.random() < chance}
        texts = {name: some_text(rng) for name in SCHEMA.texts if rng.random() < 0.4}
        tenant = TENANTS[rng.integers(INSIDE if limited else len(TENANTS))]
        payload: dict[str, Any] | None = {"n": int(rng.integers(1000)) if rng.random() < 0.7 else one_of(rng, NUMBERS)}
        payload |= {key: one_of(rng, HELD) for key in KEYS[1:] if rng.random() < 0.4}
        if tenant is not None:
            payload["tenant"] = tenant
        elif rng.random() < 0.5:
            payload = None
        if update and rng.random() < 0.3:
            payload = None
        sparse = {name: weights(rng) for name in sorted(SCHEMA.sparse) if rng.random() < 0.5}
        rows.append(Given(i, Held(vectors, texts, payload, sparse=sparse)))
    return Step(sketch.verb, rows)
