"""Facets: every value with its type, counted over the living points that match, whatever segment they are in."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.handle import Handle, gaussian, names
from tests.engine.mixed import Payload, collection, elements, histories, kind
from vecdb.errors import InvalidArgument
from vecdb.model.facet import Facet, FacetRequest, FacetValue
from vecdb.model.filter import Filter
from vecdb.model.filter.expression import F, key_of
from vecdb.model.schema_change import SetPayloadColumns

SOME = F("v") >= 1


def facet(c: Handle, limit: int = 100, filter: Filter | None = None, key: str = "v") -> Facet:
    return c.db.facet(c.context(), c.name, FacetRequest(key_of(key), limit), filter)


def counted(points: dict[str, Payload], limit: int) -> Facet:
    """What a facet should be."""
    held = [{(type(e).__name__, e): e for e in elements(payload)} for payload in points.values()]
    value_of = {about: value for some in held for about, value in some.items()}
    counts = Counter(about for some in held for about in some)
    order = sorted(counts, key=lambda about: (-counts[about], kind(value_of[about]), about[0] == "float"))
    bounds = [value_of[about] for about in order if about[0] in ("int", "float")]
    bounds = bounds or [value_of[about] for about in order if about[0] == "str"]
    bounds.sort(key=lambda value: (kind(value), isinstance(value, float)))
    return Facet(
        [FacetValue(value_of[about], counts[about]) for about in order[:limit]],
        len(order),
        sum(bool(some) for some in held),
        sum(not some for some in held),
        bounds[0] if bounds else None,
        bounds[-1] if bounds else None,
    )


def typed(facet: Facet) -> Any:
    """For comparing: 1, 1.0 and True are equal in Python."""
    about = [(type(held.value), held.value, held.count) for held in facet.values]
    bounds = [(type(value), value) for value in (facet.min, facet.max)]
    return about, facet.distinct, facet.present, facet.missing, bounds


@given(history=histories, limit=st.integers(1, 30))
def test_as_a_counter(tmp_path_factory: Any, history: Any, limit: int) -> None:
    with collection(history, tmp_path_factory.mktemp("db")) as (c, points):
        assert typed(facet(c, limit)) == typed(counted(points, limit))
        passing = {i: p for i, p in points.items() if any(kind(e)[0] == 2 and e >= 1 for e in elements(p))}
        assert typed(facet(c, limit, SOME)) == typed(counted(passing, limit))
        assert typed(facet(Handle(c.db, scope=SOME), limit)) == typed(counted(passing, limit))


def test_four_values_that_are_not_one(c: Handle) -> None:
    c.upsert(names(4), gaussian(4), [{"v": 1}, {"v": 1.0}, {"v": "1"}, {"v": True}])
    c.seal()
    c.upsert(names(1, start=4), gaussian(1), [{"v": [1, 1, "1"]}])
    assert [(type(f.value), f.count) for f in facet(c).values] == [(int, 2), (str, 2), (bool, 1), (float, 1)]


def test_nested_keys_and_a_view_of_old(c: Handle) -> None:
    c.upsert(names(3), gaussian(3), [{"a": [{"b": 1}, {"b": 2}]}, {"a": {"b": 2}}, {"a.b": 3}])
    assert [(f.value, f.count) for f in facet(c, key="a.b").values] == [(2, 2), (1, 1)]
    assert facet(c, key=r"a\.b").values == [FacetValue(3, 1)]
    before = c.look()
    c.upsert(names(3, start=3), gaussian(3), [{"a": {"b": 9}}] * 3)
    assert facet(c, key="a.b").max == 9
    request = FacetRequest(key_of("a.b"))
    assert c.inner.reading.facets.count(c.context(), before, request, None).max == 2


def test_columns_that_are_given_up_while_a_segment_grows(c: Handle) -> None:
    """What had been counted from columns was left out from then on."""
    c.upsert(names(2), gaussian(2), [{"v": 1}, {"v": 1}])
    assert facet(c).values == [FacetValue(1, 2)]
    c.change(SetPayloadColumns(False))
    c.upsert(names(1, start=2), gaussian(1), [{"v": 1}])
    assert facet(c).values == [FacetValue(1, 3)]


@pytest.mark.parametrize("key", ["$id", "$version"])
def test_of_what_every_point_has_of_its_own_there_is_none(c: Handle, key: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        facet(c, key=key)
    assert refused.value.field == "key"


@pytest.mark.parametrize("limit", [0, 10_001])
def test_limits(c: Handle, limit: int) -> None:
    with pytest.raises(InvalidArgument) as refused:
        facet(c, limit)
    assert refused.value.field == "limit"
