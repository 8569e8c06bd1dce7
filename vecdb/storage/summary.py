"""What an archive says of itself, from its first and its last member; the rest passes by unread.

Needs nothing that only an engine has, so that a client can use it while it writes an archive to a file. It checks that
the archive is there to its end, and no checksum: ``vecdb.engine.snapshots.verify`` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from vecdb.errors import DataLoss, FormatTooNew
from vecdb.model.feed import FeedToken
from vecdb.model.snapshot import SnapshotCollection, SnapshotSummary
from vecdb.storage.members import MemberReader

FORMAT = 1
"""The format of archives. 1: the first. Newer ones keep the name of the first member and the form of its document, so
that they are refused by number."""
HEADER = "vecdb-snapshot.json"
MANIFEST = "manifest.json"


class SummaryReader:
    """Reads an archive in pieces as they come, and tells at the end what it was."""

    def __init__(self) -> None:
        self._members = MemberReader(lambda name: name in (HEADER, MANIFEST))
        self._documents: dict[str, Mapping[str, Any]] = {}

    def feed(self, chunk: bytes) -> None:
        """The next bytes. Raises DataLoss, FormatTooNew."""
        for name, data in self._members.feed(chunk):
            if not self._documents and name != HEADER:
                raise DataLoss("this is no archive of vecdb", expected=HEADER, received=name)
            if name in (HEADER, MANIFEST):
                self._documents[name] = _document(name, data)
                refuse_newer(self._documents[HEADER])

    def summary(self) -> SnapshotSummary:
        """What it was, once there are no more bytes. Raises DataLoss when there should be."""
        self._members.finish()
        if MANIFEST not in self._documents:
            raise DataLoss("the archive ends without its last part", expected=MANIFEST, received="its end")
        return summary(self._documents[HEADER], self._documents[MANIFEST], self._members.nbytes)


def read_summary(archive: Iterable[bytes]) -> SnapshotSummary:
    """What an archive says of itself. Raises DataLoss when it is cut short or none, FormatTooNew."""
    reader = SummaryReader()
    for chunk in archive:
        reader.feed(chunk)
    return reader.summary()


def refuse_newer(header: Mapping[str, Any]) -> None:
    """Raise FormatTooNew for an archive of a later release that this one does not know."""
    if int(header.get("format", 0)) > FORMAT:
        raise FormatTooNew(
            "the archive was written by a newer vecdb", expected=f"format 1..{FORMAT}", received=f"{header['format']}"
        )


def summary(header: Mapping[str, Any], manifest: Mapping[str, Any], nbytes: int) -> SnapshotSummary:
    """From the two documents of an archive of so many bytes. Raises DataLoss when they do not make sense."""
    try:
        counts = {int(one["number"]): one for one in manifest["collections"]}
        collections = tuple(
            SnapshotCollection(
                name=str(one["name"]),
                number=int(one["number"]),
                points=int(counts[one["number"]]["points"]),
                vectors={name: int(n) for name, n in counts[one["number"]]["vectors"].items()},
                token=str(FeedToken(str(header["database"]), int(one["number"]), int(one["seq"]))),
                aliases=tuple(one["aliases"]),
                next_row=int(one["next_row"]),
            )
            for one in header["collections"]
        )
        return SnapshotSummary(
            format=int(header["format"]),
            creator=str(header["creator"]),
            database=str(header["database"]),
            commit=int(header["commit"]),
            created_at_ms=int(header["created_at_ms"]),
            base_commit=None if header["base"] is None else int(header["base"]["commit"]),
            collections=collections,
            parts=len(manifest["parts"]),
            nbytes=nbytes,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataLoss(f"the archive does not say what it holds: {error!r}") from error


def _document(name: str, data: bytes) -> Mapping[str, Any]:
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DataLoss(f"{name} is damaged: {error}") from error
    if not isinstance(document, dict):
        raise DataLoss(f"{name} is damaged: it is no object")
    return document
