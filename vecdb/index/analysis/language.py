"""Analysis of natural language, run by run of one script.

A text is split at white space, and no term reaches over it. ``_tokens`` says what the terms are and where. ``column``
gives the same terms of many texts without places, many times as fast: what a chunk of words becomes is remembered, and
runs of Chinese are arithmetic (``cjk``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from vecdb.index.analysis import dictionary, folding, splitting, traditional
from vecdb.index.analysis.cjk import CjkRuns
from vecdb.index.analysis.column import Column, Occurrences, new_codes, numbered
from vecdb.index.analysis.contract import Identity
from vecdb.index.analysis.memory import Memory
from vecdb.index.analysis.splitting import MAX_TERM, Script
from vecdb.index.analysis.terms import Terms
from vecdb.index.analysis.words import EDGES, Words, words_of
from vecdb.index.packed import PackedTerms, lengths_of
from vecdb.index.ranges import spread
from vecdb.model.point import Int64
from vecdb.model.token import Kind, Token

_CHUNK = re.compile(r"\S+")


_FEW = 1 << 14
"""Characters of a column that is better taken one word after another: arithmetic has a price for any number of them."""


@dataclass(frozen=True)
class Language:
    """How words are treated. ``stem``: of a folded word of letters, ``stems``: of many, of ASCII letters, in bytes;
    ``stop_words``: folded, and left out."""

    stem: Callable[[str], str]
    stems: Callable[[list[bytes]], list[bytes]]
    stop_words: frozenset[str] = frozenset()
    fold_accents: bool = True
    fold_traditional: bool = False


class LanguageAnalyzer:
    """Words, their parts, bigrams and dictionary words of a text, folded."""

    def __init__(self, identity: Identity, language: Language) -> None:
        self.identity = identity
        self._language = language
        self._simplified = traditional.characters() if language.fold_traditional else None
        self._stop_words = frozenset(word.encode() for word in language.stop_words)
        self._remembered = Memory(self._index)

    def terms(self, text: str) -> list[str]:
        return [token.term for token in self._tokens(folding.fold(text))[0]]

    def column(self, texts: Sequence[str]) -> Column:
        occurrences = Occurrences(len(texts))
        cjk = CjkRuns(self._language.stop_words)
        rows, others = [], []
        for row, text in enumerate(texts):
            for piece in (text,) if text.isascii() else splitting.pieces(text):
                if self._simplified is None and splitting.may_hold_cjk(piece):
                    runs, piece = splitting.cjk_apart(piece)
                    cjk.add(row, runs)
                rows.append(row)
                others.append(piece)
        if sum(map(len, others)) < _FEW:
            chunks = [piece.lower().split() for piece in others]
            self._take_chunks(
                list(chain.from_iterable(chunks)),
                np.repeat(np.array(rows, dtype=np.int64), lengths_of(chunks)),
                occurrences,
            )
        else:
            words = words_of(rows, others)
            self._take_words(words, occurrences)
            self._take_chunks(words.chunks, words.chunk_rows, occurrences)
        cjk.into(occurrences)
        return occurrences.column()

    def query(self, text: str) -> list[str]:
        return [term for chunk in text.split() for term in Terms(self._tokens(folding.fold(chunk))[0]).query()]

    def prefix(self, beginning: str) -> str:
        folded = folding.fold(beginning).lstrip(EDGES)
        if self._simplified is not None:
            folded = folded.translate(self._simplified)
        return (folding.plain(folded) if self._language.fold_accents else folded)[:MAX_TERM]

    def analyze(self, text: str) -> Terms:
        out: list[Token] = []
        position = 0
        for chunk in _CHUNK.finditer(text):
            spans = folding.spans(chunk[0], folding.fold)
            tokens, taken = self._tokens(folding.fold(chunk[0]))
            for term, at, start, end, kind in tokens:
                first, last = chunk.start() + spans[start][0], chunk.start() + spans[end - 1][1]
                out.append(Token(term, position + at, first, last, kind))
            position += taken
        return Terms(tuple(out))

    def _take_words(self, words: Words, occurrences: Occurrences) -> None:
        """Add the terms of words."""
        listed, places, rows = words.listed(), words.places, words.rows
        if self._stop_words:
            stops = np.fromiter((word in self._stop_words for word in listed), dtype=np.bool_, count=len(listed))
            kept = ~stops[places]
            places, rows = places[kept], rows[kept]
        stems = self._language.stems(listed)
        for place in words.with_digits().tolist():
            stems[place] = listed[place]
        terms = PackedTerms.encoded(stems)
        if self._language.fold_accents and np.any(terms.blob >= 0x80):
            terms = PackedTerms.of([folding.plain(stem.decode()) for stem in stems])
        occurrences.add(terms, places, rows)

    def _take_chunks(self, chunks: list[str], rows: Int64, occurrences: Occurrences) -> None:
        """Add the terms of chunks, each of a text of its own."""
        codes_of = new_codes()
        codes = numbered(codes_of, chunks)
        made = [[term for one in chunk.split() for term in self._remembered[one.strip(EDGES)]] for chunk in codes_of]
        sizes = lengths_of(made)
        begins = np.cumsum(sizes) - sizes
        sizes, begins = sizes[codes], begins[codes]
        occurrences.add_strings(list(chain.from_iterable(made)), spread(begins, sizes), np.repeat(rows, sizes))

    def _index(self, chunk: str) -> tuple[str, ...]:
        """The terms of a chunk without signs around it."""
        if chunk.isascii() and chunk.isalnum():
            word = chunk[:MAX_TERM]
            return () if word in self._language.stop_words else (self._term(word),)
        out: list[str] = []
        for script, run, start in splitting.runs(folding.fold(chunk)):
            if script == "words":
                words = (part.text for part in splitting.parts(run)[0])
                out += [self._term(word) for word in words if word not in self._language.stop_words]
            else:
                out += [token.term for token in self._run(script, run, 0, start)[0]]
        return tuple(out)

    def _term(self, word: str) -> str:
        """The term of a word that is none of the stop words."""
        term = self._language.stem(word) if word.isalpha() else word
        return folding.plain(term) if self._language.fold_accents and not term.isascii() else term

    def _tokens(self, folded: str) -> tuple[tuple[Token, ...], int]:
        """The tokens of a folded chunk, with places in it, and how many positions it takes."""
        out: list[Token] = []
        position = 0
        for script, run, start in splitting.runs(folded):
            tokens, taken = self._run(script, run, position, start)
            out += tokens
            position += taken
        return tuple(out), position

    def _run(self, script: Script, run: str, position: int, start: int) -> tuple[list[Token], int]:
        """The tokens of one run, and how many positions it takes."""
        out: list[Token] = []
        if script == "words":
            taken = self._words(run, position, start, out)
        elif script == "cjk":
            taken = self._cjk(run, position, start, out)
        elif script == "unspaced":
            taken = _bigrams(splitting.clusters(run), position, start, out)
        else:
            if 2 < len(run) <= MAX_TERM:
                out.append(Token(run, position, start, start + len(run), "whole"))
            taken = _bigrams(list(run), position, start, out)
        return out, taken

    def _words(self, run: str, position: int, start: int, out: list[Token]) -> int:
        parts, taken = splitting.parts(run)
        for part in parts:
            if part.text in self._language.stop_words:
                continue  # its position stays, so that a phrase does not close over it
            kind: Kind = "whole" if part.is_whole else "word"
            out.append(
                Token(self._term(part.text), position + part.position, start + part.start, start + part.end, kind)
            )
        return taken

    def _cjk(self, run: str, position: int, start: int, out: list[Token]) -> int:
        simple = run if self._simplified is None else run.translate(self._simplified)
        taken = _bigrams(list(simple), position, start, out)
        if taken > 1 and splitting.is_han(simple):
            self._chinese(simple, position, start, out)
        elif taken > 1:
            for at, character in enumerate(simple):
                if splitting.is_han(character):
                    out.append(Token(character, position + at, start + at, start + at + 1, "single"))
        if self._simplified is not None:
            for words, first, last in traditional.localized(run, simple):
                bigrams = [words[at : at + 2] for at in range(len(words) - 1)] if len(words) > 2 else []
                for term in (words, *bigrams):
                    out.append(Token(term, position + first, start + first, start + last, "dictionary"))
        return taken

    def _chinese(self, run: str, position: int, start: int, out: list[Token]) -> None:
        """Dictionary words, also those that are bigrams too: a true word then counts twice what two neighbours do.

        Each character is a term, for queries of one character; where it is a word, longer queries ask for it too.
        """
        stop_words = self._language.stop_words
        for word in dictionary.words(run):
            is_asked = word not in stop_words
            if len(word) > 1 and is_asked:
                out.append(Token(word, position, start, start + len(word), "dictionary"))
            for character in word:
                kind: Kind = "dictionary" if len(word) == 1 and is_asked else "single"
                out.append(Token(character, position, start, start + 1, kind))
                position += 1
                start += 1


def _bigrams(units: list[str], position: int, start: int, out: list[Token]) -> int:
    """Two neighbours each; a lone unit is a word. Returns how many positions they take."""
    if len(units) == 1:
        out.append(Token(units[0], position, start, start + len(units[0]), "word"))
        return 1
    for at in range(len(units) - 1):
        left, right = units[at], units[at + 1]
        out.append(Token(left + right, position + at, start, start + len(left) + len(right), "bigram"))
        start += len(left)
    return len(units)
