"""`python -m generator preview`: render some rows of a manifest with few samples, and draw one contact sheet."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import batched
from pathlib import Path

import numpy as np
from PIL import Image

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.errors import InputError
from blender_scripts.contract.world import SCENE
from blender_scripts.manifest.defects import worst_kind
from blender_scripts.manifest.output_folder import OutputFolder
from blender_scripts.manifest.reader import OPTIONAL, REQUIRED, Run, read_manifest
from blender_scripts.manifest.record import read_record
from generator.doe.check import add_scenes_argument
from generator.io.csv_text import csv_text
from generator.io.drawing import QUIET, Cell, Ink, grid, placeholder
from generator.io.number_option import whole_number
from generator.io.output_file import check_file
from generator.io.pictures import open_picture

CAPTION_PX = 68
# A pixel whose brightest channel reaches this of 255 is burnt out: it shows neither shading nor edges.
_BURNT = 254
# Least share of a housing's pixels that is worth a warning, and the factor on the lamp's power that it advises.
_BURNT_SHARE = 0.05
_LESS_POWER = 0.6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator preview` to its parser."""
    parser.add_argument("manifest", type=Path, help="the CSV manifest")
    sheet = "picture file to write: a contact sheet of the rendered rows"
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PNG", help=sheet)
    parser.add_argument(
        "--pictures", type=whole_number, default=12, metavar="N", help="number of rows to show, 1 to 100 (default: 12)"
    )
    parser.add_argument(
        "--samples",
        type=whole_number,
        default=1,
        metavar="N",
        help="light paths per pixel; the manifest's `samples` are not used (default: 1)",
    )
    parser.add_argument(
        "--workers",
        type=whole_number,
        default=None,
        metavar="N",
        help="number of renderer processes (default: one per core)",
    )
    add_scenes_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Choose rows, render them into a temporary folder, and write the sheet; returns 1 if a row failed, else 0."""
    for name, value, low, high in (
        ("--pictures", options.pictures, 1, 100),
        ("--samples", options.samples, 1, 4096),
        ("--workers", options.workers or 1, 1, 1024),
    ):
        if not low <= value <= high:
            raise InputError(f"{name}: expected a number from {low} to {high}, got {value}")
    check_file(options.output, "-o", (".png",), [options.manifest])
    checked = read_manifest(options.manifest, options.scenes)
    chosen = spread(checked.runs, options.pictures)
    with tempfile.TemporaryDirectory(prefix="pinsight-preview-") as folder:
        manifest, out = Path(folder) / "preview.csv", Path(folder) / "out"
        manifest.write_text(_manifest(chosen, options.samples), encoding="utf-8", newline="")
        code = _render(manifest, out, options)
        warnings = burnt_warnings(chosen, OutputFolder(out), checked.connectors)
        sheet = contact_sheet([(run, out / "images" / f"{run.run}.png") for run in chosen])
    options.output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.output, "PNG")
    sys.stdout.write(f"wrote {options.output}: rows: {len(chosen)}, light paths per pixel: {options.samples}\n")
    sys.stdout.writelines(f"warning: {warning}\n" for warning in warnings)
    return code


def burnt_warnings(runs: Sequence[Run], output: OutputFolder, connectors: Mapping[str, Connector]) -> list[str]:
    """Return a warning for each lighting and housing of which 5 % or more of the pixels are burnt out (saturated).

    The mean over the rows counts. `runs` are the rows, `output` is their render folder (rows without a record in it are
    left out), and `connectors` has their scenes by name.
    """
    shares: dict[tuple[str, str, str], list[float]] = {}
    for run in runs:
        if output.record(run.run).is_file() and (share := burnt_share(output, run.run)) is not None:
            shares.setdefault((run.scene, run.housing, run.lighting), []).append(share)
    warnings = []
    for (scene, housing, lighting), found in shares.items():
        share, power = sum(found) / len(found), connectors[scene].lightings[lighting].power
        if share >= _BURNT_SHARE:
            warnings.append(
                f"{share:.0%} of the pixels of housing {housing} are burnt out (saturated) under lighting {lighting}: "
                f"try power = {_LESS_POWER * power:.2g} instead of {power:g} in [lighting.{lighting}] of {scene}.toml"
            )
    return warnings


def burnt_share(output: OutputFolder, run: str) -> float | None:
    """Return the share, 0 to 1, of a housing's pixels that are burnt out (saturated); None if it is not in view.

    `run` is the name of a row in the render folder `output`. The pixels of the pins do not count.
    """
    box = read_record(output.record(run))["housing"]["boxes"]["visible"]
    if box is None:
        return None
    x1, y1, x2, y2 = (max(0, round(edge)) for edge in box)
    picture = np.asarray(open_picture(output.image(run), run).convert("RGB"))[y1:y2, x1:x2]
    # The tips of pins may shine: that tells nothing about the exposure of the housing.
    housing = np.asarray(Image.open(output.mask(run)))[y1:y2, x1:x2] == 0
    return float((picture.max(axis=2) >= _BURNT)[housing].mean()) if housing.any() else None


def spread(runs: Sequence[Run], count: int) -> list[Run]:
    """Choose at most `count` rows that differ most in kind of defect, camera and so on, in the manifest's order."""
    seen: Counter[tuple[str, str]] = Counter()
    left = list(range(len(runs)))
    levels = [
        [("kind", "+".join(sorted({d.kind for d in run.defects})) or worst_kind(()))]
        + [
            (name, str(run.row()[name]))
            for name in ("split", "scene", "housing", "terminal", "camera", "lighting", "marking", "world")
        ]
        for run in runs
    ]
    chosen: list[int] = []
    while left and len(chosen) < count:
        # The kind of defect matters most to a reader, and counts twice.
        best = min(left, key=lambda i: (2 * seen[levels[i][0]] + sum(seen[level] for level in levels[i][1:]), i))
        seen.update(levels[best])
        left.remove(best)
        chosen.append(best)
    return [runs[i] for i in sorted(chosen)]


