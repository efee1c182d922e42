"""Check a marking, the print on a housing, as the column `marking` of a manifest and `generator match` take it."""

from __future__ import annotations

from blender_scripts.contract import lettering
from blender_scripts.contract.connector import Connector
from blender_scripts.contract.errors import shown

LONGEST_TEXT = 32
Wrong = tuple[str, str]


def wrong_marking(marking: str) -> Wrong | None:
    """Return what is expected of a marking, and what was found instead; None if any scene can have it."""
    kind, equals, text = marking.partition("=")
    if marking in ("none", "numbers"):
        return None
    if kind != "text" or not equals or not 1 <= len(text) <= LONGEST_TEXT:
        expected = f"none, numbers, or text= and 1 to {LONGEST_TEXT} characters"
        return expected, shown(marking) if marking else "nothing"
    if unknown := sorted(set(text) - lettering.ALPHABET):
        return "letters, digits, space and _-./+ only", shown("".join(unknown))
    return None


def too_wide(marking: str, connector: Connector) -> Wrong | None:
    """Return what is expected of a valid marking that is too wide for the housing, and its width; None if it fits."""
    if not marking.startswith("text="):
        return None
    text, where = marking.removeprefix("text="), connector.marking
    width, _ = lettering.size(text, where.height_mm, where.stroke_mm)
    (left, _), (right, _) = connector.shell.outside.bounds
    room = 2.0 * min(right - where.text_at_mm[0], where.text_at_mm[0] - left)
    if width <= room:
        return None
    return f"a text at most {room:.1f} mm wide, to fit on the housing", f"{shown(text)}, {width:.1f} mm wide"
