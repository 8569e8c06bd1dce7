"""What older releases archived is verified and restored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import vecdb
from tests.format import archives, write
from tests.project.repository import ROOT


@pytest.mark.parametrize("name", archives.names())
def test_it_is_verified_and_restored(name: str, tmp_path: Path) -> None:
    chain = archives.chain(name)
    assert {f"archive-{summary.format}" for summary in vecdb.verify(chain)} == {name}
    with vecdb.open(tmp_path / "data", **write.OPTIONS) as db:
        report = db.restore(chain)
        recalls = [recall for one in report.collections for recall in one.recall.values()]
        assert recalls and all(recall == 1.0 for recall in recalls)
        assert json.loads(json.dumps(write.answers(db))) == archives.answers(name)
        assert db.check() == []


def test_what_is_written_today_is_frozen() -> None:
    assert archives.PRESENT in archives.names(), "the format changed: python -m tests.format archive"
    page = (ROOT / "docs/upgrading.md").read_text(encoding="utf-8")
    assert [name for name in archives.names() if f"`{name}`" not in page] == []
