"""Graphics cards for `--device gpu`: find them through interfaces such as CUDA, and choose which are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import bpy

from blender_scripts.contract.errors import InputError
from blender_scripts.scene import versions

# The fastest first: OptiX and CUDA run on the same cards.
_FASTEST_FIRST = ("OPTIX", "CUDA", "HIP", "ONEAPI", "METAL")


@dataclass(frozen=True)
class Interface:
    """A programming interface of graphics cards that this Blender supports.

    Attributes:
        kind: Blender's identifier, such as OPTIX.
        name: its usual name, such as OptiX.
        cards: names of the cards found through it.
    """

    kind: str
    name: str
    cards: tuple[str, ...]


def interfaces() -> list[Interface]:
    """Return the interfaces, such as CUDA, of this build of Cycles, fastest first, with the cards of this machine."""
    preferences = bpy.context.preferences.addons["cycles"].preferences
    names = {kind: name for kind, name, *_ in preferences.get_device_types(bpy.context)}
    # An old graphics driver may crash Blender here, so Blender itself looks for cards only when asked.
    versions.refresh_devices(preferences)
    found = [(device.type, device.name) for device in preferences.devices]
    return [
        Interface(kind, names[kind], tuple(card for type_, card in found if type_ == kind))
        for kind in _FASTEST_FIRST
        if kind in names
    ]


def described(found: Sequence[Interface]) -> str:
    """Describe interfaces to graphics cards, and their cards, in one line: "OptiX: none; CUDA: NVIDIA L4"."""
    return "; ".join(f"{one.name}: {', '.join(one.cards) or 'none'}" for one in found) or "no interface to any card"


def choose(found: Sequence[Interface]) -> Interface:
    """Return the first of the interfaces in `found` (fastest first, such as CUDA) that has a card.

    Raises:
        InputError: no interface has a card.
    """
    for one in found:
        if one.cards:
            return one
    version, known = versions.blender_version(), ", ".join(one.name for one in found) or "no kind of card"
    raise InputError(
        f"--device gpu: expected a graphics card, got none (Blender {version} supports {known}): "
        "install the card's driver, or give --device cpu"
    )


def use_fastest() -> Interface:
    """Set Cycles to render on all cards of the fastest interface, such as CUDA, that has one; returns the interface.

    Raises:
        InputError: there is no card.
    """
    chosen = choose(interfaces())
    preferences = bpy.context.preferences.addons["cycles"].preferences
    preferences.compute_device_type = chosen.kind
    for device in preferences.devices:
        device.use = device.type == chosen.kind
    return chosen
