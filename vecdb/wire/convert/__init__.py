"""Messages of vecdb.v1 to the nouns of the model and back.

Vectors, scores and versions cross as raw little-endian numbers and are never touched one by one. Messages
are filled in place where they are large: a message given to the constructor of another is copied. Whatever
a message gets wrong (columns of different lengths, a number of bytes that is not whole vectors) is refused
with the path of the field. What only the schema can judge is left to the engine.
"""

from __future__ import annotations

from vecdb.wire.convert.accounts import (
    collection_stats_from_proto,
    collection_stats_to_proto,
    database_stats_from_proto,
    database_stats_to_proto,
    server_info_from_proto,
    server_info_to_proto,
)
from vecdb.wire.convert.columns import (
    fill_vectors,
    select_from_proto,
    select_to_proto,
    vectors_from_proto,
)
from vecdb.wire.convert.feed import (
    feed_page_from_proto,
    feed_page_to_proto,
    feed_request_from_proto,
    feed_request_to_proto,
)
from vecdb.wire.convert.filters import filter_to_proto, optional_filter
from vecdb.wire.convert.highlights import snippets_size
from vecdb.wire.convert.points import fill_points, points_from_proto
from vecdb.wire.convert.reads import (
    facet_from_proto,
    facet_request_from_proto,
    facet_request_to_proto,
    facet_to_proto,
    order_from_proto,
    order_to_proto,
)
from vecdb.wire.convert.recall import (
    measured_recall_from_proto,
    measured_recall_to_proto,
    recall_request_from_proto,
    recall_request_to_proto,
)
from vecdb.wire.convert.schema import (
    change_from_proto,
    change_to_proto,
    collection_info_from_proto,
    collection_info_to_proto,
    indexing_from_proto,
    indexing_to_proto,
    schema_from_proto,
    schema_to_proto,
)
from vecdb.wire.convert.searches import answer_from_proto, answer_to_proto, search_from_proto, search_to_proto
from vecdb.wire.convert.snapshots import (
    base_from_proto,
    base_to_proto,
    restore_report_from_proto,
    restore_report_to_proto,
)
from vecdb.wire.convert.tokens import tokens_from_proto, tokens_to_proto
from vecdb.wire.convert.writes import (
    request_id_from_proto,
    write_from_proto,
    write_result_from_proto,
    write_result_to_proto,
    write_to_proto,
)

__all__ = [
    "answer_from_proto",
    "answer_to_proto",
    "base_from_proto",
    "base_to_proto",
    "change_from_proto",
    "change_to_proto",
    "collection_info_from_proto",
    "collection_info_to_proto",
    "collection_stats_from_proto",
    "collection_stats_to_proto",
    "database_stats_from_proto",
    "database_stats_to_proto",
    "facet_from_proto",
    "facet_request_from_proto",
    "facet_request_to_proto",
    "facet_to_proto",
    "feed_page_from_proto",
    "feed_page_to_proto",
    "feed_request_from_proto",
    "feed_request_to_proto",
    "fill_points",
    "fill_vectors",
    "filter_to_proto",
    "indexing_from_proto",
    "indexing_to_proto",
    "measured_recall_from_proto",
    "measured_recall_to_proto",
    "optional_filter",
    "order_from_proto",
    "order_to_proto",
    "points_from_proto",
    "recall_request_from_proto",
    "recall_request_to_proto",
    "request_id_from_proto",
    "restore_report_from_proto",
    "restore_report_to_proto",
    "schema_from_proto",
    "schema_to_proto",
    "search_from_proto",
    "search_to_proto",
    "select_from_proto",
    "select_to_proto",
    "server_info_from_proto",
    "server_info_to_proto",
    "snippets_size",
    "tokens_from_proto",
    "tokens_to_proto",
    "vectors_from_proto",
    "write_from_proto",
    "write_result_from_proto",
    "write_result_to_proto",
    "write_to_proto",
]
