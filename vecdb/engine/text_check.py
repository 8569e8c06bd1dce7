"""Compare the postings of a text field of a segment with the texts they were made of: what ``check`` says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from vecdb.engine.segment import ALIVE, Part
from vecdb.engine.texts import maker
from vecdb.errors import FailedPrecondition
from vecdb.index.postings.chunk import analyzed
from vecdb.index.postings.contract import Postings, TermTable
from vecdb.index.postings.growing import GrowingPostings, Share
from vecdb.model.point import Int64
from vecdb.storage.codec import NO_ROW, TEXT, Body

CHECK_TEXTS = 4_096


def slots_of(live: Mapping[int, Body], key: int) -> dict[int, int]:
    """By slot of a text field, the living row that owns it, as the bodies tell."""
    found = {}
    for row, body in live.items():
        if (key ^ TEXT) in body.written:
            slot = body.slots.get(key, NO_ROW)
            found[row if slot == NO_ROW else slot] = row
    return found


def differences(part: Part, key: int, live: Mapping[int, Body]) -> Iterator[str]:
    """What a part tells of living texts that their bodies (by row) do not, and the other way round."""
    alive = np.flatnonzero(part.died == ALIVE).astype(np.int64)
    if len(part) - len(alive) != part.dead:
        yield f"counts {part.dead} dead, has {len(part) - len(alive)}"
    owned = True
    for slot, owner in zip(part.slots[alive].tolist(), part.owner_rows(alive).tolist(), strict=True):
        body = live.get(owner)
        if body is None or (key ^ TEXT) not in body.written or _slot(body, key, owner) != slot:
            owned = False
            yield f"shows slot {slot}, which does not belong to row {owner}"
    postings, by = part.postings, part.analyzer
    if postings is None or not owned:
        return
    if len(postings) != len(part):
        yield f"has {len(part)} texts, its postings {len(postings)}"
        return
    terms = int(postings.lengths[alive].sum(dtype=np.int64))
    if part.terms is not None and part.terms != terms:
        yield f"counts {part.terms} living terms, has {terms}"
    if by is None:
        return
    try:
        analyzer = maker(by)
    except FailedPrecondition:
        return  # nobody could say
    if analyzer.identity != by:
        return  # of another version; to be made anew
    fresh = GrowingPostings()
    owners = part.owner_rows(alive).tolist()
    for start in range(0, len(owners), CHECK_TEXTS):
        texts: list[Any] = [live[row].written[key ^ TEXT] for row in owners[start : start + CHECK_TEXTS]]
        fresh.append([Share(analyzed(texts, analyzer))], len(texts))
    if not _alike(postings, fresh.upto(len(owners)), alive):
        yield "has postings that its texts do not have"


def _slot(body: Body, key: int, row: int) -> int:
    slot = body.slots.get(key, NO_ROW)
    return row if slot == NO_ROW else slot


def _alike(told: Postings, true: Postings, alive: Int64) -> bool:
    """Whether ``told`` says of the texts ``alive`` what ``true`` says of all of its own."""
    place = np.full(len(told), -1, dtype=np.int64)
    place[alive] = np.arange(len(alive))
    if not np.array_equal(told.lengths[alive], true.lengths):
        return False
    mine, others = _entries(told.table(), place), _entries(true.table(), np.arange(len(true)))
    return mine[0] == others[0] and all(np.array_equal(a, b) for a, b in zip(mine[1:], others[1:], strict=True))


def _entries(table: TermTable, place: Int64) -> tuple[list[bytes], Int64, Int64, Int64]:
    """The terms that living texts hold, and their postings: the number of the term, the text's place, how often."""
    holders = np.repeat(np.arange(len(table.offsets) - 1), np.diff(table.starts))
    places = place[table.ordinals]
    seen = places >= 0
    held, numbers = np.unique(holders[seen], return_inverse=True)
    blob, offsets = table.blob.tobytes(), table.offsets.tolist()
    terms = [blob[offsets[i] : offsets[i + 1]] for i in held.tolist()]
    return terms, numbers.astype(np.int64), places[seen], table.frequencies[seen].astype(np.int64)
