"""The JPEG compression of a camera, applied to a picture."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np


def through_jpeg(picture: np.ndarray, quality: int, scratch: Path) -> np.ndarray:
    """Compress a picture as JPEG and decode it again, by Blender's own library.

    Args:
        picture: (H, W, 3) uint8 RGB.
        quality: JPEG quality, 1 to 100.
        scratch: folder for the temporary file.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = picture.shape[:2]
    path = scratch / "sent.jpg"
    path.unlink(missing_ok=True)
    pixels = np.ones((height, width, 4), np.float32)
    # Blender's rows run upwards.
    pixels[..., :3] = picture[::-1] / np.float32(255.0)
    image = bpy.data.images.new("sent", width, height)
    settings = bpy.context.scene.render.image_settings
    before = settings.file_format, settings.color_mode, settings.quality
    try:
        image.pixels.foreach_set(pixels.ravel())
        settings.file_format, settings.color_mode, settings.quality = "JPEG", "RGB", quality
        image.save_render(str(path))
        received = bpy.data.images.load(str(path))
        try:
            seen = np.empty(pixels.size, np.float32)
            received.pixels.foreach_get(seen)
        finally:
            bpy.data.images.remove(received)
    finally:
        settings.file_format, settings.color_mode, settings.quality = before
        bpy.data.images.remove(image)
    return np.rint(seen.reshape(height, width, 4)[::-1, :, :3] * 255.0).astype(np.uint8)
