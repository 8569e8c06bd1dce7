"""What collections are called: names and aliases are one namespace, each standing for one collection.

An alias points to a collection's number, not to its name: a rename keeps it, and an alias of an alias
cannot be. Where a call works on what a collection holds, either may be given; where a collection itself
is dropped or renamed its own name is wanted, so that nobody loses one by the name it only answers to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vecdb.engine.collection import Entry
from vecdb.errors import CollectionExists, CollectionNotFound, FailedPrecondition, NotFound


class Names:
    """The collections by all they are called. Not for several threads at once: the database's lock guards it."""

    def __init__(self, entries: Iterable[Entry], aliases: Mapping[str, int]) -> None:
        self._entries = {entry.number: entry for entry in entries}
        self._numbers = {entry.name: entry.number for entry in self._entries.values()}
        self._aliases: dict[int, tuple[str, ...]] = {}
        for alias, number in aliases.items():
            if number in self._entries and alias not in self._numbers:  # else it is damage, which check reports
                self.set_alias(alias, number)

    def __len__(self) -> int:
        """How many collections there are."""
        return len(self._entries)

    def __contains__(self, name: str) -> bool:
        """Whether a collection or alias is called so."""
        return name in self._numbers

    def entries(self) -> list[Entry]:
        """Every collection, by name."""
        return sorted(self._entries.values(), key=lambda entry: entry.name)

    def there(self, entry: Entry) -> bool:
        """Whether the collection has not been dropped."""
        return entry.number in self._entries

    def aliases(self, entry: Entry) -> tuple[str, ...]:
        """The aliases of a collection, in order."""
        return self._aliases.get(entry.number, ())

    def count_aliases(self) -> int:
        """How many aliases there are."""
        return len(self._numbers) - len(self._entries)

    def find(self, name: str) -> Entry:
        """The collection that a name or alias stands for. Raises CollectionNotFound."""
        number = self._numbers.get(name)
        if number is None:
            raise CollectionNotFound(
                "no such collection", field="collection", expected="an existing collection", received=repr(name)
            )
        return self._entries[number]

    def own(self, name: str, field: str) -> Entry:
        """The collection whose own name it is. Raises CollectionNotFound; FailedPrecondition for an alias."""
        entry = self.find(name)
        if entry.name != name:
            raise FailedPrecondition(
                "an alias, where a collection's own name is needed",
                field=field,
                expected=repr(entry.name),
                received=repr(name),
            )
        return entry

    def refuse_taken(self, name: str, field: str) -> None:
        """Raise CollectionExists when a collection or alias of this name is there."""
        if (number := self._numbers.get(name)) is not None:
            own = self._entries[number].name
            raise CollectionExists(
                "the collection exists" if own == name else "the name is an alias",
                field=field,
                expected="a new name",
                received=repr(name) if own == name else f"{name!r}, an alias of {own!r}",
            )

    def refuse_collection(self, alias: str) -> None:
        """Raise CollectionExists when it is a collection's own name, which can be no alias."""
        if alias in self._numbers and not self.is_alias(alias):
            self.refuse_taken(alias, "alias")

    def is_alias(self, alias: str) -> bool:
        """Whether there is this alias; a collection's own name is none."""
        number = self._numbers.get(alias)
        return number is not None and self._entries[number].name != alias

    def refuse_unknown_alias(self, alias: str) -> None:
        """Raise NotFound when there is no such alias."""
        if not self.is_alias(alias):
            raise NotFound("no such alias", field="alias", expected="an existing alias", received=repr(alias))

    # -- changes, each already in the store

    def add(self, entry: Entry) -> None:
        """Know a new collection."""
        self._entries[entry.number] = entry
        self._numbers[entry.name] = entry.number

    def remove(self, entry: Entry) -> None:
        """Forget a collection and its aliases."""
        for name in (entry.name, *self._aliases.pop(entry.number, ())):
            self._numbers.pop(name, None)
        self._entries.pop(entry.number, None)

    def rename(self, entry: Entry, new_name: str) -> None:
        """Call a collection something else; whoever holds its entry sees it."""
        del self._numbers[entry.name]
        self._numbers[new_name] = entry.number
        entry.name = new_name

    def set_alias(self, alias: str, number: int) -> None:
        """Let an alias stand for a collection, and no longer for another."""
        self.drop_alias(alias)
        self._numbers[alias] = number
        self._aliases[number] = tuple(sorted((*self._aliases.get(number, ()), alias)))

    def drop_alias(self, alias: str) -> None:
        """Forget an alias, if it is there."""
        number = self._numbers.pop(alias, None)
        if number is not None:
            self._aliases[number] = tuple(other for other in self._aliases[number] if other != alias)
