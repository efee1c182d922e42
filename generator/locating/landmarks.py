"""The points that a gauge's network looks for in a picture of a connector: its pins, and points on the walls' edges.

A *query* asks the network for two points of the drawing: a mark, and the point beside the mark. For a pin these are tip
and foot, and the network finds both. For an edge of a wall, the mark lies on the edge and the point beside it inside
the edge. These two give the direction across the edge, the only one in which the network can find the mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from blender_scripts.contract.nominal_position import NominalPosition

PIN, OUTLINE, OPENING = KINDS = (0, 1, 2)
# Points on each edge of the walls, at equal distances.
_EDGE_POINTS = 16
# The point beside an edge point lies this share of the pitch inside the edge.
_INSIDE = 0.25


class Drawing(Protocol):
    """A connector's drawing: the attributes common to `StatedDrawing` and `dataset.connectors.NominalConnector`."""

    @property
    def positions(self) -> Sequence[NominalPosition]:
        """All pin positions, in the drawing's order."""

    @property
    def outline_mm(self) -> Sequence[tuple[float, float]] | None:
        """Points (x, y) along the outer edge of the walls at the mating face, mm; None for a housing from CAD."""

    @property
    def opening_mm(self) -> Sequence[tuple[float, float]] | None:
        """Points (x, y) along the inner edge of the walls at the mating face, mm; None for a housing from CAD."""


@dataclass(frozen=True)
class Queries:
    """The n queries of one connector: first one for each pin in the drawing's order, then those for the walls' edges.

    Each query asks the network for two points, a mark and the point beside it.

    Attributes:
        kinds: (n,) PIN, OUTLINE (the walls' outer edge) or OPENING (their inner edge).
        marks: (n, 3) nominal tips, then points on edges, mm in the housing's axes (mating face z = 0).
        besides: (n, 3) nominal feet, then points inside the edges, mm in the same axes.
        pins: number of pins.
    """

    kinds: np.ndarray
    marks: np.ndarray
    besides: np.ndarray
    pins: int

    @property
    def edges(self) -> slice:
        """The slice of the n queries that are for edges."""
        return slice(self.pins, len(self.kinds))


def queries(drawing: Drawing) -> Queries:
    """Return what the network has to look for on a connector: all its pins, and 16 points on each edge of its walls.

    Raises:
        ValueError: the drawing lacks the nominal height of a position, because its terminals differ in length.
    """
    unknown = [each.address for each in drawing.positions if each.z_mm is None or each.standing_mm is None]
    if unknown:
        raise ValueError(
            f"the drawing has no nominal height of {', '.join(unknown)}, as its terminals differ in length"
        )
    tips = np.array([(each.x_mm, each.y_mm, each.z_mm) for each in drawing.positions], float)
    feet = tips - np.array([(0.0, 0.0, each.standing_mm) for each in drawing.positions], float)
    kinds, marks, besides = [np.full(len(tips), PIN)], [tips], [feet]
    step = _INSIDE * pitch_mm(drawing)
    for kind, edge in ((OUTLINE, drawing.outline_mm), (OPENING, drawing.opening_mm)):
        if edge is None:
            continue
        points, inwards = _along(np.array(edge, float))
        kinds.append(np.full(len(points), kind))
        marks.append(np.pad(points, ((0, 0), (0, 1))))
        besides.append(np.pad(points + step * inwards, ((0, 0), (0, 1))))
    return Queries(np.concatenate(kinds), np.concatenate(marks), np.concatenate(besides), len(tips))


def pitch_mm(drawing: Drawing) -> float:
    """Return a connector's pitch, mm: the median distance of a pin position to its nearest neighbour.

    For a connector with a single position it is twice the terminal's width; 2 mm if the width is not stated.
    """
    places = np.array([(each.x_mm, each.y_mm) for each in drawing.positions])
    if len(places) == 1:
        return 2.0 * (drawing.positions[0].width_mm or 1.0)
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    np.fill_diagonal(apart, np.inf)
    return float(np.median(apart.min(axis=1)))


def _along(edge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 2) at equal distances along a closed counter-clockwise edge, and the unit normals to its inside."""
    closed = np.concatenate([edge, edge[:1]])
    steps = np.diff(closed, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    ends = np.cumsum(lengths)
    at = (np.arange(_EDGE_POINTS) + 0.5) / _EDGE_POINTS * ends[-1]
    index = np.minimum(np.searchsorted(ends, at), len(edge) - 1)
    share = (at - (ends - lengths)[index]) / lengths[index]
    directions = steps[index] / lengths[index][:, None]
    return closed[index] + share[:, None] * steps[index], np.stack([-directions[:, 1], directions[:, 0]], axis=1)
