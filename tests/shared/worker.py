"""A process that shares a data directory: python -m tests.shared.worker DATA MODE.

MODE ``ask`` says "open PID" with the server's pid, and answers lines: ``put ID`` with "put", ``count`` with the
number of points, ``fork`` with what a forked child counts, ``spare`` with the pid of a forked child that does
nothing until the end of input. MODE ``load`` inserts points until the end of input and says each id when it is
acknowledged, after finding it in three ways.
"""

from __future__ import annotations

import os
import sys
import threading

import vecdb
from tests.shared.site import create, server_pid, vector


def say(text: object) -> None:
    print(text, flush=True)


def ask(db: vecdb.Client, path: str) -> None:
    docs = create(db)
    say(f"open {server_pid(path)}")
    for line in sys.stdin:
        verb, *rest = line.split()
        if verb == "put":
            docs.insert(ids=rest, vectors=[vector(1)])
            say("put")
        elif verb == "count":
            say(docs.count())
        elif verb == "fork":
            if os.fork() == 0:
                docs.insert(ids=["child"], vectors=[vector(2)])
                say(docs.count())
                db.close()
                os._exit(0)
            os.wait()
        elif verb == "spare":
            child = os.fork()
            if child == 0:
                sys.stdin.read()
                os._exit(0)
            say(child)


def load(db: vecdb.Client) -> None:
    docs = create(db)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    number = 0
    while not ended.is_set():
        name = f"{os.getpid()}-{number}"
        number += 1
        asked = vector(number)
        assert docs.insert(ids=[name], vectors=[asked], payloads=[{"n": number}]).count == 1
        assert docs.get([name])[0].payload == {"n": number}
        assert docs.search(asked, limit=1)[0].score > 0.9999
        assert docs.exists([name]).all()
        say(name)


if __name__ == "__main__":
    path, mode = sys.argv[1:]
    with vecdb.open(path, shared=True) as db:
        ask(db, path) if mode == "ask" else load(db)
