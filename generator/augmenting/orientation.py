"""What the places of a part are called when its picture is flipped or turned: addresses, cameras, azimuths, measures.

An address says where a pin stands in the picture of the centre camera: the row from the top, the position from the
left, round a circle clockwise from the key. So it changes with the picture. A turned part is the same part: its pins
keep their cavity labels. A mirrored part is another part, whose pins have the labels of the places where they stand.

What has a direction in the world (dx and dy, azimuths, the side that a camera looks from) moves as the addresses do:
mirrored in X; turned by 90 degrees about Z; not at all on a circle that is turned, whose addresses are counted from
the key and whose world therefore turns with it. Only the camera rolls there.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

REVERSE, TURN = "reverse", "plus90"
_SIDES = {"right": (1, 0), "top": (0, 1), "left": (-1, 0), "bottom": (0, -1)}
_ADDRESS = re.compile(r"r(\d+)c(\d+)")
# Two places in a drawing closer than this are the same.
_SAME_MM = 0.02
# So near must a place be to its namesake's on the drawing for measures from it to be projected.
_EXACT_MM = 0.001

Axes = tuple[tuple[int, int], tuple[int, int]]
_AXES: dict[str, Axes] = {REVERSE: ((-1, 0), (0, 1)), TURN: ((0, -1), (1, 0))}
_AS_BEFORE: Axes = ((1, 0), (0, 1))


@dataclass(frozen=True)
class Naming:
    """New names of a part's places.

    Attributes:
        operation: REVERSE or TURN.
        addresses: new address by old one; None where the part has no place there.
        cavities: cavity label by address, before; of a mirrored part.
        axes: (2, 2) what the renaming does to X and Y of the world.
        shift_mm: (x, y) by which places then fall on those that the drawing has for their new addresses; None where
            they do not: a 3 x 9 grid that is turned is 9 x 3, and there is no drawing of that.
    """

    operation: str
    addresses: Mapping[str, str | None]
    cavities: Mapping[str, str]
    axes: Axes
    shift_mm: tuple[float, float] | None = None

    @property
    def world(self) -> np.ndarray | None:
        """(4, 4) from the world before to that of the new addresses, mm; None where no drawing has them."""
        if self.shift_mm is None:
            return None
        matrix = np.eye(4)
        matrix[:2, :2], matrix[:2, 3] = self.axes, self.shift_mm
        return matrix

    def direction(self, x: float, y: float) -> tuple[float, float]:
        """Where a direction in the world, such as dx and dy, points afterwards."""
        (a, b), (c, d) = self.axes
        return a * x + b * y + 0.0, c * x + d * y + 0.0  # + 0.0: no minus before a zero

    def address(self, address: str | None) -> str | None:
        """The new address: of a pin, of two joined by a hyphen, or None where it is not known."""
        if not address:
            return address
        found = [self.addresses.get(part) for part in address.split("-")]
        return None if None in found else "-".join(part for part in found if part)

    def cavity(self, address: str | None, cavity: str | None) -> str | None:
        """The cavity label of what stood at an address."""
        if self.operation == TURN or not address:
            return cavity
        moved = self.address(address)
        found = [self.cavities.get(part) for part in moved.split("-")] if moved else [None]
        return None if None in found else "-".join(label for label in found if label)

    def camera(self, camera: str | None) -> str | None:
        """The view that the picture now is; looking straight it stays what it was."""
        if camera not in _SIDES:
            return camera
        there = self.direction(*_SIDES[camera])
        return next(name for name, side in _SIDES.items() if side == there)

    def defects(self, defects: str | None) -> str | None:
        """The defects' text with targets, azimuths and places as they now are; None where a target has no address."""
        if not defects:
            return defects
        texts = []
        for text in defects.split(";"):
            kind, _, rest = text.partition("@")
            target, colon, values = rest.partition(":")
            if _ADDRESS.match(target):
                target = self.address(target) or ""
                if not target:
                    return None
            given = dict(value.split("=") for value in values.split(",") if value)
            moved = ",".join(f"{name}={value}" for name, value in (given | self._moved(given)).items())
            texts.append(f"{kind}@{target}{colon}{moved}")
        return ";".join(texts)

    def _moved(self, given: Mapping[str, str]) -> dict[str, str]:
        """Those of a defect's parameters that have a direction."""
        moved = {}
        if "azimuth_deg" in given:
            cosine, sine = self.direction(1, 0)  # of azimuth 0
            way = -1.0 if self.operation == REVERSE else 1.0
            zero = math.degrees(math.atan2(sine, cosine))
            moved["azimuth_deg"] = (zero + way * float(given["azimuth_deg"])) % 360.0
        if "x_mm" in given:
            x, y = self.direction(float(given["x_mm"]), float(given["y_mm"]))
            along, up = self.shift_mm or (0.0, 0.0)
            moved["x_mm"], moved["y_mm"] = x + along, y + up
        return {name: f"{value + 0.0:.10g}" for name, value in moved.items()}


