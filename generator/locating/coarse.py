"""Find places in a photograph where the part of a drawing may lie, turned in the picture's plane and scaled.

No network is used. In a reduced photograph, the directions of the edges are correlated with those of the drawing's
edges at several scales and at every turn, by FFT. The best places are then improved at a finer resolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from generator.locating.edges import Similarity, Template, directions_of

# Scales that are searched, and the factor between two; the turn between two.
SCALES = (0.5, 2.0)
_STEP, _TURN_DEG = 1.12, 6.0
# Size of the template in the correlation, px, and in the improvement of what it finds.
_COARSE_PX, _FINE_PX = 48.0, 90.0
# Places of the correlation that are improved, and their least distance as a share of the template's size.
_IMPROVED, _APART = 32, 0.25
# Rounds of the improvement, moves in each, and its steps, halved each round: share of the template's size, degrees,
# logarithm of the scale.
_ROUNDS, _MOVES, _SHIFT, _ANGLE_DEG, _GROWTH = 6, 2, 0.03, 3.0, 0.06


@dataclass(frozen=True)
class Candidate:
    """A place in a photograph where the part may lie.

    Attributes:
        similarity: map from px of the template's picture to px of the photograph.
        score: how well the edges agree there with the template, -1 to 1.
    """

    similarity: Similarity
    score: float


class Pyramid:
    """The edge directions of a photograph reduced to several sizes; those of each size are computed only once.

    Args:
        photograph: RGB or grey picture.
    """

    def __init__(self, photograph: Image.Image) -> None:
        self._grey = photograph.convert("L")
        self._fields: dict[tuple[int, int], np.ndarray] = {}

    def field(self, ratio: float) -> tuple[np.ndarray, float]:
        """Return edge directions (H, W) of the photograph scaled by about `ratio` (0 to 1), and the exact ratio."""
        ratio = min(ratio, 1.0)
        width, height = self._grey.size
        size = max(8, round(width * ratio)), max(8, round(height * ratio))
        if size not in self._fields:
            reduced = self._grey if size == self._grey.size else self._grey.resize(size, Image.Resampling.BOX)
            self._fields[size] = directions_of(np.asarray(reduced, np.float32))
        return self._fields[size], size[0] / width


def candidates(photograph: Image.Image, template: Template, most: int) -> list[Candidate]:
    """Find the places in a photograph that look most like the template; returns them best first.

    Args:
        photograph: a picture of any size, in which the part is 0.5 to 2 times as large as in the template.
        template: the edges of the drawing.
        most: largest number of places to return.
    """
    pyramid = Pyramid(photograph)
    rough = [each for scale in _scales() for each in _at_scale(pyramid, template, scale)]
    rough = _distinct(_best_first(rough), template, _IMPROVED)
    found = _distinct(_best_first(_improved(pyramid, template, each) for each in rough), template, most)
    if template.turns % 2:
        # Walls often look alike after a half turn where the pins do not: both are given.
        turned = [_improved(pyramid, template, _half_turned(each, template)) for each in found]
        found = _distinct(_best_first([*found, *turned]), template, most)
    return found


def _best_first(some: Iterable[Candidate]) -> list[Candidate]:
    return sorted(some, key=lambda each: -each.score)


def _half_turned(each: Candidate, template: Template) -> Candidate:
    """The same place, turned by 180° about the template's middle."""
    factor, shift = each.similarity.factor, each.similarity.shift
    return Candidate(Similarity(-factor, shift + 2.0 * factor * template.middle), 0.0)


def _scales() -> Iterator[float]:
    count = int(np.ceil(np.log(SCALES[1] / SCALES[0]) / np.log(_STEP)))
    yield from np.geomspace(*SCALES, count + 1).tolist()


def _at_scale(pyramid: Pyramid, template: Template, scale: float) -> list[Candidate]:
    """The best places at one scale, over all turns."""
    field, ratio = pyramid.field(_COARSE_PX / (template.size * scale))
    factor = ratio * scale
    height, width = field.shape
    shape = _fast(height), _fast(width)
    across, down = np.fft.rfft2(field.real, shape), np.fft.rfft2(field.imag, shape)
    count = round(360.0 / template.turns / _TURN_DEG)
    best, turn = np.full(field.shape, -1.0, np.float32), np.zeros(field.shape, np.int16)
    turns = np.exp(2j * np.pi * np.arange(count) / (count * template.turns))
    for number, unit in enumerate(turns):
        drawn, inside = _drawn(template, factor * unit, shape, field.shape)
        product = across * np.conj(np.fft.rfft2(drawn.real)) + down * np.conj(np.fft.rfft2(drawn.imag))
        score = np.fft.irfft2(product, shape)[:height, :width]
        better = np.zeros(field.shape, bool)
        better[inside] = score[inside] > best[inside]
        best[better], turn[better] = score[better], number
    found = []
    for row, column in _peaks(best, max(1, round(_APART * factor * template.size))):
        middle = complex(column + 0.5, row + 0.5) / ratio
        whole = scale * turns[turn[row, column]]
        found.append(Candidate(Similarity(whole, middle - whole * template.middle), float(best[row, column])))
    return found


