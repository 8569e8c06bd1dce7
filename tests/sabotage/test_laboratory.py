"""The laboratory tells a promise that is tested from one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sabotage.__main__ import drawn
from tests.sabotage.breakage import Breakage, load
from tests.sabotage.laboratory import Outcome, Result, copy, judge, judge_all

CODE = "def add(a, b):\n    total = a + b\n    return total\n"
TEST = """
import sum
import pytest

def test_adds():
    assert sum.add(2, 3) == 5

def test_asserts_nothing():
    sum.add(2, 3)

@pytest.fixture
def wrong_afterwards():
    yield
    assert sum.add(2, 3) == 5

def test_with_fixture(wrong_afterwards):
    pass
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "sum.py").write_text(CODE)
    (project / "test_sum.py").write_text(TEST)
    (project / "conftest.py").write_text(
        "import hypothesis\nhypothesis.settings.register_profile('unshrunk', derandomize=True)\n"
    )
    (project / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    return project


def breakage(old: str = "a + b", new: str = "a - b", test: str = "test_adds", file: str = "sum.py") -> Breakage:
    return Breakage("subtract", "sums are right", file, old, new, f"test_sum.py::{test}")


def judged(broken: Breakage, root: Path) -> Result:
    result = judge(broken, root, timeout_s=30)
    assert (root / "sum.py").read_text() == CODE, "the file was not put back"
    return result


def test_a_failing_test_has_caught_it(root: Path) -> None:
    result = judged(breakage(), root)
    assert result.outcome is Outcome.CAUGHT
    assert "test_adds: assert -1 == 5" in result.detail


def test_a_passing_test_has_not(root: Path) -> None:
    assert judged(breakage(test="test_asserts_nothing"), root).outcome is Outcome.SURVIVED


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (breakage(old="a * b"), "0 times"),
        (breakage(old="total"), "2 times"),
        (breakage(new="a + b"), "changes nothing"),
        (breakage(new="a +"), "not Python"),
        (breakage(new="a + c"), "cannot run: NameError"),
        (breakage(new="a - b", test="test_with_fixture"), "an error came before or after"),
        (breakage(old="def add", new="import no_such_module\ndef add"), "pytest ended with 4"),
        (breakage(test="test_missing"), "pytest ended with 4"),
        (breakage(file="product.py"), "no product.py"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_says_nothing_is_void(root: Path, broken: Breakage, reason: str) -> None:
    result = judged(broken, root)
    assert result.outcome is Outcome.VOID
    assert reason in result.detail


def test_copies_are_judged_apart(root: Path, tmp_path: Path) -> None:
    names = [path.relative_to(root) for path in root.iterdir()]
    copies = [copy(root, names, tmp_path / name) for name in ("one", "two")]
    reported: list[Result] = []
    results = judge_all([breakage(), breakage(test="test_asserts_nothing")], copies, 30, reported.append)
    assert [result.outcome for result in results] == [Outcome.CAUGHT, Outcome.SURVIVED]
    assert len(reported) == 2


def test_a_list_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.toml").write_text("[[breakage]]\nname = 'x'\nwyh = ''\n")
    with pytest.raises(ValueError, match="x: not exactly the keys"):
        load(tmp_path / "list.toml")


def test_every_draw_takes_another_share() -> None:
    names = [f"breakage-{i}" for i in range(1_000)]
    one, other = ({name for name in names if drawn(name, draw) < 0.1} for draw in ("one", "other"))
    assert 60 < len(one) < 140
    assert len(one & other) < 40
    assert {name for name in names if drawn(name, "one") < 1.0} == set(names)
