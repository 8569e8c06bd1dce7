"""How far a load came: a small file, replaced after every acknowledged batch, by which a killed load goes on.

It is written whole and synced before the first batch is sent and after each one that was acknowledged. A batch that
was written but not noted is sent again with the same request id, so it has no second effect. The file goes when
the load is complete.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from vecdb.errors import FailedPrecondition, InvalidArgument

FORMAT = 1
SUFFIX = ".load.json"


@dataclass(frozen=True, slots=True)
class Place:
    """A load so far: ``rows`` of the source are dealt with, as ``written`` or ``skipped``.

    ``load_id``: 32 hexadecimal digits, from which request ids follow. ``identity``: what is loaded into what, and
    how, as JSON values. ``rejects_bytes``: how long the file of rejected rows was.
    """

    load_id: str
    identity: dict[str, Any]
    rows: int = 0
    written: int = 0
    skipped: int = 0
    rejects_bytes: int = 0


class Checkpoint:
    """The file, or none: with ``path`` None nothing is remembered. Thread rule: one thread at a time."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def find(self, identity: dict[str, Any]) -> Place | None:
        """What an earlier run left; None when there is nothing.

        Raises FailedPrecondition when it was of another source, collection or mapping, InvalidArgument when the
        file is no checkpoint.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            value = orjson.loads(self.path.read_bytes())
            if value.pop("vecdb_load") != FORMAT:
                raise ValueError("of another format")
            found = Place(**value)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidArgument(
                "not a checkpoint; choose another path, or remove the file",
                field="checkpoint",
                expected="what an earlier load left",
                received=f"{self.path}: {error}",
            ) from None
        for name, now in identity.items():
            before = found.identity.get(name)
            if before != now:
                raise FailedPrecondition(
                    f"a load of this source was interrupted after {found.rows} rows, and since then its {name} "
                    "changed; restart=True begins anew",
                    field="checkpoint",
                    expected=f"{name} {_short(before)}",
                    received=_short(now),
                )
        return found

    def save(self, place: Place) -> None:
        """Remember, durably. Raises FailedPrecondition where the file cannot be written."""
        if self.path is None:
            return
        content = orjson.dumps({"vecdb_load": FORMAT, **asdict(place)}, option=orjson.OPT_INDENT_2)
        temp = self.path.with_name(self.path.name + ".tmp")
        try:
            with open(temp, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temp, self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            raise FailedPrecondition(
                "the checkpoint cannot be written; name a file with checkpoint=, or none with checkpoint=False",
                field="checkpoint",
                expected="a writable file",
                received=str(error),
            ) from None

    def remove(self) -> None:
        """Forget: the load is complete, or never began."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def advanced(place: Place, *, rows: int, written: int, skipped: int, rejects_bytes: int) -> Place:
    """The place after one more batch of ``rows``."""
    return replace(
        place,
        rows=place.rows + rows,
        written=place.written + written,
        skipped=place.skipped + skipped,
        rejects_bytes=rejects_bytes,
    )


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _short(value: object) -> str:
    return orjson.dumps(value).decode()[:400]
