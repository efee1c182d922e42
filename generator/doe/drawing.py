"""Draw sizes, directions and part numbers until a row has its planned class and its pins collide with nothing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from blender_scripts.contract.errors import InputError
from generator.doe.assignment import Assignment, Balancer
from generator.doe.defect_values import Drawn, defect_text, drawn_values
from generator.doe.levels import shares_of
from generator.doe.part_class import rejection
from generator.doe.row import Row
from generator.doe.spec import SplitSpec

TRIES = 400
# After this many tries with other directions and parts, the size is drawn again too.
_TRIES_OF_A_SIZE = 40
# After this many tries, the defective pins are chosen again too.
_TRIES_OF_A_TARGET = 120


class Drawing:
    """Gives the parts of a design their numbers, over all splits, and draws the parameters of their defects."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.scenes = assignment.scenes
        self.spec = assignment.spec
        self._next_part = self.spec.first_part

    def draw(self, split: SplitSpec, name: str, rows: Sequence[Row]) -> None:
        """Give each row a part number and the text of its defects; `Assignment.assign` has set its kinds and targets.

        Part number and parameters are drawn until the part has the wanted class and no pin collides, at most 400 times
        (TRIES). After 40 tries the sizes change too, after 120 the targets. Each try uses up a part number.

        Args:
            split: the split.
            name: class of the rows.
            rows: all rows of this class in the split.

        Raises:
            InputError: TRIES draws gave no part of the class, or a range of sizes has no size for the class.
        """
        asked = Counter(kind for unit in {row.unit: row for row in rows}.values() for kind in unit.kinds)
        ranges = {kind: drawn_values(self.spec, kind, name) for kind in asked}
        shares = {
            kind: iter(shares_of(self.spec, count, len(ranges[kind]), "sizes", split.name, name, kind))
            for kind, count in asked.items()
        }
        source = self.spec.random("draw", split.name, name)
        units: dict[int, Row] = {}
        for row in rows:
            if row.unit in units:
                row.part, row.defects = units[row.unit].part, units[row.unit].defects
                continue
            units[row.unit] = row
            planned = [list(next(shares[kind])) for kind in row.kinds]
            self._settle(row, planned, ranges, source)

    def _settle(self, row: Row, planned: list[list[float]], ranges: dict[str, Drawn], source: random.Random) -> None:
        """Find a part number and defect parameters that give the row its class without a collision."""
        connector = self.scenes.connector(row.levels["scene"])
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
                defect_text(target, self.spec.defects[kind], ranges[kind], shares, connector)
                for kind, target, shares in zip(row.kinds, row.targets, planned, strict=True)
            ]
            part, self._next_part = self._next_part, self._next_part + 1
            problem = rejection(row.wanted, row.variant, texts, part, connector)
            if problem is None:
                row.part, row.defects = part, ";".join(texts)
                return
            reason = problem
        raise InputError(
            f"{self.spec.path.name}: splits.{row.split}: expected a part of class {row.wanted} with "
            f"{' and '.join(f'{k} at {t}' for k, t in zip(row.kinds, row.targets, strict=True)) or 'no defect'} "
            f"in {TRIES} tries, got no such part; the last try failed: {reason}"
        )

    def _move(self, row: Row, source: random.Random) -> None:
        """Choose other targets for a row's defects, since no part with the present ones could be used."""
        split = next(split for split in self.spec.splits if split.name == row.split)
        block = Balancer(dict.fromkeys(self.scenes.block(row.levels["scene"], split.positions), 1.0), source)
        row.targets = []
        for label in row.kinds:
            row.targets.append(self.assignment.target(row, self.spec.defects[label].at, label, block))
