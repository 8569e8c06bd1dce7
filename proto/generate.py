"""Generates vecdb/v1 from proto/vecdb/v1.

    python proto/generate.py            write the modules
    python proto/generate.py --check    fail, and name the files, when they are not what would be written

Directory, package and import path are the same, so the output is taken as it comes.

The generator is old on purpose. Code generated for protobuf 5.27 or later refuses to run with a protobuf
two major versions newer, and code for grpcio refuses an older grpcio. That of grpcio-tools 1.63.0 (protobuf
5.26) has no such check: it imports with protobuf 5.26 to 7 and with every grpcio since 1.63.0, which is the
range that pyproject.toml allows. It runs on Python 3.11 and 3.12, in a virtual environment of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

TOOLS = ("grpcio-tools==1.63.0", "mypy-protobuf==3.6.0", "protobuf==5.26.1", "setuptools<81")
ROOT = Path(__file__).resolve().parents[1]
PROTO = ROOT / "proto"
PACKAGE = Path("vecdb/v1")
INIT = '"""Generated from proto/vecdb/v1 by proto/generate.py; do not edit."""\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        made = generate(Path(folder))
    present = {path.name: path.read_text() for path in (ROOT / PACKAGE).glob("*.py*")}
    differing = sorted(name for name in made.keys() | present.keys() if made.get(name) != present.get(name))
    if check:
        if differing:
            sys.exit(f"not as generated: {', '.join(differing)}; run python proto/generate.py")
        return
    for name in differing:
        target = ROOT / PACKAGE / name
        if name in made:
            target.write_text(made[name])
        else:
            target.unlink()
    print(f"{len(differing)} of {len(made)} files changed")


def generate(folder: Path) -> dict[str, str]:
    """The text of every module of vecdb/v1, by file name."""
    tools = folder / "tools"
    venv.create(tools, with_pip=True)
    python = str(tools / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *TOOLS], check=True)
    output = folder / "output"
    output.mkdir()
    subprocess.run(
        [
            python,
            *("-m", "grpc_tools.protoc", f"--proto_path={PROTO}"),
            *(f"--plugin=protoc-gen-{name}={tools}/bin/protoc-gen-{name}" for name in ("mypy", "mypy_grpc")),
            *(f"--{name}_out={output}" for name in ("python", "grpc_python", "mypy")),
            f"--mypy_grpc_out={output}",
            *(str(path.relative_to(PROTO)) for path in sorted((PROTO / PACKAGE).glob("*.proto"))),
        ],
        cwd=PROTO,
        check=True,
    )
    services = {path.stem for path in (PROTO / PACKAGE).glob("*.proto") if "\nservice " in path.read_text()}
    made = {
        path.name: path.read_text()
        for path in (output / PACKAGE).iterdir()
        if "_pb2_grpc." not in path.name or path.name.partition("_pb2_grpc.")[0] in services
    }
    return {"__init__.py": INIT, **made}


if __name__ == "__main__":
    main()
