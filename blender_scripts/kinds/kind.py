"""Kind: a kind of defect, its parameters in the manifest, and the function that gives the defect to a pin or part."""

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
        name: the kind's name in the manifest, such as `bent`.
        severity: rank; a pin with several defects is labelled with the kind of highest severity.
        meaning: the kind explained in one sentence.
        parameters: what the manifest may state about such a defect.
        targets: where such a defect may be: some of PIN, PAIR (two pins), HOUSING and PRINT.
        excludes: kinds that the same pin cannot have as well, or EVERY_OTHER.
        shape: function that returns a pin with the defect; None for a kind with `add`.
        add: function that returns what the defect adds to the part, removes from it or misprints; None for a kind with
            `shape`.

    `shape` and `add` raise InputError if the geometry does not allow the defect.
    """

    name: str
    severity: int
    meaning: str
    parameters: tuple[Parameter | Choice, ...] = ()
    targets: tuple[str, ...] = (PIN,)
    excludes: tuple[str, ...] = ()
    shape: Callable[[Pin, Defect, Connector], Pin] | None = None
    add: Callable[[Part, Defect], Flaw] | None = None
