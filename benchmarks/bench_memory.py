"""Memory of a renderer over thousands of small frames; draws docs/images/memory.png.

    python -m benchmarks.bench_memory [--frames 3000] [--plot docs/images/memory.png]

Without --plot the run is short, for `make bench`. The last line is JSON: resident memory (MiB) after a tenth of the
frames and at the end, and the growth between them in per cent.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = "run,split,part,seed,scene,housing,terminal,defects,camera,lighting,marking,width,height,samples"
CAMERAS = ("center", "left", "right", "top", "bottom")
DEFECTS = ("", "missing@r1c1", "retracted@r2c5:depth_mm=2", '"bent@r3c3:tilt_deg=9,azimuth_deg=45"')
SHORT = 200


def write_manifest(path: Path, frames: int) -> Path:
    """Write a manifest whose rows differ, so that the renderer rebuilds part, camera and lighting for each frame."""
    rows = []
    for number in range(frames):
        housing, terminal = ("plain", "ribbed")[number % 2], ("round", "square")[number // 2 % 2]
        marking = ("none", "numbers", "text=Quality")[number % 3]
        light = ("ring", "side", "dome")[number // 3 % 3]
        rows.append(
            f"f{number},train,{number},{number},connector_3x9,{housing},{terminal},{DEFECTS[number % 4]},"
            f"{CAMERAS[number % 5]},{light},{marking},64,32,1"
        )
    path.write_text("\n".join([COLUMNS, *rows]) + "\n", "utf-8")
    return path


def resident_mb(process: int) -> float:
    """Return the resident memory of a process in MiB, given its id (Linux only)."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024.0
    raise RuntimeError(f"/proc/{process}/status: expected a line VmRSS (resident memory), got none")


def command(manifest: Path, *arguments: str) -> list[str]:
    """Return the command that renders a manifest with render.py on one thread, with further `arguments`."""
    script = str(ROOT / "blender_scripts" / "render.py")
    return [sys.executable, script, str(manifest), "--mask-scale", "1", "--threads", "1", *arguments]


def one_process(frames: int) -> list[tuple[int, float]]:
    """Render all frames in one process; returns about 100 points (frames done, resident memory in MiB)."""
    points = []
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_manifest(Path(folder) / "frames.csv", frames)
        process = subprocess.Popen(
            command(manifest, "--out", f"{folder}/out", "--feed"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        for frame in range(frames):
            process.stdin.write(f"{frame}\n")
            process.stdin.flush()
            answer = json.loads(next(line for line in process.stdout if line.startswith("{")))
            if answer["problem"]:
                raise RuntimeError(answer["problem"])
            if (frame + 1) % max(1, frames // 100) == 0:
                points.append((frame + 1, resident_mb(process.pid)))
        process.stdin.close()
        process.wait()
    return points


def recycled_workers(frames: int) -> list[tuple[int, float]]:
    """Render by `generator render`; returns for each second (frames done, resident memory of its worker in MiB)."""
    points: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_manifest(Path(folder) / "frames.csv", frames)
        driver = subprocess.Popen(
            [
                sys.executable,
                *("-m", "generator", "render", str(manifest), "--out", f"{folder}/out"),
                *("--workers", "1", "--mask-scale", "1"),
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        records = Path(folder) / "out" / "records"
        while driver.poll() is None:
            time.sleep(1.0)
            done = len(list(records.glob("*.json"))) if records.is_dir() else 0
            # Linux lists a child process under the thread that started it.
            threads = Path(f"/proc/{driver.pid}/task").glob("*/children")
            with contextlib.suppress(OSError, RuntimeError):
                memory = [resident_mb(int(child)) for file in threads for child in file.read_text().split()]
                if memory:
                    points.append((done, max(memory)))
        if driver.returncode:
            raise RuntimeError(f"generator render {manifest}: expected exit code 0, got {driver.returncode}")
    return points


def draw(curves: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Draw curves of (frames, MiB), by name, into the PNG file `path`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    for (name, points), colour in zip(curves.items(), ("#1f5f8b", "#c2571a"), strict=True):
        axes.plot(*zip(*points, strict=True), color=colour, label=name)
    axes.set(xlabel="frames", ylabel="resident memory, MiB", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def main() -> int:
    """Measure, draw with --plot, and print the memory; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--frames", type=int, default=None, help=f"number of frames (default: 3000 with --plot, else {SHORT})"
    )
    parser.add_argument("--plot", type=Path, default=None, help="PNG file of the memory curves (default: not drawn)")
    options = parser.parse_args()
    frames = options.frames or (3000 if options.plot else SHORT)
    points = one_process(frames)
    if options.plot:
        pool = recycled_workers(frames)
        draw({"render.py, one process": points, "generator render, its worker": pool}, options.plot)
    early, late = points[len(points) // 10][1], points[-1][1]
    growth = 100.0 * (late - early) / early
    print(f"{frames} frames in one process: {early:.0f} MiB after a tenth, {late:.0f} MiB at the end ({growth:+.1f} %)")
    result = {"frames": frames, "early_mib": early, "late_mib": late, "growth_percent": growth}
    if options.plot:
        result["pool_peak_mib"] = max(memory for _, memory in pool)
        print(f"{frames} frames by `generator render`: at most {result['pool_peak_mib']:.0f} MiB in its worker process")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
