"""Encode boxes with labels as Florence-2's answer to the prompt `<OD>` (a text), and decode such an answer.

    NUKENG<loc_120><loc_250><loc_160><loc_333><loc_500><loc_250><loc_540><loc_333>BENDNG<loc_700>...

Boxes with the same label follow each other, sorted by the bins of (y1, x1). The labels have the order of their first
boxes. A coordinate x is stored as its bin, floor(x * 1000 / W) for a picture W px wide, at most 999; y likewise with
the height. Decoding gives the middle of the bin, so encoding and decoding move an edge by at most half a bin, W / 2000
px. An empty answer means that no defect was found.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence

BINS = 1000
_GROUP = re.compile(r"([^<]+)((?:<loc_\d+>)+)")
_LOCATION = re.compile(r"<loc_(\d+)>")
_TOKEN = re.compile(r"<loc_(0|[1-9]\d*)>|(</?(?:s|pad|unk|mask)>)|(<[^<>]*>?)|([^<]+)")

Box = tuple[float, float, float, float]


def encode(boxes: Sequence[Sequence[float]], labels: Sequence[str], width: int, height: int) -> str:
    """Encode boxes and their labels as an `<OD>` answer, without `<s>` and `</s>`.

    Args:
        boxes: x1, y1, x2, y2 in px from the picture's upper left corner; edges outside the picture are moved onto its
            border.
        labels: one word or phrase per box, without `<`.
        width, height: size of the picture in px.

    Raises:
        ValueError: boxes and labels differ in number, the picture is empty, a box is not finite or has x1 > x2 or
            y1 > y2, or a label has `<`, a line break, or a space at its beginning or end.
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
            raise ValueError(f"labels[{number}] must be a word or phrase without '<' or line break, got {label!r}")
        binned.append((bin_of(y1, height), bin_of(x1, width), bin_of(y2, height), bin_of(x2, width), label))
    groups: dict[str, list[str]] = {}
    for y1, x1, y2, x2, label in sorted(binned):
        groups.setdefault(label, []).append(f"<loc_{x1}><loc_{y1}><loc_{x2}><loc_{y2}>")
    return "".join(label + "".join(locations) for label, locations in groups.items())