class Place(Protocol):
    """A position as a drawing has it: of a scene file, or of a dataset's connectors.json."""

    @property
    def address(self) -> str: ...
    @property
    def cavity(self) -> str: ...
    @property
    def x_mm(self) -> float: ...
    @property
    def y_mm(self) -> float: ...


def naming(
    operation: str,
    addresses: Sequence[str | None],
    cavities: Sequence[str | None],
    drawing: Sequence[Place] | None,
) -> Naming:
    """How the places of a part are renamed.

    Args:
        operation: REVERSE or TURN.
        addresses, cavities: of the objects of the picture.
        drawing: all positions of the connector, where they are known; without it only rows are counted: a mirrored
            row is read backwards, and only a grid can be turned: one row alone may be a circle, which keeps its
            addresses. Where objects of some places are left out nobody knows how long the rows are.
    """
    labels = {a: c for a, c in zip(addresses, cavities, strict=True) if a and c and _ADDRESS.fullmatch(a)}
    axes = _AXES[operation]
    if drawing is None:
        return Naming(operation, _counted(operation, [a for a in addresses if a]), labels, axes)
    labels = {place.address: place.cavity for place in drawing} | labels
    if not _is_circle(drawing):
        renamed = _drawn(operation, drawing)
    elif operation == REVERSE:
        # Each is called after the place that it falls on.
        renamed = {p.address: _nearest(-p.x_mm, p.y_mm, drawing) for p in drawing}
    else:
        renamed, axes = {p.address: p.address for p in drawing}, _AS_BEFORE
    return Naming(operation, renamed, labels, axes, _shift(renamed, axes, drawing))


def _shift(renamed: Mapping[str, str | None], axes: Axes, drawing: Sequence[Place]) -> tuple[float, float] | None:
    """By how much the drawing's places, moved by `axes`, miss those of their new addresses, if all miss alike."""
    drawn = {place.address: np.array([place.x_mm, place.y_mm]) for place in drawing}
    steps = []
    for old, new in renamed.items():
        if new is None or new not in drawn:
            return None
        steps.append(drawn[new] - np.array(axes) @ drawn[old])
    if np.ptp(steps, axis=0).max() > _EXACT_MM:
        return None
    x, y = np.mean(steps, axis=0).tolist()
    return x, y


def _numbers(addresses: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Row and position of each address of one place."""
    matches = {address: _ADDRESS.fullmatch(address) for address in addresses}
    return {address: (int(found[1]), int(found[2])) for address, found in matches.items() if found}


def _counted(operation: str, addresses: Iterable[str]) -> dict[str, str | None]:
    places = _numbers(addresses)
    lengths: Counter[int] = Counter()
    for row, position in places.values():
        lengths[row] = max(lengths[row], position)
    is_whole = set(lengths) == {*range(1, len(lengths) + 1)} and lengths.total() == len(places)
    if not is_whole:
        return dict.fromkeys(places)
    if operation == REVERSE:
        return {a: f"r{row}c{lengths[row] + 1 - position}" for a, (row, position) in places.items()}
    if len(set(lengths.values())) > 1 or (len(lengths) == 1 and len(places) > 2):
        return dict.fromkeys(places)
    return {a: f"r{lengths[row] + 1 - position}c{row}" for a, (row, position) in places.items()}


def _drawn(operation: str, drawing: Sequence[Place]) -> dict[str, str | None]:
    """From where the places are on the drawing: rows from the top, positions from the left, as they now stand."""
    if operation == REVERSE:
        places = _numbers(place.address for place in drawing)
        lengths = Counter(row for row, _ in places.values())
        return {a: f"r{row}c{lengths[row] + 1 - position}" for a, (row, position) in places.items()}
    turned = sorted((-p.x_mm, -p.y_mm, p.address) for p in drawing)  # y' = x, x' = -y, from the top
    rows: list[list[tuple[float, float, str]]] = []
    for place in turned:
        if not rows or place[0] - rows[-1][0][0] > _SAME_MM:
            rows.append([])
        rows[-1].append(place)
    found: dict[str, str | None] = {}
    for number, row in enumerate(rows, 1):
        for position, (_, _, address) in enumerate(sorted(row, key=lambda place: place[1]), 1):
            found[address] = f"r{number}c{position}"
    return found


def _is_circle(drawing: Sequence[Place]) -> bool:
    """One row of places at one distance from the middle, not on a line."""
    distances = [(p.x_mm**2 + p.y_mm**2) ** 0.5 for p in drawing]
    on_a_line = max(p.y_mm for p in drawing) - min(p.y_mm for p in drawing) < _SAME_MM
    return (
        len(drawing) > 2
        and all(row == 1 for row, _ in _numbers(p.address for p in drawing).values())
        and max(distances) - min(distances) < _SAME_MM
        and not on_a_line
    )


def _nearest(x: float, y: float, drawing: Sequence[Place]) -> str | None:
    near: Iterable[str] = (p.address for p in drawing if abs(p.x_mm - x) < _SAME_MM and abs(p.y_mm - y) < _SAME_MM)
    return next(iter(near), None)
