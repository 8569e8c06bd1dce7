"""The terms of texts, shown: every test runs embedded and over gRPC, blocking and awaited."""

from __future__ import annotations

import pytest

from vecdb import TextField, Token, errors
from vecdb.client.client import Client
from vecdb.client.collection import Collection


@pytest.fixture
def docs(db: Client) -> Collection:
    fields = {"title": TextField("english"), "sku": TextField("exact")}
    return db.create_collection("docs", dim=4, texts=fields)


def test_a_text_and_several(docs: Collection) -> None:
    assert docs.analyze("Running Dogs") == [Token("run", 0, 0, 7, "word"), Token("dog", 1, 8, 12, "word")]
    assert docs.analyze(["a b", "", "c"]) == [docs.analyze("a b"), [], docs.analyze("c")]
    assert docs.analyze([]) == []
    assert [token.term for token in docs.analyze("The running of the dogs", field="title")] == ["run", "dog"]
    assert docs.analyze("SKU 17/b", field="sku") == [Token("SKU 17/b", 0, 0, 8, "word")]


def test_places_are_characters(docs: Collection) -> None:
    text = "𝒳 用faiss建索引"
    for token in docs.analyze(text):
        assert token.term in text[token.start : token.end].lower() or token.term == "x"
    assert {token.kind for token in docs.analyze(text)} >= {"word", "bigram", "single"}


def test_more_texts_than_one_message_may_hold(docs: Collection) -> None:
    texts = [f"word{i}" for i in range(2_500)]
    assert [token.term for tokens in docs.analyze(texts) for token in tokens] == texts


def test_what_cannot_be_analyzed_is_refused(docs: Collection) -> None:
    with pytest.raises(errors.FieldNotFound) as unknown:
        docs.analyze("a", field="nothing")
    assert unknown.value.field == "field"
    for given, field in [([1], "texts[0]"), (["a", "\ud800"], "texts[1]"), (7, "texts")]:
        with pytest.raises(errors.InvalidArgument) as refused:
            docs.analyze(given)
        assert refused.value.field == field
    with pytest.raises(errors.InvalidArgument) as refused:
        docs.analyze("a", field=1)
    assert refused.value.field == "field"


def test_a_text_field_is_declared_with_more_than_an_analyzer(db: Client) -> None:
    tuned = TextField("english", {"stop_words": ["dog"]}, k1=1.5, b=0.5)
    docs = db.create_collection("tuned", dim=4, texts={"title": tuned, "raw": TextField(keywords=False)})
    found = docs.describe().schema.texts
    assert (found["title"], found["raw"], found[""]) == (tuned, TextField(keywords=False), TextField())
    assert [token.term for token in docs.analyze("the dog runs", field="title")] == ["the", "run"]
    with pytest.raises(errors.InvalidArgument) as refused:
        docs.set_text_field("title", TextField(k1=-1))
    assert refused.value.field == "field.k1"
