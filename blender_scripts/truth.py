"""What is true of one picture: boxes, keypoints and measures of every position.

Amodal and expected boxes are projected vertices; visible boxes come from the instance mask, which is rendered finer
than the picture. All are in the picture's pixels, edge convention, and not clipped to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import geometry
from .connector import Connector, Terminal
from .lens import Window
from .optics import Camera
from .placement import Bend, Pin

# What the instance mask is rendered with: a pin's own index, and these.
HOUSING_CODE = 30000
CAVITY_CODES = 20000
_HULL_DIRECTIONS = 64
_SPAN_DIRECTIONS = 48
# What is left out on each side of a visible box, px^2: less than that of a pin is not seen, but may reach far.
_UNSEEN_PX2 = 0.125
_MARGIN_PX = 2
# A render call takes about as long as this many samples of the mask.
_CALL_SAMPLES = 16000

Box = list[float]


@dataclass(frozen=True)
class Outline:
    """One position as the camera would see it without anything before it, px.

    Attributes:
        amodal: box of the pin as it stands; None where it is missing.
        expected: box of the intact pin at true position.
        mouth: box of the cavity's mouth.
        area: what the pin covers, or the mouth of an empty cavity, px^2.
    """

    amodal: Box | None
    expected: Box
    mouth: Box
    area: float

    @property
    def reach(self) -> Box:
        """The box round all three."""
        boxes = [self.expected, self.mouth, *([self.amodal] if self.amodal else [])]
        x1, y1, x2, y2 = zip(*boxes, strict=True)
        return [min(x1), min(y1), max(x2), max(y2)]


def pin_bands(outlines: list[Outline], width: int, height: int, scale: int) -> list[Window]:
    """Windows that hold every pin and overlap nowhere: one per row of pins, fewer where that is cheaper to render.

    Args:
        outlines: of every position.
        width, height: size of the picture in px.
        scale: mask pixels per picture pixel.
    """
    windows: list[Window] = []
    for x1, y1, x2, y2 in sorted((outline.reach for outline in outlines), key=lambda box: box[1]):
        window = Window(
            max(math.floor(x1 - _MARGIN_PX), 0),
            max(math.floor(y1 - _MARGIN_PX), 0),
            min(math.ceil(x2 + _MARGIN_PX), width),
            min(math.ceil(y2 + _MARGIN_PX), height),
        )
        if window.x1 >= window.x2 or window.y1 >= window.y2:
            continue
        if windows:
            both = windows[-1].around(window)
            gap = both.area - windows[-1].area - window.area
            if window.y1 <= windows[-1].y2 or gap * scale**2 < _CALL_SAMPLES:
                windows[-1] = both
                continue
        windows.append(window)
    return windows


@dataclass(frozen=True)
class Mask:
    """Pass indices of the bands that hold pins: (h * scale, w * scale) for a band of h x w picture pixels."""

    scale: int
    bands: list[tuple[Window, np.ndarray]]

    def seen(self, code: int, near: Box) -> tuple[Box | None, int]:
        """The box of a code's pixels in and about a box, px, and how many mask pixels there are."""
        x1, y1, x2, y2 = near
        for window, indices in self.bands:
            if y1 - 1.0 > window.y2 or y2 + 1.0 < window.y1:
                continue
            left = max(0, math.floor((x1 - 1.0 - window.x1) * self.scale))
            top = max(0, math.floor((y1 - 1.0 - window.y1) * self.scale))
            right = max(0, math.ceil((x2 + 1.0 - window.x1) * self.scale))
            bottom = max(0, math.ceil((y2 + 1.0 - window.y1) * self.scale))
            here = indices[top:bottom, left:right] == code
            count = int(np.count_nonzero(here))
            if count:
                left_out = min(count, math.ceil(_UNSEEN_PX2 * self.scale**2))
                (c1, c2), (r1, r2) = (_extent(np.count_nonzero(here, axis=axis), left_out) for axis in (0, 1))
                found = (left + c1, top + r1, left + c2, top + r2)
                origin = (window.x1, window.y1, window.x1, window.y1)
                return [edge / self.scale + start for edge, start in zip(found, origin, strict=True)], count
        return None, 0

    def picture(self, width: int, height: int, last_index: int) -> np.ndarray:
        """The index that covers most of each picture pixel, (height, width) uint16; what is no pin becomes 0."""
        picture = np.zeros((height, width), np.uint16)
        for window, indices in self.bands:
            pins = np.where(indices <= last_index, indices, 0).astype(np.uint16)
            picture[window.y1 : window.y2, window.x1 : window.x2] = _majority(pins, self.scale)
        return picture


