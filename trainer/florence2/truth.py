"""What is true of one picture: every object with a box, and which of them the `<OD>` answer names."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from generator.bbox_str import decode, encode
from trainer.core.data import LEFT_RIGHT, UP_DOWN
from trainer.core.errors import InputError

MISSING_CLASS = "NUKENG"


FACTORS = ("scene", "housing", "terminal", "camera", "lighting", "marking")


@dataclass(frozen=True)
class Pin:
    """One position of a picture: its address and cavity label, box xyxy in px, class, and whether it is missing."""

    address: str
    cavity: str
    box: tuple[float, float, float, float]
    label: str
    missing: bool = False


@dataclass(frozen=True)
class Truth:
    """What is true of one picture.

    Args:
        run: The row's name.
        size: (W, H) px of the picture as it was stored.
        pins: Every object that has a box.
        answer: Indices of those in the `<OD>` answer.
        may_flip: Whether it may be mirrored left-right and up-down.
        factors: The row's design factors.
    """

    run: str
    size: tuple[int, int]
    pins: tuple[Pin, ...]
    answer: tuple[int, ...]
    may_flip: tuple[bool, bool] = (False, False)
    factors: dict[str, str] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[Pin, ...]:
        """The objects of the answer."""
        return tuple(self.pins[i] for i in self.answer)

    @property
    def defects(self) -> tuple[str, tuple[str, ...]]:
        """The scene, and the addresses of the objects of the answer."""
        return self.factors.get("scene", ""), tuple(pin.address for pin in self.targets)


def truth_of(row: dict[str, Any], classes: Sequence[str], place: str) -> Truth:
    """What a row says of its picture.

    Raises:
        InputError: No picture size, or `bbox_str` is no `<OD>` answer or names another class.
    """
    width, height = int(row.get("width") or 0), int(row.get("height") or 0)
    try:
        boxes, labels = decode(row.get("bbox_str") or "", width, height)
    except ValueError as e:
        raise InputError(f"{place} column bbox_str: {e}") from e
    if unknown := set(labels) - set(classes):
        raise InputError(
            f"{place} column bbox_str: expected labels of {list(classes)}, got {sorted(unknown)}"
        )
    pins: list[Pin] = []
    objects = row.get("objects") or {}
    for index, bbox in enumerate(objects.get("bbox") or []):
        category = objects["category"][index]
        if bbox is None or category is None or bbox[2] <= 0 or bbox[3] <= 0:
            continue
        x, y, w, h = map(float, bbox)

        def cell(name: str, index: int = index) -> Any:
            return (objects.get(name) or [None] * (index + 1))[index]

        address, label = str(cell("address") or ""), classes[category]
        # Foreign bodies and boxes of photographs have no retraction either.
        may_be_missing = label == MISSING_CLASS and bool(address) and "retraction_mm" in objects
        pins.append(
            Pin(
                address,
                str(cell("cavity") or ""),
                (x, y, x + w, y + h),
                label,
                may_be_missing and cell("retraction_mm") is None,
            )
        )
    written = [encode([pin.box], [pin.label], width, height) for pin in pins]
    answer = []
    for box, label in zip(boxes, labels, strict=True):
        text = encode([box], [label], width, height)
        known = [i for i, other in enumerate(written) if other == text and i not in answer]
        if not known:
            pins.append(Pin("", "", box, label))
            written.append(text)
        answer.append(known[0] if known else len(pins) - 1)
    plain = row.get("marking") == "none"
    return Truth(
        run=str(row.get("run", "")),
        size=(width, height),
        pins=tuple(pins),
        answer=tuple(answer),
        may_flip=(plain and row.get("camera") in LEFT_RIGHT, plain and row.get("camera") in UP_DOWN),
        factors={name: str(row[name]) for name in FACTORS if row.get(name) is not None},
    )
