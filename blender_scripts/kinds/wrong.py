"""The defect `wrong`: a cavity holds another terminal than it should, or the right one with another plating."""

from __future__ import annotations

from dataclasses import replace

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Choice, Defect
from blender_scripts.contract.errors import InputError, shown
from blender_scripts.contract.terminals import PLATINGS
from blender_scripts.geometry.pin import Pin
from blender_scripts.kinds.kind import Kind


def _exchange(pin: Pin, defect: Defect, connector: Connector) -> Pin:
    own = pin.terminal
    name, plating = defect.word("terminal"), defect.word("plating")
    others = [terminal for terminal in connector.terminals.values() if terminal.name != own.name]
    if not name and not plating:
        if others:
            name = others[0].name
        else:
            plating = next(coat for coat, (color, _) in PLATINGS.items() if color != own.color)
    if name:
        if name not in (terminal.name for terminal in others):
            offered = ", ".join(terminal.name for terminal in others) or "it has only the right one"
            raise InputError(
                f"expected another terminal of scene {connector.name} ({offered}), got {shown(name)} in {defect.text}"
            )
        return replace(pin, form=replace(pin.form, terminal=connector.terminals[name]))
    color, roughness = PLATINGS[plating]
    if color == own.color:
        raise InputError(f"expected a plating that differs from the terminal's, got {plating} in {defect.text}")
    changed = replace(own, name=f"{own.name}_{plating}", color=color, roughness=roughness)
    return replace(pin, form=replace(pin.form, terminal=changed))


KIND = Kind(
    "wrong",
    8,
    "the cavity has a wrong terminal, or the right one with a wrong plating",
    (
        Choice(
            "terminal",
            (),
            None,
            "name of the wrong terminal in the cavity. If neither this nor `plating` is given: the scene's first other "
            "terminal, else another plating of the right one",
        ),
        Choice("plating", tuple(PLATINGS), None, "wrong plating of the right terminal", instead_of="terminal"),
    ),
    shape=_exchange,
)
