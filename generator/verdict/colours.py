"""The colours of a picture in coarse cells, and their distance from those of training pictures.

Histograms of gradients (`generator.verdict.appearance`) do not show colours: a red housing in place of a black one has
the same edges. So a picture is also reduced to cells of about 16 px, as there, and each cell has two numbers, its
*tone*: red - green and green - blue, each divided by red + green + blue. The median over the cells is subtracted, so
that another white balance changes little. The distance of a picture is the root mean square of the differences from the
tones of the most similar training picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from generator.verdict.tails import upper_limit

# Added to the sum of red, green and blue, 0 to 3: dark cells of a grey housing have no colour.
DARK = 0.15
SHORTER_PX = 64
# Smallest limit of a distance: lots of one resin or plating differ by as much.
LEAST = 0.01


def reduced(picture: Image.Image) -> Image.Image:
    """Return a picture as RGB, its shorter side reduced to at most SHORTER_PX."""
    factor = min(1.0, SHORTER_PX / min(picture.size))
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.convert("RGB").resize(size, Image.Resampling.BOX)


def tones(picture: Image.Image, cells: tuple[int, int]) -> np.ndarray:
    """Compute the tones of a picture from `reduced`: float32 (2, rows, columns); `cells`: number of (columns, rows)."""
    means = np.asarray(picture.resize(cells, Image.Resampling.BOX), dtype=np.float32) / np.float32(255)
    red, green, blue = means.transpose(2, 0, 1)
    found = np.stack([red - green, green - blue]) / (red + green + blue + DARK)
    return np.asarray(found - np.median(found, axis=(1, 2), keepdims=True), dtype=np.float32)


def limit(distances: Sequence[float]) -> float:
    """Return the distance above which colours are unlike the training's, from its own pictures' `distances`."""
    return max(LEAST, upper_limit(np.array(distances)))


def distance(found: np.ndarray, known: np.ndarray) -> float:
    """Return the distance of tones (2, rows, columns) from the most similar of `known`, (N, 2, rows, columns)."""
    squares = np.square(known.astype(np.float32) - found).mean(axis=(1, 2, 3))
    return float(np.sqrt(squares.min()))
