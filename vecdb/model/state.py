"""What a database can do just now, and why not more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StateName = Literal["serving", "disk_full", "read_only", "unavailable"]


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """``serving``: everything. ``disk_full``: what grows is refused, reads and deletes go on. ``read_only``: nothing
    can be written until the store is opened again. ``unavailable``: the store could not be opened again even to read.

    ``reason`` says why, None while serving. ``since_ms``: when the state began, milliseconds since 1970. ``attempts``:
    how often the store was to be opened again since it failed.
    """

    name: StateName = "serving"
    reason: str | None = None
    since_ms: int = 0
    attempts: int = 0

    @property
    def reads(self) -> bool:
        """Whether reads are answered."""
        return self.name != "unavailable"

    @property
    def writes(self) -> bool:
        """Whether every write is taken."""
        return self.name == "serving"
