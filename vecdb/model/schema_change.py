"""What may be changed of a collection while it serves, and what schema comes of it. Pure.

Whatever a change does, the field meant where none is named stays the same one, unless the change is to choose another:
nobody's searches move to another field because a second one was added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vecdb.errors import AlreadyExists, FailedPrecondition, FieldNotFound
from vecdb.model.schema import Schema, SparseField, TextField, VectorField, named


@dataclass(frozen=True, slots=True)
class AddVectorField:
    """A new vector field, in which no point has a vector yet."""

    name: str
    field: VectorField


@dataclass(frozen=True, slots=True)
class DropVectorField:
    """The end of a vector field and of its vectors; not of the one meant where none is named."""

    name: str


@dataclass(frozen=True, slots=True)
class RenameVectorField:
    """Another name for a vector field."""

    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class SetDefaultVector:
    """The vector field meant from now on where none is named."""

    name: str


@dataclass(frozen=True, slots=True)
class AddTextField:
    """A new text field, in which no point has a text yet."""

    name: str
    field: TextField


@dataclass(frozen=True, slots=True)
class SetTextField:
    """Another declaration of a text field that is there; what is indexed is indexed anew in the background."""

    name: str
    field: TextField


@dataclass(frozen=True, slots=True)
class AddSparseField:
    """A new field of sparse vectors, in which no point has one yet. A second one makes calls that name none refused."""

    name: str
    field: SparseField


@dataclass(frozen=True, slots=True)
class SetTtl:
    """How long points stay, in milliseconds, that are written from now on without a time of their own; 0: for ever."""

    ttl_ms: int


@dataclass(frozen=True, slots=True)
class SetPayloadColumns:
    """Whether values of payloads are kept in columns."""

    on: bool


SchemaChange = (
    AddVectorField
    | DropVectorField
    | RenameVectorField
    | SetDefaultVector
    | AddTextField
    | SetTextField
    | AddSparseField
    | SetTtl
    | SetPayloadColumns
)


def changed(schema: Schema, change: SchemaChange) -> Schema:
    """The schema after ``change``.

    Raises FieldNotFound, AlreadyExists for a name that is taken, FailedPrecondition where the field meant where none
    is named would go, InvalidArgument for what can be no schema.
    """
    after = _changed(schema, change)
    after.validate()
    return after


def _changed(schema: Schema, change: SchemaChange) -> Schema:
    main = schema.main_vector
    match change:
        case AddVectorField(name, field):
            _refuse_taken(schema.vectors, name)
            return _keeping(replace(schema, vectors={**schema.vectors, name: field}), main)
        case DropVectorField(name):
            _refuse_unknown(schema.vectors, name)
            if name == main:
                raise FailedPrecondition(
                    "the default field cannot be dropped; let another be the default first",
                    field="name",
                    expected=named({other: None for other in schema.vectors if other != name}),
                    received=repr(name),
                )
            return _keeping(replace(schema, vectors={n: f for n, f in schema.vectors.items() if n != name}), main)
        case RenameVectorField(name, new_name):
            _refuse_unknown(schema.vectors, name)
            _refuse_taken(schema.vectors, new_name, "new_name")
            vectors = {new_name if n == name else n: f for n, f in schema.vectors.items()}
            return _keeping(replace(schema, vectors=vectors, default_vector=None), new_name if name == main else main)
        case SetDefaultVector(name):
            _refuse_unknown(schema.vectors, name)
            return _keeping(replace(schema, default_vector=None), name)
        case AddTextField(name, field):
            _refuse_taken(schema.texts, name)
            return replace(schema, texts={**schema.texts, name: field})
        case SetTextField(name, field):
            _refuse_unknown(schema.texts, name, "text")
            return replace(schema, texts={**schema.texts, name: field})
        case AddSparseField(name, field):
            _refuse_taken(schema.sparse, name)
            return replace(schema, sparse={**schema.sparse, name: field})
        case SetTtl(ttl_ms):
            return replace(schema, ttl_ms=ttl_ms)
        case SetPayloadColumns(on):
            return replace(schema, payload_columns=on)


def _keeping(schema: Schema, main: str | None) -> Schema:
    """``schema`` with ``main`` as the field meant where none is named, said only where it has to be."""
    return schema if main is None or schema.main_vector == main else replace(schema, default_vector=main)


def _refuse_unknown(fields: Mapping[str, object], name: str, kind: str = "vector") -> None:
    if name not in fields:
        raise FieldNotFound(f"unknown {kind} field", field="name", expected=named(fields), received=repr(name))


def _refuse_taken(fields: Mapping[str, object], name: str, path: str = "name") -> None:
    if name in fields:
        raise AlreadyExists("the field exists", field=path, expected="a new name", received=repr(name))
