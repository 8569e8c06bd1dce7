"""strace around a workload: delays and errors of its syncs, and the order of what it wrote, synced and said.

The order is read from the trace itself: when a record reached the write-ahead log, when each sync of that log
began and ended and with what result, and when the acknowledgement went into the pipe.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)")
_CALL = re.compile(r"(\w+)\((\d+)<([^>]*)>(.*)", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_RESULT = re.compile(r".* = (-?\d+)(?: (\w+))?[^=]*?<(\d+\.\d+)>$", re.DOTALL)
_MARK = re.compile(r"write-(\d+);")
_ANSWER = re.compile(r'\\"e\\":\\"write!\\",\\"w\\":(\d+),\\"seq\\":\d+,\\"count\\":(\d+)')
_MANIFEST_RECORD = re.compile(r', "(.*)", \d+')
_ASKED = re.compile(r'\\"e\\":\\"write\?\\",\\"w\\":(\d+),')

SYNCS = ("fdatasync", "fsync")


def mark(write: int) -> bytes:
    """A request id by which a write is found in the log; twice, for a block's border may lie inside one."""
    return b"write-%d;write-%d;" % (write, write)


def command(log: Path, *inject: str, writes: bool = False) -> list[str]:
    """strace as a prefix: it stops the process at syncs, what is injected into and, if wanted, writes."""
    calls = {*SYNCS, *(call for what in inject for call in what.partition(":")[0].split(","))}
    calls |= {"write", "pwrite64"} if writes else set()
    started = ["strace", "-f", "--seccomp-bpf", "-qq", "-ttt", "-T", "-y", "-s", "300000", "-o", str(log)]
    started += ["-e", f"trace={','.join(sorted(calls))}", "-e", "signal=none"]
    for what in inject:
        started += ["-e", f"inject={what}"]
    return started


@contextlib.contextmanager
def attached(log: Path, process: int, inject: str) -> Iterator[None]:
    """strace on a process that runs, from before the block begins; it ends with the process."""
    called = inject.partition(":")[0]
    command = ["strace", "-f", "-ttt", "-T", "-y", "-s", "0", "-o", str(log), "-p", str(process)]
    command += ["-e", f"trace={called}", "-e", "signal=none", "-e", f"inject={inject}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        first = strace.stderr.readline()
        if "attached" not in first:
            raise OSError(f"strace is not attached: {first}{strace.stderr.read()}")
        reader = threading.Thread(target=strace.stderr.read, daemon=True)  # so that it never waits for us
        reader.start()
        yield


@dataclass(frozen=True, slots=True)
class Call:
    """One finished system call: seconds since 1970 when it began and ended, its file, its data, its result."""

    name: str
    began: float
    ended: float
    file: str
    data: str
    result: int
    error: str


def calls(log: Path) -> Iterator[Call]:
    """The calls of a trace, as they ended. The last lines of a killed process may be half written."""
    begun: dict[str, tuple[str, float, str, str]] = {}
    with open(log, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            found = _LINE.match(line.rstrip("\n"))
            if found is None:
                continue
            process, moment, rest = found.groups()
            at = float(moment)
            if (call := _CALL.match(rest)) is not None:
                name, _, file, tail = call.groups()
                if tail.endswith("<unfinished ...>"):
                    begun[process] = (name, at, file, tail)
                elif (result := _RESULT.match(tail)) is not None:
                    yield Call(name, at, at + float(result[3]), file, tail, int(result[1]), result[2] or "")
            elif (resumed := _RESUMED.match(rest)) is not None and process in begun:
                name, began, file, data = begun.pop(process)
                if (result := _RESULT.match(resumed[2])) is not None:
                    yield Call(name, began, at, file, data, int(result[1]), result[2] or "")


@dataclass(frozen=True, slots=True)
class Answer:
    """One acknowledgement: when it was asked for and given, when its record was in the log, and the first sync that
    began after that and was done, without an error, before the answer (None: there was none).

    It is a sync of that very log; or, where the log was full, of the store's manifest once that says that the log is
    needed no longer: its content has been written to tables, and they were synced before the manifest named them.
    """

    write: int
    asked: float
    logged: float | None
    synced: Call | None
    given: float

    @property
    def took_s(self) -> float:
        """From the question to the answer."""
        return self.given - self.asked


def answers(log: Path) -> list[Answer]:
    """Every acknowledgement of a write that changed something, with what led to it."""
    asked: dict[int, float] = {}
    logged: dict[int, tuple[float, str]] = {}
    syncs: list[Call] = []
    needed: list[tuple[float, int]] = []
    given: list[tuple[int, float]] = []
    for call in calls(log):
        if call.name in SYNCS:
            if call.result == 0:
                syncs.append(call)
        elif call.file.endswith(".log"):
            for write in _MARK.findall(call.data):
                logged[int(write)] = (call.ended, call.file)
        elif "/MANIFEST-" in call.file:
            if (first := _first_needed_log(call.data)) is not None:
                needed.append((call.ended, first))
        elif call.file.startswith("pipe:"):
            asked.update((int(write), call.began) for write in _ASKED.findall(call.data))
            given += [(int(write), call.began) for write, count in _ANSWER.findall(call.data) if int(count)]
    return [_answer(write, at, asked[write], logged.get(write), syncs, needed) for write, at in given]


def _answer(
    write: int,
    given: float,
    asked: float,
    logged: tuple[float, str] | None,
    syncs: Sequence[Call],
    needed: Sequence[tuple[float, int]],
) -> Answer:
    if logged is None:
        return Answer(write, asked, None, None, given)
    moment, file = logged
    fitting = [s for s in syncs if s.began >= moment and s.ended <= given]
    of_log = [s for s in fitting if s.file == file]
    replaced = [at for at, first in needed if first > int(Path(file).stem)]
    of_manifest = [s for s in fitting if "/MANIFEST-" in s.file and any(at <= s.began for at in replaced)]
    return Answer(write, asked, moment, next(iter(of_log + of_manifest), None), given)


def _first_needed_log(data: str) -> int | None:
    """The number of the first log that is needed, if a record of the manifest that strace shows says one.

    A record is seven bytes and an edit, and an edit that has such a number begins with the tag 2 and the number as
    a varint (RocksDB, VersionEdit::EncodeTo; an edit without a comparator, as those of a flush are).
    """
    if (found := _MANIFEST_RECORD.search(data)) is None:
        return None
    edit = found[1].encode().decode("unicode_escape").encode("latin-1")[7:]
    if edit[:1] != b"\2":
        return None
    number = 0
    for place, byte in enumerate(edit[1:]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number
    return None


def failed(log: Path, *names: str) -> list[Call]:
    """Calls that failed, because they were told to."""
    return [call for call in calls(log) if call.name in names and call.result != 0]
