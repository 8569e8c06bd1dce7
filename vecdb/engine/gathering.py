"""What one field's part of a sealed segment is gathered from: ordinals of parts of other segments."""

from __future__ import annotations

import numpy as np

from vecdb.engine.segment import Segment, UInt64
from vecdb.model.point import Int64

Selection = list[tuple[Segment, Int64]]


class Gathering:
    """Slots of one field, by its key, in the order in which they were added."""

    def __init__(self, key: int) -> None:
        self.key = key
        self.selection: Selection = []

    def __len__(self) -> int:
        return sum(len(chosen) for _, chosen in self.selection)

    def slots(self) -> UInt64:
        """The slots in ordinal order."""
        pieces = [segment.parts[self.key].slots[chosen] for segment, chosen in self.selection]
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.uint64)

    def stamps(self) -> tuple[UInt64, UInt64 | None]:
        """(died, owners) as the sources have them now; call under the publish lock."""
        sources = [(segment.parts[self.key], chosen) for segment, chosen in self.selection]
        if not sources:
            return np.zeros(0, dtype=np.uint64), None
        died = np.concatenate([part.died[chosen] for part, chosen in sources])
        if all(part.owners is None for part, _ in sources):
            return died, None
        return died, np.concatenate([part.owner_rows(chosen) for part, chosen in sources])
