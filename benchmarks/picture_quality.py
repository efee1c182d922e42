"""Quality of a picture and its cost in CPU time, by samples and denoiser, for three scenes at two sizes.

    python -m benchmarks.picture_quality [--reference 1024] [--sizes 256x128 512x256] [--write]

The reference is a window of the picture that contains pins, walls and print, rendered with many samples and not
denoised. SSIM (Wang et al. 2004: Gaussian window, luminance) and PSNR compare the sRGB levels of this window, before
sensor noise. Seconds are CPU time of the picture's render call on one thread. `--write` puts the table between the
markers of docs/explanation/quality.md, and its curves into docs/images/picture_quality.png.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from generator.io.srgb import coded

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "explanation" / "quality.md"
BEGIN, END = "<!-- picture_quality: begin -->", "<!-- picture_quality: end -->"
CURVES = ROOT / "docs" / "images" / "picture_quality.png"
SAMPLES = (1, 2, 4, 8, 16)
SIZES = ("256x128", "512x256")
SEEDS = (5, 6)


@dataclass(frozen=True)
class View:
    """A scene seen by a camera under a lighting; `window`: edges x1, y1, x2, y2, as shares of width and height."""

    scene: str
    camera: str
    lighting: str
    window: tuple[float, float, float, float] = (0.05, 0.25, 0.5, 0.85)

    def edges(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the window's edges x1, y1, x2, y2 in px of a picture of `width` x `height` px."""
        x1, y1, x2, y2 = (round(share * side) for share, side in zip(self.window, (width, height) * 2, strict=True))
        return x1, y1, x2, y2


VIEWS = (
    View("connector_3x9", "center", "ring"),
    View("dsub_9", "top", "side"),
    View("wire_to_board_1x6", "left", "dome"),
)


def grid_of_picture(width: int, height: int, samples: int) -> tuple[float, int]:
    """Replace `path_tracer.sampling`: returns 1, so that no finer grid is rendered, and the samples per pixel."""
    return 1.0, samples


def srgb(light: np.ndarray) -> np.ndarray:
    """Encode linear light by the sRGB curve; returns levels from 0 to 1."""
    level: np.ndarray = coded(np.clip(light, 0.0, 1.0)) / 255.0
    return level


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio in dB of two pictures with levels from 0 to 1."""
    return float(-10.0 * np.log10(np.mean((one - other) ** 2)))


def ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean structural similarity of two sRGB pictures (H, W, 3) with levels from 0 to 1."""
    a, b = (picture @ np.array([0.2126, 0.7152, 0.0722]) for picture in (one, other))

    def mean(values: np.ndarray) -> np.ndarray:
        smooth: np.ndarray = gaussian_filter(values, 1.5, truncate=3.5)
        return smooth

    a_mean, b_mean = mean(a), mean(b)
    a_spread, b_spread, both = mean(a * a) - a_mean**2, mean(b * b) - b_mean**2, mean(a * b) - a_mean * b_mean
    light = (2.0 * a_mean * b_mean + 1e-4) / (a_mean**2 + b_mean**2 + 1e-4)
    return float(np.mean(light * (2.0 * both + 9e-4) / (a_spread + b_spread + 9e-4)))


class Laboratory:
    """A Blender whose path tracer renders the same view with several settings.

    Args:
        folder: Folder for the render output.
    """

    def __init__(self, folder: Path) -> None:
        from blender_scripts.contract.connector import read_connector
        from blender_scripts.manifest.output_folder import OutputFolder
        from blender_scripts.manifest.render_settings import sampling
        from blender_scripts.scene import path_tracer
        from blender_scripts.scene.renderer import Renderer

        self.connectors = {view.scene: read_connector(ROOT / "scenes" / f"{view.scene}.toml") for view in VIEWS}
        self.module: Any = path_tracer
        self.planned: Callable[[int, int, int], tuple[float, int]] = sampling
        self.renderer = Renderer(self.connectors, OutputFolder(folder), threads=1)
        self.tracer = self.renderer.tracer

    def lay_out(self, view: View, width: int, height: int, number: int = 3) -> None:
        """Set up part and placing with the seed `number`, seen in `width` x `height` px, without lens distortion."""
        from blender_scripts.geometry.optics import set_up_station
        from blender_scripts.manifest.make_part import make_part

        connector = self.connectors[view.scene]
        housing, terminal = next(iter(connector.housings)), connector.terminal_names[0]
        part = make_part(connector, housing, terminal, "numbers", number, ())
        station = set_up_station(connector, view.camera, number, width, height)
        # No lens distortion: the picture then is the rendered view.
        straight = replace(station.camera, lens=station.camera.undistorted().lens)
        self.renderer.stage.lay_out(part, view.lighting, replace(station, camera=straight))

    def picture(self, width: int, height: int, samples: int, seed: int, how: str) -> tuple[np.ndarray, float]:
        """Render with `samples` per pixel; returns the picture in sRGB and CPU seconds. `how`: one of `HOW`."""
        self.tracer.denoised = how != "none"
        self.module.sampling = grid_of_picture if how == "picture's grid" else self.planned
        self.module.WITHOUT_DENOISER = 1
        start = time.process_time()
        light = self.tracer.picture(width, height, samples, seed)
        return srgb(light), time.process_time() - start

    def reference(self, width: int, height: int, window: tuple[int, int, int, int], samples: int) -> np.ndarray:
        """Render a window (x1, y1, x2, y2 in px) of the picture, not denoised; returns it in sRGB."""
        from blender_scripts.geometry.lens import Window
        from blender_scripts.scene.path_tracer import render_window_only

        self.picture(width, height, 1, 99, "none")
        self.tracer.settings.samples = samples
        render_window_only(self.tracer.render, width, height, Window(*window))
        channels = self.tracer._render_exr(width, height)
        return srgb(np.stack([channels[name] for name in "RGB"], axis=-1))


