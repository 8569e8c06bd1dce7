"""Settings: a flag before a variable before the default; what is wrong is named as it was given."""

from __future__ import annotations

import pytest

from vecdb import config
from vecdb.config import SERVE, settings
from vecdb.errors import InvalidArgument


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in SERVE:
        monkeypatch.delenv(setting.variable, raising=False)


def test_defaults() -> None:
    values = settings(SERVE, {})
    assert values["address"] == "127.0.0.1:50051"
    assert values["durability"] == "fsync"
    assert values["data"] is None
    assert values["max_memory"] is None


def test_a_flag_comes_before_a_variable_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECDB_DURABILITY", "os")
    monkeypatch.setenv("VECDB_MAX_MEMORY", "4GiB")
    assert settings(SERVE, {})["durability"] == "os"
    assert settings(SERVE, {})["max_memory"] == 4 << 30
    assert settings(SERVE, {"durability": "fsync", "max_memory": None})["durability"] == "fsync"
    assert settings(SERVE, {"max_memory": "1k"})["max_memory"] == 1024


@pytest.mark.parametrize(
    ("text", "nbytes"), [("1", 1), ("512m", 512 << 20), ("1.5GiB", 3 << 29), ("2 KB", 2048), ("1T", 1 << 40), ("7b", 7)]
)
def test_sizes(text: str, nbytes: int) -> None:
    assert config.size(text) == nbytes


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("max_memory", "much"),
        ("max_memory", "-1"),
        ("max_memory", "1x"),
        ("max_memory", ""),
        ("durability", "maybe"),
        ("grace", "-1"),
        ("grace", "inf"),
        ("grace", "nan"),
        ("grace", "soon"),
        ("max_calls", "0"),
        ("max_calls", "1.5"),
        ("log_level", "loud"),
        ("data", ""),
    ],
)
def test_a_bad_value_is_named_as_it_was_given(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        settings(SERVE, {name: text})
    assert refused.value.field == "--" + name.replace("_", "-")
    monkeypatch.setenv("VECDB_" + name.upper(), text)
    if not text:
        assert settings(SERVE, {}) == settings(SERVE, {})  # an empty variable is one that is not set
        return
    with pytest.raises(InvalidArgument) as refused:
        settings(SERVE, {})
    assert refused.value.field == "VECDB_" + name.upper()
    assert refused.value.received == repr(text)


def test_every_setting_explains_itself() -> None:
    assert len({setting.name for setting in SERVE}) == len(SERVE)
    for setting in SERVE:
        assert setting.help.endswith(".")
        if setting.default is not None:
            setting.parse(setting.default)
