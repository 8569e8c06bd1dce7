"""Changes of a collection as people write them, to the nouns of the model. Pure: nothing is sent, nothing is read."""

from __future__ import annotations

from typing import Any, TypeVar

from vecdb.client.ttl import of_collection
from vecdb.errors import InvalidArgument
from vecdb.model.schema import SparseField, TextField, VectorField
from vecdb.model.schema_change import (
    AddSparseField,
    AddTextField,
    AddVectorField,
    DropVectorField,
    RenameVectorField,
    SetDefaultVector,
    SetPayloadColumns,
    SetTextField,
    SetTtl,
)

T = TypeVar("T")


def add_vector(name: object, field: object) -> AddVectorField:
    """A new vector field. Raises InvalidArgument."""
    added = AddVectorField(field_name(name, "name"), _instance(field, VectorField, "field"))
    added.field.validate("field")
    return added


def drop_vector(name: object) -> DropVectorField:
    """The end of a vector field. Raises InvalidArgument."""
    return DropVectorField(field_name(name, "name"))


def rename_vector(name: object, new_name: object) -> RenameVectorField:
    """Another name for a vector field. Raises InvalidArgument."""
    return RenameVectorField(field_name(name, "name"), field_name(new_name, "new_name"))


def set_default(name: object) -> SetDefaultVector:
    """Another default field. Raises InvalidArgument."""
    return SetDefaultVector(field_name(name, "name"))


def add_text(name: object, field: object) -> AddTextField:
    """A new text field. Raises InvalidArgument."""
    return AddTextField(field_name(name, "name"), _text_field(field))


def set_text(name: object, field: object) -> SetTextField:
    """Another declaration of a text field. Raises InvalidArgument."""
    return SetTextField(field_name(name, "name"), _text_field(field))


def add_sparse(name: object, field: object) -> AddSparseField:
    """A new field of sparse vectors. Raises InvalidArgument."""
    return AddSparseField(field_name(name, "name"), _instance(field, SparseField, "field"))


def set_ttl(ttl: object) -> SetTtl:
    """Another time to live. Raises InvalidArgument."""
    return SetTtl(of_collection(ttl))


def set_columns(on: object) -> SetPayloadColumns:
    """Columns of payloads, or none. Raises InvalidArgument."""
    return SetPayloadColumns(_instance(on, bool, "on"))


def field_name(value: object, path: str) -> str:
    """The name of a field, "" for the unnamed one. Raises InvalidArgument."""
    return _instance(value, str, path)


def _text_field(field: object) -> TextField:
    given = _instance(field, TextField, "field")
    given.validate("field")
    return given


def _instance(value: Any, kind: type[T], path: str) -> T:
    if not isinstance(value, kind):
        raise InvalidArgument(
            f"not a {kind.__name__}", field=path, expected=kind.__name__, received=type(value).__name__
        )
    return value
