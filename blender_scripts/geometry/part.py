"""One physical part, and flaws: what defects beside the pins' shapes add, take away or print wrongly."""

from __future__ import annotations

from dataclasses import dataclass

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Defect
from blender_scripts.geometry.pin import Pin, Vector


@dataclass(frozen=True)
class Body:
    """A foreign body: a tube of varying radius along a chain of points, mm. `material`: solder, fibre or plating."""

    path: tuple[Vector, ...]
    radii: tuple[float, ...]
    material: str


@dataclass(frozen=True)
class Cut:
    """A cut out of the rim, as depths along the shell's opening: linear between given points, 0 at both ends.

    Attributes:
        along_mm: the points' lengths along the opening, rising; they may run past its end, back to its start.
        depth_mm: depth of the cut at each point, from the mating face.
        jag_mm: how far the cut wanders along the wall between inside and outside.
        slant: depth at the inner edge divided by depth at the outer edge.
    """

    along_mm: tuple[float, ...]
    depth_mm: tuple[float, ...]
    jag_mm: float = 0.0
    slant: float = 1.0


@dataclass(frozen=True)
class Letters:
    """One printed item: its text, its centre in mm, and whether it is mirrored."""

    text: str
    x_mm: float
    y_mm: float
    mirrored: bool = False


@dataclass(frozen=True)
class Flaw:
    """What a defect adds, takes away or misprints; `printed` is the misprint, `meant` the right items it replaces."""

    defect: Defect
    bodies: tuple[Body, ...] = ()
    cut: Cut | None = None
    printed: tuple[Letters, ...] = ()
    meant: tuple[Letters, ...] = ()


@dataclass(frozen=True)
class Part:
    """One physical part. `letters` are the items that are printed correctly."""

    connector: Connector
    housing: str
    seed: int
    pins: tuple[Pin, ...]
    letters: tuple[Letters, ...]
    flaws: tuple[Flaw, ...] = ()

    @property
    def scale(self) -> float:
        """Size of the moulding divided by the drawing's; shell, cuts and print are stated as on the drawing."""
        return self.pins[0].scale

    @property
    def floor_mm(self) -> float:
        """z of the cavity floor."""
        return -self.connector.shell.depth_mm * self.scale

    def outside_opening_mm(self, x_mm: float, y_mm: float) -> float:
        """Distance of a point (x, y) from the opening's edge; negative inside."""
        return self.scale * self.connector.shell.opening.distance(x_mm / self.scale, y_mm / self.scale)

    def pin(self, address: str) -> Pin:
        return next(pin for pin in self.pins if pin.position.address == address)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        return tuple(flaw.cut for flaw in self.flaws if flaw.cut is not None)
