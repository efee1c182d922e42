"""`python -m generator design SPEC.toml -o manifest.csv`: factors and levels to a balanced manifest.

Each split is filled class by class. The table of levels is repeated as often as the class has pictures, with its levels
renamed at random each time, so that every level occurs equally often and aliases average out. Kinds and positions go to
rows in turn, the least used first; sizes and directions are Latin hypercube draws. What class a row has is computed
from where its pins stand, as the renderer will measure them, and a row is drawn again until it has the class that is
its turn.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.reader import OPTIONAL, REQUIRED, Manifest, read_manifest
from generator.doe.assignment import Assignment
from generator.doe.blocks import SceneBlocks
from generator.doe.check import add_scenes_argument, summary
from generator.doe.drawing import Drawing
from generator.doe.levels import class_counts, rows_of
from generator.doe.row import Row, in_turn
from generator.doe.spec import BLOCK, Spec, SplitSpec
from generator.doe.spec_reader import read_spec
from generator.io.output_file import check_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", type=Path, metavar="SPEC", help="the design, a TOML file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CSV", help="the manifest to write")
    parser.add_argument(
        "--map", type=Path, metavar="PNG", help="draw which pins train and which validate into this picture"
    )
    add_scenes_argument(parser)


def run(options: argparse.Namespace) -> int:
    """Write the manifest, checked as any other, and print its balance."""
    check_file(options.output, "-o", (".csv",), [options.spec])
    if options.map is not None:
        check_file(options.map, "--map", (".png",), [options.spec])
    spec = read_spec(options.spec)
    text = design(spec, options.scenes)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = options.output.with_name(f".{options.output.stem[-60:]}.building.csv")
    try:
        unfinished.write_text(text, encoding="utf-8", newline="")
        manifest = read_manifest(unfinished, options.scenes)
        unfinished.replace(options.output)
    except InputError as error:
        raise InputError(_as_in_spec(error.problems, unfinished.name, text, spec)) from None
    finally:
        unfinished.unlink(missing_ok=True)
    manifest = Manifest(options.output, manifest.runs, manifest.connectors, manifest.content)
    sys.stdout.write("\n".join(summary(manifest)) + "\n")
    if options.map is not None:
        # Imported here: matplotlib takes a second.
        from generator.doe.position_map import write_position_map

        write_position_map(manifest, options.map)
    return 0


def _as_in_spec(problems: Sequence[str], name: str, text: str, spec: Spec) -> list[str]:
    """Mistakes of the rows under the keys that the rows came from, each once.

    Args:
        problems: of `read_manifest`.
        name: of the file that it read.
        text: of that file.
        spec: what the rows came from.
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
    """The manifest of a SPEC as CSV text.

    Args:
        spec: of `read_spec`.
        scenes: folder of the scene files.

    Raises:
        InputError: a scene that cannot be read, factors that fit no table, or defects that no part can show.
    """
    blocks = SceneBlocks(spec, scenes)
    assignment = Assignment(blocks)
    drawing = Drawing(assignment)
    rows = [row for split in spec.splits for row in _split_rows(split, assignment, drawing)]
    if not rows:
        raise InputError(f"{spec.path.name}: expected at least one row in some split, got none")
    return _csv(spec, rows)


def _split_rows(split: SplitSpec, assignment: Assignment, drawing: Drawing) -> list[Row]:
    """The pictures of a split, class by class, then in turn."""
    spec = assignment.spec
    rows: list[list[Row]] = []
    for name, count in class_counts(spec, split).items():
        cell = rows_of(spec, split, name, count)
        assignment.scenes.check_levels(cell)
        assignment.assign(split, name, cell)
        drawing.draw(split, name, cell)
        rows.append(cell)
    order = spec.random("order", split.name)
    for cell in rows:
        # Captures of one part stay together.
        units = [[row for row in cell if row.unit == unit] for unit in sorted({row.unit for row in cell})]
        order.shuffle(units)
        cell[:] = [row for unit in units for row in unit]
    return list(in_turn(rows))


def _csv(spec: Spec, rows: Sequence[Row]) -> str:
    columns = list(dict.fromkeys(column for factor in spec.splits[0].factors for column in factor.columns))
    own = [column for column in columns if column not in (*REQUIRED, *OPTIONAL)]
    header = ["run", "split", "part", "seed"]
    header += [name for name in REQUIRED if name not in header]
    header += [name for name in columns if name in OPTIONAL and name not in header]
    header += [*own, BLOCK]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    digits = max(3, len(str(len(rows))))
    positions = {split.name: split.positions for split in spec.splits}
    for number, row in enumerate(rows, 1):
        cells = {
            **row.levels,
            "run": f"{spec.name}_{number:0{digits}d}",
            "split": row.split,
            "part": row.part,
            "seed": spec.first_part + number - 1,
            "defects": row.defects,
            BLOCK: positions[row.split],
        }
        writer.writerow([cells[name] for name in header])
    return buffer.getvalue()