def _manifest(runs: Sequence[Run], samples: int) -> str:
    columns = (*REQUIRED, *OPTIONAL)
    rows = ({**run.row(), "samples": samples} for run in runs)
    return csv_text(columns, ({name: row[name] for name in columns if name in row} for row in rows), "\n")


def _render(manifest: Path, out: Path, options: argparse.Namespace) -> int:
    # Imported here, so that --help does not load the renderer's modules.
    from generator.rendering import render

    parser = argparse.ArgumentParser()
    render.add_arguments(parser)
    arguments = [str(manifest), "--out", str(out), "--scenes", str(options.scenes), "--mask-scale", "1"]
    return render.run(parser.parse_args(arguments + (["--workers", str(options.workers)] if options.workers else [])))


def contact_sheet(pictures: Sequence[tuple[Run, Path]]) -> Image.Image:
    """Draw pictures, given as (row, file), in a grid; above each stand its row's name, split, defects and factors."""
    cells = []
    for run, path in pictures:
        size = run.width, run.height
        picture = open_picture(path, str(path)) if path.is_file() else placeholder(size, "not rendered")
        cells.append(Cell(picture, _caption(run)))
    width, height = (max(side) for side in zip(*(cell.picture.size for cell in cells), strict=True))
    columns = max(1, min(len(cells), round(math.sqrt(len(cells) * 1.5 * (height + CAPTION_PX) / width))))
    return grid(batched(cells, columns))


def _caption(run: Run) -> list[str | tuple[str, Ink]]:
    defects = ", ".join(f"{d.kind} {d.target}" for d in run.defects) or "no defect"
    part, picture = (run.scene, run.housing, run.terminal), [run.camera, run.lighting, run.marking]
    if run.world != SCENE:
        picture.append(f"{run.world} world")
    return [f"{run.run}  {run.split}", defects, (" · ".join(part), QUIET), (" · ".join(picture), QUIET)]
