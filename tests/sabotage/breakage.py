"""What a breakage is, and what makes a list of them unusable."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Breakage:
    """``old`` in ``file`` becomes ``new``; ``why`` names the promise that breaks, ``test`` what must notice.

    ``old`` is whole lines or a part of one, found exactly once in the file; ``test`` is a pytest node id.
    """

    name: str
    why: str
    file: str
    old: str
    new: str
    test: str

    def apply(self, root: Path) -> None:
        """Break the copy at ``root``."""
        path = root / self.file
        path.write_text(path.read_text(encoding="utf-8").replace(self.old, self.new), encoding="utf-8")

    def defects(self, root: Path) -> Iterator[str]:
        """Why this breakage says nothing about the tests at ``root``."""
        if not (root / self.test.partition("::")[0]).is_file():
            yield f"there is no {self.test.partition('::')[0]}"
        if not (root / self.file).is_file():
            yield f"there is no {self.file}"
            return
        source = (root / self.file).read_text(encoding="utf-8")
        if (count := source.count(self.old)) != 1:
            yield f"the old text is {count} times in {self.file}, not once"
        if self.old == self.new:
            yield "it changes nothing"
        try:
            compile(source.replace(self.old, self.new), self.file, "exec")
        except SyntaxError as error:
            yield f"the new text is not Python: {error}"


def load(path: Path) -> list[Breakage]:
    """The list at ``path``. Raises ValueError for a key too many, too few, or a name given twice."""
    wanted = {field.name for field in fields(Breakage)}
    breakages = []
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("breakage", []):
        if set(entry) != wanted:
            raise ValueError(f"{entry.get('name', entry)}: not exactly the keys {', '.join(sorted(wanted))}")
        breakages.append(Breakage(**entry))
    names = [breakage.name for breakage in breakages]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"named twice: {', '.join(sorted(twice))}")
    return breakages
