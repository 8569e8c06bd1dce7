"""Named places in commit, seal, merge, load and restore where a test may stop the process or raise.

Free when off: ``hit`` is one test of an empty dict. Names are declared in ``NAMES`` so that a crash
workload can visit every one and a misspelt name fails at once.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

NAMES = (
    "commit.before_slices",
    "commit.between_slices",
    "commit.before_final",
    "commit.after_final",
    "commit.before_sync",
    "commit.after_sync",
    "commit.before_publish",
    "commit.after_publish",
    "seal.before_files",
    "seal.between_files",
    "seal.before_rename",
    "seal.after_rename",
    "seal.before_manifest",
    "seal.after_manifest",
    "merge.before_build",
    "merge.before_manifest",
    "merge.after_manifest",
    "merge.before_unlink",
    "reap.before_delete",
    "reap.after_delete",
    "rewrite.before_vectors",
    "rewrite.before_pointers",
    "load.before_verify",
    "load.before_replay",
    "load.after_replay",
    "catalog.before_write",
    "catalog.after_write",
    "change.before_publish",
    "shed.before_manifest",
    "shed.before_unlink",
    "shed.before_delete",
    "shed.after_delete",
    "texts.before_file",
    "texts.after_file",
    "texts.before_manifest",
    "texts.after_manifest",
    "drop.before_catalog",
    "drop.before_purge",
    "restore.before_part",
    "restore.after_slice",
    "restore.before_prune",
    "restore.after_pruned",
    "restore.before_catalog",
    "restore.before_names",
)

_lock = threading.Lock()
_armed: dict[str, Callable[[str], None]] = {}


def hit(name: str) -> None:
    """Do nothing, unless a test armed this name."""
    if _armed and (action := _armed.get(name)) is not None:
        action(name)


def arm(name: str, action: Callable[[str], None]) -> None:
    """Run ``action`` whenever ``name`` is passed, until disarmed. Raises KeyError for an unknown name."""
    if name not in NAMES:
        raise KeyError(f"no failpoint {name!r}")
    with _lock:
        _armed[name] = action


def disarm() -> None:
    """Switch every failpoint off."""
    with _lock:
        _armed.clear()


def arm_from_text(text: str) -> None:
    """Arm from ``name=action[:n]`` joined by commas; action is ``kill`` or ``raise``, at the n-th pass (from 1)."""
    for part in filter(None, text.split(",")):
        name, _, what = part.partition("=")
        verb, _, count = what.partition(":")
        arm(name, _after(int(count or 1), {"kill": _kill, "raise": _raise}[verb]))


def _after(count: int, action: Callable[[str], None]) -> Callable[[str], None]:
    passed = 0

    def step(name: str) -> None:
        nonlocal passed
        passed += 1
        if passed == count:
            action(name)

    return step


def _kill(name: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raise(name: str) -> None:
    raise OSError(f"failpoint {name}")
