"""Promise 6: bad input gets an error that says what is wrong and where, and changes nothing; embedded and served."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import orjson
import pytest

import vecdb
from tests.engine.handle import SMALL
from vecdb import Boost, Decay, Mmr, Near, TextField, VectorField, errors
from vecdb.client.calls import Write
from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.transport import Transport
from vecdb.client.transport_embedded import EmbeddedTransport
from vecdb.client.transport_grpc import GrpcTransport
from vecdb.engine.database import Database
from vecdb.errors import VecdbError
from vecdb.model.context import CallContext
from vecdb.model.filter import Text
from vecdb.model.filter.expression import F as Value
from vecdb.model.point import Put, PutMode, Rows, WriteBatch
from vecdb.model.query import Rrf
from vecdb.v1 import columns_pb2, operation_pb2, points_pb2, search_pb2
from vecdb.wire.server import Server, ServerOptions
from vecdb.wire.status import from_rpc

NAN, INF = float("nan"), float("inf")
GOOD = [1.0, 0.0, 0.0, 0.0]
E4 = [GOOD, [0.0, 1.0, 0.0, 0.0]]
VECTORS = "'' | 'dot' | 'image'"
MANY = "x" * (1 << 20)
LARGE = MANY[11:]  # as a payload's only value just small enough
ONE = Value("n") == 1
TTL = "seconds above 0, a timedelta, math.inf or None"


@dataclass(frozen=True)
class Site:
    """One database, reached in this process or over gRPC; nothing may change it."""

    client: Client
    transport: Transport
    database: Database
    address: str

    @property
    def docs(self) -> Collection:
        return self.client.collection("docs")

    def state(self) -> tuple[Any, ...]:
        """All that a refused call must leave as it is."""
        context = CallContext()
        found = self.docs.search(GOOD, limit=100, with_vectors=True, exact=True)
        infos = self.client.list_collections()
        stats = self.database.stats(context, "docs")
        points = list(self.docs.scroll(with_vectors=True))
        commit = self.database.database_stats(context).commit
        return infos, stats.seq, stats.segments, self.docs.count(), found.ids, found.scores.tolist(), points, commit


@pytest.fixture(scope="module", params=["embedded", "grpc"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    database = Database.open(tmp_path_factory.mktemp("bad") / "data", SMALL)
    served = request.param == "grpc"
    server = Server(database, ServerOptions("127.0.0.1:0"))
    server.start()
    transport = GrpcTransport(server.address) if served else EmbeddedTransport(database)
    client = Client(transport, 30)
    client.create_collection(
        "docs",
        dim=4,
        model="e5",
        vectors={"image": VectorField(3, "euclidean"), "dot": VectorField(2, "dot")},
        texts={"title": TextField()},
    )
    client.collection("docs").upsert(["a", "b"], E4, ["one", "two"], [{"n": 1}, {"n": 2}])
    site = Site(client, transport, database, server.address)
    yield site
    assert client.check() == []
    client.close()
    server.stop(grace_s=0)
    database.close()


def refused(site: Site, call: Callable[[], Any]) -> VecdbError:
    """The error of a call that changes nothing."""
    before = site.state()
    with pytest.raises(VecdbError) as caught:
        call()
    assert site.state() == before
    return caught.value


def put(ids: Sequence[Any], *given: Any, **named: Any) -> Callable[[Collection], Any]:
    return lambda docs: docs.upsert(list(ids), *given, **named)


def insert(ids: Sequence[Any], *given: Any, **named: Any) -> Callable[[Collection], Any]:
    return lambda docs: docs.insert(list(ids), *given, **named)


def update(ids: Sequence[Any], *given: Any, **named: Any) -> Callable[[Collection], Any]:
    return lambda docs: docs.update(list(ids), *given, **named)


def search(*given: Any, **named: Any) -> Callable[[Collection], Any]:
    return lambda docs: docs.search(*given, **named)


def batch(*given: Any, **named: Any) -> Callable[[Collection], Any]:
    return lambda docs: docs.search_batch(*given, **named)


def legs(*given: Near, **named: Any) -> Callable[[Collection], Any]:
    return lambda docs: docs.search(legs=given, **named)


D, V, A = errors.DimensionMismatch, errors.InvalidVector, errors.InvalidArgument
F, M, P = errors.FieldNotFound, errors.ModelMismatch, errors.PointExists
OP = "operations[0]."
FINITE, LENGTH = "finite float32 values", "1..512 UTF-8 bytes"

# What is called, and the error: kind, field, expected, received.
Case = tuple[Callable[[Collection], Any], type[VecdbError], str, str, str]
CASES: dict[str, Case] = {
    "dimension of a write": (put("xy", [[1, 2], [1, 2]]), D, OP + 'vectors[""]', "4", "2"),
    "dimension of a named field": (put("x", {"image": [GOOD]}), D, OP + 'vectors["image"]', "3", "4"),
    "dimension of an update": (update("a", [[1, 2]]), D, OP + 'vectors[""]', "4", "2"),
    "dimension of one row": (put("xy", [GOOD, [1, 2]]), D, 'vectors[""][1]', "4", "2"),
    "dimension of a query": (search([1, 2]), D, "legs[0].vectors", "4", "2"),
    "dimension of a leg": (legs(Near(GOOD), Near([1], using="dot")), D, "legs[1].vectors", "2", "1"),
    "dimension of many queries": (batch([[1, 2]] * 3), D, "legs[0].vectors", "4", "2"),
    "NaN": (put("xy", [GOOD, [NAN, 0, 0, 1]]), V, 'vectors[""][1]', FINITE, "nan at position 0"),
    "NaN of an update": (update("ab", [GOOD, [0, 0, NAN, 1]]), V, 'vectors[""][1]', FINITE, "nan at position 2"),
    "infinity": (put("xy", {"image": [None, [1, 2, INF]]}), V, 'vectors["image"][1]', FINITE, "inf at position 2"),
    "beyond float32": (put("x", {"dot": [[1e300, 0]]}), V, 'vectors["dot"][0]', FINITE, "1e+300 at position 0"),
    "too long": (put("x", {"dot": [[1e30, 0]]}), V, OP + 'vectors["dot"][0]', "an L2 norm of at most 1e+15", "1e+30"),
    "NaN in a query": (search([NAN, 0, 0, 1]), V, "vector[0]", FINITE, "nan at position 0"),
    "zero": (put("xy", [GOOD, [0] * 4]), V, OP + 'vectors[""][1]', "a non-zero vector", "all zeros"),
    "zero of an insert": (insert("xy", [GOOD, [0] * 4]), V, OP + 'vectors[""][1]', "a non-zero vector", "all zeros"),
    "zero in a query": (search([0] * 4), V, "legs[0].vectors[0]", "a non-zero vector", "all zeros"),
    "zero in the second": (batch([GOOD, [0] * 4]), V, "legs[0].vectors[1]", "a non-zero vector", "all zeros"),
    "too few vectors": (put("xy", [GOOD]), A, 'vectors[""]', "2 vectors", "1"),
    "too many vectors": (put("x", {"image": [[1, 2, 3]] * 2}), A, 'vectors["image"]', "1 vectors", "2"),
    "too few texts": (put("xy", E4, {"title": ["t"]}), A, 'texts["title"]', "2 texts", "1"),
    "too many payloads": (put("xy", E4, payloads=[{}] * 3), A, "payloads", "2 payloads", "3"),
    "an empty id": (put(["x", ""]), A, OP + "ids[1]", LENGTH, "0 bytes"),
    "a long id": (put(["x", "é" * 257]), A, OP + "ids[1]", LENGTH, "514 bytes"),
    "an id that is not UTF-8": (put(["x", "\ud800"]), A, "ids[1]", "no lone surrogates", "'\\ud800'"),
    "ids that are one text": (lambda docs: docs.upsert("ab"), A, "ids", "a list of ids", "str"),
    "an id of another type": (put(["x", 1.5]), A, "ids[1]", "str, int or uuid.UUID", "float"),
    "an id twice in an insert": (insert("xyx"), A, OP + "ids[2]", "different ids", "'x'"),
    "an id that is taken": (insert("xa"), P, "ids[1]", "an id that does not exist", "'a'"),
    "an empty id to delete": (lambda docs: docs.delete(["a", ""]), A, OP + "ids[1]", LENGTH, "0 bytes"),
    "nothing to delete": (lambda docs: docs.delete(), A, "ids", "ids or filter", "neither"),
    "two ways to delete": (lambda docs: docs.delete(["a"], filter=ONE), A, "ids", "ids or filter", "both"),
    "nothing to update": (lambda docs: docs.update(payloads={}), A, "ids", "ids or filter", "neither"),
    "vectors by filter": (
        *(lambda docs: docs.update(vectors=[GOOD], filter=ONE), A),
        *("vectors", "None", "vectors"),
    ),
    "a change by filter that is none": (
        *(lambda docs: docs.update(filter=ONE), A),
        *("payloads", "payloads, unset or ttl", "none"),
    ),
    "a condition by filter": (
        *(lambda docs: docs.delete(filter=ONE, if_exists=True), A),
        *("if_exists", "ids", "filter"),
    ),
    "a filter by an unknown text": (
        *(lambda docs: docs.delete(filter=Text("x", "word")), F),
        *(OP + "filter.$text", "'' | 'title'", "'x'"),
    ),
    "a delete of whatever there is": (
        *(lambda docs: docs.delete(filter=Value("$id").exists()), A),
        *(OP + "filter", "a condition, or a clear", "none"),
    ),
    "an unknown payload mode": (
        *(lambda docs: docs.update(["a"], payloads=[{}], payload_mode="add"), A),
        *("payload_mode", "merge | replace", "'add'"),
    ),
    "a payload that a merge makes too large": (
        *(lambda docs: docs.update(["a", "b"], payloads=[{}, {"more": LARGE}]), A),
        *("ids[1]", "<= 1048576 bytes", "1048582 bytes"),
    ),
    "a time to live of nothing": (put("xy", ttl=[1, 0]), A, "ttl[1]", TTL, "0"),
    "a time to live that is past": (put("x", ttl=-1.5), A, "ttl", TTL, "-1.5"),
    "too few times to live": (put("xy", ttl=[1]), A, "ttl", "2 times to live", "1"),
    "versions of too few": (put("xy", if_version=[1]), A, "if_version", "2 versions", "1"),
    "a version that is negative": (
        *(put("x", if_version=-1), A),
        *("if_version", "0..18446744073709551615", "-1"),
    ),
    "conditions that exclude each other": (
        *(put("x", if_absent=True, if_exists=True), A),
        *(OP + "condition", "absent alone", "absent and another condition"),
    ),
    "an empty id to get": (lambda docs: docs.get(["a", ""]), A, "ids[1]", LENGTH, "0 bytes"),
    "a long id to look for": (lambda docs: docs.exists(["x" * 513]), A, "ids[0]", LENGTH, "513 bytes"),
    "a payload that is a list": (put("xy", payloads=[{}, [1]]), A, "payloads[1]", "a dict", "list"),
    "a payload with NaN": (put("x", payloads=[{"n": NAN}]), A, "payloads[0]", "finite numbers", "nan"),
    "a large payload": (
        *(put("xy", payloads=[{}, {"n": MANY}]), A),
        *(OP + "payloads[1]", "<= 1048576 bytes", "1048584 bytes"),
    ),
    "a large payload of an update": (
        *(update("a", payloads=[{"n": MANY}]), A),
        *(OP + "payloads[0]", "<= 1048576 bytes", "1048584 bytes"),
    ),
    "a large text": (
        *(put("xy", texts=["a", 8 * MANY + "x"]), A),
        *(OP + 'texts[""][1]', "<= 8388608 bytes", "8388609 bytes"),
    ),
    "a text that is not UTF-8": (put("x", texts=["\udfff"]), A, 'texts[""][0]', "no lone surrogates", "'\\udfff'"),
    "limit 0": (search(GOOD, limit=0), A, "limit", ">= 1", "0"),
    "limit -1": (search(GOOD, limit=-1), A, "limit", ">= 1", "-1"),
    "limit beyond its bound": (search(GOOD, limit=10_001), A, "limit", "offset + limit <= 10000", "10001"),
    "limit that is no number": (search(GOOD, limit=1.5), A, "limit", "int", "1.5"),
    "limit 0 of many": (batch([GOOD], limit=0), A, "limit", ">= 1", "0"),
    "offset -1": (search(GOOD, offset=-1), A, "offset", ">= 0", "-1"),
    "offset beyond its bound": (search(GOOD, offset=9_991), A, "limit", "offset + limit <= 10000", "10001"),
    "page 0": (lambda docs: list(docs.scroll(batch=0)), A, "batch", "1..10000", "0"),
    "page beyond its bound": (lambda docs: list(docs.scroll(batch=10_001)), A, "batch", "1..10000", "10001"),
    "ef 0": (search(GOOD, ef=0), A, "ef", "1..10000", "0"),
    "ef beyond its bound": (search(GOOD, ef=10_001), A, "ef", "1..10000", "10001"),
    "min_score": (search(GOOD, min_score=NAN), A, "min_score", "a finite number", "nan"),
    "no legs": (legs(), A, "legs", "1..16", "0"),
    "seventeen legs": (legs(*[Near(GOOD)] * 17), A, "legs", "1..16", "17"),
    "a weight of 0": (legs(Near(GOOD), Near(GOOD, weight=0)), A, "legs[1].weight", "> 0", "0.0"),
    "fusion": (legs(Near(GOOD), Near(GOOD), fusion=Rrf(0)), A, "fusion.k", ">= 1", "0"),
    "modifiers": (search(GOOD, modifiers=[Boost("n", 1)] * 17), A, "modifiers", "<= 16", "17"),
    "a boost by id": (search(GOOD, modifiers=Boost("$id", 1)), A, "modifiers[0].key", "a path of the payload", "$id"),
    "an endless boost": (search(GOOD, modifiers=Boost("n", INF)), A, "modifiers[0].weight", "a finite number", "inf"),
    "half": (search(GOOD, modifiers=[Boost("n", 1), Decay("n", 0, 1)]), A, "modifiers[1].half", "> 0", "0.0"),
    "a share of what lacks it": (
        search(GOOD, modifiers=Decay("n", 1, 1, missing=2)),
        A,
        "modifiers[0].missing",
        "0..1",
        "2.0",
    ),
    "mmr": (search(GOOD, mmr=1.5), A, "mmr.relevance", "0..1", "1.5"),
    "mmr by an unknown field": (search(GOOD, mmr=Mmr(0.5, using="no")), F, "mmr.using", VECTORS, "'no'"),
    "mmr of too many": (search(GOOD, mmr=Mmr(0.5, 1_001)), A, "mmr.candidates", "1..1000", "1001"),
    "mmr in groups": (search(GOOD, mmr=0.5, group_by="n"), A, "mmr", "mmr or group_by", "both"),
    "unknown field of a write": (put("x", {"no": [GOOD]}), F, OP + 'vectors["no"]', VECTORS, "'no'"),
    "unknown text field": (put("x", texts={"no": ["a"]}), F, OP + 'texts["no"]', "'' | 'title'", "'no'"),
    "unknown field of a search": (search(GOOD, using="no"), F, "legs[0].using", VECTORS, "'no'"),
    "unknown field of a leg": (legs(Near(GOOD), Near(GOOD, using="no")), F, "legs[1].using", VECTORS, "'no'"),
    "another model to write": (put("x", [GOOD], model="bge"), M, OP + 'models[""]', "e5", "bge"),
    "another model to search": (search(GOOD, model="bge"), M, "legs[0].model", "e5", "bge"),
    "durability": (put("x", [GOOD], durability="never"), A, "durability", "fsync | os", "'never'"),
    "a long request id": (put("x", [GOOD], request_id=b"x" * 65), A, "request_id", "1..64 bytes", repr(b"x" * 65)),
    "mode": (lambda docs: docs.set_indexing("never"), A, "mode", "auto | deferred", "'never'"),
    "the second of a batch": (
        *(lambda docs: docs.write([vecdb.Clear(), vecdb.Upsert(["x"], [GOOD]), vecdb.Insert(["y"], [[1]])]), D),
        *('operations[2].vectors[""]', "4", "1"),
    ),
    "the last of a batch": (
        *(lambda docs: docs.write([vecdb.Delete(["a"]), vecdb.Upsert([*"xy"], [GOOD])]), A),
        *('operations[1].vectors[""]', "2 vectors", "1"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_call_on_a_collection(site: Site, name: str) -> None:
    call, kind, field, expected, received = CASES[name]
    error = refused(site, lambda: call(site.docs))
    assert (type(error), error.reason) == (kind, kind.reason)
    assert (error.field, error.expected, error.received) == (field, expected, received)
    assert error.message
    assert error.retry_after_s is None


C, X = errors.CollectionNotFound, errors.CollectionExists
THERE, NAME = "an existing collection", "[A-Za-z0-9._-]{1,128}"
ANY: dict[str, tuple[Callable[[Client], Any], type[VecdbError], str, str, str]] = {
    "count": (lambda db: db.collection("no").count(), C, "collection", THERE, "'no'"),
    "write": (lambda db: db.collection("no").upsert(["x"]), C, "collection", THERE, "'no'"),
    "search": (lambda db: db.collection("no").search(GOOD), C, "collection", THERE, "'no'"),
    "scroll": (lambda db: list(db.collection("no").scroll()), C, "collection", THERE, "'no'"),
    "stats": (lambda db: db.collection("no").stats(), C, "collection", THERE, "'no'"),
    "compact": (lambda db: db.collection("no").compact(), C, "collection", THERE, "'no'"),
    "drop": (lambda db: db.drop_collection("no"), C, "collection", THERE, "'no'"),
    "existing": (lambda db: db.create_collection("docs", dim=4), X, "name", "a new name", "'docs'"),
    "bad name": (lambda db: db.create_collection("a b", dim=4), A, "name", NAME, "'a b'"),
    "no name": (lambda db: db.create_collection("", dim=4), A, "name", NAME, "''"),
    "long name": (lambda db: db.collection("x" * 129), A, "name", NAME, repr("x" * 129)),
    "dim 0": (lambda db: db.create_collection("new", dim=0), A, 'vectors[""].dim', "1..65536", "0"),
    "dim 65,537": (lambda db: db.create_collection("new", dim=65_537), A, 'vectors[""].dim', "1..65536", "65537"),
    "metric": (
        *(lambda db: db.create_collection("new", dim=2, metric="manhattan"), A),  # type: ignore[arg-type]
        *('vectors[""].metric', "cosine | euclidean | dot", "'manhattan'"),
    ),
    "m": (lambda db: db.create_collection("new", dim=2, m=1), A, 'vectors[""].m', "2..128", "1"),
}


@pytest.mark.parametrize("name", ANY)
def test_a_call_on_the_database(site: Site, name: str) -> None:
    call, kind, field, expected, received = ANY[name]
    error = refused(site, lambda: call(site.client))
    assert (type(error), error.reason) == (kind, kind.reason)
    assert (error.field, error.expected, error.received) == (field, expected, received)


def test_another_schema_is_told_from_the_one_there_is(site: Site) -> None:
    error = refused(site, lambda: site.client.create_collection("docs", dim=5, exist_ok=True))
    assert (type(error), error.field) == (X, "name")
    assert "dim=4" in (error.expected or "")
    assert "dim=5" in (error.received or "")


@pytest.mark.parametrize(
    ("payload", "received"),
    [(b"{'n': 1}", "unexpected"), (b"", "empty"), (b"[1]", "list"), (b"null", "NoneType"), (b'{"a":"\xff"}', "UTF-8")],
)
def test_a_payload_that_is_no_json_object(site: Site, payload: bytes, received: str) -> None:
    """As another client may send it: ours encodes payloads itself."""
    write = WriteBatch([Put(PutMode.UPSERT, Rows(["x", "y"], payloads=[b"{}", payload]))])
    error = refused(site, lambda: site.transport.send(Write("docs", write, b"request"), 30))
    assert (type(error), error.field) == (A, OP + "payloads[1]")
    assert error.expected == "a JSON object"
    assert received in (error.received or "")


def vectors(data: Any, dim: int = 4) -> columns_pb2.Vectors:
    return columns_pb2.Vectors(dim=dim, data=np.asarray(data, dtype="<f4").tobytes())


def message(**columns: Any) -> bytes:
    """A write of two points, as bytes."""
    put = operation_pb2.Put(**{"mode": operation_pb2.PUT_MODE_UPSERT, "ids": ["x", "y"], **columns})
    operation = operation_pb2.Operation(put=put)
    found: bytes = points_pb2.WriteRequest(collection="docs", operations=[operation]).SerializeToString()
    return found


def of_field(**about: Any) -> dict[str, Any]:
    return {"vectors": [columns_pb2.VectorColumn(**about)]}


WRITE, SEARCH, SCROLL = "PointsService/Write", "SearchService/Search", "PointsService/Scroll"
BYTES = [WRITE, SEARCH, SCROLL, "PointsService/Get", "CollectionsService/CreateCollection", "AdminService/Stats"]
RAW: dict[str, tuple[str, bytes, str | None]] = {
    **{f"nothing that parses to {method}": (method, b"\xff\xff\xff", None) for method in BYTES},
    "an id that is not UTF-8": (WRITE, message().replace(b"\x01x", b"\x01\xff"), None),
    "a message cut short": (WRITE, message(**of_field(vectors=vectors(E4)))[:-3], None),
    "fewer vectors": (WRITE, message(**of_field(vectors=vectors([GOOD]))), OP + 'vectors[""]'),
    "more vectors": (WRITE, message(**of_field(vectors=vectors([GOOD] * 3))), OP + 'vectors[""]'),
    "half a vector": (WRITE, message(**of_field(vectors=vectors([1.0] * 6))), OP + 'vectors[""].vectors.data'),
    "NaN": (WRITE, message(**of_field(vectors=vectors([GOOD, [NAN] * 4]))), OP + 'vectors[""][1]'),
    "zero": (WRITE, message(**of_field(vectors=vectors([GOOD, [0] * 4]))), OP + 'vectors[""][1]'),
    "row positions": (WRITE, message(**of_field(vectors=vectors(E4), rows=[1, 0])), OP + 'vectors[""].rows'),
    "fewer texts": (WRITE, message(texts=[columns_pb2.TextColumn(values=["t"])]), OP + 'texts[""]'),
    "more payloads": (WRITE, message(payloads=columns_pb2.PayloadColumn(values=[b"{}"] * 3)), OP + "payloads"),
    "no mode": (WRITE, message(mode=0), OP + "mode"),
    "a page beyond its bound": (
        *(SCROLL, points_pb2.ScrollRequest(collection="docs", limit=10_001).SerializeToString()),
        "limit",
    ),
    "no legs": (SEARCH, search_pb2.SearchRequest(collection="docs").SerializeToString(), "legs"),
}


@pytest.mark.parametrize("site", ["grpc"], indirect=True)
@pytest.mark.parametrize("name", RAW)
def test_a_message(site: Site, name: str) -> None:
    """As bytes, which no client of ours would send: never UNKNOWN or INTERNAL."""
    method, raw, field = RAW[name]
    with grpc.insecure_channel(site.address) as channel:
        before = site.state()
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"/vecdb.v1.{method}")(raw, timeout=30)
        assert site.state() == before
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    error = from_rpc(caught.value)
    assert error.reason in ("INVALID_ARGUMENT", "INVALID_VECTOR")
    assert error.field == field
    assert error.expected
    assert error.received


# -- data directories --


def open_and_close(path: Path) -> None:
    Database.open(path, SMALL).close()


def test_a_directory_in_use(tmp_path: Path) -> None:
    """By this process or another: the error names it."""
    with vecdb.open(tmp_path / "data") as db:
        db.create_collection("docs", dim=4).upsert(["a"], [GOOD])
        with pytest.raises(errors.DataDirInUse) as caught:
            vecdb.open(tmp_path / "data")
        (pid,) = (tmp_path / "data" / "LOCK.pid").read_text().split()
        assert f"pid {pid}" in (caught.value.received or "")
        assert (tmp_path / "data" / "LOCK.pid").read_text().split() == [pid]
        assert db.collection("docs").count() == 1
        assert db.collection("docs").upsert(["b"], [GOOD]).count == 1
    open_and_close(tmp_path / "data")


def test_a_directory_in_use_by_another_process(tmp_path: Path) -> None:
    holds = "import sys, vecdb; vecdb.open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", holds, str(tmp_path / "data")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(errors.DataDirInUse, match=f"process {other.pid}") as caught:
            vecdb.open(tmp_path / "data")
        assert caught.value.reason == "DATA_DIR_IN_USE"
        other.communicate("")
    open_and_close(tmp_path / "data")


@pytest.mark.parametrize("path", ["/proc/vecdb", "/proc/self/status"])
def test_a_directory_that_cannot_be_written(path: str) -> None:
    with pytest.raises(errors.DataDirUnusable) as caught:
        vecdb.open(path)
    error = caught.value
    assert error.reason == "DATA_DIR_UNUSABLE"
    assert path in error.message
    assert error.expected
    assert error.received


def test_a_directory_of_a_newer_format(tmp_path: Path) -> None:
    open_and_close(tmp_path)
    marker = tmp_path / "vecdb.json"
    document = orjson.loads(marker.read_bytes())
    marker.write_bytes(orjson.dumps({**document, "format": 999}))
    before = sorted((path.name, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.name != "LOCK.pid")
    with pytest.raises(errors.FormatTooNew) as caught:
        vecdb.open(tmp_path)
    assert (caught.value.reason, caught.value.received) == ("FORMAT_TOO_NEW", "format 999")
    assert f"format 1..{document['format']}" in (caught.value.expected or "")
    after = sorted((path.name, path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.name != "LOCK.pid")
    assert after == before
    marker.write_bytes(orjson.dumps(document))
    open_and_close(tmp_path)


def test_a_directory_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("42")
    with pytest.raises(errors.DataDirUnusable) as caught:
        vecdb.open(tmp_path)
    assert "not a vecdb data directory" in caught.value.message
    assert "'thesis.txt'" in (caught.value.received or "")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_marker_that_is_damaged(tmp_path: Path) -> None:
    open_and_close(tmp_path)
    (tmp_path / "vecdb.json").write_bytes(b'{"format": ')
    with pytest.raises(errors.DataLoss, match=r"vecdb\.json"):
        vecdb.open(tmp_path)


@pytest.mark.parametrize(
    ("options", "field"),
    [({"durability": "never"}, "durability"), ({"growing_rows": 0}, "growing_rows"), ({"speed": 11}, "options")],
)
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        vecdb.open(tmp_path / "data", **options)
    assert caught.value.field == field
    assert caught.value.expected
    assert caught.value.received
    assert not (tmp_path / "data").exists()
