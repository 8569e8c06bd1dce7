"""Which column becomes which part of a point: as a person says, or guessed from names and first values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from vecdb.client.guess import GUESS, ByField, Column, PayloadColumns
from vecdb.client.load.chunk import Chunk, Columns
from vecdb.client.load.columns import ID, PAYLOAD, field_of, sparse_column, text_column, vector_column
from vecdb.errors import FieldNotFound, InvalidArgument
from vecdb.model.schema import Schema

# In the order in which they are looked for; case does not matter.
ID_NAMES = (ID, "_id", "uuid", "point_id", "doc_id", "document_id")
VECTOR_NAMES = ("vector", "embedding", "embeddings", "vectors", "emb", "vec", "train", "values", "dense")
TEXT_NAMES = ("text", "content", "body", "chunk", "document", "page_content", "passage")

# What pandas leaves in a parquet file of a DataFrame with an index that has no name.
_IGNORED = "__index_level_"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person said of the columns."""

    id: Column = GUESS
    vector: ByField = GUESS
    text: ByField = GUESS
    payload: PayloadColumns = GUESS
    json_columns: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Which column became what; prints as a line for each part.

    ``id`` None: ids are row numbers, from "0". ``vectors``, ``texts`` and ``sparse``: the column by field. ``payload``:
    the column by key; None: ``whole_payload`` names a column of objects or, when that is None too, every other column
    is a key; ``others`` are those of the first rows. ``json_columns``: their text is parsed.
    """

    id: str | None
    vectors: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    payload: Mapping[str, str] | None = None
    whole_payload: str | None = None
    json_columns: Sequence[str] = ()
    others: Sequence[str] = ()
    sparse: Mapping[str, str] = field(default_factory=dict)

    def used(self) -> set[str]:
        """The columns that are not payload."""
        fields = (*self.vectors.values(), *self.texts.values(), *self.sparse.values())
        return {name for name in (self.id, *fields) if name is not None}

    def as_json(self) -> dict[str, Any]:
        """As JSON values, for a checkpoint."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"id      <- {self.id if self.id is not None else 'the row number'}"]
        lines += [f"{vector_column(name):<7} <- {column}" for name, column in self.vectors.items()]
        lines += [f"{text_column(name):<7} <- {column}" for name, column in self.texts.items()]
        lines += [f"{sparse_column(name):<7} <- {column}" for name, column in self.sparse.items()]
        if self.whole_payload is not None:
            lines.append(f"payload <- {self.whole_payload}")
        elif self.payload is None:
            lines.append(f"payload <- every other column ({', '.join(self.others) or 'none in the first rows'})")
        elif self.payload:
            keys = (key if key == column else f"{column} as {key}" for key, column in self.payload.items())
            lines.append(f"payload <- {', '.join(keys)}")
        return "\n".join(lines)


def resolve(head: Chunk, choice: Choice, schema: Schema | None) -> ColumnMap:
    """The columns of a source by its first rows; ``schema`` None: of a collection still to be made.

    Raises InvalidArgument for a column that is not there or when nothing can be the vector, FieldNotFound for a
    field that is not in the schema.
    """
    names = head.names
    for column in _named(choice):
        if column not in names:
            raise InvalidArgument("no such column", field=column, expected=" | ".join(names), received=repr(column))
    vectors = _vectors(head, choice.vector, schema)
    texts = _texts(head, choice.text, schema, set(vectors.values()))
    fields = None if schema is None else schema.sparse
    sparse = _by_name(head, fields, "sparse", _like_sparse if fields is None else _like_object)
    free = [name for name in names if name not in {*vectors.values(), *texts.values(), *sparse.values()}]
    # Whatever it holds: a row whose id is none should be told so, and not be given a number.
    id = _guessed(head, ID_NAMES, free, lambda value: True) if choice.id is GUESS else choice.id
    used = {id, *vectors.values(), *texts.values(), *sparse.values()}
    rest = [name for name in names if name not in used and not name.startswith(_IGNORED)]
    payload, whole = _payload(head, choice.payload, rest)
    others: list[str] = []
    if payload is None and whole is None:
        if isinstance(head, Columns):
            payload = {name: name for name in rest}
        else:
            others = rest
    return ColumnMap(id, vectors, texts, payload, whole, tuple(choice.json_columns), tuple(others), sparse)


def _named(choice: Choice) -> Iterable[str]:
    for given in (choice.id, choice.vector, choice.text, choice.payload, tuple(choice.json_columns)):
        if isinstance(given, str):
            yield given
        elif isinstance(given, Mapping):
            yield from given.values()
        elif given is not None and given is not GUESS:
            yield from given


