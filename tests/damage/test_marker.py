"""``vecdb.json``, whatever bit of it is flipped, never opens as another database."""

from __future__ import annotations

from pathlib import Path

import pytest

import vecdb
from vecdb.engine.datadir import read_marker


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with vecdb.open(tmp_path) as db:
        db.create_collection("docs", dim=2).upsert(["a"], [[1, 1]])
    return tmp_path


def test_every_bit_of_the_marker(path: Path) -> None:
    marker = path / "vecdb.json"
    raw, told = marker.read_bytes(), read_marker(path)
    for bit in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        marker.write_bytes(flipped)
        try:
            found = read_marker(path)
        except (vecdb.DataLoss, vecdb.FormatTooNew):
            continue
        assert found == told  # a blank became another


def test_a_marker_that_is_gone_is_damage_and_not_another_folder(path: Path) -> None:
    (path / "vecdb.json").unlink()
    with pytest.raises(vecdb.DataLoss, match=r"vecdb\.json of .* is missing.*--repair"):
        vecdb.open(path)
