"""CPU time of `generator build` per row on one core, compared with its unavoidable steps, and the time for NSOART.

    python -m benchmarks.bench_build [--rows 512]

The rows' pictures are drawn, not rendered, at 256 x 128 px, with records of 27 positions. The unavoidable steps are
timed as a loop without checks, which parses, hashes, decodes and writes the same rows to Parquet.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import resource
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


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--folder", type=Path, help="folder for temporary files (default: the system's)")
    options = parser.parse_args()
    import numba

    numba.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
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
