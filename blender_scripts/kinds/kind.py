"""Kind: a kind of defect, its syntax in the manifest and the function that changes a pin or a part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import PIN, Choice, Defect, Parameter
from blender_scripts.geometry.part import Flaw, Part
from blender_scripts.geometry.pin import Pin

EVERY_OTHER = ("*",)


@dataclass(frozen=True)
class Kind:
    """A kind of defect.

    Attributes:
        severity: rank; where one pin has several defects, the kind of highest severity becomes the position's kind.
        meaning: the kind explained in one sentence.
        targets: what it may apply to, of PIN, PAIR, HOUSING, PRINT.
        excludes: kinds that the same pin cannot have as well, or EVERY_OTHER.
        shape: returns the pin with the defect; raises InputError where the geometry does not allow it.
        add: returns what the defect adds to a part, takes away or misprints; raises InputError likewise.
    """

    name: str
    severity: int
    meaning: str
    parameters: tuple[Parameter | Choice, ...] = ()
    targets: tuple[str, ...] = (PIN,)
    excludes: tuple[str, ...] = ()
    shape: Callable[[Pin, Defect, Connector], Pin] | None = None
    add: Callable[[Part, Defect], Flaw] | None = None
