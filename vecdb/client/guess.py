"""What a load guesses when it is not told: the mark for it, and the types of what may be said of columns."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Literal


class Guess(enum.Enum):
    """The default of what may be guessed; None says that there is none."""

    GUESS = "guess"

    def __repr__(self) -> str:
        return self.name


GUESS: Literal[Guess.GUESS] = Guess.GUESS

Column = str | None | Literal[Guess.GUESS]
ByField = str | Mapping[str, str] | None | Literal[Guess.GUESS]
PayloadColumns = str | Sequence[str] | Mapping[str, str] | None | Literal[Guess.GUESS]
