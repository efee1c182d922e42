"""`python -m generator check`: print every mistake of a manifest, or else its balance and rendering cost."""

from __future__ import annotations

import argparse
import os
import sys
from array import array
from collections.abc import Sequence
from itertools import compress, groupby
from pathlib import Path
from typing import TYPE_CHECKING

from blender_scripts.contract.connector import check_cameras
from blender_scripts.contract.errors import InputError, shown
from blender_scripts.geometry.mesh import Mesh
from blender_scripts.geometry.mesh_files import read_mesh
from blender_scripts.geometry.welding import placed
from blender_scripts.manifest.make_part import make_part
from blender_scripts.manifest.reader import Manifest, stream_manifest
from blender_scripts.manifest.repeats import distinct
from generator.doe.aliasing import NOTABLE, aliases
from generator.doe.frame import defects_by_position, factors_of, splits_of
from generator.doe.part_class import part_class
from generator.doe.pin_table import is_measurement, pin_tables
from generator.doe.plausibility import Meshes, symmetry_notes, warnings
from generator.io.pictures import decoded
from generator.io.source_code import SCENES

if TYPE_CHECKING:
    import pandas as pd

# Core-seconds, measured on two 2.5 GHz cores with bpy 5.2 and the denoiser (make bench).
_CORE_SECONDS_PER_SAMPLE = 1.0e-6
_CORE_SECONDS_PER_PIXEL = 2.6e-6
_CORE_SECONDS_PER_PICTURE = 0.03
_BYTES_PER_PIXEL = 1.6
_LONGEST_TABLE = 12
_LONGEST_LABEL = 40


