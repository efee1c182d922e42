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
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.stats import qmc

from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.contract.defect import HOUSING, PAIR, PIN, PRINT
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.clearance import collisions
from blender_scripts.manifest.defects import parse_defects
from blender_scripts.manifest.make_part import make_part
from blender_scripts.manifest.reader import OPTIONAL, REQUIRED, Manifest, read_manifest
from generator.dataset.labels import OK, class_of_kind
from generator.doe import tables
from generator.doe.blocks import held_out_addresses, neighbours
from generator.doe.check import add_scenes_argument, summary
from generator.doe.part_class import part_class
from generator.doe.spec import (
    ALL,
    BLOCK,
    HELD_OUT,
    SAMPLED,
    SIZED,
    Factor,
    KindSpec,
    Range,
    Spec,
    SplitSpec,
    read_spec,
)
from generator.io.output_file import check_file

TRIES = 400
# After so many tries of other directions and parts, another size is tried too.
_TRIES_OF_A_SIZE = 40
# And after so many, other pins.
_TRIES_OF_A_TARGET = 120
# A kind that no part of these looks showed in so many tries is not asked of them.
_PROBES = 12
# Sizes this near to the tolerance would fall on either side of it by a good pin's scatter.
_MARGIN = 1e-3
_DRAWS_OF_A_PART = 300


@dataclass
class Row:
    """One picture in the making. `part` numbers are given when its class has been verified."""

    split: str
    wanted: str
    levels: dict[str, str]
    unit: int
    kinds: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    part: int = 0
    defects: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", type=Path, metavar="SPEC", help="the design, a TOML file")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="CSV", help="the manifest to write"
    )
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
    return _Designer(spec, scenes).text()


class Balancer:
    """Hands out things so that each is used equally often, alone and together with every level of every factor."""

    def __init__(self, weights: dict[str, float], source: random.Random) -> None:
        self.weights = weights
        self.source = source
        self.used: Counter[str] = Counter()
        self.met: Counter[tuple[str, str, str]] = Counter()

    def take(self, levels: dict[str, str], without: Sequence[str] = ()) -> str:
        """The next one for a row of these levels, none of `without`."""
        free = [thing for thing in self.weights if thing not in without]
        least = min(self.used[thing] / self.weights[thing] for thing in free)
        # By weight they may differ by less than one use; only the least used are in question.
        free = [thing for thing in free if self.used[thing] / self.weights[thing] <= least + 1e-9]
        ranked = [
            (sum(self.met[thing, *item] for item in levels.items()), self.source.random(), thing)
            for thing in free
        ]
        chosen = min(ranked)[2]
        self.used[chosen] += 1
        self.met.update((chosen, *item) for item in levels.items())
        return chosen


