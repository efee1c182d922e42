"""The appearance of a picture as histograms of gradients, and its distance from that of training pictures.

A picture is stretched to one size, whose longer side is 256 px, and divided into cells of 16 x 16 px. Each cell gets a
histogram of the gradients' directions over the full circle (8 bins, each pixel weighted by its gradient). It is divided
by the mean energy of the cells around it, so that it does not depend on the picture's brightness and contrast (Dalal
and Triggs 2005, Histograms of oriented gradients).

To get the distance of a picture, the 20 training pictures that are most similar as a whole are taken. Each cell of the
picture is compared with the cells at the same place in these 20, and its smallest squared difference counts; the
distance is the mean over the cells. So a part may combine properties of several training pictures, such as print and
light.

    references = References(cells_of_training_pictures)                     # (N, 8, rows, columns)
    found = cells(grey_values(picture, (256, 128)))
    references.differences(found, references.nearest(found))                # (rows, columns)
"""

from __future__ import annotations

import numpy as np
from PIL import Image

LONGER_PX = 256
CELL_PX = 16
BINS = 8
NEAREST = 20
# Share of the picture's mean energy that is added to that of a cell's surroundings: empty areas stay empty.
FLOOR = 0.25
# A flat picture has no gradients to compare; grey values per px, far below sensor noise.
FLAT = 1e-4


def grey_values(picture: Image.Image, size: tuple[int, int] | None = None) -> np.ndarray:
    """Convert a picture to grey values (H, W) from 0 to 1.

    Args:
        picture: the picture.
        size: (W, H) px to which it is stretched; None: it keeps its size.
    """
    grey = picture if picture.mode == "L" else picture.convert("L")
    if size is not None and grey.size != size:
        smaller = size[0] * size[1] < grey.width * grey.height
        grey = grey.resize(size, Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR)
    return np.asarray(grey, dtype=np.float32) / np.float32(255)


def cells(grey: np.ndarray) -> np.ndarray:
    """Compute the histogram of each cell of a picture: (BINS, rows of cells, columns of cells), float32.

    Args:
        grey: (H, W) grey values from 0 to 1; H and W are multiples of CELL_PX.
    """
    down, right = np.gradient(grey)
    strength = np.hypot(right, down)
    turn = (np.arctan2(down, right) / (2 * np.pi) % 1.0) * BINS
    low = np.floor(turn).astype(np.int64)
    share = turn - low
    rows, columns = (side // CELL_PX for side in grey.shape)
    place = (np.arange(grey.shape[0]) // CELL_PX)[:, None] * columns + np.arange(grey.shape[1]) // CELL_PX
    found = np.zeros(BINS * rows * columns)
    for bin_of, weight in ((low % BINS, strength * (1 - share)), ((low + 1) % BINS, strength * share)):
        found += np.bincount((bin_of * rows * columns + place).ravel(), weight.ravel(), minlength=found.size)
    histogram = (found / CELL_PX**2).reshape(BINS, rows, columns)
    energy = np.sqrt((histogram**2).sum(0))
    padded = np.pad(energy, 1, mode="edge")
    around = sum(padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)) / 9
    return (histogram / (around + FLOOR * energy.mean() + FLAT)).astype(np.float32)


class References:
    """Maps of training pictures, with which that of another picture is compared: histograms, or a network's features.

    Args:
        maps: (N, C, rows, columns) of N training pictures: their histograms, from `cells` (C = BINS), or features.
        groups: (N,) for each picture, the number of the part that it shows, or of the original that it is a copy of;
            None: every picture has a group of its own.
    """

    def __init__(self, maps: np.ndarray, groups: np.ndarray | None = None) -> None:
        self.maps = maps.astype(np.float16)
        self._held = self.maps.astype(np.float32)
        self._flat = _unit(self._held)
        self.groups = np.arange(len(maps)) if groups is None else groups

    def nearest(self, picture_map: np.ndarray, without: int | None = None) -> np.ndarray:
        """Return the indices of the training pictures that are most similar to a picture, at most NEAREST of them.

        Args:
            picture_map: (C, rows, columns) the picture's map, made as the training pictures' maps.
            without: group whose training pictures are left out; None: all are used.
        """
        likeness = self._flat @ _unit(picture_map[None])[0]
        usable = np.arange(len(likeness)) if without is None else np.flatnonzero(self.groups != without)
        if len(usable) <= NEAREST:
            return usable
        return np.asarray(usable[np.argpartition(-likeness[usable], NEAREST)[:NEAREST]])

    def differences(self, picture_map: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        """Return (rows, columns): each cell's smallest squared difference from the same cell of the pictures `nearest`.

        Args:
            picture_map: (C, rows, columns) the picture's map, made as the training pictures' maps.
            nearest: indices of training pictures, at least one.
        """
        return np.asarray(((self._held[nearest] - picture_map) ** 2).sum(1).min(0))


def _unit(maps: np.ndarray) -> np.ndarray:
    flat = maps.reshape(len(maps), -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))
