"""What the camera's centre sees of pins and flaws, by the points of a grid in the undistorted view, without rendering.

Each pixel is divided into FINE x FINE cells, with a grid point in the middle of each. A surface is visible at a point
where it is the nearest one; geometry/scan_lines.py finds those points exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from blender_scripts.geometry.boxes import Box
from blender_scripts.geometry.facets import Facets, in_front, overlap, ranges, triangles_near
from blender_scripts.geometry.lens import BENT_PX
from blender_scripts.geometry.scan_lines import Hidden, ScanLines, first_point

# Points per px along each axis.
FINE = 8


class Target(NamedTuple):
    """A surface whose visible part is to be found, such as a pin.

    Attributes:
        facets: its F facets that face the camera; none of them hides another one.
        pieces: (F,) index of the piece that each facet belongs to, ascending; a line in the picture crosses a piece in
            one interval.
        hides: whether it hides other targets.
    """

    facets: Facets
    pieces: np.ndarray
    hides: bool = True


class Seen(NamedTuple):
    """The visible grid points of a target (pin, cavity mouth or flaw); a pixel holds FINE x FINE points.

    Attributes:
        box: box, px of the picture, round the grid cells of the visible points; None if no point is visible.
        points: number of the visible points.
    """

    box: Box | None
    points: int


class Sight:
    """The targets of one picture, and the surfaces that hide them.

    Args:
        targets: the surfaces whose visible parts are to be found.
        meshes: all other surfaces: vertices (3, V) as in geometry/facets.py, and vertex indices (T, 3) of triangles.
        to_picture: maps px of the undistorted view (..., 2) to px of the picture; None: no lens distortion.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        meshes: Sequence[tuple[np.ndarray, np.ndarray]],
        to_picture: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.to_picture = to_picture
        self.count = len(targets)
        self.own = own = Facets.joined([target.facets for target in targets])
        owners = np.repeat(np.arange(self.count), [target.facets.size for target in targets])
        label = np.concatenate([target.pieces for target in targets])
        self.starts = np.flatnonzero(np.diff(label, prepend=-1) | np.diff(owners, prepend=-1))
        # Targets without any facet that faces the camera have no piece.
        self.owners = owners[self.starts]
        self.pieces = np.repeat(np.arange(len(self.starts)), np.diff([*self.starts, own.size]))
        boxes = np.concatenate(
            [
                np.minimum.reduceat(own.extents[:2], self.starts, axis=1),
                np.maximum.reduceat(own.extents[2:4], self.starts, axis=1),
                np.minimum.reduceat(own.extents[4:5], self.starts, axis=1),
            ]
        )
        others = Facets.joined([own, *(triangles_near(boxes[:4], *mesh) for mesh in meshes)])
        hiders = np.concatenate([owners, np.full(others.size - own.size, -1)])
        hides = np.array([target.hides for target in targets])[owners]
        near = overlap(boxes, others.extents) & (others.extents[5] > boxes[4][:, None])
        near &= hiders != self.owners[:, None]
        near[:, np.flatnonzero(~hides)] = False
        self.hidden = self._hidden(others, near)
        # Least and greatest u and v of each target.
        self.low, self.high = np.full((self.count, 2), np.inf), np.full((self.count, 2), -np.inf)
        np.minimum.at(self.low, self.owners, boxes[:2].T)
        np.maximum.at(self.high, self.owners, boxes[2:4].T)
        # The shorter side of a target has fewer lines.
        self.axes = np.argmin(self.high - self.low, axis=1)[self.owners]
        self.lines = ScanLines(own.corners[:2], self.pieces, self.hidden, self.axes)

    def _hidden(self, others: Facets, near: np.ndarray) -> Hidden:
        """What hides each piece, of the facets that are `near` it (P, F): whole facets, and parts of others."""
        own = self.own
        of_piece, facet = np.nonzero(near)
        if not len(facet):
            nothing, none = np.zeros((2, 2, 0)), np.zeros(0, int)
            return Hidden(nothing, none, nothing, nothing, none, np.zeros((3, 0)))
        slopes, least, most = self._slabs(own)
        u, v, w = others.corners[:, :, facet]
        level = w - slopes[0, of_piece] * u - slopes[1, of_piece] * v
        highest = level.max(axis=0)
        open_ = np.flatnonzero(highest > least[of_piece])
        of_piece, facet, level = of_piece[open_], facet[open_], level[:, open_]
        nearer = level.min(axis=0) >= most[of_piece]
        unclear = np.flatnonzero(~nearer)
        ends = np.searchsorted(of_piece[unclear], np.arange(len(self.owners) + 1))
        pairs, fronts = [], []
        for i, (start, end) in enumerate(zip(self.starts, [*self.starts[1:], own.size], strict=True)):
            row = unclear[ends[i] : ends[i + 1]]
            met = np.flatnonzero(overlap(others.extents[:, facet[row]], own.extents[:, start:end]))
            pair, front = np.divmod(met, end - start)
            pairs.append(row[pair])
            fronts.append(front + start)
        pair, front = np.concatenate(pairs), np.concatenate(fronts)
        ahead, behind = in_front(others, facet[pair], own, front)
        mixed = np.bincount(pair[behind], minlength=len(facet)) > 0
        whole = np.flatnonzero(nearer | ~mixed & (np.bincount(pair, minlength=len(facet)) > 0))
        parts = np.flatnonzero(ahead & mixed[pair])
        pair, front = pair[parts], front[parts]
        return Hidden(
            whole=others.corners[:2][:, :, facet[whole]],
            of_whole=of_piece[whole],
            parts=others.corners[:2][:, :, facet[pair]],
            fronts=own.corners[:2][:, :, front],
            of_part=of_piece[pair],
            ahead=others.planes[:, facet[pair]] - own.planes[:, front],
        )

    def _slabs(self, own: Facets) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Two parallel planes for each piece, one behind and one in front of its facets: slopes (2, P), least, most."""
        middles = own.corners.mean(axis=1)
        counts = np.diff([*self.starts, own.size])
        u, v, w = middles - (np.add.reduceat(middles, self.starts, axis=1) / counts)[:, self.pieces]
        uu, uv, vv, uw, vw = np.add.reduceat([u * u, u * v, v * v, u * w, v * w], self.starts, axis=1)
        # A little steeper than the best fit would be if the facets lay in one line.
        uu, vv = (square + 1e-3 * (uu + vv) + 1e-9 for square in (uu, vv))
        slopes = np.stack([uw * vv - vw * uv, vw * uu - uw * uv]) / (uu * vv - uv * uv)
        level = own.corners[2] - np.sum(slopes[:, None, self.pieces] * own.corners[:2], axis=0)
        return (
            slopes,
            np.minimum.reduceat(level.min(axis=0), self.starts),
            np.maximum.reduceat(level.max(axis=0), self.starts),
        )

    def seen(self) -> list[Seen]:
        """Find what is visible of each target (pin, cavity mouth or flaw); returns one `Seen` each, in their order."""
        gaps = self.lines.gaps(FINE)
        first, end = first_point(gaps.begins, FINE), first_point(gaps.ends, FINE)
        kept = np.flatnonzero(first < end)
        owners, axes, lines, first, end = (
            array[kept] for array in (self.owners[gaps.pieces], self.axes[gaps.pieces], gaps.lines, first, end)
        )
        low, high = self._edges(owners, axes, lines, first, end)
        boxes = [box if np.isfinite(box[0]) else None for box in np.concatenate([low, high], axis=1).tolist()]
        # Pieces of a target may overlap on a line. With as many begins as ends on it, sorted apart, each stretch that
        # is counted ends where it or the next one does.
        _, _, begins = np.array([owners, lines, first])[:, np.lexsort((first, lines, owners))]
        owners, lines, ends = np.array([owners, lines, end])[:, np.lexsort((end, lines, owners))]
        same = (owners[1:] == owners[:-1]) & (lines[1:] == lines[:-1])
        ends[:-1] = np.where(same, np.minimum(ends[:-1], begins[1:]), ends[:-1])
        points = np.bincount(owners, ends - begins, self.count).astype(int).tolist()
        return [Seen(box, number) for box, number in zip(boxes, points, strict=True)]

    def _edges(
        self, owners: np.ndarray, axes: np.ndarray, lines: np.ndarray, first: np.ndarray, end: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest x and y, px of the picture, of each target's visible cells (T, 2): rows of points."""
        low, high = np.full((2, self.count), np.inf), np.full((2, self.count), -np.inf)
        if self.to_picture is None:
            rows, step, steps = np.arange(len(first)).repeat(2), np.tile([0, 1], len(first)), np.ones_like(first)
        else:
            steps = np.ceil((end - first) / (BENT_PX * FINE)).astype(int)
            step, rows = ranges(np.zeros_like(steps), steps + 1)
        along = first[rows] + (end - first)[rows] * (step / steps[rows])
        turned, owners = axes[rows] == 1, owners[rows]
        for side in (0, 1):
            across = lines[rows] + side
            places = np.stack([np.where(turned, along, across), np.where(turned, across, along)]) / FINE
            if self.to_picture is not None:
                places = self.to_picture(places.T).T
            for axis in (0, 1):
                np.minimum.at(low[axis], owners, places[axis])
                np.maximum.at(high[axis], owners, places[axis])
        return low.T, high.T

    def _bent(self) -> tuple[ScanLines, np.ndarray, np.ndarray]:
        """Scan lines along the picture's own axes at each target, (P, 2, 2) and (P, 2) their turns and shifts.

        There turn @ (u, v) + shift is the place in the picture to first order: the map's derivative at the middle.
        """
        assert self.to_picture is not None
        middles = (0.5 * (self.low + self.high))[self.owners]
        steps = np.array([[0.5, 0.0], [0.0, 0.5]])
        ends = [self.to_picture(middles[:, None] + sign * steps) for sign in (1.0, -1.0)]
        turns: np.ndarray = (ends[0] - ends[1]).swapaxes(1, 2)
        shifts = self.to_picture(middles) - np.einsum("pij,pj->pi", turns, middles)
        lines = ScanLines(self.own.corners[:2], self.pieces, self.hidden, self.axes, (turns, shifts))
        return lines, turns, shifts

    def _in_picture(
        self, scale: int, pieces: np.ndarray, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rows of points of a grid in the picture that show pieces: (R,) piece, line, first point and end."""
        if self.to_picture is None:
            gaps = self.lines.gaps(scale, pieces, size)
            edges = [gaps.begins, gaps.ends]
        else:
            lines, turns, shifts = self._bent()
            gaps = lines.gaps(scale, pieces, size)
            which = np.arange(len(gaps.pieces))
            axes = self.axes[gaps.pieces]
            edges = []
            for edge in (gaps.begins, gaps.ends):
                points = np.empty((len(edge), 2))
                points[which, axes] = (gaps.lines + 0.5) / scale - shifts[gaps.pieces, axes]
                points[which, 1 - axes] = edge
                points = self.to_picture(np.linalg.solve(turns[gaps.pieces], points[..., None])[..., 0])
                edges.append(points[which, 1 - axes])
        most = scale * np.array(size)[1 - self.axes[gaps.pieces]]
        first, end = (np.clip(first_point(edge, scale), 0, most) for edge in edges)
        return gaps.pieces, gaps.lines, first, end

    def draw(self, codes: np.ndarray, width: int, height: int, scale: int) -> np.ndarray:
        """Draw the visible parts of T targets (pins, cavity mouths, flaws) as a mask.

        Args:
            codes: (T,) value with which each target is drawn; 0: it is not drawn.
            width, height: size of the mask in px.
            scale: each pixel gets the most frequent value of scale x scale samples.

        Returns:
            (height, width) uint16; 0 where no target is visible.
        """
        drawn = np.zeros((height * scale, width * scale), np.uint16)
        pieces = np.flatnonzero(codes[self.owners])
        pieces, lines, first, end = self._in_picture(scale, pieces, (width, height))
        along, row = ranges(first, np.maximum(end - first, 0))
        across, code = lines[row], codes[self.owners[pieces[row]]]
        by_rows = self.axes[pieces[row]] == 1
        drawn[np.where(by_rows, across, along), np.where(by_rows, along, across)] = code
        return _majority(drawn, scale)


def _majority(indices: np.ndarray, scale: int) -> np.ndarray:
    """The most frequent code of each block of scale x scale samples; of equally frequent codes the smallest."""
    if scale == 1:
        return indices
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
