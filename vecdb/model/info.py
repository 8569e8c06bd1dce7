"""What an engine or server says of itself: its release, its features and the limits of one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vecdb.model.point import MAX_ID_BYTES
from vecdb.model.query import MAX_EF, MAX_LEGS, MAX_WINDOW
from vecdb.model.schema import MAX_DIM, MAX_FIELDS
from vecdb.model.version import VERSION

# Counts changes of the API that a client may need; 1 is the first.
API_LEVEL = 1

# Stable names; a client refuses by name what the other end does not list.
FEATURES = (
    "write.request_id",
    "write.filter",
    "write.merge",
    "write.condition",
    "write.ttl",
    "search.near",
    "search.rrf",
    "search.explain",
    "search.stream",
    "collections.aliases",
    "collections.change_schema",
    "search.groups",
    "search.examples",
    "points.order_by",
    "points.facet",
    "filters",
    "schema.texts",
    "schema.sparse",
    "search.keyword",
    "search.sparse",
    "write.sparse",
    "search.fusion",
    "search.highlight",
    "search.modifiers",
    "search.mmr",
    "search.target_recall",
    "analyze",
    "reopen",
    "points.changes",
    "snapshots",
    "recall.measure",
)

MAX_MESSAGE_BYTES = 64 << 20
MAX_SEARCH_HITS = 100_000  # with ids of 512 bytes, ids, scores and versions of as many just fit one message
MAX_SCROLL_POINTS = 10_000
MAX_ANALYZED_TEXTS = 1_000
MAX_QUERIES_CHARACTERS = 1_000_000  # of all texts of a search: Chinese takes about a second to analyze
MAX_BATCH_ROWS = 1_000_000  # ids, rows and their pointers take some 200 bytes each while a batch is carried out
MAX_BATCH_BYTES = 256 << 20
MAX_PAYLOAD_BYTES = 1 << 20
MAX_TEXT_BYTES = 8 << 20
MAX_COLLECTIONS = 100_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may hold; sizes in bytes. And how many ``collections`` there may be.

    ``search_hits`` is queries x limit, ``batch_rows`` counts rows and ids of a write batch; ``payload_bytes``
    and ``text_bytes`` are of one payload, one text.
    """

    message_bytes: int = MAX_MESSAGE_BYTES
    search_hits: int = MAX_SEARCH_HITS
    search_window: int = MAX_WINDOW
    search_legs: int = MAX_LEGS
    ef: int = MAX_EF
    scroll_points: int = MAX_SCROLL_POINTS
    dim: int = MAX_DIM
    fields: int = MAX_FIELDS
    id_bytes: int = MAX_ID_BYTES
    batch_rows: int = MAX_BATCH_ROWS
    payload_bytes: int = MAX_PAYLOAD_BYTES
    text_bytes: int = MAX_TEXT_BYTES
    collections: int = MAX_COLLECTIONS


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Release, API level, features and limits of the engine behind a client."""

    version: str = VERSION
    api_level: int = API_LEVEL
    features: Sequence[str] = FEATURES
    limits: Limits = Limits()
