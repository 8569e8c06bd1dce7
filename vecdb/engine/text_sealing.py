"""The files of a sealed segment's text fields, and what is known by them.

``t<number>.slots`` where slots and bodies differ, and ``t<number>.<n>.terms``, the postings. These may be missing, and
be written anew for another analyzer: then n is another, so that no file ever changes.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vecdb.engine.gathering import Gathering
from vecdb.engine.segment import Part
from vecdb.engine.text_index import TextIndex
from vecdb.engine.texts import Texts
from vecdb.errors import DataLoss
from vecdb.index.analysis.contract import VERSION, Identity
from vecdb.index.postings import merge
from vecdb.index.postings.sealed import SealedPostings
from vecdb.storage import files
from vecdb.storage.codec import TEXT

log = logging.getLogger(__name__)

Listing = Mapping[str, tuple[int, str]]


def stem(key: int) -> str:
    """What the names of a field's files begin with, before the first dot."""
    return f"t{key ^ TEXT}" if key >= TEXT else str(key)


def is_terms(name: str) -> bool:
    """Whether a file holds postings, without which a segment is still whole."""
    return name.endswith(".terms")


def terms_file(listing: Listing, key: int) -> str | None:
    """The name of the postings of a field among the files of a segment."""
    return next((name for name in listing if is_terms(name) and name.startswith(f"{stem(key)}.")), None)


class TextWriter(Gathering):
    """Collects the texts of one field, and writes their postings."""

    def nbytes(self) -> int:
        """Bytes that the postings gathered so far take, as far as they are known."""
        return sum(sum(part.text.nbytes()) for s, _ in self.selection if (part := s.parts[self.key]).text is not None)

    def write(self, folder: Path, texts: Texts, seq: int, check: Callable[[], None]) -> None:
        """Write the postings by the field's own analyzer; what is not known, or is by another, is made first.

        ``seq``: of a view that is held meanwhile. Writes nothing where the field is not searched by keywords.
        """
        if texts.analyzer(self.key) is None:
            return
        sources = []
        for segment, chosen in self.selection:
            if len(chosen):
                part = segment.parts[self.key]
                postings = texts.complete(part, self.key, seq, check).upto(len(part))
                assert postings is not None
                sources.append((postings, chosen))
        if sources:
            merge.write(folder / f"{stem(self.key)}.0.terms", sources)

    def open(self, folder: Path, texts: Texts) -> TextIndex:
        """What is known of the postings just written."""
        path, by = folder / f"{stem(self.key)}.0.terms", texts.analyzer(self.key)
        return TextIndex(by.identity, SealedPostings(path)) if by is not None and path.exists() else TextIndex()


def rewrite(folder: Path, listing: Listing, key: int, text: TextIndex, n: int) -> tuple[str, tuple[int, str]]:
    """Write the postings of all ``n`` texts of a segment as a new file: its name, size and checksum."""
    before = terms_file(listing, key)
    name = f"{stem(key)}.{0 if before is None else 1 + int(before.split('.')[1])}.terms"
    postings = text.upto(n)
    assert postings is not None
    temp = files.temp_path(folder / name)
    merge.write(temp, [(postings, np.arange(n, dtype=np.int64))])
    files.fsync_file(temp)
    digest = files.checksum(temp)
    temp.rename(folder / name)
    files.fsync_dir(folder)
    return name, ((folder / name).stat().st_size, digest)


def describe_texts(part: Part, key: int, listing: Listing) -> dict[str, Any]:
    """The manifest's entry of a text field of a sealed segment."""
    about: dict[str, Any] = {"texts": len(part), "same_rows": part.same_rows}
    if terms_file(listing, key) is not None and part.analyzer is not None:
        about["analyzer"] = {
            "name": part.analyzer.name,
            "options": dict(part.analyzer.options),
            "version": part.analyzer.version,
        }
    return about


def load_texts(folder: Path, key: int, about: Mapping[str, Any], listing: dict[str, tuple[int, str]]) -> TextIndex:
    """What is known of the postings of a text field. A file that is of no use is struck from ``listing``."""
    name = terms_file(listing, key)
    if name is None:
        return TextIndex()
    by = _identity(about["analyzer"])
    if by.version != VERSION:
        del listing[name]
        return TextIndex()
    try:
        files.verify(folder / name, listing[name][1])
        postings = SealedPostings(folder / name)
        if len(postings) != int(about["texts"]):
            raise files.Damaged(folder / name, f"postings of {len(postings)} texts, of {about['texts']}")
    except (files.Damaged, DataLoss, OSError) as error:
        log.warning("postings cannot be used and are built again: %s", error)
        del listing[name]
        return TextIndex()
    return TextIndex(by, postings)


def remove_unlisted(folder: Path, listing: Listing) -> None:
    """Delete postings that no manifest names: replaced ones, and those that a crash left."""
    for file in folder.glob("t*.terms*"):
        if file.name not in listing:
            shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)


def _identity(about: Mapping[str, Any]) -> Identity:
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in about["options"].items()}
    return Identity(about["name"], tuple(sorted(options.items())), int(about["version"]))
