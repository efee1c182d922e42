"""What is true of one picture: boxes, keypoints and measures of every position.

Amodal and expected boxes are projected vertices; visible boxes come from the instance mask, which is rendered finer
than the picture. All are in the picture's pixels, edge convention, and not clipped to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.terminals import Terminal
from blender_scripts.geometry import solids
from blender_scripts.geometry.lens import Window
from blender_scripts.geometry.optics import Camera
from blender_scripts.geometry.part import Flaw, Part
from blender_scripts.geometry.pin import Form, Pin
from blender_scripts.manifest.defects import worst_kind

# What the instance mask is rendered with: a pin's own index, and these.
HOUSING_CODE = 30000
CAVITY_CODES = 20000
_SPAN_DIRECTIONS = 48
_DIRECTIONS = np.stack([wave(np.pi * np.arange(16) / 8.0) for wave in (np.cos, np.sin)], axis=1)
# A sliver of a pin, seen between two others, is too thin to be measured and reaches far: see _side.
_SLIVER_PX2 = 2.0
_HIDDEN_PX2 = 0.5
_SLIVER_PX = 0.6
# A side that a quarter more or less of its sliver's area would move by more than this, and as many square pixels more
# or less hidden as the mask's steps along a pin's edges may hide, is measured again, so many times finer.
_DOUBT_PX = 0.75
_UNSURE_PX = 9.0
FINER = 4
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
        hulls: (S, V, 2) sets of points whose convex hulls together are what the standing pin covers.
    """

    amodal: Box | None
    expected: Box
    mouth: Box
    area: float
    hulls: np.ndarray | None = None

    @property
    def reach(self) -> Box:
        """The box round all three."""
        boxes = [self.expected, self.mouth, *([self.amodal] if self.amodal else [])]
        x1, y1, x2, y2 = zip(*boxes, strict=True)
        return [min(x1), min(y1), max(x2), max(y2)]


def mask_bands(
    outlines: Sequence[Outline], flaws: Sequence[FlawOutline], width: int, height: int, scale: int
) -> list[Window]:
    """Windows that hold every pin and flaw and overlap nowhere; as many as are cheapest to render.

    Args:
        outlines: of every position.
        flaws: of every flaw.
        width, height: size of the picture in px.
        scale: mask pixels per picture pixel.
    """
    windows: list[Window] = []
    boxes = [outline.reach for outline in outlines]
    boxes += [flaw.amodal for flaw in flaws if flaw.amodal is not None and flaw.has_pixels]
    for x1, y1, x2, y2 in sorted(boxes, key=lambda box: box[1]):
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
    """Pass indices of the bands that hold pins: (h * scale, w * scale) for a band of h x w picture pixels.

    Attributes:
        scale: mask pixels per picture pixel.
        bands: windows in px, and what is seen in them.
        closer: finer masks round single codes, from which their boxes are taken.
    """

    scale: int
    bands: list[tuple[Window, np.ndarray]]
    closer: Mapping[int, Mask] = field(default_factory=dict)

    def seen(self, code: int, near: Box, hulls: np.ndarray | None = None) -> tuple[Box | None, int]:
        """The box of a code's pixels in and about a box, px, and how many mask pixels there are.

        Args:
            code: what it was rendered with.
            near: a box that holds it.
            hulls: what it would cover if nothing stood before it; without, it has no slivers.
        """
        box, count, _ = self._measured(code, near, hulls)
        if code in self.closer:
            box, _ = self.closer[code].seen(code, near, hulls)
        return box, count

    def doubtful(self, outlines: Sequence[Outline]) -> list[int]:
        """Which of some positions, by their numbers in the sequence, have a side that hangs on a sliver."""
        return [
            number
            for number, outline in enumerate(outlines)
            if outline.amodal is not None
            and self._measured(number + 1, outline.amodal, outline.hulls)[2] > _DOUBT_PX
        ]

    def _measured(self, code: int, near: Box, hulls: np.ndarray | None) -> tuple[Box | None, int, float]:
        """What `seen` tells, and by how many px the most doubtful side may be elsewhere."""
        x1, y1, x2, y2 = near
        for window, indices in self.bands:
            if y1 - 1.0 > window.y2 or y2 + 1.0 < window.y1:
                continue
            left = max(0, math.floor((x1 - 1.0 - window.x1) * self.scale))
            top = max(0, math.floor((y1 - 1.0 - window.y1) * self.scale))
            right = max(0, math.ceil((x2 + 1.0 - window.x1) * self.scale))
            bottom = max(0, math.ceil((y2 + 1.0 - window.y1) * self.scale))
            here = indices[top:bottom, left:right] == code
            lines = [here.sum(axis=axis).tolist() for axis in (0, 1)]
            count = sum(lines[1])
            if not count:
                continue
            columns, rows = (_sides(line, self.scale, 0.0) for line in lines)
            spread = 0.0
            most = min(_SLIVER_PX2, count / self.scale**2 / 8.0)
            # One mask pixel a pixel is too coarse to tell a sliver by.
            if (
                hulls is not None
                and self.scale > 1
                and any(
                    _sides(line, self.scale, 1.25 * most) != whole
                    for line, whole in zip(lines, (columns, rows), strict=True)
                )
            ):
                corner = left + window.x1 * self.scale, top + window.y1 * self.scale
                hidden = (_covered(hulls, corner, here.shape, self.scale) - count) / self.scale**2
                unsure = _UNSURE_PX / self.scale
                least, sliver, largest = (
                    share * min(max(hidden - _HIDDEN_PX2 + more, 0.0), most)
                    for share, more in ((0.75, -unsure), (1.0, 0.0), (1.25, unsure))
                )
                columns, rows = (_sides(line, self.scale, sliver) for line in lines)
                for line in lines:
                    ends = (_sides(line, self.scale, area) for area in (least, largest))
                    spread = max(spread, *(abs(one - other) for one, other in zip(*ends, strict=True)))
            found = (left + columns[0], top + rows[0], left + columns[1], top + rows[1])
            origin = (window.x1, window.y1, window.x1, window.y1)
            box = [edge / self.scale + start for edge, start in zip(found, origin, strict=True)]
            return box, count, spread / self.scale
        return None, 0, 0.0

    def picture(self, width: int, height: int, most: int) -> np.ndarray:
        """The index that covers most of each picture pixel, (height, width) uint16; above `most` becomes 0."""
        picture = np.zeros((height, width), np.uint16)
        for window, indices in self.bands:
            pins = np.where(indices <= most, indices, 0).astype(np.uint16)
            picture[window.y1 : window.y2, window.x1 : window.x2] = _majority(pins, self.scale)
        return picture


