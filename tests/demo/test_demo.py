"""The demo from beginning to end, through a server of its own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

import vecdb
from tests.demo.demonstration import Ended, run
from vecdb.cli.demo import command, questions
from vecdb.cli.main import main

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, small: None) -> Path:
    return tmp_path_factory.mktemp("demo") / "vecdb-demo"


@pytest.fixture(scope="module")
def first(folder: Path) -> Ended:
    return run(folder)


@pytest.fixture(scope="module")
def second(folder: Path, first: Ended) -> Ended:
    return run(folder)


def hits(result: Any, question: str) -> list[Any]:
    return next(answer["hits"] for answer in result["answers"] if answer["question"] == question)


def test_it_ends_well(first: Ended) -> None:
    assert (first.status, first.err) == (0, "")


def test_it_loads_what_it_read(first: Ended) -> None:
    result = first.result
    assert not result["opened"]
    assert result["text"]["passages"] > 200
    assert result["text"]["held_out"] > 20
    assert min(result["text"]["guide_en"], result["text"]["guide_zh"]) >= 5
    assert result["load"]["points"] == result["index"]["vectors"] == result["text"]["passages"]
    assert result["load"]["points_per_s"] > 0


def test_it_measures(first: Ended) -> None:
    assert 0.9 <= first.result["recall_at_10"] <= 1
    assert set(first.result["plans"]) <= {"graph", "exact"}
    for latency in (first.result["latency_ms"], first.result["exact_latency_ms"]):
        assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("Run a program and capture its output", "subprocess"),
        ("How can several threads wait for each other?", "thread"),
        ("Make a temporary file that is deleted when it is closed", "temporary"),
        ("Is an acknowledged write still there after a power cut?", "power cut"),
        ("断电之后，确认过的写入会丢吗？", "断电"),
        ("怎样修改或删除已经写入的点？", "删除点"),
    ],
)
def test_a_question_finds_its_passage(first: Ended, question: str, word: str) -> None:
    found = hits(first.result, question)
    assert any(word in hit["text"].lower() for hit in found[:3])
    assert [hit["score"] for hit in found] == sorted((hit["score"] for hit in found), reverse=True)


def test_a_hit_says_how_it_was_found(first: Ended) -> None:
    assert first.result["search"] == "hybrid"
    every = [hit for answer in first.result["answers"] for hit in answer["hits"]]
    ranks = [(hit["vector_rank"], hit["words_rank"]) for hit in every]
    assert all(any(pair) for pair in ranks)
    assert (1, 1) in ranks, "some passage is the first by its words and by its vector"
    assert first.result["hybrid_latency_ms"]["p50"] > 0


def test_the_words_of_a_question_are_marked_in_either_language(first: Ended) -> None:
    for question, word in (("How do I compress data with gzip?", "gzip"), ("断电之后，确认过的写入会丢吗？", "断电")):
        marked = set()
        for hit in hits(first.result, question):
            assert hit["snippet"] in hit["text"]
            marked |= {hit["snippet"][start:end].lower() for start, end in hit["words"]}
        assert any(word in mark for mark in marked)
        assert f"*{word}" in first.out.lower()


def test_a_question_is_answered_in_its_language(first: Ended) -> None:
    for answer in first.result["answers"]:
        assert answer["hits"][0]["lang"] == ("en" if answer["question"].isascii() else "zh")


def test_every_question_is_shown_with_passages(first: Ended) -> None:
    for answer in first.result["answers"]:
        assert answer["question"] in first.out
        assert answer["hits"][0]["id"] in first.out
    assert "recall@10" in first.out
    assert "latent semantic indexing" in first.out
    assert "\x1b" not in first.out
    assert all(line == line.rstrip() for line in first.out.splitlines())


def test_run_again_it_opens_what_is_there(first: Ended, second: Ended) -> None:
    assert second.status == 0
    assert second.result["opened"]
    assert second.result["load"] is None
    assert "nothing was loaded" in second.out
    assert [answer["question"] for answer in second.result["answers"]] == list(questions.QUESTIONS)
    for before, after in zip(first.result["answers"], second.result["answers"], strict=True):
        assert [hit["id"] for hit in before["hits"]] == [hit["id"] for hit in after["hits"]]


def test_the_data_is_a_sound_database(folder: Path, second: Ended) -> None:
    with vecdb.open(folder / "database") as db:
        assert db.check() == []
        assert db.collection("demo").count() == second.result["text"]["passages"]


def test_another_text_is_loaded_anew(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    run(data, "--passages", "100")
    done = run(data, "--passages", "120")
    assert "the text or the embedding is another" in done.out
    assert done.result["load"]["points"] == done.result["text"]["passages"]


def test_a_lost_embedding_is_made_anew(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    run(data, "--passages", "100")
    (data / "lsi.npz").write_bytes(b"PK\x03\x04 is no archive")
    done = run(data, "--passages", "100")
    assert "the embedding that was used is not there any more" in done.out
    assert not done.result["opened"]


def test_an_unfinished_load_is_done_again(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    whole = run(data, "--passages", "100").result["text"]["passages"]
    with vecdb.open(data / "database") as db:
        docs = db.collection("demo")
        docs.delete(ids=[next(docs.scroll()).id])
    done = run(data, "--passages", "100")
    assert "an earlier run did not finish loading" in done.out
    assert done.result["index"]["vectors"] == whole


LETTERS = """
import numpy as np

