"""Durable files: whole or absent, and known by their checksum."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import xxhash

from vecdb.storage import files


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The syncs and renames that a test makes, in order: ``fsync a``, ``rename a b``."""
    seen: list[str] = []
    fsync, rename = os.fsync, os.rename

    def watched_fsync(fd: int) -> None:
        seen.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{fd}')).name}")
        fsync(fd)

    def watched_rename(old: Path, new: Path) -> None:
        seen.append(f"rename {Path(old).name} {Path(new).name}")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    return seen


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")


class TestWriteFile:
    def test_the_bytes_and_their_checksum(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        digest = files.write_file(path, [b"one", bytearray(b"two"), memoryview(b"three")])
        assert path.read_bytes() == b"onetwothree"
        assert digest == files.checksum(path) == xxhash.xxh3_128_hexdigest(b"onetwothree")
        assert files.write_file(path, []) == files.checksum(path)
        assert path.read_bytes() == b""

    @needs_proc
    def test_the_order_of_syncs(self, tmp_path: Path, calls: list[str]) -> None:
        files.write_file(tmp_path / "a", [b"1"])
        assert calls == ["fsync a.tmp", "rename a.tmp a", f"fsync {tmp_path.name}"]

    def test_a_failure_leaves_the_old_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        files.write_file(path, [b"old"])

        def chunks() -> Iterator[bytes]:
            yield b"new"
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(OSError, match="No space"):
            files.write_file(path, chunks())
        assert path.read_bytes() == b"old"
        assert [entry.name for entry in tmp_path.iterdir()] == ["a"]

    def test_a_failed_sync_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "a"
        files.write_file(path, [b"old"])

        def fail(fd: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output"):
            files.write_file(path, [b"new"])
        assert path.read_bytes() == b"old"
        assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@needs_proc
class TestPublish:
    def test_a_folder(self, tmp_path: Path, calls: list[str]) -> None:
        temp = files.temp_path(tmp_path / "segment")
        temp.mkdir()
        for name in "ba":
            (temp / name).write_text(name)
        files.publish_folder(temp, tmp_path / "segment")
        assert sorted(entry.name for entry in (tmp_path / "segment").iterdir()) == ["a", "b"]
        assert calls == [
            "fsync a",
            "fsync b",
            "fsync segment.tmp",
            "rename segment.tmp segment",
            f"fsync {tmp_path.name}",
        ]

    def test_making_folders(self, tmp_path: Path, calls: list[str]) -> None:
        files.make_dir(tmp_path / "a" / "b")
        files.make_dir(tmp_path / "a" / "b")
        assert (tmp_path / "a" / "b").is_dir()
        assert calls == [f"fsync {tmp_path.name}", "fsync a"]


class TestVerify:
    @pytest.mark.parametrize("size", [0, 1, (4 << 20) - 1, 4 << 20, (4 << 20) + 1])
    def test_any_size(self, tmp_path: Path, size: int) -> None:
        path = tmp_path / "a"
        path.write_bytes(b"x" * size)
        assert files.checksum(path) == xxhash.xxh3_128_hexdigest(b"x" * size)
        files.verify(path, files.checksum(path))

    def test_damage_names_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a"
        digest = files.write_file(path, [b"x" * 1000])
        for damaged in (b"x" * 999, b"x" * 1001, b"x" * 999 + b"y", b""):
            path.write_bytes(damaged)
            with pytest.raises(files.Damaged, match=str(path)) as caught:
                files.verify(path, digest)
            assert caught.value.path == path
            assert digest in caught.value.reason

    def test_a_missing_file_or_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(files.Damaged, match="No such file"):
            files.verify(tmp_path / "none", "0" * 32)
        with pytest.raises(files.Damaged, match="directory"):
            files.verify(tmp_path, "0" * 32)