def _sides(lines: list[int], scale: int, sliver_px2: float) -> tuple[float, float]:
    """The first and one past the last of some lines with a thing's mask pixels, as `_side` finds them."""
    return _side(lines, scale, sliver_px2), len(lines) - _side(lines[::-1], scale, sliver_px2)


def _side(counts: list[int], scale: int, sliver_px2: float) -> float:
    """Where a thing begins, in mask pixels.

    Its first line, unless the first `sliver_px2` of it reach over more than 0.6 px: then the side moves inwards,
    gradually, up to where they end. Without that a mask of any fineness finds a sliver between two other pins or
    misses it by chance, and the side jumps by pixels.
    """
    least = sliver_px2 * scale**2
    first = next(i for i, count in enumerate(counts) if count)
    last, reached = first, float(counts[first])
    while reached < least:
        last += 1
        reached += counts[last]
    return first + min(last - first, max(0.0, 2.0 * (last - first - _SLIVER_PX * scale)))


def _covered(hulls: np.ndarray, corner: tuple[int, int], shape: tuple[int, int], scale: int) -> int:
    """How many mask pixels' centres lie in the union of convex hulls.

    Args:
        hulls: (S, V, 2) px.
        corner: the first column and row of the pixels, in mask pixels.
        shape: how many rows and columns.
        scale: mask pixels per picture pixel.
    """
    x, y = ((start + np.arange(size) + 0.5) / scale for start, size in zip(corner, shape[::-1], strict=True))
    inside = np.zeros(shape, bool)
    for hull in convex_hulls(hulls):
        step = np.roll(hull, -1, axis=0) - hull
        # Inside is left of every edge: across . (x, y) >= least.
        across = np.stack([-step[:, 1], step[:, 0]], axis=1)
        least = np.sum(across * hull, axis=1)
        values = (across[:, 0, None] * x - least[:, None])[:, None] + across[:, 1, None, None] * y[:, None]
        inside |= np.all(values >= 0.0, axis=0)
    return int(np.count_nonzero(inside))


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
    hulls: list[np.ndarray | None] = [None] * len(pins)
    groups: dict[Form, list[int]] = {}
    for number, pin in enumerate(pins):
        groups.setdefault(pin.form, []).append(number)
    for form, members in groups.items():
        frames = np.array([solids.pin_matrix(pins[number]) for number in members])
        local = solids.pin_mesh(form).vertices
        world = local @ frames[:, :3, :3].swapaxes(1, 2) + frames[:, None, :3, 3]
        # The first ring is the pin's buried end; the second stands at the floor, or by scatter a little above it.
        sides = solids.sides(form.terminal)
        buried, second = world[:, :sides], world[:, sides : 2 * sides]
        floors = np.array([pins[number].floor_mm for number in members])
        heights = [ring[..., 2].mean(axis=1) for ring in (buried, second)]
        share = np.clip((heights[1] - floors) / (heights[1] - heights[0]), 0.0, 1.0)[:, None, None]
        points = camera.project(np.concatenate([second + share * (buried - second), world], axis=1))
        standing = np.concatenate([points[:, :sides], points[:, 2 * sides :]], axis=1)
        points = points[:, sides:]
        whole = (
            polygon_areas(convex_hulls(standing)).tolist()
            if form.is_convex
            else [silhouette_area(pin, sides) for pin in standing]
        )
        for number, box, covered, pin in zip(members, boxes_of(points), whole, standing, strict=True):
            amodal[number], area[number] = box, covered
            hulls[number] = pin[None] if form.is_convex else _segments(pin, sides)

    expected: list[Box] = [[]] * len(pins)
    mouths: list[Box] = [[]] * len(pins)
    drawn: dict[Terminal, list[int]] = {}
    for number, pin in enumerate(pins):
        drawn.setdefault(pin.nominal, []).append(number)
    for terminal, members in drawn.items():
        places = np.array(
            [[pins[n].position.x_mm, pins[n].position.y_mm, pins[n].floor_mm] for n in members]
        )[:, None]
        standing = camera.project(solids.pin_mesh(Form(terminal)).vertices + places)
        rim = solids.cavity_outline(terminal, connector.cavity, connector.cavity.chamfer_mm)
        opening = camera.project(np.column_stack([rim, np.zeros(len(rim))]) + places)
        measured = zip(
            members, boxes_of(standing), boxes_of(opening), polygon_areas(opening).tolist(), strict=True
        )
        for number, pin_box, mouth_box, mouth_area in measured:
            expected[number], mouths[number] = pin_box, mouth_box
            if pins[number].missing:
                amodal[number], area[number], hulls[number] = None, mouth_area, None
    return [Outline(*parts) for parts in zip(amodal, expected, mouths, area, hulls, strict=True)]


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
            visible, count = mask.seen(pin.position.index, outline.amodal, outline.hulls)
        found.append(
            {
                "index": pin.position.index,
                "address": pin.position.address,
                "cavity": pin.position.cavity,
                "terminal": pin.terminal.name,
                "defects": [defect.text for defect in pin.defects],
                "kind": worst_kind(pin.defects),
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


@dataclass(frozen=True)
class FlawOutline:
    """A flaw as the camera would see it without anything before it, px: what is there, and what should be."""

    amodal: Box | None
    expected: Box | None
    area: float
    has_pixels: bool = True


def project_flaws(part: Part, camera: Camera) -> list[FlawOutline]:
    """Project what each flaw adds, takes away or prints."""
    found = []
    for flaw in part.flaws:
        meant = solids.print_mesh(part.connector.marking, flaw.meant)
        expected = None if meant is None else box_of(camera.project(meant.vertices))
        points = _flaw_points(part, flaw)
        if points is None:
            found.append(FlawOutline(None, expected, 0.0, False))
            continue
        flat = camera.project(points)
        area = sum(
            silhouette_area(camera.project(mesh.vertices), solids.BODY_SIDES)
            for mesh in map(solids.body_mesh, flaw.bodies)
        )
        found.append(FlawOutline(box_of(flat), expected, area, flaw.cut is None))
    return found


def _flaw_points(part: Part, flaw: Flaw) -> np.ndarray | None:
    if flaw.cut is not None:
        connector = part.connector
        return solids.cut_points(connector.shell, connector.housings[part.housing], flaw.cut)
    letters = solids.print_mesh(part.connector.marking, flaw.printed)
    meshes = [*map(solids.body_mesh, flaw.bodies), *([] if letters is None else [letters])]
    return np.concatenate([mesh.vertices for mesh in meshes]) if meshes else None


def flaws_truth(part: Part, outlines: list[FlawOutline], mask: Mask) -> list[dict[str, Any]]:
    """The record's `other`, numbered in the mask after the positions.

    A piece that is gone has no pixels: its visible box is where it is gone from.
    """
    found = []
    for code, (flaw, outline) in enumerate(zip(part.flaws, outlines, strict=True), len(part.pins) + 1):
        visible, count = (None, 0) if outline.amodal is None else mask.seen(code, outline.amodal)
        share = min(1.0, count / mask.scale**2 / outline.area) if outline.area else float(visible is not None)
        if flaw.cut is not None:
            visible, share = outline.amodal, 1.0
        elif outline.amodal is None:
            share = 1.0
        pins = [part.pin(address).position for address in flaw.defect.addresses]
        found.append(
            {
                "kind": flaw.defect.kind,
                "defect": flaw.defect.text,
                "address": "-".join(position.address for position in pins),
                "cavity": "-".join(position.cavity for position in pins),
                "visible_fraction": share,
                "boxes": {"visible": visible, "amodal": outline.amodal, "expected": outline.expected},
            }
        )
    return found


def box_of(points: np.ndarray) -> Box:
    """The box [x1, y1, x2, y2] of points (N, 2)."""
    return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]


def boxes_of(points: np.ndarray) -> list[Box]:
    """The boxes of N sets of points (N, V, 2)."""
    across = np.ascontiguousarray(points.swapaxes(1, 2))
    return np.concatenate([across.min(axis=2), across.max(axis=2)], axis=1).tolist()


def polygon_areas(corners: np.ndarray) -> np.ndarray:
    """Areas (N,) of N polygons (N, C, 2) that do not cross themselves."""
    x, y = corners[..., 0], corners[..., 1]
    return 0.5 * np.abs(np.sum(x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y, axis=1))


def convex_hulls(points: np.ndarray) -> np.ndarray:
    """The convex hulls (N, C, 2) of N sets of points (N, V, 2), in order; corners may be repeated.

    Begins with the points farthest in a few directions; as long as points lie outside of an edge, the farthest of
    them becomes a corner (W. F. Eddy's CONVEX, 1977, for all sets and edges at once).
    """
    across = points.swapaxes(1, 2)
    corners = np.take_along_axis(points, np.argmax(_DIRECTIONS @ across, axis=2)[..., None], axis=1)
    while True:
        step = np.roll(corners, -1, axis=1) - corners
        outwards = np.stack([step[..., 1], -step[..., 0]], axis=2)
        beyond = outwards @ across - np.sum(outwards * corners, axis=2)[..., None]
        farthest = np.argmax(beyond, axis=2)[..., None]
        outside = np.take_along_axis(beyond, farthest, axis=2) > 1e-9
        if not np.any(outside):
            return corners
        further = np.where(outside, np.take_along_axis(points, farthest, axis=1), corners)
        corners = np.stack([corners, further], axis=2).reshape(len(points), -1, 2)
        # What lies inside stays inside.
        left = beyond.max(axis=1) > 1e-9
        kept = np.argsort(~left, axis=1, kind="stable")[:, : np.count_nonzero(left, axis=1).max(), None]
        points = np.take_along_axis(points, kept, axis=1)
        across = points.swapaxes(1, 2)


def _segments(points: np.ndarray, sides: int) -> np.ndarray:
    """The points (S, 2 * sides, 2) of every two neighbouring rings of a skin."""
    rings = points[: len(points) // sides * sides].reshape(-1, sides, 2)
    return np.concatenate([rings[:-1], rings[1:]], axis=1)


def silhouette_area(points: np.ndarray, sides: int, step_px: float = 0.125) -> float:
    """Area covered by a skin of rings of `sides` points each, whose tip adds nothing: the union of its segments' hulls.

    A segment between two convex rings covers the convex hull of both. Each hull is cut into spans along lines step_px
    apart, and what the spans of a line cover together is added up.
    """
    low, high = points[:, 1].min(), points[:, 1].max()
    lines = low + step_px * (np.arange(np.ceil((high - low) / step_px)) + 0.5)
    segments = _segments(points, sides)
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
