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
from .optics import Camera
from .placement import Pin
from .stage import CAVITY_CODES, pin_matrix

_HULL_DIRECTIONS = 128
_MARGIN_PX = 2

Box = list[float]


@dataclass(frozen=True)
class Window:
    """A part of the picture in whole pixels, edges x1..x2 and y1..y2."""

    x1: int
    y1: int
    x2: int
    y2: int


@dataclass(frozen=True)
class Outlines:
    """Projected vertices, px: of each pin as it stands (None where missing) and as it should, and of its cavity."""

    actual: list[np.ndarray | None]
    standing: list[np.ndarray | None]
    nominal: list[np.ndarray]
    mouths: list[np.ndarray]

    def window(self, width: int, height: int) -> Window | None:
        """The smallest window that holds every pin; None where none is in the picture."""
        points = np.concatenate([p for p in (*self.actual, *self.nominal, *self.mouths) if p is not None])
        low = np.maximum(np.floor(points.min(axis=0)) - _MARGIN_PX, 0).astype(int)
        high = np.minimum(np.ceil(points.max(axis=0)) + _MARGIN_PX, (width, height)).astype(int)
        return Window(low[0], low[1], high[0], high[1]) if np.all(low < high) else None


def project_pins(connector: Connector, pins: tuple[Pin, ...], camera: Camera) -> Outlines:
    """Project the vertices that are rendered, and those of the intact pin at true position."""
    terminal = pins[0].terminal
    straight = geometry.pin_mesh(terminal).vertices
    mouth = geometry.cavity_outline(terminal, connector.cavity, connector.cavity.chamfer_mm)
    mouth = np.column_stack([mouth, np.zeros(len(mouth))])
    places = np.array([[pin.position.x_mm, pin.position.y_mm, pin.floor_mm] for pin in pins])
    nominal = camera.project(straight + places[:, None])
    mouths = camera.project(mouth + places[:, None])
    actual: list[np.ndarray | None] = []
    standing: list[np.ndarray | None] = []
    for pin in pins:
        if pin.missing:
            actual.append(None)
            standing.append(None)
            continue
        local = straight if pin.bend.angle_rad == 0.0 else geometry.pin_mesh(terminal, pin.bend).vertices
        matrix = pin_matrix(pin)
        points = camera.project(local @ matrix[:3, :3].T + matrix[:3, 3])
        actual.append(points)
        # The first ring is the pin's buried end; the second stands at the floor.
        standing.append(points[geometry.sides(terminal) :])
    return Outlines(actual, standing, list(nominal), list(mouths))


def positions_truth(
    pins: tuple[Pin, ...],
    camera: Camera,
    outlines: Outlines,
    mask: np.ndarray,
    window: Window | None,
    scale: int,
) -> list[dict[str, Any]]:
    """The record's `positions`.

    Args:
        pins: the part's.
        camera: the view.
        outlines: of the same pins and view.
        mask: (h * scale, w * scale) pass indices of the window.
        window: what the mask covers; None where no pin is in the picture.
        scale: mask pixels per picture pixel.
    """
    found = []
    tips = camera.project(np.array([pin.tip_mm for pin in pins]))
    bases = camera.project(np.array([pin.base_mm for pin in pins]))
    sides = geometry.sides(pins[0].terminal)
    for number, pin in enumerate(pins):
        actual, standing = outlines.actual[number], outlines.standing[number]
        if actual is None or standing is None:
            mouth = outlines.mouths[number]
            _, count = _seen(mask, window, scale, CAVITY_CODES + pin.position.index, mouth)
            visible, area = None, convex_area(mouth)
        else:
            visible, count = _seen(mask, window, scale, pin.position.index, actual)
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
                "tip_mm": None if pin.missing else list(pin.tip_mm),
                **pin.measures(),
                "visible_fraction": min(1.0, count / scale**2 / area),
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


def _seen(
    mask: np.ndarray, window: Window | None, scale: int, code: int, points: np.ndarray
) -> tuple[Box | None, int]:
    """The box of a code's pixels near points (N, 2), and how many there are."""
    if window is None:
        return None, 0
    origin = np.array([window.x1, window.y1])
    low = np.floor((points.min(axis=0) - origin - 1.0) * scale).astype(int).clip(0)
    high = np.ceil((points.max(axis=0) - origin + 1.0) * scale).astype(int).clip(0)
    here = mask[low[1] : high[1], low[0] : high[0]] == code
    rows, columns = np.flatnonzero(here.any(axis=1)), np.flatnonzero(here.any(axis=0))
    if len(rows) == 0:
        return None, 0
    corners = np.array([[columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]])
    return ((corners + low) / scale + origin).ravel().tolist(), int(np.count_nonzero(here))


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


def mask_picture(
    mask: np.ndarray, window: Window | None, scale: int, width: int, height: int, last_index: int
) -> np.ndarray:
    """The index that covers most of each picture pixel, (height, width) uint16; what is no pin becomes 0."""
    picture = np.zeros((height, width), np.uint16)
    if window is None:
        return picture
    pins = np.where(mask <= last_index, mask, 0).astype(np.uint16)
    rows, columns = window.y2 - window.y1, window.x2 - window.x1
    blocks = pins.reshape(rows, scale, columns, scale).swapaxes(1, 2).reshape(rows, columns, scale * scale)
    result = blocks[..., 0].copy()
    mixed = np.any(blocks != blocks[..., :1], axis=-1)
    samples = np.sort(blocks[mixed], axis=-1)
    best, votes = np.zeros(len(samples), np.uint16), np.zeros(len(samples), int)
    for i in range(scale * scale):
        count = np.count_nonzero(samples == samples[:, i : i + 1], axis=-1)
        better = count > votes
        best[better], votes[better] = samples[better, i], count[better]
    result[mixed] = best
    picture[window.y1 : window.y2, window.x1 : window.x2] = result
    return picture
