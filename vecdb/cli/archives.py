"""Archives as commands name them and tell of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from vecdb.cli import printed

if TYPE_CHECKING:
    from vecdb.model.snapshot import SnapshotSummary


def opened(files: Sequence[str]) -> list[str | BinaryIO]:
    """What ``restore`` and ``verify`` read: files by name, standard input for "-"."""
    return [_standard_input() if file == "-" else file for file in files]


def _standard_input() -> BinaryIO:
    # Without its buffer, whose lock a thread that still waits for input would hold at the end of the process.
    raw: BinaryIO = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    return raw


def said(summary: SnapshotSummary) -> str:
    """One line about an archive."""
    points = sum(collection.points for collection in summary.collections)
    since = "" if summary.base_commit is None else f", what came since commit {summary.base_commit:,}"
    return (
        f"{len(summary.collections):,} collections, {points:,} points as of commit {summary.commit:,}{since}: "
        f"{printed.size(summary.nbytes)} in {summary.parts:,} parts"
    )


def facts(summary: SnapshotSummary) -> dict[str, Any]:
    """What an archive says of itself, for people."""
    return {
        "created": f"{printed.moment(summary.created_at_ms)} by {summary.creator}",
        "format": summary.format,
        "database": summary.database,
        "as of commit": summary.commit,
        "goes on from commit": summary.base_commit,
        "parts": summary.parts,
        "bytes": summary.nbytes,
    }
