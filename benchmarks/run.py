"""One run of one workload: its samples, what they were taken on, and why they may not count."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

LIBRARIES = ("hnswlib", "rocksdict", "grpcio", "numpy", "protobuf")


@dataclass(slots=True)
class Run:
    """``samples`` are what was observed, before any arithmetic; figures are computed from them (``report``)."""

    workload: str
    size: int
    samples: dict[str, Any] = field(default_factory=dict)
    void: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(cls, workload: str, size: int) -> Run:
        """An empty run on this machine, now."""
        libraries = {name: _version(name) for name in LIBRARIES}
        machine = {
            "cores": len(os.sched_getaffinity(0)),
            "load_before": os.getloadavg(),
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **libraries,
        }
        return cls(workload, size, machine=machine)

    def add(self, name: str, values: Any) -> None:
        """Append observations (a number, a list, an array or a dict) to the list of that name."""
        self.samples.setdefault(name, []).append(_plain(values))

    def doubt(self, reason: str) -> None:
        """Note why the run does not count."""
        if reason not in self.void:
            self.void.append(reason)

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        document = {name: getattr(self, name) for name in ("workload", "size", "void", "machine", "samples")}
        path.write_text(json.dumps(document, default=_plain), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Run:
        """The inverse of ``save``."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
