"""The frozen directories: an archive each, with what it answers; and how one is made."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.format import write
from vecdb.engine import catalog, manifest
from vecdb.storage import codec

HERE = Path(__file__).parent
LEFT_OUT = ("LOG", "LOCK", "OPTIONS", "reserve")  # of RocksDB's files those that nobody needs


@dataclass(frozen=True)
class Frozen:
    """A directory as a release wrote it: ``versions`` of what is in it, and its ``answers``."""

    name: str
    versions: dict[str, int]
    answers: dict[str, Any]

    def unpack(self, folder: Path) -> Path:
        with tarfile.open(HERE / f"{self.name}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        return folder / self.name


def versions() -> dict[str, int]:
    """What this vecdb writes: changed when a format is, and then a directory is to be frozen."""
    return {"directory": codec.FORMAT, "catalog entry": catalog.VERSION, "manifest": manifest.VERSION, **codec.NEWEST}


def names() -> list[str]:
    return sorted(path.name.removesuffix(".tar.gz") for path in HERE.glob("*.tar.gz"))


def load(name: str) -> Frozen:
    said = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return Frozen(name, said["versions"], said["answers"])


def freeze(name: str, written: Path, answers: dict[str, Any], of: dict[str, int]) -> None:
    """Keep the directory ``written`` under a name that is not taken."""
    archive = HERE / f"{name}.tar.gz"
    if archive.exists():
        raise FileExistsError(f"{name} is frozen")
    with tarfile.open(archive, "w:gz", compresslevel=9) as out:
        for path in sorted(written.rglob("*")):
            if path.is_file() and not path.name.startswith(LEFT_OUT):
                raw = path.read_bytes()
                member = tarfile.TarInfo(str(Path(name, path.relative_to(written))))
                member.size = len(raw)
                out.addfile(member, io.BytesIO(raw))
    said = {"versions": of, "answers": answers}
    (HERE / f"{name}.json").write_text(
        json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n", encoding="utf-8"
    )


def freeze_present(name: str) -> None:
    """Freeze what this vecdb writes."""
    with tempfile.TemporaryDirectory(prefix="vecdb-format-") as folder:
        path, expected = Path(folder, "data"), Path(folder, "expected.json")
        write.main(path, expected)
        freeze(name, path, json.loads(expected.read_text(encoding="utf-8")), versions())
