"""Passages: texts cut to a length that one vector can stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import attrgetter


@dataclass(frozen=True, slots=True)
class Document:
    """A text about ``title``, one of several of ``source``; ``lang`` is en or zh."""

    source: str
    title: str
    lang: str
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """What becomes a point. ``title`` is that of its first document."""

    id: str
    source: str
    title: str
    lang: str
    text: str


# Characters by language: pieces of at most PIECE are put together until they are ENOUGH. So a passage has some
# 300 to 800 characters of English or half as many of Chinese, which says as much in them; the last of a
# source may be shorter.
PIECE = {"en": 480, "zh": 240}
ENOUGH = {"en": 300, "zh": 150}

# Where a text is cut: between paragraphs, else lines, else sentences, else words.
_BREAKS = ("\n\n", "\n", "。", ". ", " ")


def passages(documents: Iterable[Document]) -> list[Passage]:
    """The documents as passages, in order. A text that was there before is left out."""
    found: dict[str, Passage] = {}
    for source, of_source in groupby(documents, key=attrgetter("source")):
        for i, group in enumerate(_groups(of_source)):
            text = _joined(group)
            found.setdefault(text, Passage(f"{source}#{i}", source, group[0].title, group[0].lang, text))
    return list(found.values())


def _groups(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Neighbouring pieces of documents, put together until they are long enough."""
    group: list[Document] = []
    for document in documents:
        for text in cut(document.text, PIECE[document.lang]):
            group.append(Document(document.source, document.title, document.lang, text))
            if sum(len(part.text) for part in group) >= ENOUGH[document.lang]:
                yield group
                group = []
    if group:
        yield group


def _joined(group: Sequence[Document]) -> str:
    """The texts, each under its title where that is another than before."""
    parts = [f"{group[0].title}\n{group[0].text}"]
    for before, part in pairwise(group):
        parts.append(part.text if part.title == before.title else f"{part.title}\n{part.text}")
    # A source may spell half of a surrogate pair, which is no text.
    return "\n\n".join(parts).encode(errors="replace").decode()


def cut(text: str, longest: int, breaks: tuple[str, ...] = _BREAKS) -> list[str]:
    """Pieces of at most ``longest`` characters, as few as the first of ``breaks`` allows."""
    text = text.strip()
    if len(text) <= longest:
        return [text] if text else []
    if not breaks:
        return [text[start : start + longest] for start in range(0, len(text), longest)]
    pieces: list[str] = []
    held = ""
    for part in re.split(f"(?<={re.escape(breaks[0])})", text):
        if held and len(held) + len(part.rstrip()) > longest:
            pieces += cut(held, longest, breaks[1:])
            held = ""
        held += part
    return pieces + cut(held, longest, breaks[1:])
