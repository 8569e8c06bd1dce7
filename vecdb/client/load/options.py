"""How to load: what may be said beside the columns, and what it means."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from vecdb.client.guess import GUESS, ByField, Column, PayloadColumns
from vecdb.client.load.mapping import Choice
from vecdb.client.load.progress import Progress
from vecdb.client.load.source import BatchSize
from vecdb.client.operations import Model
from vecdb.errors import InvalidArgument


class LoadMore(TypedDict, total=False):
    """The parameters of ``load`` beside the source and its columns; told there."""

    format: str | None
    json_columns: Sequence[str]
    on_error: str
    rejects: str | os.PathLike[str] | None
    checkpoint: str | os.PathLike[str] | bool | None
    restart: bool
    model: Model | None
    durability: str | None
    timeout: float | None
    batch: int | None
    progress: Progress
    dry_run: bool


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """A load, as it was asked for; see ``load``."""

    id: Column = GUESS
    vector: ByField = GUESS
    text: ByField = GUESS
    payload: PayloadColumns = GUESS
    format: str | None = None
    json_columns: Sequence[str] = ()
    on_error: str = "raise"
    rejects: str | os.PathLike[str] | None = None
    checkpoint: str | os.PathLike[str] | bool | None = None
    restart: bool = False
    model: Model | None = None
    durability: str | None = None
    timeout: float | None = None
    batch: int | None = None
    progress: Progress = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be. Raises InvalidArgument."""
        if self.on_error not in ("raise", "skip"):
            raise InvalidArgument(
                "unknown way to treat bad rows", field="on_error", expected="raise | skip", received=repr(self.on_error)
            )
        if self.batch is not None and (isinstance(self.batch, bool) or self.batch < 1):
            raise InvalidArgument("batch out of range", field="batch", expected=">= 1", received=repr(self.batch))

    def choice(self) -> Choice:
        """What is said of the columns."""
        return Choice(self.id, self.vector, self.text, self.payload, tuple(self.json_columns))

    def size(self) -> BatchSize:
        """How large a batch is."""
        return BatchSize() if self.batch is None else BatchSize(rows=self.batch)