def add_scenes_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option `--scenes` to a parser."""
    parser.add_argument(
        "--scenes", type=Path, default=SCENES, metavar="DIR", help="folder of the scene files (default: %(default)s)"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator check` to a parser."""
    parser.add_argument("manifest", type=Path, help="the manifest: a CSV file with one row per picture")
    add_scenes_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Check the manifest and print its summary; returns the exit code.

    Raises:
        InputError: its message lists all mistakes of manifest and scenes, or else of photographs, or else of CAD files.
    """
    manifest = stream_manifest(options.manifest, options.scenes)
    check_photographs(manifest)
    print("\n".join(summary(manifest, _meshes(manifest))))
    return 0


def check_photographs(manifest: Manifest) -> None:
    """Check that every photograph named by the manifest's scenes (as a background) can be decoded.

    Raises:
        InputError: its message lists every photograph that cannot be decoded.
    """
    problems: list[str] = []
    for connector in manifest.connectors.values():
        for photograph in connector.backdrop.photographs if connector.backdrop else ():
            try:
                decoded(photograph.content(), f"{connector.name}.toml fixture.photographs: {photograph.name}")
            except InputError as error:
                problems += error.problems
    if problems:
        raise InputError(problems)


def _meshes(manifest: Manifest) -> Meshes:
    """Read every CAD file of the rows, except .blend files, which need Blender.

    Raises:
        InputError: with every file that is damaged, whose `unit_mm` gives no plausible housing, or whose mesh encloses
            a camera.
    """
    problems: list[str] = []
    found: dict[tuple[str, str], Mesh] = {}
    for name, housing in sorted({(run.scene, run.housing) for run in manifest.runs}):
        cad = manifest.connectors[name].housings[housing].cad
        if cad is not None and cad.file.format != "blend":
            try:
                mesh = placed(read_mesh(cad.file), cad.placement, cad.file.name)
                check_cameras(manifest.connectors[name], mesh.bounds, cad.file.name)
                found[name, housing] = mesh
            except InputError as error:
                problems += error.problems
    if problems:
        raise InputError(problems)
    return found


def summary(manifest: Manifest, meshes: Meshes | None = None) -> list[str]:
    """Return the lines of a manifest's summary: warnings, pictures by split and factor, defective pins, aliasing, cost.

    Args:
        manifest: the checked manifest.
        meshes: meshes of the housings that have a CAD file, by (scene, housing); a CAD file without one is not checked.
    """
    runs = manifest.runs
    factors, splits = factors_of(manifest), splits_of(manifest)
    parts = distinct(array("q", (run.part for run in runs)))
    measures = is_measurement(manifest)
    if measures:
        # Nearly every part has another set of defects.
        factors = factors.iloc[:, 1:]
    warned = warnings(manifest, meshes or {})
    lines = [
        f"{manifest.path.name}: {len(runs)} pictures of {parts} parts, {len(manifest.connectors)} scene(s), "
        + (f"{len(warned)} warning(s)" if warned else "no mistake found"),
        *(f"warning: {line}" for line in warned),
        *(f"note: {line}" for line in symmetry_notes(manifest, meshes or {})),
        "",
    ]
    for factor, levels in factors.items():
        lines += _table(str(factor), levels, splits)
    if measures:
        for title, counts in pin_tables(manifest).items():
            lines += _counts(title, counts)
    else:
        lines += _table("class", _classes(manifest), splits)
    lines += _positions(manifest)
    lines += _aliasing(factors, splits)
    pixels = work = 0.0
    for run in runs:
        pixels += run.width * run.height
        work += run.width * run.height * (_CORE_SECONDS_PER_PIXEL + run.samples * _CORE_SECONDS_PER_SAMPLE)
    work += len(runs) * _CORE_SECONDS_PER_PICTURE
    cores = os.cpu_count() or 1
    disk = pixels * _BYTES_PER_PIXEL / 1e6
    lines.append(
        f"estimate for rendering: {_duration(work / cores)} on {cores} core(s) with the denoiser, {disk:.0f} MB on disk"
    )
    return lines


def _classes(manifest: Manifest) -> list[str]:
    """Compute the class of each row's part from its pin positions and its scene's tolerance."""
    found: list[str] = []
    last: object = None
    for run in manifest.runs:
        look = (run.scene, run.housing, run.terminal, run.marking, run.part, run.defects)
        if look != last:  # the views of a part follow each other
            connector, last = manifest.connectors[run.scene], look
            part = make_part(connector, run.housing, run.terminal, run.marking, run.part, run.defects)
            name = sys.intern(part_class(part, connector))
        found.append(name)
    return found


def _aliasing(factors: pd.DataFrame, splits: pd.Series[str]) -> list[str]:
    """Text lines of aliased factors by split: a model could learn such a factor in place of the defect."""
    lines = []
    for split, rows in factors.groupby(splits, sort=False, observed=True):
        # A column with a different value in most rows is a note or a number, not a factor.
        found = aliases(
            {str(name): levels.cat.codes for name, levels in rows.items() if levels.nunique() <= max(2, len(rows) // 3)}
        )
        if not found:
            lines.append(f"factors that vary together in split {split}: none (no Cramér's V of {NOTABLE:g} or more)")
            continue
        lines.append(f"factors that vary together in split {split} (Cramér's V: 0 = independent, 1 = fully dependent)")
        lines += [
            f"  {_label(a.factor)} with {' x '.join(map(_label, a.by))}: {a.v:.2f}" for a in found[:_LONGEST_TABLE]
        ]
        if len(found) > _LONGEST_TABLE:
            lines.append(f"  ({len(found) - _LONGEST_TABLE} more such factors)")
    return [*lines, ""]


def _table(factor: str, levels: Sequence[str] | pd.Series[str], splits: pd.Series[str]) -> list[str]:
    import numpy as np
    import pandas as pd

    (rows, names), (columns, of_splits) = pd.factorize(pd.Series(levels)), pd.factorize(splits)
    shape = len(names), len(of_splits)
    counts = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)
    return _counts(factor, pd.DataFrame(counts, index=list(names), columns=list(of_splits)))


def _counts(factor: str, counts: pd.DataFrame) -> list[str]:
    """Text lines of a table of counts: levels below each other, splits side by side."""
    rows = [(factor, list(counts.columns))]
    rows += [(_label(level), [*map(str, row)]) for level, *row in counts[:_LONGEST_TABLE].itertuples()]
    width = max(8, *(len(label) for label, _ in rows))
    lines = [
        f"{label:<{width}}  "
        + "  ".join(f"{cell:>{max(10, len(split))}}" for cell, split in zip(cells, counts.columns, strict=True))
        for label, cells in rows
    ]
    if len(counts) > _LONGEST_TABLE:
        lines.append(f"({len(counts) - _LONGEST_TABLE} more levels of {factor})")
    return [*lines, ""]


def _label(level: str) -> str:
    """Shorten a level to one line: levels of a user's own factor may be any text."""
    if not level:
        return "(empty)"
    return level if level.isprintable() and len(level) <= _LONGEST_LABEL else shown(level)


def _positions(manifest: Manifest) -> list[str]:
    """Text lines of a map per scene: the splits in which each position has a defect."""
    lines = []
    for name, connector in manifest.connectors.items():
        counts = defects_by_position(manifest, name)
        letters = [chr(ord("A") + number) for number in range(counts.shape[1])]
        legend = ", ".join(f"{letter} = {split}" for letter, split in zip(letters, counts.columns, strict=True))
        blank = ", - = position without a pin" if connector.blanks else ""
        lines.append(f"splits in which each pin of scene {name} has defects ({legend}, . = no split{blank})")
        cells = {p: "".join(compress(letters, counts.loc[p.address].to_numpy())) or "." for p in connector.positions}
        places = sorted((*connector.positions, *connector.blanks), key=lambda each: (each.row, each.position))
        for _, row in groupby(places, key=lambda each: each.row):
            lines.append("  " + " ".join(f"{cells.get(each, '-'):>{len(letters)}}" for each in row))
        lines.append("")
    return lines


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
