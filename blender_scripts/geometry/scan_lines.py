"""Scan lines: in which intervals the columns and rows of a grid cross surfaces, and which of them nothing hides.

A grid has `scale` points per px along each axis, in the middles of its cells: point n lies at (n + 0.5) / scale px. A
line is one column or row of points. Surfaces are divided into pieces, each of which a line crosses in one interval.
Facets in front of a piece hide parts of this interval; the gaps between the hidden parts are visible.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from blender_scripts.geometry.facets import ranges

# Gaps narrower than this are cracks between facets, from rounding.
_CRACK_PX = 1e-3
# Lines times facets of one batch, which bounds memory; lines of one piece in it.
_BATCH = 500_000
_LINES = 256
# Twice the area by which a facet's corner may lie inside: rounding.
_CONVEX_PX2 = 1e-9


class Hidden(NamedTuple):
    """The facets that hide pieces of surfaces: W wholly in front of a piece, and R of which only a part is in front.

    A facet has K corners.

    Attributes:
        whole: (2, K, W) corners (u, v) of the facets that are wholly in front, px.
        of_whole: (W,) index of the piece that each of them hides, ascending.
        parts: (2, K, R) corners of the facets of which a part is in front.
        fronts: (2, K, R) corners of the piece's own facet that each of `parts` overlaps.
        of_part: (R,) index of the piece that each of `parts` hides, ascending.
        ahead: (3, R) a, b and c: the facet in `parts` is in front of that in `fronts` where a u + b v + c > 0.
    """

    whole: np.ndarray
    of_whole: np.ndarray
    parts: np.ndarray
    fronts: np.ndarray
    of_part: np.ndarray
    ahead: np.ndarray


class Gaps(NamedTuple):
    """G intervals of grid lines in which pieces of surfaces are visible.

    All are (G,): index of the piece, number of the line, and begin and end of the interval along the line, px.
    """

    pieces: np.ndarray
    lines: np.ndarray
    begins: np.ndarray
    ends: np.ndarray


def first_point(places: np.ndarray, scale: int) -> np.ndarray:
    """Return the index of the first grid point at or after each of `places`, px; `scale`: grid points per px."""
    numbers: np.ndarray = np.ceil(scale * places - 0.5).astype(int)
    return numbers


class _Queries(NamedTuple):
    """Lines `firsts` to `ends` (Q,), ends exclusive, of `pieces` (Q,); the first of each is the `at`-th of them all."""

    pieces: np.ndarray
    firsts: np.ndarray
    ends: np.ndarray
    at: np.ndarray
    scale: int


class _Crossed:
    """Facets or edges that belong to pieces, ready to be crossed by their lines.

    Args:
        corners: (2, K, F) in the pieces' own places; of edges K = 2.
        pieces: (F,) the numbers of their pieces, rising.
        axes, shifts: of the pieces; see ScanLines.
    """

    def __init__(self, corners: np.ndarray, pieces: np.ndarray, axes: np.ndarray, shifts: np.ndarray) -> None:
        self.counts = np.bincount(pieces, minlength=len(axes))
        self.starts = np.cumsum(self.counts) - self.counts
        turned = axes[pieces] == 1
        self.across, self.along = np.where(turned, corners[::-1], corners)
        # From each corner to the one before it.
        steps = [np.roll(places, 1, axis=0) - places for places in (self.across, self.along)]
        self.slopes = steps[1] / np.where(steps[0] == 0.0, np.inf, steps[0])
        self.shift = shifts[pieces, axes[pieces]]
        self.low, self.high = (self.shift + edge for edge in (self.across.min(axis=0), self.across.max(axis=0)))

    def find(self, queries: _Queries) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find the R crossings of the lines `queries` with facets or edges.

        Returns three arrays (R,): index of the crossed facet or edge; index of the line among all lines of `queries`;
        place of the line across its direction, px, in the coordinates of the piece.
        """
        rows, which = ranges(self.starts[queries.pieces], self.counts[queries.pieces])
        first, end = (first_point(edge[rows], queries.scale) for edge in (self.low, self.high))
        start = queries.firsts[which]
        first = np.maximum(first, start)
        lines, of = ranges(first, np.maximum(np.minimum(end, queries.ends[which]) - first, 0))
        rows, places = rows[of], (lines + 0.5) / queries.scale
        return rows, (queries.at[which] - start)[of] + lines, places - self.shift[rows]

    def place(self, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Return where lines at `places` (R,), px, cross the edges with indices `rows` (R,): px along the line."""
        found: np.ndarray = self.along[0].take(rows) + (places - self.across[0].take(rows)) * self.slopes[0].take(rows)
        return found

    def limits(self, rows: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where lines at `places` (R,), px, enter and leave the facets with indices `rows`: (R,) each, px.

        They are inf and -inf for a line that misses its facet.
        """
        low, high = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
        before = self.across[-1].take(rows) <= places
        for across, along, slopes in zip(self.across, self.along, self.slopes, strict=True):
            last, before = before, across.take(rows) <= places
            crossed = np.flatnonzero(before != last)
            row = rows[crossed]
            place = along.take(row) + (places[crossed] - across.take(row)) * slopes.take(row)
            low[crossed], high[crossed] = np.minimum(low[crossed], place), np.maximum(high[crossed], place)
        return low, high


def _outlines(corners: np.ndarray, pieces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The edges (2, 2, E) of facets (2, K, F) that no two facets of their piece share, and the pieces (E,), rising.

    Edges of a facet that is not convex, in a twisted pin, are kept: its neighbour may lie on the same side of them.
    """
    before = np.roll(corners, 1, axis=1)
    steps = corners - before
    bends = steps[0] * np.roll(steps[1], -1, axis=0) - steps[1] * np.roll(steps[0], -1, axis=0)
    convex = bends.max(axis=0) <= _CONVEX_PX2
    # Of equal corners, whatever their order, the sums are equal to the last bit.
    u, v = (np.where(convex, sums, np.nan).T.ravel() for sums in corners + before)
    owners = np.repeat(pieces, corners.shape[1])
    order = np.argsort(u + np.pi * v)
    u, v, of_piece = u[order], v[order], owners[order]
    same = np.zeros(len(u) + 1, bool)
    same[1:-1] = (u[1:] == u[:-1]) & (v[1:] == v[:-1]) & (of_piece[1:] == of_piece[:-1])
    alone = np.sort(order[~(same[1:] | same[:-1])])
    ends = np.stack([corners, before], axis=1).swapaxes(2, 3).reshape(2, 2, -1)
    return ends[:, :, alone], owners[alone]


class ScanLines:
    """Pieces of surfaces, each cut by the columns or the rows of a grid.

    Args:
        own: (2, K, F) u and v of the K corners of each facet of the pieces, px.
        pieces: (F,) index of the piece that each facet belongs to, ascending; each of the P pieces has a facet.
        hidden: the facets that hide the pieces.
        axes: (P,) 0: columns cut the piece; 1: rows.
        turned: for each piece a turn (P, 2, 2) and a shift (P, 2): its point (u, v) lies in the grid at
            turn @ (u, v) + shift. None: at (u, v).
    """

    def __init__(
        self,
        own: np.ndarray,
        pieces: np.ndarray,
        hidden: Hidden,
        axes: np.ndarray,
        turned: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        self.axes = axes
        turns, shifts = (None, np.zeros((len(axes), 2))) if turned is None else turned

        def crossed(corners: np.ndarray, pieces: np.ndarray) -> _Crossed:
            if turns is not None:
                corners = np.einsum("fij,jkf->ikf", turns[pieces], corners)
            return _Crossed(corners, pieces, axes, shifts)

        self.own = crossed(*_outlines(own, pieces))
        self.whole = crossed(hidden.whole, hidden.of_whole)
        self.parts, self.fronts = (crossed(each, hidden.of_part) for each in (hidden.parts, hidden.fronts))
        across, down, level = hidden.ahead
        if turns is not None:
            inverse = np.linalg.inv(turns)[hidden.of_part]
            across, down = np.einsum("fij,if->jf", inverse, [across, down])
        # Along columns u is fixed.
        along_rows = axes[hidden.of_part] == 1
        self.ahead = np.where(along_rows, down, across), np.where(along_rows, across, down), level

    def gaps(self, scale: int, pieces: np.ndarray | None = None, size: tuple[int, int] | None = None) -> Gaps:
        """Find the intervals of the grid's lines in which pieces of surfaces are visible.

        Args:
            scale: number of grid lines per px.
            pieces: (Q,) indices of the pieces; None: all.
            size: width and height of the picture, px; lines outside of it are left out. None: no line is left out.
        """
        pieces = np.arange(len(self.axes)) if pieces is None else pieces
        edges = np.minimum.reduceat(self.own.low, self.own.starts), np.maximum.reduceat(self.own.high, self.own.starts)
        firsts, ends = (first_point(edge[pieces], scale) for edge in edges)
        if size is not None:
            most = scale * np.array(size)[self.axes[pieces]]
            firsts, ends = np.clip(firsts, 0, most), np.clip(ends, 0, most)
        block, which = ranges(np.zeros_like(firsts), np.maximum(ends - firsts + _LINES - 1, 0) // _LINES)
        firsts = firsts[which] + _LINES * block
        ends = np.minimum(firsts + _LINES, ends[which])
        pieces = pieces[which]
        counts = self.own.counts + self.whole.counts + self.parts.counts
        batches = np.cumsum((ends - firsts) * counts[pieces]) // _BATCH
        found = [
            self._gaps(_Queries(pieces[chosen], firsts[chosen], ends[chosen], np.zeros(0, int), scale))
            for chosen in np.split(np.arange(len(pieces)), np.flatnonzero(np.diff(batches)) + 1)
        ]
        return Gaps(*map(np.concatenate, zip(*found, strict=True)))

    def _gaps(self, queries: _Queries) -> Gaps:
        counts = queries.ends - queries.firsts
        queries = queries._replace(at=np.cumsum(counts) - counts)
        begin, end = np.full(counts.sum(), np.inf), np.full(counts.sum(), -np.inf)
        rows, line, places = self.own.find(queries)
        places = self.own.place(rows, places)
        np.minimum.at(begin, line, places)
        np.maximum.at(end, line, places)
        used = np.flatnonzero(begin < end)
        begin[begin > end] = 0.0
        size = np.where(end > begin, end - begin, 1.0)
        line, low, high = self._hidden(queries)
        low, high = ((np.clip(edge, begin[line], end[line]) - begin[line]) / size[line] for edge in (low, high))
        kept = np.flatnonzero(low < high)
        # Line n is the range from 2 n to 2 n + 1. Where as many intervals have ended as have begun lies a gap.
        line = 2.0 * line[kept]
        ends = np.sort(np.concatenate([2.0 * used, 2.0 * used + 1.0, line + high[kept]]))[:-1]
        begins = np.sort(np.concatenate([2.0 * used, 2.0 * used + 1.0, line + low[kept]]))[1:]
        line = (0.5 * ends).astype(int)
        gaps = np.flatnonzero(((begins - ends) * size[line] > _CRACK_PX) & (begins <= 2 * line + 1))
        line = line[gaps]
        begins, ends = (begin[line] + (edge[gaps] - 2.0 * line) * size[line] for edge in (ends, begins))
        numbers, which = ranges(queries.firsts, counts)
        return Gaps(queries.pieces[which[line]], numbers[line], begins, ends)

    def _hidden(self, queries: _Queries) -> tuple[np.ndarray, ...]:
        """Intervals (R,) that are hidden: number of the line, where they begin, where they end."""
        rows, line, places = self.whole.find(queries)
        found = [(line, *self.whole.limits(rows, places))]
        rows, line, places = self.parts.find(queries)
        low, high = self.parts.limits(rows, places)
        front_low, front_high = self.fronts.limits(rows, places)
        low, high = np.maximum(low, front_low), np.minimum(high, front_high)
        shift, slope, level = (part[rows] for part in self.ahead)
        level = level + shift * places
        zero = -level / np.where(slope == 0.0, np.inf, slope)
        low = np.where(slope > 0.0, np.maximum(low, zero), low)
        high = np.where(slope < 0.0, np.minimum(high, zero), high)
        high[(slope == 0.0) & (level <= 0.0)] = -np.inf
        found.append((line, low, high))
        return tuple(np.concatenate(values) for values in zip(*found, strict=True))
