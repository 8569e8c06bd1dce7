"""A client and a server of different installations talk to each other; `.ci/run` lets old meet new both ways.

``python tests/project/meeting.py SERVER CLIENT``: SERVER and CLIENT are Python interpreters with vecdb, either with
``=FOLDER`` behind it for the sources of vecdb to use in its place (an older commit's, say). Ends with 1, and says
what went wrong, when the conversation does not go as it should. Uses the standard library alone, and of vecdb only
what has been public since the first release.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT_S = 60
READY = " ready on "


def main() -> int:
    server, client = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        serve = ["-m", "vecdb", "serve", "--data", f"{scratch}/data", "--address", "127.0.0.1:0"]
        serving = subprocess.Popen(**_started(server, serve, scratch), stdout=subprocess.PIPE, text=True)
        try:
            assert serving.stdout is not None
            line = serving.stdout.readline()
            address = line.partition(READY)[2].partition(",")[0]
            if not address:
                print(f"the server does not start: {line!r}")
                return 1
            return subprocess.run(
                **_started(client, [str(Path(__file__).resolve()), "talk", address], scratch), timeout=LIMIT_S
            ).returncode
        finally:
            serving.send_signal(signal.SIGTERM)
            serving.communicate(timeout=LIMIT_S)


def _started(whose: str, arguments: list[str], folder: str) -> dict[str, object]:
    python, _, sources = whose.partition("=")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if sources:
        environment["PYTHONPATH"] = sources
    return {"args": [python, *arguments], "cwd": folder, "env": environment}


def talk(address: str) -> None:
    """The client's side."""
    import vecdb

    with vecdb.connect(address) as db:
        print(f"client {vecdb.__version__}, server {db.info().version}")
        docs = db.create_collection("docs", dim=3, metric="euclidean")
        docs.upsert(
            ids=["a", "b", 3],
            vectors=[[1, 0, 0], [0, 1, 0], [0, 0, 1]],
            texts=["one", "二", None],
            payloads=[{"n": 2**63}, {"n": 1.0}, None],
        )
        found = docs.search([1, 0.1, 0], limit=2, with_vectors=True)
        assert found.ids == ["a", "b"], found
        assert found[0].payload == {"n": 2**63} and found[1].text == "二" and list(found[1].vector) == [0, 1, 0]
        assert [hits.ids for hits in docs.search_batch([[0, 1, 0], [0, 0, 1]], limit=1)] == [["b"], ["3"]]
        assert docs.delete(ids=["a"]).count == 1 and docs.count() == 2
        assert [point.id for point in docs.scroll()] == ["3", "b"]
        assert [point.text for point in docs.get(["b", "gone"])] == ["二"]
        try:
            docs.search([1, 2], limit=1)
        except vecdb.DimensionMismatch as error:
            assert (error.expected, error.received) == ("3", "2"), error
        else:
            raise AssertionError("a wrong dimension was accepted")
        assert db.check() == []


if __name__ == "__main__":
    if sys.argv[1:2] == ["talk"]:
        talk(sys.argv[2])
    else:
        sys.exit(main())
