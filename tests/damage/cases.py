"""Which files there are, what may happen to one, and to which of its bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

DAMAGES = ("truncate", "flip", "remove", "empty")

KINDS = {
    "vecdb.json": r"vecdb\.json",
    "LOCK.pid": r"LOCK\.pid",
    "reserve": r"reserve",
    "rocksdb.synced": r"rocksdb\.synced",
    "rocksdb/CURRENT": r"rocksdb/CURRENT",
    "rocksdb/MANIFEST-*": r"rocksdb/MANIFEST-\d+",
    "rocksdb/*.log": r"rocksdb/\d+\.log",
    "rocksdb/*.sst": r"rocksdb/\d+\.sst",
    "rocksdb/*.blob": r"rocksdb/\d+\.blob",
    "rocksdb/IDENTITY": r"rocksdb/IDENTITY",
    "rocksdb/OPTIONS-*": r"rocksdb/OPTIONS-\d+",
    "rocksdb/rocksdict-config.json": r"rocksdb/rocksdict-config\.json",
    "rocksdb/LOG, LOCK": r"rocksdb/(LOG.*|LOCK)",
    "bodies": r"segments/.*/bodies",
    "expires": r"segments/.*/expires",
    "columns": r"segments/.*/columns",
    "<field>.slots": r"segments/.*/\d+\.slots",
    "<field>.hnsw": r"segments/.*/\d+\.hnsw",
    "<field>.flat": r"segments/.*/\d+\.flat",
    "t<field>.slots": r"segments/.*/t\d+\.slots",
    "t<field>.<n>.terms": r"segments/.*/t\d+\.\d+\.terms",
}


TRUTH = ("vecdb.json", "rocksdb/CURRENT", "rocksdb/MANIFEST-*", "rocksdb/*.log", "rocksdb/*.sst", "rocksdb/*.blob")
KILLED = ("rocksdb/*.log", "LOCK.pid", "reserve")  # which hold nothing where the directory was closed


@dataclass(frozen=True)
class Case:
    """One file of one directory, and what happens to it; ``at``: the part of it before the bit that is flipped."""

    base: str
    file: str
    kind: str
    damage: str
    at: float = 0.5

    def __str__(self) -> str:
        where = f" at {self.at:.4g}" if self.damage == "flip" else ""
        return f"{self.base}: {self.file}, {self.damage}{where}"


def kind_of(file: str) -> str:
    """The kind of a file, by its path in the directory. Raises LookupError: a new kind belongs into the table."""
    for kind, pattern in KINDS.items():
        if re.fullmatch(pattern, file):
            return kind
    raise LookupError(f"{file} is of no kind that is damaged here")


def cases(base: Path, flips: int) -> Iterator[Case]:
    """Every file of a directory with every damage; as many flips as that, evenly spread, of those that hold rows."""
    for path in sorted(base.rglob("*")):
        if path.is_dir():
            continue
        file = str(path.relative_to(base))
        kind = kind_of(file)
        size = path.stat().st_size
        for damage in DAMAGES:
            if size == 0 and damage != "remove":
                continue
            count = flips if damage == "flip" and file.startswith(("rocksdb/0", "rocksdb/M")) else 1
            for i in range(count):
                yield Case(base.name, file, kind, damage, (i + 0.5) / count)


def all_cases(folder: Path, flips: int) -> list[Case]:
    """Of a directory that was closed, and of one that was killed as far as this makes a difference: in its store."""
    killed = [case for case in cases(folder / "killed", flips) if case.file.startswith(("rocksdb", "LOCK", "reserve"))]
    return [*cases(folder / "closed", flips), *killed]


def one_of_each(found: Sequence[Case]) -> list[Case]:
    """A few: every damage of a file that is the truth, one of any other kind, in turn."""
    chosen: dict[tuple[str, str], Case] = {}
    for case in found:
        turn = DAMAGES[list(KINDS).index(case.kind) % len(DAMAGES)]
        if case.kind in TRUTH or case.damage == turn:
            key = (case.kind, case.damage)
            if key not in chosen or (case.kind in KILLED and case.base == "killed"):
                chosen[key] = case
    return list(chosen.values())


def damage(path: Path, case: Case) -> None:
    """Do it, in a copy of the directory."""
    file = path / case.file
    size = file.stat().st_size
    if case.damage == "truncate":
        os.truncate(file, size // 2)
    elif case.damage == "remove":
        file.unlink()
    elif case.damage == "empty":
        os.truncate(file, 0)
    else:
        raw = bytearray(file.read_bytes())
        raw[int(case.at * size)] ^= 0x04
        file.write_bytes(raw)