def _vectors(head: Chunk, given: ByField, schema: Schema | None) -> dict[str, str]:
    fields = None if schema is None else schema.vectors
    main = "" if schema is None else schema.main_vector
    if given is not GUESS:
        return _by_field(given, fields, main, "vector")
    found = _by_name(head, fields, "vector", _like_vector)
    if main is not None and main not in found:
        free = [name for name in head.names if name not in found.values()]
        column = _guessed(head, VECTOR_NAMES, free, _like_vector)
        if column is None:
            dim = None if fields is None else fields[main].dim
            like = [name for name in free if length_of(head.sample(name)) in ((dim,) if dim else ()) and dim != 1]
            column = like[0] if len(like) == 1 else None
        if column is not None:
            found[main] = column
    if not found and (fields is None or fields):
        raise InvalidArgument(
            "no column looks like a vector; name it with vector=..., or say vector=None",
            field="vector",
            expected=" | ".join(VECTOR_NAMES),
            received=" | ".join(head.names),
        )
    return found


def _texts(head: Chunk, given: ByField, schema: Schema | None, taken: set[str]) -> dict[str, str]:
    fields = None if schema is None else schema.texts
    main = _main_text(fields)
    if given is not GUESS:
        return _by_field(given, fields, main, "text")
    found = {name: column for name, column in _by_name(head, fields, "text", _like_text).items() if column not in taken}
    if main is not None and main not in found:
        free = [name for name in head.names if name not in taken and name not in found.values()]
        column = _guessed(head, TEXT_NAMES, free, _like_text)
        if column is not None:
            found[main] = column
    return found


def _by_field(given: ByField, fields: Mapping[str, object] | None, main: str | None, kind: str) -> dict[str, str]:
    """The columns as given; one that is alone is for ``main``, the field meant where none is named."""
    if given is None:
        return {}
    if isinstance(given, str):
        return {"" if main is None else main: given}
    assert isinstance(given, Mapping)
    for name in given:
        if fields is not None and name not in fields:
            raise FieldNotFound(
                f"unknown {kind} field", field=kind, expected=" | ".join(map(repr, fields)), received=repr(name)
            )
    return dict(given)


def _by_name(head: Chunk, fields: Mapping[str, object] | None, kind: str, fits: Any) -> dict[str, str]:
    """The columns that bear the name of a field: as an export writes it, or the bare name."""
    found: dict[str, str] = {}
    for column in head.names:
        name = field_of(column, kind)
        if name is not None and (fields is None or name in fields) and fits(head.sample(column)):
            found[name] = column
    for name in fields or ():
        if name and name not in found and name in head.names and fits(head.sample(name)):
            found[name] = name
    return found


def _main_text(fields: Mapping[str, object] | None) -> str | None:
    """The text field that a column is for when it names none: the unnamed, or the only one."""
    if fields is None or "" in fields:
        return ""
    return next(iter(fields)) if len(fields) == 1 else None


def _payload(head: Chunk, given: PayloadColumns, rest: Sequence[str]) -> tuple[Mapping[str, str] | None, str | None]:
    if given is None:
        return {}, None
    if isinstance(given, str):
        return None, given
    if isinstance(given, Mapping):
        return dict(given), None
    if given is not GUESS:
        return {name: name for name in given}, None
    # An export, or a file made like one: a column of objects, and nothing beside it.
    if rest == [PAYLOAD] and _like_object(head.sample(PAYLOAD)):
        return None, PAYLOAD
    return None, None


def _guessed(head: Chunk, wanted: Sequence[str], free: Sequence[str], fits: Any) -> str | None:
    by_name = {name.lower(): name for name in reversed(free)}
    found = (by_name[name] for name in wanted if name in by_name)
    return next((name for name in found if fits(head.sample(name))), None)


def _like_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _like_vector(value: object) -> bool:
    return value is None or length_of(value) is not None


def _like_object(value: object) -> bool:
    return value is None or isinstance(value, Mapping) or (isinstance(value, str) and value.lstrip().startswith("{"))


def _like_sparse(value: object) -> bool:
    """Whether it is a sparse vector as an export has it."""
    return isinstance(value, Mapping) and value.keys() == {"indices", "values"}


def length_of(value: object) -> int | None:
    """How many numbers it is, when it is a list of numbers, or the text of one."""
    if isinstance(value, str):
        return value.count(",") + 1 if value.lstrip().startswith("[") else None
    if isinstance(value, np.ndarray):
        return len(value) if value.ndim == 1 and value.dtype.kind in "fiu" else None
    if isinstance(value, list | tuple) and value:
        numbers = isinstance(value[0], int | float | np.number) and not isinstance(value[0], bool)
        return len(value) if numbers else None
    return None
