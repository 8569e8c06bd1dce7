"""The re-ranking example runs with a cross-encoder, and says so where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.project.repository import ROOT

# Stands where sentence-transformers would: a model that likes long passages, and another that cannot be had.
MODEL = """
class CrossEncoder:
    def __init__(self, name):
        assert name.startswith("cross-encoder/")

    def predict(self, pairs):
        assert all(question == "who invented the telephone" for question, _ in pairs)
        return [float("Meucci" in text) + len(text) / 1000 for _, text in pairs]
"""
AWAY = """
class CrossEncoder:
    def __init__(self, name):
        raise OSError("the network is unreachable")
"""


def run(folder: Path, module: str) -> str:
    (folder / "sentence_transformers.py").write_text(module)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / "reranking.py"), "who", "invented", "the", "telephone"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_with_a_cross_encoder(tmp_path: Path) -> None:
    shown = run(tmp_path, MODEL)
    before, after = shown.split("re-ranked:")
    assert "stand-in" not in shown
    assert "the first patent for the telephone" in after.splitlines()[1]
    assert "rang all day" in before.splitlines()[2]


def test_without_one_it_says_so(tmp_path: Path) -> None:
    for module, why in (("raise ImportError('not installed')", "not installed"), (AWAY, "the network is unreachable")):
        shown = run(tmp_path, module)
        assert f"no cross-encoder, so a stand-in counts shared words: {why}" in shown
        assert len(shown.split("re-ranked:")[1].splitlines()) == 4
