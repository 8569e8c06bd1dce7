"""From files to passages: what is read, and where it is cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from vecdb.cli.demo import guide, stdlib
from vecdb.cli.demo.corpus import gather
from vecdb.cli.demo.passages import Document, cut, passages

SOURCE = '''
"""What the module is for."""

if True:
    def f():
        """What f does, \\d and all."""
        return """no documentation"""

class C:
    """What C is."""

    async def g(self):
        """What g does."""

    def silent(self): ...
'''


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("heapq.py", "email/mime/text.py", "test/test_heapq.py", "not_of_the_library.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(SOURCE, encoding="utf-8")
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "__init__.py").write_text('"""About JSON."""', encoding="utf-8")
    (tmp_path / "ast.py").write_text("this is no Python", encoding="utf-8")
    monkeypatch.setattr(stdlib, "folder", lambda: tmp_path)
    return tmp_path


def test_documentation_strings_are_found_with_their_names(sources: Path) -> None:
    found = [(document.title, document.text) for document in stdlib.documents() if document.source == "heapq"]
    assert found == [
        ("heapq", "What the module is for."),
        ("heapq.f", "What f does, \\d and all."),
        ("heapq.C", "What C is."),
        ("heapq.C.g", "What g does."),
    ]


def test_only_the_library_is_read(sources: Path) -> None:
    assert list(dict.fromkeys(document.source for document in stdlib.documents())) == [
        "email.mime.text",
        "heapq",
        "json",
    ]


def test_topics_of_help_are_texts_too(sources: Path) -> None:
    (sources / "pydoc_data").mkdir()
    (sources / "pydoc_data" / "topics.py").write_text('topics = {"with": "The statement"}', encoding="utf-8")
    assert Document("pydoc_data.topics", "help('with')", "en", "The statement") in list(stdlib.documents())


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("short", ["short"]),
        ("one one\n\ntwo two", ["one one", "two two"]),
        ("a b c d\ne f g h i", ["a b c d", "e f g h i"]),
        ("aa. bb. cc. dd.", ["aa. bb.", "cc. dd."]),
        ("一二三四。五六七八。九", ["一二三四。", "五六七八。九"]),
        ("abcdefghijklmnopqrstuvwxyz", ["abcdefghi", "jklmnopqr", "stuvwxyz"]),
    ],
)
def test_a_text_is_cut_where_it_pauses(text: str, pieces: list[str]) -> None:
    assert [piece.strip() for piece in cut(text, 9)] == pieces


def test_passages_are_of_a_length() -> None:
    sentences = [f"Sentence {i} of the text is not like others. " for i in range(200)]
    found = passages(
        [
            Document("long", "title", "en", "".join(sentences)),
            *(Document("short", f"t{i}", "en", text) for i, text in enumerate(sentences[:99])),
        ]
    )
    for source in ("long", "short"):
        lengths = [len(passage.text) for passage in found if passage.source == source]
        assert max(lengths) <= 850
        assert min(lengths[:-1]) >= 300
    assert "".join(passage.text for passage in found).count("Sentence") == 299


@pytest.mark.usefixtures("small")
def test_equal_passages_are_kept_once_and_ids_are_unique() -> None:
    found = passages([Document(source, "t", "en", "x" * 300) for source in ("a", "b")])
    assert [passage.id for passage in found] == ["a#0"]
    everything = gather(10_000).stored
    assert len({passage.id for passage in everything}) == len(everything)


def test_half_a_character_is_no_text() -> None:
    assert passages([Document("a", "t", "en", "a\ud800b")])[0].text == "t\na?b"


def test_the_guide_is_read_without_its_code() -> None:
    documents = list(guide.documents())
    languages = {lang: [document for document in documents if document.lang == lang] for lang in ("en", "zh")}
    assert len(languages["en"]) == len(languages["zh"]) > 10
    assert not any("import vecdb" in document.text or "```" in document.text for document in documents)


@pytest.mark.usefixtures("small")
def test_what_is_held_out_is_not_stored() -> None:
    corpus = gather(200)
    assert len(corpus.held_out) == 20
    assert not {passage.text for passage in corpus.held_out} & {passage.text for passage in corpus.stored}
    assert len([passage for passage in corpus.stored if not passage.source.startswith("vecdb/")]) == 180


@pytest.mark.usefixtures("small")
def test_the_fingerprint_is_of_the_text() -> None:
    assert gather(200).fingerprint == gather(200).fingerprint
    assert gather(200).fingerprint != gather(199).fingerprint
