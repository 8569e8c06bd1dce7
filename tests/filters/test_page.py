"""docs/filters.md: every line of its tables of examples, by the meaning alone and in a real collection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vecdb
from tests.project.repository import ROOT
from vecdb.model.filter import Facts, from_dict, matches

HEADING = "| filter | payload | matches |"
VECTOR = [1.0, 0.0]


def examples() -> Iterator[tuple[dict[str, Any], dict[str, Any], bool]]:
    """(filter, what the point has: payload, text, vector; whether it matches) of each line."""
    inside = False
    for line in (ROOT / "docs" / "filters.md").read_text().splitlines():
        inside = line == HEADING or (inside and line.startswith("|"))
        if not inside or line in (HEADING, "|---|---|---|"):
            continue
        written, point, answer = (cell.strip() for cell in line.strip("|").split(" | "))
        has: dict[str, Any] = {"payload": {}}
        if point.startswith("text: "):
            has["text"] = point.removeprefix("text: ").strip("`")
        elif point == "vector":
            has["vector"] = VECTOR
        else:
            has["payload"] = json.loads(point.strip("`"))
        yield json.loads(written.strip("`")), has, {"yes": True, "no": False}[answer]


EXAMPLES = list(examples())


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) > 70
    assert 20 < sum(answer for _, _, answer in EXAMPLES) < len(EXAMPLES) - 20


@pytest.mark.parametrize(("written", "has", "answer"), EXAMPLES, ids=lambda given: str(given)[:60])
def test_what_the_page_says_is_what_it_means(written: dict[str, Any], has: dict[str, Any], answer: bool) -> None:
    texts = {"": has["text"]} if "text" in has else {}
    facts = Facts("a", 1, has["payload"], texts, [""] if "vector" in has else [])
    assert matches(from_dict(written), facts) is answer


@pytest.mark.parametrize("state", ["growing", "sealed"])
def test_what_the_page_says_is_what_a_collection_does(state: str, tmp_path: Path) -> None:
    """A collection for each line, with a point that nothing but the complements matches beside it."""
    with vecdb.open(tmp_path, background=False, idle_seal_s=0.0, graph_rows=1, seal_bytes=1, durability="os") as db:
        made = []
        for number, (_, has, _) in enumerate(EXAMPLES):
            docs = db.create_collection(f"c{number}", dim=2)
            docs.insert(["a"], [has.get("vector")], [has.get("text")], [has["payload"]])
            made.append(docs)
        if state == "sealed":
            engine = db._transport._database  # type: ignore[attr-defined]
            while engine.maintain():
                pass
            assert {s.state for docs in made for s in docs.stats().segments} == {"sealed"}
        for docs, (written, has, answer) in zip(made, EXAMPLES, strict=True):
            assert docs.count(filter=written) == answer, (written, has)
            assert docs.exists(["a"], filter=written).tolist() == [answer], (written, has)
            assert [point.id for point in docs.scroll(filter=written)] == ["a"] * answer, (written, has)
            assert docs.count(filter={"$not": written}) == (not answer), (written, has)
            if "vector" in has:
                assert docs.search(VECTOR, filter=written).ids == ["a"] * answer, (written, has)
