"""What changes scores that were found, as people write it, to the nouns of the model."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vecdb.client.numbers import real
from vecdb.client.ttl import seconds
from vecdb.errors import InvalidArgument
from vecdb.model import modifier
from vecdb.model.filter import Key, Scalar
from vecdb.model.filter.expression import key_of
from vecdb.model.filter.times import parse_time

Distance = float | timedelta | str
"""Between numbers a number; between times a timedelta, seconds, or a text such as "30d" (ms, s, m, h, d, w)."""


@dataclass(frozen=True, slots=True)
class Decay:
    """Lower a score by half for every ``half`` between the value at ``key`` and ``origin``.

    The score is multiplied by 0.5 ^ (distance / half); of the distance ``plateau`` counts as none. ``key``: a path as
    in ``F``. ``origin``: a datetime with a time zone, or an RFC 3339 text, for such times in the payload, and None for
    now; then ``half`` and ``plateau`` are a timedelta, seconds, or a text such as "30d" (ms, s, m, h, d, w). Or a
    number, for numbers, with ``half`` and ``plateau`` in their unit. A point without such a value keeps its score times
    ``missing``, 0..1.
    """

    key: str | Sequence[str]
    half: Distance
    origin: float | datetime | str | None = None
    plateau: Distance = 0.0
    missing: float = 1.0


@dataclass(frozen=True, slots=True)
class Boost:
    """Add ``weight`` * ln(1 + max(value, 0)) to a score, of the number at ``key`` (a path as in ``F``).

    A point without a number there gets nothing added.
    """

    key: str | Sequence[str]
    weight: float


def to_modifiers(given: object) -> list[modifier.Modifier]:
    """The modifiers of a search; one alone is a list of it. Raises InvalidArgument."""
    if given is None:
        return []
    if isinstance(given, Decay | Boost):
        given = [given]
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise InvalidArgument(
            "not a list of modifiers", field="modifiers", expected=_KINDS, received=type(given).__name__
        )
    return [_modifier(one, f"modifiers[{i}]") for i, one in enumerate(given)]


_KINDS = "a list of Decay and Boost"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(rf"(\d+(?:\.\d+)?) ?({'|'.join(_UNITS)})", re.ASCII)


def _modifier(given: object, path: str) -> modifier.Modifier:
    if isinstance(given, Boost):
        return modifier.Boost(_key(given.key, f"{path}.key"), real(given.weight, f"{path}.weight"))
    if not isinstance(given, Decay):
        raise InvalidArgument("not a modifier", field=path, expected="Decay or Boost", received=type(given).__name__)
    key = _key(given.key, f"{path}.key")
    missing = real(given.missing, f"{path}.missing")
    origin = _origin(given.origin, f"{path}.origin")
    distance = _milliseconds if origin is None or isinstance(origin, str) else real
    half, plateau = distance(given.half, f"{path}.half"), distance(given.plateau, f"{path}.plateau")
    return modifier.Decay(key, half, origin, plateau, missing)


def _origin(given: object, path: str) -> Scalar:
    if given is None:
        return None
    if isinstance(given, datetime) and given.tzinfo is not None:
        return given.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(given, str) and parse_time(given) is not None:
        return given
    if isinstance(given, datetime | str):
        raise InvalidArgument(
            "not a moment",
            field=path,
            expected="a datetime with tzinfo, or an RFC 3339 text",
            received=repr(given)[:60],
        )
    return real(given, path)


def _milliseconds(given: object, path: str) -> float:
    """A distance of times."""
    found = seconds(given)
    if isinstance(given, str):
        written = _DURATION.fullmatch(given)
        found = float(written[1]) * _UNITS[written[2]] if written else math.nan
    if math.isnan(found):
        raise InvalidArgument(
            "not a distance of times",
            field=path,
            expected='a text such as "30d", a timedelta or seconds',
            received=repr(given)[:40],
        )
    return 1000.0 * found


def _key(given: object, path: str) -> Key:
    if not isinstance(given, str | list | tuple):
        raise InvalidArgument("not a path", field=path, expected="str | list of keys", received=type(given).__name__)
    return key_of(given)
