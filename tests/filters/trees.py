"""Random filters and random payloads, of few keys and few values, so that they meet."""

from __future__ import annotations

from hypothesis import strategies as st

from vecdb.errors import InvalidArgument
from vecdb.model.filter import (
    And,
    Attribute,
    Comparator,
    Compare,
    Exists,
    Filter,
    HasVector,
    In,
    Not,
    Or,
    Prefix,
    Text,
)

NUMBERS = [0, 1, -1, 1.0, 0.5, 2**53, 2**53 + 1, float(2**53), 2**63, 2**64 - 1, float(2**64), -(2**63)]
STRINGS = ["", "a", "ab", "1", "true", "é", "2024-01-01T00:00:00Z", "2024-01-01T02:00:00+02:00", "2023", "\U0001f9ff"]
ARRAYS = [[], [1, "a"], [2**53 + 1, True], [None], [["a"]], [0.5, -1], ["2024-01-01T00:00:00+01:00", "ab"]]
OBJECTS = [{"b": 1}, {"b": ["a", 2**64 - 1]}, [{"b": True}, {"b": "2024-01-01T00:00:00Z"}, 5], {"a.b": 1}]
HELD = [*NUMBERS, *STRINGS, True, False, None, *ARRAYS, *OBJECTS]
"""What points may have at a key."""
KEYS = ["n", "a", "a.b", "$x", "", "\\"]

numbers = st.sampled_from(NUMBERS)
strings = st.sampled_from(STRINGS)
scalars = st.one_of(numbers, strings, st.booleans(), st.none())
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=2),
    max_leaves=5,
)
payloads = st.none() | st.dictionaries(st.sampled_from(KEYS), values, max_size=4)
paths = st.lists(st.sampled_from(KEYS), min_size=1, max_size=2).map(tuple)
arrays = st.lists(values, max_size=3).map(tuple)


def conditions(texts: list[str], vectors: list[str]) -> st.SearchStrategy[Filter]:
    """One condition each, on fields of these names."""
    ordering = st.sampled_from([c for c in Comparator if c is not Comparator.EQ])
    return st.one_of(
        st.builds(Compare, paths, st.just(Comparator.EQ), scalars | arrays),
        st.builds(Compare, paths, ordering, numbers | strings),
        st.builds(Compare, st.just(Attribute.ID), st.sampled_from(Comparator), strings),
        st.builds(Compare, st.just(Attribute.VERSION), st.sampled_from(Comparator), st.integers(0, 9)),
        st.builds(In, paths, st.lists(scalars, max_size=4).map(tuple)),
        st.builds(In, st.just(Attribute.ID), st.lists(strings, max_size=4).map(tuple)),
        st.builds(Exists, paths),
        st.builds(Prefix, paths | st.just(Attribute.ID), strings),
        st.builds(Text, st.sampled_from(texts), st.sampled_from(["a", "text 1", "TEXT"])),
        st.builds(HasVector, st.sampled_from(vectors)),
    )


def trees(texts: list[str], vectors: list[str]) -> st.SearchStrategy[Filter]:
    """Conditions, joined and negated."""
    return st.recursive(
        conditions(texts, vectors),
        lambda inner: st.one_of(
            st.builds(And, st.lists(inner, max_size=3).map(tuple)),
            st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
            st.builds(Not, inner),
        ),
        max_leaves=6,
    )


def refusal(make: object) -> InvalidArgument:
    """What ``make()`` is refused with."""
    try:
        made = make()  # type: ignore[operator]
    except InvalidArgument as error:
        return error
    raise AssertionError(f"not refused: {made!r}")
