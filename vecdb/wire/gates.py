"""Which gate each call passes, so that calls which wait never hold the threads of those that should not.

Each gate is a kind of waiting: for the engine, the disk, the builder, a collection that loads. Only what
answers from memory has none: health, reflection, ``Info`` and ``DatabaseStats``.
"""

from __future__ import annotations

from vecdb.v1 import admin_pb2, collections_pb2, points_pb2, search_pb2
from vecdb.wire.admission import Gate

CHANGES = 16  # they wait for the disk, one after another
LOOKS = 32  # they may wait for a collection that loads
ARCHIVES = 4  # each reads or writes as much as the disk and a core can: more at once would be no faster
SLOW = 8  # compacting, waiting, checking, measuring, opening again: few at a time

_COLLECTIONS = collections_pb2.DESCRIPTOR.services_by_name["CollectionsService"].full_name
_POINTS = points_pb2.DESCRIPTOR.services_by_name["PointsService"].full_name
_SEARCH = search_pb2.DESCRIPTOR.services_by_name["SearchService"].full_name
_ADMIN = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].full_name
SERVICES: tuple[str, ...] = (_COLLECTIONS, _POINTS, _SEARCH, _ADMIN)
WRITING: tuple[str, ...] = (_COLLECTIONS, _POINTS)


class Gates:
    """The gates of one server. ``by_method`` is by path; ``calls`` is how many pass all of them together."""

    def __init__(self, max_calls: int, max_request_bytes: int, max_streams: int, max_followers: int) -> None:
        self.reads = Gate("reads", max_calls, max_request_bytes)
        writes = Gate("writes", max_calls, max_request_bytes)
        streams = Gate("search streams", max_streams, 0)
        followers = Gate("calls that follow changes", max_followers, max_request_bytes)
        changes = Gate("changes of collections", CHANGES, max_request_bytes)
        looks = Gate("descriptions of collections", LOOKS, max_request_bytes)
        slow = Gate("slow admin calls", SLOW, max_request_bytes)
        archives = Gate("snapshots and restores", ARCHIVES, max_request_bytes)
        named = {
            _SEARCH: {"Search": self.reads, "Analyze": self.reads, "SearchStream": streams},
            _POINTS: {
                "Write": writes,
                "Changes": followers,
                **dict.fromkeys(("Get", "Exists", "Count", "Scroll", "Facet"), self.reads),
            },
            _COLLECTIONS: {
                **dict.fromkeys(("CreateCollection", "DropCollection", "RenameCollection"), changes),
                **dict.fromkeys(("SetAlias", "DropAlias", "ChangeSchema"), changes),
                **dict.fromkeys(("ListCollections", "DescribeCollection"), looks),
            },
            _ADMIN: {
                "SetIndexing": changes,
                "Stats": looks,
                **dict.fromkeys(("Snapshot", "Restore"), archives),
                **dict.fromkeys(("Compact", "WaitIndexed", "Check", "Reopen", "MeasureRecall"), slow),
            },
        }
        self.by_method = {f"/{service}/{name}": gate for service, of in named.items() for name, gate in of.items()}
        self.calls = 2 * max_calls + max_streams + max_followers + CHANGES + LOOKS + SLOW + ARCHIVES
