"""Damage every file of a directory in every way, and write the table of what becomes of it into docs/format.md.

python -m tests.damage [--flips N]
"""

from __future__ import annotations

import argparse
import sys

from tests.damage.cases import all_cases
from tests.damage.directory import folder, make_both
from tests.damage.table import PAGE, cells, outcomes, page, table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.damage", description=__doc__.partition("\n")[0])
    parser.add_argument("--flips", type=int, default=12, help="bits flipped in turn in each file of rows (default 12)")
    flips = parser.parse_args().flips
    with folder() as place:
        make_both(place)
        found = outcomes(place, all_cases(place, flips))
    wrong = [f"{case}: {outcome}" for case, outcome in found if outcome.startswith("WRONG")]
    if wrong:
        sys.exit("\n".join(wrong))
    before, _, after = page()
    PAGE.write_text(f"{before}\n\n{table(cells(found))}\n\n{after}", encoding="utf-8")
    print(f"{len(found)} cases")


if __name__ == "__main__":
    main()
