"""What the camera's centre sees of convex pieces behind facets and other pieces: exact on scan lines, no pixels.

Points are (u, v, w): pixels of the undistorted view, and inverse depth in 1/mm. There lines and planes stay straight, and
of two points on one ray the one with larger w is nearer. On a scan line (a column or a row) a convex piece covers one
interval, and so does each facet or other piece that hides it; what is left over is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from blender_scripts.geometry.hulls import Box

# Scan lines across a target in each direction, and between a hidden and a visible one in each of two refinements.
LINES = 24
_BETWEEN = 12
_ROUNDS = 2
# Gaps narrower than this share of the target's box are cracks between facets, from rounding.
_CRACK = 1e-5
_SAME_DEPTH = 1e-8
_FLAT_PX2 = 1e-12
# The outermost lines lie this share of the target's box inside it.
_EDGE = 2e-4
_SHARES = np.array([_EDGE, *((np.arange(LINES) + 0.5) / LINES), 1.0 - _EDGE])

_Map = Callable[[np.ndarray], np.ndarray]


class Piece(NamedTuple):
    """A convex piece of a surface.

    Attributes:
        outline: (C, 2) px, its convex outline in order.
        points: (V, 3) its vertices.
        facets: (F, K, 3) corners of its facets that face the camera; corners may be repeated.
        planes: (F, 3) their planes: w = planes @ (u, v, 1).
    """

    outline: np.ndarray
    points: np.ndarray
    facets: np.ndarray
    planes: np.ndarray


@dataclass(frozen=True)
class Target:
    """What is looked for: convex pieces that together are one surface, and do not hide one another.

    Attributes:
        pieces: the surface.
        solid: no other solid target enters it: of two solid pieces one is in front of the other as a whole.
        hides: whether it hides other targets.
    """

    pieces: Sequence[Piece]
    solid: bool = True
    hides: bool = True


class Seen(NamedTuple):
    """The visible part of a target: its box in px of the picture, None where nothing is seen, and its area in px^2."""

    box: Box | None
    area: float


def planes_of(facets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Planes (F, 3) of facets (F, K, 3) through their first three corners, and twice their signed area (F,), px^2."""
    one, two, start = facets[:, 1] - facets[:, 0], facets[:, 2] - facets[:, 0], facets[:, 0]
    area = one[:, 0] * two[:, 1] - two[:, 0] * one[:, 1]
    safe = np.where(np.abs(area) > _FLAT_PX2, area, np.inf)
    across = (one[:, 2] * two[:, 1] - two[:, 2] * one[:, 1]) / safe
    down = (one[:, 0] * two[:, 2] - two[:, 0] * one[:, 2]) / safe
    return np.stack([across, down, start[:, 2] - across * start[:, 0] - down * start[:, 1]], axis=1), area


def _boxes(points: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) of N sets of points (N, K, 2 or more)."""
    return np.concatenate([points[..., :2].min(axis=1), points[..., :2].max(axis=1)], axis=1)


def _meet(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which boxes (N, 4) overlap which others (M, 4): (N, M)."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = ones.T[:, :, None], others.T[:, None]
    overlap: np.ndarray = (ax1 < bx2) & (bx1 < ax2) & (ay1 < by2) & (by1 < ay2)
    return overlap


def _range(planes: np.ndarray, ones: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest value (N,) of planes (N, 3) over the rectangles that two boxes (N, 4) each share."""
    low, high = np.maximum(ones[:, :2], others[:, :2]), np.minimum(ones[:, 2:], others[:, 2:])
    middle = planes[:, 2] + 0.5 * np.sum(planes[:, :2] * (low + high), axis=1)
    reach = 0.5 * np.sum(np.abs(planes[:, :2]) * (high - low), axis=1)
    return middle - reach, middle + reach


