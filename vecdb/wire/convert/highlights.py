"""Highlights, and the snippets that they give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vecdb.model.highlight import Highlight, Snippet
from vecdb.v1 import search_pb2
from vecdb.wire.convert.refusals import lengths_differ


def highlight_to_proto(highlight: Highlight | None) -> search_pb2.Highlight | None:
    if highlight is None:
        return None
    return search_pb2.Highlight(characters=highlight.characters, snippets=highlight.snippets)


def highlight_from_proto(message: search_pb2.Highlight) -> Highlight:
    usual = Highlight()
    return Highlight(message.characters or usual.characters, message.snippets or usual.snippets)


def snippets_to_proto(of_hits: Iterable[Sequence[Snippet]]) -> list[search_pb2.Snippets]:
    """The snippets of each hit."""
    return [search_pb2.Snippets(snippets=map(_snippet_to_proto, some)) for some in of_hits]


def snippets_from_proto(messages: Sequence[search_pb2.Snippets], content: int, hits: int) -> list[list[Snippet]]:
    """The snippets of each of ``hits`` hits, none of those after the first ``content``. Raises InvalidArgument."""
    if len(messages) != min(content, hits):
        raise lengths_differ("snippets", f"{min(content, hits)} entries", len(messages))
    given = [
        [_snippet_from_proto(one, f"snippets[{i}].snippets[{j}]") for j, one in enumerate(some.snippets)]
        for i, some in enumerate(messages)
    ]
    return given + [[] for _ in range(hits - len(given))]


def snippets_size(snippets: Iterable[Snippet]) -> int:
    """An upper bound of the bytes that the snippets of one hit take in a message."""
    return _HIT + sum(_SNIPPET + 4 * (len(one.field) + len(one.text)) + _SPAN * len(one.spans) for one in snippets)


_HIT, _SNIPPET, _SPAN = 8, 32, 10  # tags, lengths and offsets; a span is two numbers of up to five bytes


def _snippet_to_proto(snippet: Snippet) -> search_pb2.Snippet:
    starts, ends = zip(*snippet.spans, strict=True) if snippet.spans else ((), ())
    return search_pb2.Snippet(field=snippet.field, text=snippet.text, offset=snippet.offset, starts=starts, ends=ends)


def _snippet_from_proto(message: search_pb2.Snippet, path: str) -> Snippet:
    if len(message.starts) != len(message.ends):
        raise lengths_differ(f"{path}.ends", f"{len(message.starts)} entries", len(message.ends))
    return Snippet(message.field, message.text, message.offset, list(zip(message.starts, message.ends, strict=True)))
