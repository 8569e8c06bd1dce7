"""A tool that knows nothing of vecdb finds its way: grpcurl, by reflection alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.wire.fake_engine import FakeDatabase, Row
from vecdb.model.context import CallContext
from vecdb.model.info import FEATURES
from vecdb.model.schema import Schema, VectorField
from vecdb.wire.server import SERVICES, Server

Ask = Callable[..., str]


@pytest.fixture
def ask(server: Server) -> Ask:
    """``ask(*arguments, **request)``: what grpcurl prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    program = shutil.which("grpcurl", path=path)
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no grpcurl; it comes with the extra test")
        pytest.skip("there is no grpcurl")

    def run(*arguments: str, **request: Any) -> str:
        given = ["-d", json.dumps(request)] if request else []
        command = [program, "-plaintext", *given, server.address, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_services_are_listed_and_described(ask: Ask) -> None:
    assert set(SERVICES) < set(ask("list").split())
    assert "rpc Search ( .vecdb.v1.SearchRequest ) returns ( .vecdb.v1.SearchResponse );" in ask(
        "describe", "vecdb.v1.SearchService"
    )
    assert "optional double min_score = 9" in ask("describe", "vecdb.v1.SearchRequest")


def test_calls_are_made(ask: Ask, engine: FakeDatabase) -> None:
    assert json.loads(ask("vecdb.v1.AdminService/Info"))["features"] == list(FEATURES)
    engine.create_collection(CallContext(), "docs", Schema({"": VectorField(2)}))
    engine.collections["docs"].rows["here"] = Row(1)
    near = {"near": {"vectors": {"dim": 2, "values": [1, 2]}}}
    found = json.loads(ask("vecdb.v1.SearchService/Search", collection="docs", legs=[near], limit=3))
    assert found["hits"]["ids"] == ["here"]
