"""Opening: what is sealed is loaded, the rest is read from the truth, and damage costs only time."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import make
from tests.engine.handle import TWO, Handle, gaussian, names, update, upsert
from vecdb import failpoint
from vecdb.engine.database import Database
from vecdb.index import hnsw
from vecdb.model.context import CallContext
from vecdb.storage import keys
from vecdb.storage.memory import MemoryKV

Opener = Callable[..., Database]
QUIET: dict[str, Any] = {"idle_seal_s": 1e9}  # nothing is sealed or tidied but when asked for


def everything(c: Handle) -> list[Any]:
    """All that can be read, and in which order it is found."""
    points = [
        (p.id, p.version, p.payload, dict(p.texts), {n: v.tolist() for n, v in p.vectors.items()}) for p in c.scroll()
    ]
    answers = []
    for using, field in c.inner.entry.schema.vectors.items():
        answer = c.answer(gaussian(3, field.dim, seed=99), using=using, exact=True, limit=1000)
        answers.append((answer.counts.tolist(), answer.points.ids, answer.scores.tolist()))
    return [c.count(), c.seq, points, answers]


def fill(c: Handle) -> None:
    """Rows in every state: edited, adopted, deleted, come again; two fields, some empty."""
    n = 40
    c.upsert(names(n), {"": gaussian(n), "image": gaussian(n, 3)}, [{"n": i} for i in range(n)], ["x"] * n)
    c.upsert(names(6, start=n), {"image": gaussian(6, 3, seed=1)})
    c.update(names(12), payloads=[{"n": -1}] * 12)
    c.update(names(6), {"image": gaussian(6, 3, seed=2)})
    c.delete(*names(4, start=8), *names(4, start=30))
    c.write(upsert(names(2, start=8), gaussian(2, seed=3)), update(names(3, start=8), texts=["y"] * 3))


STATES: dict[str, Callable[[Handle], Any]] = {
    "growing": lambda c: None,
    "covered": lambda c: c.cover(),
    "sealed": lambda c: c.seal(),
    "sealed, then edited": lambda c: (c.seal(), c.update(names(20), payloads=[{"n": -2}] * 20), c.delete("00003")),
    "edited, sealed, edited, covered": lambda c: (
        c.update(names(20), payloads=[{"n": -2}] * 20),
        c.seal(),
        c.update(names(20), {"image": gaussian(20, 3, seed=5)}),
        c.cover(),
    ),
    "one maintenance step": lambda c: c.db.maintain(),
    "seven maintenance steps": lambda c: [c.db.maintain() for _ in range(7)],
    "cleared": lambda c: c.clear(),
    "cleared and sealed": lambda c: (c.clear(), c.seal()),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("options", [{}, QUIET, {"growing_rows": 10_000}, {"growing_vector_bytes": 160}])
def test_what_is_read_is_the_same_after_opening(open_db: Opener, state: str, options: dict[str, Any]) -> None:
    kv = MemoryKV()
    db = open_db(kv=kv, **options)
    c = make(db, TWO)
    fill(c)
    STATES[state](c)
    wanted = everything(c)
    for i in range(3):
        db.close()
        kv = kv.durable_copy()
        db = open_db(kv=kv, **(options if i else {}))
        c = Handle(db)
        assert everything(c) == wanted
        (c.cover, c.settle, c.seal)[i]()
        assert everything(c) == wanted


def test_an_interval_of_which_only_vectors_are_left_is_read(open_db: Opener) -> None:
    """Every body there was edited and reaped, its vector lives on; the interval fills a segment by bytes."""
    options = {**QUIET, "growing_rows": 1_000, "growing_vector_bytes": 160}
    db = open_db(**options)
    c = make(db)
    c.upsert(names(10), gaussian(10))
    c.update(names(10), payloads=[{"n": 1}] * 10)
    c.cover()
    assert c.inner.garbage_rows == 0
    db.close()
    c = Handle(open_db(**options))
    assert sorted(c.search(gaussian(1), limit=50)) == names(10)


# -- damage


def segment_folders(path: Path) -> list[Path]:
    return sorted((path / "data" / "segments" / "1").iterdir(), key=lambda folder: int(folder.name))


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")


def flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 0x10
    file.write_bytes(raw)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def become_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGES: list[Callable[[Path], None]] = [cut_short, lengthen, flip, empty, Path.unlink, become_a_folder]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_named_in_the_log_and_built_again(
    open_db: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    kv = MemoryKV()
    c = make(open_db(kv=kv), TWO)
    fill(c)
    c.seal()
    c.update(names(5), payloads=[{"n": 5}] * 5)
    wanted = everything(c)
    c.db.close()
    files = sorted(file.name for file in segment_folders(tmp_path)[0].iterdir())
    assert len(files) >= 4  # bodies, an index a field, slots
    for name in files:
        caplog.clear()
        folder = segment_folders(tmp_path)[0]
        if not (folder / name).exists():
            continue
        damage(folder / name)
        kv = kv.durable_copy()
        c = Handle(open_db(kv=kv))
        assert everything(c) == wanted
        warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert any(name in message and "built again" in message for message in warnings)
        c.seal()
        assert everything(c) == wanted
        c.db.close()
        caplog.clear()
        kv = kv.durable_copy()
        c = Handle(open_db(kv=kv))
        assert everything(c) == wanted
        assert [r.getMessage() for r in caplog.records if "every search is exact" not in r.getMessage()] == []
        c.db.close()


def test_a_lost_segment_below_others_stays_whole_until_it_is_built(open_db: Opener, tmp_path: Path) -> None:
    """Its vectors are those of points in segments above; a manifest is written before it is sealed again."""
    options = {**QUIET, "seal_bytes": 1, "graph_rows": 1, "growing_rows": 20}
    c = make(open_db(**options))
    c.upsert(names(20), gaussian(20))
    c.settle()
    c.update(names(20), payloads=[{"n": 1}] * 20)
    c.update(names(10), gaussian(10, seed=3))
    c.settle()
    c.upsert(names(20, start=100), gaussian(20))
    c.settle()
    c.cover()
    assert c.states() == ["sealed", "sealed"]
    wanted = everything(c)
    c.db.close()
    shutil.rmtree(segment_folders(tmp_path)[0])
    for _ in range(2):
        c = Handle(open_db(**options))
        assert c.states()[:2] == ["frozen", "sealed"]
        assert everything(c) == wanted
        assert c.update(["00105"]).count == 1
        c.upsert(["00105"], gaussian(6)[5:])
        wanted = everything(c)
        c.cover()
        c.db.close()
    c = Handle(open_db())
    c.seal()
    assert everything(c) == wanted


def test_damage_beside_frozen_rows_and_kills_after_the_tombstones(open_db: Opener, tmp_path: Path) -> None:
    options = {**QUIET, "seal_bytes": 1, "graph_rows": 1, "growing_rows": 10}
    c = make(open_db(**options), TWO)
    for i in range(4):
        n = 12
        c.upsert(
            names(n, start=n * i),
            {"": gaussian(n, seed=i), "image": gaussian(n, 3, seed=i)},
            [{"i": i}] * n,
        )
        c.settle()
    c.cover()
    c.update(names(48)[::3], payloads=[{"i": 9}] * 16)
    c.delete(*names(48)[::5])
    wanted = everything(c)
    c.db.close()
    for folder in segment_folders(tmp_path)[::2]:
        empty(folder / "bodies")
    for _ in range(3):
        c = Handle(open_db(**options))
        assert everything(c) == wanted
        c.cover()
        c.db.close()


@pytest.mark.hnswlib
def test_graphs_are_scanned_where_hnswlib_is_missing_and_come_back(
    open_db: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    c = make(open_db(), TWO)
    fill(c)
    c.seal()
    wanted = everything(c)
    assert "hnsw" in {kind for segment in c.stats().segments for kind in segment.index.values()}
    c.db.close()
    with monkeypatch.context() as without:
        without.setattr(hnsw, "available", lambda: hnsw.Availability(False, "not here"))
        c = Handle(open_db())
        assert everything(c) == wanted
        c.seal()
        assert everything(c) == wanted
        assert "hnsw" not in {kind for segment in c.stats().segments for kind in segment.index.values()}
        c.db.close()
    c = Handle(open_db())
    assert everything(c) == wanted
    c.update(names(40), {"": gaussian(40, seed=7)})
    wanted = everything(c)
    c.seal()
    assert everything(c) == wanted
    assert "hnsw" in {kind for segment in c.stats().segments for kind in segment.index.values()}


@pytest.mark.parametrize("first", [True, False])
def test_graphs_may_be_switched_off_and_on(open_db: Opener, first: bool) -> None:
    """A merge that starts from somebody's graph, but may build none, would leave out what it adds."""
    for session, use_graphs in enumerate((first, not first, first)):
        db = open_db(use_graphs=use_graphs)
        c = make(db, TWO) if session == 0 else Handle(db)
        n = 60 >> session
        c.upsert(names(n, start=100 * session), {"": gaussian(n, seed=session), "image": gaussian(n, 3, seed=session)})
        wanted = everything(c)
        c.seal()
        assert everything(c) == wanted
        assert db.check(CallContext()) == []
        db.close()
    assert everything(Handle(open_db())) == wanted


