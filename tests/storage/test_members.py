"""Archives as files in files: any tar reads them, and no byte of them changes unnoticed."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecdb.errors import DataLoss
from vecdb.storage.members import END, Member, MemberReader, written

MEMBERS = [Member("first.json", b"{}"), Member("a/000001.b", b"x" * 512), Member("empty", b""), Member("c", b"y" * 700)]


def packed(members: list[Member]) -> bytes:
    return b"".join(piece for name, data in members for piece in written(name, data, 1_700_000_000)) + END


def read(archive: bytes, size: int = 1 << 20, reader: MemberReader | None = None) -> list[Member]:
    reader = reader or MemberReader()
    found = [one for at in range(0, len(archive), size) for one in reader.feed(archive[at : at + size])]
    reader.finish()
    return found


def test_any_tar_reads_it() -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(MEMBERS)), mode="r|") as archive:
        there = [(one.name, archive.extractfile(one).read()) for one in archive]  # type: ignore[union-attr]
    assert there == MEMBERS


@given(st.lists(st.binary(max_size=1_100), max_size=5), st.integers(1, 2_000))
def test_whatever_the_pieces(contents: list[bytes], size: int) -> None:
    members = [Member(f"{i}", data) for i, data in enumerate(contents)]
    assert read(packed(members), size) == members


def test_what_nobody_wants_is_passed_over() -> None:
    for size in (1, 100, 513, 1 << 20):
        reader = MemberReader(lambda name: name in ("first.json", "c"))
        found = read(packed(MEMBERS), size, reader)
        assert [one.name for one in found] == [one.name for one in MEMBERS]
        assert [one.data for one in found] == [b"{}", b"", b"", b"y" * 700]
        assert reader.nbytes == len(packed(MEMBERS))


def test_no_byte_changes_unnoticed_but_in_what_the_members_hold() -> None:
    archive = packed(MEMBERS)
    data = {i for i in range(len(archive)) if archive[i : i + 1] in (b"x", b"y")}
    for at in sorted(set(range(len(archive))) - data):
        damaged = bytearray(archive)
        damaged[at] ^= 0x20
        try:
            found = read(bytes(damaged))
        except DataLoss:
            continue
        assert found != MEMBERS, at  # the two bytes of the JSON: whoever reads that has a checksum
        assert damaged[512:514] != b"{}"


@pytest.mark.parametrize("more", [b"\1", b"\0" * 511 + b"\1", packed(MEMBERS)])
def test_nothing_may_follow_the_end(more: bytes) -> None:
    with pytest.raises(DataLoss, match="goes on after its end"):
        read(packed(MEMBERS) + more)


def test_cut_anywhere() -> None:
    archive = packed(MEMBERS)
    for end in range(len(archive)):
        with pytest.raises(DataLoss, match="too early"):
            read(archive[:end])


def test_a_header_that_tells_of_too_much_is_not_waited_for() -> None:
    info = tarfile.TarInfo("huge")
    info.size = 7 << 30
    with pytest.raises(DataLoss):
        list(MemberReader().feed(info.tobuf(tarfile.USTAR_FORMAT)))


def test_links_are_no_members() -> None:
    info = tarfile.TarInfo("link")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(DataLoss):
        list(MemberReader().feed(info.tobuf(tarfile.USTAR_FORMAT)))
