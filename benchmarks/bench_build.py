"""CPU time of `generator build` per row on one core, compared with its unavoidable steps, and the time for NSOART.

    python -m benchmarks.bench_build [--rows 512] [--memory-rows 0]

The rows' pictures are drawn, not rendered, at 256 x 128 px, with records of 27 positions. The unavoidable steps are
timed as a loop without checks, which parses, hashes, decodes and writes the same rows to Parquet. `--memory-rows N`
builds N / 10 and N rows instead, and prints the largest resident memory of each build.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from blender_scripts.manifest.reader import stream_runs
from generator.dataset.build import Options, build
from generator.dataset.record_rows import Labelling, picture_row
from generator.dataset.rows import columns_of, features
from generator.dataset.writer import ShardWriter, encoded_png
from generator.soart import nsoart
from generator.soart.nsoart import STRIDE, WINDOW
from tests.generator.made_renders import row, write_renders

ROOT = Path(__file__).resolve().parent.parent
SCENES = ROOT / "scenes"
DEFECTS = ("", "bent@r1c2:tilt_deg=12", "missing@r3c4")


def rendered(folder: Path, count: int) -> Path:
    """Write a render folder with `count` drawn pictures of 256 x 128 px; returns the folder."""
    rows = [
        row(f"r{n}", ("train", "train", "validation")[n // 3 % 3], DEFECTS[n % 3], width=256, height=128)
        for n in range(count)
    ]
    # Standard deviation of the scenes' sensor noise at this picture's grey level (90), in grey levels.
    return write_renders(folder, rows, grain=1.4)


def floor_seconds(renders: Path, to: Path) -> float:
    """Measure the CPU seconds to parse, hash, decode and write (as Parquet) a render folder's rows without checks."""
    start = time.process_time()
    how = Labelling({})
    columns = features(False)
    writer = ShardWriter(to, "all", columns)
    batch = []
    for run in stream_runs(renders / "manifests" / "design.csv", SCENES):
        record = json.loads((renders / "records" / f"{run.run}.json").read_bytes())
        content = (renders / "images" / f"{run.run}.png").read_bytes()
        hashlib.sha256(content).digest()
        hashlib.sha256((renders / "masks" / f"{run.run}.png").read_bytes()).digest()
        Image.open(io.BytesIO(content)).load()
        # Computing the columns counts as part of writing them.
        cells = columns_of(picture_row(run, record, how))
        batch.append({**cells, "image": {"bytes": content, "path": f"{run.run}.png"}, "nsoart": None})
        if len(batch) == 64:
            writer.add(pa.Table.from_pylist(batch, schema=columns.arrow_schema))
            batch = []
    if batch:
        writer.add(pa.Table.from_pylist(batch, schema=columns.arrow_schema))
    writer.finish()
    return time.process_time() - start


def nsoart_seconds(renders: Path, dataset: Path, to: Path) -> float:
    """Return the CPU seconds for the NSOART maps of the OK rows that set the scale plus the pictures of all rows."""
    parameters = json.loads((dataset / "nsoart.json").read_text("utf-8"))
    unit = {name for group in parameters["groups"] for name in group["rows"]}
    columns = features(False)
    start = time.process_time()
    schema = pa.schema([columns.arrow_schema.field("nsoart")])
    charts = []
    with pa.parquet.ParquetWriter(to, schema) as writer:
        for run in stream_runs(renders / "manifests" / "design.csv", SCENES):
            content = (renders / "images" / f"{run.run}.png").read_bytes()
            picture = Image.open(io.BytesIO(content))
            if run.run in unit:
                nsoart.MapStatistics().add(nsoart.nsoart_maps(picture, WINDOW, STRIDE))
            chart = encoded_png(nsoart.nsoart_picture(picture, parameters, run.row()))
            charts.append({"nsoart": {"bytes": chart, "path": f"{run.run}.png"}})
            if len(charts) == 64:
                writer.write_table(pa.Table.from_pylist(charts, schema=schema))
                charts = []
    return time.process_time() - start


def memory(rows: int, folder: Path) -> None:
    """Build `rows` / 10 and then `rows` rows, each in a process of its own, and print the process's peak memory.

    The rows share three pictures and masks by hard links in `folder`, to save disk space.
    """
    for count in (rows // 10, rows):
        renders = folder / f"renders{count}"
        shared_renders(renders, count)
        code = (
            "import resource, sys; from pathlib import Path; from generator.dataset.build import *; "
            "import time; t = time.perf_counter(); "
            "build(Path(sys.argv[1]), Path(sys.argv[2]), Path('scenes'), Options({}, workers=2)); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "
            "resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, time.perf_counter() - t)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(renders), str(folder / f"set{count}")],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        own, workers, seconds = done.stdout.split()[-3:]
        print(
            f"{count:>7} rows: at most {int(own) / 1024:.0f} MiB of memory, a worker {int(workers) / 1024:.0f} MiB; "
            f"{float(seconds):.0f} s ({1000 * float(seconds) / count:.1f} ms a row, 2 processes)"
        )


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
            changed = {"run": name, "part": n, "seed": n, "split": ("train", "validation")[n % 5 == 4]}
            record = {**records[kind], "run": name, "row": {**records[kind]["row"], **changed}}
            writer.writerow(record["row"])
            (folder / "records" / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
            for part in ("images", "masks"):
                # File systems limit the number of hard links to a file.
                source = folder / part / f".{kind}-{n // 9000}.png"
                if not source.exists():
                    source.write_bytes((sample / part / f"s{kind}.png").read_bytes())
                os.link(source, folder / part / f"{name}.png")


def main() -> None:
    """Print the times, or with --memory-rows the memory."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--memory-rows", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="folder for temporary files (default: the system's)")
    options = parser.parse_args()
    import numba

    numba.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        if options.memory_rows:
            memory(options.memory_rows, folder)
            return
        renders = rendered(folder / "renders", options.rows)
        build(rendered(folder / "warm", 64), folder / "warm_set", SCENES, Options({}, workers=1))
        floors, adds, totals = [], [], []
        for turn in range(3):
            (folder / f"floor{turn}").mkdir()
            floors.append(floor_seconds(renders, folder / f"floor{turn}"))
            start = time.process_time()
            build(renders, folder / f"set{turn}", SCENES, Options({}, workers=1))
            totals.append(time.process_time() - start)
            adds.append(nsoart_seconds(renders, folder / f"set{turn}", folder / f"chart{turn}.parquet"))
        ms = 1000.0 / options.rows
        floor, add, total = (float(np.min(values)) * ms for values in (floors, adds, totals))
        print(f"parse, hash, decode, write     {floor:6.2f} ms a row")
        print(f"NSOART picture                 {add:6.2f} ms a row (256 x 128 px; goal: below 10 ms)")
        print(f"whole build on one core        {total:6.2f} ms a row")
        print(f"build without NSOART takes {(total - add) / floor:.2f} times parse to write (goal: at most 1.5 times)")
        print(f"largest resident memory        {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
