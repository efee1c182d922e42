"""The terminals of a scene: a pin's shape and plating, and mixes of several terminals in one part."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from blender_scripts.contract import draws
from blender_scripts.contract.errors import shown
from blender_scripts.contract.housings import Color, read_color
from blender_scripts.contract.positions import Position
from blender_scripts.contract.toml_section import TomlSection

SECTIONS = ("round", "square", "blade")
# Reflected colour (linear RGB) and roughness (0 to 1) of common platings.
PLATINGS: dict[str, tuple[Color, float]] = {
    "tin": ((0.90, 0.89, 0.86), 0.34),
    "gold": ((1.00, 0.71, 0.29), 0.24),
    "nickel": ((0.66, 0.61, 0.55), 0.22),
}
MIX_RULES = ("random", "rows", "columns", "checker")
# The rule of a mix that names the terminal of single positions.
BY_ADDRESS = "at"


@dataclass(frozen=True)
class Terminal:
    """A terminal: the shape and plating of its pin above the cavity floor.

    Attributes:
        section: cross-section: `round`, `square` or `blade`.
        width_mm: diameter if round, side if square, width of a blade (along X where `turn_deg` is 0).
        thickness_mm: thickness of a blade; equal to `width_mm` for the other sections.
        standing_mm: length above the cavity floor, tip included.
        tip_mm: length of the tapered tip.
        tip_share: width of the tip's end divided by the pin's width.
        turn_deg: angle by which the cross-section is turned about the pin's axis, counter-clockwise from above.
        color: colour of the plating, linear RGB, 0 to 1.
        roughness: roughness of the plating, 0 mirror-like to 1 matt.
    """

    name: str
    section: str
    width_mm: float
    thickness_mm: float
    standing_mm: float
    tip_mm: float
    tip_share: float
    turn_deg: float
    color: Color
    roughness: float

    @property
    def reach_mm(self) -> float:
        """The largest distance, mm, of the pin's surface from its centre line."""
        if self.section == "round":
            return 0.5 * self.width_mm
        return 0.5 * math.hypot(self.width_mm, self.thickness_mm)

    def radius_towards(self, azimuth_rad: float) -> float:
        """Distance, mm, from the centre line to the pin's surface along a direction (0 = +X, pi / 2 = +Y)."""
        if self.section == "round":
            return 0.5 * self.width_mm
        turned = azimuth_rad - math.radians(self.turn_deg)
        across, along = max(abs(math.cos(turned)), 1e-9), max(abs(math.sin(turned)), 1e-9)
        return 0.5 * min(self.width_mm / across, self.thickness_mm / along)

    def half_towards(self, azimuth_rad: float) -> float:
        """Half the width, mm, of the cross-section, measured along a direction (0 = +X, pi / 2 = +Y) by a calliper."""
        if self.section == "round":
            return 0.5 * self.width_mm
        turned = azimuth_rad - math.radians(self.turn_deg)
        return 0.5 * (self.width_mm * abs(math.cos(turned)) + self.thickness_mm * abs(math.sin(turned)))

    @property
    def extent_mm(self) -> tuple[float, float]:
        """Half the width, mm, in X and in Y of the cross-section's bounding box."""
        half_x, half_y = 0.5 * self.width_mm, 0.5 * self.thickness_mm
        if self.section == "round":
            return half_x, half_y
        cosine = abs(math.cos(math.radians(self.turn_deg)))
        sine = abs(math.sin(math.radians(self.turn_deg)))
        return cosine * half_x + sine * half_y, sine * half_x + cosine * half_y


