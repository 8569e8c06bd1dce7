"""Searches by words, and by words and vectors: every test runs embedded and over gRPC, blocking and awaited.

What is found and how it is scored is tested where it is made (tests/engine); here, that all that is asked arrives, and
all that is answered comes back.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from vecdb import (
    Boost,
    Decay,
    DistributionScore,
    Highlight,
    Hit,
    Keyword,
    Mmr,
    Near,
    Query,
    RelativeScore,
    Rerank,
    Rrf,
    SearchResult,
    TextField,
    errors,
)
from vecdb.client.client import Client
from vecdb.client.collection import Collection

X = [1.0, 0, 0, 0]
TEXTS = [
    "the quick brown fox",
    "a lazy dog sleeps",
    "用faiss建索引",
    "the fox and the dog",
    "HNSW-2024 is a graph",
    None,
]


@pytest.fixture
def docs(db: Client) -> Collection:
    """Found from X in the order of their ids."""
    docs = db.create_collection("docs", dim=4, texts={"title": TextField("english")})
    docs.upsert(
        range(6),
        [[1, i / 10, 0, 0] for i in range(6)],
        {"": TEXTS, "title": [None, "Foxes", "Indexes", None, None, "Dogs"]},
        [{"n": i, "at": f"2026-01-0{i + 1}T00:00:00Z"} for i in range(6)],
    )
    return docs


def names(result: SearchResult) -> list[str]:
    return [hit.id for hit in result]


def test_words_alone(docs: Collection) -> None:
    found = docs.search(text="fox", fields="")
    assert sorted(names(found)) == ["0", "3"]
    assert (found.distances, found[0].legs, found[0].snippets) == (None, None, None)
    assert sorted(names(docs.search(text="fox"))) == ["0", "1", "3"]
    assert names(docs.search(text="索引")) == ["2"]
    assert names(docs.search(text="hnsw")) == ["4"]
    assert names(docs.search(text="fox", filter={"n": {"$gt": 1}})) == ["3"]
    assert names(docs.search(text='+dog -fox "', fields="")) != []  # plain words: no character is an operator
    assert sorted(names(docs.search(text='+dog -fox "', fields=""))) == ["0", "1", "3"]


def test_nothing_to_search_for_is_told(docs: Collection) -> None:
    found = docs.search(text="!?")
    assert len(found) == 0
    assert "'!?'" in found.warnings[0]


def test_the_query_language(docs: Collection) -> None:
    assert names(docs.search(text=Query("+dog -fox", fields=""))) == ["1"]
    assert names(docs.search(text=Query('"quick brown"'))) == ["0"]
    assert names(docs.search(text=Query("inde*", fields="title"))) == ["2"]
    assert names(docs.search(text=Query("quik", fuzzy=1))) == ["0"]
    assert names(docs.search(text=Query("quik"))) == []
    with pytest.raises(errors.InvalidArgument):
        docs.search(text=Query("-fox"))


def test_boosts_arrive(docs: Collection) -> None:
    plain = {hit.id: hit.score for hit in docs.search(text="fox", fields={"": 1, "title": 1})}
    boosted = {hit.id: hit.score for hit in docs.search(text="fox", fields={"": 1, "title": 3})}
    assert boosted["1"] == pytest.approx(3 * plain["1"])
    assert boosted["0"] == plain["0"]


def test_a_hybrid_search(docs: Collection) -> None:
    near = docs.search(X, limit=6)
    words = docs.search(text="fox")
    ranks = [{hit.id: (i, hit.score) for i, hit in enumerate(leg, 1)} for leg in (near, words)]
    for fusion in (None, Rrf(5), RelativeScore(), DistributionScore()):
        found = docs.search(X, text="fox", limit=6, fusion=fusion)
        assert sorted(names(found)) == [str(i) for i in range(6)]
        assert all(0 <= hit.score <= 1 for hit in found)
        for hit in found:
            assert hit.legs == [leg.get(hit.id, (None, None)) for leg in ranks]
    rrf = docs.search(X, text="fox", limit=6)
    assert rrf.scores.tolist() == pytest.approx(
        [sum(1 / (60 + leg[hit.id][0]) for leg in ranks if hit.id in leg) * 61 / 2 for hit in rrf]
    )


def test_legs_of_any_kind(docs: Collection) -> None:
    found = docs.search(
        legs=[Keyword("fox", weight=2), Near(X, depth=2), Keyword(Query("dog*"), filter={"n": 5})], limit=6
    )
    assert len(found[0].legs or ()) == 3
    third = {hit.id: hit.legs[2].rank for hit in found if hit.legs}
    assert third["5"] == 1
    assert set(third.values()) == {1, None}


def test_a_batch_is_as_one_by_one(docs: Collection) -> None:
    vectors, texts = [X, [0.5, 1, 0, 0]], ["fox", "dog 索引"]
    for given in ({"texts": texts}, {"vectors": vectors, "texts": texts, "fusion": RelativeScore()}):
        together = docs.search_batch(**given)
        for i, result in enumerate(together):
            one = docs.search(
                given["vectors"][i] if "vectors" in given else None, text=texts[i], fusion=given.get("fusion")
            )
            assert list(result) == list(one)
    many = docs.search_batch(texts=[Query(text) for text in texts * 50], limit=1)
    assert [names(result) for result in many] == [names(docs.search(text=text, limit=1)) for text in texts] * 50


def test_examples_and_words(docs: Collection) -> None:
    found = docs.search(id=0, text="fox", limit=6)
    assert "0" not in names(found)
    assert {hit.id for hit in found if hit.legs and hit.legs[1].rank} == {"1", "3"}


def test_modifiers_arrive(docs: Collection) -> None:
    plain = {hit.id: hit.score for hit in docs.search(X, limit=6)}
    boosted = docs.search(X, limit=6, modifiers=Boost("n", 0.5))
    assert {hit.id: hit.score for hit in boosted} == pytest.approx(
        {id: score + 0.5 * math.log(1 + int(id)) for id, score in plain.items()}
    )
    aged = docs.search(X, limit=6, modifiers=[Decay("at", "2d", origin="2026-01-06T00:00:00Z", plateau="1d")])
    assert {hit.id: hit.score for hit in aged} == pytest.approx(
        {id: score * 0.5 ** (max(0, 5 - int(id) - 1) / 2) for id, score in plain.items()}, abs=1e-5
    )
    counted = docs.search(X, limit=6, modifiers=[Decay("n", 2, origin=0), Boost("nothing", 1)])
    assert {hit.id: hit.score for hit in counted} == pytest.approx(
        {id: score * 0.5 ** (int(id) / 2) for id, score in plain.items()}, abs=1e-5
    )


def test_mmr_arrives(docs: Collection) -> None:
    docs.upsert(["far"], [[0.2, 0, 1, 0]])
    assert names(docs.search(X, limit=2)) == ["0", "1"]
    assert names(docs.search(X, limit=2, mmr=0.1)) == ["0", "far"]
    assert names(docs.search(X, limit=2, mmr=Mmr(0.1, candidates=3))) == ["0", "1"]
    assert names(docs.search(X, limit=2, mmr=1)) == ["0", "1"]


def test_highlights_arrive_in_characters(docs: Collection) -> None:
    docs.upsert(["emoji"], [X], ["😀😀 用faiss建索引，再查询。"])
    for given in ({"text": "索引", "fields": ""}, {"text": Query("索引", fields="")}):
        found = {hit.id: hit for hit in docs.search(highlight=True, **given)}
        (snippet,) = found["emoji"].snippets or ()
        assert snippet.text == "😀😀 用faiss建索引，再查询。"
        assert [snippet.text[start - snippet.offset : end - snippet.offset] for start, end in snippet.spans] == ["索引"]
        assert snippet.spans == [(10, 12)]
    marked = {
        hit.id: [s.marked("<", ">") for s in hit.snippets or ()] for hit in docs.search(text="fox", highlight=True)
    }
    assert marked["0"] == ["the quick brown <fox>"]
    assert marked["1"] == ["<Foxes>"]
    hybrid = {hit.id: hit for hit in docs.search(X, text="fox", limit=7, highlight=Highlight(20, 2))}
    assert hybrid["4"].snippets == []
    assert [len(snippet.text) <= 30 for snippet in hybrid["0"].snippets or ()] == [True]
    batch = docs.search_batch(texts=["fox", "索引"], fields="", limit=1, highlight=True)
    assert [[s.marked("<", ">") for hit in result for s in hit.snippets or ()] for result in batch] == [
        ["the quick brown <fox>"],
        ["用faiss建<索引>"],
    ]


def test_hits_by_words_are_re_ranked_for_the_words(docs: Collection) -> None:
    asked: list[Any] = []

    def scorer(query: Any, hits: list[Hit]) -> np.ndarray:
        asked.append((query, [hit.text for hit in hits]))
        return np.array([len(hit.text or "") for hit in hits])

    found = docs.search(text="fox", fields="", rerank=scorer)
    assert asked[0][0] == "fox"
    assert names(found) == ["0", "3"]
    assert [hit.rerank_score for hit in found] == [19.0, 19.0]
    assert names(docs.search(X, text=Query("+fox", fields=""), rerank=Rerank(scorer, depth=1), limit=1)) == ["0"]
    assert asked[1][0] == "+fox"
    docs.search_batch(texts=["fox", "dog"], rerank=scorer)
    assert [query for query, _ in asked[2:]] == ["fox", "dog"]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"text": "a", "fields": "nothing"}, errors.FieldNotFound),
        ({"text": Query("a", fields=["", "nothing"])}, errors.FieldNotFound),
        ({"vector": X, "mmr": Mmr(0.5, using="nothing")}, errors.FieldNotFound),
        ({"vector": [1.0], "text": "a"}, errors.DimensionMismatch),
    ],
)
def test_what_the_schema_refuses(docs: Collection, given: dict[str, Any], kind: type[errors.VecdbError]) -> None:
    with pytest.raises(kind):
        docs.search(**given)


def test_a_field_without_keywords_is_not_searched(db: Client) -> None:
    docs = db.create_collection("plain", dim=4, texts={"": TextField(keywords=False), "title": TextField()})
    docs.upsert(["a"], [X], {"": ["fox"], "title": ["dog"]})
    assert names(docs.search(text="fox dog")) == ["a"]
    assert names(docs.search(text="fox")) == []
    with pytest.raises(errors.VecdbError):
        docs.search(text="fox", fields="")


def test_a_field_that_is_not_there_is_not_changed(docs: Collection) -> None:
    with pytest.raises(errors.FieldNotFound, match="unknown text field") as refused:
        docs.set_text_field("nothing", TextField())
    assert (refused.value.field, refused.value.received) == ("name", "'nothing'")
    with pytest.raises(errors.InvalidArgument) as unknown:
        docs.set_text_field("title", TextField("klingon"))
    assert "klingon" in str(unknown.value)
    assert docs.describe().schema.texts["title"] == TextField("english")


def test_another_analyzer(docs: Collection) -> None:
    assert names(docs.search(text="index", fields="title")) == ["2"]
    info = docs.set_text_field("title", TextField("whitespace"))
    assert info.schema.texts["title"] == TextField("whitespace")
    docs.upsert(["new"], texts={"title": ["Indexes of more"]})
    assert "new" in names(docs.search(text="Indexes", fields="title"))
    assert "new" not in names(docs.search(text="index", fields="title"))
