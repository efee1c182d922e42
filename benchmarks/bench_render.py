"""Speed of the renderer and accuracy of its boxes, with the goal for each, as one table.

    python -m benchmarks.bench_render [--rows N]
    PINSIGHT_BLENDERPROC=CHECKOUT PINSIGHT_PYTHON311=PYTHON python -m benchmarks.bench_render

The first line is wall time per picture with one worker per core: the difference between a long and a short run of
`generator render`, so that start-up does not count. Every other time is CPU time of one thread, the median over
pictures, which other programs disturb least. BlenderProc renders the same scene with its default denoiser,
segmentation and COCO labels; CHECKOUT is its checkout, PYTHON a Python 3.11 with bpy 4.5 and its packages. Without
these variables the ratio measured on the day `STORED_ON` is printed. The last line is JSON.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "manifests" / "demo.csv"
REFERENCE = ROOT / "tests" / "blender_scripts" / "scene" / "truth_reference.py"
# How many times as fast as BlenderProc, by (width, height) at 16 samples: where it is not at hand.
STORED = {(512, 512): 2.6, (256, 128): 2.2}
# Our samples whose SSIM is at least that of BlenderProc's 16 (benchmarks.beside_blenderproc), and the ratio with them.
EQUAL_SSIM = {(512, 512): (6, 5.0), (256, 128): (8, 2.6)}
STORED_ON = "2026-11-29"
BOXES_WIDTH = 192
COLUMNS = "run,split,part,seed,scene,housing,terminal,defects,camera,lighting,marking,width,height,samples"


def say(line: str) -> None:
    """Print a line on stderr at once."""
    print(line, file=sys.stderr, flush=True)


def throughput(rows: int) -> float:
    """Return the seconds of wall time per picture, over `rows` pictures of the demo, with one worker per core."""
    workers = os.cpu_count() or 1
    seconds = []
    for count in (2 * workers, 2 * workers + rows):
        with tempfile.TemporaryDirectory() as out:
            command = ["render", str(MANIFEST), "--out", out, "--rows", f"0:{count}", "--engine", "local"]
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "generator", *command], check=True, cwd=ROOT, stdout=subprocess.DEVNULL
            )
            seconds.append(time.perf_counter() - start)
    return (seconds[1] - seconds[0]) / rows


def write_manifest(folder: Path, rows: int, width: int, height: int, samples: int) -> Path:
    """Write a manifest of `rows` pictures of `width` x `height` px: different good parts of connector_3x9."""
    path = folder / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS.split(","))
        looks = ["connector_3x9", "plain", "round", "", "center", "ring", "numbers", width, height, samples]
        writer.writerows([f"row_{n}", "train", n, n, *looks] for n in range(rows))
    return path


def stages(path: Path, rows: int) -> dict[str, list[float]]:
    """Render rows of a manifest in this process with one thread; returns CPU seconds, one per row, by stage.

    The stages are `picture`, `truth` and `whole`. The manifest's first row is not timed: it loads shaders and fills
    caches.
    """
    from blender_scripts.manifest.output_folder import OutputFolder
    from blender_scripts.manifest.reader import read_manifest
    from blender_scripts.scene import renderer

    spent: dict[str, float] = defaultdict(float)

    def timed(owner: Any, name: str, stage: str) -> None:
        call: Callable[..., Any] = getattr(owner, name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                spent[stage] += time.process_time() - start

        setattr(owner, name, wrapper)

    manifest = read_manifest(path, ROOT / "scenes")
    found: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as out:
        subject = renderer.Renderer(manifest.connectors, OutputFolder(Path(out)), threads=1)
        timed(subject.tracer, "picture", "picture")
        timed(subject, "render", "whole")
        timed(subject, "_truth", "truth")
        for number, run in enumerate(manifest.runs[: rows + 1]):
            spent.clear()
            subject.render(run)
            if number:  # the first row loads shaders and fills caches
                for stage, seconds in spent.items():
                    found[stage].append(seconds)
        subject.close()
    return found


def core_seconds(path: Path, rows: int) -> dict[str, float]:
    """Return the median CPU seconds of a row by stage (`stages`), measured in a process of its own."""
    code = f"""
import json
from pathlib import Path
from benchmarks.bench_render import stages
print(json.dumps(stages(Path({str(path)!r}), {rows})))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    return {stage: statistics.median(times) for stage, times in json.loads(done.stdout.splitlines()[-1]).items()}


def blenderproc(width: int, height: int, samples: int, pictures: int, *more: object) -> str | None:
    """Return what in_blenderproc.py prints; None if PINSIGHT_BLENDERPROC or PINSIGHT_PYTHON311 is not set."""
    checkout, python = os.environ.get("PINSIGHT_BLENDERPROC"), os.environ.get("PINSIGHT_PYTHON311")
    if not (checkout and python):
        return None
    script = ROOT / "benchmarks" / "in_blenderproc.py"
    command = [*map(str, (python, script, checkout, width, height, samples, pictures, *more))]
    environment = {**os.environ, "USE_EXTERNAL_BPY_MODULE": "1"}
    return subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, env=environment).stdout


