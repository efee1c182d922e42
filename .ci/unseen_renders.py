"""Print the paths of some pictures that are not in training, one per kind of defect, for `make demo` to judge.

    .venv/bin/python .ci/unseen_renders.py manifests/demo.csv demo/renders

Rows of a test split are preferred to rows of the validation split.
"""

import argparse
import csv
import sys
from pathlib import Path


def unseen(manifest: Path) -> list[str]:
    """Names of manifest rows outside the training split: the first of each kind of defect, and one without."""
    with manifest.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] != "train"]
    rows.sort(key=lambda row: row["split"] == "validation")
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(row["defects"].partition("@")[0], row["run"])
    return list(first.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path, help="manifest (CSV) of the renders")
    parser.add_argument("renders", type=Path, help="folder that `generator render` wrote")
    args = parser.parse_args()
    runs = unseen(args.manifest)
    if not runs:
        print(f"{args.manifest}: expected rows outside the train split, got none", file=sys.stderr)
        return 2
    print(*(args.renders / "images" / f"{run}.png" for run in runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