class _Designer:
    def __init__(self, spec: Spec, scenes: Path) -> None:
        self.spec = spec
        self.scenes = scenes
        self.connectors: dict[str, Connector] = {}
        self.held: dict[str, tuple[str, ...]] = {}
        self.next_part = spec.first_part
        self.shows: dict[tuple[str, ...], bool] = {}

    def text(self) -> str:
        splits = [(split, self._split(split)) for split in self.spec.splits]
        rows = [row for _, split_rows in splits for row in split_rows]
        if not rows:
            raise InputError(f"{self.spec.path.name}: expected at least one row in some split, got none")
        columns = list(
            dict.fromkeys(column for factor in self.spec.splits[0].factors for column in factor.columns)
        )
        own = [column for column in columns if column not in (*REQUIRED, *OPTIONAL)]
        header = ["run", "split", "part", "seed"]
        header += [name for name in REQUIRED if name not in header]
        header += [name for name in columns if name in OPTIONAL and name not in header]
        header += [*own, BLOCK]
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(header)
        digits = max(3, len(str(len(rows))))
        positions = {split.name: split.positions for split, _ in splits}
        for number, row in enumerate(rows, 1):
            cells = {
                **row.levels,
                "run": f"{self.spec.name}_{number:0{digits}d}",
                "split": row.split,
                "part": row.part,
                "seed": self.spec.first_part + number - 1,
                "defects": row.defects,
                BLOCK: positions[row.split],
            }
            writer.writerow([cells[name] for name in header])
        return buffer.getvalue()

    def _random(self, *purpose: str) -> random.Random:
        """A generator of its own for each purpose, so that a change of one split leaves the others as they were."""
        return random.Random("/".join((str(self.spec.seed), *purpose)))

    def _connector(self, name: str) -> Connector:
        if name not in self.connectors:
            path = self.scenes / f"{name}.toml"
            if not path.is_file():
                offered = ", ".join(sorted(p.stem for p in self.scenes.glob("*.toml")))
                raise InputError(f"{self.spec.path.name}: scene: expected one of {offered}, got {name!r}")
            connector = read_connector(path)
            self.connectors[name] = connector
            try:
                self.held[name] = held_out_addresses(
                    connector.positions, self.spec.held_out, self._random("held_out", name), name
                )
            except InputError as error:
                raise InputError(f"{self.spec.path.name}: {error}") from None
        return self.connectors[name]

    def _block(self, scene: str, positions: str) -> list[str]:
        connector = self._connector(scene)
        held = self.held[scene]
        return [
            p.address
            for p in connector.positions
            if positions == ALL or (p.address in held) == (positions == HELD_OUT)
        ]

    def _split(self, split: SplitSpec) -> list[Row]:
        rows: list[list[Row]] = []
        for name, count in self._counts(split).items():
            cell = self._levels(split, name, count)
            self._check_levels(cell)
            self._assign(split, name, cell)
            self._draw(split, name, cell)
            rows.append(cell)
        order = self._random("order", split.name)
        for cell in rows:
            # Captures of one part stay together.
            units = [[row for row in cell if row.unit == unit] for unit in sorted({row.unit for row in cell})]
            order.shuffle(units)
            cell[:] = [row for unit in units for row in unit]
        return list(_in_turn(rows))

    def _counts(self, split: SplitSpec) -> dict[str, int]:
        """Pictures of each class."""
        if split.replicates is not None:
            runs = len(self._table(split, OK, 0)[0]) * len(self._captures(split))
            return {name: weight * runs * split.replicates for name, weight in split.classes.items()}
        total = sum(split.classes.values())
        block = len(self._captures(split))
        if split.rows % block:
            raise InputError(
                f"{self.spec.path.name}: splits.{split.name}.rows: expected a multiple of the {block} captures of each "
                f"part, got {split.rows}"
            )
        units = split.rows // block
        exact = {name: units * weight / total for name, weight in split.classes.items()}
        counts = {name: int(share) for name, share in exact.items()}
        for name in sorted(exact, key=lambda name: counts[name] - exact[name])[
            : units - sum(counts.values())
        ]:
            counts[name] += 1
        return {name: count * block for name, count in counts.items()}

    def _control(self, split: SplitSpec) -> list[Factor]:
        return [f for f in split.factors if f.name not in self.spec.noise and f.range is None]

    def _table(self, split: SplitSpec, name: str, replicate: int) -> tuple[np.ndarray, list[Factor]]:
        """Level numbers (runs, factors) of a class's replicate, and the factors.

        The first table is as in the books. In the others the levels change names: each stays the table that it is, and
        what one of them aliases, the next does not.
        """
        factors = [factor for factor in self._control(split) if len(factor.levels) > 1]
        levels = [len(factor.levels) for factor in factors]
        spec = self.spec
        kind = spec.inner if spec.kind == "inner_outer" else spec.kind
        try:
            if kind == "full" or not factors:
                table = tables.full(levels)
            elif kind == "fractional":
                table = tables.fractional(levels, spec.resolution, spec.generators)
            else:
                _, table = tables.orthogonal(levels, spec.table)
        except ValueError as error:
            raise InputError(f"{spec.path.name}: splits.{split.name}: expected {error}") from None
        if replicate or name != next(iter(split.classes)):
            table = table.copy()
            source = self._random("levels", split.name, name, str(replicate))
            for column, count in enumerate(levels):
                table[:, column] = np.array(source.sample(range(count), count))[table[:, column]]
        return table, factors

    def _captures(self, split: SplitSpec) -> list[dict[str, str]]:
        """The levels of the noise factors under which each part is seen."""
        factors = [factor for factor in split.factors if factor.name in self.spec.noise]
        levels = [len(factor.levels) for factor in factors]
        try:
            table = tables.full(levels)
            if self.spec.outer == "orthogonal" and factors:
                _, table = tables.orthogonal(levels)
        except ValueError as error:
            raise InputError(f"{self.spec.path.name}: design.outer: expected {error}") from None
        return [_cells(factors, numbers) for numbers in table]

    def _levels(self, split: SplitSpec, name: str, count: int) -> list[Row]:
        """Rows of a class with the levels of all factors."""
        source = self._random("table", split.name, name)
        fixed = [factor for factor in self._control(split) if len(factor.levels) == 1]
        ranged = [factor for factor in split.factors if factor.range is not None]
        captures = self._captures(split)
        units = count // len(captures)
        constant = _cells(fixed, [0] * len(fixed))
        controls: list[dict[str, str]] = []
        if self.spec.kind in SAMPLED:
            factors = [factor for factor in self._control(split) if len(factor.levels) > 1]
            shares = self._shares(units, len(factors) + len(ranged), "levels", split.name, name)
            for line in shares:
                numbers = [
                    min(int(share * len(f.levels)), len(f.levels) - 1)
                    for f, share in zip(factors, line, strict=False)
                ]
                controls.append(_cells(factors, numbers) | _numbers(ranged, line[len(factors) :]))
        else:
            replicate = 0
            while len(controls) < units:
                table, factors = self._table(split, name, replicate)
                lines = list(table)
                if len(lines) > units - len(controls):
                    lines = _balanced_part(lines, units - len(controls), source)
                controls += [_cells(factors, line) for line in lines]
                replicate += 1
            shares = self._shares(units, len(ranged), "ranges", split.name, name)
            controls = [cells | _numbers(ranged, line) for cells, line in zip(controls, shares, strict=True)]
        return [
            Row(split.name, name, {**constant, **cells, **capture}, unit)
            for unit, cells in enumerate(controls)
            for capture in captures
        ]

    def _shares(self, count: int, factors: int, *purpose: str) -> np.ndarray:
        """Numbers from 0 to 1, (count, factors), spread as the design says."""
        seed = self._random("shares", *purpose).getrandbits(64)
        rng = np.random.default_rng(seed)
        if not count or not factors:
            return np.zeros((count, factors))
        if self.spec.kind == "random":
            return rng.random((count, factors))
        if self.spec.kind == "sobol":
            # Scrambled points are balanced over powers of two; what is beyond the rows asked for is not used.
            return qmc.Sobol(factors, rng=rng).random(1 << max(count - 1, 0).bit_length())[:count]
        return qmc.LatinHypercube(factors, rng=rng).random(count)

    def _check_levels(self, rows: Sequence[Row]) -> None:
        """Housing, terminal and light of a row belong to its scene: said once per factor, not once per row."""
        problems = []
        for scene, column, level in dict.fromkeys(
            (row.levels["scene"], column, row.levels[column])
            for row in rows
            for column in ("housing", "terminal", "lighting")
        ):
            connector = self._connector(scene)
            offered = {
                "housing": connector.housings,
                "terminal": connector.terminal_names,
                "lighting": connector.lightings,
            }
            if level not in offered[column]:
                problems.append(
                    f"{self.spec.path.name}: {column}: expected one of {', '.join(offered[column])} "
                    f"(scene {scene}), got {level!r}"
                )
        if problems:
            raise InputError(problems)

    def _assign(self, split: SplitSpec, name: str, rows: Sequence[Row]) -> None:
        """Give each row its kinds and targets."""
        source = self._random("assign", split.name, name)
        if name == OK:
            small = {label: spec.share for label, spec in self.spec.defects.items() if _goes_inside(spec)}
            units = sorted({row.unit for row in rows})
            chosen = source.sample(units, round(len(units) * self.spec.inside_tolerance)) if small else []
            rows = [row for row in rows if row.unit in set(chosen)]
            kinds = Balancer(small, source)
            per_picture = 1
        else:
            fitting = {k: s.share for k, s in self.spec.defects.items() if class_of_kind(s.kind) == name}
            kinds = Balancer(fitting, source)
            per_picture = split.per_picture
        positions: dict[str, Balancer] = {}
        units_done: dict[int, Row] = {}
        order = list(rows)
        source.shuffle(order)
        for row in order:
            if row.unit in units_done:
                first = units_done[row.unit]
                row.kinds, row.targets = first.kinds, first.targets
                continue
            units_done[row.unit] = row
            scene = row.levels["scene"]
            if scene not in positions:
                block = self._block(scene, split.positions)
                if len(block) < per_picture:
                    raise InputError(
                        f"{self.spec.path.name}: splits.{split.name}: expected per_picture of at most {len(block)}, "
                        f"the {split.positions} positions of scene {scene}, got {per_picture}"
                    )
                positions[scene] = Balancer(dict.fromkeys(block, 1.0), source)
            for _ in range(per_picture):
                label = self._next_kind(row, kinds, split, name)
                target = self._target(row, self.spec.defects[label].at, label, positions[scene])
                row.kinds.append(label)
                row.targets.append(target)

    def _next_kind(self, row: Row, kinds: Balancer, split: SplitSpec, name: str) -> str:
        """The kind whose turn it is and that this row can show."""
        without = [
            label
            for label in kinds.weights
            # Print that is not there cannot be wrong, and a housing has each kind once.
            if (self.spec.defects[label].at == PRINT and row.levels["marking"] == "none")
            or (self.spec.defects[label].at in (HOUSING, PRINT) and self._has(row, label))
            or (len(kinds.weights) > 1 and not self._can_show(row, label, split))
        ]
        if len(without) == len(kinds.weights):
            raise InputError(
                f"{self.spec.path.name}: splits.{split.name}: expected a kind of class {name} that a part of "
                f"{' '.join(_looks(row))} can show, got {', '.join(without)} only"
            )
        return kinds.take(row.levels, without)

    def _can_show(self, row: Row, label: str, split: SplitSpec) -> bool:
        """Whether parts of these looks can have the kind at all: a round pin cannot be seen to be twisted."""
        key = (label, split.positions, *_looks(row))
        if key not in self.shows:
            source = self._random("shows", *key)
            block = Balancer(dict.fromkeys(self._block(row.levels["scene"], split.positions), 1.0), source)
            wanted = class_of_kind(self.spec.defects[label].kind)
            ranges = {label: self._ranges(label, wanted)}
            self.shows[key] = False
            for _ in range(_PROBES):
                probe = Row(row.split, wanted, row.levels, row.unit)
                try:
                    target = self._target(probe, self.spec.defects[label].at, label, block)
                except InputError:
                    break  # no two neighbours in this block
                shares = [source.random() for _ in ranges[label]]
                text = _defect_text(
                    label,
                    target,
                    self.spec.defects[label],
                    ranges[label],
                    shares,
                    self._connector(row.levels["scene"]),
                )
                if self._problem(probe, [text], self.spec.first_part) is None:
                    self.shows[key] = True
                    break
        return self.shows[key]

    def _has(self, row: Row, label: str) -> bool:
        """Whether a row has a defect of this kind at its housing or print already."""
        return any(self.spec.defects[other].kind == self.spec.defects[label].kind for other in row.kinds)

    def _target(self, row: Row, at: str, label: str, positions: Balancer) -> str:
        if at not in (PIN, PAIR):
            return at
        taken = [address for target in row.targets for address in target.split("-")]
        levels = {**row.levels, "kind": label}
        if at == PIN:
            if set(taken) >= set(positions.weights):
                raise InputError(
                    f"{self.spec.path.name}: splits.{row.split}: expected a smaller per_picture or more positions, got "
                    f"none left for {label} beside {', '.join(row.targets)}"
                )
            return positions.take(levels, taken)
        connector = self._connector(row.levels["scene"])
        near = {
            address: [n for n in found if n in positions.weights and n not in taken]
            for address, found in neighbours(connector.positions).items()
            if address in positions.weights and address not in taken
        }
        alone = [address for address in positions.weights if not near.get(address)]
        if len(alone) == len(positions.weights):
            raise InputError(
                f"{self.spec.path.name}: positions: expected two neighbours in one block for {label}, got none"
            )
        first = positions.take(levels, alone)
        second = min(near[first], key=lambda address: (positions.used[address], address))
        return f"{first}-{second}"

    def _draw(self, split: SplitSpec, name: str, rows: Sequence[Row]) -> None:
        """Draw sizes and directions, and number the parts; each row is verified to be of its class."""
        asked = Counter(kind for unit in {row.unit: row for row in rows}.values() for kind in unit.kinds)
        ranges = {kind: self._ranges(kind, name) for kind in asked}
        shares = {
            kind: iter(self._shares(count, len(ranges[kind]), "sizes", split.name, name, kind))
            for kind, count in asked.items()
        }
        source = self._random("draw", split.name, name)
        units: dict[int, Row] = {}
        for row in rows:
            if row.unit in units:
                row.part, row.defects = units[row.unit].part, units[row.unit].defects
                continue
            units[row.unit] = row
            planned = [list(next(shares[kind])) for kind in row.kinds]
            self._settle(row, planned, ranges, source)

    def _ranges(self, kind: str, name: str) -> list[tuple[str, Range | tuple[str, ...]]]:
        """What is drawn of a defect: its size first, in times the tolerance, then numbers and words."""
        spec = self.spec.defects[kind]
        drawn: list[tuple[str, Range | tuple[str, ...]]] = []
        if spec.size is not None:
            inside = name == OK
            size = spec.size.part(0.0, 1.0 - _MARGIN) if inside else spec.size.part(1.0 + _MARGIN, 1e9)
            if size.low > size.high:
                side = "below" if inside else "above"
                raise InputError(
                    f"{self.spec.path.name}: defects.{kind}.size: expected sizes {side} 1, got none"
                )
            drawn.append(("size", size))
        return drawn + [(key, value) for key, value in spec.parameters if not isinstance(value, float)]

    def _settle(
        self,
        row: Row,
        planned: list[list[float]],
        ranges: dict[str, list[tuple[str, Range | tuple[str, ...]]]],
        source: random.Random,
    ) -> None:
        """Find a part and numbers that give the row its class and let every pin stand free."""
        connector = self._connector(row.levels["scene"])
        reason = ""
        for attempt in range(TRIES):
            if attempt:
                for kind, shares in zip(row.kinds, planned, strict=True):
                    for i, (key, _) in enumerate(ranges[kind]):
                        if key != "size" or attempt > _TRIES_OF_A_SIZE:
                            shares[i] = source.random()
            if attempt > _TRIES_OF_A_TARGET:
                self._move(row, source)
            texts = [
                _defect_text(kind, target, self.spec.defects[kind], ranges[kind], shares, connector)
                for kind, target, shares in zip(row.kinds, row.targets, planned, strict=True)
            ]
            part, self.next_part = self.next_part, self.next_part + 1
            problem = self._problem(row, texts, part)
            if problem is None:
                row.part, row.defects = part, ";".join(texts)
                return
            reason = problem
        raise InputError(
            f"{self.spec.path.name}: splits.{row.split}: expected a part of class {row.wanted} with "
            f"{' and '.join(f'{k} at {t}' for k, t in zip(row.kinds, row.targets, strict=True)) or 'no defect'} "
            f"in {TRIES} tries, got none, the last one: {reason}"
        )

    def _problem(self, row: Row, texts: Sequence[str], part: int) -> str | None:
        """Why a part with these defects is not what the row wants; None where it is."""
        connector, levels = self._connector(row.levels["scene"]), row.levels
        defects, problems = parse_defects(";".join(texts))
        if problems:
            return problems[0]
        try:
            made = make_part(
                connector, levels["housing"], levels["terminal"], levels["marking"], part, defects
            )
            problems = collisions(connector, levels["housing"], made.pins)
        except InputError as error:
            problems = list(error.problems)
        if problems:
            return problems[0]
        got = part_class(made, connector)
        if got == row.wanted:
            return None
        return f"expected class {row.wanted}, got {got} with {';'.join(texts) or 'a good part'}"

    def _move(self, row: Row, source: random.Random) -> None:
        """Other pins for a row's defects, at which there may be more room."""
        split = next(split for split in self.spec.splits if split.name == row.split)
        block = Balancer(dict.fromkeys(self._block(row.levels["scene"], split.positions), 1.0), source)
        row.targets = []
        for label in row.kinds:
            row.targets.append(self._target(row, self.spec.defects[label].at, label, block))


