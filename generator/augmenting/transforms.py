"""Geometric and photometric changes of pictures; a `Move` is applied to pixels, boxes, points and masks alike.

Flips, turns by 90 degrees and crops keep pixel values; `warped` and `relit` compute new ones. Coordinates are in px in
the edge convention: the picture is [0, W] x [0, H], boxes are xyxy.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

Box = tuple[float, float, float, float]
Size = tuple[int, int]

MARGIN_PX = 5
TRIM_SURE, TRIM_RANDOM = 0.3, 0.2
# Limits of a warp: what a loose fixture and camera bracket allow; more would be another view.
WARP_TURN_DEG, WARP_ZOOM, WARP_SHIFT, WARP_SHEAR = 5.0, 0.06, 0.03, 0.02


@dataclass(frozen=True)
class Move:
    """An affine transform from a picture's pixels to those of a copy: x' = a x + b y + c, y' = d x + e y + f, px.

    Attributes:
        size, out: (W, H) of the picture before and after, px.
        matrix: a, b, c, d, e, f.
        exact: whether it is a flip, a turn by 90 degrees or a crop by whole pixels, which keeps pixel values.
    """

    size: Size
    out: Size
    matrix: tuple[float, float, float, float, float, float]
    exact: bool = True

    def point(self, place: Sequence[float]) -> tuple[float, float]:
        """Return where a point (x, y) of the original lies in the copy, px; it may lie outside the copy."""
        a, b, c, d, e, f = self.matrix
        x, y = place
        return a * x + b * y + c, d * x + e * y + f

    @property
    def scale(self) -> float:
        """Factor by which lengths grow, the geometric mean over all directions; 1 for a flip, a turn and a crop."""
        a, b, _, d, e, _ = self.matrix
        return float(abs(a * e - b * d) ** 0.5)

    def box(self, box: Sequence[float]) -> Box:
        """Return the box in the copy around the corners of a box of the original, xyxy in px; it is not clipped."""
        x1, y1, x2, y2 = box
        corners = [self.point(corner) for corner in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))]
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        return min(xs), min(ys), max(xs), max(ys)

    def pixels(self, pixels: np.ndarray, nearest: bool = False) -> np.ndarray:
        """Return the pixels of the copy.

        Args:
            pixels: (H, W) or (H, W, channels) of the original.
            nearest: take the nearest value, and 0 outside the original, as masks need; False: interpolate, and repeat
                the original's edge pixels outside of it. An `exact` transform copies values either way.
        """
        if pixels.shape[:2] != (self.size[1], self.size[0]):
            raise ValueError(f"pixels: expected shape ({self.size[1]}, {self.size[0]}, ...), got {pixels.shape}")
        if self.exact:
            return self._rearranged(pixels)
        a, b, c, d, e, f = self.matrix
        inverse = np.linalg.inv(np.array([[a, b, c], [d, e, f], [0, 0, 1]]))
        # SciPy's coordinates are row and column of pixel centres.
        linear = inverse[:2, :2][::-1, ::-1]
        shift = inverse[:2, 2][::-1] + linear @ np.array([0.5, 0.5]) - 0.5
        settings = {"offset": shift, "output_shape": (self.out[1], self.out[0])}
        if nearest:
            return np.asarray(ndimage.affine_transform(pixels, linear, order=0, mode="constant", cval=0, **settings))
        channels = pixels[..., None] if pixels.ndim == 2 else pixels
        moved = [
            ndimage.affine_transform(channels[..., i].astype(np.float32), linear, order=1, mode="nearest", **settings)
            for i in range(channels.shape[2])
        ]
        stacked = np.stack(moved, axis=-1).round().astype(pixels.dtype)
        return stacked[..., 0] if pixels.ndim == 2 else stacked

    def _rearranged(self, pixels: np.ndarray) -> np.ndarray:
        a, _, _, _, _, _ = self.matrix
        x1, y1, x2, y2 = (round(edge) for edge in _inverse_box(self))
        kept = pixels[y1:y2, x1:x2]
        if a == 0:
            kept = kept.swapaxes(0, 1)
            _, along, _, down, _, _ = self.matrix
            return np.ascontiguousarray(kept[:: int(down), :: int(along)])
        return np.ascontiguousarray(kept[:: int(self.matrix[4]), :: int(a)])

    def then(self, other: Move) -> Move:
        """Return the transform that applies first this one, then `other`, whose `size` has to be this one's `out`."""
        if self.out != other.size:
            raise ValueError(f"other: expected a transform of a picture of size {self.out}, got size {other.size}")
        first = np.array([*self.matrix, 0, 0, 1]).reshape(3, 3)
        second = np.array([*other.matrix, 0, 0, 1]).reshape(3, 3)
        both = (second @ first)[:2].ravel().tolist()
        return Move(self.size, other.out, tuple(both), self.exact and other.exact)


def _inverse_box(move: Move) -> Box:
    """Return the part of the old picture that the new one shows, xyxy in px, for an exact transform."""
    a, b, c, d, e, f = move.matrix
    inverse = np.linalg.inv(np.array([[a, b, c], [d, e, f], [0, 0, 1]]))[:2].ravel().tolist()
    return Move(move.out, move.size, tuple(inverse)).box((0, 0, *move.out))


