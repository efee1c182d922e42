"""One physical part, and the defects that are not a pin's: what they add, take away or print wrongly."""

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
    """What is missing from the rim: depths at lengths along the shell's opening, linear between, 0 at both ends.

    Attributes:
        along_mm: lengths along the opening, rising; may pass its end.
        depth_mm: how far down the wall is gone, at each.
        jag_mm: by how much the cut wanders along the wall on its way through it.
        slant: share of the depth at the inner edge, over that at the outer.
    """

    along_mm: tuple[float, ...]
    depth_mm: tuple[float, ...]
    jag_mm: float = 0.0
    slant: float = 1.0


@dataclass(frozen=True)
class Letters:
    """One printed item: its text, the middle of it in mm, and whether it is mirrored."""

    text: str
    x_mm: float
    y_mm: float
    mirrored: bool = False


@dataclass(frozen=True)
class Flaw:
    """A defect that is not a pin's: what it adds, takes away or prints wrongly."""

    defect: Defect
    bodies: tuple[Body, ...] = ()
    cut: Cut | None = None
    printed: tuple[Letters, ...] = ()
    meant: tuple[Letters, ...] = ()


@dataclass(frozen=True)
class Part:
    """What stands on the station. `letters` are those that are printed right."""

    connector: Connector
    housing: str
    seed: int
    pins: tuple[Pin, ...]
    letters: tuple[Letters, ...]
    flaws: tuple[Flaw, ...] = ()

    def pin(self, address: str) -> Pin:
        return next(pin for pin in self.pins if pin.position.address == address)

    @property
    def cuts(self) -> tuple[Cut, ...]:
        return tuple(flaw.cut for flaw in self.flaws if flaw.cut is not None)
