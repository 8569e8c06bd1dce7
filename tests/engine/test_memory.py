"""The memory limit: what is admitted, what is put off, what is refused; reads go on. And where the limit is from."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.conftest import make
from tests.engine.handle import Handle, gaussian, names
from vecdb.engine import footprint, maintenance, manifest, memory
from vecdb.engine.database import Database
from vecdb.engine.memory import CONTAINER_SHARE, MemoryGuard, container_limit, limit_of
from vecdb.errors import MemoryLimit
from vecdb.index import hnsw
from vecdb.model.context import CallContext
from vecdb.storage.memory import MemoryKV

MIB = 1 << 20
LIMIT = 1_000 * MIB


class Used:
    """What the process is said to use, bytes."""

    nbytes = 0


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> Used:
    """Nothing is used until a test says so, and nothing is too small to be looked at."""
    said = Used()
    monkeypatch.setattr(memory, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(memory, "SMALL_BYTES", 0)
    monkeypatch.setattr(memory, "process_memory", lambda: {"anonymous": said.nbytes})
    return said


def sealed(c: Handle, n: int = 2) -> None:
    """n segments with graphs side by side."""
    for i in range(n):
        c.upsert(names(20, 20 * i), gaussian(20, seed=i))
        with c.inner.publish_lock:
            c.inner.freeze()
        for _ in range(20):
            c.db._maintenance._index(c.inner, 1 << 30, finish=True)
    assert [s.state for s in c.inner.segments] == ["sealed"] * n


def test_a_merge_that_does_not_fit_is_put_off_and_told(open_db: Callable[..., Database], used: Used) -> None:
    c = make(open_db(max_memory_bytes=LIMIT, seal_bytes=MIB))
    sealed(c)
    used.nbytes = LIMIT - 100
    assert not c.db.maintain()
    stats = c.stats()
    assert len(stats.segments) == 2
    needed = footprint.of_merging([s.disk_bytes for s in stats.segments])
    assert stats.put_off == f"a merge of 2 segments needs {needed} bytes of memory, 100 free"
    assert len(c.search(gaussian(1), limit=40)) == 40
    used.nbytes = 0
    c.settle()
    assert (len(c.stats().segments), c.stats().put_off) == (1, "")


def test_the_statistics_tell_of_what_is_being_built_and_merged(
    open_db: Callable[..., Database], used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, int]] = []

    def look(c: Handle) -> dict[str, int]:
        found = c.db.database_stats(CallContext()).bytes
        return {what: found[what] for what in ("building", "admitted")}

    nothing = {"building": 0, "admitted": 0}
    c = make(open_db(max_memory_bytes=LIMIT, seal_bytes=MIB))
    c.upsert(names(20), gaussian(20))
    with c.inner.publish_lock:
        c.inner.freeze()
    assert look(c) == nothing
    c.db._maintenance._index(c.inner, 1 << 30, finish=False)
    building = look(c)["building"]
    assert building > gaussian(20).nbytes if hnsw.available() else building == 0  # its links, too
    c.db._maintenance._index(c.inner, 1 << 30, finish=True)
    assert look(c) == nothing

    other = make(c.db, name="other")
    sealed(other)
    needed = footprint.of_merging([s.disk_bytes for s in other.stats().segments])

    def at(place: str) -> None:
        if place == "merge.before_manifest":
            told.append(look(c))

    monkeypatch.setattr(maintenance, "hit", at)
    c.db.maintain()
    assert told == [{"building": 0, "admitted": needed}]
    assert look(c) == nothing


def test_compaction_goes_on_without_merges_that_do_not_fit(open_db: Callable[..., Database], used: Used) -> None:
    c = make(open_db(max_memory_bytes=LIMIT))
    sealed(c, 3)
    sizes = [s.disk_bytes for s in c.stats().segments]
    used.nbytes = LIMIT - footprint.of_merging(sizes[:2]) - 10
    c.compact()
    assert len(c.stats().segments) == 2  # two of three fitted together
    assert "put off" not in c.stats().put_off and c.stats().put_off
    used.nbytes = LIMIT + 1
    c.delete(*names(5))
    c.compact()
    assert c.count() == 55


def test_while_it_is_under_way_what_was_admitted_counts_as_used(used: Used) -> None:
    guard = MemoryGuard(LIMIT)
    used.nbytes = 300 * MIB
    assert guard.room() == 700 * MIB
    with guard.taking(600 * MIB, "one"):
        assert guard.room() == 100 * MIB
        with pytest.raises(MemoryLimit, match="another does not fit") as refused, guard.taking(101 * MIB, "another"):
            raise AssertionError("it was admitted")
        assert refused.value.expected == f"<= {100 * MIB} bytes, which are free"
        assert refused.value.received == f"about {101 * MIB} bytes needed"
    with guard.taking(700 * MIB, "all"):
        pass
    assert MemoryGuard(None).room() > 1 << 60


def test_what_the_allocator_holds_free_is_no_reason_to_refuse(used: Used, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given back first, though not at every look."""
    trimmed: list[int] = []

    def trim() -> None:
        trimmed.append(used.nbytes)
        used.nbytes = LIMIT - 100

    monkeypatch.setattr(memory, "_trim", trim)
    guard = MemoryGuard(LIMIT)
    used.nbytes = LIMIT + 1
    guard.admit()
    used.nbytes = LIMIT + 2
    with pytest.raises(MemoryLimit):
        guard.admit()
    assert trimmed == [LIMIT + 1]
    other = MemoryGuard(LIMIT)
    with other.taking(50, "a collection"):
        pass
    assert trimmed == [LIMIT + 1, LIMIT + 2]