@dataclass(frozen=True)
class Mix:
    """Several terminals in one part.

    Attributes:
        of: names of the terminals.
        rule: how terminals are assigned to positions: one of MIX_RULES, or BY_ADDRESS. `random` draws one for each
            position of each part; the other MIX_RULES take those in `of` in turn, by row, by column or by both.
        places: for BY_ADDRESS, name of the terminal by address; all other positions have the first of `of`.
    """

    name: str
    of: tuple[str, ...]
    rule: str
    places: Mapping[str, str] = field(default_factory=dict)

    def at(self, position: Position, part: int) -> str:
        """Return the name of the terminal at a position; `part` is the part's seed, which the rule `random` uses."""
        if self.rule == BY_ADDRESS:
            return self.places.get(position.address, self.of[0])
        if self.rule == "random":
            source = draws.generator(part, "mix", self.name, position.address)
            return self.of[min(int(source.random() * len(self.of)), len(self.of) - 1)]
        step = {
            "rows": position.row - 1,
            "columns": position.position - 1,
            "checker": position.row + position.position,
        }[self.rule]
        return self.of[step % len(self.of)]


def read_terminals(top: TomlSection, addresses: Collection[str]) -> tuple[dict[str, Terminal], dict[str, Mix]]:
    """Read the scene file's tables `[terminals.NAME]`; a table with the key `mix` or `at` is a mix of other terminals.

    Args:
        top: the top table of the scene file.
        addresses: addresses of the positions that have a pin.

    Returns:
        Terminals by name, and mixes by name.
    """
    built = top.named_tables("terminals", _terminal_or_mix)
    terminals = {name: entry for name, entry in built.items() if isinstance(entry, Terminal)}
    mixes = {name: entry for name, entry in built.items() if isinstance(entry, Mix)}
    expected = f"the name of a terminal that is not a mix ({', '.join(terminals) or 'none'})"
    for name, mix in mixes.items():
        section = top.table("terminals").table(name)
        by_address = mix.rule == BY_ADDRESS
        for wrong in (other for other in mix.of[: 1 if by_address else None] if other not in terminals):
            if not by_address or "others" in section.data:
                section.wrong("others" if by_address else "mix", expected, shown(wrong))
        for address, terminal in mix.places.items():
            if address not in addresses:
                place = "the address of a position with a pin, such as r1c1"
                section.table("at").wrong(address, place, shown(address))
            if terminal not in terminals:
                section.table("at").wrong(address, expected, shown(terminal))
    if built and not terminals:
        top.wrong("terminals", "at least one terminal that is not a mix", f"only the mixes {', '.join(mixes)}")
    return terminals, mixes


def _terminal_or_mix(name: str, section: TomlSection) -> Terminal | Mix:
    if "at" in section.data:
        others, at = section.value("others", "a terminal's name, for the positions not in `at`"), section.table("at")
        places = {address: str(at.value(address, "")) for address in at.data}
        return Mix(name, tuple(dict.fromkeys((str(others or ""), *places.values()))), BY_ADDRESS, places)
    if "mix" not in section.data:
        return _terminal(name, section)
    expected = "a list of 2 to 16 names of terminals"
    names = section.value("mix", expected)
    good = isinstance(names, list) and 2 <= len(names) <= 16 and all(isinstance(n, str) for n in names)
    if not good:
        section.wrong("mix", expected, shown(names))
        names = []
    return Mix(name, tuple(names), section.choice("rule", MIX_RULES, "random"))


def _terminal(name: str, section: TomlSection) -> Terminal:
    shape = section.choice("section", SECTIONS)
    width = section.number("width_mm", 0.05, 50.0)
    thickness = section.number("thickness_mm", 0.05, 50.0) if shape == "blade" else width
    if "plating" in section.data:
        color, roughness = PLATINGS[section.choice("plating", tuple(PLATINGS))]
        roughness = section.number("roughness", 0.05, 1.0, roughness)
    else:
        color, roughness = read_color(section), section.number("roughness", 0.05, 1.0)
    return Terminal(
        name=name,
        section=shape,
        width_mm=width,
        thickness_mm=thickness,
        standing_mm=section.number("standing_mm", 0.1, 100.0),
        tip_mm=section.number("tip_mm", 0.1, 50.0),
        tip_share=section.number("tip_share", 0.05, 1.0),
        turn_deg=section.number("turn_deg", -360.0, 360.0, 0.0),
        color=color,
        roughness=roughness,
    )
