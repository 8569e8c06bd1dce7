"""The order of writes, syncs and answers, as it is read from what strace says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import trace

ASKED = r'9 10.000000 write(5<pipe:[7]>, "{\"e\":\"write?\",\"w\":3,\"c\":\"c\"}\n", 30) = 30 <0.000010>'
LOGGED = r'10 10.100000 write(12</d/000004.log>, "\1\2write-3;write-3;\0", 40) = 40 <0.000100>'
GIVEN = r'9 10.900000 write(5<pipe:[7]>, "{\"e\":\"write!\",\"w\":3,\"seq\":1,\"count\":1}\n", 40) = 40 <0.000010>'

MANIFEST = "/d/MANIFEST-000002"


def sync(began: float, took: float, result: str = "0", file: str = "/d/000004.log") -> str:
    return f"11 {began:.6f} fdatasync(12<{file}>) = {result} <{took:.6f}>"


def edit(began: float, content: str) -> str:
    """A record of the manifest, as strace shows it: a head of seven bytes, here with a quote in it, and an edit."""
    return rf'12 {began:.6f} write(10<{MANIFEST}>, "\"<\254\262-\0\1{content}", 9) = 9 <0.000100>'


def answer(folder: Path, *lines: str) -> trace.Answer:
    log = folder / "trace.txt"
    log.write_text("\n".join(lines) + "\n")
    (found,) = trace.answers(log)
    return found


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (sync(10.2, 0.3), True),
        (sync(10.05, 0.3), False),  # began before the record was in the log
        (sync(10.8, 0.3), False),  # was not done when the answer was given
        (sync(10.2, 0.3, "-1 EIO (Input/output error) (INJECTED)"), False),
        (sync(10.2, 0.3, "0 (DELAYED)"), True),
        (sync(10.2, 0.3, file="/d/000005.log"), False),
        (sync(10.2, 0.3, file=MANIFEST), False),  # which may have nothing to do with this log
        (edit(10.15, r"\2\5") + "\n" + sync(10.2, 0.3, file=MANIFEST), True),
        (edit(10.15, r"\2\254\2\t") + "\n" + sync(10.2, 0.3, file=MANIFEST), True),  # 300
        (edit(10.15, r"\2\4") + "\n" + sync(10.2, 0.3, file=MANIFEST), False),  # this very log is still needed
        (edit(10.15, r"\t\0\3\5") + "\n" + sync(10.2, 0.3, file=MANIFEST), False),  # says nothing of logs
        (edit(10.25, r"\2\5") + "\n" + sync(10.2, 0.3, file=MANIFEST), False),  # was not in what was synced
        (
            "11 10.200000 fdatasync(12</d/000004.log> <unfinished ...>\n"
            "11 10.500000 <... fdatasync resumed>) = 0 <0.3>",
            True,
        ),
        ("11 10.200000 fdatasync(12</d/000004.log> <unfinished ...>", False),
    ],
)
def test_which_sync_counts(tmp_path: Path, line: str, counts: bool) -> None:
    found = answer(tmp_path, ASKED, LOGGED, line, GIVEN)
    assert (found.synced is not None) == counts
    assert found.logged == pytest.approx(10.1001)
    assert found.took_s == pytest.approx(0.9)


def test_a_write_that_is_in_no_log_is_not_taken_for_one(tmp_path: Path) -> None:
    found = answer(tmp_path, ASKED, sync(10.2, 0.3), GIVEN)
    assert (found.logged, found.synced) == (None, None)
