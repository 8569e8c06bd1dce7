"""How searches by words, and what goes with them, are put together; and what is refused before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from tests.client.test_searches import DEFAULTS, search
from vecdb import Boost, Decay, DistributionScore, F, Highlight, Mmr, Near, Query, RelativeScore, errors
from vecdb import Keyword as Leg
from vecdb.client import rpc, searching, split
from vecdb.client.calls import Analyze, ChangeSchema, CreateCollection, Search
from vecdb.model import modifier
from vecdb.model.fusion import Rrf
from vecdb.model.keyword import Keyword
from vecdb.model.query import SearchRequest
from vecdb.model.schema import Schema, TextField, VectorField
from vecdb.model.schema_change import AddTextField as Added
from vecdb.model.schema_change import SetTextField


def batch(vectors: object = None, **more: object) -> SearchRequest | None:
    return searching.search_batch(vectors, **{**DEFAULTS, **more})


def test_a_text_is_one_leg() -> None:
    assert search(text="+a -b").legs == [Keyword(["+a -b"])]
    assert search(text="a", fields="title").legs == [Keyword(["a"], {"title": 1.0})]
    assert search(text="a", fields=["title", ""]).legs == [Keyword(["a"], {"title": 1.0, "": 1.0})]
    assert search(text="a", fields={"title": 2, "": np.float32(0.5)}).legs == [Keyword(["a"], {"title": 2.0, "": 0.5})]


def test_a_query_is_in_the_language() -> None:
    assert search(text=Query("+a", fuzzy=1, fields={"t": 3})).legs == [Keyword(["+a"], {"t": 3.0}, True, 1)]


def test_a_vector_and_a_text_are_two_legs_in_this_order() -> None:
    near, words = search([1, 2], text="a", using="image", model="clip").legs
    assert (near.vectors.tolist(), near.using, near.model) == ([[1, 2]], "image", "clip")
    assert words == Keyword(["a"])
    by_id, words = search(id=1, unlike=[2], text="a").legs
    assert (by_id.examples[0].positive, by_id.examples[0].negative, words) == (["1"], ["2"], Keyword(["a"]))


def test_legs_of_both_kinds() -> None:
    where = F("a") == 1
    request = search(
        legs=[Leg("a", "t", 2, weight=3, depth=7, filter=where), Near([1]), Leg(Query("b*"))], fusion=RelativeScore()
    )
    assert request.legs[0] == Keyword(["a"], {"t": 1.0}, False, 2, 3.0, 7, where)
    assert request.legs[2] == Keyword(["b*"], language=True)
    assert request.fusion == RelativeScore()
    assert search([1], text="a").fusion == Rrf(60)
    assert search([1], text="a", fusion=DistributionScore()).fusion == DistributionScore()


def test_a_batch_of_texts() -> None:
    assert batch(texts=["a", "b"], fields="t").legs == [Keyword(["a", "b"], {"t": 1.0})]
    assert batch(texts=np.array(["a", "b"])).legs == [Keyword(["a", "b"])]
    assert batch(texts=(Query(t, 1) for t in "ab")).legs == [Keyword(["a", "b"], None, True, 1)]
    near, words = batch(np.ones((2, 3)), texts=["a", "b"]).legs
    assert (near.vectors.shape, words) == ((2, 3), Keyword(["a", "b"]))
    assert batch(ids=["x"], texts=["a"]).queries == 1
    assert batch(texts=[]) is None
    assert batch([], texts=[]) is None


def test_a_batch_of_texts_is_split_by_bytes_and_by_snippets() -> None:
    request = batch(texts=["字" * 1000] * 100, limit=1)
    parts = split.queries(request, split.MESSAGE_OVERHEAD + 40_000, 10_000)
    assert [part.queries for part in parts] == [13] * 7 + [9]
    assert [text for part in parts for text in part.legs[0].texts] == request.legs[0].texts
    long = batch([[1.0]] * 250, texts=["x" * 10_000] * 250, limit=1)
    assert [part.queries for part in split.queries(long, 64 << 20, 100_000)] == [100, 100, 50]
    shown = batch(texts=["a"] * 100, limit=100, highlight=Highlight(1_000, 10))
    parts = split.queries(shown, 64 << 20, 100_000)
    assert len(parts) > 4
    assert all(part.queries * 100 * 1_000 * 10 * 4 < 64 << 20 for part in parts)


def test_what_goes_with_a_search() -> None:
    assert search(text="a", highlight=True).highlight == Highlight(160, 1)
    assert search(text="a", highlight=Highlight(50, 3)).highlight == Highlight(50, 3)
    assert search(text="a", highlight=False).highlight is None
    assert search(text="a", mmr=0.5).mmr == Mmr(0.5)
    assert search(text="a", mmr=Mmr(1, 10, "image")).mmr == Mmr(1.0, 10, "image")
    plain = search(text="a")
    assert (plain.highlight, plain.mmr, plain.modifiers) == (None, None, [])


DAY_MS = 86_400_000.0
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (Decay("at", "30d"), modifier.Decay(("at",), 30 * DAY_MS)),
        (Decay("at", timedelta(days=30)), modifier.Decay(("at",), 30 * DAY_MS)),
        (Decay("a.b", 86_400), modifier.Decay(("a", "b"), DAY_MS)),
        (Decay(["a.b"], "1.5 h", plateau="2m"), modifier.Decay(("a.b",), 5_400_000.0, None, 120_000.0)),
        (Decay("at", "1w", "2026-01-01T00:00:00Z"), modifier.Decay(("at",), 7 * DAY_MS, "2026-01-01T00:00:00Z")),
        (Decay("at", "1s", NOON), modifier.Decay(("at",), 1_000.0, "2026-05-01T12:00:00Z")),
        (
            Decay("at", "1ms", NOON.astimezone(timezone(timedelta(hours=8)))),
            modifier.Decay(("at",), 1.0, "2026-05-01T12:00:00Z"),
        ),
        (Decay("price", 5, origin=10, plateau=2, missing=0), modifier.Decay(("price",), 5.0, 10.0, 2.0, 0.0)),
        (Decay("price", np.float32(5), origin=np.int64(10)), modifier.Decay(("price",), 5.0, 10.0)),
        (Boost("clicks", 0.1), modifier.Boost(("clicks",), 0.1)),
        (Boost("a.b", -1), modifier.Boost(("a", "b"), -1.0)),
    ],
)
def test_modifiers(given: Any, made: object) -> None:
    assert search(text="a", modifiers=[given]).modifiers == [made]
    assert search(text="a", modifiers=given).modifiers == [made]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"text": 1}, "text"),
        ({"text": ["a"]}, "text"),
        ({"text": "\ud800"}, "text"),
        ({"text": Query(1)}, "text"),
        ({"text": "x" * 10_001}, "legs[0].keyword.texts[0]"),
        ({"text": Query("a", fuzzy=3)}, "legs[0].keyword.fuzzy"),
        ({"text": Query("a", fuzzy=0.5)}, "fuzzy"),
        ({"text": Query("a", fields="t"), "fields": "t"}, "fields"),
        ({"text": "a", "fields": []}, "legs[0].keyword.fields"),
        ({"text": "a", "fields": {}}, "legs[0].keyword.fields"),
        ({"text": "a", "fields": ["t", 1]}, "fields[1]"),
        ({"text": "a", "fields": ["t", "t"]}, "fields[1]"),
        ({"text": "a", "fields": {"t": "2"}}, 'fields["t"]'),
        ({"text": "a", "fields": {"t": 0}}, 'legs[0].keyword.fields["t"]'),
        ({"text": "a", "fields": {"t": float("nan")}}, 'legs[0].keyword.fields["t"]'),
        ({"text": "a", "fields": 1}, "fields"),
        ({"text": "a", "using": "image"}, "using"),
        ({"text": "a", "model": "m"}, "model"),
        ({"vector": [1], "fields": "t"}, "fields"),
        ({"text": "a", "legs": [Near([1])]}, "vector"),
        ({"legs": [Leg("a")], "fields": "t"}, "fields"),
        ({"legs": [Leg(3)]}, "legs[0].text"),
        ({"legs": [Leg("a", fuzzy="1")]}, "legs[0].fuzzy"),
        ({"legs": [Leg("a"), Leg(Query("a"), fuzzy=1)]}, "legs[1].fuzzy"),
        ({"legs": [Leg("a", weight=0)]}, "legs[0].weight"),
        ({"legs": [Leg("a", depth=0)]}, "legs[0].depth"),
        ({"text": "a", "highlight": 5}, "highlight"),
        ({"text": "a", "highlight": Highlight(19)}, "highlight.characters"),
        ({"text": "a", "highlight": Highlight(20, "1")}, "highlight.snippets"),
        ({"text": "a", "mmr": True}, "mmr"),
        ({"text": "a", "mmr": 1.1}, "mmr.relevance"),
        ({"text": "a", "mmr": Mmr(0.5, 1_001)}, "mmr.candidates"),
        ({"text": "a", "mmr": 0.5, "group_by": "a"}, "mmr"),
        ({"text": "a", "modifiers": "recent"}, "modifiers"),
        ({"text": "a", "modifiers": [1]}, "modifiers[0]"),
        ({"text": "a", "modifiers": [Boost("a", 1)] * 17}, "modifiers"),
        ({"text": "a", "modifiers": [Boost("$id", 1)]}, "modifiers[0].key"),
        ({"text": "a", "modifiers": [Boost(1, 1)]}, "modifiers[0].key"),
        ({"text": "a", "modifiers": [Boost("a", "1")]}, "modifiers[0].weight"),
        ({"text": "a", "modifiers": [Boost("a", float("inf"))]}, "modifiers[0].weight"),
        ({"text": "a", "modifiers": [Decay("a", "30")]}, "modifiers[0].half"),
        ({"text": "a", "modifiers": [Decay("a", "1d", origin=5)]}, "modifiers[0].half"),
        ({"text": "a", "modifiers": [Decay("a", 0, origin=5)]}, "modifiers[0].half"),
        ({"text": "a", "modifiers": [Decay("a", "0d")]}, "modifiers[0].half"),
        ({"text": "a", "modifiers": [Decay("a", "1d", plateau=-1)]}, "modifiers[0].plateau"),
        ({"text": "a", "modifiers": [Decay("a", "1d", missing=2)]}, "modifiers[0].missing"),
        ({"text": "a", "modifiers": [Decay("a", "1d", origin=datetime(2026, 1, 1))]}, "modifiers[0].origin"),  # noqa: DTZ001
        ({"text": "a", "modifiers": [Decay("a", "1d", origin="yesterday")]}, "modifiers[0].origin"),
    ],
)
def test_what_is_wrong_is_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        search(**given)
    assert refused.value.field == field
    assert refused.value.expected
    assert refused.value.received


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"texts": "abc"}, "texts"),
        ({"texts": ["a", 1]}, "texts[1]"),
        ({"texts": [Query("a"), "b"]}, "texts[1]"),
        ({"texts": ["b", Query("a")]}, "texts[0]"),
        ({"texts": [Query("a"), Query("b", 1)]}, "texts[1]"),
        ({"texts": ["a"], "vectors": [[1], [2]]}, "texts"),
        ({"texts": ["a"], "using": "x"}, "using"),
        ({"vectors": [[1]], "fields": "t"}, "fields"),
        ({}, "vectors"),
    ],
)
def test_what_is_wrong_with_a_batch_is_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        batch(**given)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("request_", "features"),
    [
        (search([1]), {"search.near"}),
        (search(text="a"), {"search.keyword"}),
        (search([1], text="a"), {"search.near", "search.keyword", "search.rrf"}),
        (search([1], text="a", fusion=RelativeScore()), {"search.near", "search.keyword", "search.fusion"}),
        (search([1], highlight=True), {"search.near", "search.highlight"}),
        (search([1], modifiers=[Boost("a", 1)]), {"search.near", "search.modifiers"}),
        (search([1], mmr=1), {"search.near", "search.mmr"}),
    ],
)
def test_a_search_asks_only_for_what_it_needs(request_: SearchRequest, features: set[str]) -> None:
    assert set(rpc.encode(Search("docs", request_)).features) == features


def test_a_server_that_would_leave_out_what_a_field_says_is_refused() -> None:
    vectors = {"": VectorField(2)}
    for field, needs in [(TextField("english"), set()), (TextField(k1=1.0), {"schema.texts"})]:
        created = rpc.encode(CreateCollection("docs", Schema(vectors, {"": field}), False))
        assert set(created.features) == needs
        added = rpc.encode(ChangeSchema("docs", Added("t", field)))
        assert set(added.features) == {"collections.change_schema"} | needs
    changed = rpc.encode(ChangeSchema("docs", SetTextField("t", TextField())))
    assert set(changed.features) == {"collections.change_schema", "schema.texts"}
    assert list(rpc.encode(Analyze("docs", "", ["a"])).features) == ["analyze"]