def _extent(counts: np.ndarray, least: int) -> tuple[int, int]:
    """The first and one past the last of some lines, up to which `least` are counted from either end."""
    numbers = counts.tolist()
    first, reached = 0, numbers[0]
    while reached < least:
        first += 1
        reached += numbers[first]
    last, reached = len(numbers), numbers[-1]
    while reached < least:
        last -= 1
        reached += numbers[last - 1]
    return first, last


def _majority(indices: np.ndarray, scale: int) -> np.ndarray:
    """The most frequent index of each block of scale x scale; the smaller one where two are equal."""
    rows, columns = indices.shape[0] // scale, indices.shape[1] // scale
    blocks = indices.reshape(rows, scale, columns, scale).swapaxes(1, 2).reshape(rows, columns, scale * scale)
    result = blocks[..., 0].copy()
    mixed = np.any(blocks != blocks[..., :1], axis=-1)
    samples = np.sort(blocks[mixed], axis=-1)
    best, votes = np.zeros(len(samples), np.uint16), np.zeros(len(samples), int)
    for i in range(scale * scale):
        count = np.count_nonzero(samples == samples[:, i : i + 1], axis=-1)
        better = count > votes
        best[better], votes[better] = samples[better, i], count[better]
    result[mixed] = best
    return result


def project_pins(connector: Connector, pins: tuple[Pin, ...], camera: Camera) -> list[Outline]:
    """Project the vertices that are rendered, and those of the intact pin at true position."""
    amodal: list[Box | None] = [None] * len(pins)
    area = [0.0] * len(pins)
    groups: dict[tuple[Terminal, Bend], list[int]] = {}
    for number, pin in enumerate(pins):
        groups.setdefault((pin.terminal, pin.bend), []).append(number)
    for (terminal, bend), members in groups.items():
        frames = np.array([geometry.pin_matrix(pins[number]) for number in members])
        local = geometry.pin_mesh(terminal, bend).vertices
        points = camera.project(local @ frames[:, :3, :3].swapaxes(1, 2) + frames[:, None, :3, 3])
        # The first ring is the pin's buried end; the second stands at the floor.
        standing = points[:, geometry.sides(terminal) :]
        whole = (
            [silhouette_area(pin, geometry.sides(terminal)) for pin in standing]
            if bend.angle_rad
            else convex_areas(standing).tolist()
        )
        for number, box, covered in zip(members, boxes_of(points), whole, strict=True):
            amodal[number], area[number] = box, covered

    terminal = pins[0].terminal
    places = np.array([[pin.position.x_mm, pin.position.y_mm, pin.floor_mm] for pin in pins])[:, None]
    expected = boxes_of(camera.project(geometry.pin_mesh(terminal).vertices + places))
    mouth = geometry.cavity_outline(terminal, connector.cavity, connector.cavity.chamfer_mm)
    mouths = camera.project(np.column_stack([mouth, np.zeros(len(mouth))]) + places)
    for number, (pin, opening) in enumerate(zip(pins, convex_areas(mouths).tolist(), strict=True)):
        if pin.missing:
            amodal[number], area[number] = None, opening
    return [Outline(*parts) for parts in zip(amodal, expected, boxes_of(mouths), area, strict=True)]


