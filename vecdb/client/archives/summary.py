"""What the archive in a file says of itself, without reading what it holds."""

from __future__ import annotations

import os
import tarfile
from typing import Any

import orjson

from vecdb.errors import DataLoss, NotFound
from vecdb.model.snapshot import SnapshotSummary


def summary_of(path: str | os.PathLike[str]) -> SnapshotSummary:
    """The summary of an archive; its parts are passed over, and not verified.

    Raises NotFound, DataLoss where the file is no archive or is cut short, FormatTooNew.
    """
    from vecdb.storage import summary  # which needs no engine

    documents: dict[str, Any] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if member.name in (summary.HEADER, summary.MANIFEST) and (file := archive.extractfile(member)):
                    documents[member.name] = orjson.loads(file.read())
    except FileNotFoundError:
        raise NotFound("no such file", field="base", expected="an archive", received=os.fspath(path)) from None
    except (tarfile.TarError, orjson.JSONDecodeError) as error:
        raise DataLoss(f"{os.fspath(path)} is damaged, or no archive of vecdb: {error}") from error
    for wanted in (summary.HEADER, summary.MANIFEST):
        if wanted not in documents:
            raise DataLoss(
                f"{os.fspath(path)} is cut short, or no archive of vecdb", expected=wanted, received="no such part"
            )
    summary.refuse_newer(documents[summary.HEADER])
    return summary.summary(documents[summary.HEADER], documents[summary.MANIFEST], os.path.getsize(path))
