"""What the places of a part are called when its picture is flipped or turned: addresses, cameras, azimuths.

An address says where a pin stands in the picture of the centre camera: the row from the top, the position from the
left, round a circle clockwise from the key. So it changes with the picture. A turned part is the same part: its pins
keep their cavity labels. A mirrored part is another part, whose pins have the labels of the places where they stand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from blender_scripts.contract.connector import Connector

REVERSE, TURN = "reverse", "plus90"
CAMERAS = {
    REVERSE: {"left": "right", "right": "left"},
    TURN: {"right": "top", "top": "left", "left": "bottom", "bottom": "right"},
}
_ADDRESS = re.compile(r"r(\d+)c(\d+)")
# Two places in a drawing closer than this are the same.
_SAME_MM = 0.02


@dataclass(frozen=True)
class Naming:
    """New names of a part's places.

    Attributes:
        operation: REVERSE or TURN.
        addresses: new address by old one; None where the part has no place there.
        cavities: cavity label by address, before; of a mirrored part.
    """

    operation: str
    addresses: Mapping[str, str | None]
    cavities: Mapping[str, str]

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
        return None if camera is None else CAMERAS[self.operation].get(camera, camera)

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
        mirrored = self.operation == REVERSE
        moved = {}
        if "azimuth_deg" in given:
            angle = float(given["azimuth_deg"])
            moved["azimuth_deg"] = (180.0 - angle if mirrored else angle + 90.0) % 360.0
        if "x_mm" in given:
            x, y = float(given["x_mm"]), float(given["y_mm"])
            moved["x_mm"], moved["y_mm"] = (-x, y) if mirrored else (-y, x)
        return {name: f"{value + 0.0:.10g}" for name, value in moved.items()}  # + 0.0: no minus before a zero


def naming(
    operation: str,
    addresses: Sequence[str | None],
    cavities: Sequence[str | None],
    connector: Connector | None,
) -> Naming:
    """How the places of a part are renamed.

    Args:
        operation: REVERSE or TURN.
        addresses, cavities: of the objects of the picture.
        connector: its scene, where there is one, which knows where the places are; without it only rows are counted:
            a mirrored row is read backwards, and only a grid can be turned: one row alone may be a circle, which keeps
            its addresses. Where objects of some places are left out nobody knows how long the rows are.
    """
    labels = {a: c for a, c in zip(addresses, cavities, strict=True) if a and c and _ADDRESS.fullmatch(a)}
    if connector is None:
        places = {a: (int(m[1]), int(m[2])) for a in addresses if a and (m := _ADDRESS.fullmatch(a))}
        return Naming(operation, _counted(operation, places), labels)
    labels = {place.address: place.cavity for place in connector.positions} | labels
    if _is_circle(connector):
        return Naming(operation, _round_the_key(operation, connector), labels)
    return Naming(operation, _drawn(operation, connector), labels)


def _counted(operation: str, places: Mapping[str, tuple[int, int]]) -> dict[str, str | None]:
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


def _drawn(operation: str, connector: Connector) -> dict[str, str | None]:
    """From where the places are on the drawing: rows from the top, positions from the left, as they now stand."""
    if operation == REVERSE:
        places = {(p.row, p.position): p.address for p in connector.positions}
        lengths = Counter(row for row, _ in places)
        return {a: f"r{row}c{lengths[row] + 1 - position}" for (row, position), a in places.items()}
    turned = sorted(
        (-p.x_mm, -p.y_mm, p.address) for p in connector.positions
    )  # y' = x, x' = -y, from the top
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


def _is_circle(connector: Connector) -> bool:
    """One row of places at one distance from the middle, not on a line."""
    places = connector.positions
    distances = [(p.x_mm**2 + p.y_mm**2) ** 0.5 for p in places]
    on_a_line = max(p.y_mm for p in places) - min(p.y_mm for p in places) < _SAME_MM
    return (
        len(places) > 2
        and {p.row for p in places} == {1}
        and max(distances) - min(distances) < _SAME_MM
        and not on_a_line
    )


def _round_the_key(operation: str, connector: Connector) -> dict[str, str | None]:
    """Counted from the key, which turns with the part; mirrored, each is called after the place that it falls on."""
    if operation == TURN:
        return {p.address: p.address for p in connector.positions}
    return {p.address: _nearest(-p.x_mm, p.y_mm, connector) for p in connector.positions}


def _nearest(x: float, y: float, connector: Connector) -> str | None:
    near: Iterable[str] = (
        p.address for p in connector.positions if abs(p.x_mm - x) < _SAME_MM and abs(p.y_mm - y) < _SAME_MM
    )
    return next(iter(near), None)
