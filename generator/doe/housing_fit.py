"""Warn of a housing that does not fit its pins or its print.

Pins stand inside its material, are hidden, or end outside it; the floor is elsewhere; axes are mirrored; print hangs in
the air.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from blender_scripts.contract import lettering
from blender_scripts.contract.connector import Connector
from blender_scripts.geometry.mesh import Mesh
from blender_scripts.geometry.part import Letters
from blender_scripts.geometry.welding import mirrors
from blender_scripts.manifest.make_part import print_items

# Points along a pin's standing length that are looked for in solid, and points at which a mesh's floor is looked for.
_ALONG, _MOST_FLOOR = np.linspace(0.05, 1.0, 20), 60
# A mesh's floor this far from the scene's is another; a share of the floor may be ridges or holes.
_FLOOR_MM, _FLOOR_SHARE = 0.5, 0.2
# Print this far from a face lies on it.
_FACE_MM = 0.05
# A pin is swallowed if more than this share of its standing length lies in solid.
_MOST_SOLID = 0.1


def of_print(connector: Connector, housing: str, markings: Sequence[str]) -> Iterator[str]:
    """Yield a warning if texts on the mating face lie over the opening, or beside the housing.

    Blocks whose top is the printed surface carry texts too. Housings from a CAD file, and print on another surface
    (`z_mm`), are not looked at.

    Args:
        connector: the scene.
        housing: name of one of its housings.
        markings: what is printed on it, each a value of the manifest's column `marking`; of texts, the widest counts.
    """
    variant, shell, where = connector.housings[housing], connector.shell, connector.marking
    if variant.cad is not None or where.z_mm != 0.0:
        return
    blocks = [block.contour for block in variant.blocks if abs(block.top_mm - where.z_mm) < _FACE_MM]
    found: dict[Letters, str] = {}
    for item in {item: None for marking in markings for item in print_items(connector, marking)}:
        width, height = lettering.size(item.text, where.height_mm, where.stroke_mm)
        for x, y in ((x, y) for x in (-0.5, 0.5) for y in (-0.5, 0.5)):
            corner = item.x_mm + x * width, item.y_mm + y * height
            if any(each.distance(*corner) <= _FACE_MM for each in blocks):
                continue
            if shell.opening.distance(*corner) < -_FACE_MM:
                found[item] = "over the opening"
            elif shell.outside.distance(*corner) > _FACE_MM:
                found.setdefault(item, "beside the housing")
    if found:
        item, place = next(iter(found.items()))
        yield (
            f"{connector.name}, housing {housing}: {len(found)} printed texts do not lie on the rim of the housing "
            f"(such as {item.text!r} at x {item.x_mm:g}, y {item.y_mm:g} mm, {place}): change their place or height in "
            "[marking]"
        )


def of_standing(connector: Connector, terminal: str) -> Iterator[str]:
    """Yield a warning if nominal pins end in front of the mating face; often a pin's whole length was stated.

    Scenes all of whose housings come from CAD files are not looked at.
    """
    if all(each.cad is not None for each in connector.housings.values()):
        return
    lengths = [connector.terminal_at(terminal, each, 0).standing_mm for each in connector.positions]
    beyond = max(lengths) - connector.shell.depth_mm
    if beyond > 0.0:
        yield (
            f"{connector.name}, terminal {terminal}: pins end up to {beyond:.3g} mm in front of the mating face: "
            "unless the connector has no shroud, standing_mm is too long: it counts from the cavity floor, which lies "
            "depth_mm below the mating face"
        )


def of_blocks(connector: Connector, housing: str, terminal: str) -> Iterator[str]:
    """Yield a warning if pins stand inside the blocks (ribs, keys, bosses) of a housing that has no CAD file.

    Args:
        connector: the scene.
        housing, terminal: names of one of its housings and one of its terminals or mixtures.
    """
    variant = connector.housings[housing]
    if variant.cad is not None:
        return
    solid = []
    for position in connector.positions:
        pin = connector.terminal_at(terminal, position, 0)
        z = pin.standing_mm * _ALONG - connector.shell.depth_mm
        inside = np.zeros(len(z), bool)
        for block in variant.blocks:
            if block.contour.distance(position.x_mm, position.y_mm) < pin.reach_mm:
                inside |= (z > block.bottom_mm) & (z < block.top_mm)
        solid.append(inside.mean())
    yield from _swallowed(f"{connector.name}, housing {housing}, terminal {terminal}", "its blocks", np.array(solid))


def of_mesh(connector: Connector, housing: str, terminal: str, mesh: Mesh) -> Iterator[str]:
    """Yield warnings if a housing's mesh from a CAD file does not fit the pins and the cavity floor of the scene.

    Args:
        connector: the scene.
        housing: name of a housing with a CAD file.
        terminal: name of the pins' terminal or mixture.
        mesh: the housing's mesh as placed in the part, mm.
    """
    cad = connector.housings[housing].cad
    assert cad is not None
    place, floor = f"{connector.name}, {cad.file.name}", -connector.shell.depth_mm
    if mirrors(cad.placement):
        yield f"{place}: the key `axes` mirrors the mesh (exchanges left and right): change the sign of one axis"
    columns = Columns(mesh)
    solid, hidden = [], 0
    for position in connector.positions:
        pin = connector.terminal_at(terminal, position, 0)
        heights, _ = columns.at(position.x_mm, position.y_mm)
        z = floor + pin.standing_mm * _ALONG
        above = (heights > z[:, None]).sum(axis=1)
        solid.append((above % 2 == 1).mean())
        hidden += bool(above[-1])
    yield from _swallowed(place, "the mesh", np.array(solid))
    if hidden:
        yield (
            f"{place}: the mesh covers {hidden} of {len(connector.positions)} pins in the view of the centre camera: "
            "check whether the mesh is upside down (key `axes`) or has no cavities"
        )
    levels = _floor_levels(connector, columns)
    apart = np.abs(levels - floor) > _FLOOR_MM
    if len(levels) and apart.mean() > 1 - _FLOOR_SHARE:
        middle = float(np.median(levels))
        yield (
            f"{place}: the mesh's floor between the pins lies at z = {middle:.2f} mm, the scene's at {floor:.2f} mm "
            f"([shell] depth_mm): correct the Z of offset_mm by {floor - middle:+.2f} mm"
        )
    elif not len(levels) and len(connector.positions) > 1:
        yield f"{place}: the mesh has no floor between the pins: check whether it is upside down (key `axes`)"


def _swallowed(place: str, solid: str, shares: np.ndarray) -> Iterator[str]:
    if (inside := shares > _MOST_SOLID).any():
        yield (
            f"{place}: {int(inside.sum())} of {len(shares)} pins stand inside {solid} (up to {shares.max():.0%} of "
            f"a pin's length above the cavity floor): move {solid} or the pins"
        )


class Columns:
    """The triangles of a mesh, and the heights at which vertical lines cross them.

    Args:
        mesh: the mesh, mm; faces with more than three corners are divided into triangles.
    """

    def __init__(self, mesh: Mesh) -> None:
        first, sizes = (np.repeat(values, mesh.sizes) for values in (mesh.starts, mesh.sizes))
        places = np.arange(len(mesh.corners)) - first
        at = np.flatnonzero((places >= 1) & (places < sizes - 1))
        self._triangles = mesh.vertices[mesh.corners[np.stack([first[at], at, at + 1], axis=1)]]
        flat = self._triangles[..., :2]
        self._low, self._high = flat.min(axis=1), flat.max(axis=1)

    def at(self, x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
        """Cross the mesh with the vertical line at (x, y), mm.

        Returns:
            (N,) heights at which the line crosses triangles, mm, and (N,) whether each such triangle faces upwards.
        """
        # Not quite at (x, y): an edge there, as between the two triangles of a square, would count twice or never.
        place = np.array([x + 1.3e-4, y + 0.7e-4])
        near = self._triangles[((self._low <= place) & (self._high >= place)).all(axis=1)]
        points = near[..., :2] - place
        following = np.roll(points, -1, axis=1)
        sides = points[..., 0] * following[..., 1] - points[..., 1] * following[..., 0]
        hit = (sides > 0).all(axis=1) | (sides < 0).all(axis=1)
        sides = sides[hit]
        weights = np.roll(sides, -1, axis=1) / sides.sum(axis=1, keepdims=True)
        heights: np.ndarray = (near[hit][..., 2] * weights).sum(axis=1)
        return heights, sides.sum(axis=1) > 0


def _floor_levels(connector: Connector, columns: Columns) -> np.ndarray:
    """Heights of a mesh's highest upward face below the mating face, midway between neighbouring pins, mm."""
    places = np.array([(position.x_mm, position.y_mm) for position in connector.positions])
    found = []
    for place in places[:: 1 + len(places) // _MOST_FLOOR]:
        apart = np.hypot(*(places - place).T)
        apart[apart == 0.0] = np.inf
        others = places[apart <= 1.1 * apart.min()] if len(places) > 1 else []
        for x, y in [(place + other) / 2 for other in others]:
            heights, is_up = columns.at(x, y)
            below = heights[is_up & (heights < 0.5 * connector.shell.depth_mm)]
            found += [below.max()] if len(below) else []
    return np.array(found)
