"""The decision OK or NG: from what was measured, by the user's tolerance, to classes and kinds of defect.

A record states measures; which of them are defects is decided here, by `judge`. A bend inside the tolerance is OK and a
good pin's scatter outside of it is NG, whatever the manifest asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

BENDNG, NUKENG, OK, OTHERNG = CLASSES = ("BENDNG", "NUKENG", "OK", "OTHERNG")
VERDICTS = ("OK", "NG")
# Of a picture with several defects, and of a pin that is out of both tolerances, the first of these.
PRECEDENCE = (NUKENG, BENDNG, OTHERNG, OK)
# A defect that shows less of itself than this cannot be learned from its picture.
OBSERVABLE_SHARE = 0.1
# A deviation that moves its pin's tip by less in a view cannot be told there from the scatter of good pins.
OBSERVABLE_PX = 1.0
# Kinds of a position whose class follows from its measures.
MEASURED_KINDS = ("ok", "bent", "retracted", "missing")

# Pieces that are gone have no pixels: their visible box is that of all that is gone, in the picture or not.
GONE_PIECES = ("cracked", "chipped")

# What an answer calls the classes; the hyphenated ones are the sources' own spelling.
ANSWER_LABELS = {
    "short": {name: name for name in CLASSES},
    "words": {BENDNG: "bent pin", NUKENG: "backed out pin", OTHERNG: "other defect", OK: "good pin"},
    "hyphenated": {BENDNG: "BEND-NG", NUKENG: "NUKE-NG", OTHERNG: "OTHER-NG", OK: "OK"},
}


def class_of_kind(kind: str) -> str:
    """The class of a pin that has this kind of defect and is out of tolerance by it."""
    return {"ok": OK, "bent": BENDNG, "retracted": NUKENG, "missing": NUKENG}.get(kind, OTHERNG)


@dataclass(frozen=True)
class Tolerance:
    """What is still good, in mm: a measure equal to its limit is good."""

    true_position_mm: float
    retraction_mm: float

    def __post_init__(self) -> None:
        for name, limit in asdict(self).items():
            if not (math.isfinite(limit) and limit > 0):
                raise ValueError(f"{name} must be a number of mm above 0, got {limit!r}")

    def with_limits(self, limits: Mapping[str, float]) -> Tolerance:
        """This tolerance with some limits replaced."""
        return Tolerance(**{**asdict(self), **limits})


def parse_tolerance(text: str) -> dict[str, float]:
    """The limits in `true_position_mm=0.6,retraction_mm=0.5`; either may be left out.

    Raises:
        ValueError: an unknown name, a name given twice, no number, or a limit that is not above 0.
    """
    limits: dict[str, float] = {}
    for item in text.split(","):
        name, equals, number = (part.strip() for part in item.partition("="))
        if name not in ("true_position_mm", "retraction_mm") or not equals:
            raise ValueError(f"expected true_position_mm=NUMBER or retraction_mm=NUMBER, got {item.strip()!r}")
        if name in limits:
            raise ValueError(f"expected {name} once, got it twice")
        try:
            limits[name] = float(number)
        except ValueError:
            raise ValueError(f"expected {name} in mm as a number, got {number!r}") from None
        if not (math.isfinite(limits[name]) and limits[name] > 0):
            raise ValueError(f"expected {name} above 0, got {number!r}")
    return limits


def judge(position: Mapping[str, Any], tolerance: Tolerance) -> tuple[str, tuple[str, ...]]:
    """Class of one position, and every kind of defect that makes it NG. `trainer.core.defect_size` compares likewise.

    Args:
        position: its `kind` and `defects` and, where it is not missing, `true_position_mm` and `retraction_mm`.
        tolerance: the limits that make it NG.
    """
    kind = position["kind"]
    if kind == "missing":
        return NUKENG, ("missing",)
    kinds = []
    if position["true_position_mm"] > tolerance.true_position_mm:
        kinds.append("bent")
    if position["retraction_mm"] > tolerance.retraction_mm:
        kinds.append("retracted")
    named = [text.partition("@")[0] for text in position.get("defects", ())] or [kind]
    others = sorted({name for name in named if name not in MEASURED_KINDS})
    if others:
        # A broken or wrong pin often measures as short or shifted too: only a bend or retraction of its own counts.
        kinds = [name for name in kinds if name in named]
        if not kinds:
            return OTHERNG, tuple(others)
        category = NUKENG if "retracted" in kinds else BENDNG
        return category, (*others, *kinds)
    if "retracted" in kinds:
        return NUKENG, tuple(kinds)
    return (BENDNG if kinds else OK), tuple(kinds)


def is_grey(measures: Mapping[str, Any], limits: Mapping[str, float], grey: float) -> bool:
    """Whether one of a position's measures lies within `grey` times its limit of that limit.

    Args:
        measures: true_position_mm and retraction_mm, None of a missing pin.
        limits: in mm, by the same names.
        grey: fraction of a limit; 0: none is.
    """
    return grey > 0 and any(
        measures[name] is not None and abs(measures[name] - limit) <= grey * limit for name, limit in limits.items()
    )


def is_in_answer(category: str, visible: float | None, area: float) -> bool:
    """Whether an answer names an object: it is NG, and enough of it is in view.

    Args:
        category: one of CLASSES.
        visible: share of it that can be seen; None where nobody measured it: it was seen.
        area: of its box, px^2.
    """
    return category != OK and area > 0 and (visible is None or visible >= OBSERVABLE_SHARE)


def worst_class(categories: Iterable[str]) -> str:
    """The class of a picture that shows objects of these classes."""
    found = set(categories)
    return next((name for name in PRECEDENCE if name in found), OK)
