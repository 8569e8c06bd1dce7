"""The arrow of imports points one way (docs/architecture.md)."""

from pathlib import Path

import pytest

from tests.project.imports import sources
from tests.project.layers import violations

ROOT = Path(__file__).parents[2]


def test_vecdb_keeps_its_layers() -> None:
    assert violations(sources(ROOT, "vecdb")) == []


SOUND = {
    "vecdb": "def __getattr__(name):\n    from vecdb.client import sync",
    "vecdb.client": "",
    "vecdb.client.sync": "from vecdb.wire import convert",
    "vecdb.wire": "",
    "vecdb.wire.convert": "from vecdb.model.point import Rows",
    "vecdb.wire.server": "from vecdb.engine import database",
    "vecdb.engine": "",
    "vecdb.engine.database": "from vecdb.storage.rocksdb import open",
    "vecdb.storage.rocksdb": "import rocksdict",
    "vecdb.model.point": "from vecdb.errors import VecdbError",
    "vecdb.errors": "",
}


def test_a_sound_package_passes() -> None:
    assert violations(SOUND) == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        (
            "vecdb.model.point",
            "from vecdb.storage import kv",
            "vecdb.model.point:1 imports vecdb.storage, which is not",
        ),
        ("vecdb.model.point", "def f():\n    import vecdb.engine.database", "vecdb.model.point:2 imports vecdb.engine"),
        ("vecdb.engine.view", "import vecdb", "vecdb.engine.view:1 imports vecdb, which is not below it"),
        ("vecdb.engine.view", "import hnswlib", "only vecdb.index.hnsw may"),
        ("vecdb.engine.view", "from vecdb.v1 import points_pb2", "only vecdb.wire and vecdb.client"),
        ("vecdb.engine.view", "import pickle", "only nobody may"),
        ("vecdb.engine.view", "import os\nx = os.environ['X']", "vecdb.engine.view:2 reads the environment"),
        ("vecdb.engine.view", "from os import getenv", "vecdb.engine.view:1 reads the environment"),
        ("vecdb.client.sync", "from vecdb.wire import server", "of the wire a client may import"),
        ("vecdb.client.sync", "from vecdb.wire.server import serve", "of the wire a client may import"),
        (
            "vecdb.wire.status",
            "from vecdb.wire.convert import a\nimport vecdb.wire.server",
            "status reaches vecdb.engine",
        ),
        ("vecdb.client", "import vecdb.engine.database", "importing vecdb.client imports rocksdict"),
        ("vecdb", "from vecdb.engine import database", "importing vecdb imports vecdb.storage"),
        ("vecdb.drawer", "import vecdb.errors", "gives 'drawer' no layer"),
    ],
)
def test_a_wrong_import_is_seen(module: str, source: str, complaint: str) -> None:
    assert any(complaint in found for found in violations({**SOUND, module: source})), violations(
        {**SOUND, module: source}
    )


def test_what_only_the_type_checker_imports_is_not_run() -> None:
    lazy = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from vecdb.engine import database"
    assert violations({**SOUND, "vecdb": lazy}) == []
