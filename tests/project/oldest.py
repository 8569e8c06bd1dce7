"""Prints the oldest versions that pyproject.toml allows, as constraints for pip.

python tests/project/oldest.py > oldest.txt && pip install -c oldest.txt .
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def oldest(project: dict[str, object]) -> list[str]:
    """``grpcio==1.63`` for ``grpcio>=1.63``, of what vecdb runs with; the tools of its tests may be the newest."""
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    needed = (project["dependencies"], *(extra for name, extra in extras.items() if name not in ("test", "lint")))
    requirements = [requirement for some in needed for requirement in some]
    return sorted(f"{m[1]}=={m[2]}" for r in requirements if (m := re.match(r"([\w-]+)>=([\w.]+)", r)))


if __name__ == "__main__":
    print("\n".join(oldest(tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"])))