def _looks(row: Row) -> tuple[str, ...]:
    """What decides which defects a part can show."""
    return tuple(row.levels[name] for name in ("scene", "housing", "terminal", "marking"))


def _balanced_part(lines: list[np.ndarray], count: int, source: random.Random) -> list[np.ndarray]:
    """Some rows of a table, the best of many draws: levels occur as equally often as can be, then pairs of them."""
    table = np.array(lines)
    levels = table.max(axis=0, initial=0) + 1

    def unbalance(chosen: list[int]) -> tuple[float, float]:
        rows = table[chosen]
        singles = sum(
            np.bincount(column, minlength=n).var() for column, n in zip(rows.T, levels, strict=True)
        )
        pairs = sum(
            np.bincount(rows[:, a] * levels[b] + rows[:, b], minlength=levels[a] * levels[b]).var()
            for a, b in combinations(range(len(levels)), 2)
        )
        return float(singles), float(pairs)

    tries = [sorted(source.sample(range(len(lines)), count)) for _ in range(_DRAWS_OF_A_PART)]
    return [lines[number] for number in min(tries, key=unbalance)]


def _goes_inside(spec: KindSpec) -> bool:
    return spec.size is not None and spec.size.low < 1.0 - _MARGIN


def _cells(factors: Sequence[Factor], numbers: Sequence[int]) -> dict[str, str]:
    return {
        column: cell
        for factor, number in zip(factors, numbers, strict=True)
        for column, cell in zip(factor.columns, factor.levels[int(number)], strict=True)
    }