def _drawn(
    template: Template, factor: complex, shape: tuple[int, int], within: tuple[int, int]
) -> tuple[np.ndarray, tuple[slice, slice]]:
    """The turned template as a picture (of `shape`) round its upper left pixel, and where its middle may lie."""
    points = factor * template.points
    columns, rows = np.round(points.real).astype(np.int64), np.round(points.imag).astype(np.int64)
    drawn = np.zeros(shape, np.complex64)
    np.add.at(
        drawn,
        (rows % shape[0], columns % shape[1]),
        template.weights * template.directions * (factor / abs(factor)) ** 2,
    )
    down, across = (
        slice(max(0, -int(at.min())), max(0, size - int(at.max())))
        for at, size in zip((rows, columns), within, strict=True)
    )
    return drawn, (down, across)


def _fast(length: int) -> int:
    """The next length that has only small prime factors."""
    while True:
        left = length
        for prime in (2, 3, 5):
            while left % prime == 0:
                left //= prime
        if left == 1:
            return length
        length += 1


def _peaks(score: np.ndarray, reach: int) -> list[tuple[int, int]]:
    """Rows and columns of the best `_IMPROVED` places that lie more than `reach` apart, best first."""
    left, found = score.copy(), list[tuple[int, int]]()
    while len(found) < _IMPROVED:
        row, column = (int(each) for each in np.unravel_index(int(left.argmax()), left.shape))
        if left[row, column] <= 0.0:
            break
        found.append((row, column))
        left[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = -1.0
    return found


def _improved(pyramid: Pyramid, template: Template, rough: Candidate) -> Candidate:
    """The best similarity near a candidate's, at a finer resolution."""
    field, ratio = pyramid.field(_FINE_PX / (template.size * rough.similarity.scale))
    factor = rough.similarity.factor * ratio
    place = (rough.similarity.factor * template.middle + rough.similarity.shift) * ratio
    steps = np.array([complex(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)])
    score = 0.0
    for number in range(_ROUNDS):
        half = 0.5**number
        changes = np.exp(half * (_GROWTH * steps.real + 1j * np.radians(_ANGLE_DEG) * steps.imag))
        for _ in range(_MOVES):
            factors = np.repeat(factor * changes, len(steps))
            places = np.tile(place + half * _SHIFT * template.size * abs(factor) * steps, len(changes))
            scores = template.score(field, factors, places)
            best = int(scores.argmax())
            if scores[best] <= score:
                break
            place, factor, score = complex(places[best]), complex(factors[best]), float(scores[best])
    # Of the turns after which the drawing looks alike, the one nearest to upright.
    equal = 2.0 * np.pi / template.turns
    whole = complex(factor / ratio * np.exp(-1j * equal * np.round(np.angle(factor) / equal)))
    return Candidate(Similarity(whole, place / ratio - whole * template.middle), score)


def _distinct(found: Sequence[Candidate], template: Template, most: int) -> list[Candidate]:
    """The first `most` of candidates that differ in place, turn or scale from those before them."""
    kept: list[Candidate] = []
    for each in found:
        if len(kept) == most:
            break
        if not any(are_alike(each.similarity, other.similarity, template) for other in kept):
            kept.append(each)
    return kept


def are_alike(first: Similarity, second: Similarity, template: Template) -> bool:
    """Return whether two similarities put the template at nearly the same place, with nearly the same turn and scale.

    Turns that differ by a multiple of 360 / `template.turns` degrees, after which the drawing looks alike, count as
    equal.
    """
    size = _APART * template.size * min(first.scale, second.scale)
    if abs((first.factor - second.factor) * template.middle + first.shift - second.shift) > size:
        return False
    turn = np.angle((first.factor / second.factor) ** template.turns) / template.turns
    growth = np.log(first.scale / second.scale)
    return bool(np.hypot(turn, growth) * template.radius < size / min(first.scale, second.scale))
