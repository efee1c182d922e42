"""One physical part: its pins, its print, and its flaws.

A flaw is what a defect adds to the part (a foreign body), removes from it (a gap in the rim) or misprints. Defects of a
pin's shape are no flaws: they are in the pin itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Defect
from blender_scripts.geometry.pin import Pin, Vector


@dataclass(frozen=True)
class Body:
    """A foreign body: a tube of varying radius.

    Attributes:
        path: points (x, y, z) of its centre line, mm.
        radii: its radius at each point, mm.
        material: `solder`, `fibre` or `plating`.
    """

    path: tuple[Vector, ...]
    radii: tuple[float, ...]
    material: str


@dataclass(frozen=True)
class Cut:
    """A gap in the rim: its depth at points along the edge of the shell's opening, linear between them.

    Attributes:
        along_mm: place of each point: length along the edge from the start of the shell's `opening`, ascending; a
            length beyond the edge's end continues from the start.
        depth_mm: depth of the gap at each point, below the mating face; 0 at the first and the last one.
        jag_mm: how far, at most, the gap is displaced along the wall on its way from the inside to the outside.
        slant: depth at the wall's inner edge divided by depth at its outer edge.
    """

    along_mm: tuple[float, ...]
    depth_mm: tuple[float, ...]
    jag_mm: float = 0.0
    slant: float = 1.0


@dataclass(frozen=True)
class Letters:
    """One printed item: its text, its centre (x_mm, y_mm) on the drawing, and whether it is a mirror image."""

    text: str
    x_mm: float
    y_mm: float
    mirrored: bool = False


@dataclass(frozen=True)
class Flaw:
    """What one defect adds to the part, removes from it or misprints.

    Attributes:
        defect: the defect.
        bodies: the foreign bodies that it adds.
        cut: the gap in the rim that it makes; None: no gap.
        printed: the wrong print items.
        meant: the right print items that are missing, or replaced by `printed`.
    """

    defect: Defect
    bodies: tuple[Body, ...] = ()
    cut: Cut | None = None
    printed: tuple[Letters, ...] = ()
    meant: tuple[Letters, ...] = ()


@dataclass(frozen=True)
class Part:
    """One physical part.

    Attributes:
        connector: the scene.
        housing: name of its housing.
        seed: seed of its scatter and colours (the manifest's column `part`).
        pins: its pins, in the order of the connector's positions.
        letters: the printed items that are correct.
        flaws: one for each defect that is not in a pin's shape.
    """

    connector: Connector
    housing: str
    seed: int
    pins: tuple[Pin, ...]
    letters: tuple[Letters, ...]
    flaws: tuple[Flaw, ...] = ()

    @property
    def scale(self) -> float:
        """Size of the moulded part / size on the drawing; applied already to `pins`, not to shell, `cuts` and print."""
        return self.pins[0].scale

    @property
    def floor_mm(self) -> float:
        """z, mm, of the cavity floor."""
        return -self.connector.shell.depth_mm * self.scale

    def outside_opening_mm(self, x_mm: float, y_mm: float) -> float:
        """Distance, mm, of a point (x, y) from the opening's edge; negative inside the opening."""
        return self.scale * self.connector.shell.opening.distance(x_mm / self.scale, y_mm / self.scale)

    def pin(self, address: str) -> Pin:
        """The pin at an address such as r2c5; raises StopIteration if there is none."""
        return next(pin for pin in self.pins if pin.position.address == address)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        """The gaps in the rim, from the flaws that have one."""
        return tuple(flaw.cut for flaw in self.flaws if flaw.cut is not None)
