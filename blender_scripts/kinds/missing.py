"""The defect `missing`: a cavity without a terminal."""

from __future__ import annotations

from dataclasses import replace

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Defect
from blender_scripts.geometry.pin import Pin
from blender_scripts.kinds.kind import EVERY_OTHER, Kind


def _take_out(pin: Pin, defect: Defect, connector: Connector) -> Pin:
    return replace(pin, missing=True)


KIND = Kind("missing", 13, "there is no terminal: the cavity is open", excludes=EVERY_OTHER, shape=_take_out)
