"""Assign kinds of defect and positions to the pictures of a design: the least used first, so that all are balanced."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence

from blender_scripts.contract.defect import HOUSING, PAIR, PIN, PRINT
from blender_scripts.contract.errors import InputError
from generator.dataset.labels import OK, class_of_kind
from generator.doe.blocks import SceneBlocks, neighbours
from generator.doe.defect_values import defect_text, drawn_values, fits_tolerance
from generator.doe.part_class import rejection
from generator.doe.row import Row
from generator.doe.spec import SplitSpec

# A kind is skipped for a scene, housing, terminal and marking if none of the first FIRST_DRAWS random defects gives a
# valid part, and then fewer than LEAST_VALID of DRAWS: of rarer kinds, the 400 tries for a row (`drawing.TRIES`) might
# find none. It is skipped at once after FIRST_DRAWS that were all refused whatever their values are.
FIRST_DRAWS, DRAWS, LEAST_VALID = 12, 120, 3
# Such as "expected twisted@r1c1:angle_deg=35 at a terminal that is not round, got …": no other value helps.
_UNFIT = re.compile(r"expected \S+@\S+ at a ")


class Balancer:
    """Chooses kinds of defect or addresses, each as often as its weight asks: in all rows and at each factor level.

    Args:
        weights: relative frequency of each kind or address, by its name.
        source: random generator that breaks ties.
    """

    def __init__(self, weights: dict[str, float], source: random.Random) -> None:
        self.weights = weights
        self.source = source
        self.used: Counter[str] = Counter()
        self.met: Counter[tuple[str, str, str]] = Counter()

    def take(self, levels: dict[str, str], without: Sequence[str] = ()) -> str:
        """Choose the kind or address used least so far, in proportion to its weight, and count it as used once more.

        Args:
            levels: the row's level of each factor, by factor; of equal candidates, the one used least with these
                levels is chosen.
            without: kinds or addresses that may not be chosen.
        """
        free = [name for name in self.weights if name not in without]
        least = min(self.used[name] / self.weights[name] for name in free)
        # Only the least used, relative to weight, are candidates.
        free = [name for name in free if self.used[name] / self.weights[name] <= least + 1e-9]
        ranked = [(sum(self.met[name, *item] for item in levels.items()), self.source.random(), name) for name in free]
        chosen = min(ranked)[2]
        self.used[chosen] += 1
        self.met.update((chosen, *item) for item in levels.items())
        return chosen


class Assignment:
    """Gives the rows of a design their kinds of defect, and each defect its target: address, housing or print."""

    def __init__(self, scenes: SceneBlocks) -> None:
        self.scenes = scenes
        self.spec = scenes.spec
        self._possible: dict[tuple[str | bool, ...], bool] = {}

    def assign(self, split: SplitSpec, name: str, rows: Sequence[Row]) -> None:
        """Set `kinds` and `targets` of each row; rows of the same part get the same ones.

        Each row gets `split.per_picture` defects. Of class OK, only the share `inside_tolerance` of the parts gets one.

        Args:
            split: the split.
            name: class of the rows.
            rows: all rows of this class in the split.

        Raises:
            InputError: too few positions for the defects per picture, or no kind of the class is possible.
        """
        source = self.spec.random("assign", split.name, name)
        if name == OK:
            small = {label: spec.share for label, spec in self.spec.defects.items() if fits_tolerance(spec)}
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
                block = self.scenes.block(scene, split.positions)
                if len(block) < per_picture:
                    raise InputError(
                        f"{self.spec.path.name}: splits.{split.name}: expected per_picture of at most {len(block)} "
                        f"(number of pins of scene {scene} in positions = {split.positions}), got {per_picture}"
                    )
                positions[scene] = Balancer(dict.fromkeys(block, 1.0), source)
            for _ in range(per_picture):
                label = self._next_kind(row, kinds, split, name)
                target = self.target(row, self.spec.defects[label].at, label, positions[scene])
                row.kinds.append(label)
                row.targets.append(target)

    def _next_kind(self, row: Row, kinds: Balancer, split: SplitSpec, name: str) -> str:
        """Choose the least used kind of defect that is possible for this row."""
        without = [
            label
            for label in kinds.weights
            # A row without marking has no print defect, and housing and print have each kind once.
            if (self.spec.defects[label].at == PRINT and row.levels["marking"] == "none")
            or (self.spec.defects[label].at in (HOUSING, PRINT) and self._has(row, label))
            or (len(kinds.weights) > 1 and not self._is_possible(row, label, split))
        ]
        if len(without) == len(kinds.weights):
            raise InputError(
                f"{self.spec.path.name}: splits.{split.name}: expected a kind of defect of class {name} that is "
                f"possible with scene {row.variant[0]}, housing {row.variant[1]}, terminal {row.variant[2]}, marking "
                f"{row.variant[3]} (housing and print have each kind once), got only impossible ones: "
                f"{', '.join(without)}"
            )
        return kinds.take(row.levels, without)

    def _is_possible(self, row: Row, label: str, split: SplitSpec) -> bool:
        """Whether parts of the row's variant can have this kind of defect: a round pin, for example, cannot twist."""
        names: tuple[str, ...] = (label, split.positions, *row.variant)
        key: tuple[str | bool, ...] = (row.wanted == OK, *names)
        if key not in self._possible:
            self._possible[key] = self._probe(row, label, split, names)
        return self._possible[key]

    def impossible(self) -> list[str]:
        """Return the names of the kinds of defect that were sought for rows of their class, but are possible for none.

        A kind that is the only one of its class is not among them: `assign` or the drawing of its values refuses it.
        """
        found: dict[str | bool, bool] = {}
        for (is_ok, label, *_), is_possible in self._possible.items():
            if not is_ok:
                found[label] = found.get(label, False) or is_possible
        return [label for label in self.spec.defects if not found.get(label, True)]

    def _probe(self, row: Row, label: str, split: SplitSpec, names: Sequence[str]) -> bool:
        """Whether enough random defects of the kind give a valid part of the kind's class: see FIRST_DRAWS."""
        source = self.spec.random("shows", *names)
        defect, connector = self.spec.defects[label], self.scenes.connector(row.levels["scene"])
        block = Balancer(dict.fromkeys(self.scenes.block(row.levels["scene"], split.positions), 1.0), source)
        wanted = OK if row.wanted == OK else class_of_kind(defect.kind)
        drawn = drawn_values(self.spec, label, wanted)
        valid, may_fit = 0, False
        for tries in range(1, DRAWS + 1):
            probe = Row(row.split, wanted, row.levels, row.unit)
            try:
                target = self.target(probe, defect.at, label, block)
            except InputError:
                return False  # no two neighbours in this block
            text = defect_text(target, defect, drawn, [source.random() for _ in drawn], connector)
            reason = rejection(wanted, row.variant, [text], self.spec.first_part, connector)
            valid += reason is None
            if valid and (tries <= FIRST_DRAWS or valid == LEAST_VALID):
                return True
            may_fit = may_fit or reason is None or not _UNFIT.match(reason)
            if LEAST_VALID - valid > DRAWS - tries or (tries == FIRST_DRAWS and not may_fit):
                return False
        return False

    def _has(self, row: Row, label: str) -> bool:
        """Whether a row has a defect of this kind already."""
        return any(self.spec.defects[other].kind == self.spec.defects[label].kind for other in row.kinds)

    def target(self, row: Row, at: str, label: str, positions: Balancer) -> str:
        """Choose the target of a row's next defect.

        Args:
            row: the row; pins that have a defect already are not chosen again.
            at: what the defect is on: PIN, PAIR (two neighbouring pins), HOUSING or PRINT.
            label: the defect's name in the SPEC (the design's TOML file).
            positions: the addresses that may have defects in this split.

        Returns:
            An address such as r1c2, two addresses such as r1c2-r1c3, `housing` or `print`.

        Raises:
            InputError: all pins, or all pairs of neighbours, have a defect already.
        """
        if at not in (PIN, PAIR):
            return at
        taken = [address for target in row.targets for address in target.split("-")]
        levels = {**row.levels, "kind": label}
        if at == PIN:
            if set(taken) >= set(positions.weights):
                raise InputError(
                    f"{self.spec.path.name}: splits.{row.split}: expected, for {label}, a pin without a defect, got "
                    f"defects at all pins ({', '.join(row.targets)}): decrease per_picture, or allow more positions"
                )
            return positions.take(levels, taken)
        connector = self.scenes.connector(row.levels["scene"])
        near = {
            address: [n for n in found if n in positions.weights and n not in taken]
            for address, found in neighbours(connector.positions).items()
            if address in positions.weights and address not in taken
        }
        alone = [address for address in positions.weights if not near.get(address)]
        if len(alone) == len(positions.weights):
            raise InputError(
                f"{self.spec.path.name}: splits.{row.split}: expected, for {label}, two neighbouring pins without a "
                "defect, both among the positions of this split, got no such pins: decrease per_picture, or allow more "
                "positions"
            )
        first = positions.take(levels, alone)
        second = min(near[first], key=lambda address: (positions.used[address], address))
        return f"{first}-{second}"
