"""Read the table [measurement] of a SPEC: how every pin of every part is displaced."""

from __future__ import annotations

from blender_scripts.contract.defect import Choice
from blender_scripts.contract.errors import shown
from blender_scripts.contract.toml_section import TomlSection
from blender_scripts.kinds.bent import KIND as BENT_KIND
from generator.doe.spec import PATTERNS, Measurement, Range

BENT, RETRACTED, PROTRUDING, BENT_RETRACTED, BENT_PROTRUDING, MISSING, NONE = DISPLACEMENTS = (
    *("bent", "retracted", "protruding", "bent_retracted", "bent_protruding", "missing", "none"),
)
_PATTERN_SHARES = (0.6, 0.1, 0.1, 0.1, 0.1)
_KIND_SHARES = (0.45, 0.12, 0.1, 0.15, 0.1, 0.04, 0.04)
_SHAPES = next(each.choices for each in BENT_KIND.parameters if isinstance(each, Choice) and each.name == "shape")
_LARGEST = 100.0


def read_measurement(section: TomlSection) -> Measurement:
    """Read the table [measurement] of a SPEC; missing keys get their defaults, mistakes are noted in `section`."""
    return Measurement(
        patterns=_shares(section.table("patterns", optional=True), PATTERNS, _PATTERN_SHARES),
        kinds=_shares(section.table("kinds", optional=True), DISPLACEMENTS, _KIND_SHARES),
        true_position=_range(section, "true_position", _LARGEST, (0.0, 3.0)),
        retraction=_range(section, "retraction", _LARGEST, (0.0, 3.0)),
        protrusion=_range(section, "protrusion", _LARGEST, (0.0, 3.0)),
        own=section.number("own", 0.0, _LARGEST, 0.5),
        near_limit=section.number("near_limit", 0.0, 1.0, 0.2),
        start=_range(section, "start", 0.4, (0.0, 0.25)),
        curve=_range(section, "curve", 0.5, (0.1, 0.45)),
        shapes=_chosen(section, "shape"),
    )


def _shares(section: TomlSection, names: tuple[str, ...], default: tuple[float, ...]) -> dict[str, float]:
    """Read weights by name; those that a table leaves out are 0, without the table all have their defaults."""
    given = bool(section.data)
    found = {
        name: section.number(name, 0.0, 1000.0, 0.0 if given else share)
        for name, share in zip(names, default, strict=True)
    }
    if not any(found.values()):
        if section.is_sound():
            section.wrong(None, f"a weight above 0 for at least one of {', '.join(names)}", shown(section.data))
        return dict(zip(names, default, strict=True))
    return {name: share for name, share in found.items() if share}


def _range(section: TomlSection, key: str, most: float, default: tuple[float, float]) -> Range:
    low, high = section.numbers(key, 2, 0.0, most, default)
    if low > high:
        section.wrong(key, "two numbers, the smaller one first", f"{low:g}, {high:g}")
    return Range(low, high, 6)


def _chosen(section: TomlSection, key: str) -> tuple[str, ...]:
    expected = f"one or more of {', '.join(_SHAPES)}"
    value = section.value(key, expected, list(_SHAPES))
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not words or not all(word in _SHAPES for word in words):
        section.wrong(key, expected, shown(value))
        return _SHAPES
    return tuple(words)
