"""What a load and an export say of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vecdb.client.load.checking import BadRow
from vecdb.client.load.mapping import ColumnMap
from vecdb.model.schema import SparseField, TextField, VectorField


@dataclass(frozen=True, slots=True)
class LoadReport:
    """A load: of ``read`` rows, ``written`` became points and ``skipped`` did not.

    The counts are of the whole load, also where it was interrupted: ``resumed_from`` is the row at which this run
    went on, None when it began at the first. ``seconds`` are of this run. ``mapping``: which column became what.
    ``bad``: the first bad rows of this run; all are in the file ``rejects``, if there are any. ``checkpoint``: the
    file by which the load could be resumed, None where there was none. ``dry_run``: nothing was written.
    """

    source: str
    collection: str
    read: int
    written: int
    skipped: int
    resumed_from: int | None
    seconds: float
    mapping: ColumnMap | None
    bad: Sequence[BadRow] = ()
    rejects: Path | None = None
    checkpoint: Path | None = None
    warnings: Sequence[str] = field(default_factory=list)
    dry_run: bool = False

    def __str__(self) -> str:
        done = "would go" if self.dry_run else "loaded"
        lines = [f"{self.source}: {self.written:,} of {self.read:,} rows {done} into {self.collection}"]
        if not self.dry_run:
            lines[0] += f" in {self.seconds:.1f} s"
        if self.resumed_from is not None:
            lines.append(f"  resumed from row {self.resumed_from:,}")
        if self.mapping is not None:
            lines += [f"  {line}" for line in str(self.mapping).splitlines()]
        if self.skipped or self.bad:
            where = f", all in {self.rejects}" if self.rejects is not None else ""
            lines.append(f"  {self.skipped or len(self.bad):,} bad rows{where}")
            lines += [f"    {bad}" for bad in self.bad]
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)])


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What a load would do, and the fields that a collection for it needs; ``rows`` None: not known beforehand."""

    source: str
    rows: int | None
    mapping: ColumnMap
    vectors: Mapping[str, VectorField]
    texts: Mapping[str, TextField]
    sparse: Mapping[str, SparseField] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = "an unknown number of rows" if self.rows is None else f"{self.rows:,} rows"
        fields = (f"{name or 'vector'}: {f.dim} dimensions, {f.metric}" for name, f in self.vectors.items())
        return "\n".join([f"{self.source}: {rows}", *(f"  {line}" for line in str(self.mapping).splitlines()), *fields])


@dataclass(frozen=True, slots=True)
class ExportReport:
    """An export: ``written`` points in the files ``paths`` of ``nbytes`` together (standard output: no path)."""

    collection: str
    written: int
    paths: Sequence[Path]
    nbytes: int
    seconds: float

    def __str__(self) -> str:
        where = ", ".join(map(str, self.paths)) or "standard output"
        return f"{self.collection}: {self.written:,} points, {self.nbytes:,} bytes, to {where} in {self.seconds:.1f} s"
