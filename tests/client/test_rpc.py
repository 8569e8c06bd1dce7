"""Calls as bytes: each crosses to the server's side and back, and what cannot is refused before it is sent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vecdb.client import calls, rpc
from vecdb.client.calls import Call
from vecdb.errors import Internal, InvalidArgument
from vecdb.model.facet import FacetRequest
from vecdb.model.feed import FeedRequest
from vecdb.model.info import FEATURES
from vecdb.model.order import OrderBy
from vecdb.model.point import Put, PutMode, Rows, Select, VectorColumn, WriteBatch
from vecdb.model.query import Near, SearchRequest
from vecdb.model.recall import RecallRequest
from vecdb.model.schema import Schema, VectorField
from vecdb.model.schema_change import SetDefaultVector

KINDS = [
    kind for kind in vars(calls).values() if isinstance(kind, type) and issubclass(kind, Call) and kind is not Call
]

SEARCH = SearchRequest([Near(np.ones((1, 2), np.float32))], explain=True)
GIVEN: dict[type, Call[Any]] = {
    calls.CreateCollection: calls.CreateCollection("docs", Schema({"": VectorField(2)}), False),
    calls.RenameCollection: calls.RenameCollection("docs", "new"),
    calls.SetAlias: calls.SetAlias("a", "docs"),
    calls.ChangeSchema: calls.ChangeSchema("docs", SetDefaultVector("a")),
    calls.DropAlias: calls.DropAlias("a"),
    calls.DropCollection: calls.DropCollection("docs"),
    calls.Write: calls.Write("docs", WriteBatch([]), b"id"),
    calls.Search: calls.Search("docs", SEARCH),
    calls.Analyze: calls.Analyze("docs", "", ["a"]),
    calls.Get: calls.Get("docs", ["a"], Select()),
    calls.Exists: calls.Exists("docs", ["a"]),
    calls.Scroll: calls.Scroll("docs", None, 10, Select()),
    calls.Ordered: calls.Ordered("docs", OrderBy(("a",)), b"", 10, Select()),
    calls.Changes: calls.Changes("docs", FeedRequest("now")),
    calls.Facet: calls.Facet("docs", FacetRequest(("a",), 10)),
    calls.SetIndexing: calls.SetIndexing("docs", "auto"),
    calls.MeasureRecall: calls.MeasureRecall("docs", RecallRequest()),
    calls.Snapshot: calls.Snapshot(None, None, bytearray().extend),
    calls.Restore: calls.Restore([], None, {}, False),
}
ONE_METHOD = {calls.Scroll, calls.Ordered}
"""Two calls that are one on the wire: a walk by id, and one in another order."""


def example(kind: Any) -> Call[Any]:
    """A call of that kind."""
    if kind in GIVEN:
        return GIVEN[kind]
    return kind("docs") if kind.__dataclass_fields__ else kind()  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", KINDS)
def test_every_call_has_a_method_of_its_own_and_known_features(kind: type) -> None:
    message = rpc.encode(example(kind))
    same = ONE_METHOD if kind in ONE_METHOD else {kind}
    others = {rpc.path(example(other)) for other in KINDS if other not in same}
    assert message.path.startswith("/vecdb.v1.")
    assert message.path not in others
    assert set(message.features) <= set(FEATURES)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_is_no_message_is_the_servers_mistake(kind: type) -> None:
    with pytest.raises(Internal) as refused:
        rpc.encode(example(kind)).decode(b"\xff")
    assert refused.value.message == "the server's answer is malformed"


def test_a_metric_that_is_none_is_refused_as_everywhere() -> None:
    call = calls.CreateCollection("docs", Schema({"": VectorField(2, "manhattan")}), False)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument) as refused:
        rpc.encode(call)
    assert (refused.value.field, refused.value.received) == ('vectors[""].metric', "'manhattan'")


@pytest.mark.parametrize(
    ("columns", "field", "expected", "received"),
    [
        ({"vectors": {"": VectorColumn(np.ones((2, 4), np.float32))}}, 'vectors[""]', "3 entries", "2"),
        (
            {"vectors": {"a": VectorColumn(np.ones((2, 4), np.float32), np.array([1]))}},
            'vectors["a"]',
            "1 entries",
            "2",
        ),
        ({"texts": {"": ["a", None]}}, 'texts[""]', "3 entries", "2"),
        ({"payloads": [b"{}"]}, "payloads", "3 entries", "1"),
    ],
)
def test_a_short_column_is_no_column_with_gaps(
    columns: dict[str, Any], field: str, expected: str, received: str
) -> None:
    rows = Rows(["a", "b", "c"], **columns)
    write = calls.Write("docs", WriteBatch([Put(PutMode.UPSERT, Rows(["x"])), Put(PutMode.UPSERT, rows)]), b"id")
    with pytest.raises(InvalidArgument) as refused:
        rpc.encode(write)
    error = refused.value
    assert (error.field, error.expected, error.received) == (f"operations[1].{field}", expected, received)
