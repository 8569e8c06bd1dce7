"""The tree of errors keeps its promises, whoever raises them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

import vecdb.errors
from vecdb.errors import DimensionMismatch, PartialWrite, VecdbError


def kinds(of: type[VecdbError] = VecdbError) -> Iterator[type[VecdbError]]:
    yield of
    for below in of.__subclasses__():
        yield from kinds(below)


def test_an_error_says_where_and_what() -> None:
    error = DimensionMismatch("wrong dimension", field='vectors[""][3]', expected="384", received="768")
    assert str(error) == 'wrong dimension (expected 384, received 768) [at vectors[""][3]]'


def test_reasons_are_distinct() -> None:
    reasons = [kind.reason for kind in kinds()]
    assert len(set(reasons)) == len(reasons)


def test_the_drawn_tree_is_the_tree() -> None:
    assert vecdb.errors.__doc__ is not None
    drawn = {}
    above: dict[int, str] = {}
    for line in vecdb.errors.__doc__.splitlines():
        bare = line.lstrip(" │├└─")
        name = bare.partition(" ")[0]
        if name and isinstance(getattr(vecdb.errors, name, None), type):
            depth = (len(line) - len(bare)) // 4
            above[depth] = name
            drawn[name] = above.get(depth - 1)
    real = {kind.__name__: kind.__bases__[0].__name__ for kind in kinds()}
    assert drawn == {**real, "VecdbError": None}


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind is not PartialWrite], ids=lambda kind: kind.__name__)
def test_an_error_crosses_a_process_boundary(kind: type[VecdbError]) -> None:
    error = kind("m", field="f", expected="e", received="r", retry_after_s=0.5)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.__dict__) == (str(error), error.__dict__)


def test_a_partial_write_crosses_a_process_boundary() -> None:
    again = pickle.loads(pickle.dumps(PartialWrite(5, 7, DimensionMismatch("m"))))
    assert (again.written, again.next_index, type(again.cause)) == (5, 7, DimensionMismatch)
