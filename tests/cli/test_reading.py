"""Commands that only read, on a server and on a data directory; each for people and as JSON."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vecdb
from tests.cli.conftest import CommandLine, run
from vecdb.cli.stats import print_stats
from vecdb.model.collection import CollectionStats, SegmentStats
from vecdb.model.recall import Recall


def test_count(vec: CommandLine) -> None:
    assert vec("count", "docs").out == "3\n"
    assert vec("count", "docs", "--json").documents() == [{"count": 3}]


def test_filters(vec: CommandLine) -> None:
    assert vec("count", "docs", "--filter", '{"n": {"$gte": 2}}').out == "1\n"
    hits = vec("search", "docs", "--vector", "[3, 3]", "--filter", '{"n": {"$exists": false}}', "--json").documents()
    assert [hit["id"] for hit in hits] == ["c"]
    exported = vec("export", "docs", "--filter", '{"$not": {"n": 1}}', "--without-vectors", "--quiet").documents()
    assert [point["id"] for point in exported] == ["b", "c"]
    refused = vec("count", "docs", "--filter", '{"n": {"$gtt": 2}}', status=1)
    assert "filter.n.$gtt" in refused.err
    assert "$gt" in refused.err


@pytest.mark.parametrize("text", ["n = 1", "[]", '{"n": 1, "n": 2}', "[" * 100_000])
def test_a_filter_that_is_none(path: Path, text: str) -> None:
    done = run("count", "docs", "--filter", text, "--data", path)
    assert done.status == 2
    assert "--filter" in done.err


def test_get(vec: CommandLine) -> None:
    found = vec("get", "docs", "b", "a", "--with-vectors", "--json").documents()
    assert [point["id"] for point in found] == ["b", "a"]
    assert found[0]["payload"] == {"n": 2}
    assert found[0]["text"] == "二"
    assert found[0]["vector"] == [3.0, 4.0]
    shown = vec("get", "docs", "b", "c").out
    assert '{"n":2}' in shown
    assert "vector" not in shown


def test_a_text_that_would_write_elsewhere_on_the_screen_stays_on_its_line(path: Path) -> None:
    with vecdb.open(path) as db:
        db.collection("docs").upsert(["evil"], texts=["one\x1b[2J\r\ntwo"])
    assert "one [2J  two\n" in run("get", "docs", "evil", "--data", path).out


def test_what_is_not_there_is_said_and_the_rest_printed(vec: CommandLine) -> None:
    done = vec("get", "docs", "nobody", "a", "--json", status=1)
    assert [point["id"] for point in done.documents()] == ["a"]
    assert done.err == "Error: NOT_FOUND: no point 'nobody' in docs\n"


def test_search(vec: CommandLine) -> None:
    hits = vec("search", "docs", "--vector", "[3, 3]", "--limit", 2, "--json").documents()
    assert [(hit["query"], hit["id"], hit["distance"]) for hit in hits] == [
        (0, "b", 1.0),
        (0, "a", np.float32(18**0.5)),
    ]
    assert hits[0]["payload"] == {"n": 2}
    assert hits[0]["vector"] is None
    table = vec("search", "docs", "--vector", "[3, 3]", "--limit", 2).out
    assert table.splitlines()[0].split() == ["id", "score", "distance", "text", "payload"]
    assert "2 hits in " in table


def test_search_says_how(vec: CommandLine) -> None:
    how = ("--exact", "--min-score", 0.2, "--offset", 1, "--with-vectors", "--explain", "--json")
    *hits, explained = vec("search", "docs", "--vector", "-", *how, given="[0, 0]").documents()
    assert hits == []  # all but the nearest are below the score, and that one is left out
    assert explained["explain"]["legs"]
    assert vec("search", "docs", "--vector", "[0, 0]", "--min-score", 0.1, "--json").documents()[-1]["id"] == "b"
    assert '"legs"' in vec("search", "docs", "--vector", "[0, 0]", "--explain").out


def test_search_for_the_rows_of_a_file(vec: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "q.npy"
    np.save(file, np.array([[0, 0], [6, 8]]))
    hits = vec("search", "docs", "--vector-file", file, "--limit", 1, "--json").documents()
    assert [(hit["query"], hit["id"]) for hit in hits] == [(0, "a"), (1, "c")]
    assert vec("search", "docs", "--vector-file", file, "--limit", 1).out.count("1 hit in") == 2
    np.save(file, np.array([6, 8]))
    assert vec("search", "docs", "--vector-file", file, "--limit", 1, "--json").documents()[0]["id"] == "c"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--vector or --vector-file"),
        (("--vector", "[1, 2]", "--vector-file", "q.npy"), "--vector or --vector-file"),
        (("--vector", "[1,"), "not JSON"),
        (("--vector", '["a"]'), "a list of numbers"),
        (("--vector", "[[1, 2]]"), "a list of numbers"),
        (("--vector", "3"), "a list of numbers"),
        (("--vector-file", __file__), "no numpy file"),
        (("--vector", "[1, 2]", "--limit", "ten"), "--limit"),
    ],
)
def test_a_query_that_cannot_be_is_a_mistake_of_usage(vec: CommandLine, words: tuple[str, ...], said: str) -> None:
    assert said in vec("search", "docs", *words, status=2).err


def test_stats(vec: CommandLine) -> None:
    (found,) = vec("stats", "docs", "--json").documents()
    assert (found["live"], found["vectors"], found["name"]) == (3, 3, "docs")
    assert sum(segment["live"] for segment in found["segments"]) == 3
    shown = vec("stats", "docs").out
    assert "live " in shown
    assert "segment" in shown
    (whole,) = vec("stats", "--json").documents()
    assert whole["collections"] == 2
    assert "collections " in vec("stats").out


def test_info(vec: CommandLine) -> None:
    (found,) = vec("info", "--json").documents()
    assert found["version"] == vecdb.__version__
    assert found["limits"]["message_bytes"] == 64 << 20
    assert "64.0 MiB" in vec("info").out


def test_check(vec: CommandLine) -> None:
    assert vec("check").out == "nothing is wrong: 2 collections, 3 points\n"
    assert vec("check", "--json").documents() == [{"collections": 2, "problems": []}]


def test_collections(vec: CommandLine) -> None:
    found = {info["name"]: info for info in vec("collections", "list", "--json").documents()}
    assert {name: info["points"] for name, info in found.items()} == {"docs": 3, "more": 0}
    assert found["more"]["schema"]["vectors"]["image"]["dim"] == 3
    lines = vec("collections", "list").out.splitlines()
    assert lines[1].split() == ["docs", "3", "2", "euclidean", "auto"]
    (docs,) = vec("collections", "describe", "docs", "--json").documents()
    assert docs == found["docs"]
    assert "3 dot, m 16, ef_construction 200, model m-1" in vec("collections", "describe", "more").out


def test_facet(vec: CommandLine) -> None:
    assert vec("facet", "docs", "n", "--json").documents() == [
        {
            "values": [{"value": 1, "count": 1}, {"value": 2, "count": 1}],
            "distinct": 2,
            "present": 2,
            "missing": 1,
            "min": 1,
            "max": 2,
        }
    ]
    assert vec("facet", "docs", "n").out.splitlines()[:2] == ["value  count", "1      1"]
    assert "0 values" in vec("facet", "docs", "n", "--filter", '{"n": 3}').out
    assert "an object is expected" in vec("facet", "docs", "n", "--filter", "[]", status=2).err
    assert "not JSON" in vec("facet", "docs", "n", "--filter", "{", status=2).err


def test_search_by_id_and_in_groups(vec: CommandLine) -> None:
    assert "b" not in [hit["id"] for hit in vec("search", "docs", "--id", "b", "--json").documents()]
    (hit,) = vec("search", "docs", "--id", "a", "--group-by", "n", "--json").documents()
    assert (hit["id"], hit["group"]) == ("b", 2)
    assert vec("search", "docs", "--id", "a", "--group-by", "n").out.split()[:2] == ["group", "id"]
    assert vec("search", "docs", "--id", "a", "--filter", '{"n": 3}', "--json").documents() == []
    assert "one of them" in vec("search", "docs", "--id", "a", "--vector", "[1, 2]", status=2).err
    assert "needs --id" in vec("search", "docs", "--vector", "[1, 2]", "--unlike", "a", status=2).err
    assert "POINT_NOT_FOUND" in vec("search", "docs", "--id", "nobody", status=1).err


def test_analyze(vec: CommandLine) -> None:
    (first, second) = vec("analyze", "docs", "Running dogs", "", "--json").documents()
    assert first == {
        "text": "Running dogs",
        "tokens": [
            {"term": "run", "position": 0, "start": 0, "end": 7, "kind": "word"},
            {"term": "dog", "position": 1, "start": 8, "end": 12, "kind": "word"},
        ],
    }
    assert second == {"text": "", "tokens": []}
    lines = vec("analyze", "docs", "Running dogs", "").out.splitlines()
    assert lines[0].split() == ["term", "position", "start", "end", "kind"]
    assert lines[2].split() == ["dog", "1", "8", "12", "word"]
    assert lines[-1] == "no terms"
    assert "FIELD_NOT_FOUND" in vec("analyze", "docs", "a", "--field", "nothing", status=1).err


def test_search_by_words(vec: CommandLine) -> None:
    (hit,) = vec("search", "docs", "--text", "one").out.splitlines()[1:-1]
    assert hit.split()[:1] == ["a"]
    (found,) = vec("search", "docs", "--text", "二", "--json").documents()
    assert (found["id"], found["distance"], found["legs"], found["snippets"]) == ("b", None, None, None)
    assert vec("search", "docs", "--text", "+one -二", "--query-language", "--json").documents()[0]["id"] == "a"
    assert (
        vec("search", "docs", "--text", "ome", "--query-language", "--fuzzy", 1, "--json").documents()[0]["id"] == "a"
    )
    (shown,) = vec("search", "docs", "--text", "二", "--highlight", "--json").documents()
    assert shown["snippets"] == [{"field": "", "text": "二", "offset": 0, "spans": [[0, 1]]}]
    assert "**one**" in vec("search", "docs", "--text", "one", "--highlight").out
    plain, boosted = (
        vec("search", "docs", "--text", "one", "--field", field, "--json").documents()[0]["score"]
        for field in ("", "^2")
    )
    assert boosted == pytest.approx(2 * plain)
    assert "FIELD_NOT_FOUND" in vec("search", "docs", "--text", "one", "--field", "title", status=1).err


def test_search_by_words_and_vectors(vec: CommandLine, tmp_path: Path) -> None:
    how = ("--text", "one", "--vector", "[3, 3]")
    hits = vec("search", "docs", *how, "--json").documents()
    legs = {hit["id"]: [leg["rank"] for leg in hit["legs"]] for hit in hits}
    assert legs == {"a": [2, 1], "b": [1, None], "c": [3, None]}
    assert hits[0]["legs"][1]["score"] > 0
    for fusion in ("rrf", "relative", "distribution"):
        found = vec("search", "docs", *how, "--fusion", fusion, "--mmr", 1, "--json").documents()
        assert {hit["id"] for hit in found} == {"a", "b", "c"}
    assert "leg 0" in vec("search", "docs", *how).out
    assert vec("search", "docs", "--text", "one", "--id", "b", "--json").documents()[0]["id"] == "a"
    file = tmp_path / "q.npy"
    np.save(file, np.array([[0, 0], [6, 8]]))
    both = vec("search", "docs", "--vector-file", file, "--text", "二", "--limit", 1, "--json").documents()
    assert [hit["query"] for hit in both] == [0, 1]
    assert all(len(hit["legs"]) == 2 for hit in both)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--query-language",), "--text"),
        (("--vector", "[1, 2]", "--field", "title"), "--text"),
        (("--text", "a", "--fuzzy", "1"), "--query-language"),
        (("--text", "a", "--field", "title^high"), "NAME^BOOST"),
        (("--text", "a", "--fusion", "sum"), "--fusion"),
    ],
)
def test_words_that_cannot_be_asked_for(vec: CommandLine, words: tuple[str, ...], said: str) -> None:
    assert said in vec("search", "docs", *words, status=2).err


def test_changes(vec: CommandLine) -> None:
    token = vec("changes", "docs", "--token").out.strip()
    assert vec("changes", "docs", "--token", "--json").documents() == [{"token": token}]
    vec("import", "docs", "-", "--format", "jsonl", given='{"id": "new", "vector": [1, 2]}\n')
    (told,) = vec("changes", "docs", "--after", token, "--json").documents()
    assert [point["id"] for point in told["points"]] == ["new"]
    assert (told["deleted"], told["last"], told["points"][0]["expires_at"]) == ([], True, 0)
    assert vec("changes", "docs", "--after", told["token"]).out == ""
    assert "written  new" in vec("changes", "docs", "--after", token, "--follow", "--limit", 1).out
    assert "not a token" in vec("changes", "docs", "--after", "yesterday", status=1).err


def test_recall(vec: CommandLine, tmp_path: Path) -> None:
    (told,) = vec("recall", "docs", "--k", "2", "--sample", "10", "--json").documents()
    assert (told["recall"], told["k"], told["queries"], told["stored"]) == (1.0, 2, 3, 3)
    assert [(s["wanted"], s["found"], s["ef"]) for s in told["segments"]] == [(6, 6, None)]
    np.save(tmp_path / "queries.npy", [[0.0, 1.0]])
    with_file = vec("recall", "docs", "--vector-file", tmp_path / "queries.npy", "--target-recall", "0.9").out
    assert with_file.splitlines()[0].split() == ["recall", "1.0000"]
    assert "scanned" in with_file
    assert "nothing to find" in vec("recall", "more").out
    assert "ef or target_recall" in vec("recall", "docs", "--ef", "5", "--target-recall", "0.9", status=1).err
    assert vec("search", "docs", "--vector", "[0, 0]", "--target-recall", "0.9", "--limit", "1", "--json").documents()


def test_recall_that_was_measured_is_among_the_statistics(capsys: pytest.CaptureFixture[str]) -> None:
    known = Recall(10, 200, 0, 5_000, 1_700_000_000_000, {32: 0.9, 96: 0.97, 256: 0.999})
    segment = SegmentStats(1, "sealed", {"": "hnsw"}, 5_000, 0, 1, 1, 1, recall={"": known})
    recall = {"": known, "image": known}
    sizes = {"anonymous": 1}
    print_stats(
        CollectionStats("docs", 5_000, 0, 5_000, 5_000, "auto", "ready", 1, sizes, [segment], 1.0, 0.0, recall=recall)
    )
    told = capsys.readouterr().out.splitlines()
    line = (
        "@10 0.900 at ef 32, 0.970 at ef 96, 0.999 at ef 256; 200 queries, 0 of them stored vectors, 2023-11-14 22:13"
    )
    assert [" ".join(text.split()) for text in told if "at ef 32" in text] == [
        f"recall {line} UTC",
        f"recall of image {line} UTC",
    ]
    assert told[-1].endswith("0.970")
