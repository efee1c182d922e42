"""The new addresses, cameras, azimuths and measures of a part when its picture is flipped or turned.

An address counts pins in the picture of the centre camera: rows from the top and positions from the left, or
on a circle clockwise from the key. So it changes with the picture. A turned part is the same part: its pins keep their
cavity labels. A mirrored part is another part: its pins get the labels of the cavities where they now are.

Directions in the world (dx and dy, azimuths, the side of the camera) change as the addresses do: mirrored in X, or
turned by 90 degrees about Z. Exception: if a circle of pins is turned, directions do not change, since addresses are
counted from the key: the world turns with the part, and only the camera rolls.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

REVERSE, TURN = "reverse", "plus90"
_SIDES = {"right": (1, 0), "top": (0, 1), "left": (-1, 0), "bottom": (0, -1)}
_ADDRESS = re.compile(r"r(\d+)c(\d+)")
# Two positions on a drawing closer than this are the same.
_SAME_MM = 0.02
# A moved position has to be this close to that of its new address on the drawing; else the copy has no camera.
_EXACT_MM = 0.001

Axes = tuple[tuple[int, int], tuple[int, int]]
_AXES: dict[str, Axes] = {REVERSE: ((-1, 0), (0, 1)), TURN: ((0, -1), (1, 0))}
_AS_BEFORE: Axes = ((1, 0), (0, 1))


@dataclass(frozen=True)
class Naming:
    """The new addresses of a part's pin positions in a flipped or turned picture, and all that depends on them.

    Attributes:
        operation: REVERSE (a flip) or TURN (by 90 degrees).
        addresses: new address by old address; None where it is not known.
        cavities: cavity label by address on the original part; gives the new labels of mirrored parts.
        axes: (2, 2) matrix that the operation applies to X and Y of the world.
        shift_mm: (x, y) to add after `axes`, so that positions get the coordinates that the drawing has for their new
            addresses; None if the drawing has none, as for a 3 x 9 grid, which a turn makes 9 x 3.
    """

    operation: str
    addresses: Mapping[str, str | None]
    cavities: Mapping[str, str]
    axes: Axes
    shift_mm: tuple[float, float] | None = None

    @property
    def world(self) -> np.ndarray | None:
        """(4, 4) matrix from the original's world coordinates to the copy's, mm; None if `shift_mm` is None."""
        if self.shift_mm is None:
            return None
        matrix = np.eye(4)
        matrix[:2, :2], matrix[:2, 3] = self.axes, self.shift_mm
        return matrix

    def direction(self, x: float, y: float) -> tuple[float, float]:
        """Return the new direction (x, y) in the world, such as (dx, dy), by applying `axes`."""
        (a, b), (c, d) = self.axes
        return a * x + b * y + 0.0, c * x + d * y + 0.0  # + 0.0 turns -0.0 into 0.0

    def address(self, address: str | None) -> str | None:
        """Return the new address of a pin, or of two pins (r1c1-r1c2); "" stays "", None where it is not known."""
        if not address:
            return address
        found = [self.addresses.get(part) for part in address.split("-")]
        return None if None in found else "-".join(part for part in found if part)

    def cavity(self, address: str | None, cavity: str | None) -> str | None:
        """Return the new cavity label of an object; None where it is not known.

        Args:
            address, cavity: address and cavity label of the object in the original.
        """
        if self.operation == TURN or not address:
            return cavity
        moved = self.address(address)
        found = [self.cavities.get(part) for part in moved.split("-")] if moved else [None]
        return None if None in found else "-".join(label for label in found if label)

    def tolerance(self, tolerance: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Return a tolerance with new addresses in `at` (exceptions), without pins whose new address is not known."""
        if tolerance is None or "at" not in tolerance:
            return tolerance
        at = {moved: own for address, own in tolerance["at"].items() if (moved := self.address(address))}
        return {**tolerance, "at": at}

    def camera(self, camera: str | None) -> str | None:
        """Return the name of the copy's camera, given that of the original (None or `center`: the same).

        A flip exchanges left and right. A turn makes right top, top left, left bottom, and bottom right, but changes no
        camera's name if the pins are on a circle.
        """
        if camera not in _SIDES:
            return camera
        there = self.direction(*_SIDES[camera])
        return next(name for name, side in _SIDES.items() if side == there)

    def defects(self, defects: str | None) -> str | None:
        """Return a row's `defects` with new addresses, azimuths and positions; None if an address is not known."""
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
        """Return the new values of a defect's parameters that are directions or positions."""
        moved = {}
        if "azimuth_deg" in given:
            cosine, sine = self.direction(1, 0)  # of azimuth 0
            sense = -1.0 if self.operation == REVERSE else 1.0
            zero = math.degrees(math.atan2(sine, cosine))
            moved["azimuth_deg"] = (zero + sense * float(given["azimuth_deg"])) % 360.0
        if "x_mm" in given:
            x, y = self.direction(float(given["x_mm"]), float(given["y_mm"]))
            along, up = self.shift_mm or (0.0, 0.0)
            moved["x_mm"], moved["y_mm"] = x + along, y + up
        return {name: f"{value + 0.0:.10g}" for name, value in moved.items()}


