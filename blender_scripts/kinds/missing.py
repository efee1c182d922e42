"""`missing`: an empty cavity."""

from __future__ import annotations

from dataclasses import replace

from blender_scripts.connector import Connector
from blender_scripts.defect import Defect, Kind
from blender_scripts.pin import Pin


def _take_out(pin: Pin, defect: Defect, connector: Connector) -> Pin:
    return replace(pin, missing=True)


KIND = Kind("missing", 13, "there is no terminal: the cavity is open", excludes=("*",), shape=_take_out)
