"""One module for each workload, by name: ``SIZE`` rows, ``measure`` (samples), ``figures`` (from samples alone)."""

from __future__ import annotations

from types import ModuleType

from benchmarks.workloads import (
    batch,
    collections,
    deletes,
    embedded,
    filtered,
    hybrid,
    ingest,
    keyword,
    memory,
    merging,
    opening,
    recall,
    single,
    soak,
    transport,
)

WORKLOADS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        recall,
        batch,
        embedded,
        single,
        transport,
        filtered,
        keyword,
        hybrid,
        ingest,
        deletes,
        merging,
        memory,
        opening,
        collections,
        soak,
    )
}
