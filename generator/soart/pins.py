"""Measure each pin of a connector by the RT method (Recognition Taguchi, T Method-3).

The signal y is the k pixels of a pin's box; the reference x is the same pixels of the unit space's mean picture:

    L = x.y, r = x.x, beta = L / r, S_T = y.y, S_beta = L^2 / r, V_e = (S_T - S_beta) / (k - 1)
    Y1 = beta, Y2 = sqrt(V_e)
    D^2 = 1/2 [V22 (Y1 - m1)^2 - 2 V12 (Y1 - m1)(Y2 - m2) + V11 (Y2 - m2)^2]

with means m and covariance V over the OK parts; at each pin, up to a quarter of the OK parts have little weight if they
lie far from the others (`generator.soart.unit_space`). V is mixed with the V that is usual for all pins, which has the
weight of PRIOR OK parts. D cannot be compared between pins. `degree` can: it is D divided by the root mean square of D
over the OK parts at this pin.

D hardly changes if a pin is missing from a box that is mostly background. Therefore the pin's contrast is measured as
well: the slope of the regression line of y on x, 1 with the pin and about 0 without it. `fading` is the lower limit of
the contrast of OK parts (`generator.verdict.tails`), at most FADED, divided by the contrast in the picture; above 1 the
pin is not visible. A pin whose limit is below LEAST_LIMIT, because its contrast varies much, is judged by D alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from generator.soart.regions import holds
from generator.soart.unit_space import weights_of
from generator.verdict.tails import upper_limit

# Standard deviations of Y1 (a ratio) and Y2 (grey 0 to 1), added in quadrature: those of the OK parts may be 0.
FLOOR = (1e-3, 5e-4)
PRIOR = 12
# Least weight of an OK part at a pin: boxes that overlap may leave out different parts, together all of them.
LEAST = 1e-3
MARGIN = 0.3
FADED, LEAST_LIMIT, MOST_FADING = 0.5, 0.1, 2.0
PRINT = "print"
# Hints search a pin within SEARCH sides of its box, of at most LARGEST px each.
SEARCH, LARGEST = 1.4, 20
# Least correlation (-1 to 1) at which a pin counts as found, and as surely found.
SEEN, SURE = 0.6, 0.72
# No pin is in the box if its brightest point exceeds the background by less than this share of the OK parts' excess.
GONE = 0.4
# A retracted pin moves towards the picture's middle by perspective: least cosine of the angle between its movement and
# that direction, and largest share of the distance to the middle.
INWARD, PERSPECTIVE = 0.8, 0.06


@dataclass(frozen=True)
class Pin:
    """A pin and its box.

    Attributes:
        address: row and position of the pin, such as r1c3; `print` for a printed marking.
        box: x1, y1, x2, y2 in px of the unit space's mean picture.
    """

    address: str
    box: tuple[float, float, float, float]


def as_box(edges: Iterable[float]) -> tuple[float, float, float, float]:
    """Return four numbers x1, y1, x2, y2 as a box, a tuple of floats."""
    x1, y1, x2, y2 = (float(edge) for edge in edges)
    return x1, y1, x2, y2


@dataclass(frozen=True)
class PinMeasure:
    """The measures of one pin in one picture.

    Attributes:
        address: the pin's address.
        y1: Y1, the factor beta with which the mean picture fits the pin's pixels best; about 1 for OK parts.
        y2: Y2, root mean square difference of the pixels from beta times the mean picture, grey values 0 to 1.
        d: D, distance of (Y1, Y2) from those of OK parts.
        degree: D divided by its root mean square over the OK parts at this pin.
        anomaly: SOARTC's largest anomaly degree in the pin's box; 0 if it is not known.
        fading: 0 to 2; above 1 the pin is not visible in its box.
        hint: how an NG pin differs, in words; empty for an OK pin.
    """

    address: str
    y1: float
    y2: float
    d: float
    degree: float
    anomaly: float = 0.0
    fading: float = 0.0
    hint: str = ""

    def score(self, limit: float) -> float:
        """Return the pin's own score, 1 at the limit: of its degree, with this `limit`, and of `fading` above 1."""
        return max(self.degree / limit, self.fading if self.fading > 1 else 0.0)

    def to_json(self) -> dict[str, Any]:
        """Return the measures as a pin's entry in the JSON document of a verdict."""
        return {
            "address": self.address,
            "Y1": self.y1,
            "Y2": self.y2,
            "D": self.d,
            "degree": self.degree,
            "anomaly": self.anomaly,
            "fading": self.fading,
            "hint": self.hint,
        }


