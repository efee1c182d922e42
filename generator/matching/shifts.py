"""Measure how far edges in a photograph lie from the same edges in a render, across the edge.

The render has the photograph's light and blur as far as they are known. So what makes an edge appear elsewhere than
the drawing's line, such as a fillet or a shadow beside it, makes it so in both pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter, minimum_filter, spline_filter

from generator.matching.renders import Rendered

# Points are taken where the gradient is a maximum across the edge and at least this many grey levels per px; only one
# in a square of this many px.
_LEAST_GRADIENT, _SQUARE_PX = 4.0, 3
_SMOOTH_PX = 0.7
# Profiles across the edge: reach to each side, step, and places along the edge that are averaged, px.
_REACH_PX, _STEP_PX, _ALONG_PX = 4.0, 0.25, (-1.0, 0.0, 1.0)
_LEAST_CORRELATION = 0.85
# Most points of one picture: more cost time, and agree with their neighbours.
_MOST_POINTS = 300
# The surface of an edge is the nearest within this many px.
_NEAR_PX = 3
# What is higher than this above the lowest edge, mm, does not lie on the table.
_TABLE_MM = 1.0
# Edges of a pin count down to this distance below its top, mm.
_TIP_MM = 1.0


@dataclass(frozen=True)
class Edges:
    """Points on the edges of a render, and how far the photograph's edges are from them.

    Attributes:
        pixels: (n, 2) x and y of the points in the render, px.
        normals: (n, 2) unit vectors across the edge.
        places: (n, 3) the points on the part or table, mm in the housing's axes.
        shifts: (n,) distance of the photograph's edge from the render's along the normal, px.
        weights: (n,) 0 to 1, how well the two profiles agree.
        on_pins: (n,) whether the points are on pins.
        share: share of the render's points on edges of the part at which the photograph has such an edge.
    """

    pixels: np.ndarray
    normals: np.ndarray
    places: np.ndarray
    shifts: np.ndarray
    weights: np.ndarray
    on_pins: np.ndarray
    share: float


def grey_of(pixels: np.ndarray) -> np.ndarray:
    """Return the grey values (H, W), 0 to 255 in float, of an RGB picture (H, W, 3) uint8."""
    grey: np.ndarray = pixels.astype(np.float64) @ (0.299, 0.587, 0.114)
    return grey


def measure(photograph: np.ndarray, render: Rendered, reach: float) -> Edges:
    """Find the render's edges, and how far those in the photograph are from them.

    Args:
        photograph: (H, W, 3) uint8.
        render: a render of the part in about the same pose.
        reach: largest distance to look for an edge, px.
    """
    pixels, normals = edge_points(grey_of(render.pixels))
    ours = _profiles(grey_of(render.pixels), pixels, normals, _REACH_PX)
    theirs = _profiles(grey_of(photograph), pixels, normals, _REACH_PX + reach)
    shifts, correlation = _shift(ours, theirs)
    some = np.flatnonzero((correlation > _LEAST_CORRELATION) & (np.abs(shifts) < reach - _STEP_PX))
    kept = some[np.linspace(0, len(some) - 1, min(len(some), _MOST_POINTS)).astype(int)] if len(some) else some
    near = minimum_filter(np.where(render.depth > 0.0, render.depth, np.inf), _NEAR_PX)
    columns, rows = np.floor(pixels.T).astype(int)
    depth = near[rows, columns]
    found = np.isfinite(depth)
    places = render.camera.at_depth(pixels, np.where(found, depth, 0.0))
    share = _share(places[:, 2], found, some)
    pixels, normals, places, found = pixels[kept], normals[kept], places[kept], found[kept]
    columns, rows = columns[kept], rows[kept]
    pin = maximum_filter(render.mask, _NEAR_PX)[rows, columns]
    found &= ~_is_on_a_side(places[:, 2], pin)
    weights, on_pins = correlation[kept] ** 4, pin > 0
    return Edges(
        pixels[found], normals[found], places[found], shifts[kept][found], weights[found], on_pins[found], share
    )


def _share(z: np.ndarray, found: np.ndarray, some: np.ndarray) -> float:
    """Which share of the points above the table is among `some`: a photograph's table may have another texture.

    Args:
        z: (n,) of the points, mm.
        found: (n,) whether z is known.
        some: numbers of the points with an edge in the photograph.
    """
    if not found.any():
        return 0.0
    above = found & (z > z[found].min() + _TABLE_MM)
    if not above.any():  # a flat part
        above = found
    alike = np.zeros(len(z), bool)
    alike[some] = True
    return float(alike[above].mean())


def _is_on_a_side(z: np.ndarray, pin: np.ndarray) -> np.ndarray:
    """Which points (n,) lie on the side of a pin, where edges are mostly reflections, which move with its tilt.

    Args:
        z: (n,) of the points, mm.
        pin: (n,) number of the pin that each point is on; 0: none.
    """
    top = np.full(int(pin.max(initial=0)) + 1, -np.inf)
    np.maximum.at(top, pin, z)
    side: np.ndarray = (pin > 0) & (z < top[pin] - _TIP_MM)
    return side


def edge_points(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return points (n, 2), x and y in px, on the edges of a picture with grey values (H, W), and the unit normals."""
    smooth = gaussian_filter(grey, _SMOOTH_PX)
    down, across = np.gradient(smooth)
    size = np.hypot(across, down)
    rows, columns = np.nonzero(size > _LEAST_GRADIENT)
    margin = int(_REACH_PX) + 2
    inside = (rows >= margin) & (columns >= margin) & (rows < grey.shape[0] - margin)
    inside &= columns < grey.shape[1] - margin
    rows, columns = rows[inside], columns[inside]
    normals = np.stack([across[rows, columns], down[rows, columns]], axis=1) / size[rows, columns, None]
    before, here, after = (
        map_coordinates(size, [rows + step * normals[:, 1], columns + step * normals[:, 0]], order=1)
        for step in (-1.0, 0.0, 1.0)
    )
    peak = (here >= before) & (here > after)
    rows, columns, normals = rows[peak], columns[peak], normals[peak]
    bend = np.minimum((before - 2.0 * here + after)[peak], -1e-6)
    offset = np.clip(0.5 * (before - after)[peak] / bend, -0.5, 0.5)
    pixels = np.stack([columns, rows], axis=1) + 0.5 + offset[:, None] * normals
    # The strongest point of each square.
    order = np.argsort(-here[peak], kind="stable")
    squares = np.stack([columns, rows], axis=1)[order] // _SQUARE_PX
    _, first = np.unique(squares, axis=0, return_index=True)
    chosen = order[np.sort(first)]
    return pixels[chosen], normals[chosen]


