"""Following a collection's changes with a client, over every transport."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from vecdb import ChangesGone, CollectionNotFound, F, InvalidArgument, SparseField, Unimplemented, VectorField
from vecdb.client import feed
from vecdb.client.client import Client
from vecdb.client.collection import Collection
from vecdb.client.transport_embedded import EmbeddedTransport, open_database
from vecdb.client.transport_grpc import GrpcTransport
from vecdb.errors import Closed, ResourceExhausted
from vecdb.model.info import FEATURES, ServerInfo
from vecdb.wire import points_service
from vecdb.wire.server import Server, ServerOptions


def state(docs: Collection) -> list[Any]:
    return [
        (p.id, p.payload, dict(p.texts), {n: v.tolist() for n, v in p.vectors.items()}, dict(p.sparse))
        for p in docs.scroll(with_vectors=True)
    ]


def test_a_replica_is_four_lines(db: Client, rng: np.random.Generator) -> None:
    """Vectors, sparse vectors, texts, payloads to the byte; what is applied twice does no harm."""
    fields: dict[str, Any] = {"vectors": {"image": VectorField(3)}, "sparse": {"": SparseField()}}
    docs = db.create_collection("source", dim=4, **fields)
    replica = db.create_collection("replica", dim=4, **fields)
    token = docs.change_token()
    docs.upsert(
        ids=["a", "b", "c"],
        vectors={"": rng.normal(size=(3, 4)), "image": [None, rng.normal(size=3), None]},
        texts=["one", None, "three"],
        payloads=[{"n": 2**63, "x": 1.0}, None, {"k": ["数据"]}],
        sparse=[{1: 0.5}, None, {2**31: 2.0}],
    )
    docs.update(["a"], payloads=[{"y": True}])
    docs.delete(["b"])
    docs.write([vecdb.Delete(filter=F("k") == "数据"), vecdb.Upsert(["d"], texts=["four"])])
    for _ in range(2):
        for change in docs.changes(token):
            replica.write(change.operations())
        assert state(replica) == state(docs)
        assert [p.id for p in replica.scroll()] == ["a", "d"]


def test_it_ends_with_the_newest_change_and_goes_on_from_there(docs: Collection) -> None:
    docs.upsert(["a"], payloads=[{"n": 1}])
    began = datetime.now(UTC)
    walk = docs.changes("oldest")
    assert walk.token is None
    (first,) = walk
    assert isinstance(first, vecdb.Change)
    assert (first.ids, first.deleted, first.last, first.points[0].payload) == (["a"], [], True, {"n": 1})
    assert abs(first.time - began) < timedelta(minutes=1)
    assert walk.token == first.token == docs.change_token()
    docs.delete(["a"])
    (second,) = docs.changes(first.token)
    assert (second.points, second.deleted, second.seq) == ([], ["a"], first.seq + 1)
    assert list(docs.changes(second.token)) == list(docs.changes("now")) == []
    assert repr(second) == f"Change(seq={second.seq}, points=0, deleted=1)"


def test_limit_counts_batches(docs: Collection) -> None:
    for i in range(5):
        docs.upsert([str(i)])
    walk = docs.changes("oldest", limit=2)
    assert [change.ids for change in walk] == [["0"], ["1"]]
    assert [change.ids for change in docs.changes(walk.token)] == [["2"], ["3"], ["4"]]
    assert list(walk) == []


def test_a_large_batch_comes_in_parts_that_apply(db: Client, docs: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vecdb.wire.convert.feed.PAGE_BYTES", 2_000)
    monkeypatch.setattr(feed, "FeedRequest", lambda *given: feed_request(*given, max_bytes=2_000))
    from vecdb.model.feed import FeedRequest as feed_request

    replica = db.create_collection("replica", dim=4)
    docs.upsert(ids=range(200), vectors=np.ones((200, 4)))
    docs.delete(ids=range(150))
    told = list(docs.changes("oldest"))
    assert len(told) > 6
    assert {change.seq for change in told if change.last} == {1, 2}
    assert len([change for change in told if change.last]) == 2
    for change in told:
        replica.write(change.operations())
    assert state(replica) == state(docs)
    assert len(list(docs.changes("oldest", limit=1))) == len([change for change in told if change.seq == 1])


def test_a_follower_gets_what_comes(docs: Collection) -> None:
    """It is waiting when the write comes, and ends after its patience."""
    docs.upsert(["before"])
    walk = docs.changes(docs.change_token(), follow=True, limit=2)
    seen: list[list[str]] = []
    follower = threading.Thread(target=lambda: seen.extend(change.ids for change in walk))
    follower.start()
    docs.upsert(["a"])
    docs.delete(["a"])
    follower.join(30)
    assert seen == [["a"], ["a"]]
    assert list(docs.changes(follow=True, timeout=0)) == []


def test_points_that_expire_keep_their_time(db: Client, docs: Collection) -> None:
    replica = db.create_collection("replica", dim=4, ttl=1_000)
    docs.upsert(["short", "long", "ever"], ttl=[100, 10_000, None])
    (change,) = docs.changes("oldest")
    replica.write(change.operations())
    (copied,) = replica.changes("oldest")
    assert copied.expires_at[2] == change.expires_at[2] == 0
    assert np.all(np.abs(copied.expires_at - change.expires_at) < 60_000)


def test_one_that_has_expired_is_gone_in_the_replica_too(db: Client, docs: Collection) -> None:
    replica = db.create_collection("replica", dim=4)
    docs.upsert(["a", "b"])
    (change,) = docs.changes("oldest")
    late = replace(change, expires_at=np.array([1, 0]))
    replica.write(late.operations())
    (copied,) = replica.changes("oldest")
    assert (copied.expires_at > 1_600_000_000_000).tolist() == [True, False]


def test_what_is_gone_is_refused_by_name(docs: Collection) -> None:
    docs.upsert(["a"])
    token = docs.change_token()
    docs.delete(["a"])
    docs.compact()
    with pytest.raises(ChangesGone) as gone:
        list(docs.changes(token))
    assert gone.value.reason == "CHANGES_GONE"
    assert gone.value.expected is not None
    assert gone.value.expected.startswith(docs.change_token())


def test_bad_places_and_bounds(docs: Collection) -> None:
    for after in (None, 7, "", "x:y:z"):
        with pytest.raises(InvalidArgument, match="after"):
            docs.changes(after)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="limit"):
        docs.changes(limit=0)
    with pytest.raises(InvalidArgument, match="timeout"):
        docs.changes(follow=True, timeout=-1)
    with pytest.raises(InvalidArgument, match="another database"):
        list(docs.changes("f" * 32 + ":1:0"))


def test_no_collection(db: Client) -> None:
    with pytest.raises(CollectionNotFound):
        list(db.collection("none").changes("oldest"))


# -- at a server

Serve = Callable[..., Client]


@pytest.fixture
def serve(tmp_path: Path) -> Any:
    database = open_database(tmp_path / "served", {})
    running: list[Server] = []
    clients: list[Client] = []

    def start(scope_of: Any = None, **options: Any) -> Client:
        running.append(Server(database, ServerOptions(address="127.0.0.1:0", **options), scope_of))
        running[-1].start()
        clients.append(Client(GrpcTransport(running[-1].address), 30))
        return clients[-1]

    start.servers = running  # type: ignore[attr-defined]
    start.database = database  # type: ignore[attr-defined]
    yield start
    for client in clients:
        client.close()
    for server in running:
        server.stop(grace_s=0)
    database.close()


def followers(serve: Any) -> Callable[[], int]:
    (collection,) = serve.database._opened()
    return lambda: int(collection.followers)


def waiting(docs: Collection, count: Callable[[], int], outcome: list[Any]) -> threading.Thread:
    """A follower that is waiting at the server when this returns."""

    def work() -> None:
        try:
            outcome.extend(docs.changes(token, follow=True, limit=1))
        except vecdb.VecdbError as error:
            outcome.append(error)

    token, before = docs.change_token(), count()
    thread = threading.Thread(target=work)
    thread.start()
    while count() == before:
        assert thread.is_alive()
        threading.Event().wait(0.001)
    return thread


def test_followers_are_bounded(serve: Any) -> None:
    docs = serve(max_followers=1).create_collection("docs")
    outcome: list[Any] = []
    docs.upsert(["a"])
    thread = waiting(docs, followers(serve), outcome)
    with pytest.raises(ResourceExhausted, match="follow changes"):
        docs.change_token()
    assert docs.count() == 1
    docs.upsert(["b"])
    thread.join(30)
    assert [change.ids for change in outcome] == [["b"]]


def test_a_closed_client_ends_its_followers_and_frees_their_places(serve: Any) -> None:
    client = serve()
    docs = client.create_collection("docs")
    outcome: list[Any] = []
    docs.upsert(["a"])
    count = followers(serve)
    thread = waiting(docs, count, outcome)
    client.close()
    thread.join(30)
    assert isinstance(outcome[0], Closed)
    while count():
        threading.Event().wait(0.001)


def test_a_dropped_collection_ends_its_followers(serve: Any) -> None:
    client = serve()
    docs = client.create_collection("docs")
    docs.upsert(["a"])
    outcome: list[Any] = []
    thread = waiting(docs, followers(serve), outcome)
    client.drop_collection("docs")
    thread.join(30)
    assert isinstance(outcome[0], CollectionNotFound)


def test_a_server_that_stops_does_not_wait_for_followers(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points_service, "MAX_FOLLOW_S", 3_600.0)
    monkeypatch.setattr(feed, "WAIT_S", 3_600.0)
    client = serve()
    docs = client.create_collection("docs")
    docs.upsert(["a"])
    outcome: list[Any] = []
    count = followers(serve)
    thread = waiting(docs, count, outcome)
    stopping = threading.Thread(target=lambda: serve.servers[0].stop(grace_s=3_600))
    stopping.start()
    stopping.join(30)
    assert not stopping.is_alive()
    assert count() == 0
    client.close()  # who would else look for a server for three seconds
    thread.join(30)
    assert isinstance(outcome[0], vecdb.VecdbError)


def test_more_than_a_page_of_one_batch_comes_over_grpc(serve: Any, rng: np.random.Generator) -> None:
    """12 MB, of which no message has more than about 8."""
    docs = serve().create_collection("docs", dim=1024)
    given = rng.normal(size=(3000, 1024)).astype(np.float32)
    docs.upsert(range(3000), given)
    first, second = docs.changes("oldest")
    assert (first.last, second.last) == (False, True)
    assert max(len(first.columns), len(second.columns)) < 2_100
    got = np.concatenate([change.columns.vectors[""].data for change in (first, second)])
    assert np.array_equal(got, given)


def test_an_older_server_is_refused_by_name(serve: Any) -> None:
    older = ServerInfo(features=tuple(f for f in FEATURES if f != "points.changes"))
    docs = serve(info=older).create_collection("docs")
    with pytest.raises(Unimplemented, match=r"points\.changes"):
        docs.change_token()


def test_a_scope_holds_for_followers(serve: Any) -> None:
    inside = serve(lambda metadata: F("tenant") == "a").collection("docs")
    docs = serve().create_collection("docs")
    docs.upsert(["mine", "theirs"], payloads=[{"tenant": "a"}, {"tenant": "b"}])
    docs.update(["mine"], payloads=[{"tenant": "b"}])
    docs.delete(["theirs"])
    walk = inside.changes("oldest")
    assert [(change.columns.ids, change.deleted) for change in walk] == [(["mine"], []), ([], ["mine"])]
    assert walk.token == docs.change_token()


def test_many_follow_in_one_event_loop_while_others_read(tmp_path: Path) -> None:
    """In this process a waiting follower holds a thread; reads have their own."""

    async def work() -> list[list[str]]:
        async with vecdb.open_async(tmp_path / "data") as db:
            docs = await db.create_collection("docs")
            token = await docs.change_token()

            async def one() -> list[str]:
                return [i async for change in docs.changes(token, follow=True, limit=1) for i in change.ids]

            tasks = [asyncio.create_task(one()) for _ in range(8)]
            await asyncio.sleep(0)
            assert await docs.count() == 0
            await docs.upsert(["a"])
            return await asyncio.gather(*tasks)

    assert asyncio.run(work()) == [["a"]] * 8


def test_embedded_followers_end_with_their_client(tmp_path: Path) -> None:
    database = open_database(tmp_path / "data", {})
    client = Client(EmbeddedTransport(database), 30)
    docs = client.create_collection("docs")
    docs.upsert(["a"])
    (collection,) = database._opened()
    outcome: list[Any] = []
    thread = waiting(docs, lambda: collection.followers, outcome)
    client.close()
    thread.join(30)
    assert isinstance(outcome[0], Closed)
