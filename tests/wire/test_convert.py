"""Every noun crosses the wire unchanged, and every message that does not fit together is refused by its path."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire import nouns
from tests.wire.nouns import same
from vecdb.errors import InvalidArgument, TooLarge, Unimplemented, VecdbError
from vecdb.model.facet import Facet, FacetRequest
from vecdb.model.filter import Filter
from vecdb.model.filter.expression import F
from vecdb.model.fusion import Rrf
from vecdb.model.highlight import Highlight, Snippet
from vecdb.model.info import Limits, ServerInfo
from vecdb.model.keyword import Keyword
from vecdb.model.modifier import Decay, Mmr
from vecdb.model.order import OrderBy
from vecdb.model.point import Points, Select, VectorColumn, WriteResult
from vecdb.model.query import LegColumns, SearchAnswer, SearchRequest
from vecdb.model.recall import MeasuredRecall, RecallRequest
from vecdb.model.schema import TextField
from vecdb.model.snapshot import RestoreReport, SnapshotBase
from vecdb.model.token import Token
from vecdb.v1 import (
    admin_pb2,
    collections_pb2,
    columns_pb2,
    filter_pb2,
    leg_pb2,
    operation_pb2,
    points_pb2,
    schema_pb2,
    search_pb2,
    stats_pb2,
)
from vecdb.wire import convert


def points_message(points: Points) -> columns_pb2.PointColumns:
    message = columns_pb2.PointColumns()
    convert.fill_points(message, points)
    return message


def vectors_message(data: np.ndarray) -> columns_pb2.Vectors:
    message = columns_pb2.Vectors()
    convert.fill_vectors(message, data)
    return message


@given(nouns.batches)
def test_a_write_batch(batch: object) -> None:
    sent = convert.write_to_proto("docs", batch, b"id").SerializeToString()
    message = points_pb2.WriteRequest.FromString(sent)
    assert message.collection == "docs"
    assert convert.request_id_from_proto(message) == b"id"
    assert same(convert.write_from_proto(message), batch)


@given(nouns.COUNTS, nouns.COUNTS)
def test_a_write_result(seq: int, count: int) -> None:
    result = WriteResult(seq, count)
    message = points_pb2.WriteResponse.FromString(convert.write_result_to_proto(result).SerializeToString())
    assert convert.write_result_from_proto(message) == result


@given(nouns.searches())
def test_a_search(request: SearchRequest) -> None:
    message = search_pb2.SearchRequest.FromString(convert.search_to_proto("docs", request).SerializeToString())
    assert message.collection == "docs"
    assert same(convert.search_from_proto(message), request)


@given(nouns.orders)
def test_an_order(order: OrderBy) -> None:
    message = points_pb2.OrderBy.FromString(convert.order_to_proto(order).SerializeToString())
    assert convert.order_from_proto(message) == order


@given(nouns.facet_requests, st.none() | nouns.filters, nouns.facets)
def test_a_facet(request: FacetRequest, filter: Filter | None, facet: Facet) -> None:
    sent = convert.facet_request_to_proto("docs", request, filter).SerializeToString()
    message = points_pb2.FacetRequest.FromString(sent)
    assert message.collection == "docs"
    assert convert.facet_request_from_proto(message) == request
    answer = points_pb2.FacetResponse.FromString(convert.facet_to_proto(facet).SerializeToString())
    assert same(convert.facet_from_proto(answer), facet)


@given(st.data(), nouns.selects)
def test_an_answer(data: st.DataObject, select: Select) -> None:
    answer = data.draw(nouns.answers(select))
    message = convert.answer_to_proto(answer, len(answer.points))
    received = search_pb2.SearchResponse.FromString(message.SerializeToString())
    assert same(convert.answer_from_proto(received, select, answer.snippets is not None), answer)


@given(st.data(), nouns.selects)
def test_the_first_hits_alone_may_have_content(data: st.DataObject, select: Select) -> None:
    answer = data.draw(nouns.answers(select))
    content = data.draw(st.integers(0, len(answer.points)))
    got = convert.answer_from_proto(convert.answer_to_proto(answer, content), select, answer.snippets is not None)
    assert same(got.points.ids, answer.points.ids)
    assert same(got.scores, answer.scores)
    assert same(got.legs, answer.legs)
    if answer.snippets is not None:
        assert got.snippets == [*answer.snippets[:content], *([[]] * (len(answer.points) - content))]
    if select.payload:
        lacking = [None] * (len(answer.points) - content)
        assert got.points.payloads == [*answer.points.payloads[:content], *lacking]
    if select.vectors:
        sent = {name: c.cut(0, content) for name, c in answer.points.vectors.items()}
        for name, column in got.points.vectors.items():
            assert same(column.data, sent[name].data)
        assert got.points.vectors.keys() == {name for name, column in sent.items() if len(column.data)}


@given(st.data(), nouns.selects)
def test_points(data: st.DataObject, select: Select) -> None:
    points = data.draw(nouns.points(select))
    message = columns_pb2.PointColumns.FromString(points_message(points).SerializeToString())
    assert same(convert.points_from_proto(message, select, "points"), points)


def test_a_column_of_nothing_is_not_there() -> None:
    nobody = VectorColumn(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))
    points = Points(["a"], np.array([1], np.uint64), [None], {"": [None]}, {"": nobody})
    got = convert.points_from_proto(points_message(points), Select(vectors=True), "points")
    assert (got.payloads, got.texts, got.vectors) == ([None], {}, {})


@given(nouns.collections)
def test_a_collection(info: object) -> None:
    message = schema_pb2.CollectionInfo.FromString(convert.collection_info_to_proto(info).SerializeToString())
    assert same(convert.collection_info_from_proto(message), info)


@given(nouns.changes)
def test_a_change_of_a_schema(change: object) -> None:
    sent = convert.change_to_proto("docs", change).SerializeToString()
    message = collections_pb2.ChangeSchemaRequest.FromString(sent)
    assert message.collection == "docs"
    assert same(convert.change_from_proto(message), change)


@given(nouns.tokens)
def test_the_terms_of_a_text(tokens: list[Token]) -> None:
    sent = convert.tokens_to_proto(tokens).SerializeToString()
    assert convert.tokens_from_proto(search_pb2.TokenColumns.FromString(sent), "texts[0]") == tokens


def test_terms_that_do_not_fit_together_are_refused() -> None:
    whole = convert.tokens_to_proto([Token("a", 0, 0, 1, "word")])
    for column in ("positions", "starts", "ends", "kinds"):
        message = search_pb2.TokenColumns.FromString(whole.SerializeToString())
        message.ClearField(column)
        with pytest.raises(InvalidArgument) as refused:
            convert.tokens_from_proto(message, "texts[3]")
        assert refused.value.field == f"texts[3].{column}"
    whole.kinds[0] = "syllable"
    with pytest.raises(Unimplemented) as unknown:
        convert.tokens_from_proto(whole, "texts[3]")
    assert unknown.value.field == "texts[3].kinds"


@given(st.lists(nouns.snippets, max_size=3))
def test_the_size_of_snippets_is_a_bound(snippets: list[Snippet]) -> None:
    answer = SearchAnswer(
        np.array([1]), np.zeros(1, np.float32), None, Points(["a"], np.array([1], np.uint64)), 1, 1, snippets=[snippets]
    )
    (sent,) = convert.answer_to_proto(answer, 1).snippets
    assert 2 + sent.ByteSize() <= convert.snippets_size(snippets)


@pytest.mark.parametrize(
    ("field", "path"),
    [
        (schema_pb2.TextField(analyzer_options_json=b"{"), "field.analyzer_options_json"),
        (schema_pb2.TextField(analyzer_options_json=b"[1]"), "field.analyzer_options_json"),
    ],
)
def test_options_of_an_analyzer_are_a_json_object(field: schema_pb2.TextField, path: str) -> None:
    for message in (
        collections_pb2.ChangeSchemaRequest(set_text=collections_pb2.SetTextField(field=field)),
        collections_pb2.ChangeSchemaRequest(add_text=collections_pb2.AddTextField(field=field)),
    ):
        with pytest.raises(InvalidArgument) as refused:
            convert.change_from_proto(message)
        assert refused.value.field == path
    with pytest.raises(InvalidArgument) as refused:
        convert.schema_from_proto(schema_pb2.Schema(texts={"t": field}))
    assert refused.value.field == 'schema.texts["t"].analyzer_options_json'


def test_a_schema_may_leave_out_what_has_a_default() -> None:
    message = schema_pb2.Schema(vectors={"": schema_pb2.VectorField(dim=3)}, texts={"": schema_pb2.TextField()})
    schema = convert.schema_from_proto(message)
    field = schema.vectors[""]
    assert (field.dim, field.metric, field.m, field.ef_construction, field.model) == (3, "cosine", 16, 200, None)
    assert schema.texts[""] == TextField("multilingual", {}, 1.2, 0.75, True)


def test_a_search_by_keyword_may_leave_out_what_has_a_default() -> None:
    keyword = leg_pb2.Leg(keyword=leg_pb2.Keyword(texts=["a"], fields=[leg_pb2.FieldBoost(field="t")]))
    request = convert.search_from_proto(
        search(
            keyword,
            highlight=search_pb2.Highlight(),
            mmr=search_pb2.Mmr(relevance=0.5),
            modifiers=[search_pb2.Modifier(decay=search_pb2.Decay(key=filter_pb2.Key(path=["a"]), half=5))],
        )
    )
    assert request.legs == [Keyword(["a"], {"t": 1.0})]
    assert (request.fusion, request.highlight, request.mmr) == (Rrf(60), Highlight(160, 1), Mmr(0.5))
    assert request.modifiers == [Decay(("a",), 5, None, 0, 1)]
    plain = convert.search_from_proto(search(leg_pb2.Leg(keyword=leg_pb2.Keyword(texts=["a"]))))
    assert plain.legs == [Keyword(["a"], None, False, 0, 1.0, None, None)]
    assert (plain.highlight, plain.modifiers, plain.mmr) == (None, [], None)


@given(nouns.collection_stats)
def test_collection_stats(stats: object) -> None:
    assert same(convert.collection_stats_from_proto(convert.collection_stats_to_proto(stats)), stats)


@given(nouns.recall_requests())
def test_a_request_for_recall(request: RecallRequest) -> None:
    sent = convert.recall_request_to_proto("docs", request).SerializeToString()
    assert same(convert.recall_request_from_proto(admin_pb2.MeasureRecallRequest.FromString(sent)), request)


@given(nouns.measured_recalls)
def test_a_measured_recall(measured: MeasuredRecall) -> None:
    sent = convert.measured_recall_to_proto(measured).SerializeToString()
    assert same(convert.measured_recall_from_proto(admin_pb2.MeasureRecallResponse.FromString(sent), 10), measured)


def test_a_recall_without_all_its_values_is_refused() -> None:
    stats = stats_pb2.CollectionStats(name="docs", indexing=1, seq="1", recall={"a": stats_pb2.Recall(ef=[16])})
    with pytest.raises(InvalidArgument, match="recall"):
        convert.collection_stats_from_proto(stats)


@given(nouns.database_stats)
def test_database_stats(stats: object) -> None:
    assert same(convert.database_stats_from_proto(convert.database_stats_to_proto(stats)), stats)


@given(nouns.snapshot_bases, nouns.restore_reports)
def test_what_snapshots_and_restores_say(base: SnapshotBase, report: RestoreReport) -> None:
    assert convert.base_from_proto(convert.base_to_proto(base)) == base
    assert convert.restore_report_from_proto(convert.restore_report_to_proto(report)) == report


def test_server_info() -> None:
    info = ServerInfo(version="9.9", api_level=3, features=("a", "b"), limits=Limits(*range(1, 14)))
    message = admin_pb2.InfoResponse.FromString(convert.server_info_to_proto(info).SerializeToString())
    assert same(convert.server_info_from_proto(message), info)


# -- the forms that a message may choose --


def test_vectors_may_come_as_plain_numbers() -> None:
    message = columns_pb2.Vectors(dim=2, values=[1, 2, 3, 4])
    assert same(convert.vectors_from_proto(message, "v"), np.array([[1, 2], [3, 4]], np.float32))


def test_vectors_may_come_as_half_floats() -> None:
    raw = np.array([[0.5, -2], [65504, 0]], "<f2")
    message = columns_pb2.Vectors(dim=2, data_type=columns_pb2.DATA_TYPE_FLOAT16, data=raw.tobytes())
    assert same(convert.vectors_from_proto(message, "v"), raw.astype(np.float32))


def test_bytes_are_little_endian() -> None:
    message = vectors_message(np.array([[1.0]], np.float32))
    assert message.data == b"\x00\x00\x80\x3f"


def test_float32_bytes_are_not_copied() -> None:
    data = convert.vectors_from_proto(vectors_message(np.ones((2, 3), np.float32)), "v")
    assert not data.flags.owndata


def test_a_search_may_leave_out_what_has_a_default() -> None:
    leg = leg_pb2.Leg(near=leg_pb2.Near(vectors=columns_pb2.Vectors(dim=1, values=[1])))
    request = convert.search_from_proto(search_pb2.SearchRequest(legs=[leg]))
    assert (request.limit, request.offset, request.ef, request.min_score, request.fusion.k) == (10, 0, None, None, 60)
    assert request.legs[0].weight == 1.0


# -- what is refused --


def vectors(**more: object) -> columns_pb2.Vectors:
    return columns_pb2.Vectors(**{"dim": 2, "data": b"\0" * 8, **more})


def put(**more: object) -> points_pb2.WriteRequest:
    given = {"mode": operation_pb2.PUT_MODE_UPSERT, "ids": ["a", "b", "c"], **more}
    return points_pb2.WriteRequest(operations=[operation_pb2.Operation(put=operation_pb2.Put(**given))])


def search(*legs: leg_pb2.Leg, **more: object) -> search_pb2.SearchRequest:
    return search_pb2.SearchRequest(legs=legs, **more)


def near(vectors: columns_pb2.Vectors | None = None, **more: object) -> leg_pb2.Leg:
    return leg_pb2.Leg(near=leg_pb2.Near(vectors=vectors or columns_pb2.Vectors(dim=1, values=[1])), **more)


def words(**more: object) -> leg_pb2.Leg:
    return leg_pb2.Leg(keyword=leg_pb2.Keyword(texts=["a"], **more))


KEY = filter_pb2.Key(path=["a"])
COLUMN = columns_pb2.VectorColumn
TEXTS = columns_pb2.TextColumn
PAYLOADS = columns_pb2.PayloadColumn
SPARSE = columns_pb2.SparseColumn
WEIGHTS = columns_pb2.SparseVectors(counts=[1], indices=b"\0" * 4, values=b"\0" * 4)
SHORT = columns_pb2.SparseVectors(counts=[2], indices=b"\0" * 8, values=b"\0" * 4)
WHERE = "operations[0]"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (put(vectors=[COLUMN(vectors=vectors(dim=0))]), f'{WHERE}.vectors[""].vectors.dim'),
        (put(vectors=[COLUMN(vectors=vectors(dim=65_537))]), f'{WHERE}.vectors[""].vectors.dim'),
        (put(vectors=[COLUMN(vectors=vectors(data=b"\0" * 9))]), f'{WHERE}.vectors[""].vectors.data'),
        (put(vectors=[COLUMN(vectors=vectors(data=b"", values=[1]))]), f'{WHERE}.vectors[""].vectors.values'),
        (put(vectors=[COLUMN(vectors=vectors(values=[1, 2]))]), f'{WHERE}.vectors[""].vectors'),
        (put(vectors=[COLUMN(vectors=vectors(data_type=9))]), f'{WHERE}.vectors[""].vectors.data_type'),
        (put(vectors=[COLUMN(vectors=vectors())]), f'{WHERE}.vectors[""]'),
        (put(vectors=[COLUMN(vectors=vectors(data=b""))]), f'{WHERE}.vectors[""]'),
        (put(vectors=[COLUMN(vectors=vectors(), rows=[0, 1])]), f'{WHERE}.vectors[""].rows'),
        (put(vectors=[COLUMN(vectors=vectors(), rows=[3])]), f'{WHERE}.vectors[""].rows'),
        (put(vectors=[COLUMN(vectors=vectors(data=b"\0" * 16), rows=[1, 0])]), f'{WHERE}.vectors[""].rows'),
        (put(vectors=[COLUMN(vectors=vectors(data=b"\0" * 16), rows=[1, 1])]), f'{WHERE}.vectors[""].rows'),
        (put(vectors=[COLUMN(field="x", vectors=vectors(), rows=[0])] * 2), f'{WHERE}.vectors["x"]'),
        (put(texts=[TEXTS(values=["a"])]), f'{WHERE}.texts[""]'),
        (put(texts=[TEXTS(field="t", values=["a"], rows=[7])]), f'{WHERE}.texts["t"].rows'),
        (put(texts=[TEXTS(values=["a"], rows=[0])] * 2), f'{WHERE}.texts[""]'),
        (put(payloads=PAYLOADS(values=[b"{}"] * 4)), f"{WHERE}.payloads"),
        (put(payloads=PAYLOADS()), f"{WHERE}.payloads"),
        (put(sparse=[SPARSE(vectors=WEIGHTS)]), f'{WHERE}.sparse[""]'),
        (put(sparse=[SPARSE(vectors=WEIGHTS, rows=[3])]), f'{WHERE}.sparse[""].rows'),
        (put(sparse=[SPARSE(vectors=SHORT, rows=[0])]), f'{WHERE}.sparse[""].vectors.values'),
        (put(sparse=[SPARSE(field="x", vectors=WEIGHTS, rows=[0])] * 2), f'{WHERE}.sparse["x"]'),
        (put(mode=operation_pb2.PUT_MODE_UNSPECIFIED), f"{WHERE}.mode"),
        (put(mode=77), f"{WHERE}.mode"),
        (points_pb2.WriteRequest(durability=9), "durability"),
        (points_pb2.WriteRequest(operations=[operation_pb2.Operation()]), "operations[0]"),
        (search(leg_pb2.Leg()), "legs[0]"),
        (search(leg_pb2.Leg(near=leg_pb2.Near())), "legs[0].near"),
        (search(near(vectors(data=b"\0"))), "legs[0].near.vectors.data"),
        (search(near(vectors(data=b""))), "legs"),
        (search(near(), near(filter=filter_pb2.Filter())), "legs[1].filter"),
        (search(near(), fusion=leg_pb2.Fusion()), "fusion"),
        (search(leg_pb2.Leg(keyword=leg_pb2.Keyword())), "legs"),
        (search(leg_pb2.Leg(sparse=leg_pb2.Sparse())), "legs"),
        (search(leg_pb2.Leg(sparse=leg_pb2.Sparse(vectors=SHORT))), "legs[0].sparse.vectors.values"),
        (search(words(fields=[leg_pb2.FieldBoost(field="a")] * 2)), "legs[0].keyword.fields[1].field"),
        (search(near(), words(), fusion=leg_pb2.Fusion()), "fusion"),
        (search(words(), modifiers=[search_pb2.Modifier()]), "modifiers[0]"),
        (
            search(words(), modifiers=[search_pb2.Modifier(boost=search_pb2.Boost())]),
            "modifiers[0].boost.key.path",
        ),
        (
            search(
                words(), modifiers=[search_pb2.Modifier(decay=search_pb2.Decay(key=KEY, origin=filter_pb2.Scalar()))]
            ),
            "modifiers[0].decay.origin",
        ),
        (search(near(), filter=filter_pb2.Filter(equals=filter_pb2.Equals())), "filter.equals.value"),
        (
            search(
                near(),
                filter=filter_pb2.Filter(equals=filter_pb2.Equals(value=filter_pb2.Scalar(number=float("nan")))),
            ),
            "filter.equals.value",
        ),
    ],
)
def test_a_malformed_message_is_refused_by_its_path(message: object, field: str) -> None:
    with pytest.raises((InvalidArgument, Unimplemented, TooLarge)) as refused:
        if isinstance(message, points_pb2.WriteRequest):
            convert.write_from_proto(message)
        else:
            convert.search_from_proto(message)
    assert refused.value.field == field
    assert refused.value.expected
    assert refused.value.received


def test_a_request_id_has_a_length() -> None:
    assert convert.request_id_from_proto(points_pb2.WriteRequest()) is None
    assert convert.request_id_from_proto(points_pb2.WriteRequest(request_id=b"x" * 64)) == b"x" * 64
    with pytest.raises(InvalidArgument) as refused:
        convert.request_id_from_proto(points_pb2.WriteRequest(request_id=b"x" * 65))
    assert refused.value.field == "request_id"


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_an_integer_that_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(InvalidArgument):
        convert.filter_to_proto(F("f") == value)


ANSWER = convert.answer_to_proto(
    SearchAnswer(
        counts=np.array([2]),
        scores=np.array([1, 2], np.float32),
        distances=np.array([0, 1], np.float32),
        points=Points(["a", "b"], np.array([1, 2], np.uint64)),
        seq=3,
        took_ms=1,
        legs=[LegColumns(np.array([1, 0], np.uint32), np.array([2, np.nan], np.float32))],
        snippets=[[Snippet("", "a b", 0, [(0, 1)])], []],
    ),
    2,
)


@pytest.mark.parametrize(
    "change",
    ["counts", "scores", "distances", "versions", "seq", "texts", "leg ranks", "leg scores", "snippets", "spans"],
)
def test_an_answer_that_does_not_fit_together_is_refused(change: str) -> None:
    message = search_pb2.SearchResponse()
    message.CopyFrom(ANSWER)
    match change:
        case "counts":
            message.counts[0] = 3
        case "versions":
            message.hits.versions += b"\0"
        case "seq":
            message.seq = "²"
        case "leg ranks":
            message.legs[0].ranks += b"\0"
        case "leg scores":
            message.legs[0].scores = b""
        case "snippets":
            del message.snippets[1]
        case "spans":
            message.snippets[0].snippets[0].ends.append(3)
        case "texts":
            message.hits.texts.add(values=["one"])
        case _:
            setattr(message, change, b"\0" * 5)
    with pytest.raises(VecdbError):
        convert.answer_from_proto(message, Select(), highlighted=True)
