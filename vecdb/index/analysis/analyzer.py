"""The analyzers by name, and the options they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from vecdb.errors import InvalidArgument
from vecdb.index.analysis import folding
from vecdb.index.analysis.contract import VERSION, Analyzer, Identity
from vecdb.index.analysis.language import Language, LanguageAnalyzer
from vecdb.index.analysis.stemming import LANGUAGES, Snowball
from vecdb.index.analysis.stopwords import STOP_WORDS
from vecdb.index.analysis.verbatim import Verbatim, whole

_VERBATIM: dict[str, Callable[[str], list[str]]] = {"whitespace": str.split, "exact": whole}
_OPTIONS = {"fold_accents": "true or false", "fold_traditional": "true or false", "stop_words": "a list of words"}

NAMES = ("multilingual", "chinese", *LANGUAGES, *_VERBATIM)
"""What an analyzer can be called."""


def analyzer(name: str = "multilingual", options: Mapping[str, object] | None = None) -> Analyzer:
    """The analyzer of a name in NAMES.

    ``options``, of all but ``whitespace`` and ``exact``: ``fold_accents`` (true), ``fold_traditional`` (false: Chinese
    by simplified characters and by mainland words too), ``stop_words`` (a list to leave out instead of the language's
    own; ``multilingual`` leaves out none). Raises InvalidArgument for any other name, option or value, and
    FailedPrecondition where ``fold_traditional`` needs OpenCC and it is not installed.
    """
    identity = identity_of(name, options)
    given: dict[str, Any] = dict(identity.options)
    if name in _VERBATIM:
        return Verbatim(identity, _VERBATIM[name])
    fold_accents = bool(given.get("fold_accents", True))
    stop_words = given.get("stop_words", STOP_WORDS.get(name, ()))
    snowball = Snowball(name if name in LANGUAGES else "english")
    language = Language(
        snowball.stem if name in LANGUAGES else _any_language(snowball, fold_accents),
        snowball.stems,
        frozenset(folding.fold(str(word)) for word in stop_words),
        fold_accents,
        bool(given.get("fold_traditional", False)),
    )
    return LanguageAnalyzer(identity, language)


def identity_of(name: str, options: Mapping[str, object] | None = None) -> Identity:
    """The identity of the analyzer of this name and these options, without making it. Raises InvalidArgument."""
    _expect(name, NAMES, "analyzer", "analyzer")
    given = {option: tuple(value) if isinstance(value, list) else value for option, value in (options or {}).items()}
    for option, value in given.items():
        _expect(option, () if name in _VERBATIM else tuple(_OPTIONS), "option", f"analyzer.{option}")
        if not _fits(option, value):
            raise InvalidArgument(
                "an option of an analyzer has a wrong value",
                field=f"analyzer.{option}",
                expected=_OPTIONS[option],
                received=repr(value),
            )
    return Identity(name, tuple(sorted(given.items())), VERSION)  # type: ignore[arg-type]


@lru_cache(maxsize=64)
def made_by(identity: Identity) -> Analyzer:
    """The analyzer of an identity, one for all who ask. Raises what ``analyzer`` raises."""
    return analyzer(identity.name, dict(identity.options))


def _any_language(english: Snowball, fold_accents: bool) -> Callable[[str], str]:
    """English stems of words in ASCII letters. By measurement that helps English and German and does no harm to the
    other languages of Latin script: two of their words seldom share an English stem without being of one kind."""

    def stemmed(word: str) -> str:
        if word.isascii():
            return english.stem(word)
        bare = folding.plain(word) if fold_accents else word
        return english.stem(bare) if bare.isascii() else bare

    return stemmed


def _expect(name: object, names: tuple[str, ...], what: str, field: str) -> None:
    if name in names:
        return
    near = get_close_matches(str(name), names, n=1)
    raise InvalidArgument(
        f"there is no {what} of this name here" + (f"; did you mean {near[0]}?" if near else ""),
        field=field,
        expected=f"one of {', '.join(names)}" if names else f"no {what}",
        received=repr(name),
    )


def _fits(option: str, value: object) -> bool:
    if option == "stop_words":
        return isinstance(value, tuple) and all(isinstance(word, str) for word in value)
    return isinstance(value, bool)
