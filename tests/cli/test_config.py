"""Settings: a flag before a variable before the file before the default; what is wrong is named as it was given."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import run
from tests.docs.pages import blocks, read
from vecdb import config
from vecdb.config import CLIENT, SERVE, TESTS, Setting, settings
from vecdb.engine.options import EngineOptions
from vecdb.errors import InvalidArgument
from vecdb.model.info import Limits
from vecdb.wire.server import ServerOptions

# Options that nobody should set on a server: for tests, of the format and the clients, or made from other settings.
NOT_SETTINGS = {
    "engine": {"use_graphs", "background"},
    "server": {"info"},
    "limits": {"id_bytes", "scroll_points", "batch_rows", "payload_bytes", "text_bytes", "collections"},
}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("VECDB_"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "vecdb.toml"


def refused(table: tuple[Setting, ...] = SERVE, **flags: str | None) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        settings(table, flags)
    return caught.value


def test_defaults() -> None:
    values = settings(SERVE, {})
    assert values["address"] == "127.0.0.1:50051"
    assert values["durability"] == "fsync"
    assert values["data"] is None
    assert values["max_memory"] is None
    assert {one.source for one in values.chosen.values()} == {"default"}


def test_a_flag_comes_before_a_variable_before_the_file_before_the_default(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    file.write_text('max_calls = 1\nmax_memory = "1k"\ngrace = 0.5\ndurability = "os"\n')
    monkeypatch.setenv("VECDB_MAX_CALLS", "2")
    monkeypatch.setenv("VECDB_MAX_MEMORY", "2k")
    found = settings(SERVE, {"config": str(file), "max_calls": "3"})
    assert [found[name] for name in ("max_calls", "max_memory", "grace", "max_batch")] == [3, 2048, 0.5, 256 << 20]
    assert [found.chosen[name].source for name in ("max_calls", "max_memory", "grace", "max_batch")] == [
        "--max-calls",
        "VECDB_MAX_MEMORY",
        f"grace in {file}",
        "default",
    ]


def test_the_file_may_be_named_by_a_variable(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    file.write_text("max_calls = 7\n")
    monkeypatch.setenv("VECDB_CONFIG", str(file))
    assert settings(SERVE, {})["max_calls"] == 7


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
        ("max_streams", "-1"),
        ("max_dim", "65537"),
        ("max_message", "1025MiB"),
        ("insecure", "yes"),
        ("log_level", "loud"),
        ("data", ""),
    ],
)
def test_a_bad_value_is_named_as_it_was_given(
    monkeypatch: pytest.MonkeyPatch, file: Path, name: str, text: str
) -> None:
    assert refused(**{name: text}).field == "--" + name.replace("_", "-")
    file.write_text(f'{name} = "{text}"\n')
    assert refused(config=str(file)).field == f"{name} in {file}"
    monkeypatch.setenv("VECDB_" + name.upper(), text)
    if not text:
        settings(SERVE, {})  # an empty variable is one that is not set
        return
    error = refused()
    assert error.field == "VECDB_" + name.upper()
    assert error.received == repr(text)


@pytest.mark.parametrize(("text", "on"), [("true", True), ("1", True), ("false", False), ("0", False)])
def test_switches(monkeypatch: pytest.MonkeyPatch, text: str, on: bool) -> None:
    monkeypatch.setenv("VECDB_INSECURE", text)
    assert settings(SERVE, {})["insecure"] is on


def test_an_unknown_variable_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECDB_MAX_MEMROY", "4GiB")
    monkeypatch.setenv("VECDB_QZX", "1")
    for table in (SERVE, CLIENT):
        error = refused(table)
        assert (error.received, error.field) == ("VECDB_MAX_MEMROY, VECDB_QZX", "environment")
        assert error.expected == "VECDB_MAX_MEMORY, a name from docs/settings.md"


def test_a_variable_of_another_part_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in (*SERVE, *CLIENT, *TESTS):
        monkeypatch.setenv(setting.variable, "")
    settings(SERVE, {})


@pytest.mark.parametrize(
    "name",
    [
        "VECDB_SERVICE_HOST",
        "VECDB_SERVICE_PORT",
        "VECDB_SERVICE_PORT_GRPC",
        "VECDB_PORT",
        "VECDB_PORT_50051_TCP",
        "VECDB_PORT_50051_TCP_ADDR",
        "VECDB_READER_SERVICE_HOST",
        "VECDB_READER_PORT_50051_TCP_PROTO",
    ],
)
def test_what_kubernetes_tells_of_a_service_is_no_setting(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "tcp://10.0.0.7:50051")
    settings(SERVE, {})


@pytest.mark.parametrize(
    ("text", "field", "expected"),
    [
        ("max_cals = 3", "", "max_calls"),
        ("max-calls = 3", "", "max_calls"),
        ('config = "other.toml"', "", ""),
        ('api_key = "secret"', "", ""),
        ("[server]\nmax_calls = 3", "", ""),
        ("max_calls = [1]", "max_calls in ", "text, a number, true or false"),
        ("max_calls = ", "", "lines such as"),
        ("max_calls = 3\nmax_calls = 4", "", "lines such as"),
    ],
)
def test_what_cannot_be_in_the_file_is_named(file: Path, text: str, field: str, expected: str) -> None:
    file.write_text(text)
    error = refused(config=str(file))
    assert error.field == f"{field}{file}"
    assert expected in (error.expected or "")


def test_the_file_on_the_page_is_one(file: Path) -> None:
    (block,) = blocks(read(Path("docs/settings.md")), "toml")
    file.write_text(block.text)
    found = settings(SERVE, {"config": str(file)})
    assert {one.source for one in found.chosen.values()} == {
        "--config",
        "default",
        *(f"{name} in {file}" for name in tomllib.loads(block.text)),
    }


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    assert refused(config=str(file)).field == str(file)
    file.write_bytes(b"\xff\xfe")
    assert refused(config=str(file)).field == str(file)


def test_every_setting_explains_itself() -> None:
    for table in (SERVE, CLIENT, TESTS):
        assert len({setting.name for setting in table}) == len(table)
        for setting in table:
            assert setting.help.endswith(".")
            if setting.default is not None:
                setting.parse(setting.default)


@pytest.mark.parametrize(
    ("kind", "options"), [("engine", EngineOptions), ("server", ServerOptions), ("limits", Limits)]
)
def test_every_option_is_a_setting_with_the_same_default(kind: str, options: type) -> None:
    fields = {field.name: field.default for field in dataclasses.fields(options)}
    taken = {setting.option.partition(".")[2] for setting in SERVE if setting.option.startswith(kind + ".")}
    assert taken == fields.keys() - NOT_SETTINGS[kind]
    assert settings(SERVE, {}).options(kind) == {}
    given = {setting.name: setting.default for setting in SERVE if setting.default is not None}
    defaults = settings(SERVE, given).options(kind)
    assert defaults == {name: fields[name] for name in defaults}
    options(**defaults)


def test_the_printed_settings_read_again_are_the_same(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setenv("VECDB_MAX_MEMORY", "4GiB")
    monkeypatch.setenv("VECDB_DATA", 'a "strange"\tname')
    printed = run("serve", "--max-calls", "9", "--print-config").out
    assert 'max_memory = "4GiB"  # VECDB_MAX_MEMORY\n' in printed
    assert "max_calls = 9  # --max-calls\n" in printed
    assert 'max_batch = "256MiB"  # default\n' in printed
    assert "# index_threads is not set\n" in printed
    file.write_text(printed)
    assert tomllib.loads(printed)["data"] == 'a "strange"\tname'
    before = settings(SERVE, {"max_calls": "9"})
    for name in ("VECDB_MAX_MEMORY", "VECDB_DATA"):
        monkeypatch.delenv(name)
    again = settings(SERVE, {"config": str(file)})
    values = {setting.name for setting in SERVE} - {"config"}
    assert {name: again[name] for name in values} == {name: before[name] for name in values}
