"""Any picture as a network takes it: scaled by one factor both ways until the whole picture fits, centred, the border
repeated around it (black would look like an empty cavity). Angles and proportions stay true.

This file goes along with every run, so that transformers alone can read pictures as the training did; the commands of
this project decode with generator/io/pictures.py, which also refuses what cannot be judged.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

ORIENTATION = 0x0112  # EXIF's tag
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
    """How a picture is fitted into the network's size: x' = x * scale + left, y' = y * scale + top (px)."""

    scale: float
    left: int
    top: int
    width: int
    height: int


def fit_of(size: tuple[int, int], target: tuple[int, int]) -> Fit:
    """Fit a picture of `size` (W, H) into `target` (W, H), both px: one factor both ways, centred."""
    scale = min(target[0] / size[0], target[1] / size[1])
    width = min(target[0], max(1, round(size[0] * scale)))
    height = min(target[1], max(1, round(size[1] * scale)))
    return Fit(scale, (target[0] - width) // 2, (target[1] - height) // 2, width, height)


def upright(picture: Image.Image) -> Image.Image:
    """The picture turned as its EXIF orientation says; as it is stored where there is none that can be read.

    Pillow's own `exif_transpose` writes the EXIF data anew too, which fails where something else in them is damaged.
    """
    try:
        turn = TURNS.get(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # whatever damaged EXIF data may raise
        turn = None
    if turn is None:
        return picture
    turned = picture.transpose(turn)
    for name in WITH_ORIENTATION:  # or it would be turned again
        turned.info.pop(name, None)
    return turned


def rgb(picture: Image.Image) -> Image.Image:
    """An upright 8-bit RGB picture from any mode Pillow opens; 16-bit grey is scaled, not clipped."""
    picture = upright(picture)
    if picture.mode.startswith("I"):
        grey = np.asarray(picture, dtype=np.float64) / 257.0
        picture = Image.fromarray(np.clip(grey.round(), 0, 255).astype(np.uint8))
    return picture.convert("RGB")


def pixels_of(picture: Image.Image, target: tuple[int, int]) -> np.ndarray:
    """A picture as the network takes it: uint8 (3, H, W), fitted into `target` (W, H) px."""
    picture = rgb(picture)
    if picture.size != target:
        fit = fit_of(picture.size, target)
        inside = np.asarray(picture.resize((fit.width, fit.height), Image.Resampling.LANCZOS))
        right, bottom = target[0] - fit.left - fit.width, target[1] - fit.top - fit.height
        return np.pad(inside.transpose(2, 0, 1), ((0, 0), (fit.top, bottom), (fit.left, right)), mode="edge")
    return np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1)