def blenderproc_seconds(width: int, height: int, samples: int) -> float | None:
    """Return BlenderProc's CPU seconds per picture, labels included; None if it is not set up (see `blenderproc`)."""
    seconds = []
    for pictures in (1, 4):
        printed = blenderproc(width, height, samples, pictures)
        if printed is None:
            return None
        (took,) = (line for line in printed.splitlines() if line.startswith("CPU seconds: "))
        seconds.append(float(took.split()[-1]))
    return (seconds[1] - seconds[0]) / 3


def beside_blenderproc(folder: Path, width: int, height: int) -> Iterator[tuple[str, float, float | None, str]]:
    """Compare CPU seconds per picture with those of BlenderProc with 16 samples.

    Yields:
        First with 16 samples of ours, then with as many as give an equal SSIM, if known: a title, our seconds,
        BlenderProc's seconds (None if not measured), and a text that compares both.
    """
    theirs = blenderproc_seconds(width, height, 16)
    equal = EQUAL_SSIM.get((width, height))
    for samples, ratio, which in [(16, STORED[width, height], "samples"), *([(*equal, "SSIM")] if equal else [])]:
        ours = core_seconds(write_manifest(folder, 6, width, height, samples), 5)["whole"]
        beside = f"BlenderProc {theirs:.2f} s, {theirs / ours:.1f} times as long" if theirs else ""
        beside = beside or f"BlenderProc on {STORED_ON} {ratio:g} times as long"
        text = f"{ours:.2f} s a picture; {beside}, at equal {which}"
        yield f"{width} x {height}, {samples} samples, one core", ours, theirs, text


def boxes(rows: int) -> dict[str, float]:
    """Compare the visible boxes of `rows` pictures with 8 times finer renders: `count`, `p95` and `max` error in px."""
    command = [sys.executable, str(REFERENCE), "--rows", str(rows), "--seed", "1", "--widths", str(BOXES_WIDTH)]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    visible: dict[str, float] = json.loads(done.stdout.splitlines()[-1])["visible"]
    return visible


def table(rows: int) -> tuple[list[tuple[str, str, str]], dict[str, Any]]:
    """Measure all, with `rows` pictures of the demo; returns lines (work, measured, goal), and the numbers by name."""
    cores = os.cpu_count() or 1
    figures: dict[str, Any] = {"cores": cores}
    lines = []
    say(f"timing `generator render` on {rows} pictures of the demo")
    seconds = figures["demo_s"] = throughput(rows)
    demo = f"27 pins, 256 x 128, demo quality, {cores} cores"
    lines.append((demo, f"{seconds:.3f} s a picture", "0.15 s on 2 cores"))
    say("timing the stages of a picture")
    shares = figures["demo_core_s"] = core_seconds(MANIFEST, max(4, rows // 2))
    whole = f"{1e3 * shares['truth']:.0f} of {1e3 * shares['whole']:.0f} ms"
    lines.append(("truth, share of a picture", f"{shares['truth'] / shares['whole']:.0%} ({whole}, one core)", "15 %"))
    with tempfile.TemporaryDirectory() as name:
        for width, height in STORED:
            say(f"timing pictures of {width} x {height} px, and BlenderProc's with 16 samples per pixel")
            for work, ours, theirs, text in beside_blenderproc(Path(name), width, height):
                figures[work] = ours
                figures[f"{width}x{height}_blenderproc_core_s"] = theirs
                lines.append((work, text, "3 times"))
        say("timing pictures of 1024 x 512 px with 4 samples per pixel")
        large = figures["1024x512_core_s"] = core_seconds(write_manifest(Path(name), 5, 1024, 512, 4), 4)["whole"]
        text = f"{large:.2f} s a picture; {large / cores:.2f} s with one worker per core"
        lines.append(("1024 x 512, 4 samples, one core", text, "2 s on 2 cores"))
    say("comparing the pins' visible boxes with those of an 8 times finer render")
    found = figures["boxes"] = boxes(6)
    measured = f"95 % of {found['count']} boxes within {found['p95']:.2f} px, the worst {found['max']:.2f} px off"
    lines.append((f"visible boxes at {BOXES_WIDTH} px width", measured, "0.25 and 0.5 px"))
    return lines, figures


def main() -> int:
    """Print the table and the numbers as JSON; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=40, help="number of demo pictures to time (default: 40)")
    lines, figures = table(parser.parse_args().rows)
    lines.insert(0, ("work", "measured", "goal"))
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    for work, measured, goal in lines:
        print(f"{work:{widths[0]}}  {measured:{widths[1]}}  {goal}")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
