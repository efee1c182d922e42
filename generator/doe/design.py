"""`python -m generator design SPEC.toml -o manifest.csv`: write a balanced manifest from factors and levels.

Each split is filled class by class. The table of levels is repeated until the class has all its pictures; each table
but a split's first has its levels permuted at random, so that every level occurs equally often and aliases average out.
Designs of kind lhs, sobol and random have no table: levels are drawn row by row. Each row takes the kinds of defect and
positions used least so far. Sizes and directions are Latin hypercube draws, in designs of kind sobol or random draws of
that kind. The class of a row is computed from the positions of its pins, as the renderer will measure them; a row
without its planned class is drawn again. Designs with [measurement] have no classes and displace every pin.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from blender_scripts.contract.defect import PRINT
from blender_scripts.contract.errors import InputError
from blender_scripts.contract.world import WORLDS
from blender_scripts.manifest.reader import OPTIONAL, REQUIRED, Manifest, read_manifest
from generator.dataset.labels import class_of_kind
from generator.doe.assignment import DRAWS, LEAST_VALID, Assignment
from generator.doe.blocks import SceneBlocks
from generator.doe.check import add_scenes_argument, summary
from generator.doe.drawing import Drawing
from generator.doe.levels import class_counts, rows_of
from generator.doe.measuring import Measuring
from generator.doe.row import Row, interleaved
from generator.doe.spec import BLOCK, PATTERN, Factor, KindSpec, Spec, SplitSpec
from generator.doe.spec_reader import read_spec
from generator.io.output_file import check_file, write_error, write_whole

_WORLD = "world"
# Sets part number and defects of the rows of a class in a split.
Fill = Callable[[SplitSpec, str, Sequence[Row]], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator design` to a parser."""
    parser.add_argument("spec", type=Path, metavar="SPEC", help="the design: a TOML file with factors and levels")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CSV", help="manifest to write")
    parser.add_argument(
        "--map",
        type=Path,
        metavar="PNG",
        help="also write a picture that shows for each pin in which splits it has defects",
    )
    parser.add_argument(
        "--world",
        choices=WORLDS,
        help="world of every picture, the manifest's column world: wide changes materials, light, background, blur, "
        "exposure and noise at random, to train for real stations (default: the SPEC's factor world; without it no "
        "such column, which means scene)",
    )
    add_scenes_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Write the manifest, check it as `generator check` does, except CAD files and photographs, and print its summary.

    Raises:
        InputError: the SPEC (the design's TOML file) has mistakes, or no manifest fits it; no manifest is written. Or
            the manifest is written, but the picture of --map cannot be.
    """
    check_file(options.output, "-o", (".csv",), [options.spec])
    if options.map is not None:
        check_file(options.map, "--map", (".png",), [options.spec])
    spec = read_spec(options.spec)
    if options.world:
        spec = in_world(spec, options.world)
    text, notes = _made(spec, options.scenes)
    unfinished = options.output.with_name(f".{options.output.stem[-50:]}.building.csv")
    try:
        _write(text, unfinished, options.output)
        manifest = read_manifest(unfinished, options.scenes)
        unfinished.replace(options.output)
    except InputError as error:
        raise InputError(_as_in_spec(error.problems, unfinished.name, text, spec)) from None
    finally:
        unfinished.unlink(missing_ok=True)
    manifest = Manifest(options.output, manifest.runs, manifest.connectors, manifest.content)
    sys.stdout.write("\n".join([*summary(manifest), *notes]) + "\n")
    if options.map is not None:
        # Imported here, as matplotlib takes a second to import.
        from generator.doe.position_map import write_position_map

        write_position_map(manifest, options.map)
    return 0


def in_world(spec: Spec, world: str) -> Spec:
    """Return a design whose pictures are all of one world; nothing else in its manifest changes.

    Args:
        spec: the design, from `read_spec`.
        world: one of WORLDS.

    Raises:
        InputError: the SPEC has a factor `world` of its own.
    """
    if any(_WORLD in factor.columns for split in spec.splits for factor in split.factors):
        raise InputError(f"--world: expected a SPEC without the factor {_WORLD}, got {spec.path.name}, which has one")
    whole = Factor((_WORLD,), ((world,),))
    return replace(spec, splits=tuple(replace(split, factors=(*split.factors, whole)) for split in spec.splits))


def _write(text: str, unfinished: Path, output: Path) -> None:
    """Write a manifest under the name `unfinished`; messages name `output`."""
    try:
        write_whole(unfinished, text.encode())
    except OSError as error:
        raise write_error(f"-o {output}", error) from error


def _as_in_spec(problems: Sequence[str], name: str, text: str, spec: Spec) -> list[str]:
    """Replace manifest rows and columns in messages by the SPEC's lines and keys, each mistake once.

    Args:
        problems: messages of `read_manifest`.
        name: name of the manifest file in these messages.
        text: the manifest.
        spec: the SPEC that the manifest was made from.
    """
    rows = csv.DictReader(io.StringIO(text, newline=""))
    splits, start = {}, 2
    for row in rows:
        splits[start], start = row["split"], rows.line_num + 1
    found: dict[str, str] = {}
    for problem in problems:
        if match := re.fullmatch(rf"{re.escape(name)}:(\d+) ([^:]+): (.*)", problem, re.DOTALL):
            split, column = splits.get(int(match[1]), ""), match[2]
            place = spec.places.get((split, column)) or spec.places.get(("", column))
            problem = f"{place or f'{spec.path.name}: {column}'}: {match[3]}"
        found.setdefault(problem.partition(", got ")[0], problem)
    return list(found.values())


def design(spec: Spec, scenes: Path) -> str:
    """Make the manifest of a design; returns its CSV text.

    Args:
        spec: the design, from `read_spec`.
        scenes: folder of the scene files.

    Raises:
        InputError: a scene cannot be read, no table fits the factors, or no part can have the defects.
    """
    return _made(spec, scenes)[0]


def _made(spec: Spec, scenes: Path) -> tuple[str, list[str]]:
    """The manifest of a SPEC, and lines that report how it was made."""
    blocks = SceneBlocks(spec, scenes)
    measuring = Measuring(blocks, spec.measurement) if spec.measurement else None
    assignment = Assignment(blocks)
    fill = measuring.measure if measuring else _with_defects(assignment)
    rows = [row for split in spec.splits for row in _split_rows(split, blocks, fill)]
    if not rows:
        raise InputError(f"{spec.path.name}: splits: expected at least one row in one of the splits, got no rows")
    return _csv(spec, rows), measuring.notes() if measuring else _missing_kinds(spec, assignment, rows)


def _missing_kinds(spec: Spec, assignment: Assignment, rows: Sequence[Row]) -> list[str]:
    """Lines on the kinds of defect of a SPEC that no picture has; raises InputError if one is possible in none."""
    if impossible := assignment.impossible():
        raise InputError(
            [
                f"{spec.path.name}: defects.{label}: expected a kind of defect that is possible with a scene, housing, "
                f"terminal, marking and positions of the design, got one{_sizes(spec.defects[label])} of which "
                f"fewer than {LEAST_VALID} of {DRAWS} random draws for each gave a part"
                for label in impossible
            ]
        )
    shown = {label for row in rows for label in row.kinds}
    notes = []
    for label, defect in spec.defects.items():
        name = class_of_kind(defect.kind)
        if label not in shown:
            why = "too few pictures" + ", or no marking" * (defect.at == PRINT)
            if not any(split.classes.get(name) for split in spec.splits):
                why = f"its class {name} has weight 0 (table [classes])"
            notes.append(f"note: {spec.path.name}: defects.{label}: no picture has this defect: {why}")
    return notes


def _sizes(defect: KindSpec) -> str:
    if defect.size is None:
        return ""
    return f" with sizes from {defect.size.low:g} to {defect.size.high:g} times the limit"


def _with_defects(assignment: Assignment) -> Fill:
    drawing = Drawing(assignment)

    def fill(split: SplitSpec, name: str, rows: Sequence[Row]) -> None:
        assignment.assign(split, name, rows)
        drawing.draw(split, name, rows)

    return fill


def _split_rows(split: SplitSpec, blocks: SceneBlocks, fill: Fill) -> list[Row]:
    """The rows of a split: made class by class, then shuffled with the classes alternating."""
    spec = blocks.spec
    rows: list[list[Row]] = []
    for name, count in class_counts(spec, split).items():
        cell = rows_of(spec, split, name, count)
        blocks.check_levels(cell)
        fill(split, name, cell)
        rows.append(cell)
    order = spec.random("order", split.name)
    for cell in rows:
        # All captures of one part stay next to each other.
        units = [[row for row in cell if row.unit == unit] for unit in sorted({row.unit for row in cell})]
        order.shuffle(units)
        cell[:] = [row for unit in units for row in unit]
    return list(interleaved(rows))


def _csv(spec: Spec, rows: Sequence[Row]) -> str:
    columns = list(dict.fromkeys(column for factor in spec.splits[0].factors for column in factor.columns))
    own = [column for column in columns if column not in (*REQUIRED, *OPTIONAL)]
    header = ["run", "split", "part", "seed"]
    header += [name for name in REQUIRED if name not in header]
    header += [name for name in columns if name in OPTIONAL and name not in header]
    header += [*own, *([PATTERN] if spec.measurement else []), BLOCK]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    digits = max(3, len(str(len(rows))))
    positions = {split.name: split.positions for split in spec.splits}
    fixtures: dict[tuple[object, ...], int] = {}
    for number, row in enumerate(rows, 1):
        seed = spec.first_part + number - 1
        # A level names one of a part's placings; the manifest numbers all placings, each by its first capture's seed.
        placing = (row.levels["scene"], row.part, row.levels.get("fixture"))
        cells = {
            **row.levels,
            "run": f"{spec.name}_{number:0{digits}d}",
            "split": row.split,
            "part": row.part,
            "seed": seed,
            "fixture": fixtures.setdefault(placing, seed),
            "defects": row.defects,
            BLOCK: positions[row.split],
        }
        writer.writerow([cells[name] for name in header])
    return buffer.getvalue()
