"""Latent semantic indexing finds what belongs together, and is the same each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vecdb.cli.demo.lsi import Lsi
from vecdb.cli.demo.terms import terms

TEXTS = [
    "The cat chases the mouse.",
    "A mouse fears cats.",
    "Stars and planets move in space.",
    "A planet moves around its star.",
    "猫在追老鼠。",
    "行星围绕恒星运动。",
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("TemporaryFile closes files", ["temporary", "file", "close", "file"]),
        ("HTTPServer.do_GET 2", ["http", "server", "do", "get"]),
        ("this class, its status", ["this", "class", "its", "status"]),
        ("删除点", ["删", "除", "点", "删除", "除点"]),
        ("用 upsert 写", ["用", "upsert", "写"]),
    ],
)
def test_terms(text: str, found: list[str]) -> None:
    assert terms(text) == found


@pytest.mark.parametrize(("question", "answer"), [("cats chase", 0), ("planets", 3), ("老鼠", 4), ("什么是恒星", 5)])
def test_a_question_is_nearest_to_what_it_is_about(question: str, answer: int) -> None:
    lsi = Lsi.fit(TEXTS)
    scores = lsi(TEXTS) @ lsi([question])[0]
    assert int(scores.argmax()) in ({0, 1} if answer == 0 else {2, 3} if answer == 3 else {answer})
    assert scores.max() > 0.5


def test_fewer_different_texts_than_dimensions_add_no_noise() -> None:
    made = Lsi.fit([*TEXTS, *TEXTS])(["cat chases planet mouse", "行星追老鼠"])
    assert made.shape[1] == len(TEXTS) + 2  # the rank of all texts, and of those in Chinese


def test_vectors_have_length_one_and_unknown_words_none() -> None:
    made = Lsi.fit(TEXTS)([*TEXTS, "xylophone"])
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), [1] * len(TEXTS) + [0], atol=1e-5)


def test_it_is_saved_and_loaded_as_it_is(tmp_path: Path) -> None:
    lsi = Lsi.fit(TEXTS)
    lsi.save(tmp_path / "lsi.npz")
    np.testing.assert_array_equal(Lsi.load(tmp_path / "lsi.npz")(TEXTS), lsi(TEXTS))
    assert [file.name for file in tmp_path.iterdir()] == ["lsi.npz"]


def test_the_same_texts_give_the_same_embedding() -> None:
    np.testing.assert_allclose(Lsi.fit(TEXTS)(TEXTS), Lsi.fit(TEXTS)(TEXTS), atol=1e-6)


def test_two_languages_are_not_at_right_angles() -> None:
    texts = [*TEXTS, "用 cat 命令追 mouse。"]
    lsi = Lsi.fit(texts)
    assert abs(float(lsi(["猫在追"])[0] @ lsi(["The cat chases the mouse."])[0])) > 1e-3


def test_without_chinese_it_works_too() -> None:
    lsi = Lsi.fit(TEXTS[:4])
    assert int((lsi(TEXTS[:4]) @ lsi(["cat"])[0]).argmax()) in (0, 1)
