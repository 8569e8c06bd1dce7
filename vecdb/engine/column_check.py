"""Compare the columns of a segment with the bodies they were made of: what ``check`` says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vecdb.engine.body_columns import columns_of
from vecdb.index.columns.contract import Column, Columns, UInt64
from vecdb.index.columns.flatten import Piece, Token, UInt32, token_of
from vecdb.index.contract import Mask
from vecdb.model.filter import name_of
from vecdb.model.point import Int64
from vecdb.storage.codec import Body

CHECK_ROWS = 65_536


def differences(columns: Columns, ordinals: Int64, bodies: Sequence[Body]) -> Iterator[str]:
    """What columns say of the bodies at ``ordinals`` (ascending) that these do not, and the other way round."""
    vectors = columns.vectors()
    spilled = _mask(columns.spilled(), len(columns))
    held = {path: columns.column(path) for path in columns.paths()}
    for start in range(0, len(ordinals), CHECK_ROWS):
        some, part = ordinals[start : start + CHECK_ROWS], bodies[start : start + CHECK_ROWS]
        new = columns_of(part)
        for field_id in {*vectors, *new.vectors}:
            there = vectors.get(field_id, np.zeros(len(columns), dtype=np.bool_))[some]
            if np.any(there != new.vectors.get(field_id, np.zeros(len(part), dtype=np.bool_))):
                yield f"are wrong about vectors of field {field_id}"
        chunk = new.shares[0].chunk
        spilled_now = _mask(chunk.spilled, len(part))
        for path in {*held, *chunk.pieces}:
            column, piece = held.get(path), chunk.pieces.get(path, _NOTHING)
            wrong = _of_path(column, piece, some, len(columns))
            unknown = spilled if column is None else _mask(column.unknown, len(columns))
            for position in np.flatnonzero(wrong & ~unknown[some] & ~spilled_now)[:1].tolist():
                yield f"are wrong about {name_of(path)!r} of {part[position].id!r}"


_NO_ROWS = np.zeros(0, dtype=np.uint32)
_NOTHING = Piece([], _NO_ROWS, _NO_ROWS, _NO_ROWS, _NO_ROWS, _NO_ROWS)


def _of_path(column: Column | None, piece: Piece, ordinals: Int64, n: int) -> Mask:
    """By position, whether what a column has of these bodies is not what they have."""
    wrong = np.zeros(len(ordinals), dtype=np.bool_)
    present = [piece.rows, piece.objects, piece.arrays, piece.long]
    if column is None:
        wrong[np.concatenate(present)] = True
        return wrong
    for told, true in ((column.present, np.concatenate(present)), (column.arrays, piece.arrays)):
        wrong |= _mask(told, n)[ordinals] != _mask(true, len(ordinals))
    long = _mask(column.long, n)[ordinals]
    wrong[piece.long[~long[piece.long]]] = True
    position = np.full(n, -1, dtype=np.int64)
    position[ordinals] = np.arange(len(ordinals))
    entered = position[column.ordinals]
    numbers: dict[Token, int] = {token: code for code, token in enumerate(piece.tokens)}
    used = np.unique(column.codes[entered >= 0])
    renumbered = np.zeros(len(column.values), dtype=np.int64)
    renumbered[used] = [numbers.setdefault(token_of(value), len(numbers)) for value in column.values.take(used)]
    told_pairs = _pairs(entered[entered >= 0], renumbered[column.codes[entered >= 0]], len(numbers))
    true_pairs = _pairs(piece.rows, piece.codes, len(numbers))
    extra, missing = np.setdiff1d(told_pairs, true_pairs), np.setdiff1d(true_pairs, told_pairs)
    wrong[(extra // np.uint64(max(len(numbers), 1))).astype(np.int64)] = True
    lost = (missing // np.uint64(max(len(numbers), 1))).astype(np.int64)
    wrong[lost[~long[lost]]] = True
    return wrong


def _pairs(rows: Int64 | UInt32, codes: Int64 | UInt32, k: int) -> UInt64:
    return rows.astype(np.uint64) * np.uint64(max(k, 1)) + codes.astype(np.uint64)


def _mask(ordinals: UInt32, n: int) -> Mask:
    mask = np.zeros(n, dtype=np.bool_)
    mask[ordinals] = True
    return mask
