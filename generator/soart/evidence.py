"""Check whether a picture shows the part that the OK pictures of a unit space show, and all of it; else do not judge.

A picture is aligned with the mean of the OK pictures. Then three measures of it are computed:

- residual: 1 - r, with r the picture's correlation with the mean picture in a block of 8 x 8 px, as the median over the
  blocks, weighted by their contrast. It is 0 for equal pictures, and near 1 for another part, a turned one, or no part.
  A defect hardly changes the median, as it changes few blocks.
- seen: share of the core that lies in the picture. The core is the pixels of the mean picture that every OK picture
  shows. Pixels are weighted mainly by contrast, so that a pin outside the picture counts far more than background.
- upright: the picture's squared difference from the turned mean picture, divided by that from the mean picture itself.
  It is below 1 if the part is turned, and about 1 for a part that looks the same when turned.

The limits are the largest residual, the smallest share and the smallest ratio of the OK pictures, with a margin. Each
OK picture is compared only with the others (leave-one-out). A ratio of 1 / UPRIGHT_MARGIN or more is always accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from generator.soart.registration import inside, register, warp

RESIDUAL_MARGIN, SEEN_MARGIN, UPRIGHT_MARGIN = 0.10, 0.03, 1.1
BLOCK = 8
# Weight of area in the share that is seen; the rest is contrast.
AREA = 0.2
# Squared differences count up to this, so that a single defect does not decide.
LARGEST_SQUARE = 0.05
# A picture whose sides differ by more than this share cannot be turned by 90 degrees.
SQUARE_WITHIN = 0.1


@dataclass(frozen=True)
class Evidence:
    """How well a picture shows the part, by the measures of this module; or the limits of these measures.

    Attributes:
        residual: 0 (the picture shows the part) to 2; as a limit, the largest that is allowed.
        seen: share of the part that lies in the picture, 0 to 1; as a limit, the smallest that is allowed.
        upright: squared difference from the turned mean picture, divided by that from the mean picture; below 1 for a
            turned part. As a limit, the smallest that is allowed.
        turn_deg: degrees clockwise by which the mean picture was turned for `upright`: the turn for which `upright` is
            smallest. Not used as a limit.
    """

    residual: float
    seen: float
    upright: float
    turn_deg: int = 180

    def to_json(self) -> dict[str, float]:
        """Return the four attributes by name, rounded to 4 decimals."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


class Turned(NamedTuple):
    """A turned copy of the mean picture, aligned with the mean picture.

    Attributes:
        turn_deg: 90, 180 or 270, the turn in degrees clockwise.
        picture: (h, w) grey.
        within: (h, w) bool, the pixels that the turned copy covers.
    """

    turn_deg: int
    picture: np.ndarray
    within: np.ndarray


def turned_copies(reference: np.ndarray, rotation_deg: float, scaling: float) -> tuple[Turned, ...]:
    """Return copies of a mean picture, turned by 180 degrees (a nearly square one also by 90 and 270), aligned to it.

    Args:
        reference: (h, w) grey, the mean picture.
        rotation_deg, scaling: largest rotation, degrees, and largest deviation of the scale from 1 that the alignment
            searches, to either side.
    """
    height, width = reference.shape
    is_square = abs(height - width) <= SQUARE_WITHIN * max(height, width)
    copies = []
    for quarters in (1, 2, 3) if is_square else (2,):
        turned = np.ascontiguousarray(np.rot90(reference, -quarters))
        pose = register(turned, reference, max(rotation_deg, 0.0), scaling)
        within = inside(pose, (height, width), (turned.shape[0], turned.shape[1]))
        copies.append(Turned(90 * quarters, warp(turned, pose, (height, width)), within))
    return tuple(copies)


