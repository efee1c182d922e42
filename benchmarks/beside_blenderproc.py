"""How close pictures of few samples per pixel come to one of 1,024 samples: ours of 1 to 16, BlenderProc's of 16.

    PINSIGHT_BLENDERPROC=CHECKOUT PINSIGHT_PYTHON311=PYTHON python -m benchmarks.beside_blenderproc [--sizes 256x128]

Both renderers show the same part of connector_3x9 to the same camera under the lighting `ring`. Each is compared with
its own picture of 1,024 samples, neither denoised nor adaptively sampled, by SSIM and PSNR of the window of
benchmarks.picture_quality. BlenderProc's picture is made by the sRGB curve, as ours. Without the two variables only
our lines are printed. CPU seconds are those of benchmarks.bench_render: one thread, a whole picture with labels.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.bench_render import blenderproc, blenderproc_seconds, core_seconds, say, write_manifest
from benchmarks.picture_quality import SEEDS, VIEWS, Laboratory, psnr, ssim

VIEW = VIEWS[0]
SAMPLES = (1, 2, 4, 6, 8, 16)
THEIR_SAMPLES, REFERENCE = 16, 1024
# As benchmarks.in_blenderproc has them.
PART = 0
Scores = tuple[float, float]


def ours(width: int, height: int) -> dict[int, Scores]:
    """Return SSIM and PSNR (dB) of our pictures of `width` x `height` px, by samples per pixel."""
    x1, y1, x2, y2 = window = VIEW.edges(width, height)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        laboratory = Laboratory(Path(folder))
        laboratory.lay_out(VIEW, width, height, PART)
        reference = laboratory.reference(width, height, window, REFERENCE)
        for samples in SAMPLES:
            pictures = [laboratory.picture(width, height, samples, seed, "finer grid")[0] for seed in SEEDS]
            cuts = [picture[y1:y2, x1:x2] for picture in pictures]
            near, decibels = np.mean([(ssim(cut, reference), psnr(cut, reference)) for cut in cuts], axis=0)
            found[samples] = float(near), float(decibels)
        laboratory.renderer.close()
    return found


def theirs(width: int, height: int) -> Scores | None:
    """Return SSIM and PSNR (dB) of BlenderProc's picture; None if BlenderProc is not set up (see `blenderproc`)."""
    x1, y1, x2, y2 = window = VIEW.edges(width, height)
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "few.npy", Path(folder) / "many.npy"
        if blenderproc(width, height, THEIR_SAMPLES, 1, "--keep", few) is None:
            return None
        blenderproc(width, height, REFERENCE, 1, "--keep", many, "--window", *window)
        cut, reference = np.load(few)[y1:y2, x1:x2] / 255.0, np.load(many) / 255.0
    return ssim(cut, reference), psnr(cut, reference)


def table(sizes: list[tuple[int, int]]) -> Iterator[str]:
    """Yield the lines of the Markdown table for the sizes (width, height) in px."""
    yield "| size | picture | SSIM | PSNR, dB | CPU s with labels | times as fast |"
    yield "|---|---|---|---|---|---|"
    for width, height in sizes:
        size = f"{width} x {height}"
        say(f"{size}: BlenderProc")
        scores, seconds = theirs(width, height), blenderproc_seconds(width, height, THEIR_SAMPLES)
        if scores and seconds:
            near, decibels = scores
            yield f"| {size} | BlenderProc, {THEIR_SAMPLES} samples | {near:.3f} | {decibels:.1f} | {seconds:.2f} | 1 |"
        say(f"{size}: ours")
        for samples, (near, decibels) in ours(width, height).items():
            with tempfile.TemporaryDirectory() as name:
                took = core_seconds(write_manifest(Path(name), 6, width, height, samples), 5)["whole"]
            faster = f"{seconds / took:.1f}" if seconds else ""
            yield f"| {size} | ours, {samples} samples | {near:.3f} | {decibels:.1f} | {took:.2f} | {faster} |"


def main() -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["512x512", "256x128"], help="in px (default: 512x512 256x128)")
    options = parser.parse_args()
    sizes = [(int(width), int(height)) for width, _, height in (size.partition("x") for size in options.sizes)]
    for line in table(sizes):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # without Blender's own clean-up
