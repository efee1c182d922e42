"""Time and memory of `check` and `build` at N / 10 and at N rows, and what they would be at a million rows.

    python -m benchmarks.bench_rows [--rows 2000] [--folder DIR] [--workers N]

The rows are stand-ins for renders: pictures of 48 x 32 px that rows share by hard links, and a record of 27 positions
for each row. Every command runs in a process of its own, as a user starts it. The dataset is then opened with the
library `datasets`, and `push --dry-run` checks it. `--rows 1000000` takes two hours, and 30 GB in DIR. Goals for
1,000,000 rows: check in 80 minutes and build in 60 minutes on two cores, each with at most 100 MB of memory more than
100,000 rows take.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.bench_build import DEFECTS, ROOT, SCENES
from tests.generator.made_renders import row, write_renders

MILLION = 1_000_000


class Used(NamedTuple):
    """What a command took: seconds, processor seconds, and memory of its largest process in MB."""

    seconds: float
    processor: float
    megabytes: float


# A small process starts the command, since the memory of the starting process counts as the command's.
_LAUNCHER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def measured(*words: str) -> Used:
    """Run a command of Python and measure it. Raises RuntimeError if it fails."""
    launch = [sys.executable, "-S", "-c", _LAUNCHER, sys.executable, *words]
    code, *used = json.loads(subprocess.run(launch, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    if code:
        raise RuntimeError(f"{' '.join(words)}: expected exit code 0, got {code}")
    return Used(*used)


def shared_renders(folder: Path, count: int) -> None:
    """Make a render folder whose `count` rows share three pictures and masks; each row has a record of its own."""
    sample = write_renders(folder / "sample", [row(f"s{n}", defects=DEFECTS[n], width=48, height=32) for n in range(3)])
    for name in ("images", "masks", "records", "manifests"):
        (folder / name).mkdir()
    texts = [(sample / "records" / f"s{n}.json").read_text("utf-8") for n in range(3)]
    records = [json.loads(text) for text in texts]
    header = list(records[0]["row"])
    with (folder / "manifests" / "design.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        for n in range(count):
            kind, name = n % 3, f"r{n}"
            changed = {"run": name, "part": n, "seed": n, "fixture": n, "split": ("train", "validation")[n % 5 == 4]}
            record = {**records[kind], "run": name, "row": {**records[kind]["row"], **changed}}
            writer.writerow(record["row"])
            (folder / "records" / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
            for part in ("images", "masks"):
                # File systems limit the number of hard links to a file.
                source = folder / part / f".{kind}-{n // 9000}.png"
                if not source.exists():
                    source.write_bytes((sample / part / f"s{kind}.png").read_bytes())
                os.link(source, folder / part / f"{name}.png")


def measure(count: int, folder: Path, workers: int) -> dict[str, Used]:
    """Check, build, open and publish (dry run) `count` stand-in rows in `folder`; returns what the first two took."""
    renders, dataset = folder / f"renders{count}", folder / f"set{count}"
    shared_renders(renders, count)
    scenes = ("--scenes", str(SCENES))
    commands = {
        "check": ("check", str(renders / "manifests" / "design.csv"), *scenes),
        "build": ("build", str(renders), "--to", str(dataset), *scenes, "--workers", str(workers)),
    }
    found = {}
    for command, words in commands.items():
        used = found[command] = measured("-m", "generator", *words)
        print(
            f"{command} of {count:>9,} rows: {used.seconds:8.1f} s, {used.processor:8.1f} s of processor time, "
            f"{used.megabytes:6.0f} MB",
            flush=True,
        )
    # os._exit: pyarrow's threads may abort the normal exit of a program that stops in the middle of a stream (Apache
    # Arrow's issue 45214).
    opened = "import os, sys, datasets; data = datasets.load_dataset(sys.argv[1], streaming=True)"
    opened += "; print(next(iter(data['train']))['image'].size); os._exit(0)"
    measured("-c", opened, str(dataset))
    measured("-m", "generator", "push", str(dataset), "owner/name", "--dry-run")
    return found


def main() -> None:
    """Print what each command took, and straight lines through both numbers of rows at a million rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=2000, metavar="N")
    parser.add_argument("--folder", type=Path, help="folder for temporary files (default: the system's)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes of `build` (default: 2)")
    options = parser.parse_args()
    counts = (max(1, options.rows // 10), options.rows)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        found = [measure(count, Path(name), options.workers) for count in counts]
    for command in found[0]:
        few, many = (each[command] for each in found)
        slope = Used(*((many[n] - few[n]) / (counts[1] - counts[0]) for n in range(3)))
        last = Used(*(many[n] + slope[n] * (MILLION - counts[1]) for n in range(3)))
        print(
            f"{command} of a million rows, extrapolated: {last.seconds / 60:.0f} minutes, {last.processor / 60:.0f} "
            f"minutes of processor time, {0.9 * MILLION * slope.megabytes:.0f} MB more than for 100,000 rows"
        )


if __name__ == "__main__":
    main()