HOW = ("none", "picture's grid", "finer grid")
Scores = dict[tuple[tuple[int, int], str, int], list[tuple[float, float, float]]]


def measure(reference_samples: int, sizes: Sequence[tuple[int, int]]) -> Scores:
    """Measure SSIM, PSNR (dB) and CPU seconds of each view, by size (width, height) in px, denoiser and samples."""
    found: Scores = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        laboratory = Laboratory(Path(folder))
        for view in VIEWS:
            for width, height in sizes:
                laboratory.lay_out(view, width, height)
                x1, y1, x2, y2 = view.edges(width, height)
                reference = laboratory.reference(width, height, (x1, y1, x2, y2), reference_samples)
                for how in HOW:
                    for samples in SAMPLES:
                        shots = [laboratory.picture(width, height, samples, seed, how) for seed in SEEDS]
                        cuts = [picture[y1:y2, x1:x2] for picture, _ in shots]
                        scores = [(ssim(cut, reference), psnr(cut, reference)) for cut in cuts]
                        near, decibels = np.mean(scores, axis=0)
                        found[(width, height), how, samples].append((near, decibels, min(s for _, s in shots)))
                print(f"measured {view.scene}, {view.camera}, {view.lighting}, {width} x {height} px", file=sys.stderr)
    return found


def table(found: Scores) -> Iterator[str]:
    """Yield the lines of the Markdown table, with the means over the views."""
    sizes = sorted({key[0] for key in found})
    yield "| denoiser | samples | " + " | ".join(f"{w} x {h}: SSIM | PSNR, dB | CPU s" for w, h in sizes) + " |"
    yield "|---|---|" + "---|" * (3 * len(sizes))
    for how in HOW:
        for samples in SAMPLES:
            cells = []
            for size in sizes:
                near, decibels, seconds = np.mean(found[size, how, samples], axis=0)
                cells.append(f"{near:.3f} | {decibels:.1f} | {seconds:.2f}")
            yield f"| {how} | {samples} | " + " | ".join(cells) + " |"


def draw_curves(text: str, path: Path) -> None:
    """Draw PSNR over CPU seconds, one panel per size, one curve per denoiser; `text`: the lines from `table`."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    sizes = [head.partition(":")[0] for head in lines[0][2::3]]
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    for panel, (size, axes) in enumerate(zip(sizes, figure.subplots(1, len(sizes), squeeze=False)[0], strict=True)):
        for how in HOW:
            rows = [line for line in lines[2:] if line[0] == how]
            decibels, seconds = ([float(line[2 + 3 * panel + column]) for line in rows] for column in (1, 2))
            axes.plot(seconds, decibels, "o-", label=how)
            for line, x, y in zip(rows, seconds, decibels, strict=True):
                axes.annotate(line[1], (x, y), xytext=(3, -10), textcoords="offset points", fontsize=7)
        axes.set(title=f"{size} px; numbers: samples", xlabel="CPU seconds per picture", ylabel="PSNR, dB")
        axes.grid(alpha=0.3)
        axes.legend(title="denoiser", fontsize=8)
    figure.savefig(path, dpi=90, metadata={"Software": None})


def write_between(begin: str, end: str, text: str) -> None:
    """Put `text` between the lines `begin` and `end` of docs/explanation/quality.md."""
    page, found = re.subn(f"(?s){begin}\n.*?{end}", lambda _: f"{begin}\n{text}\n{end}", PAGE.read_text("utf-8"))
    if found != 1:
        raise ValueError(f"{PAGE}: expected the lines {begin} and {end} once, got them {found} times")
    PAGE.write_text(page, "utf-8")


def main() -> int:
    """Print the table, with --write also into docs/explanation/quality.md; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--reference", type=int, default=1024, help="samples per pixel of the reference (default: 1024)"
    )
    parser.add_argument("--sizes", nargs="+", default=SIZES, help=f"sizes in px (default: {' '.join(SIZES)})")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    sizes = [(int(width), int(height)) for width, _, height in (size.partition("x") for size in options.sizes)]
    text = "\n".join(table(measure(options.reference, sizes)))
    print(text)
    if options.write:
        write_between(BEGIN, END, text)
        draw_curves(text, CURVES)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # without Blender's own clean-up