def embed(texts):
    return np.array([[text.lower().count(letter) + 1.0 for letter in "abcdefghij"] for text in texts])

def flat(texts):
    return np.zeros(len(texts))
"""


def _defined(source: str) -> Any:
    names: dict[str, Any] = {}
    exec(source, names)
    return names["embed"]


def test_another_embedding_can_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "letters.py").write_text(LETTERS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = run(tmp_path / "demo", "--passages", "100", "--embedder", "letters:embed")
    assert (done.result["dim"], done.result["embedding"]) == (10, "letters:embed")
    assert "latent" not in done.out
    assert run(tmp_path / "demo", "--passages", "100", "--embedder", "letters:embed").result["opened"]


def test_an_embedding_that_changed_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "changing.py").write_text(LETTERS, encoding="utf-8")
    run(tmp_path / "demo", "--passages", "100", "--embedder", "changing:embed")
    changed = LETTERS.replace("+ 1.0", "+ 9.0")
    monkeypatch.setattr("changing.embed", _defined(changed))
    done = run(tmp_path / "demo", "--passages", "100", "--embedder", "changing:embed")
    assert "the embedding that was used is not there any more" in done.out
    assert not done.result["opened"]


def test_an_embedding_of_the_wrong_shape_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "letters.py").write_text(LETTERS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    bad = run(tmp_path / "other", "--passages", "100", "--embedder", "letters:flat")
    assert bad.status == 1
    assert "expected [" in bad.err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--embedder", "letters"], "module:function"),
        (["--embedder", "no_such_module:embed"], "no_such_module"),
        (["--embedder", "json:no_such_function"], "no_such_function"),
        (["--passages", "5"], "passages"),
        (["--json", "no/such/folder.json"], "no/such/folder.json"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["demo", *options])
    assert done.exit_code in (1, 2)
    assert complaint in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    vecdb.open(tmp_path / "mine").close()
    done = run(tmp_path / "mine")
    assert done.status == 2
    assert "folder of its own" in done.err


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    done = run(tmp_path / "file" / "demo", "--passages", "100", json=tmp_path / "out.json")
    assert done.status == 1
    assert "file" in done.err


def test_a_folder_in_use_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with vecdb.open(tmp_path / "demo" / "database"):
        done = run(tmp_path / "demo", "--passages", "100")
    assert done.status == 1
    assert "did not start" in done.err
    said = capfd.readouterr().err
    assert "DATA_DIR_IN_USE" in said
    assert "Traceback" not in said


def test_json_on_standard_output_is_alone_there(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["demo", "--data", str(tmp_path / "demo"), "--passages", "100", "--json", "-"])
    assert done.stdout.startswith("{")
    assert done.stdout.rstrip().endswith("}")
    assert "recall@10" in done.stderr


def test_what_is_not_installed_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name in ("rich", "sklearn") else find_spec(name))
    done = CliRunner().invoke(main, ["demo"])
    assert done.exit_code == 1
    assert "rich and scikit-learn" in done.stderr
    assert "pip install 'vecdb-py[demo]'" in done.stderr
    assert "pip install '.[demo]'" in done.stderr


def test_extras_that_are_there_are_enough() -> None:
    try:
        command.require_extras()
    except click.ClickException as error:
        pytest.fail(str(error))


def test_the_same_text_gives_the_same_vectors(first: Ended, folder: Path, tmp_path: Path) -> None:
    again = run(tmp_path / "again")
    scores = [
        np.array([hit["score"] for answer in ended.result["answers"] for hit in answer["hits"]])
        for ended in (first, again)
    ]
    np.testing.assert_allclose(*scores, atol=1e-4)
