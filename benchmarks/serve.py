"""``vecdb serve`` with engine options, for try-outs whose bounds are smaller than a server's.

python -m benchmarks.serve '{"data": "/a/folder", "options": {}}'
"""

from __future__ import annotations

import json
import sys

from vecdb import config


def main() -> None:
    """Serve until SIGTERM, on a free port unless an ``address`` is given."""
    config.one_thread_for_libraries()
    from vecdb.engine.database import Database
    from vecdb.engine.options import EngineOptions
    from vecdb.wire.lifetime import run
    from vecdb.wire.server import Server, ServerOptions

    given = json.loads(sys.argv[1])
    database = Database.open(given["data"], EngineOptions(**given["options"]))
    server = Server(database, ServerOptions(address=given.get("address", "127.0.0.1:0")))
    run(server, database.close, lambda: print(f"ready on {server.address}", flush=True), grace_s=5.0, limit_s=30.0)


if __name__ == "__main__":
    main()