def mirrored(size: Size) -> Move:
    """Return the transform that exchanges left and right of a picture of `size` (W, H) px."""
    return Move(size, size, (-1, 0, size[0], 0, 1, 0))


def turned(size: Size) -> Move:
    """Return the transform that turns a picture of `size` (W, H) px by 90 degrees counter-clockwise."""
    return Move(size, (size[1], size[0]), (0, 1, 0, -1, 0, size[0]))


def cropped(size: Size, box: tuple[int, int, int, int]) -> Move:
    """Return the transform that crops a picture of `size` (W, H) px to a box xyxy, at least 1 px wide and high."""
    x1, y1, x2, y2 = box
    if not (0 <= x1 < x2 <= size[0] and 0 <= y1 < y2 <= size[1]):
        raise ValueError(f"box: expected x1 < x2 and y1 < y2 inside {size[0]} x {size[1]} px, got {box}")
    return Move(size, (x2 - x1, y2 - y1), (1, 0, -x1, 0, 1, -y1))


def left_half(size: Size) -> Move:
    """Return the crop to the left half of a picture of `size` (W, H) px, without the middle column if W is odd."""
    return cropped(size, (0, 0, size[0] // 2, size[1]))


def right_half(size: Size) -> Move:
    """Return the crop to the right half of a picture of `size` (W, H) px, with the middle column if W is odd."""
    return cropped(size, (size[0] // 2, 0, *size))


def trimmed(size: Size, rng: np.random.Generator) -> Move:
    """Return a random crop at the edges of a picture of `size` (W, H) px, which makes an elongated picture squarer.

    MARGIN_PX px are cut off each side. The longer dimension loses 30 % to 50 % of the difference between width and
    height in addition, divided at random between its two ends. At least 1 px remains.
    """
    width, height = size
    over = (TRIM_SURE + TRIM_RANDOM * rng.random()) * abs(width - height)
    before = rng.random() * over
    cuts = [[float(min(MARGIN_PX, (side - 1) // 2))] * 2 for side in size]
    longer = 0 if width > height else 1
    cuts[longer][0] += before
    cuts[longer][1] += over - before
    low = [round(cut[0]) for cut in cuts]
    high = [max(first + 1, side - round(cut[1])) for first, side, cut in zip(low, size, cuts, strict=True)]
    return cropped(size, (low[0], low[1], high[0], high[1]))


def warped(size: Size, rng: np.random.Generator) -> Move:
    """Return a random transform as by a loose fixture: a slight turn, zoom and shear about the middle, and a shift.

    Args:
        size: (W, H) of the picture in px, which the copy keeps.
        rng: source of the random values.
    """
    turn = np.deg2rad(WARP_TURN_DEG * rng.uniform(-1, 1))
    zoom = (1 + WARP_ZOOM) ** rng.uniform(-1, 1)
    shear = WARP_SHEAR * rng.uniform(-1, 1)
    middle = np.array(size) / 2
    shift = WARP_SHIFT * rng.uniform(-1, 1, 2) * size
    linear = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = linear @ np.array([[1.0, shear], [0.0, 1.0]])
    moved = middle + shift - linear @ middle
    matrix = (*linear[0].tolist(), float(moved[0]), *linear[1].tolist(), float(moved[1]))
    return Move(size, size, matrix, exact=False)


def relit(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return pixels as under other light and with another camera, at random.

    Exposure, contrast, gamma, white balance and sensor noise change; with 8 bits, focus and JPEG compression too.

    Args:
        pixels: (H, W) or (H, W, 3 or 4) with 8 or 16 bits; a fourth channel is not changed.
        rng: source of the random values.
    """
    most = float(np.iinfo(pixels.dtype).max)
    alpha = pixels[..., 3:] if pixels.ndim == 3 and pixels.shape[2] == 4 else None
    values = (pixels if alpha is None else pixels[..., :3]).astype(np.float64) / most
    values = values ** (2 ** rng.uniform(-0.4, 0.4))
    if values.ndim == 3:
        values = values * (1 + rng.uniform(-0.06, 0.06, 3))
    values = (values - 0.5) * rng.uniform(0.8, 1.2) + 0.5
    values = values * 2 ** rng.uniform(-0.4, 0.4)
    values = np.clip(values, 0, 1)
    blur, noise, quality = rng.uniform(0, 0.8), rng.uniform(0, 0.02), int(rng.integers(60, 96))
    if most == 255:
        picture = Image.fromarray((values * 255).round().astype(np.uint8))
        values = np.asarray(picture.filter(ImageFilter.GaussianBlur(blur))) / 255.0
    values = np.clip(values + rng.normal(0, noise, values.shape), 0, 1)
    result = (values * most).round().astype(pixels.dtype)
    if most == 255:
        buffer = io.BytesIO()
        Image.fromarray(result).save(buffer, "JPEG", quality=quality)
        result = np.asarray(Image.open(buffer))
    return result if alpha is None else np.concatenate([result, alpha], axis=-1)