def test_everything_derived_may_be_lost(open_db: Opener, tmp_path: Path) -> None:
    c = make(open_db(), TWO)
    fill(c)
    c.seal()
    c.update(names(5), payloads=[{"n": 5}] * 5)
    wanted = everything(c)
    c.db.close()
    shutil.rmtree(tmp_path / "data" / "segments")
    c = Handle(open_db())
    assert everything(c) == wanted
    c.seal()
    assert everything(c) == wanted


def test_folders_that_no_manifest_names_are_removed(open_db: Opener, tmp_path: Path) -> None:
    c = make(open_db())
    c.upsert(names(40), gaussian(40))
    c.seal()
    c.db.close()
    segments = tmp_path / "data" / "segments"
    kept = segment_folders(tmp_path)
    for name in ("1/999", "1/998.tmp", "7/1", "rubbish"):
        (segments / name).mkdir(parents=True)
        (segments / name / "bodies").write_bytes(b"x")
    c = Handle(open_db())
    assert sorted(p.relative_to(segments).as_posix() for p in segments.rglob("*") if p.is_dir()) == [
        "1",
        *(f"1/{folder.name}" for folder in kept),
    ]
    assert c.count() == 40


@pytest.mark.parametrize("name", ["seal.before_rename", "seal.after_rename", "seal.before_manifest"])
def test_a_build_that_was_interrupted_leaves_nothing(open_db: Opener, tmp_path: Path, name: str) -> None:
    c = make(open_db())
    c.upsert(names(40), gaussian(40))
    failpoint.arm_from_text(f"{name}=raise")
    with pytest.raises(OSError, match=name):
        c.seal()
    failpoint.disarm()
    assert len(c.search(gaussian(1), limit=50)) == 40
    c.db.close()
    c = Handle(open_db())
    assert segment_folders(tmp_path) == []
    c.seal()
    assert len(segment_folders(tmp_path)) == 1
    assert len(c.search(gaussian(1), limit=50)) == 40


