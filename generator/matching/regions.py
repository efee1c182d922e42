"""Regions of a picture that show one surface of the part or the table, and the light in them."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import minimum_filter

from blender_scripts.contract.connector import Connector, table_z_mm
from generator.io.srgb import linear
from generator.matching.renders import Rendered

TABLE, RIM, FLOOR, WALLS, PINS = range(5)
NAMES = ("table", "rim", "cavity floor", "walls", "pins")
QUADRANTS = 4
COUNT = len(NAMES) * QUADRANTS
# A surface reaches so far, mm, above and below its nominal height.
_HEIGHT_MM = 0.5
# Least pixels of a region for its mean to be used.
_FEWEST_PX = 60
# Brighter or darker values of 255 are clipped.
CLIPPED = (2, 253)


def _all_places(render: Rendered) -> np.ndarray:
    height, width = render.depth.shape
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return places(render, np.stack([x, y], axis=-1))


def places(render: Rendered, pixels: np.ndarray) -> np.ndarray:
    """Return the points (..., 3), mm in the housing's axes, of the surfaces at pixels (..., 2)."""
    columns, rows = (np.floor(pixels[..., axis]).astype(int) for axis in (0, 1))
    return render.camera.at_depth(pixels, render.depth[rows, columns])


def labels_of(render: Rendered, connector: Connector) -> np.ndarray:
    """Return the region of each pixel (H, W): surface times `QUADRANTS` plus quadrant; -1: on a border, or nothing."""
    place = _all_places(render)
    z = place[..., 2]
    surface = np.full(z.shape, WALLS)
    surface[np.abs(z + connector.shell.depth_mm) < _HEIGHT_MM] = FLOOR
    surface[z > -_HEIGHT_MM] = RIM
    # The table is tilted under the part: far from it, its surface is higher or lower.
    surface[z < table_z_mm(connector.shell, connector.cavity) + 2.0 * _HEIGHT_MM] = TABLE
    surface[render.mask > 0] = PINS
    # Pins are small: one pixel inside their outline; other surfaces two.
    same = _inside(surface, 5)
    pins = (surface == PINS) & _inside(surface, 3)
    quadrant = 2 * (place[..., 1] > 0.0) + (place[..., 0] > 0.0)
    label: np.ndarray = np.where((same | pins) & (render.depth > 0.0), surface * QUADRANTS + quadrant, -1)
    return label


def _inside(surface: np.ndarray, side: int) -> np.ndarray:
    low, high = minimum_filter(surface, side), -minimum_filter(-surface, side)
    inside: np.ndarray = low == high
    return inside


def means(pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean linear light (COUNT, 3) of each region of a picture (H, W, 3); NaN: too few pixels or clipped."""
    light = linear(pixels).reshape(-1, 3)
    flat = labels.ravel()
    clipped = ((pixels < CLIPPED[0]) | (pixels > CLIPPED[1])).any(axis=-1).ravel()
    found = np.full((COUNT, 3), np.nan)
    for region in range(COUNT):
        inside = flat == region
        if inside.sum() >= _FEWEST_PX and clipped[inside].mean() < 0.1:
            found[region] = light[inside].mean(axis=0)
    return found
