"""`python -m generator check`: every mistake of a manifest, or what it holds and what it will cost; renders nothing."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from blender_scripts.contract.connector import check_cameras
from blender_scripts.contract.errors import InputError, shown
from blender_scripts.geometry.mesh_files import read_mesh
from blender_scripts.geometry.welding import placed
from blender_scripts.manifest.defects import worst_kind
from blender_scripts.manifest.make_part import make_part
from blender_scripts.manifest.reader import Manifest, Run, read_manifest
from generator.doe.aliasing import NOTABLE, aliases
from generator.doe.part_class import part_class
from generator.io.source_code import SCENES

# Two 2.5 GHz cores, bpy 5.2 with the denoiser (make bench): seconds of one core.
_CORE_SECONDS_PER_SAMPLE = 4.0e-6
_CORE_SECONDS_PER_PICTURE = 0.28
_BYTES_PER_PIXEL = 1.6
_LONGEST_TABLE = 12
_LONGEST_LABEL = 40
FACTORS = ("scene", "housing", "terminal", "camera", "lighting", "marking")


def add_scenes_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scenes",
        type=Path,
        default=SCENES,
        metavar="DIR",
        help="folder with the scenes (default: %(default)s)",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", type=Path, help="the CSV manifest")
    add_scenes_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Check and print; InputError holds every mistake."""
    manifest = read_manifest(options.manifest, options.scenes)
    _check_meshes(manifest)
    print("\n".join(summary(manifest)))
    return 0


def _check_meshes(manifest: Manifest) -> None:
    """Read every CAD file that the rows need and that no Blender is needed for.

    Raises:
        InputError: with every one that is broken, that its `unit_mm` makes no housing of, or in a camera's way.
    """
    problems = []
    for name, housing in sorted({(run.scene, run.housing) for run in manifest.runs}):
        cad = manifest.connectors[name].housings[housing].cad
        if cad is not None and cad.file.format != "blend":
            try:
                mesh = placed(read_mesh(cad.file), cad.placement, cad.file.name)
                check_cameras(manifest.connectors[name], mesh.bounds, cad.file.name)
            except InputError as error:
                problems += error.problems
    if problems:
        raise InputError(problems)


def summary(manifest: Manifest) -> list[str]:
    """Lines for people: rows by split, a balance table per factor, time and disk."""
    runs = manifest.runs
    splits = list(dict.fromkeys(run.split for run in runs))
    parts = len({run.part for run in runs})
    lines = [
        f"{manifest.path.name}: {len(runs)} pictures of {parts} parts, "
        f"{len(manifest.connectors)} scene(s), no mistake found",
        "",
    ]
    lines += _table("defect", splits, Counter((_kinds(run), run.split) for run in runs))
    for factor in (*FACTORS, *runs[0].extra):
        lines += _table(factor, splits, Counter((str(run.row()[factor]), run.split) for run in runs))
    lines += _table("class", splits, Counter(_classes(manifest)))
    lines += _positions(manifest, splits)
    lines += _aliasing(manifest, splits)
    work = sum(run.width * run.height * run.samples for run in runs) * _CORE_SECONDS_PER_SAMPLE
    work += len(runs) * _CORE_SECONDS_PER_PICTURE
    cores = os.cpu_count() or 1
    disk = sum(run.width * run.height for run in runs) * _BYTES_PER_PIXEL / 1e6
    lines.append(f"estimate: {_duration(work / cores)} on {cores} core(s) with the denoiser, {disk:.0f} MB")
    return lines


def _classes(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Class and split of each row, by the scenes' own tolerances and where the pins stand."""
    for run in manifest.runs:
        connector = manifest.connectors[run.scene]
        part = make_part(connector, run.housing, run.terminal, run.marking, run.part, run.defects)
        yield part_class(part, connector), run.split


def _aliasing(manifest: Manifest, splits: list[str]) -> list[str]:
    """Factors that give each other away, by split: what a model could learn in place of the defect."""
    lines = []
    for split in splits:
        runs = [run for run in manifest.runs if run.split == split]
        rows = [run.row() for run in runs]
        factors = {"defect": [_kinds(run) for run in runs]}
        factors |= {name: [str(row[name]) for row in rows] for name in (*FACTORS, *runs[0].extra)}
        # A column that differs from row to row is a note or a number, no factor.
        few = {name: levels for name, levels in factors.items() if len(set(levels)) <= max(2, len(runs) // 3)}
        found = aliases(few)
        if not found:
            lines.append(f"aliasing in {split}: none of V {NOTABLE:g} or more")
            continue
        lines.append(f"aliasing in {split} (V 1 = given away completely, 0 = independent)")
        lines += [f"  {_label(a.factor)} by {' x '.join(map(_label, a.by))}: {a.v:.2f}" for a in found[:_LONGEST_TABLE]]
        if len(found) > _LONGEST_TABLE:
            lines.append(f"  ({len(found) - _LONGEST_TABLE} more)")
    return [*lines, ""]


def _kinds(run: Run) -> str:
    kinds = sorted({defect.kind for defect in run.defects})
    return "+".join(kinds) if kinds else worst_kind(())


def _table(factor: str, splits: list[str], counts: Counter[tuple[str, str]]) -> list[str]:
    levels = list(dict.fromkeys(level for level, _ in counts))
    rows = [(factor, splits)]
    rows += [(_label(level), [str(counts[level, split]) for split in splits]) for level in levels[:_LONGEST_TABLE]]
    width = max(8, *(len(label) for label, _ in rows))
    lines = [
        f"{label:<{width}}  "
        + "  ".join(f"{cell:>{max(10, len(split))}}" for cell, split in zip(cells, splits, strict=True))
        for label, cells in rows
    ]
    if len(levels) > _LONGEST_TABLE:
        lines.append(f"({len(levels) - _LONGEST_TABLE} more levels)")
    return [*lines, ""]


def _label(level: str) -> str:
    """A level of a user's own factor may be any text; a table has room for one short line."""
    if not level:
        return "(empty)"
    return level if level.isprintable() and len(level) <= _LONGEST_LABEL else shown(level)


def _positions(manifest: Manifest, splits: list[str]) -> list[str]:
    """Which positions carry a defect in which split: the hold-out at a glance."""
    lines = []
    for name, connector in manifest.connectors.items():
        where: dict[str, set[str]] = {split: set() for split in splits}
        for run in manifest.runs:
            if run.scene == name:
                where[run.split].update(address for defect in run.defects for address in defect.addresses)
        letters = {split: chr(ord("A") + number) for number, split in enumerate(splits)}
        legend = ", ".join(f"{letters[split]} {split}" for split in splits)
        lines.append(f"positions with a defect in {name} ({legend}, . none)")
        for row in dict.fromkeys(position.row for position in connector.positions):
            cells = [
                "".join(letters[split] for split in splits if position.address in where[split]) or "."
                for position in connector.positions
                if position.row == row
            ]
            lines.append("  " + " ".join(f"{cell:>{len(splits)}}" for cell in cells))
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
