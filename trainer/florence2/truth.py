"""The true boxes of one picture: every object with a box, and the objects that the `<OD>` answer names."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from generator.bbox_str import BINS, decode, encode
from trainer.core.dataset_columns import may_flip, part_name
from trainer.core.errors import InputError
from trainer.vit.network.model import OK_CLASS

if TYPE_CHECKING:
    from generator.dataset.rows import ObjectRow

MISSING_CLASS = "NUKENG"
FACTORS = ("scene", "housing", "terminal", "camera", "lighting", "marking")


@dataclass(frozen=True)
class Pin:
    """A pin or other object: address and cavity (may be empty), box xyxy in px, class, whether it is a missing pin.

    `unseen`: its bend or wrong height moves its tip too little to be seen (`generator.dataset.labels.can_be_seen`).
    """

    address: str
    cavity: str
    box: tuple[float, float, float, float]
    label: str
    missing: bool = False
    unseen: bool = False


@dataclass(frozen=True)
class Truth:
    """The true boxes of one picture.

    Args:
        run: Name of the manifest row (column `run`).
        size: Size (W, H) of the picture as stored, in px.
        pins: Every object that has a box.
        answer: Indices in `pins` of the objects that the `<OD>` answer names.
        may_flip: Whether the picture may be mirrored left-right, and whether up-down.
        factors: The row's design factors by name.
        columns: The row's columns `scene`, `part`, `tolerance_json`, `observable` and `grey`.
        objects: The row's objects with their measures, whether or not they have a box.
    """

    run: str
    size: tuple[int, int]
    pins: tuple[Pin, ...]
    answer: tuple[int, ...]
    may_flip: tuple[bool, bool] = (False, False)
    factors: dict[str, str] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)
    objects: "tuple[ObjectRow, ...]" = ()

    @property
    def part(self) -> str:
        """Name of the part that the picture shows; `run NAME` if the dataset names no parts."""
        return part_name(self.columns, self.run)

    @property
    def targets(self) -> tuple[Pin, ...]:
        """The objects that the model must name, with their true boxes."""
        return tuple(self.pins[i] for i in self.answer)

    def counted(self, ignore_unseen: bool) -> tuple[Pin, ...]:
        """The objects that the model must name; with `ignore_unseen`, only those that can be seen."""
        return tuple(pin for pin in self.targets if not (ignore_unseen and pin.unseen))

    @property
    def defects(self) -> tuple[str, tuple[str, ...]]:
        """The scene, and the addresses of the objects that the answer names."""
        return self.factors.get("scene", ""), tuple(pin.address for pin in self.targets)


def is_visible(each: "ObjectRow") -> bool:
    """Whether a picture shows enough of an object to learn from it: of a hidden one it shows what hides it."""
    from generator.dataset.labels import OBSERVABLE_SHARE

    return each.area > 0 and (each.visible is None or each.visible >= OBSERVABLE_SHARE)


def _answer_of(objects: "Sequence[ObjectRow]", least_visible: float) -> list[int]:
    """Indices of the objects that the `<OD>` answer names.

    Datasets of earlier versions lack `in_answer`: there the answer names every NG object that is visible enough.
    """
    return [
        index
        for index, each in enumerate(objects)
        if (
            each.in_answer
            if each.in_answer is not None
            else each.category != OK_CLASS and (each.visible is None or each.visible >= least_visible)
        )
    ]


def _is_missing(each: "ObjectRow") -> bool:
    """Whether an object is a missing pin; without `kinds` (earlier versions): if it is NUKENG without retraction."""
    if each.kinds is not None:
        return "missing" in each.kinds
    return each.is_position and each.category == MISSING_CLASS and each.retraction_mm is None


def _matched(
    boxes: Sequence[Sequence[float]], labels: Sequence[str], pins: list[Pin], named: list[int], size: tuple[int, int]
) -> list[int]:
    """Index of the pin that each box of an answer belongs to; a box of no object is added to `pins`.

    A box belongs to an object if each edge is within 1.5 bins, as the answer was written from unrounded boxes.
    """
    left, answer = list(named), []
    slack = [1.5 * side / BINS for side in (*size, *size)]
    for box, label in zip(boxes, labels, strict=True):
        near = [
            i
            for i in left
            if pins[i].label == label
            and all(abs(a - b) <= most for a, b, most in zip(pins[i].box, box, slack, strict=True))
        ]
        if near:
            left.remove(near[0])
            answer.append(near[0])
        else:
            answer.append(len(pins))
            x1, y1, x2, y2 = box
            pins.append(Pin("", "", (x1, y1, x2, y2), label))
    return answer


def truth_of(row: Mapping[str, Any], classes: Sequence[str], place: str, observable_px: float = 0.0) -> Truth:
    """Read the true boxes of a row's picture.

    A box of `bbox_str` (the `<OD>` answer as text) that fits no object, as in datasets of other programs, becomes an
    object without address.

    Args:
        row: The row as stored, with classes as indices in `classes`.
        classes: The dataset's class names.
        place: Name of the row, with which messages begin.
        observable_px: A pin is `unseen` if its bend or wrong height moves its tip by less than this, px (`moved_px`).

    Raises:
        InputError: The picture size is missing, or `bbox_str` is no `<OD>` answer or names an unknown class.
    """
    # Imported here: it takes seconds, and a prediction does not need it.
    from generator.dataset.labels import OBSERVABLE_SHARE, can_be_seen
    from generator.dataset.rows import objects_of

    width, height = int(row.get("width") or 0), int(row.get("height") or 0)
    text = row.get("bbox_str") or ""
    try:
        boxes, labels = decode(text, width, height)
    except ValueError as e:
        raise InputError(f"{place} column bbox_str: {e}") from e
    if unknown := set(labels) - set(classes):
        raise InputError(f"{place} column bbox_str: expected labels of {list(classes)}, got {sorted(unknown)}")
    every = objects_of(row, classes) or ()
    objects = [each for each in every if each.area > 0]
    pins = [
        Pin(
            each.address or "",
            each.cavity or "",
            each.box,
            each.category,
            _is_missing(each),
            unseen=not can_be_seen(each.moved_px, observable_px),
        )
        for each in objects
    ]
    answer = _answer_of(objects, OBSERVABLE_SHARE)
    if encode([pins[i].box for i in answer], [pins[i].label for i in answer], width, height) != text:
        answer = _matched(boxes, labels, pins, answer, (width, height))
    return Truth(
        run=str(row.get("run", "")),
        size=(width, height),
        pins=tuple(pins),
        answer=tuple(answer),
        may_flip=may_flip(row),
        factors={name: str(row[name]) for name in FACTORS if row.get(name) is not None},
        columns={name: row.get(name) for name in ("scene", "part", "tolerance_json", "observable", "grey")},
        objects=tuple(every),
    )


def quantised(box: Sequence[float], size: tuple[int, int]) -> tuple[float, ...]:
    """Return the box nearest to `box` that an answer can state; both are xyxy in px of a picture of `size` (W, H)."""
    (best,), _ = decode(encode([box], ["x"], *size), *size)
    return tuple(best) if all(map(math.isfinite, best)) else tuple(box)
