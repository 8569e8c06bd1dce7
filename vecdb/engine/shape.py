"""The shape of a collection: its schema, and the numbers that its fields have on disk.

A shape is replaced whole when the schema is changed, so whoever holds one has one schema. Numbers are never used again:
the bodies of old rows go on naming the vectors of a field that was dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vecdb.engine.prepare import FieldIds
from vecdb.errors import ResourceExhausted
from vecdb.model.schema import Schema, SparseField, TextField, VectorField
from vecdb.model.schema_change import (
    AddSparseField,
    AddTextField,
    AddVectorField,
    DropVectorField,
    RenameVectorField,
    SchemaChange,
    changed,
)
from vecdb.storage.codec import SPARSE, TEXT

MAX_NUMBER = SPARSE - 1
"""Numbers of fields have 14 bits on disk."""


@dataclass(frozen=True, slots=True)
class Shape:
    """``next_vector``, ``next_text`` and ``next_sparse``: the numbers of the next fields.

    ``dropping``: numbers of vector fields that were dropped, and of which there still is something to delete.
    """

    schema: Schema
    fields: FieldIds
    next_vector: int
    next_text: int
    dropping: tuple[int, ...] = ()
    next_sparse: int = 0

    @staticmethod
    def of(schema: Schema) -> Shape:
        """The shape of a new collection: fields are numbered in the order in which they were named."""
        fields = FieldIds(
            {name: i for i, name in enumerate(schema.vectors)},
            {name: i for i, name in enumerate(schema.texts)},
            {name: SPARSE | i for i, name in enumerate(schema.sparse)},
        )
        return Shape(schema, fields, len(schema.vectors), len(schema.texts), next_sparse=len(schema.sparse))

    def vectors(self) -> dict[int, VectorField]:
        """The vector fields by number."""
        return {self.fields.vectors[name]: field for name, field in self.schema.vectors.items()}

    def texts(self) -> dict[int, TextField | SparseField]:
        """The fields that have postings, of texts and of sparse vectors, by the keys of their slots."""
        return {
            **{TEXT | self.fields.texts[name]: field for name, field in self.schema.texts.items()},
            **{TEXT | self.fields.sparse[name]: field for name, field in self.schema.sparse.items()},
        }

    def changed(self, change: SchemaChange) -> Shape:
        """The shape after a change. Raises what ``changed`` raises; ResourceExhausted when numbers are used up."""
        shape = replace(self, schema=changed(self.schema, change))
        numbers = self.fields
        vectors, texts = numbers.vectors, numbers.texts
        match change:
            case AddVectorField(name):
                _refuse_last(self.next_vector)
                return replace(
                    shape,
                    fields=replace(numbers, vectors={**vectors, name: self.next_vector}),
                    next_vector=self.next_vector + 1,
                )
            case DropVectorField(name):
                return replace(
                    shape,
                    fields=replace(numbers, vectors=_without(vectors, name)),
                    dropping=(*self.dropping, vectors[name]),
                )
            case RenameVectorField(name, new_name):
                renamed = {new_name if n == name else n: number for n, number in vectors.items()}
                return replace(shape, fields=replace(numbers, vectors=renamed))
            case AddTextField(name):
                _refuse_last(self.next_text)
                return replace(
                    shape,
                    fields=replace(numbers, texts={**texts, name: self.next_text}),
                    next_text=self.next_text + 1,
                )
            case AddSparseField(name):
                _refuse_last(self.next_sparse)
                return replace(
                    shape,
                    fields=replace(numbers, sparse={**numbers.sparse, name: SPARSE | self.next_sparse}),
                    next_sparse=self.next_sparse + 1,
                )
            case _:
                return shape

    def dropped(self, number: int) -> Shape:
        """The shape once nothing of a dropped field is left."""
        return replace(self, dropping=tuple(n for n in self.dropping if n != number))


def _without(numbers: Mapping[str, int], name: str) -> dict[str, int]:
    return {n: number for n, number in numbers.items() if n != name}


def _refuse_last(number: int) -> None:
    if number > MAX_NUMBER:
        raise ResourceExhausted(
            "the collection has had as many fields as it can", expected=f"<= {MAX_NUMBER + 1}", received=str(number + 1)
        )