class PinTable:
    """The pins of one connector, with the statistics of their measures over OK parts.

    Args:
        pins: address and box of each pin.
        members: (n, h, w) grey pictures of OK parts, aligned with each other, n >= 3.
        reference: (h, w) grey, the unit space's mean picture; None: the mean of `members`.

    Raises:
        ValueError: as `parts_of`.
    """

    def __init__(self, pins: Sequence[Pin], members: np.ndarray, reference: np.ndarray | None = None) -> None:
        self.pins = tuple(pins)
        self.parts = parts_of(self.pins, members.shape[1:])
        members = members.astype(np.float64)
        self.reference = members.mean(axis=0) if reference is None else reference.astype(np.float64)
        shares = self._shares(members)
        total, parts = (shares * members).sum(axis=0), shares.sum(axis=0)
        # (n, pins, 2), each member compared with the mean of the others.
        pairs = [(m, (total - share * m) / (parts - share)) for m, share in zip(members, shares, strict=True)]
        self.values = np.stack([self._values(*pair) for pair in pairs])
        contrasts = np.stack([self._contrasts(*pair) for pair in pairs], axis=1)
        self.least_contrast = np.array([min(FADED, -upper_limit(-one)) for one in contrasts])

    def measure(self, picture: np.ndarray, anomaly: np.ndarray | None = None) -> list[PinMeasure]:
        """Measure every pin of a picture; `hint` is empty in all results.

        Args:
            picture: (h, w) grey floats in [0, 1], aligned with the unit space's mean picture.
            anomaly: (h, w) floats, SOARTC's anomaly degree of each pixel; None: not known.
        """
        picture = picture.astype(np.float64)
        values = self._values(picture, self.reference)
        d, degree = _distances(values, self.values)
        fading = self._fading(picture)
        return [
            PinMeasure(
                pin.address,
                float(values[i, 0]),
                float(values[i, 1]),
                float(d[i]),
                float(degree[i]),
                0.0 if anomaly is None else float(anomaly[part].max()),
                float(fading[i]),
            )
            for i, (pin, part) in enumerate(zip(self.pins, self.parts, strict=True))
        ]

    def leave_one_out(self) -> np.ndarray:
        """Return (n,) for each OK picture the largest degree of its pins, by the statistics of the other pictures."""
        count = len(self.values)
        return np.array([_distances(self.values[i], np.delete(self.values, i, axis=0))[1].max() for i in range(count)])

    def degrees(self, pictures: np.ndarray) -> np.ndarray:
        """Return each pin's degree (distance from OK parts), (..., pins), in aligned grey pictures (..., h, w)."""
        return _distances(self._values(pictures.astype(np.float64), self.reference), self.values)[1]

    def _shares(self, members: np.ndarray) -> np.ndarray:
        """Compute the weight of each pixel of the members (n, h, w): little in the boxes of pins that are unlike."""
        weights = np.maximum(_weights(self._values(members, self.reference)), LEAST)
        shares = np.ones_like(members)
        for weight, part in zip(weights.T, self.parts, strict=True):
            box = (slice(None), *part)
            shares[box] = np.minimum(shares[box], weight[:, None, None])
        return shares

    def _values(self, pictures: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Compute Y1 and Y2 of every pin: (..., h, w) to (..., pins, 2)."""
        out = np.empty((*pictures.shape[:-2], len(self.pins), 2))
        for i, part in enumerate(self.parts):
            x = reference[part].ravel()
            y = pictures[(..., *part)].reshape(*pictures.shape[:-2], x.size)
            power, product = float(x @ x) + 1e-12, y @ x
            rest = np.maximum((y * y).sum(axis=-1) - product**2 / power, 0.0)
            out[..., i, 0], out[..., i, 1] = product / power, np.sqrt(rest / (x.size - 1))
        return out

    def _fading(self, picture: np.ndarray) -> np.ndarray:
        """Compute the fading of each pin (pins,): see the module; 0 where even OK parts have little contrast."""
        limit = self.least_contrast
        fading = limit / np.maximum(self._contrasts(picture, self.reference), np.abs(limit) / MOST_FADING + 1e-12)
        return np.where(limit >= LEAST_LIMIT, fading, 0.0)

    def _contrasts(self, picture: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Compute each pin's contrast over that in the reference: (pins,)."""
        found = []
        for part in self.parts:
            x = reference[part] - reference[part].mean()
            found.append(float((x * picture[part]).sum() / ((x * x).sum() + 1e-12)))
        return np.array(found)

    def beside(self, points: np.ndarray) -> set[int]:
        """Find the pins beside which points lie: a bent pin's tip is not in its box.

        Args:
            points: (n, 2) x and y in px of the mean picture.

        Returns:
            For each point that lies in no box the number of the nearest pin, if it is nearer than half the way from
            this pin's middle to the next pin's (of a single pin: than the diagonal of its box). Print is no pin.
        """
        numbers = [number for number, pin in enumerate(self.pins) if pin.address != PRINT]
        if not numbers:
            return set()
        boxes = np.array([self.pins[number].box for number in numbers], float)
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2.0
        apart = np.linalg.norm(middles[:, None] - middles, axis=2)
        np.fill_diagonal(apart, np.inf)
        single = np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=1)
        reach = np.where(np.isfinite(apart.min(axis=1)), apart.min(axis=1) / 2.0, single)
        found = set()
        for point in points:
            if not any(holds(part, point[None]) for part in self.parts):
                nearest = int(np.linalg.norm(middles - point, axis=1).argmin())
                if np.linalg.norm(middles[nearest] - point) < reach[nearest]:
                    found.add(numbers[nearest])
        return found

    def hint(self, picture: np.ndarray, number: int) -> str:
        """Describe in words how a pin differs, and which defects would explain it.

        The mean picture of the pin is searched around the pin's box by ZNCC (zero-mean normalised cross-correlation),
        which does not depend on brightness. Found elsewhere, the pin has moved; not found, it is missing; found in its
        box, it has changed or another object is beside it. For the address `print`, the hints are about print. Lengths
        are in px of the mean picture, to whose size a larger inspected picture was reduced.

        Args:
            picture: (h, w) grey floats in [0, 1], aligned with the unit space's mean picture.
            number: index of the pin in `pins`.
        """
        rows, columns = self.parts[number]
        x = self.reference[rows, columns]
        here = picture[rows, columns]
        ground = float(np.median(x))
        peak = (here.max() - ground) / max(x.max() - ground, 1e-6)
        light = here.mean() / max(x.mean(), 1e-6)
        dx, dy, best, in_place = self._found(picture, number)
        moved = f"moved by {dx:+d}, {dy:+d} px"
        if self.pins[number].address == PRINT:
            if best < SEEN:
                return "no print seen: missing, or another one"
            return f"{moved}: misplaced" if best - in_place > 0.05 else "another shape: wrong or damaged print"
        if best < SEEN:
            return "no pin seen: missing" if peak < GONE else "not found near its place: bent far, or covered"
        if light > 1.16 or (light > 1.04 and in_place > 0.5):
            return "more light: a foreign body"
        if best > (SURE if peak > GONE else SEEN) and best - in_place > 0.05:
            x1, y1, x2, y2 = self.pins[number].box
            middle = np.array([picture.shape[1] - x1 - x2, picture.shape[0] - y1 - y2]) / 2
            far = math.hypot(*middle)
            towards = dx * middle[0] + dy * middle[1] > INWARD * math.hypot(dx, dy) * far
            if towards and math.hypot(dx, dy) < PERSPECTIVE * far:
                return f"{moved}, towards the middle: retracted, or bent a little"
            return f"{moved}: bent"
        if light < 0.97:
            return "less light: retracted"
        return "another shape"

    def _found(self, picture: np.ndarray, number: int) -> tuple[int, int, float, float]:
        """Find the offset dx, dy (px) where the pin's mean picture fits best, the ZNCC there, and that at offset 0."""
        rows, columns = self.parts[number]
        x = self.reference[rows, columns]
        own = np.array(self.pins[number].box)
        side = max(own[2] - own[0], own[3] - own[1])
        others = np.array([pin.box for pin in self.pins if pin.address not in (PRINT, self.pins[number].address)])
        # Offsets of the other pins: a match there is that pin, not this one.
        away = (others[:, :2] + others[:, 2:] - own[:2] - own[2:]) / 2 if others.size else np.empty((0, 2))
        reach = math.ceil(SEARCH * min(side, LARGEST))
        best = (0, 0, -1.0)
        in_place = 0.0
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                top, left = rows.start + dy, columns.start + dx
                if top < 0 or left < 0 or top + x.shape[0] > picture.shape[0] or left + x.shape[1] > picture.shape[1]:
                    continue
                if (np.hypot(*(away - [dx, dy]).T) < 0.6 * side).any():
                    continue
                like = _likeness(picture[top : top + x.shape[0], left : left + x.shape[1]], x)
                if (dx, dy) == (0, 0):
                    in_place = like
                if like > best[2]:
                    best = (dx, dy, like)
        return *best, in_place