def test_memory_is_given_back_after_a_merge(open_db: Callable[..., Database], monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    monkeypatch.setattr(memory, "_trim", lambda: trimmed.append(1))
    c = make(open_db(seal_bytes=MIB))
    sealed(c)
    c.settle()
    assert len(trimmed) == 1
    c.db.drop_collection(CallContext(), c.name)
    c.db.maintain()
    assert len(trimmed) == 1  # that was a moment ago
    monkeypatch.setattr(memory, "GIVE_BACK_EVERY_S", 0.0)
    c.db.maintain()
    assert len(trimmed) == 2


def test_memory_is_given_back_once_more_when_maintenance_rests(
    open_db: Callable[..., Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a merge replaced may be let go of after the merge itself has ended; then that was all."""
    trimmed: list[int] = []
    monkeypatch.setattr(memory, "_trim", lambda: trimmed.append(1))
    monkeypatch.setattr(memory, "GIVE_BACK_EVERY_S", 0.0)
    c = make(open_db(seal_bytes=MIB))
    sealed(c)
    c.settle()
    when_it_rested = len(trimmed)
    assert when_it_rested == 2  # after the merge, and after nothing was left to do
    c.settle()
    assert len(trimmed) == when_it_rested


def test_opening_more_than_fits_is_refused_and_the_others_go_on(open_db: Callable[..., Database], used: Used) -> None:
    kv = MemoryKV()
    first = open_db(kv=kv)
    large, small = make(first, name="large"), make(first, name="small")
    large.upsert(names(200), gaussian(200))
    small.upsert(names(3), gaussian(3))
    first.close()
    db = open_db(kv=kv.durable_copy(), max_memory_bytes=LIMIT)
    large, small = Handle(db, "large"), Handle(db, "small")
    used.nbytes = LIMIT - 20_000
    for call in (large.count, lambda: large.search(gaussian(1)), lambda: large.upsert(["x"], gaussian(1))):
        with pytest.raises(MemoryLimit, match="'large' does not fit") as refused:
            call()
        assert refused.value.expected == "<= 20000 bytes, which are free"
        assert refused.value.received is not None and refused.value.retry_after_s
    assert small.count() == 3
    used.nbytes = LIMIT + 1
    assert (small.count(), len(small.search(gaussian(1)))) == (3, 3)  # reads go on past the limit
    used.nbytes = 0
    assert large.count() == 200


def test_what_is_tiny_is_opened_even_past_the_limit(
    open_db: Callable[..., Database], used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    kv = MemoryKV()
    c = make(open_db(kv=kv))
    c.upsert(names(3), gaussian(3))
    c.db.close()
    monkeypatch.setattr(memory, "SMALL_BYTES", MIB)
    used.nbytes = LIMIT + 1
    assert Handle(open_db(kv=kv.durable_copy(), max_memory_bytes=LIMIT)).count() == 3


def test_the_model_of_loading_is_on_the_safe_side(open_db: Callable[..., Database]) -> None:
    """What sealed segments say of themselves is never more than what was expected of them."""
    c = make(open_db(growing_rows=2_000))
    c.upsert(names(1_500), gaussian(1_500))
    c.seal()
    c.upsert(names(50, 1_500), gaussian(50))
    c.cover()
    c.db.close()
    c = Handle(open_db(growing_rows=2_000))
    inner = c.inner
    expected = footprint.of_loading(manifest.load(inner.kv, inner.number), inner.committed, inner.fields)
    held = sum(segment.nbytes()[0] for segment in inner.segments)
    assert [segment.state for segment in inner.segments] == ["sealed"]
    assert held <= expected <= 2 * held
    assert c.db.database_stats(CallContext()).bytes.keys().isdisjoint({"limit"})


# -- the limit of a container


@pytest.fixture
def groups(tmp_path: Path) -> Callable[..., int | None]:
    """``groups(lines, files)``: the limit by what /proc/self/cgroup says and files below the mount say."""

    def look(lines: str, **files: str) -> int | None:
        (tmp_path / "cgroup").write_text(lines)
        mount = tmp_path / uuid.uuid4().hex
        for path, text in files.items():
            file = mount / path.replace("__", "/").replace("-", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return container_limit(tmp_path / "cgroup", mount)

    return look


def test_the_limit_of_a_container(groups: Callable[..., int | None]) -> None:
    two, one = "0::/a/b\n", "3:cpu:/x\n4:hugetlb,memory:/a/b\n0::/\n"
    assert groups(two, **{"a__b__memory-max": "5000\n"}) == 5_000
    assert groups(two, **{"a__b__memory-max": "max\n"}) is None
    assert groups(two, **{"a__b__memory-max": "max", "a__memory-max": "700", "memory-max": "900"}) == 700
    assert groups(two, **{"memory-max": "900"}) == 900  # inside a container its own group is the top
    limit = "memory__{}memory-limit_in_bytes"
    assert groups(one, **{limit.format("a__b__"): "800"}) == 800
    assert groups(one, **{limit.format(""): "600"}) == 600
    assert groups(one, **{limit.format(""): "9223372036854771712"}) is None
    assert container_limit(Path("/nowhere")) is None


def test_the_default_is_a_share_of_the_containers_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "container_limit", lambda: 1_000)
    assert limit_of(None) == int(CONTAINER_SHARE * 1_000)
    assert limit_of(77) == 77
    assert limit_of(0) is None
    monkeypatch.setattr(memory, "container_limit", lambda: None)
    assert limit_of(None) is None


@pytest.fixture
def confined() -> Iterator[Path]:
    """A memory control group of this machine with a real limit; skipped where none can be made."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    own = next((path for _, controllers, path in lines if controllers == "memory"), "")
    folder = Path("/sys/fs/cgroup/memory") / own.lstrip("/") / f"vecdb-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text(str(320 * MIB))
    except OSError as error:
        pytest.skip(f"no memory control group can be made here: {error}")
    yield folder
    folder.rmdir()


FILL = """
import sys
from pathlib import Path
group, data = sys.argv[1:]
Path(group, "cgroup.procs").write_text("0")
import numpy as np
from tests.engine.handle import Handle, names, upsert
from vecdb.engine.database import Database
from vecdb.engine.options import EngineOptions
from vecdb.errors import MemoryLimit
from vecdb.model.context import CallContext
from vecdb.model.schema import Schema, VectorField
db = Database.open(data, EngineOptions(max_unindexed_bytes=1 << 40, block_cache_bytes=1 << 20, measure_share=0))
db.create_collection(CallContext(), "c", Schema({"": VectorField(1024)}))
db.set_indexing(CallContext(), "c", "deferred")
c = Handle(db)
for i in range(400):
    vectors = np.random.default_rng(i).standard_normal((500, 1024)).astype(np.float32)
    try:
        c.upsert(names(500, 500 * i), vectors)
    except MemoryLimit as error:
        assert len(c.search(vectors[0], limit=10)) == 10 and c.count() == 500 * i
        print("refused after", i, error, flush=True)
        break
else:
    raise SystemExit("nothing was refused")
db.close()
db = Database.open(data, EngineOptions(max_memory_bytes=128 << 20, block_cache_bytes=1 << 20, background=False))
try:
    Handle(db).count()
except MemoryLimit as error:
    print("opening:", error, flush=True)
else:
    raise SystemExit("it was opened")
db.close()
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_process_in_a_container_is_never_killed(confined: Path, tmp_path: Path) -> None:
    """It loads past a real limit, of which it learns by itself: writes are refused, reads go on."""
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(confined), str(tmp_path / "data")], capture_output=True, text=True, timeout=280
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert "refused after" in done.stdout and "opening: collection 'c' does not fit" in done.stdout
