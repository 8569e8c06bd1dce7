"""The frozen archives: a chain of two for every format of them, and what a database made of both answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import vecdb
from tests.format import write
from tests.format.frozen import HERE
from vecdb.storage import summary

PRESENT = f"archive-{summary.FORMAT}"


def names() -> list[str]:
    return sorted(path.name.removesuffix(".whole.vdb") for path in HERE.glob("*.whole.vdb"))


def chain(name: str) -> list[Path]:
    return [HERE / f"{name}.{which}.vdb" for which in ("whole", "later")]


def answers(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return found


def freeze(folder: Path) -> None:
    """Freeze the format that this vecdb writes, by way of a database in ``folder``."""
    whole, later = chain(PRESENT)
    if whole.exists():
        raise FileExistsError(f"{PRESENT} is frozen")
    write.fill(folder)
    with vecdb.open(folder, **write.QUIET) as db:
        db.snapshot(whole)
        docs = db.collection("docs")
        docs.upsert(["later"], {"": write.gaussian(1, write.DIM, 5)}, texts={"": [f"later {write.WORD}"]})
        docs.update(["001"], payloads=[{"later": True}])
        docs.delete(["002"])
        db.rename_collection("small", "little")
        db.snapshot(later, base=whole)
        found = json.dumps(write.answers(db), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    (HERE / f"{PRESENT}.json").write_text(found + "\n", encoding="utf-8")
