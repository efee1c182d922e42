"""What is true of one picture: boxes, keypoints and measures of every position.

Amodal and expected boxes are projected vertices; visible boxes come from the instance mask, which is rendered finer
than the picture. All are in the picture's pixels, edge convention, and not clipped to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import geometry
from .connector import Connector
from .lens import Window
from .optics import Camera
from .placement import Pin
from .stage import CAVITY_CODES, pin_matrix

_HULL_DIRECTIONS = 128
_MARGIN_PX = 2

Box = list[float]


@dataclass(frozen=True)
class Outlines:
    """Projected vertices, px: of each pin as it stands (None where missing) and as it should, and of its cavity."""

    actual: list[np.ndarray | None]
    standing: list[np.ndarray | None]
    nominal: list[np.ndarray]
    mouths: list[np.ndarray]

    def bands(self, width: int, height: int) -> list[Window]:
        """Windows that hold every pin and overlap nowhere: one per row of pins, fewer where rows overlap."""
        spans: list[tuple[np.ndarray, np.ndarray]] = []
        for number, nominal in enumerate(self.nominal):
            actual = self.actual[number]
            points = np.concatenate([nominal, self.mouths[number], *([] if actual is None else [actual])])
            spans.append((points.min(axis=0) - _MARGIN_PX, points.max(axis=0) + _MARGIN_PX))
        spans.sort(key=lambda span: float(span[0][1]))
        merged = spans[:1]
        for low, high in spans[1:]:
            if low[1] < merged[-1][1][1] + 1.0:
                merged[-1] = (np.minimum(merged[-1][0], low), np.maximum(merged[-1][1], high))
            else:
                merged.append((low, high))
        windows = []
        for low, high in merged:
            x1, y1 = np.maximum(np.floor(low), 0).astype(int).tolist()
            x2, y2 = np.minimum(np.ceil(high), (width, height)).astype(int).tolist()
            if x1 < x2 and y1 < y2:
                windows.append(Window(x1, y1, x2, y2))
        return windows


@dataclass(frozen=True)
class Mask:
    """Pass indices of the bands that hold pins: (h * scale, w * scale) for a band of h x w picture pixels."""

    scale: int
    bands: list[tuple[Window, np.ndarray]]

    def seen(self, code: int, points: np.ndarray) -> tuple[Box | None, int]:
        """The box of a code's pixels near points (N, 2) px, and how many mask pixels there are."""
        low, high = points.min(axis=0) - 1.0, points.max(axis=0) + 1.0
        for window, indices in self.bands:
            if low[1] > window.y2 or high[1] < window.y1:
                continue
            origin = np.array([window.x1, window.y1])
            first = np.floor((low - origin) * self.scale).astype(int).clip(0)
            last = np.ceil((high - origin) * self.scale).astype(int).clip(0)
            here = indices[first[1] : last[1], first[0] : last[0]] == code
            rows, columns = np.flatnonzero(here.any(axis=1)), np.flatnonzero(here.any(axis=0))
            if len(rows):
                corners = np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]])
                return ((corners + first) / self.scale + origin).ravel().tolist(), int(np.count_nonzero(here))
        return None, 0

    def picture(self, width: int, height: int, last_index: int) -> np.ndarray:
        """The index that covers most of each picture pixel, (height, width) uint16; what is no pin becomes 0."""
        picture = np.zeros((height, width), np.uint16)
        for window, indices in self.bands:
            pins = np.where(indices <= last_index, indices, 0).astype(np.uint16)
            picture[window.y1 : window.y2, window.x1 : window.x2] = _majority(pins, self.scale)
        return picture


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


def project_pins(connector: Connector, pins: tuple[Pin, ...], camera: Camera) -> Outlines:
    """Project the vertices that are rendered, and those of the intact pin at true position."""
    terminal = pins[0].terminal
    straight = geometry.pin_mesh(terminal).vertices
    mouth = geometry.cavity_outline(terminal, connector.cavity, connector.cavity.chamfer_mm)
    mouth = np.column_stack([mouth, np.zeros(len(mouth))])
    places = np.array([[pin.position.x_mm, pin.position.y_mm, pin.floor_mm] for pin in pins])
    nominal = camera.project(straight + places[:, None])
    mouths = camera.project(mouth + places[:, None])
    matrices = np.array([pin_matrix(pin) for pin in pins])
    actual: list[np.ndarray | None] = list(
        camera.project(np.einsum("nij,vj->nvi", matrices[:, :3, :3], straight) + matrices[:, None, :3, 3])
    )
    for number, pin in enumerate(pins):
        if pin.missing:
            actual[number] = None
        elif pin.bend.angle_rad:
            local = geometry.pin_mesh(terminal, pin.bend).vertices
            actual[number] = camera.project(local @ matrices[number, :3, :3].T + matrices[number, :3, 3])
    # The first ring is the pin's buried end; the second stands at the floor.
    buried = geometry.sides(terminal)
    standing = [None if points is None else points[buried:] for points in actual]
    return Outlines(actual, standing, list(nominal), list(mouths))


