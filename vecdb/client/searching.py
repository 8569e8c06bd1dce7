"""Searches as people write them, to the nouns of the model. Pure: nothing is sent, nothing is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vecdb.client.build import key
from vecdb.client.examples import batch, by_example, to_examples
from vecdb.client.filters import Where, to_filter, to_filters
from vecdb.client.keyword import Keyword, text_list, to_keyword
from vecdb.client.modifiers import to_modifiers
from vecdb.client.near import Near
from vecdb.client.numbers import real, whole
from vecdb.client.sparse import Sparse, to_sparse_batch, to_sparse_leg, to_sparse_legs
from vecdb.client.vectors import to_matrix, to_query
from vecdb.errors import InvalidArgument
from vecdb.model import query
from vecdb.model.filter import Filter
from vecdb.model.fusion import Fusion, Rrf
from vecdb.model.highlight import Highlight
from vecdb.model.modifier import Mmr
from vecdb.model.point import Select
from vecdb.model.query import DEFAULT_GROUP_SIZE, GroupBy, SearchRequest

Leg = Near | Keyword | Sparse


def search(
    vector: Any,
    legs: Sequence[Leg] | None,
    *,
    text: object = None,
    fields: object = None,
    sparse: object = None,
    id: object = None,
    unlike: object = None,
    using: str | None,
    model: str | None,
    **more: Any,
) -> SearchRequest:
    """A search of one query: by a vector or examples, by a text, by a sparse vector, by some of these, or by legs."""
    given = {"vector": vector, "text": text, "sparse": sparse, "id": id, "unlike": unlike}
    if legs is None:
        made = _by_vectors(
            [vector, id, unlike], using, model, lambda: _near(vector, id, unlike, "vector", "id", using, model)
        )
        if text is not None:
            made.append(to_keyword([text], ["text"], fields))
        elif fields is not None:
            raise _fields_alone("text")
        if sparse is not None:
            made += to_sparse_legs(sparse)
        if not made:
            raise _nothing({"legs": legs, **given})
        return request(made, **more)
    _only_one({"legs": legs, **given}, "vector")
    for name, value in (("using", using), ("model", model), ("fields", fields)):
        if value is not None:
            raise InvalidArgument(
                "each leg names its own fields and model",
                field=name,
                expected="legs alone",
                received=f"legs and {name}",
            )
    return request([_leg(leg, f"legs[{i}]") for i, leg in enumerate(legs)], **more)


def search_batch(
    vectors: Any,
    *,
    texts: object = None,
    fields: object = None,
    sparse: object = None,
    ids: object = None,
    using: str | None,
    model: str | None,
    filters: Sequence[Where | None] | None = None,
    **more: Any,
) -> SearchRequest | None:
    """A search of one query for each row of ``vectors`` or each of ``ids``, each of ``texts``, each of ``sparse``, or
    for some of these together.

    None when there is none.
    """
    made = _by_vectors([vectors, ids], using, model, lambda: _nears(vectors, ids, using, model))
    if texts is not None:
        listed = text_list(texts)
        if made and made[0].queries != len(listed):
            raise InvalidArgument(
                "not one text for each query",
                field="texts",
                expected=f"{made[0].queries} texts",
                received=str(len(listed)),
            )
        made.append(to_keyword(listed, [f"texts[{i}]" for i in range(len(listed))], fields))
    elif fields is not None:
        raise _fields_alone("texts")
    if sparse is not None:
        made += to_sparse_batch(sparse)
        for leg in made:
            if leg.queries != made[0].queries:
                raise InvalidArgument(
                    "not one sparse vector for each query",
                    field="sparse",
                    expected=f"{made[0].queries} vectors",
                    received=str(leg.queries),
                )
    if not made:
        raise _nothing({"vectors": vectors, "texts": texts, "sparse": sparse, "ids": ids})
    query_filters = to_filters(filters, made[0].queries, "filters")
    return request(made, query_filters=query_filters, **more) if made[0].queries else None


def request(
    legs: Sequence[query.Leg],
    *,
    filter: Where | None = None,
    query_filters: Sequence[Filter | None] | None = None,
    limit: int,
    offset: int,
    ef: int | None,
    exact: bool,
    min_score: float | None,
    fusion: Fusion | None,
    select: Select,
    explain: bool,
    group_by: object = None,
    group_size: object = DEFAULT_GROUP_SIZE,
    highlight: object = None,
    modifiers: object = None,
    mmr: object = None,
    target_recall: object = None,
) -> SearchRequest:
    """A search whose form is right. Raises InvalidArgument."""
    if fusion is not None and not isinstance(fusion, Fusion):
        raise InvalidArgument(
            "unknown fusion",
            field="fusion",
            expected="Rrf, RelativeScore or DistributionScore",
            received=repr(fusion)[:40],
        )
    if isinstance(fusion, Rrf):
        fusion = Rrf(whole(fusion.k, "fusion.k"))
    made = SearchRequest(
        legs=legs,
        fusion=fusion or Rrf(),
        filter=to_filter(filter),
        query_filters=query_filters,
        limit=whole(limit, "limit"),
        offset=whole(offset, "offset"),
        ef=None if ef is None else whole(ef, "ef"),
        exact=bool(exact),
        min_score=None if min_score is None else real(min_score, "min_score"),
        select=select,
        explain=bool(explain),
        group_by=None if group_by is None else GroupBy(key(group_by, "group_by"), whole(group_size, "group_size")),
        highlight=_highlight(highlight),
        modifiers=to_modifiers(modifiers),
        mmr=_mmr(mmr),
        target_recall=None if target_recall is None else real(target_recall, "target_recall"),
    )
    made.validate()
    return made


def _by_vectors(
    given: Sequence[object], using: str | None, model: str | None, near: Callable[[], query.Near]
) -> list[query.Leg]:
    """The leg by vectors, if there is something to be near to."""
    if any(one is not None for one in given):
        return [near()]
    for name, value in (("using", using), ("model", model)):
        if value is not None:
            raise InvalidArgument(
                "there is no vector that it could be of", field=name, expected="a vector or an id", received=repr(value)
            )
    return []


def _near(
    vector: object, id: object, unlike: object, at_vector: str, at_id: str, using: str | None, model: str | None
) -> query.Near:
    """A leg by a vector or by examples."""
    if unlike is not None and id is None:
        raise InvalidArgument(
            "unlike needs something to be near to", field=at_id, expected="an id beside unlike", received="none"
        )
    _only_one({"vector": vector, "id": id}, at_vector)
    if id is not None:
        return by_example([to_examples(id, unlike, at_id)], using, model)
    return query.Near(to_query(vector, at_vector), using, model=model)


def _nears(vectors: Any, ids: object, using: str | None, model: str | None) -> query.Near:
    """A leg of many queries, by vectors or by examples."""
    _only_one({"vectors": vectors, "ids": ids}, "vectors")
    if ids is not None:
        return by_example(batch(ids), using, model)
    if not hasattr(vectors, "__array__") and not isinstance(vectors, str | bytes | Mapping):
        vectors = list(vectors)
    if hasattr(vectors, "__len__") and len(vectors) == 0:
        return by_example([], using, model)
    return query.Near(to_matrix(vectors, "vectors"), using, model=model)


def _leg(leg: Leg, path: str) -> query.Leg:
    made: query.Leg
    match leg:
        case Near():
            made = _near(leg.vector, leg.id, leg.unlike, f"{path}.vector", f"{path}.id", leg.using, leg.model)
        case Keyword():
            made = to_keyword([leg.text], [f"{path}.text"], leg.fields, leg.fuzzy, f"{path}.")
        case Sparse():
            made = to_sparse_leg(leg.vector, leg.using, f"{path}.vector", leg.model)
        case _:
            raise InvalidArgument(
                "not a leg", field=path, expected="Near, Keyword or Sparse", received=type(leg).__name__
            )
    return replace(
        made,
        weight=real(leg.weight, f"{path}.weight"),
        depth=None if leg.depth is None else whole(leg.depth, f"{path}.depth"),
        filter=to_filter(leg.filter, f"{path}.filter"),
    )


def _highlight(given: object) -> Highlight | None:
    if given is None or given is False:
        return None
    if given is True:
        return Highlight()
    if not isinstance(given, Highlight):
        raise InvalidArgument(
            "not a highlight", field="highlight", expected="True or Highlight", received=repr(given)[:40]
        )
    return Highlight(whole(given.characters, "highlight.characters"), whole(given.snippets, "highlight.snippets"))


def _mmr(given: object) -> Mmr | None:
    if given is None:
        return None
    if not isinstance(given, Mmr):
        return Mmr(real(given, "mmr"))
    return Mmr(
        real(given.relevance, "mmr.relevance"),
        None if given.candidates is None else whole(given.candidates, "mmr.candidates"),
        given.using,
    )


def _only_one(given: Mapping[str, object], path: str) -> None:
    """Refuse none of several, and more than one."""
    there = [name for name, value in given.items() if value is not None]
    if len(there) != 1:
        raise InvalidArgument(
            "say what to search for",
            field=path,
            expected=f"one of {', '.join(given)}",
            received=" and ".join(there) or "none of them",
        )


def _nothing(given: Mapping[str, object]) -> InvalidArgument:
    return InvalidArgument(
        "say what to search for",
        field="vectors" if "vectors" in given else "vector",
        expected=f"some of {', '.join(given)}",
        received="none of them",
    )


def _fields_alone(missing: str) -> InvalidArgument:
    return InvalidArgument(
        "there is no text to search the fields for",
        field="fields",
        expected=f"{missing} beside fields",
        received="none",
    )
