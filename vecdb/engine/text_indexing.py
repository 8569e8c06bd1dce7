"""Make, behind the writes, the postings that are not known, not in a file, or by another analyzer than is declared.

A segment's new postings take the place of the old ones in one step: until then searches go on with these, and with
the analyzer they were made by. A piece at a time, so that graphs are built in between; a sealed segment gets a new
file, with a new manifest, and then the old file goes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from vecdb.engine.collection import Collection
from vecdb.engine.sealing import folder_of
from vecdb.engine.segment import Part, Segment
from vecdb.engine.text_index import TextIndex
from vecdb.engine.text_sealing import rewrite, terms_file
from vecdb.engine.texts import is_indexed
from vecdb.errors import Cancelled
from vecdb.failpoint import hit
from vecdb.index.analysis.contract import Identity, TakesApart
from vecdb.index.postings.sealed import SealedPostings

SLICE_S = 0.5
"""Texts are analyzed for so long, then others have their turn."""


class _Enough(Exception):
    """The slice is over; what was made is kept. Never leaves this module."""


def behind(collection: Collection) -> bool:
    """Whether some postings are still to be made, or to be dropped."""
    return next(_waiting(collection), None) is not None


def index_texts(
    collection: Collection, root: Path, save_manifest: Callable[[Collection], None], cancel: Callable[[], bool]
) -> bool:
    """Do the next piece; False when there is none. Raises Cancelled."""
    view = collection.view  # held: the bodies it shows stay while texts are read from them
    waiting = next(_waiting(collection), None)
    if waiting is None:
        return False
    segment, key, part = waiting
    texts = collection.reading.texts
    if texts.analyzer(key) is None:
        _replace(collection, root, segment, part, key, TextIndex(), save_manifest)
        return True
    if segment.state == "growing" and _is_by_another(collection, part, key):
        with collection.publish_lock:  # of a write that was analyzed before the declaration changed
            collection.freeze()
            collection.publish()
        return True
    end = time.monotonic() + SLICE_S

    def check() -> None:
        if cancel():
            raise Cancelled("the build was cancelled")
        if time.monotonic() > end:
            raise _Enough

    text = _started(collection, part, key)
    try:
        with text.making:
            texts.make(part, text, key, view.seq, check)
    except _Enough:
        return True
    collection.remade = None
    _replace(collection, root, segment, part, key, text, save_manifest)
    return True


def _waiting(collection: Collection) -> Iterator[tuple[Segment, int, Part]]:
    """Parts whose postings are not as they should be, the newest last."""
    texts = collection.reading.texts
    for segment in collection.view.segments:
        for key, part in segment.parts.items():
            if part.text is None or key not in collection.texts:
                continue
            analyzer = texts.analyzer(key)
            if analyzer is None:
                if part.text.known and not is_indexed(collection.texts[key]):
                    yield segment, key, part
            elif len(part) and (
                part.text.upto(len(part)) is None
                or part.text.analyzer != analyzer.identity
                or (segment.state == "sealed" and not part.text.in_file)
            ):
                yield segment, key, part


def _started(collection: Collection, part: Part, key: int) -> TextIndex:
    """Where postings are made: what the part has, or, while that is by another analyzer, what was begun beside it."""
    assert part.text is not None
    if not _is_by_another(collection, part, key):
        return part.text
    analyzer = collection.reading.texts.analyzer(key)
    begun = collection.remade
    if begun is None or begun[0] is not part or (begun[1].known and begun[1].analyzer != _identity(analyzer)):
        begun = collection.remade = (part, TextIndex())
    return begun[1]


def _is_by_another(collection: Collection, part: Part, key: int) -> bool:
    """Whether a part has postings by another analyzer than is declared."""
    text = part.text
    return text is not None and text.known > 0 and text.analyzer != _identity(collection.reading.texts.analyzer(key))


def _identity(analyzer: TakesApart | None) -> Identity | None:
    return None if analyzer is None else analyzer.identity


def _replace(
    collection: Collection,
    root: Path,
    segment: Segment,
    part: Part,
    key: int,
    text: TextIndex,
    save_manifest: Callable[[Collection], None],
) -> None:
    """Let ``text`` be what is known of a part; in a file, where the segment is sealed."""
    sealed = segment.state == "sealed"
    folder = folder_of(root, collection.number, segment.number)
    before = terms_file(segment.files, key)
    listing = {name: about for name, about in segment.files.items() if name != before}
    if sealed and text.known:
        hit("texts.before_file")
        name, listing_of = rewrite(folder, segment.files, key, text, len(part))
        listing[name] = listing_of
        text = TextIndex(text.analyzer, SealedPostings(folder / name))
        hit("texts.after_file")
    with collection.publish_lock:
        if sealed:
            segment.files = listing
            segment.disk_bytes = sum(size for size, _ in listing.values())
        part.text, part.terms = text, None
        collection.publish()
        collection.indexed.notify_all()
    if sealed:
        hit("texts.before_manifest")
        save_manifest(collection)
        hit("texts.after_manifest")
        if before is not None:
            (folder / before).unlink(missing_ok=True)  # whoever reads it has it open
