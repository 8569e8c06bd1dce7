"""The public names are a list; a name that comes or goes is a decision, seen in review."""

from __future__ import annotations

import subprocess
import sys

import vecdb
import vecdb.errors
from tests.project.repository import ROOT

NAMES = """
    __version__
    Client Collection connect open AsyncClient AsyncCollection connect_async open_async
    Near Keyword Query Sparse SparseVector Rrf RelativeScore DistributionScore F Filter
    Highlight Snippet Decay Boost Mmr Rerank Token
    Clear Delete Insert Update Upsert
    Change Facet FacetValue Hit OrderBy Page Point SearchResult WriteResult
    Schema SparseField TextField VectorField
    CollectionInfo CollectionStats DatabaseStats MeasuredRecall Recall SegmentRecall SegmentStats ServerInfo
    Aborted AlreadyExists Cancelled ChangesGone Closed
    CollectionExists CollectionLoading CollectionNotFound ConditionFailed
    DataDirInUse DataDirUnusable DataLoss DeadlineExceeded DimensionMismatch DiskFull EngineNotInstalled
    FailedPrecondition FieldNotFound FormatTooNew IndexingBehind Internal InvalidArgument InvalidVector MemoryLimit
    ModelMismatch NotFound PartialWrite PointExists PointNotFound ReadOnly ResourceExhausted TooLarge Unavailable
    Unimplemented VecdbError
    Pin RestoredCollection RestoreReport SnapshotCollection SnapshotSummary verify
""".split()


def test_the_public_names_are_these() -> None:
    assert sorted(vecdb.__all__) == sorted(NAMES)
    assert set(vecdb.__all__) <= set(dir(vecdb))


def test_every_public_name_is_there() -> None:
    for name in NAMES:
        assert getattr(vecdb, name) is not None


def test_every_error_is_public() -> None:
    errors = {
        name
        for name, value in vars(vecdb.errors).items()
        if isinstance(value, type) and value.__module__ == "vecdb.errors"
    }
    assert errors <= set(NAMES)


def test_no_public_name_loads_the_engine() -> None:
    program = "import sys, vecdb; [getattr(vecdb, name) for name in vecdb.__all__]; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    heavy = ("vecdb.engine", "vecdb.index", "vecdb.storage", "vecdb.cli", "rocksdict", "hnswlib")
    assert [name for name in loaded.split() if any(name == h or name.startswith(f"{h}.") for h in heavy)] == []
