"""Pictures resampled to a gauge's scale: neighbouring pins are as many pixels apart as in its training."""

from __future__ import annotations

import numpy as np
from PIL import Image

from generator.locating.cameras import StationCamera
from generator.locating.landmarks import Drawing, pitch_mm

# Pictures whose pitch in px differs from the gauge's by at most this share are not resampled.
SAME_SCALE = 0.08


def pitch_px(drawing: Drawing, camera: StationCamera) -> float:
    """Distance of neighbouring pins in px at the middle of the connector.

    Args:
        drawing: the connector.
        camera: for pictures of their size.
    """
    middle = np.array([np.mean([(each.x_mm, each.y_mm, each.z_mm or 0.0) for each in drawing.positions], axis=0)])
    return pitch_mm(drawing) * float(camera.px_per_mm(middle)[0])


def scaled(
    picture: Image.Image, drawing: Drawing, camera: StationCamera, wanted_px: float
) -> tuple[np.ndarray, StationCamera, float]:
    """Resample a picture so that neighbouring pins are `wanted_px` apart.

    Args:
        picture: of the size in px that the camera took.
        drawing: its connector.
        camera: that took it.
        wanted_px: of the gauge.

    Returns:
        Pixels (H, W, 3) uint8, the camera at their scale, and the scale: new divided by old size.
    """
    ratio = wanted_px / pitch_px(drawing, camera)
    if abs(ratio - 1.0) <= SAME_SCALE:
        return np.asarray(picture.convert("RGB")), camera, 1.0
    size = max(8, round(picture.width * ratio)), max(8, round(picture.height * ratio))
    camera = camera.resized(size[0] / picture.width, size[1] / picture.height)
    resized = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    return np.asarray(resized), camera, size[0] / picture.width
