"""Points and hits as they are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vecdb import Hit, Point

SHOWN_NUMBERS = 4


def as_document(point: Point) -> dict[str, Any]:
    """The same keys for every point: null for what it has not. Fields with a name are in ``texts`` and ``vectors``."""
    return {
        "id": point.id,
        "version": point.version,
        "payload": point.payload,
        "text": point.text,
        "vector": point.vector,
        "texts": {name: text for name, text in point.texts.items() if name},
        "vectors": {name: vector for name, vector in point.vectors.items() if name},
    }


def hit_document(hit: Hit) -> dict[str, Any]:
    """As ``as_document``, with what a search adds."""
    return {"score": hit.score, "distance": hit.distance} | as_document(hit)


def as_facts(point: Point) -> dict[str, str]:
    """Label and value for people: only what there is, vectors cut short."""
    facts = {"id": point.id, "version": str(point.version)}
    if point.payload is not None:
        import orjson

        facts["payload"] = orjson.dumps(point.payload).decode()
    facts |= {f"text {name}".strip(): text for name, text in point.texts.items()}
    for name, vector in point.vectors.items():
        numbers = [f"{number:.4g}" for number in vector[:SHOWN_NUMBERS]]
        more = [f"... {len(vector)} numbers"] if len(vector) > SHOWN_NUMBERS else []
        facts[f"vector {name}".strip()] = ", ".join(numbers + more)
    return facts
