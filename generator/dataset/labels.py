"""Decide OK or NG: class and kinds of defect of a position, from its measures in mm and the user's tolerance.

A record (the renderer's JSON file on a picture) has measures; `judge` decides which of them are defects. A bend within
tolerance is OK, and a pin without a defect in the manifest is NG if its manufacturing scatter exceeds the tolerance.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from blender_scripts.contract.tolerance import Limits, Tolerance

BENDNG, NUKENG, OK, OTHERNG = CLASSES = ("BENDNG", "NUKENG", "OK", "OTHERNG")
VERDICTS = ("OK", "NG")
# What the classes and verdicts mean, for readers of cards and pages.
CLASS_MEANINGS = {
    OK: "good: every pin is within tolerance, and nothing else is wrong",
    "NG": "“no good”: at least one defect, whatever its class",
    BENDNG: "bent pin: its tip is further from its true position than the tolerance allows; the pin is in its cavity",
    NUKENG: "pin missing, or not seated: it is retracted into its cavity by more than the tolerance allows",
    OTHERNG: (
        "any other defect: a pin that is broken, crushed, twisted, tarnished, of the wrong type or higher than the "
        "tolerance allows; a foreign body; a cracked or chipped housing; a wrong print"
    ),
}
# The class of a picture with several defects, or of a pin beyond both limits, is the first of these that occurs.
PRECEDENCE = (NUKENG, BENDNG, OTHERNG, OK)
# A defect of which a smaller share is visible cannot be learned from the picture.
OBSERVABLE_SHARE = 0.1
# A bend or retraction that moves the tip by less than this (px) in a picture looks like the scatter of good pins.
OBSERVABLE_PX = 1.0
# Kinds of a position whose class follows from its measures (or from its pin being missing).
MEASURED_KINDS = ("ok", "bent", "retracted", "protruding", "missing")

# How Florence-2's answer names the classes, by style; the hyphenated names are those of the published sources.
ANSWER_LABELS = {
    "short": {name: name for name in CLASSES},
    "words": {BENDNG: "bent pin", NUKENG: "backed out pin", OTHERNG: "other defect", OK: "good pin"},
    "hyphenated": {BENDNG: "BEND-NG", NUKENG: "NUKE-NG", OTHERNG: "OTHER-NG", OK: "OK"},
}


def class_of_kind(kind: str) -> str:
    """Return the class of a pin of this kind: ok OK, bent BENDNG, retracted and missing NUKENG, any other OTHERNG."""
    return {"ok": OK, "bent": BENDNG, "retracted": NUKENG, "missing": NUKENG}.get(kind, OTHERNG)


def judge(position: Mapping[str, Any], tolerance: Tolerance) -> tuple[str, tuple[str, ...]]:
    """Return the class of one pin position, and every kind of defect that makes it NG; (OK, ()) for a good one.

    If the position has a defect that measures do not show, such as `broken`, a measure above its limit counts only if
    its kind (such as `bent`) is among `defects` too.

    `trainer.core.defect_size` compares measures with limits in the same way.

    Args:
        position: the position's entry in a record: `kind` and, where there are any, `address`, `defects` and measures
            in mm. A missing pin has no measures.
        tolerance: the limits above which the position is NG: those of its address, if there are any, else the general
            ones.
    """
    kind = position["kind"]
    if kind == "missing":
        return NUKENG, ("missing",)
    limits = tolerance.limits(position.get("address"))
    kinds = []
    if position["true_position_mm"] > limits.true_position_mm:
        kinds.append("bent")
    if position["retraction_mm"] > limits.retraction_mm:
        kinds.append("retracted")
    if -position["retraction_mm"] > limits.protrusion_mm:
        kinds.append("protruding")
    named = [text.partition("@")[0] for text in position.get("defects", ())] or [kind]
    others = sorted({name for name in named if name not in MEASURED_KINDS})
    if others:
        # A broken or wrong pin often measures as short or shifted: measures count only for defects that were asked for.
        kinds = [name for name in kinds if name in named]
    categories = {class_of_kind(name) for name in (*others, *kinds)}
    return worst_class(categories), (*others, *kinds)


def is_grey(measures: Mapping[str, Any], limits: Limits, grey: float) -> bool:
    """Whether a measure of a position differs from its limit by at most `grey` times the limit (the grey zone).

    Args:
        measures: `true_position_mm` and `retraction_mm` of the position; both None for a missing pin.
        limits: limits of this position, mm.
        grey: fraction of a limit; 0: never in the grey zone.
    """
    off, depth = measures["true_position_mm"], measures["retraction_mm"]
    pairs = [] if off is None else [(off, limits.true_position_mm)]
    if depth is not None:
        pairs.append((abs(depth), limits.retraction_mm if depth > 0 else limits.protrusion_mm))
    return grey > 0 and any(abs(value - limit) <= grey * limit for value, limit in pairs)


def is_in_answer(category: str, visible: float | None, area: float) -> bool:
    """Whether `bbox_str` (the Florence-2 answer) has an object's box.

    It has the boxes of NG objects of which OBSERVABLE_SHARE (a tenth) or more is visible, except empty boxes.

    Args:
        category: class of the object.
        visible: share of the object that is visible, 0 to 1; None: not measured, and taken as visible.
        area: area of its box, px^2.
    """
    return category != OK and area > 0 and (visible is None or visible >= OBSERVABLE_SHARE)


def observable_px_of(settings: Mapping[str, Any]) -> float:
    """Return the build setting `observable_px` (see `can_be_seen`) in a dataset's card, px; without it OBSERVABLE_PX.

    Args:
        settings: what the card's header has under the key `pinsight`; {} if Pinsight did not write the card.
    """
    stated = settings.get("observable_px")
    is_length = isinstance(stated, int | float) and not isinstance(stated, bool) and 0 <= stated <= sys.float_info.max
    return float(stated) if is_length else OBSERVABLE_PX  # type: ignore[arg-type]


def can_be_seen(moved_px: float | None, observable_px: float) -> bool:
    """Whether a picture can show that an NG object is not good, if enough of the object is visible.

    Args:
        moved_px: by how many px the bend or wrong height of a pin moves its tip in the picture; None: the defect is of
            another kind, or the number is not known; it then counts as visible.
        observable_px: the least such number, px, that counts as visible.
    """
    return moved_px is None or moved_px >= observable_px


def shows_a_pin(visible: Sequence[float | None]) -> bool:
    """Whether a picture shows any of the part's pins, so that a good part counts as observable; also if it has none.

    Args:
        visible: for each pin the share that is visible, 0 to 1; None: not measured, and taken as visible.
    """
    return not visible or any(share != 0 for share in visible)


def worst_class(categories: Iterable[str]) -> str:
    """Return the class of a picture whose objects have these classes: the first of NUKENG, BENDNG, OTHERNG; else OK."""
    found = set(categories)
    return next((name for name in PRECEDENCE if name in found), OK)
