"""Archives that were damaged, cut short or made up: each is refused by the name of its part, and nothing is changed."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

import orjson
import pytest

from tests.engine.conftest import Opener, make
from tests.engine.handle import Handle, gaussian, names
from vecdb.engine.database import Database
from vecdb.engine.snapshots.verify import verify
from vecdb.errors import DataLoss, FormatTooNew, VecdbError
from vecdb.model.context import CallContext
from vecdb.storage import archive
from vecdb.storage.archive import PartName
from vecdb.storage.members import END, written
from vecdb.storage.memory import MemoryKV
from vecdb.storage.summary import HEADER, MANIFEST, read_summary

CONTEXT = CallContext()
Members = list[tuple[str, bytes]]


@pytest.fixture
def c(open_db: Opener) -> Handle:
    c = make(open_db(kv=MemoryKV()))
    c.upsert(names(6), gaussian(6), [{"n": i} for i in range(6)], ["a text"] * 6)
    c.update(names(2), payloads=[{}] * 2)
    return c


def taken(c: Handle) -> bytes:
    return b"".join(c.db.snapshot(CONTEXT))


def members(packed: bytes) -> Members:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return [(one.name, tar.extractfile(one).read()) for one in tar]  # type: ignore[union-attr]


def packed(some: Members, mtime_s: int = 1_700_000_000) -> bytes:
    return b"".join(piece for name, data in some for piece in written(name, data, mtime_s)) + END


def resealed(some: Members) -> bytes:
    """An archive with a manifest that tells of these parts: made up, but whole."""
    documents = dict(some)
    header = archive.sealed_document(without_seal(documents[HEADER]))
    parts = [(name, data) for name, data in some if name not in (HEADER, MANIFEST)]
    manifest = without_seal(documents[MANIFEST]) | {
        "snapshot": archive.seal(header),
        "parts": [(name, len(data), archive.digest(data)) for name, data in parts],
    }
    return packed([(HEADER, header), *parts, (MANIFEST, archive.sealed_document(manifest))])


def without_seal(document: bytes) -> dict[str, object]:
    return {name: value for name, value in orjson.loads(document).items() if name != "xxh3_128"}


def refused(db: Database, given: bytes, error: type[VecdbError] = DataLoss) -> str:
    """Refused by verify, by a dry run and by a restore, which leaves everything as it was; what was said."""
    told = set()
    before = state(db)
    for call in (
        lambda: verify([[given]]),
        lambda: db.restore(CONTEXT, [[given]], rename={"c": "d"}, dry_run=True),
        lambda: db.restore(CONTEXT, [[given]], rename={"c": "d"}),
    ):
        with pytest.raises(error) as caught:
            call()
        told.add(str(caught.value))
    assert state(db) == before
    (one,) = told
    return one


def state(db: Database) -> dict[bytes, bytes]:
    """Everything in the store but the number that the next collection gets."""
    return {key: value for key, value in db._kv.scan(b"", b"\xff" * 8) if key != b"m"}


def test_flipped_anywhere(c: Handle) -> None:
    """A byte of every kind of place in every member: it is noticed, and told by the member's name."""
    given = taken(c)
    with tarfile.open(fileobj=io.BytesIO(given)) as tar:
        places = {one.name: (one.offset_data, one.size) for one in tar}
    kinds = [name.partition(".")[2] for name in places]
    assert kinds == ["json", "bodies", "queries.0", "vectors.0", "answers.0", "json"]
    for name, (start, size) in places.items():
        for at in sorted({start, start + 1, start + 40, start + size // 2, start + size - 17, start + size - 1}):
            damaged = bytearray(given)
            damaged[at] ^= 1
            assert name in refused(c.db, bytes(damaged)), at
    for at in range(0, len(given), 37):
        damaged = bytearray(given)
        damaged[at] ^= 0x10
        with pytest.raises(DataLoss):
            verify([[bytes(damaged)]])


def test_cut_anywhere(c: Handle) -> None:
    given = taken(c)
    for end in [0, 1, 511, *range(512, len(given), 512), len(given) - 1]:
        for reader in (verify, lambda archives: [read_summary(one) for one in archives]):
            with pytest.raises(DataLoss, match="ends too early"):
                reader([[given[:end]]])  # type: ignore[operator]
    for end in (700, len(given) - 1024, len(given) - 600):
        assert "ends too early" in refused(c.db, given[:end])


def test_a_part_that_is_not_there(c: Handle) -> None:
    there = members(taken(c))
    for i, (name, _) in enumerate(there):
        told = refused(c.db, packed(there[:i] + there[i + 1 :]))
        missing = PartName.of(name)
        expected = name if missing is None else f"part {missing.number} of the archive is missing"
        if missing is not None and missing.number == len(there) - 2:  # the last before the manifest
            expected = "manifest.json names other parts"
        assert expected in told, name


def test_parts_out_of_order_and_of_another_archive(c: Handle) -> None:
    there = members(taken(c))
    c.upsert(["more"], gaussian(1))
    others = members(taken(c))
    refused(c.db, packed([there[0], there[2], there[1], *there[3:]]))
    assert "is missing" in refused(c.db, packed([*there[:3], there[2], *there[3:]]))
    assert "of another archive" in refused(c.db, packed([others[0], *there[1:]]))
    assert "nearest neighbours" in refused(c.db, packed([*there[:-2], others[-2], there[-1]]))
    assert "comes after" in refused(c.db, packed([*there, ("collections/1/000005.bodies", there[1][1])]))


@pytest.mark.parametrize("junk", [b"", b"x", b"x" * 5_000, bytes(1_024), bytes(20_000)])
def test_no_archive_at_all(c: Handle, junk: bytes) -> None:
    refused(c.db, junk)
    with pytest.raises(DataLoss):
        read_summary([junk])


def test_another_tar(c: Handle) -> None:
    assert "this is no archive of vecdb" in refused(c.db, packed([("a.txt", b"hello")]))
    with pytest.raises(DataLoss, match="no archive of vecdb"):
        read_summary([packed([("a.txt", b"hello")])])


def test_of_a_newer_release(c: Handle) -> None:
    there = members(taken(c))
    for change, told in (({"format": 2}, "format 1..1"), ({"format": 1_000, "collections": None}, "format 1..1")):
        newer = archive.sealed_document(without_seal(there[0][1]) | change)
        assert told in refused(c.db, packed([(HEADER, newer), *there[1:]]), FormatTooNew)
        with pytest.raises(FormatTooNew):
            read_summary([packed([(HEADER, newer), *there[1:]])])
    header = without_seal(there[0][1])
    header["collections"][0]["catalog_version"] = 250  # type: ignore[index]
    refused(c.db, packed([(HEADER, archive.sealed_document(header)), *there[1:]]), FormatTooNew)


def test_made_up_but_whole(c: Handle) -> None:
    """Checksums that fit do not make it true: the parts are held against each other."""
    there = members(taken(c))
    vectors = there[3][1][:-16]
    for i, payload, told in (
        (1, vectors, "damaged"),
        (1, archive.encode_bodies(*cut(there[1][1])), "holds vectors that no point has"),
        (3, vectors[:8] + (5).to_bytes(8, "little") + vectors[16:], "rows in no order"),
        (3, vectors[:100] + b"\0\0\0@" + vectors[104:], "nearest neighbours"),
        (4, there[4][1][:-16][:-400] + bytes(400), "nearest neighbours"),
    ):
        changed = list(there)
        changed[i] = (there[i][0], archive.sealed(payload))
        assert told in refused(c.db, resealed(changed))
    without_vectors = [one for one in there if ".vectors" not in one[0]]
    renumbered = [
        (name.replace("000004", "000003") if "answers" in name else name, data) for name, data in without_vectors
    ]
    assert "nearest neighbours" in refused(c.db, resealed(renumbered))
    header = without_seal(there[0][1])
    for change in ({"collections": 5}, {"collections": [{}]}, {"base": 7}):
        made_up = [(HEADER, archive.sealed_document(header | change)), *there[1:]]
        refused(c.db, resealed(made_up))


def cut(bodies: bytes) -> tuple[archive.UInt64, list[bytes]]:
    rows, values = archive.decode_bodies("", archive.opened("", bodies))
    return rows[:-1], values[:-1]


def test_what_is_good_is_taken(c: Handle) -> None:
    """The same ways of packing, of what is not damaged: else the tests above would prove nothing."""
    for given in (taken(c), packed(members(taken(c))), resealed(members(taken(c)))):
        assert verify([[given]])[0].collections[0].points == 6
        c.db.restore(CONTEXT, [[given]], rename={"c": "d"})
        assert Handle(c.db, "d").scroll() == c.scroll()
        c.db.drop_collection(CONTEXT, "d")


def test_whatever_the_pieces(c: Handle) -> None:
    given = taken(c)
    cuts: list[Callable[[], list[bytes]]] = [
        lambda: [given[i : i + 1] for i in range(len(given))],
        lambda: [given[i : i + 1_000] for i in range(0, len(given), 1_000)],
        lambda: [b"", given, b""],
    ]
    for pieces in cuts:
        assert verify([pieces()]) == verify([[given]]) == [read_summary(pieces())]