def positions_truth(
    pins: tuple[Pin, ...], camera: Camera, outlines: list[Outline], mask: Mask
) -> list[dict[str, Any]]:
    """The record's `positions`.

    Args:
        pins: the part's.
        camera: the view.
        outlines: of the same pins and view.
        mask: the instance mask of the same view.
    """
    found = []
    tips = camera.project(np.array([pin.tip_mm for pin in pins])).tolist()
    bases = camera.project(np.array([pin.base_mm for pin in pins])).tolist()
    for pin, outline, tip, base in zip(pins, outlines, tips, bases, strict=True):
        if outline.amodal is None:
            visible = None
            _, count = mask.seen(CAVITY_CODES + pin.position.index, outline.mouth)
        else:
            visible, count = mask.seen(pin.position.index, outline.amodal)
        found.append(
            {
                "index": pin.position.index,
                "address": pin.position.address,
                "cavity": pin.position.cavity,
                "terminal": pin.terminal.name,
                "defects": [defect.text for defect in pin.defects],
                "kind": pin.kind,
                "tip_px": None if pin.missing else tip,
                "base_px": base,
                "bend_px": None if pin.bend_mm is None else camera.project(np.array(pin.bend_mm)).tolist(),
                "tip_mm": None if pin.missing else list(pin.tip_mm),
                "base_mm": list(pin.base_mm),
                "bend_mm": None if pin.bend_mm is None else list(pin.bend_mm),
                **pin.measures(),
                "visible_fraction": min(1.0, count / mask.scale**2 / outline.area),
                "boxes": {"visible": visible, "amodal": outline.amodal, "expected": outline.expected},
            }
        )
    return found


def box_of(points: np.ndarray) -> Box:
    """The box [x1, y1, x2, y2] of points (N, 2)."""
    return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]


def boxes_of(points: np.ndarray) -> list[Box]:
    """The boxes of N sets of points (N, V, 2)."""
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1).tolist()


def convex_areas(points: np.ndarray) -> np.ndarray:
    """Areas (N,) of the convex hulls of N sets of points (N, V, 2), from their extreme points in many directions."""
    angles = 2.0 * np.pi * np.arange(_HULL_DIRECTIONS) / _HULL_DIRECTIONS
    extreme = np.argmax(points @ np.stack([np.cos(angles), np.sin(angles)]), axis=1)
    corners = np.take_along_axis(points, extreme[..., None], axis=1)
    following = np.roll(corners, -1, axis=1)
    return 0.5 * np.abs(
        np.sum(corners[..., 0] * following[..., 1] - corners[..., 1] * following[..., 0], axis=1)
    )


def silhouette_area(points: np.ndarray, sides: int, step_px: float = 0.125) -> float:
    """Area covered by a skin of rings of `sides` points each, the last point its tip: the union of its segments' hulls.

    A segment between two convex rings covers the convex hull of both. Each hull is cut into spans along lines step_px
    apart, and what the spans of a line cover together is added up.
    """
    low, high = points[:, 1].min(), points[:, 1].max()
    lines = low + step_px * (np.arange(np.ceil((high - low) / step_px)) + 0.5)
    rings = points[: (len(points) - 1) // sides * sides].reshape(-1, sides, 2)
    segments = np.concatenate([rings[:-1], rings[1:]], axis=1)
    # Directions without a vertical one, whose bounds would be infinite.
    angles = np.pi * (2.0 * np.arange(_SPAN_DIRECTIONS) + 1.0) / _SPAN_DIRECTIONS
    across, down = np.cos(angles), np.sin(angles)
    support = (segments @ np.stack([across, down])).max(axis=1)
    bounds = (support[..., None] - down[:, None] * lines) / across[:, None]
    start = bounds[:, across < 0.0].max(axis=1)
    end = bounds[:, across > 0.0].min(axis=1)
    inside = (segments[..., 1].min(axis=1)[:, None] <= lines) & (
        lines <= segments[..., 1].max(axis=1)[:, None]
    )
    # What is empty becomes a span of no length at the far left.
    start = np.where(inside & (end > start), start, -1e9)
    end = np.where(inside & (end > start), end, -1e9)
    order = np.argsort(start, axis=0)
    start, end = np.take_along_axis(start, order, axis=0), np.take_along_axis(end, order, axis=0)
    reached = np.maximum.accumulate(np.vstack([np.full(len(lines), -1e9), end[:-1]]), axis=0)
    return float(np.clip(end - np.maximum(start, reached), 0.0, None).sum()) * step_px
