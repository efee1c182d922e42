"""The tolerance: limits in mm on a pin's measures, for the whole connector and for single positions."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from blender_scripts.contract.errors import shown
from blender_scripts.contract.toml_section import TomlSection

MEASURES = ("true_position_mm", "retraction_mm", "protrusion_mm")
_LEAST_MM, _MOST_MM = 0.001, 50.0
# Python also reads `8_0` (as 80), `8e2` and digits of other scripts: as limits these are slips.
_PLAIN_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_ADDRESS = re.compile(r"r[1-9][0-9]{0,3}c[1-9][0-9]{0,3}")


@dataclass(frozen=True)
class Limits:
    """Limits, mm, for the measures of the pin at one position; a pin is good if no measure is above its limit.

    Attributes:
        true_position_mm: true position of the tip, as a diameter.
        retraction_mm: how far the terminal may sit below its nominal height.
        protrusion_mm: how far it may sit above its nominal height (a protrusion is a negative retraction).
    """

    true_position_mm: float
    retraction_mm: float
    protrusion_mm: float


@dataclass(frozen=True)
class Tolerance:
    """Limits as a scene file states them, mm.

    Attributes:
        true_position_mm, retraction_mm, protrusion_mm: limits of every pin, as in `Limits`; a `protrusion_mm` of None
            equals `retraction_mm`.
        at: exceptions: for an address, the limits, by name, that replace those of every pin.
    """

    true_position_mm: float
    retraction_mm: float
    protrusion_mm: float | None = None
    at: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for limits in (self._everywhere, *self.at.values()):
            for name, limit in limits.items():
                if not (name in MEASURES and math.isfinite(limit) and limit > 0):
                    raise ValueError(f"{name} must be a number of mm above 0, got {limit!r}")

    @property
    def _everywhere(self) -> dict[str, float]:
        limits = {"true_position_mm": self.true_position_mm, "retraction_mm": self.retraction_mm}
        return limits if self.protrusion_mm is None else {**limits, "protrusion_mm": self.protrusion_mm}

    def limits(self, address: str | None = None) -> Limits:
        """Return the limits for the pin at an address; None: the limits for all pins without an exception in `at`."""
        stated = {**self._everywhere, **self.at.get(address or "", {})}
        return Limits(**{"protrusion_mm": stated["retraction_mm"], **stated})

    def with_limits(self, limits: Mapping[str, float]) -> Tolerance:
        """Return a copy with some limits replaced.

        Args:
            limits: new limits, mm, by name: `retraction_mm` replaces that of every pin, exceptions included;
                `r1c2.retraction_mm` that of the pin at one address.
        """
        everywhere, at = self._everywhere, {address: dict(own) for address, own in self.at.items()}
        for name in (name for name in limits if name in MEASURES):
            everywhere[name] = limits[name]
            for own in at.values():
                own.pop(name, None)
        for name, limit in limits.items():
            address, _, measure = name.rpartition(".")
            if address:
                at.setdefault(address, {})[measure] = limit
        return Tolerance(**everywhere, at={address: own for address, own in at.items() if own})

    def stated(self) -> dict[str, Any]:
        """The limits, mm, by name, that the scene file states; `at` holds exceptions by address, if there are any."""
        at = {address: dict(own) for address, own in self.at.items()}
        return {**self._everywhere, **({"at": at} if at else {})}

    def flat(self) -> dict[str, float]:
        """The limits that the scene file states, mm, by name like `r1c2.retraction_mm`, as `--tolerance` does."""
        own = {f"{address}.{name}": limit for address, at in self.at.items() for name, limit in at.items()}
        return {**self._everywhere, **own}

    def complete(self) -> dict[str, Any]:
        """The three limits, mm, by name; if pins have limits of their own, `at` has all three by their address."""
        at = {address: asdict(self.limits(address)) for address in self.at}
        return {**asdict(self.limits()), **({"at": at} if at else {})}


def parse_tolerance(text: str) -> dict[str, float]:
    """Parse limits in mm, such as `true_position_mm=0.6,r1c2.retraction_mm=0.5`; returns the limit by name.

    Raises:
        ValueError: a name is unknown or given twice, or a limit is not a plain decimal number from 0.001 to 50, which
            is the range of a scene file's limits.
    """
    limits: dict[str, float] = {}
    if comma := re.search(r"=\s*(\d*,\d+)\s*(?:[,;]|$)", text):
        raise ValueError(f"expected numbers with a decimal point, such as 0.6, got {comma[1]!r}")
    for item in text.split(","):
        name, equals, number = (part.strip() for part in item.partition("="))
        address, dot, measure = name.rpartition(".")
        if measure not in MEASURES or not equals or (dot and not _ADDRESS.fullmatch(address)):
            names = ", ".join(f"{each}=NUMBER" for each in MEASURES)
            one = f"for a single pin, r1c2.{MEASURES[0]}=NUMBER"
            raise ValueError(f"expected {names}, or {one}, got {item.strip()!r}")
        if name in limits:
            raise ValueError(f"expected {name} once, got it twice")
        if not _PLAIN_NUMBER.fullmatch(number):
            raise ValueError(f"expected a limit in mm as digits with a point, such as {name}=0.6, got {item.strip()!r}")
        limits[name] = float(number)
        if not _LEAST_MM <= limits[name] <= _MOST_MM:
            raise ValueError(f"expected {name} in mm, from {_LEAST_MM:g} to {_MOST_MM:g}, got {number!r}")
    return limits


def stated_tolerance(stated: Any, place: str) -> Tolerance:
    """Return the tolerance that a JSON document states, as `Tolerance.stated` or `Tolerance.complete` returned it.

    Args:
        stated: limits in mm by name; under `at`, those of single positions by address.
        place: the document's key, for messages.

    Raises:
        ValueError: it is no such object, has an unknown or misses a necessary key, or a limit is no number above 0.
    """
    if not isinstance(stated, Mapping):
        raise ValueError(f"{place}: expected limits in mm by name, got {shown(stated)}")
    at = stated.get("at", {})
    if not isinstance(at, Mapping):
        raise ValueError(f"{place}.at: expected limits in mm by address, got {shown(at)}")
    for address, own in at.items():
        if not (_ADDRESS.fullmatch(address) and isinstance(own, Mapping)):
            expected = "an address such as r1c1, with limits in mm by name"
            raise ValueError(f"{place}.at.{address}: expected {expected}, got {shown(own)}")
    everywhere = {name: limit for name, limit in stated.items() if name != "at"}
    places = [(place, everywhere), *((f"{place}.at.{address}", own) for address, own in at.items())]
    for where, limits in places:
        for name, limit in limits.items():
            if name not in MEASURES:
                raise ValueError(f"{where}.{name}: expected only {', '.join(MEASURES)}, got an unknown key")
            if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit < math.inf:
                raise ValueError(f"{where}.{name}: expected a number of mm above 0, got {shown(limit)}")
    for name in (name for name in MEASURES[:2] if name not in everywhere):
        raise ValueError(f"{place}.{name}: expected a number of mm above 0, got no such key")
    return Tolerance(**everywhere, at=at)


def read_tolerance(section: TomlSection, addresses: Collection[str], blanks: Collection[str] = ()) -> Tolerance:
    """Read the scene file's table `[tolerance]`; mistakes are noted in `section`.

    Args:
        section: the table.
        addresses: addresses of the positions that have a pin.
        blanks: addresses of the positions that have none.
    """
    true_position, retraction = (section.number(name, _LEAST_MM, _MOST_MM) for name in MEASURES[:2])
    protrusion = section.number("protrusion_mm", _LEAST_MM, _MOST_MM, retraction)
    by_address = section.table("at", optional=True)
    everywhere, at = (true_position, retraction, protrusion), {}
    for address in by_address.data:
        if address not in addresses:
            why = "has no pin (positions.blanks)" if address in blanks else "does not exist"
            expected = "the address of a position with a pin, such as r1c1"
            by_address.wrong(address, expected, f"{shown(address)}, which {why}")
        own = by_address.table(address)
        # All are read, so that the message on an unknown key lists them.
        limits = {n: own.number(n, _LEAST_MM, _MOST_MM, limit) for n, limit in zip(MEASURES, everywhere, strict=True)}
        at[address] = {name: limit for name, limit in limits.items() if name in own.data}
        if not own.data:
            own.wrong(None, f"at least one limit ({', '.join(MEASURES)})", "nothing")
    return Tolerance(true_position, retraction, protrusion if "protrusion_mm" in section.data else None, at)
