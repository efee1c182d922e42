"""What a kind of defect is: its syntax in the manifest, and the functions that change a pin or a part."""

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
    """A kind of defect: its manifest syntax and what it does.

    Attributes:
        severity: ranks kinds where one pin has several; the highest is the position's kind.
        targets: what it may be at, of PIN, PAIR, HOUSING, PRINT.
        excludes: kinds that the same pin cannot have too, or EVERY_OTHER.
        shape: the pin with the defect; raises InputError where geometry does not allow it.
        add: what it adds to a part beside its pins, or takes away; raises InputError likewise.
    """

    name: str
    severity: int
    meaning: str
    parameters: tuple[Parameter | Choice, ...] = ()
    targets: tuple[str, ...] = (PIN,)
    excludes: tuple[str, ...] = ()
    shape: Callable[[Pin, Defect, Connector], Pin] | None = None
    add: Callable[[Part, Defect], Flaw] | None = None
