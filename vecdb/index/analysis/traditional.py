"""Traditional Chinese to simplified by OpenCC's dictionaries: the only file that imports it."""

from __future__ import annotations

from collections.abc import Callable
from difflib import SequenceMatcher
from functools import cache

from vecdb.errors import FailedPrecondition

Aligned = list[tuple[str, int, int]]

_SLICE = 64  # characters compared at once: the time of a comparison grows with more than their square


@cache
def _converter(kind: str) -> Callable[[str], str]:
    try:
        import opencc
    except ImportError as error:
        raise FailedPrecondition(
            "fold_traditional needs OpenCC",
            field="analyzer.fold_traditional",
            expected='what `pip install "vecdb-py[traditional]"` adds',
            received=f"no OpenCC ({error})",
        ) from error
    convert: Callable[[str], str] = opencc.OpenCC(kind).convert
    return convert


@cache
def characters() -> dict[int, str]:
    """For ``str.translate``: each traditional character to its simplified one, whatever stands beside it."""
    codes = [*range(0x3400, 0xA000), *range(0xF900, 0xFB00), *range(0x20000, 0x323B0)]
    lines = "\n".join(map(chr, codes))
    simple = _converter("t2s")(lines).split("\n")
    return {code: to for code, to in zip(codes, simple, strict=True) if to != chr(code) and len(to) == 1}


def localized(run: str, simplified: str) -> Aligned:
    """Where mainland usage has other words than ``simplified`` (資料庫 is 数据库 there, not 资料库): those words.

    ``run``: traditional; ``simplified``: the same by ``characters``. Returns (words, start, end), each with a neighbour
    on either side where there is one, and with the characters of ``run`` that it stands for.
    """
    out: Aligned = []
    for at in range(0, len(run), _SLICE):
        aligned = _localized(run[at : at + _SLICE], simplified[at : at + _SLICE])
        out += [(words, at + start, at + end) for words, start, end in aligned]
    return out


def _localized(run: str, simplified: str) -> Aligned:
    local = _converter("tw2sp")(run)
    if local == simplified:
        return []
    out: Aligned = []
    for kind, start, end, from_, to in SequenceMatcher(None, simplified, local, autojunk=False).get_opcodes():
        if kind in ("replace", "insert"):
            left, right = min(1, start, from_), min(1, len(simplified) - end, len(local) - to)
            out.append((local[from_ - left : to + right], start - left, end + right))
    return out