def _profiles(grey: np.ndarray, pixels: np.ndarray, normals: np.ndarray, reach: float) -> np.ndarray:
    steps = np.arange(-reach, reach + 1e-9, _STEP_PX)
    return profiles(grey, pixels, normals, steps, _ALONG_PX, order=1)


def profiles(
    grey: np.ndarray, pixels: np.ndarray, normals: np.ndarray, steps: np.ndarray, along_px: Sequence[float], order: int
) -> np.ndarray:
    """Return the values (n, k) of a picture (H, W) across n edges, each averaged over places along its edge.

    Args:
        grey: the picture.
        pixels, normals: (n, 2) points on the edges, px, and unit vectors across the edges.
        steps: (k,) distances from the edge, px.
        along_px: the places along the edge, px.
        order: order of the spline that interpolates between pixels.
    """
    along = np.stack([-normals[:, 1], normals[:, 0]], axis=1)
    total = np.zeros((len(pixels), len(steps)))
    filtered = spline_filter(grey, order, mode="nearest") if order > 1 else grey
    for aside in along_px:
        at = (pixels + aside * along)[:, None] + steps[:, None] * normals[:, None]
        at = [at[..., 1] - 0.5, at[..., 0] - 0.5]
        total += map_coordinates(filtered, at, order=order, mode="nearest", prefilter=False)
    return total / len(along_px)


def _shift(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far (n,), px, profiles have to be shifted to agree best with longer ones, and their correlation there."""
    wide = ours.shape[1]
    centred = ours - ours.mean(axis=1, keepdims=True)
    scale = np.sqrt((centred**2).sum(axis=1))
    scores = []
    for first in range(theirs.shape[1] - wide + 1):
        other = theirs[:, first : first + wide]
        other = other - other.mean(axis=1, keepdims=True)
        scores.append((centred * other).sum(axis=1) / (scale * np.sqrt((other**2).sum(axis=1)) + 1e-9))
    score = np.stack(scores, axis=1)
    best = np.clip(score.argmax(axis=1), 1, score.shape[1] - 2)
    row = np.arange(len(score))
    before, here, after = score[row, best - 1], score[row, best], score[row, best + 1]
    bend = np.minimum(before - 2.0 * here + after, -1e-9)
    offset = np.clip(0.5 * (before - after) / bend, -0.5, 0.5)
    return (best + offset - 0.5 * (score.shape[1] - 1)) * _STEP_PX, here