def decode(text: str, width: int, height: int) -> tuple[list[Box], list[str]]:
    """Decode an `<OD>` answer into boxes and labels, in the answer's order.

    Args:
        text: the answer without `<s>` and `</s>`; empty where no defect was found.
        width, height: size of the picture in px.

    Returns:
        Boxes (x1, y1, x2, y2) in px, with edges at the middles of their bins, and one label per box.

    Raises:
        ValueError: the text is not an `<OD>` answer: a box has no label, the number of locations is not a multiple of
            four, a location is above 999, or a box has x1 > x2 or y1 > y2.
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
            raise ValueError(f"label {group[1]!r} must have a multiple of four locations, got {len(bins)}")
        if max(bins) >= BINS:
            raise ValueError(f"locations must be from 0 to {BINS - 1}, got <loc_{max(bins)}>")
        for x1, y1, x2, y2 in zip(*[iter(bins)] * 4, strict=True):
            if x2 < x1 or y2 < y1:
                raise ValueError(f"boxes must have x1 <= x2 and y1 <= y2, got locations {[x1, y1, x2, y2]}")
            boxes.append((_middle(x1, width), _middle(y1, height), _middle(x2, width), _middle(y2, height)))
            labels.append(group[1])
    if end != len(text):
        raise ValueError(f"expected a label and its locations at character {end}, got {text[end : end + 30]!r}")
    return boxes, labels


def lint(text: str, labels: Collection[str] | None = None) -> list[str]:
    """List the faults of an `<OD>` answer: what `decode` would refuse or `encode` write differently, and equal boxes.

    Args:
        text: the answer as stored in the column `bbox_str`.
        labels: the labels that are allowed; None: any label is.

    Returns:
        One message per fault, ``character N: expected …, got …``; an empty list for an answer that `encode` wrote from
        boxes that differ in their bins and labels without `>`.
    """
    problems: list[str] = []
    groups: list[tuple[str, int, list[int]]] = []

    def wrong(at: int, expected: str, got: str) -> None:
        problems.append(f"character {at}: expected {expected}, got {got}")

    if text != text.strip() or "\n" in text:
        wrong(0, "no space around the answer and no line break in it", repr(text[:40]))
    for token in _TOKEN.finditer(text):
        location, special, broken, label = token.groups()
        at = token.start()
        if location is not None:
            if int(location) >= BINS:
                wrong(at, f"a location of 0 to {BINS - 1}", token[0])
            if not groups:
                wrong(at, "a label before its locations", token[0])
                groups.append(("", at, []))
            groups[-1][2].append(int(location))
        elif special is not None:
            wrong(at, "no special token, as the tokenizer adds it", special)
        elif broken is not None:
            wrong(at, "a location such as <loc_12>, and no other '<'", repr(broken[:20]))
        elif label.strip():
            _lint_label(label, at, labels, {name for name, _, _ in groups}, wrong)
            groups.append((label, at, []))
    for label, at, bins in groups:
        _lint_boxes(label, at, bins, wrong)
    firsts = [(bins[1], bins[0]) for _, _, bins in groups if len(bins) >= 4]
    if firsts != sorted(firsts):
        wrong(groups[0][1], "labels in the order of (y1, x1) of their first boxes", "another order")
    return problems


def _lint_label(
    label: str, at: int, labels: Collection[str] | None, before: set[str], wrong: Callable[[int, str, str], None]
) -> None:
    if label != label.strip():
        wrong(at, "a label without spaces around it", repr(label))
    if ">" in label:
        wrong(at, "a label without '>'", repr(label))
    if labels is not None and label.strip() not in labels:
        wrong(at, f"one of the labels {', '.join(sorted(labels))}", repr(label))
    if label in before:
        wrong(at, f"the boxes of {label!r} one after the other", "the label a second time")


def _lint_boxes(label: str, at: int, bins: list[int], wrong: Callable[[int, str, str], None]) -> None:
    if not bins:
        wrong(at, f"boxes after the label {label!r}", "none")
    elif len(bins) % 4:
        wrong(at, f"four locations per box of {label!r}", f"{len(bins)} locations")
        return
    boxes = list(zip(*[iter(bins)] * 4, strict=True))
    for x1, y1, x2, y2 in boxes:
        if x2 < x1 or y2 < y1:
            wrong(at, f"boxes of {label!r} with x1 <= x2 and y1 <= y2", str([x1, y1, x2, y2]))
    places = [(y1, x1) for x1, y1, _, _ in boxes]
    if places != sorted(places):
        wrong(at, f"boxes of {label!r} in the order of (y1, x1)", "another order")
    if len(set(boxes)) < len(boxes):
        wrong(at, f"each box of {label!r} once", "a box twice")


def ceiling(box: Sequence[float], width: int, height: int) -> float:
    """Return the IoU (0 to 1) of a true box with the same box encoded and decoded, whose edges are middles of bins.

    Args:
        box: the true box, x1, y1, x2, y2 in px, inside the picture.
        width, height: size of the picture in px.
    """
    x1, y1, x2, y2 = box
    ((u1, v1, u2, v2),), _ = decode(encode([box], ["x"], width, height), width, height)
    across, down = min(x2, u2) - max(x1, u1), min(y2, v2) - max(y1, v1)
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    return shared / ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared)


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ValueError(f"width and height must be at least 1 px, got {width} x {height}")


def bin_of(value: float, extent: float) -> int:
    """Return the bin of a coordinate in px; `extent`: width or height of the picture in px, along the coordinate."""
    return min(max(math.floor(value * BINS / extent), 0), BINS - 1)


def _middle(index: int, extent: int) -> float:
    return (index + 0.5) * extent / BINS
