"""Groups and examples of searches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vecdb.model.query import DEFAULT_GROUP_SIZE, Examples, GroupBy, GroupCounts
from vecdb.v1 import leg_pb2, search_pb2
from vecdb.wire.convert.filters import key_from_proto, key_to_proto, scalar_from_proto, scalar_to_proto
from vecdb.wire.convert.refusals import lengths_differ


def group_by_to_proto(by: GroupBy | None) -> search_pb2.GroupBy | None:
    return None if by is None else search_pb2.GroupBy(key=key_to_proto(by.key), size=by.size)


def group_by_from_proto(message: search_pb2.GroupBy) -> GroupBy:
    """What is gathered. Raises InvalidArgument, or Unimplemented for an attribute that is not known here."""
    return GroupBy(key_from_proto(message.key, "group_by.key"), message.size or DEFAULT_GROUP_SIZE)


def groups_to_proto(groups: Iterable[GroupCounts]) -> list[search_pb2.Groups]:
    """The groups of each query."""
    return [
        search_pb2.Groups(
            groups=(
                search_pb2.Group(value=scalar_to_proto(value, "groups"), hits=hits)
                for value, hits in zip(some.values, some.hits, strict=True)
            )
        )
        for some in groups
    ]


def groups_from_proto(messages: Sequence[search_pb2.Groups], counts: Sequence[int]) -> list[GroupCounts] | None:
    """The groups of each query, whose hits are ``counts``; None without any. Raises InvalidArgument."""
    if not messages:
        return None
    if [sum(group.hits for group in some.groups) for some in messages] != list(counts):
        raise lengths_differ("groups", "the hits of each query", len(messages))
    return [
        GroupCounts(
            [scalar_from_proto(group.value, f"groups[{i}].value") for group in some.groups],
            [group.hits for group in some.groups],
        )
        for i, some in enumerate(messages)
    ]


def fill_examples(message: leg_pb2.ExampleQueries, examples: Iterable[Examples]) -> None:
    """Put the examples of each query into ``message``."""
    for some in examples:
        message.queries.add(positive=some.positive, negative=some.negative)


def examples_from_proto(message: leg_pb2.ExampleQueries) -> list[Examples]:
    """The examples of each query."""
    return [Examples(list(some.positive), list(some.negative)) for some in message.queries]
