"""A bar on a terminal, lines elsewhere, a function for whoever has one."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.load.files import iterator, npy, rows
from vecdb import errors
from vecdb.client.collection import Collection
from vecdb.client.load import export, load, reporter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_function_hears_of_every_batch(docs: Collection, tmp_path: Path) -> None:
    heard: list[tuple[int, int | None]] = []
    load(docs, npy(rows(5), tmp_path / "x.npy"), batch=2, progress=lambda *news: heard.append(news))
    assert heard == [(2, 5), (4, 5), (5, 5)]
    heard.clear()
    load(docs, iterator(rows(5), tmp_path), batch=4, progress=lambda *news: heard.append(news))
    assert heard == [(4, None), (5, None)]
    heard.clear()
    export(docs, tmp_path / "x.jsonl", progress=lambda *news: heard.append(news))
    assert heard[-1] == (10, 10)


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", err := io.StringIO())
    monkeypatch.setattr("vecdb.client.load.progress._LINE_EVERY_S", 0)
    with reporter(True, "load docs", 12_000) as advance:
        advance(10_000)
        advance(12_000)
    assert err.getvalue().splitlines() == [
        "load docs: 10,000 of 12,000",
        "load docs: 12,000 of 12,000",
        "load docs: 12,000 of 12,000",
    ]


def test_a_write_that_is_told_its_total_late(docs: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", err := io.StringIO())
    docs.upsert([1, 2], [[1, 2, 3, 4]] * 2, progress=True)
    assert err.getvalue() == "write: 2 of 2\n"


@pytest.mark.parametrize("total", [20, None])
def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, total: int | None) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr("sys.stderr", err := Terminal())
    with reporter(True, "load docs", total) as advance:
        advance(20)
    assert "load docs" in err.getvalue() and "20/" in err.getvalue()


def test_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", err := Terminal())
    with reporter(False, "load docs", 5) as advance:
        advance(5)
    assert err.getvalue() == ""
    with pytest.raises(errors.InvalidArgument), reporter("yes", "load docs", 5):  # type: ignore[arg-type]
        pass
