"""Rendering time of a picture of the demo, and its share by stage.

    python -m benchmarks.bench_render [--rows N]

Throughput is the slope between a short and a long run of `generator render`, so that start-up does not count. The
shares are measured in one process with one thread: Blender's render call for the picture, truth (mask render,
projection, boxes) at mask scale 1 and 4, and the rest (scene layout, sensor, encoding, writing). The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "manifests" / "demo.csv"
TRUTH = ("_truth_mask", "project_pins", "positions_truth")


def throughput(rows: int) -> float:
    """Seconds of wall time per picture, with one worker per core."""
    workers = os.cpu_count() or 1
    seconds = []
    for count in (2 * workers, 2 * workers + rows):
        with tempfile.TemporaryDirectory() as out:
            command = [
                "-m",
                "generator",
                "render",
                str(MANIFEST),
                "--out",
                out,
                "--rows",
                f"0:{count}",
                "--engine",
                "local",
            ]
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - start)
    return (seconds[1] - seconds[0]) / rows


def shares(rows: int, mask_scale: int) -> dict[str, float]:
    """Core-seconds per picture by stage, in this process."""
    from blender_scripts.manifest.output_folder import OutputFolder
    from blender_scripts.manifest.reader import read_manifest
    from blender_scripts.scene import renderer

    spent: dict[str, float] = defaultdict(float)

    def timed(owner: Any, name: str) -> None:
        call: Callable[..., Any] = getattr(owner, name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                spent[name] += time.perf_counter() - start

        setattr(owner, name, wrapper)

    manifest = read_manifest(MANIFEST, ROOT / "scenes")
    with tempfile.TemporaryDirectory() as out:
        subject = renderer.Renderer(manifest.connectors, OutputFolder(Path(out)), mask_scale=mask_scale, threads=1)
        timed(subject.tracer, "picture")
        timed(subject, "_truth_mask")
        timed(subject, "render")
        originals = {name: getattr(renderer, name) for name in TRUTH if name != "_truth_mask"}
        for name in originals:
            timed(renderer, name)
        for number, run in enumerate(manifest.runs[: rows + 2]):
            if number == 2:  # the first two are a warm-up
                spent.clear()
            subject.render(run)
        subject.close()
        for name, call in originals.items():
            setattr(renderer, name, call)
    truth = sum(spent[name] for name in TRUTH)
    parts = {"picture": spent["picture"], "truth": truth, "rest": spent["render"] - spent["picture"] - truth}
    return {name: seconds / rows for name, seconds in parts.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=40, help="pictures to time (default: 40)")
    rows = parser.parse_args().rows
    result: dict[str, Any] = {"seconds_a_picture": throughput(rows), "cores": os.cpu_count()}
    print(f"27 pins at 256 x 128: {result['seconds_a_picture']:.3f} s a picture on {result['cores']} cores")
    for scale in (1, 4):
        # A separate process for each, so that Blender's settings do not carry over.
        call = f"json.dumps(shares({max(4, rows // 2)}, {scale}))"
        code = f"import json; from benchmarks.bench_render import shares; print({call})"
        done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        result[f"mask_scale_{scale}"] = found
        words = ", ".join(f"{name} {1e3 * seconds:.0f} ms" for name, seconds in found.items())
        share = 100.0 * found["truth"] / found["picture"]
        print(f"one core, mask scale {scale}: {words}; truth takes {share:.0f} % of a picture's time")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
