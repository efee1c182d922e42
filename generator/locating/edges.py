"""Directions of the edges in a drawing and in a photograph, which are compared whatever the contrast of the edges.

At each pixel, the gradient of the grey values has an angle a. It is stored as the complex number exp(2ia). With the
doubled angle, a change from dark to bright equals one from bright to dark. Points are complex numbers x + iy in px, y
downwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.locating.cameras import StationCamera
from generator.locating.landmarks import Drawing, pitch_mm

# Gradients well below this, in grey levels per px, have no direction: noise.
_NOISE = 2.0
# Distance of the points along an edge, as a share of the pitch; points round a pin's tip.
_STEP, _ROUND = 0.2, 8
# Shares of outline, opening and pins in the score.
_SHARES = (1.0, 1.0, 0.6)
# A drawing looks alike after a turn if its points then lie within this share of the pitch from one another.
_ALIKE = 0.1
_TURNS = (2, 3, 4, 5, 6, 8)


@dataclass(frozen=True)
class Similarity:
    """A map of points in a picture by turn, scale and shift: p = x + iy (px, y down) goes to `factor` p + `shift`."""

    factor: complex
    shift: complex

    @property
    def scale(self) -> float:
        """Factor by which the map multiplies lengths."""
        return abs(self.factor)

    @property
    def turn_deg(self) -> float:
        """Angle by which the map turns, degrees, clockwise as seen in the picture; -180 to 180."""
        return float(np.degrees(np.angle(self.factor)))

    @property
    def linear(self) -> np.ndarray:
        """(2, 2) matrix of turn and scale, without the shift, which multiplies a column (x, y)."""
        return np.array([[self.factor.real, -self.factor.imag], [self.factor.imag, self.factor.real]])

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Return the places (..., 2) to which the map moves points (..., 2); both are x and y in px."""
        moved: np.ndarray = points @ self.linear.T + (self.shift.real, self.shift.imag)
        return moved

    def after(self, first: Similarity) -> Similarity:
        """Return the map that applies `first`, and then this map."""
        return Similarity(self.factor * first.factor, self.factor * first.shift + self.shift)

    def inverse(self) -> Similarity:
        """Return the map that undoes this map."""
        return Similarity(1.0 / self.factor, -self.shift / self.factor)

    @classmethod
    def between(cls, points: np.ndarray, images: np.ndarray) -> Similarity:
        """Return the map that takes points (n, 2), x and y in px, nearest to `images` (n, 2), by least squares."""
        source, target = points @ (1.0, 1.0j), images @ (1.0, 1.0j)
        centred = source - source.mean()
        factor = complex(np.vdot(centred, target - target.mean()) / np.vdot(centred, centred))
        return cls(factor, complex(target.mean() - factor * source.mean()))