def test_rows_beyond_the_counter_are_dropped(open_db: Opener) -> None:
    """What a process left that died between the slices of a commit and its final batch."""
    kv = MemoryKV()
    c = make(open_db(kv=kv))
    c.upsert(names(3), gaussian(3))
    number, bound = c.inner.number, c.inner.committed.next_row
    c.db.close()
    kv = kv.durable_copy()
    batch = kv.batch()
    for row in range(bound, bound + 5):
        batch.put(keys.body(number, row), kv.get(keys.body(number, 0)) or b"")
        batch.put(keys.vector(number, row, 0), kv.get(keys.vector(number, 0, 0)) or b"")
    kv.write(batch)
    kv.sync()
    c = Handle(open_db(kv=kv))
    assert c.ids() == names(3)
    assert len(c.search(gaussian(1), limit=50)) == 3
    assert kv.get(keys.body(number, bound)) is None
    assert kv.get(keys.vector(number, bound, 0)) is None
    c.upsert(["bare"], payloads=[{}])
    assert len(c.search(gaussian(1), limit=50)) == 3


@pytest.mark.parametrize("name", ["load.before_verify", "load.before_replay", "load.after_replay"])
def test_a_load_that_fails_is_tried_again(open_db: Opener, name: str) -> None:
    c = make(open_db())
    c.upsert(names(40), gaussian(40))
    c.seal()
    c.db.close()
    c = Handle(open_db())
    failpoint.arm_from_text(f"{name}=raise")
    try:
        c.count()
    except OSError as error:
        assert name in str(error)
    assert c.count() == len(c.search(gaussian(1), limit=50)) == 40


def test_numbers_of_rows_and_writes_go_on(open_db: Opener) -> None:
    c = make(open_db())
    for i in range(5):
        assert c.upsert([f"{i}"], gaussian(1)).seq == 2 * i + 1
        assert c.delete(f"{i}").seq == 2 * i + 2
        c.seal()
        c.db.close()
        c = Handle(open_db())
    assert c.seq == 10
    assert c.inner.committed.next_row == 5