def _ranges(starts: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The numbers of several ranges one after the other, which range each belongs to, and its place in it."""
    which = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(which)) - (np.cumsum(counts) - counts)[which]
    return starts[which] + place, which, place


def _chains(outline: np.ndarray) -> list[list[np.ndarray]]:
    """The lower and upper limit of a convex outline on columns, then on rows: x and y, then x and y, x rising."""
    found = []
    for flat in (outline, outline[:, ::-1]):
        x, y = flat[np.lexsort((flat[:, 1], flat[:, 0]))].T
        line = y[0] + (x - x[0]) * ((y[-1] - y[0]) / max(x[-1] - x[0], 1e-300))
        line[-1] = y[-1]
        found.append([part for kept in (y <= line, y >= line) for part in (x[kept], y[kept])])
    return found


def _limits(chains: list[np.ndarray], lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where an outline begins and ends on scan lines; it ends before it begins where it has no point."""
    low_x, low, high_x, high = chains
    return np.interp(lines, low_x, low, np.inf, np.inf), np.interp(lines, high_x, high, -np.inf, -np.inf)


def _with_corners(facets: np.ndarray, count: int) -> np.ndarray:
    """Facets (F, K, 3) with `count` corners, the last one repeated."""
    return np.concatenate([facets, np.repeat(facets[:, -1:], count - facets.shape[1], axis=1)], axis=1)


def _nearest(piece: Piece, point: np.ndarray) -> float:
    """Inverse depth of a piece's front at a point (2,) inside its outline."""
    to_corners = piece.facets[..., :2] - point
    following = np.roll(to_corners, -1, axis=1)
    inside = np.all(to_corners[..., 0] * following[..., 1] <= to_corners[..., 1] * following[..., 0], axis=1)
    depths = piece.planes @ [*point, 1.0]
    return float(depths[inside].max() if inside.any() else depths.min())


class _Pairs:
    """Facets paired with pieces, in the pieces' own places, for columns (0) and rows (1).

    Args:
        corners: for each piece, the corners (F, K, 2) of its facets.
        turns: (P, 2, 2) each piece's turn; None: there is none.
    """

    def __init__(self, corners: list[np.ndarray], turns: np.ndarray | None) -> None:
        self.counts = np.array([len(own) for own in corners])
        self.starts = np.cumsum(self.counts) - self.counts
        self.pieces = np.repeat(np.arange(len(corners)), self.counts)
        places = np.concatenate(corners)
        if turns is not None:
            places = places @ turns[self.pieces].swapaxes(1, 2)
        self.corners = np.stack([places, places[..., ::-1]])
        self.spans = self.corners[..., 0].min(axis=2), self.corners[..., 0].max(axis=2)

    def crossed(
        self, pieces: np.ndarray, axes: np.ndarray, lines: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which facets are crossed by which of their queries' lines: numbers of facet, query and line, (R,) each."""
        rows, which, _ = _ranges(self.starts[pieces], self.counts[pieces])
        low, high = (edge[axes[which], rows, None] for edge in self.spans)
        row, line = np.nonzero((low <= lines[which]) & (lines[which] < high))
        return rows[row], which[row], line

    def limits(self, rows: np.ndarray, axes: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where facets (R,) begin and end on a line each; they end before they begin where the line passes them by."""
        corners = self.corners[axes, rows]
        across, along = corners[..., 0].T.copy(), corners[..., 1].T.copy()
        low, high = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
        before = across <= places
        for this in range(len(across)):
            step = across[this] - across[this - 1]
            share = (places - across[this]) / np.where(step == 0.0, np.inf, step)
            place = along[this] + share * (along[this] - along[this - 1])
            crossed = before[this] != before[this - 1]
            np.minimum(low, place, out=low, where=crossed)
            np.maximum(high, place, out=high, where=crossed)
        return low, high


def _turned_planes(planes: np.ndarray, pieces: np.ndarray, turns: np.ndarray | None) -> np.ndarray:
    """Planes (R, 3) in the places of their pieces (R,), for columns and for rows: (2, R, 3)."""
    if turns is not None:
        slopes = np.einsum("ri,rij->rj", planes[:, :2], np.linalg.inv(turns)[pieces])
        planes = np.column_stack([slopes, planes[:, 2]])
    return np.stack([planes, planes[:, [1, 0, 2]]])


class Sight:
    """All targets of one picture, with what may hide each of them.

    Args:
        targets: what is looked for.
        facets: (T, 3, 3) triangles of the surfaces that are no targets.
        to_picture: maps px of the undistorted view (..., 2) to px of the picture; None: they are the same.
    """

    def __init__(self, targets: Sequence[Target], facets: np.ndarray, to_picture: _Map | None = None) -> None:
        self.targets, self.to_picture = targets, to_picture
        self.pieces = [piece for target in targets for piece in target.pieces]
        counts = np.array([len(target.pieces) for target in targets])
        self.firsts = np.cumsum(counts) - counts
        self.owners = np.repeat(np.arange(len(targets)), counts)
        self.boxes = np.array([_boxes(piece.outline[None])[0] for piece in self.pieces])
        # Scan lines run along the picture's own axes at each target: local places are turns @ (u, v).
        self.turns = None if to_picture is None else self._turns(to_picture)
        self.chains = [_chains(self._turned(n, piece.outline)) for n, piece in enumerate(self.pieces)]
        # The boxes of whole targets in these places, (2, targets, 2): low and high.
        low, high = (np.array([[axis[0][end] for axis in pair] for pair in self.chains]) for end in (0, -1))
        self.spans = low, high
        self.reach = np.minimum.reduceat(low, self.firsts), np.maximum.reduceat(high, self.firsts)
        self.cracks = _CRACK * (self.reach[1] - self.reach[0])[self.owners][:, ::-1]
        self._find_facets(facets)
        self._find_pieces()

    def _turns(self, to_picture: _Map) -> np.ndarray:
        """The derivative (P, 2, 2) of the map to the picture at the middle of each piece's target."""
        low = np.minimum.reduceat(self.boxes[:, :2], self.firsts)
        high = np.maximum.reduceat(self.boxes[:, 2:], self.firsts)
        self.middles = 0.5 * (low + high)
        steps = np.array([[1.0, 0.0], [0.0, 1.0]])
        ends = [to_picture(self.middles[:, None] + sign * steps) for sign in (0.5, -0.5)]
        turns: np.ndarray = (ends[0] - ends[1]).swapaxes(1, 2)[self.owners]
        return turns

    def _turned(self, piece: int, points: np.ndarray) -> np.ndarray:
        return points if self.turns is None else points @ self.turns[piece].T

    def _find_facets(self, static: np.ndarray) -> None:
        """Pair pieces with the facets that hide some of them, and those with a piece's own facets in front of them."""
        targets = self.targets
        order = sorted((n for n, target in enumerate(targets) if target.hides), key=lambda n: targets[n].solid)
        loose = [n for n in order if not targets[n].solid]
        if any(not target.solid for target in targets):
            groups = [(n, np.concatenate([piece.facets for piece in targets[n].pieces])) for n in order]
        else:
            groups = []
        corners = max([static.shape[1], *(group.shape[1] for _, group in groups)])
        boxes = _boxes(static)
        around = np.concatenate([self.boxes[:, :2].min(axis=0), self.boxes[:, 2:].max(axis=0)])[None]
        static = static[_meet(around, boxes)[0]]
        static = static[_meet(self.boxes, _boxes(static)).any(axis=0)]
        facets = np.concatenate([_with_corners(group, corners) for group in (static, *(g for _, g in groups))])
        owner = np.repeat([-1, *(n for n, _ in groups)], [len(static), *(len(group) for _, group in groups)])
        open_to_solid = len(static) + sum(len(group) for n, group in groups if n in loose)
        boxes = _boxes(facets)
        near = _meet(self.boxes, boxes) & (owner != self.owners[:, None])
        near[[targets[n].solid for n in self.owners], open_to_solid:] = False
        planes, area = planes_of(facets)
        near &= np.abs(area) > _FLAT_PX2
        whole: list[np.ndarray] = []
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        levels = facets[..., 2].min(axis=1), facets[..., 2].max(axis=1)
        for number, piece in enumerate(self.pieces):
            chosen = np.flatnonzero(near[number])
            depth = planes[chosen, :2] @ piece.points[:, :2].T + planes[chosen, 2:]
            behind = (depth > piece.points[:, 2] * (1.0 + _SAME_DEPTH)).any(axis=1)
            before = (depth < piece.points[:, 2] * (1.0 - _SAME_DEPTH)).any(axis=1)
            cut = chosen[behind & before]
            fronts = _boxes(piece.facets)
            which, front = np.nonzero(_meet(boxes[cut], fronts))
            which = cut[which]
            least, most = _range(planes[which] - piece.planes[front], boxes[which], fronts[front])
            own = piece.facets[front, :, 2]
            hides = np.minimum(most, levels[1][which] - own.min(axis=1)) > 0.0
            shows = np.maximum(least, levels[0][which] - own.max(axis=1)) <= 0.0
            mixed = np.zeros(len(facets), bool)
            mixed[which[shows]] = True
            wholly = np.zeros(len(facets), bool)
            wholly[which] = True
            wholly &= ~mixed
            wholly[chosen[behind & ~before]] = True
            whole.append(np.flatnonzero(wholly))
            partly = hides & mixed[which]
            parts.append((which[partly], front[partly]))
        self.whole = _Pairs([facets[chosen, :, :2] for chosen in whole], self.turns)
        self.parts = _Pairs([facets[chosen, :, :2] for chosen, _ in parts], self.turns)
        fronts = [piece.facets[front, :, :2] for piece, (_, front) in zip(self.pieces, parts, strict=True)]
        self.fronts = _Pairs(fronts, self.turns)
        ahead = [planes[chosen] - piece.planes[front] for piece, (chosen, front) in zip(self.pieces, parts, strict=True)]
        self.ahead = _turned_planes(np.concatenate(ahead), self.parts.pieces, self.turns)

    def _find_pieces(self) -> None:
        """Pair each solid piece with the solid pieces of other targets in front of it."""
        self.hiding: list[list[list[list[np.ndarray]]]] = [[] for _ in self.pieces]
        solid = np.array([self.targets[n].solid for n in self.owners])
        near = _meet(self.boxes, self.boxes) & (self.owners[:, None] < self.owners) & solid[:, None] & solid
        for one, other in zip(*np.nonzero(near), strict=True):
            point = self._shared(self.pieces[one], self.pieces[other])
            if point is None:
                continue
            depths = [_nearest(self.pieces[n], point) for n in (one, other)]
            back, front = (one, other) if depths[0] < depths[1] else (other, one)
            if self.targets[self.owners[front]].hides:
                outline = self.pieces[front].outline
                same = self.turns is None
                self.hiding[back].append(self.chains[front] if same else _chains(self._turned(back, outline)))

    @staticmethod
    def _shared(one: Piece, other: Piece) -> np.ndarray | None:
        """A point (2,) px inside both outlines, None where they do not overlap."""
        chains = [_chains(one.outline), _chains(other.outline)]
        best, found = 0.0, None
        for axis in (0, 1):
            ends = [pair[axis][0][[0, -1]] for pair in chains]
            low, high = max(end[0] for end in ends), min(end[1] for end in ends)
            lines = low + (high - low) * (np.arange(LINES) + 0.5) / LINES
            limits = [_limits(pair[axis], lines) for pair in chains]
            begin = np.maximum(limits[0][0], limits[1][0])
            end = np.minimum(limits[0][1], limits[1][1])
            widest = int(np.argmax(end - begin))
            if end[widest] - begin[widest] > best:
                best = end[widest] - begin[widest]
                place = [lines[widest], 0.5 * (begin[widest] + end[widest])]
                found = np.array(place if axis == 0 else place[::-1])
        return found

    def gaps(self, pieces: np.ndarray, axes: np.ndarray, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The visible intervals of Q pieces on N scan lines each.

        Args:
            pieces: (Q,) numbers of the pieces.
            axes: (Q,) 0: the lines are columns, 1: rows.
            lines: (Q, N) their places; nan: no line.

        Returns:
            Where intervals begin and end (Q, N, S); those that end where they begin are none.
        """
        limits = [_limits(self.chains[p][axis], line) for p, axis, line in zip(pieces, axes, lines, strict=True)]
        begin, end = (np.array([pair[i] for pair in limits]) for i in (0, 1))
        empty = ~(begin < end)
        begin[empty] = end[empty] = 0.0

        query, line, low, high = self._hidden(pieces, axes, lines)
        low, high = np.maximum(low, begin[query, line]), np.minimum(high, end[query, line])
        kept = low < high
        query, line, low, high = (v[kept] for v in (query, line, low, high))
        place = query * lines.shape[1] + line
        order = np.argsort(place.astype(np.min_scalar_type(lines.size)), kind="stable")
        counts = np.bincount(place, minlength=lines.size)
        slot = np.arange(len(place)) - (np.cumsum(counts) - counts)[place[order]]
        starts = np.repeat(end.ravel()[:, None], counts.max(initial=0), axis=1)
        ends = starts.copy()
        starts[place[order], slot], ends[place[order], slot] = low[order], high[order]
        # Where k intervals have begun and k have ended lies a gap of their union.
        starts, ends = (np.sort(v, axis=1).reshape(*lines.shape, -1) for v in (starts, ends))
        starts, ends = (
            np.concatenate([begin[..., None], ends], axis=2),
            np.concatenate([starts, end[..., None]], axis=2),
        )
        narrow = ends - starts < self.cracks[pieces, axes][:, None, None]
        return starts, np.where(narrow, starts, ends)

    def _hidden(self, pieces: np.ndarray, axes: np.ndarray, lines: np.ndarray) -> list[np.ndarray]:
        """Intervals (R,) that are hidden: number of the query, number of the line, where they begin, where they end."""
        rows, which, line = self.whole.crossed(pieces, axes, lines)
        found = [(which, line, *self.whole.limits(rows, axes[which], lines[which, line]))]
        rows, which, line = self.parts.crossed(pieces, axes, lines)
        turned, places = axes[which], lines[which, line]
        low, high = self.parts.limits(rows, turned, places)
        front_low, front_high = self.fronts.limits(rows, turned, places)
        low, high = np.maximum(low, front_low), np.minimum(high, front_high)
        # The facet is in front where the difference of the two planes is positive.
        shift, lean, level = self.ahead[turned, rows].T
        level = level + shift * places
        zero = -level / np.where(lean == 0.0, np.inf, lean)
        low = np.where(lean > 0.0, np.maximum(low, zero), low)
        high = np.where(lean < 0.0, np.minimum(high, zero), high)
        high = np.where((lean == 0.0) & (level <= 0.0), -np.inf, high)
        found.append((which, line, low, high))
        for query, (piece, axis, wanted) in enumerate(zip(pieces, axes, lines, strict=True)):
            for chains in self.hiding[piece]:
                numbers = np.arange(len(wanted))
                found.append((np.full(len(wanted), query), numbers, *_limits(chains[axis], wanted)))
        return [np.concatenate(values) for values in zip(*found, strict=True)]

    def seen(self) -> list[Seen]:
        """The visible part of every target."""
        low, high = self.reach
        lines = low[..., None] + (high - low)[..., None] * _SHARES
        everything = np.arange(len(self.pieces))
        pieces, axes = np.tile(everything, 2), np.repeat([0, 1], len(everything))
        owners = self.owners[pieces]
        begin, end = self.gaps(pieces, axes, lines[owners, axes])
        limits = _Limits(self)
        limits.add(pieces, axes, lines[owners, axes], begin, end)
        areas = self._areas(*(edge[:, 1:-1].reshape(2, len(everything), LINES, -1) for edge in (begin, end)))
        for _ in range(_ROUNDS):
            pieces, axes, lines_between = limits.between()
            if len(pieces):
                limits.add(pieces, axes, lines_between, *self.gaps(pieces, axes, lines_between))
        return [Seen(box, area) for box, area in zip(limits.boxes(), areas.tolist(), strict=True)]

    def in_picture(self, pieces: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Convert the pieces' own places (N, 2) to px of the picture."""
        if self.to_picture is None or self.turns is None:
            return points
        view = np.linalg.solve(self.turns[pieces], points[..., None])[..., 0]
        return self.to_picture(view)

    def _areas(self, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Visible areas (T,), px^2: the mean of those by columns and by rows.

        Args:
            begin, end: intervals (2, P, LINES, S) that are visible of each piece. Those of one target may overlap.
        """
        areas = np.zeros((2, len(self.targets)))
        spacing = (self.reach[1] - self.reach[0]).T / LINES
        counts = np.bincount(self.owners)
        for count in np.unique(counts):
            chosen = np.flatnonzero(counts == count)
            pieces = self.firsts[chosen][:, None] + np.arange(count)
            starts, ends = (
                np.sort(np.moveaxis(edge[:, pieces], 2, 3).reshape(2, len(chosen), LINES, -1), axis=3)
                for edge in (begin, end)
            )
            holes = np.clip(starts[..., 1:] - ends[..., :-1], 0.0, None).sum(axis=3)
            areas[:, chosen] = (ends[..., -1] - starts[..., 0] - holes).sum(axis=2)
        return (areas * spacing).mean(axis=0)


class _Limits:
    """The extremes of the visible points found so far, and the scan lines on which nothing was."""

    def __init__(self, sight: Sight) -> None:
        self.sight = sight
        shape = len(sight.targets), 2
        # Along columns' x (0) and rows' y (1), in the targets' own places; then in px of the picture.
        self.low, self.high = np.full(shape, np.inf), np.full(shape, -np.inf)
        self.picture_low, self.picture_high = self.low.copy(), self.high.copy()
        self.tested: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(
        self, pieces: np.ndarray, axes: np.ndarray, lines: np.ndarray, begin: np.ndarray, end: np.ndarray
    ) -> None:
        """Add visible intervals that `Sight.gaps` found."""
        sight = self.sight
        owners = sight.owners[pieces]
        self.tested.append((owners, axes, lines))
        there = end > begin
        seen = there.any(axis=2)
        for extreme, least, values, other in (
            (self.low, np.minimum, lines, begin),
            (self.high, np.maximum, lines, end),
        ):
            none = np.inf if extreme is self.low else -np.inf
            least.at(extreme, (owners, axes), least.reduce(np.where(seen, values, none), axis=1))
            least.at(extreme, (owners, 1 - axes), least.reduce(np.where(there, other, none), axis=(1, 2)))
        for extreme, limit in ((self.low, sight.reach[0]), (self.high, sight.reach[1])):
            near = np.abs(extreme - limit) <= 1.01 * _EDGE * (sight.reach[1] - sight.reach[0])
            extreme[near] = limit[near]
        if sight.to_picture is not None and there.any():
            query, line, _ = np.nonzero(there)
            across = np.tile(lines[query, line], 2)
            along = np.concatenate([begin[there], end[there]])
            query = np.tile(query, 2)
            points = np.where(axes[query, None], np.stack([along, across], 1), np.stack([across, along], 1))
            places = sight.in_picture(pieces[query], points)
            np.minimum.at(self.picture_low, owners[query], places)
            np.maximum.at(self.picture_high, owners[query], places)

    def between(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pieces, axes and lines between the extremes and the nearest hidden lines beyond them."""
        sight = self.sight
        least, most = (edge.copy() for edge in sight.reach)
        for owners, axes, lines in self.tested:
            beyond = lines < self.low[owners, axes][:, None]
            np.maximum.at(least, (owners, axes), np.where(beyond, lines, -np.inf).max(axis=1))
            beyond = lines > self.high[owners, axes][:, None]
            np.minimum.at(most, (owners, axes), np.where(beyond, lines, np.inf).min(axis=1))
        found = []
        steps = (np.arange(_BETWEEN) + 1.0) / (_BETWEEN + 1.0)
        for outer, inner, limit in ((least, self.low, sight.reach[0]), (most, self.high, sight.reach[1])):
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
