"""Opens damaged copies of a directory, in a process of its own, and says of each what became of it.

A line of JSON for each line of JSON: a crash is seen by whoever waits for the next one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.damage.cases import Case, damage
from tests.damage.contents import contents
from tests.damage.directory import ASKED, OPTIONS
from vecdb import Client, DataLoss, VecdbError
from vecdb.client.transport_embedded import EmbeddedTransport, open_database
from vecdb.model.context import CallContext

BUILT_AGAIN = "built again, nothing is lost"
NOTHING = "nothing is lost"
REFUSED = "refused at open"
COLLECTION = "its collection is refused"
READS = "reads that need it are `DATA_LOSS`"
TOLD = "nothing that is read is lost, `vecdb check` names it"


def main(folder: Path) -> None:
    os.fsync = lambda fd: None  # no power is cut here
    logging.disable()
    wanted: dict[str, Any] = {}
    for line in sys.stdin:
        case = Case(**json.loads(line))
        base = folder / case.base
        if not wanted:
            copy = shutil.copytree(base, folder / "copy")
            wanted = read(copy)
            shutil.rmtree(copy)
        copy = shutil.copytree(base, folder / "copy")
        damage(copy, case)
        try:
            said = judge(copy, case, wanted)
        except Exception as error:
            said = f"WRONG: {type(error).__name__}: {error}"
        shutil.rmtree(copy)
        print(json.dumps(said), flush=True)


def read(path: Path) -> dict[str, Any]:
    database = open_database(path, OPTIONS)
    with Client(EmbeddedTransport(database), None) as db:
        return contents(db, ASKED)


def judge(path: Path, case: Case, wanted: dict[str, Any]) -> str:
    """What became of a damaged directory: one of the outcomes above, or WRONG with what is."""
    first = opened(path, case, wanted)
    again = opened(path, case, wanted)
    if again != first and {first, again} != {BUILT_AGAIN, NOTHING}:
        return f"WRONG: {first}, and opened again: {again}"
    return first


def opened(path: Path, case: Case, wanted: dict[str, Any]) -> str:
    try:
        database = open_database(path, OPTIONS)
    except VecdbError as error:
        if error.reason != "DATA_LOSS" or not named(case, str(error)) or "--repair" not in str(error):
            return f"WRONG: refused without the file's name: {error.reason}: {error}"
        return REFUSED
    with Client(EmbeddedTransport(database), None) as db:
        missing, wrong = differences(contents(db, ASKED), wanted)
        if not wrong:
            with contextlib.suppress(DataLoss):  # what it needs may be gone; what is read tells
                while database.maintain():
                    pass
            if not missing:
                missing, wrong = differences(contents(db, ASKED), wanted)
        if wrong:
            return f"WRONG: {wrong[0]}"
        if missing:
            for collection, messages in missing.items():
                for message in messages.values():
                    if repr(collection) not in message or not named(case, message):
                        return f"WRONG: not named: {message}"
            whole = all(len(messages) == len(wanted[name]) - 2 for name, messages in missing.items())
            return COLLECTION if whole else READS
        if problems := database.check(CallContext()):
            return TOLD if all(named(case, problem) for problem in problems) else f"WRONG: check: {problems[0]}"
    if case.file.startswith("segments"):
        return BUILT_AGAIN
    return NOTHING


def named(case: Case, message: str) -> bool:
    """RocksDB does not say which of its blob files is damaged, and of a log that ends early only the last is known."""
    return Path(case.file).name in message or (case.file.endswith(".blob") and "a .blob file" in message)


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """By collection and question the messages where an answer is DATA_LOSS; and what is answered wrongly."""
    missing: dict[str, dict[str, str]] = {}
    wrong = [f"collection {name} is gone" for name in wanted.keys() - found.keys()]
    for name, answers in found.items():
        for question, answer in answers.items():
            if answer == wanted.get(name, {}).get(question):
                continue
            if isinstance(answer, dict) and answer.get("error") == "DATA_LOSS":
                missing.setdefault(name, {})[question] = answer["message"]
            else:
                wrong.append(f"{name}: {question}: {str(answer)[:300]}")
    return missing, wrong


if __name__ == "__main__":
    main(Path(sys.argv[1]))
