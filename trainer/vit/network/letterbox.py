"""Letterbox: scale a picture by one factor so that all of it fits the network's size, centre it, and repeat its border
around it (a black border would look like an empty cavity). Angles and proportions stay true.

This file is copied into every run, so that transformers alone can prepare pictures as the training did. The commands of
this project decode pictures with generator/io/pictures.py, which also refuses unsuitable ones.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

ORIENTATION = 0x0112  # EXIF tag
WITH_ORIENTATION = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Fit:
    """Place of a picture in its letterbox: x' = scale * x + left, y' = scale * y + top; `width` and `height` in px."""

    scale: float
    left: int
    top: int
    width: int
    height: int


def fit_of(size: tuple[int, int], target: tuple[int, int]) -> Fit:
    """Compute where a picture of `size` (W, H) px lies in a letterbox of `target` (W, H) px: one scale, centred."""
    scale = min(target[0] / size[0], target[1] / size[1])
    width = min(target[0], max(1, round(size[0] * scale)))
    height = min(target[1], max(1, round(size[1] * scale)))
    return Fit(scale, (target[0] - width) // 2, (target[1] - height) // 2, width, height)


def upright(picture: Image.Image) -> Image.Image:
    """Turn a picture by its EXIF orientation; it stays unchanged if it has none, or none that can be read.

    Not Pillow's `exif_transpose`: it also rewrites the EXIF data, which fails where other tags are damaged.
    """
    try:
        turn = TURNS.get(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged EXIF data raise many types
        turn = None
    if turn is None:
        return picture
    turned = picture.transpose(turn)
    for name in WITH_ORIENTATION:  # else a reader would turn it again
        turned.info.pop(name, None)
    return turned


def rgb(picture: Image.Image) -> Image.Image:
    """Convert a picture of any mode to upright 8-bit RGB; grey of 0 to 65535 is scaled, not clipped."""
    picture = upright(picture)
    if picture.mode == "F" or picture.mode.startswith("I"):
        grey = np.asarray(picture, dtype=np.float64) / 257.0
        picture = Image.fromarray(np.clip(grey.round(), 0, 255).astype(np.uint8))
    return picture.convert("RGB")


def pixels_of(picture: Image.Image, target: tuple[int, int]) -> np.ndarray:
    """Prepare a picture for the network: uint8 (3, H, W), letterboxed into `target` (W, H) px."""
    picture = rgb(picture)
    if picture.size != target:
        fit = fit_of(picture.size, target)
        inside = np.asarray(picture.resize((fit.width, fit.height), Image.Resampling.LANCZOS))
        right, bottom = target[0] - fit.left - fit.width, target[1] - fit.top - fit.height
        return np.pad(inside.transpose(2, 0, 1), ((0, 0), (fit.top, bottom), (fit.left, right)), mode="edge")
    return np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1)
