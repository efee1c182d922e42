"""Whether a housing looks the same after half a turn about the middle of its pin positions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.contour import Contour
from blender_scripts.contract.housings import Block, Notch
from blender_scripts.geometry.mesh import Mesh

# Differences below this, mm or degrees, cannot be seen.
_SAME = 0.05

Point = tuple[float, float]


def has_half_turn(connector: Connector, housing: str, mesh: Mesh | None = None) -> bool:
    """Whether a housing looks the same after half a turn about the middle of its pin positions; pins do not matter.

    Shell, blocks and notches are compared; of a housing from a CAD file, the vertices of its mesh.

    Args:
        connector: the scene.
        housing: the housing's name.
        mesh: mesh of a housing from a CAD file, mm; None: such a housing counts as not symmetric.
    """
    variant = connector.housings[housing]
    xs, ys = ([getattr(each, axis) for each in connector.positions] for axis in ("x_mm", "y_mm"))
    middle = 0.5 * (min(xs) + max(xs)), 0.5 * (min(ys) + max(ys))
    if variant.cad is not None:
        return mesh is not None and _has_turned_vertices(mesh, middle)
    shell = connector.shell
    contours = (shell.opening, shell.outside)
    return (
        all(_are_turned(contour, contour, middle) for contour in contours)
        and all(any(_are_turned_blocks(one, other, middle) for other in variant.blocks) for one in variant.blocks)
        and _has_turned_notches(variant.notches)
    )


def _has_turned_vertices(mesh: Mesh, middle: Point) -> bool:
    from scipy.spatial import KDTree

    turned = mesh.vertices * (-1.0, -1.0, 1.0) + (2.0 * middle[0], 2.0 * middle[1], 0.0)
    distances, _ = KDTree(mesh.vertices).query(turned, distance_upper_bound=_SAME)
    return bool(np.isfinite(distances).all())


def _are_turned(one: Contour, other: Contour, middle: Point) -> bool:
    """Whether every point of one contour, turned by half a turn about the middle, lies on the other."""
    points = (point.at(one.radius_mm) for point in one.points)
    return all(abs(other.distance(2.0 * middle[0] - x, 2.0 * middle[1] - y)) < _SAME for x, y in points)


def _are_turned_blocks(one: Block, other: Block, middle: Point) -> bool:
    levels = ((one.bottom_mm, other.bottom_mm), (one.top_mm, other.top_mm))
    return all(abs(a - b) < _SAME for a, b in levels) and _are_turned(one.contour, other.contour, middle)


def _has_turned_notches(notches: Sequence[Notch]) -> bool:
    return all(
        any(
            abs((one.azimuth_deg - other.azimuth_deg) % 360.0 - 180.0) < _SAME
            and abs(one.width_mm - other.width_mm) < _SAME
            and abs(one.depth_mm - other.depth_mm) < _SAME
            for other in notches
        )
        for one in notches
    )