@dataclass(frozen=True)
class Template:
    """The edges of a part, computed from its drawing, as one camera shows them; a photograph is searched for them.

    Attributes:
        middle: centre of the points' bounding box, x + iy in px of the camera's picture of a part at its nominal place.
        points: (n,) complex, points on the edges: x + iy in px from `middle`.
        directions: (n,) complex numbers exp(2ia), with a the angle of the normal to the edge at each point.
        weights: (n,) weights of the points in `score`; their sum is 1.
        turns: the drawing looks alike after each turn by 360 / `turns` degrees; 1: only after a full turn.
    """

    middle: complex
    points: np.ndarray
    directions: np.ndarray
    weights: np.ndarray
    turns: int

    @property
    def radius(self) -> float:
        """Largest distance of an edge point from `middle`, px."""
        return float(np.abs(self.points).max())

    @property
    def size(self) -> float:
        """Square root of the area of the edge points' bounding box, px."""
        return float(np.sqrt(np.ptp(self.points.real) * np.ptp(self.points.imag)))

    def score(self, field: np.ndarray, factors: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Return how well a picture's edge directions agree with the template's at k supposed places: (k,), -1 to 1.

        A point of the template that lies outside the picture counts as an agreement of -0.5.

        Args:
            field: (H, W) complex, from `directions_of`; the pixel in column c extends from x = c to c + 1.
            factors: (k,) complex, `Similarity.factor` of each supposed place.
            places: (k,) complex, where the template's `middle` lies at each supposed place: x + iy in px of `field`.
        """
        at = places[:, None] + factors[:, None] * self.points
        columns, rows = np.floor(at.real).astype(np.int64), np.floor(at.imag).astype(np.int64)
        height, width = field.shape
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        found = field[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
        turned = self.directions * (factors / np.abs(factors))[:, None] ** 2
        agreement = np.where(inside, (np.conj(turned) * found).real, -0.5)
        scores: np.ndarray = agreement @ self.weights
        return scores


def template_of(drawing: Drawing, camera: StationCamera) -> Template:
    """Return the template of a part: the edges that a camera shows of it at its nominal place.

    Args:
        drawing: drawing of the part's connector.
        camera: the nominal camera; its px are those of the template.
    """
    step = _STEP * pitch_mm(drawing)
    groups = [
        _dense(np.array(edge, float), step) for edge in (drawing.outline_mm, drawing.opening_mm) if edge is not None
    ]
    shares = [share for edge, share in zip((drawing.outline_mm, drawing.opening_mm), _SHARES, strict=False) if edge]
    groups.append(
        np.concatenate(
            [_tip(each.x_mm, each.y_mm, each.z_mm or 0.0, each.width_mm or step) for each in drawing.positions]
        )
    )
    shares.append(_SHARES[2])
    places, along = np.concatenate(groups).transpose(1, 0, 2)
    points = camera.project(places) @ (1.0, 1.0j)
    ahead = camera.project(places + 1e-3 * along) @ (1.0, 1.0j) - points
    weights = np.concatenate(
        [np.full(len(each), share / len(each)) for each, share in zip(groups, shares, strict=True)]
    )
    middle = complex(0.5 * (points.real.min() + points.real.max()), 0.5 * (points.imag.min() + points.imag.max()))
    points = points - middle
    return Template(
        middle,
        points,
        (1j * ahead / np.abs(ahead)) ** 2,
        weights / weights.sum(),
        _equal_turns(points, _ALIKE * _pitch_px(drawing, camera)),
    )


def _dense(edge: np.ndarray, step: float) -> np.ndarray:
    """Points about `step` apart along a closed edge at z = 0, and unit vectors along it: (n, 2, 3) mm."""
    found = []
    for start, end in zip(edge, np.roll(edge, -1, axis=0), strict=True):
        length = float(np.linalg.norm(end - start))
        count = max(1, round(length / step))
        shares = (np.arange(count) + 0.5) / count
        along = np.broadcast_to((end - start) / max(length, 1e-9), (count, 2))
        found.append(np.stack([start + shares[:, None] * (end - start), along], axis=1))
    return np.pad(np.concatenate(found), ((0, 0), (0, 0), (0, 1)))


def _tip(x: float, y: float, z: float, width: float) -> np.ndarray:
    """Points round the tip of a pin, and unit vectors along the round: (n, 2, 3) mm."""
    angles = 2.0 * np.pi * np.arange(_ROUND) / _ROUND
    sine, cosine, zero = np.sin(angles), np.cos(angles), np.zeros(_ROUND)
    places = np.stack([x + 0.5 * width * cosine, y + 0.5 * width * sine, zero + z], axis=1)
    return np.stack([places, np.stack([-sine, cosine, zero], axis=1)], axis=1)


def _pitch_px(drawing: Drawing, camera: StationCamera) -> float:
    return pitch_mm(drawing) * float(camera.px_per_mm(np.zeros((1, 3)))[0])


def _equal_turns(points: np.ndarray, within: float) -> int:
    """The largest number of equal turns about the middle that map points (n,) onto each other within a distance."""
    alike = 1
    for count in _TURNS:
        turned = points * np.exp(2j * np.pi / count)
        if np.abs(turned[:, None] - points).min(axis=1).max() <= within:
            alike = count
    return alike


def directions_of(grey: np.ndarray) -> np.ndarray:
    """Return a picture's edge directions, (H, W) complex64, with a size near 1 at edges and near 0 elsewhere.

    The number at a pixel is exp(2ia), with a the angle of the gradient, times a size. The size compares the gradient
    with noise and with the mean gradient around the pixel. Thus a weak edge between plain areas counts as much as a
    strong edge, and texture counts little.

    Args:
        grey: (H, W) float32 grey values, 0 to 255.
    """
    padded = np.pad(grey, 1, mode="edge")
    gradient = 0.5 * (padded[1:-1, 2:] - padded[1:-1, :-2]) + 0.5j * (padded[2:, 1:-1] - padded[:-2, 1:-1])
    size = np.abs(gradient)
    unit = gradient / np.maximum(size, 1e-6)
    found: np.ndarray = _smooth(unit * unit * (size / (size + _NOISE + _mean(size)))).astype(np.complex64)
    return found


def _smooth(field: np.ndarray) -> np.ndarray:
    """Mean with the weights 1, 2, 1 along both axes."""
    for axis in (0, 1):
        padded = np.pad(field, [(1, 1) if each == axis else (0, 0) for each in (0, 1)], mode="edge")
        first, middle, last = (np.take(padded, range(start, start + field.shape[axis]), axis) for start in (0, 1, 2))
        field = 0.25 * first + 0.5 * middle + 0.25 * last
    return field


def _mean(size: np.ndarray, reach: int = 4) -> np.ndarray:
    """Mean over the square of `reach` px to each side."""
    width = 2 * reach + 1
    padded = np.pad(size, reach, mode="edge")
    sums = np.pad(padded, ((1, 0), (1, 0))).cumsum(0, dtype=float).cumsum(1)
    total = sums[width:, width:] - sums[:-width, width:] - sums[width:, :-width] + sums[:-width, :-width]
    mean: np.ndarray = (total / width**2).astype(np.float32)
    return mean