def positions_truth(
    pins: tuple[Pin, ...], camera: Camera, outlines: Outlines, mask: Mask
) -> list[dict[str, Any]]:
    """The record's `positions`.

    Args:
        pins: the part's.
        camera: the view.
        outlines: of the same pins and view.
        mask: the instance mask of the same view.
    """
    found = []
    tips = camera.project(np.array([pin.tip_mm for pin in pins]))
    bases = camera.project(np.array([pin.base_mm for pin in pins]))
    sides = geometry.sides(pins[0].terminal)
    for number, pin in enumerate(pins):
        actual, standing = outlines.actual[number], outlines.standing[number]
        if actual is None or standing is None:
            mouth = outlines.mouths[number]
            _, count = mask.seen(CAVITY_CODES + pin.position.index, mouth)
            visible, area = None, convex_area(mouth)
        else:
            visible, count = mask.seen(pin.position.index, actual)
            bent = pin.bend.angle_rad != 0.0
            area = silhouette_area(standing, sides) if bent else convex_area(standing)
        found.append(
            {
                "index": pin.position.index,
                "address": pin.position.address,
                "cavity": pin.position.cavity,
                "terminal": pin.terminal.name,
                "defects": [defect.text for defect in pin.defects],
                "kind": pin.kind,
                "tip_px": None if pin.missing else tips[number].tolist(),
                "base_px": bases[number].tolist(),
                "bend_px": None if pin.bend_mm is None else camera.project(np.array(pin.bend_mm)).tolist(),
                "tip_mm": None if pin.missing else list(pin.tip_mm),
                "base_mm": list(pin.base_mm),
                "bend_mm": None if pin.bend_mm is None else list(pin.bend_mm),
                **pin.measures(),
                "visible_fraction": min(1.0, count / mask.scale**2 / area),
                "boxes": {
                    "visible": visible,
                    "amodal": None if actual is None else box_of(actual),
                    "expected": box_of(outlines.nominal[number]),
                },
            }
        )
    return found


def box_of(points: np.ndarray) -> Box:
    """The box [x1, y1, x2, y2] of points (N, 2)."""
    return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]


def convex_area(points: np.ndarray) -> float:
    """Area of the convex hull of points (N, 2), from its extreme points in many directions."""
    angles = 2.0 * np.pi * np.arange(_HULL_DIRECTIONS) / _HULL_DIRECTIONS
    corners = points[np.argmax(points @ np.stack([np.cos(angles), np.sin(angles)]), axis=0)]
    following = np.roll(corners, -1, axis=0)
    return 0.5 * abs(float(np.sum(corners[:, 0] * following[:, 1] - corners[:, 1] * following[:, 0])))


def silhouette_area(points: np.ndarray, sides: int, step_px: float = 0.125) -> float:
    """Area covered by a skin of rings of `sides` points each, the last point its tip: the union of its segments' hulls.

    A segment between two convex rings covers the convex hull of both. The union is counted on a grid of step_px.
    """
    low = points.min(axis=0)
    columns, rows = (np.ceil((points.max(axis=0) - low) / step_px).astype(int) + 1).tolist()
    grid_x = low[0] + step_px * (np.arange(columns) + 0.5)
    grid_y = low[1] + step_px * (np.arange(rows) + 0.5)
    covered = np.zeros((rows, columns), bool)
    angles = 2.0 * np.pi * np.arange(48) / 48
    directions = np.stack([np.cos(angles), np.sin(angles)])
    levels = (len(points) - 1) // sides
    for level in range(levels - 1):
        support = (points[level * sides : (level + 2) * sides] @ directions).max(axis=0)
        inside = np.ones((rows, columns), bool)
        for (across, down), limit in zip(directions.T, support, strict=True):
            inside &= grid_y[:, None] * down + grid_x * across <= limit
        covered |= inside
    return float(np.count_nonzero(covered)) * step_px**2