def _numbers(factors: Sequence[Factor], shares: Sequence[float]) -> dict[str, str]:
    return {
        factor.columns[0]: f"{factor.range.at(float(share)):.{factor.range.decimals}f}"
        for factor, share in zip(factors, shares, strict=True)
        if factor.range is not None
    }


def _defect_text(
    label: str,
    target: str,
    spec: KindSpec,
    ranges: Sequence[tuple[str, Range | tuple[str, ...]]],
    shares: Sequence[float],
    connector: Connector,
) -> str:
    values: dict[str, str] = {
        key: f"{value:.10g}" for key, value in spec.parameters if isinstance(value, float)
    }
    for (key, span), share in zip(ranges, shares, strict=True):
        if isinstance(span, tuple):
            values[key] = span[min(int(share * len(span)), len(span) - 1)]
        elif key == "size":
            sized = SIZED[spec.kind]
            size = span.at(share) * getattr(connector.tolerance, sized.measure) * sized.factor
            values[sized.parameter] = f"{round(size, 3):.10g}"
        else:
            values[key] = f"{span.at(share):.10g}"
    written = ",".join(f"{key}={value}" for key, value in values.items())
    return f"{spec.kind}@{target}" + (f":{written}" if written else "")


def _in_turn(cells: Sequence[Sequence[Row]]) -> Iterator[Row]:
    """Classes in turn, so that any stretch of the manifest has all of them; captures of a part stay together."""
    queues = [[list(group) for group in _units(cell)] for cell in cells if cell]
    total = sum(len(queue) for queue in queues)
    taken = [0] * len(queues)
    for _ in range(total):
        # The class that is furthest behind its share.
        index = min(
            (i for i in range(len(queues)) if taken[i] < len(queues[i])),
            key=lambda i: ((taken[i] + 0.5) / len(queues[i]), i),
        )
        yield from queues[index][taken[index]]
        taken[index] += 1


def _units(cell: Sequence[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in cell:
        if group and row.unit != group[-1].unit:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
