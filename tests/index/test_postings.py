"""Postings against a plain dict: what grows, what is sealed, and any merge of both say the same of the same texts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vecdb.errors import DataLoss
from vecdb.index.analysis.analyzer import analyzer
from vecdb.index.packed import PackedTerms
from vecdb.index.postings import growing as growing_module
from vecdb.index.postings import merge
from vecdb.index.postings.chunk import analyzed
from vecdb.index.postings.contract import Postings
from vecdb.index.postings.edits import characters, distances
from vecdb.index.postings.growing import GrowingPostings, Share
from vecdb.index.postings.sealed import SealedPostings

SPLIT = analyzer("whitespace")

# Terms that are prefixes of each other, differ in the first eight bytes or behind them, and hold bytes of all lengths.
WORDS = (
    "a", "ab", "abc", "abcdefgh", "abcdefghi", "abcdefgh\0", "abcdefgh\0\0", "a\0", "acb", "bac", "é", "😀", "\uffff",
    "数据", "数据库", "据数", "x" * 64 + "a", "x" * 64 + "b", "x" * 300 + "a", "x" * 300 + "b", "x" * 300, "node.js",
    "nodes",
)  # fmt: skip
words = st.one_of(st.sampled_from(WORDS), st.text("ab数😀", min_size=1, max_size=4))
texts = st.one_of(st.none(), st.lists(words, max_size=6).map(" ".join))
columns = st.lists(texts, max_size=10)


def split(text: str) -> list[str]:
    return SPLIT.terms(text)


@cache
def edits_between(one: str, other: str) -> int:
    """Optimal string alignment, as the textbook has it."""
    table = [[i + j if i * j == 0 else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            table[i][j] = min(
                table[i - 1][j] + 1, table[i][j - 1] + 1, table[i - 1][j - 1] + (one[i - 1] != other[j - 1])
            )
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


def check(postings: Postings, held: Sequence[str]) -> None:
    """Everything that ``postings`` says of these texts."""
    counted = [Counter(split(text)) for text in held]
    terms = sorted({term for counts in counted for term in counts}, key=str.encode)
    assert len(postings) == len(held)
    assert postings.lengths.tolist() == [counts.total() for counts in counted]
    assert postings.lengths.dtype == np.uint32
    asked = [*terms, "nowhere", *WORDS]
    for term, posting in zip(asked, postings.find(asked), strict=True):
        expected = {i: counts[term] for i, counts in enumerate(counted) if term in counts}
        if posting is None:
            assert not expected
        else:
            assert posting.ordinals.tolist() == list(expected)
            assert posting.frequencies.tolist() == list(expected.values())
            assert posting.ordinals.dtype == np.uint32 and posting.frequencies.dtype.kind == "u"
    for prefix in ("", "a", "ab", "abcdefgh", "abcdefgh\0", "x" * 64, "数", "z"):
        begun = [term for term in terms if term.startswith(prefix)]
        assert postings.starting(prefix, 1_000) == begun
        assert postings.starting(prefix, 2) == begun[:2]
    for asked_for, edits in (("ab", 1), ("abc", 2), ("数据", 1), ("数据库x", 2), ("nodejs", 1), ("x" * 64 + "b", 2)):
        away = sorted((edits_between(asked_for, term), term.encode(), term) for term in terms)
        near = [(term, distance) for distance, _, term in away if distance <= edits]
        assert postings.near(asked_for, edits, 1_000) == near
        assert postings.near(asked_for, edits, 3) == near[:3]
    table = postings.table()
    packed = PackedTerms(table.offsets, table.blob)
    assert packed.strings(np.arange(len(packed))) == terms
    for i, term in enumerate(terms):
        begin, end = table.starts[i], table.starts[i + 1]
        expected = {i: counts[term] for i, counts in enumerate(counted) if term in counts}
        assert dict(zip(table.ordinals[begin:end].tolist(), table.frequencies[begin:end].tolist(), strict=True)) == (
            expected
        )


def some_of(n: int, random: Random, share: float = 0.8) -> list[int]:
    return [i for i in range(n) if random.random() < share]


def write(growing: GrowingPostings, rows: list[str | None], random: Random) -> list[str]:
    """Append texts of a column as the engine may: all, or some of them, split into shares, out of order. Returns them
    as they were numbered."""
    chunk = analyzed(rows, SPLIT)
    assert chunk.present.tolist() == [row is not None for row in rows]
    if random.random() < 0.3:
        present = [row for row in rows if row is not None]
        growing.append([Share(chunk)], len(present))
        return present
    chosen = [i for i in some_of(len(rows), random) if rows[i] is not None]
    texts = list(range(len(chosen)))
    if random.random() < 0.5:
        random.shuffle(texts)
    cut = random.randint(0, len(chosen))
    shares = [
        Share(chunk, np.array(chosen[part], dtype=np.int64), np.array(texts[part], dtype=np.int64))
        for part in (slice(0, cut), slice(cut, None))
    ]
    growing.append(shares, len(chosen))
    out = [""] * len(chosen)
    for position, text in zip(chosen, texts, strict=True):
        out[text] = rows[position] or ""
    return out


@given(columns)
def test_a_chunk_counts_each_text(rows: list[str | None]) -> None:
    chunk = analyzed(rows, SPLIT)
    counted = [Counter(split(row or "")) for row in rows]
    assert len(chunk) == len(rows)
    assert chunk.lengths.tolist() == [counts.total() for counts in counted]
    terms = chunk.terms.strings(np.arange(len(chunk.terms)))
    assert sorted(terms) == sorted({term for counts in counted for term in counts})
    for i, term in enumerate(terms):
        begin, end = chunk.starts[i], chunk.starts[i + 1]
        assert chunk.ordinals[begin:end].tolist() == [row for row, counts in enumerate(counted) if term in counts]
        assert chunk.frequencies[begin:end].tolist() == [counts[term] for counts in counted if term in counts]


@given(st.lists(columns, max_size=5), st.randoms(use_true_random=False), st.sampled_from((4, 1 << 19)))
@example([["a b", "a"], [None, "b"]], Random(1), 4)
def test_growing_postings_are_those_of_the_texts(writes: list[list[str | None]], random: Random, most: int) -> None:
    growing = GrowingPostings()
    held: list[str] = []
    views: list[tuple[Postings, list[str]]] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(growing_module, "MAX_BLOCK", most)
        for rows in writes:
            held += write(growing, rows, random)
            view = growing.upto(len(held))
            if random.random() < 0.5:
                view.starting("a", 1)  # makes what readers share
            views.append((view, list(held)))
    for view, texts in views:  # an older view shows its own texts, whatever came since
        check(view, texts)
    late = random.randint(0, len(held))
    check(growing.upto(late), held[:late])


@given(st.lists(st.lists(columns, max_size=3), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_sealed_postings_are_those_of_the_texts(
    tmp_path_factory: pytest.TempPathFactory, segments: list[list[list[str | None]]], random: Random
) -> None:
    folder = tmp_path_factory.mktemp("postings")
    sources: list[tuple[Postings, list[str]]] = []
    for writes in segments:
        growing = GrowingPostings()
        held: list[str] = []
        for rows in writes:
            held += write(growing, rows, random)
        sources.append((growing.upto(len(held)), held))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(merge, "PIECE", random.choice((1, 3, 1 << 21)))
        first = merged(folder / "first", sources, random)
        check(*first)
        check(*merged(folder / "again", [first, sources[0]], random))
        check(*merged(folder / "whole", sources, random, share=1.0))


def merged(
    path: Path, sources: list[tuple[Postings, list[str]]], random: Random, share: float = 0.8
) -> tuple[Postings, list[str]]:
    """The postings of most of the texts of some segments, written and mapped."""
    chosen = [some_of(len(held), random, share) for _, held in sources]
    merge.write(
        path,
        [(postings, np.array(some, dtype=np.int64)) for (postings, _), some in zip(sources, chosen, strict=True)],
    )
    return SealedPostings(path), [held[i] for (_, held), some in zip(sources, chosen, strict=True) for i in some]


def test_frequencies_are_as_narrow_as_they_can_be(tmp_path: Path) -> None:
    for times, width in ((255, np.uint8), (256, np.uint16), (70_000, np.uint32)):
        growing = GrowingPostings()
        growing.append([Share(analyzed(["a " * times, "a b"], SPLIT))], 2)
        merge.write(tmp_path / "postings", [(growing.upto(2), np.arange(2))])
        sealed = SealedPostings(tmp_path / "postings")
        check(sealed, ["a " * times, "a b"])
        (posting,) = sealed.find(["a"])
        assert posting is not None and posting.frequencies.dtype == width
        merge.write(tmp_path / "rest", [(sealed, np.array([1]))])
        (posting,) = SealedPostings(tmp_path / "rest").find(["a"])
        assert posting is not None and posting.frequencies.dtype == np.uint8


def test_many_terms_are_found_between_the_samples(tmp_path: Path) -> None:
    terms = sorted({f"common-prefix-{i * 7919 % 1_000}" for i in range(1_000)} | {f"w{i}" for i in range(0, 1_000, 3)})
    growing = GrowingPostings()
    growing.append([Share(analyzed(terms, SPLIT))], len(terms))
    merge.write(tmp_path / "postings", [(growing.upto(len(terms)), np.arange(len(terms)))])
    sealed = SealedPostings(tmp_path / "postings")
    for i, posting in enumerate(sealed.find(terms)):
        assert posting is not None and posting.ordinals.tolist() == [i]
    assert sealed.find(["common-prefix", "common-prefix-1000", "w1", "", "zz"]) == [None] * 5
    assert sealed.starting("w9", 1_000) == [term for term in terms if term.startswith("w9")]


@given(st.randoms(use_true_random=False))
def test_a_damaged_file_is_told_as_such(tmp_path_factory: pytest.TempPathFactory, random: Random) -> None:
    """Or it gives something else: what its checksum is for. Nothing else happens."""
    path = tmp_path_factory.mktemp("postings") / "postings"
    growing = GrowingPostings()
    growing.append([Share(analyzed(["a ab 数据库", "a a bc", "b 数据"], SPLIT))], 3)
    merge.write(path, [(growing.upto(3), np.arange(3))])
    data = bytearray(path.read_bytes())
    for _ in range(random.randint(1, 3)):
        data[random.randrange(len(data))] = random.randrange(256)
    path.write_bytes(data[: random.choice((len(data), random.randrange(len(data))))])
    try:
        sealed = SealedPostings(path)
        sealed.find(["a", "ab", "数据", "none"])
        sealed.starting("a", 10)
        sealed.near("ab", 2, 10)
        sealed.table()
    except DataLoss as lost:
        assert "postings" in str(lost)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "postings"
    growing = GrowingPostings()
    growing.append([Share(analyzed(["a b", "b"], SPLIT))], 2)
    merge.write(path, [(growing.upto(2), np.arange(2))])
    data = path.read_bytes()
    for damaged in (b"", data[:-1], data[40:], data.replace(b'"starts"', b'"statrs"'), data.replace(b"<u4", b"<u8")):
        path.write_bytes(damaged)
        with pytest.raises(DataLoss, match="postings"):
            SealedPostings(path)


def test_many_writes_make_few_blocks() -> None:
    growing = GrowingPostings()
    for number in range(1_000):
        growing.append([Share(analyzed([f"a b {number}"], SPLIT))], 1)
    assert len(growing.blocks) <= 11
    (posting,) = growing.upto(1_000).find(["a"])
    assert posting is not None
    assert posting.ordinals.tolist() == list(range(1_000))


def test_readers_see_their_own_texts_while_others_are_added() -> None:
    growing = GrowingPostings()
    chunk = analyzed(["a b", "b c", "c"], SPLIT)
    growing.append([Share(chunk)], 3)
    done = threading.Event()

    def add() -> None:
        for number in range(300):
            growing.append([Share(analyzed([f"a new{number}", "b"], SPLIT))], 2)
        done.set()

    first = growing.upto(3)
    thread = threading.Thread(target=add)
    thread.start()
    rounds = 0
    while rounds < 5 or not done.is_set():
        check(first, ["a b", "b c", "c"])
        now = growing.upto(growing.lengths.n)
        (posting,) = now.find(["a"])
        assert posting is not None and len(posting.ordinals) == 1 + (len(now) - 3) // 2
        assert len(now.starting("new", 1_000)) == (len(now) - 3) // 2
        rounds += 1
    thread.join()
    assert len(growing.upto(603).starting("new", 1_000)) == 300


@given(st.text("ab数", max_size=7), st.lists(st.text("ab数", max_size=8), max_size=8), st.integers(1, 2))
@example("abb", ["bab", "bba", "aab"], 1)
def test_edits_are_those_of_the_textbook(term: str, others: list[str], most: int) -> None:
    for other in others:
        if abs(len(other) - len(term)) <= most:
            found = distances(characters(term), characters(other).reshape(1, -1), most)
            assert found.tolist() == [min(edits_between(term, other), most + 1)]


@given(st.lists(words, max_size=30))
@example(["a\0", "a", "abcdefgh\0", "abcdefgh", "a", "a\0\0"])
def test_terms_are_ordered_by_their_bytes(terms: list[str]) -> None:
    packed = PackedTerms.of(terms)
    order, new = packed.order()
    encoded = [term.encode() for term in terms]
    assert order.tolist() == sorted(range(len(terms)), key=lambda i: (encoded[i], i))
    ordered = sorted(encoded)
    assert new.tolist() == [i == 0 or ordered[i] != ordered[i - 1] for i in range(len(ordered))]
