"""Resample pictures so that neighbouring pins are as many pixels apart as in the training of a gauge."""

from __future__ import annotations

import numpy as np
from PIL import Image

from generator.io.srgb import coded, linear
from generator.locating.cameras import StationCamera
from generator.locating.landmarks import Drawing, pitch_mm

# Pictures whose pitch in px differs from the gauge's by at most this share are not resampled.
SAME_SCALE = 0.08
# Linear light of the 256 coded values.
_LIGHT = linear(np.arange(256)).astype(np.float32)


def pitch_px(drawing: Drawing, camera: StationCamera) -> float:
    """Return the distance of a connector's neighbouring pins in a camera's pictures, px, at the connector's middle."""
    middle = np.array([np.mean([(each.x_mm, each.y_mm, each.z_mm or 0.0) for each in drawing.positions], axis=0)])
    return pitch_mm(drawing) * float(camera.px_per_mm(middle)[0])


def scaled(
    picture: Image.Image, drawing: Drawing, camera: StationCamera, wanted_px: float
) -> tuple[np.ndarray, StationCamera, float]:
    """Resample a picture so that neighbouring pins are `wanted_px` apart; within 8 % of it, the picture is kept.

    Args:
        picture: the picture as the camera took it, neither cropped nor scaled.
        drawing: drawing of the connector in it.
        camera: the camera that took it.
        wanted_px: distance of neighbouring pins in the gauge's training, px.

    Returns:
        The new pixels (H, W, 3) uint8, the camera for them, and new width divided by old width.
    """
    ratio = wanted_px / pitch_px(drawing, camera)
    if abs(ratio - 1.0) <= SAME_SCALE:
        return np.asarray(picture.convert("RGB")), camera, 1.0
    size = max(8, round(picture.width * ratio)), max(8, round(picture.height * ratio))
    camera = camera.resized(size[0] / picture.width, size[1] / picture.height)
    return _resized(np.asarray(picture.convert("RGB")), size), camera, size[0] / picture.width


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resample an sRGB picture (H, W, 3) uint8 to `size` (width, height) as a render of this size would be.

    Linear light is averaged, as on a sensor; averages of coded values would be too dark at edges, so that bright pins
    would become narrower. The filter is as wide as that of the renderer (a triangle of 1 px to each side): with sharper
    ones, such as Lanczos, measures scatter more between placings.
    """
    light = np.ascontiguousarray(np.moveaxis(_LIGHT[pixels], 2, 0))
    made = [np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BILINEAR)) for each in light]
    level = np.clip(np.stack(made, axis=2), 0.0, 1.0)
    found: np.ndarray = np.rint(coded(level)).astype(np.uint8)
    return found
