"""What can be known of the image without building it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib

import pytest

from tests.project.repository import ROOT

DOCKERFILE = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
STAGES = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]


def steps(stage: str, kind: str) -> list[str]:
    return [line.partition(" ")[2].strip() for line in stage.splitlines() if line.startswith(kind + " ")]


def copied() -> list[str]:
    return [source for step in steps(STAGES[0], "COPY") for source in shlex.split(step)[:-1]]


def build() -> str:
    """The step that installs vecdb."""
    return next(step for step in steps(STAGES[0], "RUN") if "pip install" in step)


def test_what_is_copied_exists_and_reaches_the_builder() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert [source for source in copied() if not (ROOT / source).exists()] == []
    assert set(copied()) == allowed


def test_all_that_the_package_is_built_from_is_copied() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, wheel = settings["project"], settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    sources = {*wheel["packages"], *wheel["force-include"]}
    assert {"pyproject.toml", project["readme"], *project["license-files"], *sources} == set(copied())


def test_hnswlib_is_not_compiled_for_the_building_machine() -> None:
    assert "HNSWLIB_NO_NATIVE=1" in build()
    assert re.search(r'(?<!\w)CFLAGS="[^"]*-march=\$march"', build())
    assert re.search(r'CXXFLAGS="[^"]*-march=\$march"', build())
    assert "native" not in build().replace("HNSWLIB_NO_NATIVE", "")


@pytest.mark.parametrize(
    ("machine", "argument", "march"),
    [
        ("x86_64", "", "x86-64-v3"),
        ("aarch64", "", "armv8-a"),
        ("x86_64", "x86-64-v2", "x86-64-v2"),
        ("riscv64", "", None),
    ],
)
def test_the_processor_is_named(machine: str, argument: str, march: str | None) -> None:
    choose = build().partition("&&")[0].replace("uname -m", f"echo {machine}") + '; echo "$march"'
    done = subprocess.run(["sh", "-c", choose], env={"MARCH": argument}, capture_output=True, text=True)
    assert done.stdout.strip() == (march or "")
    assert (done.returncode == 0) == (march is not None)


def test_the_server_runs_as_nobody_in_particular() -> None:
    user = steps(STAGES[-1], "USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert "chmod 0777 /data" in DOCKERFILE
    assert steps(STAGES[-1], "VOLUME") == ["/data"]


def test_health_is_asked_of_the_port_that_is_served() -> None:
    health = json.loads(steps(STAGES[-1], "HEALTHCHECK")[0].partition("CMD ")[2])
    serve = json.loads(steps(STAGES[-1], "CMD")[0])
    port = steps(STAGES[-1], "EXPOSE")[0]
    assert health[:2] == ["vecdb", "healthcheck"]
    assert serve[:2] == ["vecdb", "serve"]
    assert health[-1].endswith(f":{port}")
    assert serve[-1].endswith(f":{port}")
