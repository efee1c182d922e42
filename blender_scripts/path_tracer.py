"""Cycles on the CPU: the picture as linear light, and the instance mask, both as arrays."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

from . import versions
from .exr import read_exr

BOUNCES = 3
WITHOUT_DENOISER = 8
_RELEASE = 0.01


class PathTracer:
    """Render settings that do not change from row to row, and the two render calls.

    Args:
        scratch: a folder of this process's own for Blender's raw files.
        threads: render threads; 0 = one per core.
        gpu: render pictures on the graphics card (bytes then differ from the CPU's).
        denoise: use the denoiser where the build has one.
    """

    def __init__(self, scratch: Path, threads: int = 0, gpu: bool = False, denoise: bool = True) -> None:
        self.scratch = scratch
        scene = bpy.context.scene
        scene.render.engine = "CYCLES"
        self.denoised = denoise and versions.has_denoiser()
        self.settings = scene.cycles
        self.render = scene.render
        self.render.use_persistent_data = True
        self.render.resolution_percentage = 100
        self.render.threads_mode = "FIXED" if threads else "AUTO"
        if threads:
            self.render.threads = threads
        self.render.use_file_extension = False
        self.render.use_compositing = False
        self.render.use_sequencer = False
        self.render.film_transparent = False
        self.settings.device = "GPU" if gpu else "CPU"
        self.settings.use_adaptive_sampling = False
        self.settings.use_auto_tile = False
        versions.use_light_tree(self.settings, False)
        self.settings.max_bounces = BOUNCES
        self.settings.diffuse_bounces = 2
        self.settings.glossy_bounces = BOUNCES
        self.settings.transmission_bounces = 0
        self.settings.caustics_reflective = False
        self.settings.caustics_refractive = False
        self.settings.sample_clamp_indirect = 3.0
        scene.view_settings.view_transform = "Standard"
        image = self.render.image_settings
        versions.set_still_picture(image)
        image.file_format = "OPEN_EXR"
        image.color_depth = "32"
        image.exr_codec = "NONE"

    @property
    def fingerprint(self) -> str:
        """The settings that a picture depends on beside its row, for the row's hash."""
        return f"cycles {self.settings.device} bounces {BOUNCES} denoise {int(self.denoised)}"

    def picture(self, width: int, height: int, samples: int, seed: int) -> np.ndarray:
        """Linear RGB (H, W, 3) float32."""
        self.settings.samples = samples if self.denoised else samples * WITHOUT_DENOISER
        self.settings.seed = seed
        self.settings.max_bounces = BOUNCES
        self.settings.sample_clamp_direct = 12.0
        self.settings.pixel_filter_type = "BLACKMAN_HARRIS"
        self.settings.filter_width = 1.5
        versions.set_pixel_jitter(self.settings, True)
        versions.use_denoiser(self.settings, self.denoised)
        self.render.image_settings.color_mode = "RGB"
        channels = self._shoot(width, height)
        return np.stack([channels["R"], channels["G"], channels["B"]], axis=-1)

    def indices(self, width: int, height: int, x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
        """The pass index of what each pixel's centre sees, (y2 - y1, x2 - x1) uint16; the stage must show indices.

        Args:
            width, height: size of the whole view in pixels.
            x1, y1, x2, y2: the window that is rendered, in the same pixels, y downwards.
        """
        self.settings.samples = 1
        self.settings.seed = 0
        self.settings.max_bounces = 0
        self.settings.sample_clamp_direct = 0.0
        self.settings.pixel_filter_type = "BOX"
        self.settings.filter_width = _RELEASE
        versions.set_pixel_jitter(self.settings, False)
        versions.use_denoiser(self.settings, False)
        self.render.image_settings.color_mode = "BW"
        self.render.use_border = self.render.use_crop_to_border = True
        # Blender rounds these fractions to pixels; half a thousandth keeps them on the right side.
        self.render.border_min_x, self.render.border_max_x = (x1 + 5e-4) / width, (x2 + 5e-4) / width
        self.render.border_min_y, self.render.border_max_y = (
            (height - y2 + 5e-4) / height,
            (height - y1 + 5e-4) / height,
        )
        channels = self._shoot(width, height)
        self.render.use_border = self.render.use_crop_to_border = False
        seen = np.rint(next(iter(channels.values()))).astype(np.uint16)
        if seen.shape != (y2 - y1, x2 - x1):
            raise RuntimeError(f"the mask's window has {seen.shape} pixels, expected {(y2 - y1, x2 - x1)}")
        return seen

    def _shoot(self, width: int, height: int) -> dict[str, np.ndarray]:
        path = self.scratch / "shot.exr"
        path.unlink(missing_ok=True)
        self.render.resolution_x, self.render.resolution_y = width, height
        self.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        if not path.is_file():
            raise KeyboardInterrupt  # Blender finishes a render that SIGINT stopped, without its picture.
        return read_exr(path)
