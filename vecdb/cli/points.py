"""Points and hits as they are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vecdb import Hit, Point

SHOWN_NUMBERS = 4


def as_document(point: Point) -> dict[str, Any]:
    """A point by the keys that an export has too, and its version; null for what the unnamed fields have not."""
    from vecdb.client.load.columns import sparse_column, sparse_object, text_column, vector_column

    return {
        "id": point.id,
        "version": point.version,
        "payload": point.payload,
        "text": None,
        "vector": None,
        **{text_column(name): text for name, text in point.texts.items()},
        # As float64 the shortest digits of a number are read back as the same float32.
        **{vector_column(name): vector.astype("f8") for name, vector in point.vectors.items()},
        **{sparse_column(name): sparse_object(vector) for name, vector in point.sparse.items()},
    }


def hit_document(hit: Hit) -> dict[str, Any]:
    """As ``as_document``, with what a search adds; null for what it has not."""
    legs = None if hit.legs is None else [leg._asdict() for leg in hit.legs]
    return {"score": hit.score, "distance": hit.distance, "legs": legs, "snippets": hit.snippets} | as_document(hit)


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
    facts |= {f"sparse {name}".strip(): f"{len(vector)} weights" for name, vector in point.sparse.items()}
    return facts