def _likeness(y: np.ndarray, x: np.ndarray) -> float:
    """Zero-mean normalised cross-correlation (ZNCC) of two arrays, -1 to 1; 0 if one of them is constant."""
    y, x = y - y.mean(), x - x.mean()
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum() + 1e-9))


def parts_of(pins: Sequence[Pin], shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """Return rows and columns, in a picture (h, w), of each pin's box widened by MARGIN of its sides on every side.

    Raises:
        ValueError: a box, widened, has fewer than 4 pixels inside the picture.
    """
    parts = [_widened(pin.box, shape) for pin in pins]
    for pin, (rows, columns) in zip(pins, parts, strict=True):
        if max(0, rows.stop - rows.start) * max(0, columns.stop - columns.start) < 4:
            raise ValueError(f"{pin.address}: expected a box with at least 4 pixels inside the picture, got {pin.box}")
    return parts


def _widened(box: tuple[float, float, float, float], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of a box widened by MARGIN, so that it still contains a pin that has moved a little."""
    x1, y1, x2, y2 = box
    mx, my = MARGIN * (x2 - x1), MARGIN * (y2 - y1)
    return (
        slice(max(0, int(np.floor(y1 - my))), max(0, min(shape[0], int(np.ceil(y2 + my))))),
        slice(max(0, int(np.floor(x1 - mx))), max(0, min(shape[1], int(np.ceil(x2 + mx))))),
    )


def _weights(values: np.ndarray) -> np.ndarray:
    """Compute the weight of each OK part at each pin, (n, pins), from its Y1 and Y2 (n, pins, 2)."""
    away = values - np.median(values, axis=0)
    spread = np.median(np.abs(away), axis=(0, 1)) + FLOOR
    return weights_of(np.sqrt(np.square(away / spread).sum(axis=2)))


def _statistics(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean m (pins, 2) and covariance V (pins, 2, 2) of each pin, V mixed with what is usual for all pins."""
    weights = _weights(values)
    total = weights.sum(axis=0)
    mean = (weights[..., None] * values).sum(axis=0) / total[:, None]
    off = values - mean
    own = np.einsum("np,npa,npb->pab", weights, off, off) / np.maximum(total - 1, 0.5)[:, None, None]
    own += np.diag(np.square(FLOOR))
    deviations = np.sqrt(np.diagonal(own, axis1=1, axis2=2))
    correlation = np.median(own[:, 0, 1] / deviations.prod(axis=1))
    usual = np.median(deviations, axis=0)
    common = np.outer(usual, usual) * np.array([[1, correlation], [correlation, 1]])
    share = PRIOR / (len(values) + PRIOR)
    return mean, (1 - share) * own + share * common


def _distances(values: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute D of each pin, and its degree: D divided by the root mean square of D over the members."""
    mean, v = _statistics(members)
    off = values - mean
    square = 0.5 * (
        v[:, 1, 1] * off[..., 0] ** 2 - 2 * v[:, 0, 1] * off[..., 0] * off[..., 1] + v[:, 0, 0] * off[..., 1] ** 2
    )
    usual = v[:, 0, 0] * v[:, 1, 1] - v[:, 0, 1] ** 2
    d = np.sqrt(np.maximum(square, 0.0))
    return d, d / np.sqrt(usual)