class Place(Protocol):
    """A pin position as on the connector's drawing, from a scene file or a dataset's connectors.json."""

    @property
    def address(self) -> str:
        """Row and position in the row, both from 1, such as r2c5."""

    @property
    def cavity(self) -> str:
        """Label of the position's cavity on the drawing."""

    @property
    def x_mm(self) -> float:
        """Nominal X coordinate of the terminal's tip, mm."""

    @property
    def y_mm(self) -> float:
        """Nominal Y coordinate of the terminal's tip, mm."""


def naming(
    operation: str, addresses: Sequence[str | None], cavities: Sequence[str | None], drawing: Sequence[Place] | None
) -> Naming:
    """Find the new addresses of a part's pin positions in a flipped or turned picture.

    Args:
        operation: REVERSE (a flip) or TURN (by 90 degrees).
        addresses, cavities: address and cavity label of each object in the picture.
        drawing: all positions of the connector. None: not known; the new addresses then follow from `addresses` alone:
            mirrored rows are numbered from their other end. They are all None if a position has no object, or for a
            turn of rows that differ in length, or of one row of over 2 positions, which may be a circle.
    """
    labels = {a: c for a, c in zip(addresses, cavities, strict=True) if a and c and _ADDRESS.fullmatch(a)}
    axes = _AXES[operation]
    if drawing is None:
        return Naming(operation, _counted(operation, [a for a in addresses if a]), labels, axes)
    labels = {place.address: place.cavity for place in drawing} | labels
    if not _is_circle(drawing):
        renamed = _drawn(operation, drawing)
    elif operation == REVERSE:
        # Each gets the address of the position that it falls on.
        renamed = {p.address: _nearest(-p.x_mm, p.y_mm, drawing) for p in drawing}
    else:
        renamed, axes = {p.address: p.address for p in drawing}, _AS_BEFORE
    return Naming(operation, renamed, labels, axes, _shift(renamed, axes, drawing))


def _shift(renamed: Mapping[str, str | None], axes: Axes, drawing: Sequence[Place]) -> tuple[float, float] | None:
    """Return the shift (x, y), mm, from positions moved by `axes` to those of the new addresses; None if it varies."""
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
    """Parse addresses of single positions into (row, position); leave out others, such as two joined by a hyphen."""
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
    """Count the moved positions of a drawing, rows from the top, pins from the left; return new address by old one."""
    if operation == REVERSE:
        both = min(p.x_mm for p in drawing) + max(p.x_mm for p in drawing)
        fallen_on: dict[str, str | None] = {p.address: _nearest(both - p.x_mm, p.y_mm, drawing) for p in drawing}
        if None not in fallen_on.values():
            return fallen_on
        places = _numbers(place.address for place in drawing)
        last: dict[int, int] = {}
        for line, position in places.values():  # a row with blanks has more positions than pins
            last[line] = max(last.get(line, 0), position)
        return {a: f"r{line}c{last[line] + 1 - position}" for a, (line, position) in places.items()}
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
    """Whether the positions are a single row on a circle around the origin, and not on a line."""
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
