"""Run where only the client is installed: it works as far as a client can, and says what is missing.

python tests/project/thin_client.py
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile

ENGINE_ONLY = ("hnswlib", "rocksdict", "xxhash", "sklearn", "grpc_health", "grpc_reflection")


def main() -> None:
    present = [name for name in ENGINE_ONLY if importlib.util.find_spec(name)]
    assert not present, f"not a client-only installation: {', '.join(present)}"

    import vecdb

    for name in vecdb.__all__:
        getattr(vecdb, name)
    engine = [name for name in sys.modules if name.startswith(("vecdb.engine", "vecdb.index", "vecdb.storage"))]
    assert not engine, f"the client imports {', '.join(engine)}"

    try:
        vecdb.connect("127.0.0.1:1", timeout=0.5).list_collections()
    except (vecdb.Unavailable, vecdb.DeadlineExceeded) as error:
        print(f"connect without a server: {error.reason}")
    else:
        raise AssertionError("nothing listens there")

    with tempfile.TemporaryDirectory() as folder:
        try:
            vecdb.open(folder)
        except vecdb.EngineNotInstalled as error:
            assert "pip install" in str(error), error
            print(f"open without the engine: {error}")
        else:
            raise AssertionError("there is no engine to open with")

    for arguments in (["--help"], ["serve", "--help"]):
        subprocess.run([sys.executable, "-m", "vecdb", *arguments], check=True, stdout=subprocess.DEVNULL)
    served = subprocess.run([sys.executable, "-m", "vecdb", "serve", "--data", "data"], capture_output=True, text=True)
    assert served.returncode != 0
    assert "pip install" in served.stderr, served.stderr
    assert "Traceback" not in served.stderr, served.stderr


if __name__ == "__main__":
    main()