def evidence(
    aligned: Sequence[np.ndarray], seen: np.ndarray, reference: np.ndarray, core: np.ndarray, turned: Sequence[Turned]
) -> Evidence:
    """Measure how well a picture shows the part that the OK pictures of a unit space show.

    Args:
        aligned: (h, w) grey each, the picture as one or several alignments place it on the mean picture. Each measure
            is that of the alignment that shows the part better, as another may have been led astray.
        seen: (h, w) bool, pixels of the mean picture that lie in the picture.
        reference: (h, w) grey, the mean picture.
        core: (h, w) bool, pixels of the mean picture that every OK picture shows.
        turned: turned copies of the mean picture.
    """
    turns = [min((_upright(picture, seen, reference, one), one.turn_deg) for one in turned) for picture in aligned]
    upright, turn_deg = max(turns, key=lambda turn: turn[0])
    misfit = min(residual(picture, seen, reference) for picture in aligned)
    return Evidence(misfit, seen_share(seen, reference, core), upright, turn_deg)


def limits_of(members: np.ndarray, seen: np.ndarray, turned: Sequence[Turned]) -> Evidence:
    """Compute from OK pictures the limits of the measures `residual`, `seen` and `upright` (see `Evidence`).

    Args:
        members: (n, h, w) grey, the OK pictures aligned with each other.
        seen: (n, h, w) bool, the pixels of the mean picture that lie in each OK picture.
        turned: turned copies of the mean picture.
    """
    count = len(members)
    total, shown = members.sum(axis=0, dtype=np.float64), seen.sum(axis=0)
    found = [
        evidence([one], own, ((total - one) / (count - 1)).astype(np.float32), shown - own == count - 1, turned)
        for one, own in zip(members, seen, strict=True)
    ]
    return Evidence(
        max(one.residual for one in found) + RESIDUAL_MARGIN,
        min(one.seen for one in found) - SEEN_MARGIN,
        min(1.0, *(one.upright for one in found)) / UPRIGHT_MARGIN,
    )


def residual(picture: np.ndarray, seen: np.ndarray, reference: np.ndarray) -> float:
    """Compute how much a picture differs from the mean picture: 0 if they are the same, near 1 for another part.

    `picture` and `reference` are (h, w) grey, aligned with each other; `seen`, (h, w) bool, are pixels that lie in the
    picture. Only blocks of such pixels count; without any the result is 1.
    """
    own, expected = _blocks(picture), _blocks(reference)
    whole = _blocks(seen.astype(np.float32)).min(axis=1) > 0
    own, expected = (part - part.mean(axis=1, keepdims=True) for part in (own[whole], expected[whole]))
    power, own_power = (expected**2).sum(axis=1), (own**2).sum(axis=1)
    if power.sum() == 0.0:
        return 1.0
    likeness = (own * expected).sum(axis=1) / np.sqrt(power * own_power + 1e-9)
    order = np.argsort(likeness)
    weight = np.cumsum(np.sqrt(power)[order])
    return 1.0 - float(likeness[order][np.searchsorted(weight, weight[-1] / 2)])


def _upright(picture: np.ndarray, seen: np.ndarray, reference: np.ndarray, turned: Turned) -> float:
    """Compute the squared difference from a turned mean picture over that from the mean picture."""
    common = seen & turned.within
    as_turned, as_given = (
        float(np.minimum(np.square(picture - other), LARGEST_SQUARE)[common].sum()) + 1e-9
        for other in (turned.picture, reference)
    )
    return as_turned / as_given


def seen_share(seen: np.ndarray, reference: np.ndarray, core: np.ndarray) -> float:
    """Compute the share of the core that lies in a picture, 0 to 1, with pixels weighted mainly by contrast.

    `seen`, `reference` (mean picture) and `core` have the shape (h, w), and are as for `evidence`.
    """
    down, right = np.gradient(reference)
    contrast = np.hypot(down, right)
    contrast = np.maximum(contrast - np.median(contrast), 0.0)  # without the noise of even areas
    area, lines = float(core.sum()), float(contrast[core].sum())
    if area == 0.0:
        return 1.0
    kept = core & seen
    share_of_lines = float(contrast[kept].sum()) / lines if lines else float(kept.sum()) / area
    return AREA * float(kept.sum()) / area + (1 - AREA) * share_of_lines


def _blocks(values: np.ndarray) -> np.ndarray:
    """Cut (h, w) into blocks of BLOCK x BLOCK px, or smaller if it is smaller itself: (blocks, px)."""
    height, width = values.shape
    side = min(BLOCK, height, width)
    rows, columns = height // side, width // side
    cut = values[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cut.swapaxes(1, 2).reshape(rows * columns, side * side).astype(np.float64)
