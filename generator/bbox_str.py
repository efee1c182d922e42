"""The answer that Florence-2 gives to `<OD>`: boxes as text, and text as boxes.

    NUKENG<loc_120><loc_250><loc_160><loc_333><loc_500><loc_250><loc_540><loc_333>BENDNG<loc_700>...

Boxes stand grouped under their label; groups come in the order of their first box, boxes by the bins of (y1, x1). A
bin is floor(x * 1000 / W), clamped to 0 to 999 (there is no `<loc_1000>` token); decoding gives the middle of the
bin in floats, so a round trip moves an edge by at most half a bin: W / 2000 px. An empty answer means that nothing
was found.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

BINS = 1000
_GROUP = re.compile(r"([^<]+)((?:<loc_\d+>)+)")
_LOCATION = re.compile(r"<loc_(\d+)>")

Box = tuple[float, float, float, float]


def encode(boxes: Sequence[Sequence[float]], labels: Sequence[str], width: int, height: int) -> str:
    """Boxes and their labels as an `<OD>` answer without `<s>` and `</s>`.

    Args:
        boxes: xyxy in px, edge convention; what lies outside of [0, width] x [0, height] is clamped.
        labels: one word or phrase per box, without `<`.
        width, height: of the picture in px.

    Raises:
        ValueError: unequal lengths, an empty picture, a box that is not finite or is inverted, a label that the
            answer's grammar cannot hold.
    """
    _check_size(width, height)
    if len(boxes) != len(labels):
        raise ValueError(f"boxes and labels must be equally many, got {len(boxes)} and {len(labels)}")
    binned: list[tuple[int, int, int, int, str]] = []
    for number, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        if len(box) != 4 or not all(math.isfinite(value) for value in box):
            raise ValueError(f"boxes[{number}] must be four finite numbers, got {list(box)}")
        x1, y1, x2, y2 = box
        if x2 < x1 or y2 < y1:
            raise ValueError(f"boxes[{number}] must have x1 <= x2 and y1 <= y2, got {list(box)}")
        if not label.strip() or label != label.strip() or "<" in label or "\n" in label:
            raise ValueError(
                f"labels[{number}] must be a word or phrase without '<' or line break, got {label!r}"
            )
        binned.append((_bin(y1, height), _bin(x1, width), _bin(y2, height), _bin(x2, width), label))
    groups: dict[str, list[str]] = {}
    for y1, x1, y2, x2, label in sorted(binned):
        groups.setdefault(label, []).append(f"<loc_{x1}><loc_{y1}><loc_{x2}><loc_{y2}>")
    return "".join(label + "".join(locations) for label, locations in groups.items())


def decode(text: str, width: int, height: int) -> tuple[list[Box], list[str]]:
    """Boxes and labels of an `<OD>` answer, in its order.

    Args:
        text: the answer without `<s>` and `</s>`; empty for none.
        width, height: of the picture in px.

    Returns:
        Boxes xyxy in px at the middles of their bins, and as many labels.

    Raises:
        ValueError: text that is no such answer: a box without a label, a number of locations that is not a multiple
            of four, a location beyond the last bin, an inverted box.
    """
    _check_size(width, height)
    boxes: list[Box] = []
    labels: list[str] = []
    end = 0
    for group in _GROUP.finditer(text):
        if group.start() != end:
            break
        end = group.end()
        bins = [int(value) for value in _LOCATION.findall(group[2])]
        if len(bins) % 4:
            raise ValueError(f"label {group[1]!r} must have four locations per box, got {len(bins)}")
        if max(bins) >= BINS:
            raise ValueError(f"locations must be 0 to {BINS - 1}, got <loc_{max(bins)}>")
        for x1, y1, x2, y2 in zip(*[iter(bins)] * 4, strict=True):
            if x2 < x1 or y2 < y1:
                raise ValueError(f"boxes must have x1 <= x2 and y1 <= y2, got bins {[x1, y1, x2, y2]}")
            boxes.append((_middle(x1, width), _middle(y1, height), _middle(x2, width), _middle(y2, height)))
            labels.append(group[1])
    if end != len(text):
        raise ValueError(
            f"expected a label and its locations at character {end}, got {text[end : end + 30]!r}"
        )
    return boxes, labels


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ValueError(f"width and height must be at least 1 px, got {width} x {height}")


def _bin(value: float, extent: int) -> int:
    return min(max(math.floor(value * BINS / extent), 0), BINS - 1)


def _middle(index: int, extent: int) -> float:
    return (index + 0.5) * extent / BINS
