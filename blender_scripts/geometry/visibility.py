"""Find the visible parts of pins and flaws in a picture, exactly and without rendering pixels.

Each surface is divided into pieces that a scan line (a column or row of the picture) crosses in one interval. Facets of
other surfaces that lie in front hide parts of that interval; what they leave is visible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from blender_scripts.geometry.facets import Crossed, Facets, in_front, overlap, ranges, triangles_near
from blender_scripts.geometry.hulls import Box

# Scan lines across a target in each direction, and those between a visible line and the hidden one beyond it.
LINES = 24
_BETWEEN = 6
_ROUNDS = 3
# Rows of one call that draws, which bounds memory.
_ROWS = 128
# Gaps narrower than this share of the target's box are cracks between facets, from rounding.
_CRACK = 1e-5
# The outermost lines lie this share of the target's box inside it.
_EDGE = 2e-4
_SHARES = np.array([_EDGE, *((np.arange(LINES) + 0.5) / LINES), 1.0 - _EDGE])


class Target(NamedTuple):
    """A surface whose visible part is to be found, such as a pin.

    Attributes:
        facets: its F facets that face the camera; none of them hides another one.
        pieces: (F,) index of the piece that each facet belongs to, in ascending order.
        hides: whether it hides other targets.
    """

    facets: Facets
    pieces: np.ndarray
    hides: bool = True


class Seen(NamedTuple):
    """The visible part of a target.

    Attributes:
        box: its bounding box in px of the picture; None if nothing is visible.
        area: its area in px^2.
    """

    box: Box | None
    area: float


class Sight:
    """The targets of one picture, and the surfaces that hide them.

    Args:
        targets: the surfaces whose visible parts are to be found.
        meshes: all other surfaces: vertices (3, V) as (u, v, w), and vertex indices (T, 3) of triangles.
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
        own = Facets.joined([target.facets for target in targets])
        owners = np.repeat(np.arange(self.count), [target.facets.size for target in targets])
        label = np.concatenate([target.pieces for target in targets])
        begins = np.flatnonzero(np.diff(label, prepend=-1) | np.diff(owners, prepend=-1))
        # Targets without any facet that faces the camera have no piece.
        self.owners = owners[begins]
        self.pieces = np.repeat(np.arange(len(begins)), np.diff([*begins, own.size]))
        boxes = np.concatenate(
            [
                np.minimum.reduceat(own.extents[:2], begins, axis=1),
                np.maximum.reduceat(own.extents[2:4], begins, axis=1),
                np.minimum.reduceat(own.extents[4:5], begins, axis=1),
            ]
        )
        self.turns = self._turns(boxes[:4])
        self.own = self._crossed(own.corners[:2], self.pieces)
        self.starts = begins
        others = Facets.joined([own, *(triangles_near(boxes[:4], *mesh) for mesh in meshes)])
        hiders = np.concatenate([owners, np.full(others.size - own.size, -1)])
        hides = np.array([target.hides for target in targets])[owners]
        near = overlap(boxes, others.extents) & (others.extents[5] > boxes[4][:, None])
        near &= hiders != self.owners[:, None]
        near[:, np.flatnonzero(~hides)] = False
        self._pair(own, others, near)
        ends = [np.stack([edge[: self.own.size], edge[self.own.size :]]) for edge in (self.own.low, self.own.high)]
        # Least and greatest place of each piece, then of each target: (pieces or targets, 2).
        self.spans = np.minimum.reduceat(ends[0], begins, axis=1).T, np.maximum.reduceat(ends[1], begins, axis=1).T
        self.low, self.high = np.full((self.count, 2), np.inf), np.full((self.count, 2), -np.inf)
        np.minimum.at(self.low, self.owners, self.spans[0])
        np.maximum.at(self.high, self.owners, self.spans[1])
        self.cracks = _CRACK * (self.high - self.low)[self.owners][:, ::-1]

    def _turns(self, boxes: np.ndarray) -> np.ndarray | None:
        """The derivative (P, 2, 2) of the map to the picture at the middle of each piece's target.

        Scan lines run along the picture's own axes at each target: a piece's own places are turn @ (u, v), and there
        shift + place is the place in the picture.
        """
        self.shifts = np.zeros((len(self.owners), 2))
        if self.to_picture is None:
            return None
        low, high = np.full((self.count, 2), np.inf), np.full((self.count, 2), -np.inf)
        np.minimum.at(low, self.owners, boxes[:2].T)
        np.maximum.at(high, self.owners, boxes[2:4].T)
        middles = (0.5 * (low + high))[self.owners]
        steps = np.array([[0.5, 0.0], [0.0, 0.5]])
        ends = [self.to_picture(middles[:, None] + sign * steps) for sign in (1.0, -1.0)]
        turns: np.ndarray = (ends[0] - ends[1]).swapaxes(1, 2)
        self.shifts = self.to_picture(middles) - np.einsum("pij,pj->pi", turns, middles)
        return turns

    def _crossed(self, corners: np.ndarray, pieces: np.ndarray) -> Crossed:
        if self.turns is not None:
            corners = np.einsum("fij,jkf->ikf", self.turns[pieces], corners)
        return Crossed(corners, pieces, len(self.owners))

    def _pair(self, own: Facets, others: Facets, near: np.ndarray) -> None:
        """Pair each piece with the facets that hide it: `whole` facets and, where the order is mixed, `parts`.

        A part is a facet together with one of the piece's own facets, `fronts`; it hides where `ahead` is positive.
        """
        of_piece, facet = np.nonzero(near)
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
        self.whole = self._crossed(others.corners[:2][:, :, facet[whole]], of_piece[whole])
        self.parts = self._crossed(others.corners[:2][:, :, facet[pair]], of_piece[pair])
        self.fronts = self._crossed(own.corners[:2][:, :, front], of_piece[pair])
        across, down, level = others.planes[:, facet[pair]] - own.planes[:, front]
        if self.turns is not None:
            inverse = np.linalg.inv(self.turns)[of_piece[pair]]
            across, down = np.einsum("fij,if->jf", inverse, [across, down])
        # Along columns (u is fixed), then along rows.
        self.ahead = np.concatenate([[across, down, level], [down, across, level]], axis=1)

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

    def gaps(self, pieces: np.ndarray, axes: np.ndarray, lines: np.ndarray) -> tuple[np.ndarray, ...]:
        """Find the visible intervals of Q pieces on N scan lines each.

        Args:
            pieces: (Q,) indices of the pieces.
            axes: (Q,) 0: the lines are columns, 1: rows.
            lines: (Q, N) coordinate of each line across its direction; nan: no line.

        Returns:
            For G visible intervals, (G,) each: index of the line in `lines.ravel()`, ascending; begin; end.
        """
        begin, end = np.full(lines.size, np.inf), np.full(lines.size, -np.inf)
        rows, line, places = self.own.find(pieces, axes, lines)
        low, high = self.own.limits(rows, places)
        np.minimum.at(begin, line, low)
        np.maximum.at(end, line, high)
        used = np.flatnonzero(begin < end)
        begin[begin > end] = 0.0
        size = np.where(end > begin, end - begin, 1.0)
        line, low, high = self._hidden(pieces, axes, lines)
        low, high = ((np.clip(edge, begin[line], end[line]) - begin[line]) / size[line] for edge in (low, high))
        kept = np.flatnonzero(low < high)
        # Line n is the range from 2 n to 2 n + 1. Where as many intervals have ended as have begun lies a gap.
        line = 2.0 * line[kept]
        ends = np.sort(np.concatenate([2.0 * used, 2.0 * used + 1.0, line + high[kept]]))[:-1]
        begins = np.sort(np.concatenate([2.0 * used, 2.0 * used + 1.0, line + low[kept]]))[1:]
        line = (0.5 * ends).astype(int)
        narrow = self.cracks[pieces, axes].repeat(lines.shape[1]) / size
        gaps = np.flatnonzero((begins - ends > narrow[line]) & (begins <= 2 * line + 1))
        line = line[gaps]
        begins, ends = (begin[line] + (edge[gaps] - 2.0 * line) * size[line] for edge in (ends, begins))
        return line, begins, ends

    def _hidden(self, pieces: np.ndarray, axes: np.ndarray, lines: np.ndarray) -> tuple[np.ndarray, ...]:
        """Intervals (R,) that are hidden: number of the line in `lines.ravel()`, where they begin, where they end."""
        rows, line, places = self.whole.find(pieces, axes, lines)
        found = [(line, *self.whole.limits(rows, places))]
        rows, line, places = self.parts.find(pieces, axes, lines)
        low, high = self.parts.limits(rows, places)
        front_low, front_high = self.fronts.limits(rows, places)
        low, high = np.maximum(low, front_low), np.minimum(high, front_high)
        shift, slope, level = self.ahead[:, rows]
        level = level + shift * places
        zero = -level / np.where(slope == 0.0, np.inf, slope)
        low = np.where(slope > 0.0, np.maximum(low, zero), low)
        high = np.where(slope < 0.0, np.minimum(high, zero), high)
        high[(slope == 0.0) & (level <= 0.0)] = -np.inf
        found.append((line, low, high))
        return tuple(np.concatenate(values) for values in zip(*found, strict=True))

    def seen(self) -> list[Seen]:
        """Find the visible part of every target, in their order."""
        lines = self.low[..., None] + (self.high - self.low)[..., None] * _SHARES
        count = len(self.owners)
        pieces, axes = np.tile(np.arange(count), 2), np.repeat([0, 1], count)
        lines = lines[self.owners[pieces], axes]
        found = self.gaps(pieces, axes, lines)
        limits = _Limits(self)
        limits.add(pieces, axes, lines, *found)
        areas = self._areas(pieces, axes, *found)
        for _ in range(_ROUNDS):
            pieces, axes, lines = limits.between()
            if len(pieces):
                limits.add(pieces, axes, lines, *self.gaps(pieces, axes, lines))
        return [Seen(box, area) for box, area in zip(limits.boxes(), areas.tolist(), strict=True)]

    def _areas(
        self, pieces: np.ndarray, axes: np.ndarray, line: np.ndarray, begin: np.ndarray, end: np.ndarray
    ) -> np.ndarray:
        """Visible areas (T,), px^2, from the first intervals: the mean of those by columns and by rows."""
        query, place = np.divmod(line, len(_SHARES))
        inner = np.flatnonzero((place > 0) & (place <= LINES))
        query, place = query[inner], place[inner]
        group = 2 * self.owners[pieces[query]] + axes[query]
        # Each line of a target is a range of its own, in which the intervals of its pieces may overlap.
        low, high = self.low[:, ::-1].ravel()[group], self.high[:, ::-1].ravel()[group]
        number = 2.0 * (group * (LINES + 1) + place)
        begins, ends = (np.sort(number + (edge[inner] - low) / (high - low)) for edge in (begin, end))
        lengths = np.minimum(ends, np.append(begins[1:], np.inf)) - begins
        group = (0.5 * begins).astype(int) // (LINES + 1)
        shares = np.bincount(group, lengths, 2 * self.count) / LINES
        areas: np.ndarray = shares.reshape(-1, 2).mean(axis=1) * np.prod(np.maximum(self.high - self.low, 0.0), axis=1)
        return np.where(shares.reshape(-1, 2).any(axis=1), areas, 0.0)

    def in_picture(self, pieces: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Convert points (N, 2) from the coordinates of their pieces' scan lines to px of the picture.

        Args:
            pieces: (N,) index of the piece of each point.
            points: (N, 2).
        """
        if self.to_picture is None or self.turns is None:
            return points
        return self.to_picture(np.linalg.solve(self.turns[pieces], points[..., None])[..., 0])

    def draw(self, codes: np.ndarray, width: int, height: int, scale: int) -> np.ndarray:
        """Draw the visible parts of T targets as a mask.

        Args:
            codes: (T,) value with which each target is drawn; 0: it is not drawn.
            width, height: size of the mask in px.
            scale: each pixel gets the most frequent value of scale x scale samples.

        Returns:
            (height, width) uint16; 0 where no target is visible.
        """
        drawn = np.zeros((height * scale, width * scale), np.uint16)
        pieces = np.flatnonzero(codes[self.owners])
        low, high = (self.shifts[pieces, 1] + span[pieces, 1] for span in self.spans)
        first = np.clip(np.ceil(low * scale - 0.5), 0, height * scale).astype(int)
        last = np.clip(np.ceil(high * scale - 0.5), 0, height * scale).astype(int)
        for start in range(0, int((last - first).max(initial=0)), _ROWS):
            chosen = np.flatnonzero(first + start < last)
            rows = first[chosen, None] + np.arange(start, min(start + _ROWS, int((last - first).max())))
            own = pieces[chosen]
            lines = np.where(rows < last[chosen, None], (rows + 0.5) / scale - self.shifts[own, 1:], np.nan)
            line, *edges = self.gaps(own, np.ones(len(own), int), lines)
            query = line // lines.shape[1]
            places = [self.in_picture(own[query], np.stack([edge, lines.ravel()[line]], axis=1)) for edge in edges]
            left, right = (
                np.clip(np.ceil(place[:, 0] * scale - 0.5), 0, width * scale).astype(int) for place in places
            )
            columns, which = ranges(left, np.maximum(right - left, 0))
            drawn[rows.ravel()[line][which], columns] = codes[self.owners[own]][query][which]
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


class _Limits:
    """The extremes of the visible points found so far, and the scan lines on which nothing was."""

    def __init__(self, sight: Sight) -> None:
        self.sight = sight
        shape = sight.count, 2
        # Along columns' x (0) and rows' y (1), in the targets' own places; then in px of the picture.
        self.low, self.high = np.full(shape, np.inf), np.full(shape, -np.inf)
        self.picture_low, self.picture_high = self.low.copy(), self.high.copy()
        self.tested: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(
        self,
        pieces: np.ndarray,
        axes: np.ndarray,
        lines: np.ndarray,
        line: np.ndarray,
        begin: np.ndarray,
        end: np.ndarray,
    ) -> None:
        """Add visible intervals that `Sight.gaps` found."""
        sight = self.sight
        owners = sight.owners[pieces]
        self.tested.append((owners, axes, lines))
        query, across = line // lines.shape[1], lines.ravel()[line]
        own, other = 2 * owners[query] + axes[query], 2 * owners[query] + 1 - axes[query]
        for extreme, limit, furthest, along in (
            (self.low, sight.low, np.minimum, begin),
            (self.high, sight.high, np.maximum, end),
        ):
            furthest.at(extreme.ravel(), own, across)
            furthest.at(extreme.ravel(), other, along)
            near = np.abs(extreme - limit) <= 1.01 * _EDGE * (sight.high - sight.low)
            extreme[near] = limit[near]
        if sight.to_picture is None:
            return
        for along in (begin, end):
            points = np.stack([across, along], axis=1)
            turned = axes[query] == 1
            points[turned] = points[turned, ::-1]
            places = sight.in_picture(pieces[query], points)
            np.minimum.at(self.picture_low, owners[query], places)
            np.maximum.at(self.picture_high, owners[query], places)

    def between(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pieces, axes and lines between the extremes and the nearest hidden lines beyond them."""
        sight = self.sight
        least, most = sight.low.copy(), sight.high.copy()
        for owners, axes, lines in self.tested:
            beyond = lines < self.low[owners, axes][:, None]
            np.maximum.at(least, (owners, axes), np.where(beyond, lines, -np.inf).max(axis=1))
            beyond = lines > self.high[owners, axes][:, None]
            np.minimum.at(most, (owners, axes), np.where(beyond, lines, np.inf).min(axis=1))
        found = []
        steps = (np.arange(_BETWEEN) + 1.0) / (_BETWEEN + 1.0)
        for outer, inner, limit in ((least, self.low, sight.low), (most, self.high, sight.high)):
            open_ = np.isfinite(inner) & (inner != limit)
            low, high = (v[sight.owners] for v in (np.minimum(outer, inner), np.maximum(outer, inner)))
            pieces, axes = np.nonzero(open_[sight.owners] & (sight.spans[0] < high) & (sight.spans[1] > low))
            start, end = low[pieces, axes][:, None], high[pieces, axes][:, None]
            found.append((pieces, axes, start + (end - start) * steps))
        pieces, axes, lines = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return pieces, axes, lines

    def boxes(self) -> list[Box | None]:
        """The targets' visible boxes, px of the picture."""
        straight = self.sight.to_picture is None
        edges = (self.low, self.high) if straight else (self.picture_low, self.picture_high)
        return [box if np.isfinite(box[0]) else None for box in np.concatenate(edges, axis=1).tolist()]
