"""The list of breakages fits the code as it is."""

from __future__ import annotations

import pytest

from tests.project.repository import ROOT
from tests.sabotage.__main__ import LIST
from tests.sabotage.breakage import Breakage, load


@pytest.mark.parametrize("breakage", load(LIST), ids=lambda breakage: breakage.name)
def test_applies(breakage: Breakage) -> None:
    assert list(breakage.defects(ROOT)) == []
