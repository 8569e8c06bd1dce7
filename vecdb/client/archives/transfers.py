"""What a snapshot and a restore consist of, for blocking clients and async ones: the call, and files at its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from vecdb.client import build, calls
from vecdb.client.archives.files import ArchiveFile, ArchiveFiles, Place
from vecdb.client.archives.summary import summary_of
from vecdb.client.load.progress import Progress, reporter
from vecdb.errors import InvalidArgument
from vecdb.model.snapshot import SnapshotBase, SnapshotSummary

Base = str | os.PathLike[str] | SnapshotSummary
"""The path of an earlier archive, or what it says of itself."""


@contextmanager
def taking(
    target: Place, collections: Sequence[str] | None, base: Base | None, progress: Progress
) -> Iterator[tuple[calls.Snapshot, Callable[[], SnapshotSummary]]]:
    """A snapshot into ``target``: the call to send, and what to do when it was answered; without that nothing stays."""
    from vecdb.storage.summary import SummaryReader  # which needs no engine

    chosen = _names(collections)
    before = _base(base, target)
    passing = SummaryReader()
    with reporter(progress, "snapshot", None, "bytes") as advance, ArchiveFile(target, advance) as file:

        def into(piece: bytes) -> None:
            passing.feed(piece)
            file.write(piece)

        def finish() -> SnapshotSummary:
            summary = passing.summary()
            file.finish()
            return summary

        yield calls.Snapshot(chosen, before, into), finish


@contextmanager
def giving(
    source: Place | Sequence[Place],
    collections: Sequence[str] | None,
    rename: Mapping[str, str] | None,
    dry_run: bool,
    progress: Progress,
) -> Iterator[calls.Restore]:
    """A restore of ``source``: the call to send while the archives are open."""
    chosen, renamed = _names(collections), _renamed(rename)
    what = "verify" if dry_run else "restore"
    with ArchiveFiles(source) as files, reporter(progress, what, files.nbytes, "bytes") as advance:
        yield calls.Restore(files.read(advance), chosen, renamed, bool(dry_run))


def _names(given: Sequence[str] | None) -> list[str] | None:
    """None is all of them: a list that came out empty is not meant so."""
    if given is None:
        return None
    names = [given] if isinstance(given, str) else list(given)
    if not names:
        raise InvalidArgument(
            "no collection is named", field="collections", expected="names, or None for all", received="none"
        )
    return [build.name(name, f"collections[{i}]") for i, name in enumerate(names)]


def _renamed(given: Mapping[str, str] | None) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidArgument("not new names", field="rename", expected="dict by name", received=type(given).__name__)
    return {build.name(old, "rename"): build.name(new, f"rename[{old!r}]") for old, new in given.items()}


def _base(given: Base | None, target: object) -> SnapshotBase | None:
    if given is None:
        return None
    if isinstance(given, SnapshotSummary):
        return given.as_base()
    if not isinstance(given, str | os.PathLike):
        raise InvalidArgument(
            "not an earlier archive",
            field="base",
            expected="a path, or the summary of a snapshot",
            received=type(given).__name__,
        )
    if isinstance(target, str | os.PathLike) and os.path.exists(target) and os.path.samefile(target, given):
        raise InvalidArgument(
            "the new archive would replace the one that it goes on from, which a restore needs too",
            field="target",
            expected="another file",
            received=os.fspath(target),
        )
    return summary_of(given).as_base()
