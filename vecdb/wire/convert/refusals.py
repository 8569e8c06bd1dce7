"""How a message that is wrong is refused: with the path of its field, what was expected and what came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from vecdb.errors import InvalidArgument, Unimplemented

T = TypeVar("T")


def named(names: Mapping[T, int], value: int, path: str) -> T:
    """The name that stands for ``value``. Raises InvalidArgument."""
    for name, number in names.items():
        if number == value:
            return name
    raise unknown_name(names, str(value), path)


def unknown_name(names: Iterable[object], received: str, path: str) -> InvalidArgument:
    """The refusal of what is none of ``names``."""
    return InvalidArgument("unknown value", field=path, expected=" | ".join(map(str, names)), received=received)


def unknown_kind(what: str, path: str) -> Unimplemented:
    """The refusal of a ``oneof`` in which nothing is set that is known here."""
    return Unimplemented(
        f"the {what} is empty, or of a kind this server does not know",
        field=path,
        expected="a known kind",
        received="none",
    )


def lengths_differ(path: str, expected: str, received: int) -> InvalidArgument:
    """The refusal of a column that does not go with the others."""
    return InvalidArgument("columns differ in length", field=path, expected=expected, received=str(received))
