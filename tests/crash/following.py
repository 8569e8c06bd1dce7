"""A follower of the change feed: what it makes of the changes is, once it has caught up, all that there is.

What it knows outlives the process, in a file beside the data, so that tokens are used across faults. A power cut may
take back what was not synced, a collection may be dropped, and the feed lets go of what is old: then it starts over.
Where the feed keeps a tenth of a second only, that may be over before it has caught up, and it starts over again.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import orjson

from tests.crash.report import CONTEXT
from vecdb.engine.database import Database
from vecdb.errors import ChangesGone, InvalidArgument
from vecdb.model.feed import NOW, FeedRequest
from vecdb.model.point import Select

PAGE_BYTES = 2_000
"""So little that a larger batch comes in pieces."""
SCROLLED = 1_000
STARTS = 10


class Follower:
    """By collection a token, and the versions of its points by id, at that token. For one thread."""

    def __init__(self, data: str) -> None:
        self._file = Path(f"{data}.followed")
        self._known: dict[str, tuple[str, dict[str, int]]] = {}
        with contextlib.suppress(FileNotFoundError, orjson.JSONDecodeError):  # no file, or none that was synced
            self._known = orjson.loads(self._file.read_bytes())

    def caught_up(self, database: Database, collection: str, called: str) -> dict[str, int]:
        """The versions of all points of a collection, at some moment of this call.

        Tries STARTS times. Raises ChangesGone when the feed, each time, let go of what came since the start.
        """
        left = STARTS
        while True:
            if collection not in self._known:
                self._start(database, collection, called)
            try:
                return self._go_on(database, collection, called)
            except (ChangesGone, InvalidArgument):
                del self._known[collection]
                left -= 1
                if not left:
                    raise

    def _start(self, database: Database, collection: str, called: str) -> None:
        token = database.changes(CONTEXT, called, FeedRequest(NOW)).token
        page, _ = database.scroll(CONTEXT, called, "", SCROLLED, Select())
        self._known[collection] = token, dict(zip(page.ids, page.versions.tolist(), strict=True))

    def _go_on(self, database: Database, collection: str, called: str) -> dict[str, int]:
        token, versions = self._known[collection]
        rows, end = 0, False
        while not end:
            page = database.changes(CONTEXT, called, FeedRequest(token, rows, max_bytes=PAGE_BYTES))
            for change in page.changes:
                versions |= dict(zip(change.columns.ids, change.columns.versions.tolist(), strict=True))
                for point_id in change.deleted:
                    versions.pop(point_id, None)
            token, rows, end = page.token, page.rows, page.end
        self._known[collection] = token, versions
        aside = self._file.with_name(f"{self._file.name}.new")
        try:
            aside.write_bytes(orjson.dumps(self._known))
            os.replace(aside, self._file)
        except OSError:  # the disk is full: what was known before outlives the process, and is as good
            aside.unlink(missing_ok=True)
        return dict(versions)
