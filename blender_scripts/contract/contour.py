"""Convex contours with round corners: openings of shells, outlines of blocks.

A contour is the edge of the set of all points within a radius of a convex polygon. So one formula gives rounded
rectangles, the D of a D-sub and circles, and moving a contour outwards only changes the radius.

Lengths along a contour (`along_mm`) run counter-clockwise from its start: the beginning of the straight edge along
the polygon's side from its first to its second corner; for a circle, its point in the direction +X.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

Point = tuple[float, float]
_ARC_STEP_RAD = math.radians(11.25)
_SAGITTA_MM = 0.012
_WALL_MM = 1.5


@dataclass(frozen=True)
class ContourPoint:
    """A point of a contour, which lies at a constant distance outside a polygon (see `Contour`).

    Attributes:
        along_mm: length along the contour, counter-clockwise from its start.
        base: the nearest point (x, y) of the polygon, mm.
        outward: unit vector from `base` towards the contour.
    """

    along_mm: float
    base: Point
    outward: Point

    def at(self, distance_mm: float) -> Point:
        """Return the point (x, y), mm, that lies `distance_mm` from `base` in the direction `outward`."""
        return self.base[0] + distance_mm * self.outward[0], self.base[1] + distance_mm * self.outward[1]


@dataclass(frozen=True)
class Contour:
    """The edge of all points within `radius_mm` of a convex polygon.

    Attributes:
        corners: corners (x, y) of the polygon, mm, counter-clockwise; a single corner gives a circle.
    """

    corners: tuple[Point, ...]
    radius_mm: float

    @staticmethod
    def rectangle(size: Point, radius_mm: float, center: Point = (0.0, 0.0), turn_deg: float = 0.0) -> Contour:
        """Make a rectangle of size (width, height), mm, with round corners, turned counter-clockwise about `center`."""
        half_x, half_y = (max(0.5 * extent - radius_mm, 0.0) for extent in size)
        cosine, sine = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
        corners = ((half_x, half_y), (-half_x, half_y), (-half_x, -half_y), (half_x, -half_y))
        return Contour(
            tuple((center[0] + cosine * x - sine * y, center[1] + sine * x + cosine * y) for x, y in corners), radius_mm
        )

    @staticmethod
    def d_shape(size: Point, radius_mm: float, slant_deg: float) -> Contour:
        """Make the D of a D-sub, centred on the origin.

        Args:
            size: (width at the top, height), mm.
            radius_mm: radius of the corners.
            slant_deg: angle to the vertical by which each side leans inwards from top to bottom.
        """
        half_x, half_y = 0.5 * size[0], 0.5 * size[1]
        slope = math.tan(math.radians(slant_deg))
        inset = radius_mm / math.cos(math.radians(slant_deg))
        top = half_x - radius_mm * slope - inset
        bottom = half_x - (size[1] - radius_mm) * slope - inset
        y = half_y - radius_mm
        return Contour(((top, y), (-top, y), (-bottom, -y), (bottom, -y)), radius_mm)

    @staticmethod
    def circle(diameter_mm: float, center: Point = (0.0, 0.0)) -> Contour:
        """Make a circle around `center` (x, y), mm."""
        return Contour((center,), 0.5 * diameter_mm)

    @cached_property
    def edges(self) -> list[tuple[Point, Point, Point, float]]:
        """For each edge of the polygon: start (x, y), end (x, y), outward unit normal, and length, mm."""
        edges = []
        for a, b in pairwise((*self.corners, self.corners[0])):
            length = math.dist(a, b)
            edges.append((a, b, ((b[1] - a[1]) / length, (a[0] - b[0]) / length), length))
        return edges

    @cached_property
    def points(self) -> tuple[ContourPoint, ...]:
        """Points round the contour, counter-clockwise: the ends of each straight edge, and points round the corners."""
        if len(self.corners) == 1:
            steps = math.ceil(2.0 * math.pi / self._step_rad)
            turns = (2.0 * math.pi * i / steps for i in range(steps))
            return tuple(
                ContourPoint(turn * self.radius_mm, self.corners[0], (math.cos(turn), math.sin(turn))) for turn in turns
            )
        found, along = [], 0.0
        for number, (a, b, normal, length) in enumerate(self.edges):
            found.append(ContourPoint(along, a, normal))
            along += length
            following = self.edges[(number + 1) % len(self.edges)][2]
            first = math.atan2(normal[1], normal[0])
            sweep = (math.atan2(following[1], following[0]) - first) % (2.0 * math.pi)
            steps = max(1, math.ceil(sweep / self._step_rad))
            for i in range(steps):
                turn = first + sweep * i / steps
                arc = along + self.radius_mm * sweep * i / steps
                # Both ends of a straight piece get exactly its normal: `point_at` recognises it by that.
                found.append(ContourPoint(arc, b, (math.cos(turn), math.sin(turn)) if i else normal))
            along += self.radius_mm * sweep
        return tuple(found)

    @property
    def _step_rad(self) -> float:
        """Angle between an arc's points that keeps chords within _SAGITTA_MM of it, on a wall's outside too."""
        farthest = self.radius_mm + _WALL_MM
        return min(_ARC_STEP_RAD, 2.0 * math.acos(max(0.0, 1.0 - _SAGITTA_MM / farthest)))

    @cached_property
    def length_mm(self) -> float:
        """Length of the contour, mm, once round."""
        straight = 0.0 if len(self.corners) == 1 else sum(edge[3] for edge in self.edges)
        return straight + 2.0 * math.pi * self.radius_mm

    def point_at(self, along_mm: float) -> ContourPoint:
        """Return the point `along_mm` along the contour from its start; lengths beyond its end go round once more."""
        along = along_mm % self.length_mm
        ring = (*self.points, self.points[0])
        for i, (a, b) in enumerate(pairwise(ring)):
            end = b.along_mm if i + 1 < len(self.points) else self.length_mm
            if a.along_mm <= along <= end:
                share = (along - a.along_mm) / (end - a.along_mm) if end > a.along_mm else 0.0
                if a.outward == b.outward:
                    base = (a.base[0] + share * (b.base[0] - a.base[0]), a.base[1] + share * (b.base[1] - a.base[1]))
                    return ContourPoint(along, base, a.outward)
                first = math.atan2(a.outward[1], a.outward[0])
                sweep = (math.atan2(b.outward[1], b.outward[0]) - first) % (2.0 * math.pi)
                turn = first + share * sweep
                # Round a corner every point has that corner for its base.
                return ContourPoint(along, a.base, (math.cos(turn), math.sin(turn)))
        raise AssertionError(f"{along} of {self.length_mm}")

    def towards(self, azimuth_deg: float) -> float:
        """Length along the contour, mm, from its start to its point in a direction (0 = +X, 90 = +Y) from `middle`."""
        middle = self.middle
        direction = math.cos(math.radians(azimuth_deg)), math.sin(math.radians(azimuth_deg))

        def off(along: float) -> float:
            x, y = self.point_at(along).at(self.radius_mm)
            x, y = x - middle[0], y - middle[1]
            length = math.hypot(x, y)
            return math.acos(max(-1.0, min(1.0, (x * direction[0] + y * direction[1]) / length)))

        steps = 256
        best = min((self.length_mm * i / steps for i in range(steps)), key=off)
        width = self.length_mm / steps
        for _ in range(40):
            width *= 0.6
            best = min((best - width, best, best + width), key=off)
        return best % self.length_mm

    @property
    def middle(self) -> Point:
        """The middle (x, y) of the contour's bounding box, mm."""
        (x1, y1), (x2, y2) = self.bounds
        return 0.5 * (x1 + x2), 0.5 * (y1 + y2)

    @cached_property
    def bounds(self) -> tuple[Point, Point]:
        """The lower left and the upper right corner of the contour's bounding box, mm."""
        xs, ys = zip(*self.corners, strict=True)
        r = self.radius_mm
        return (min(xs) - r, min(ys) - r), (max(xs) + r, max(ys) + r)

    def wider(self, offset_mm: float) -> Contour:
        """The contour moved outwards by a distance in mm; negative: inwards."""
        return Contour(self.corners, self.radius_mm + offset_mm)

    def distance(self, x: float, y: float) -> float:
        """Signed distance of a point from the contour, mm: negative inside."""
        if len(self.corners) == 1:
            return math.hypot(x - self.corners[0][0], y - self.corners[0][1]) - self.radius_mm
        inside, nearest = -math.inf, math.inf
        for a, b, normal, length in self.edges:
            inside = max(inside, (x - a[0]) * normal[0] + (y - a[1]) * normal[1])
            share = ((x - a[0]) * (b[0] - a[0]) + (y - a[1]) * (b[1] - a[1])) / length**2
            share = max(0.0, min(1.0, share))
            nearest = min(nearest, math.hypot(x - a[0] - share * (b[0] - a[0]), y - a[1] - share * (b[1] - a[1])))
        return (inside if inside <= 0.0 else nearest) - self.radius_mm
