"""Render with Cycles into arrays: the picture as linear light, and depth or normals as values per pixel."""

from __future__ import annotations

import math
from pathlib import Path

import bpy
import numpy as np

from blender_scripts.geometry.lens import Window
from blender_scripts.geometry.pixel_filter import FILTER_PX, reduce_picture
from blender_scripts.scene import graphics_cards, lamps, versions
from blender_scripts.scene.exr import read_exr

BOUNCES = 3
WITHOUT_DENOISER = 8
# Blender reduces longer sides without a message.
MOST_PX = 65536
_NARROWEST_FILTER_PX = 0.01
_MOST_FINE_PX = 1 << 24


def sampling(samples: int) -> tuple[float, int]:
    """Choose how a denoised picture is rendered.

    It is rendered on a finer pixel grid with about half the samples in all, and looks as good as with all samples on
    the picture's own grid: a fine pixel shows only one surface, so that the albedo and normal that guide the denoiser
    are not mixed (docs/explanation/quality.md).

    Args:
        samples: light paths per pixel of the picture, as in the manifest.

    Returns:
        Fine pixels per pixel along each axis, and light paths per fine pixel.
    """
    if samples < 3:
        return (1.0, 1.25)[samples - 1], 1
    if samples < 8:
        return 1.5, 1 if samples < 6 else 2
    if samples < 12:
        return 1.75, 2
    return 2.0, max(2, samples // 8)


def render_window_only(render: bpy.types.RenderSettings, width: int, height: int, window: Window) -> None:
    """Set `render` to render only `window` of a view of `width` x `height` pixels, and to crop the picture to it."""
    render.use_border = render.use_crop_to_border = True
    # Blender rounds these single-precision fractions down to pixels; a quarter pixel keeps the result right.
    render.border_min_x = (window.x1 + 0.25) / width
    render.border_max_x = (window.x2 + 0.25) / width
    render.border_min_y = (height - window.y2 + 0.25) / height
    render.border_max_y = (height - window.y1 + 0.25) / height


class PathTracer:
    """Holds the render settings that are the same for all rows, and renders the current Blender scene.

    Args:
        scratch: temporary folder of this process, for the files that Blender writes.
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
        self._last: tuple[int, bool] | None = None
        self.render.resolution_percentage = 100
        self.render.threads_mode = "FIXED" if threads else "AUTO"
        if threads:
            self.render.threads = threads
        self.render.use_file_extension = False
        self.render.use_compositing = False
        self.render.use_sequencer = False
        self.settings.device = "GPU" if gpu else "CPU"
        self.card = graphics_cards.use_fastest() if gpu else None
        self.settings.use_adaptive_sampling = False
        self.settings.use_auto_tile = False
        versions.use_pixel_filter(self.settings)
        versions.use_light_tree(self.settings, False)
        versions.use_even_noise(self.settings)
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
        """The settings, as text, that change the picture but are not in the manifest row; part of the row's hash."""
        device = self.card.kind if self.card else "CPU"
        return f"cycles {device} bounces {BOUNCES} denoise {int(self.denoised)}"

    def picture(self, width: int, height: int, samples: int, seed: int) -> np.ndarray:
        """Render and denoise the picture, on the finer pixel grid and with the light paths that `sampling` returns.

        Without a denoiser, it is rendered on its own pixel grid, with WITHOUT_DENOISER times the light paths. If the
        finer grid had more than _MOST_FINE_PX px, the picture's own grid is used.

        Args:
            width, height: picture size in px.
            samples: light paths per pixel.
            seed: seed of Cycles' noise.

        Returns:
            (height, width, 3) float32, linear RGB.
        """
        scale, samples = sampling(samples) if self.denoised else (1.0, samples * WITHOUT_DENOISER)
        if width * height * scale**2 > _MOST_FINE_PX:
            scale = 1.0
        finer = scale > 1.0
        self._forget_other(samples, finer)
        # Cycles' first sample goes through the centre of its pixel: alone it would round edges to fine pixels.
        versions.set_samples(self.settings, samples, skipped=int(finer))
        self.settings.seed = seed
        self.settings.max_bounces = BOUNCES
        self.settings.sample_clamp_direct = 12.0
        self.settings.pixel_filter_type = "BOX" if finer else "BLACKMAN_HARRIS"
        self.settings.filter_width = FILTER_PX
        versions.use_denoiser(self.settings, self.denoised)
        self.render.image_settings.color_mode = "RGB"
        self.render.film_transparent = self.render.use_border = self.render.use_crop_to_border = False
        wide = round(width * scale)
        channels = self._render_exr(wide, math.ceil(height * wide / width))
        light = np.stack([channels["R"], channels["G"], channels["B"]], axis=-1)
        return reduce_picture(light, width, height) if finer else light

    def values(self, width: int, height: int, window: Window, colour: bool = False) -> np.ndarray:
        """Render the values that `Stage.show` selected (depth or normal), at pixel centres.

        Args:
            width, height: size of the whole view in px, at most MOST_PX.
            window: the part of the view that is rendered, in the same px.
            colour: three values per pixel instead of one.

        Returns:
            (h, w) float32, or (h, w, 3) if `colour`; 0 where there is no surface.

        Raises:
            RuntimeError: Blender rendered another size.
        """
        versions.set_samples(self.settings, 1)
        self.settings.seed = 0
        self.settings.max_bounces = 0
        self.settings.sample_clamp_direct = 0.0
        self.settings.pixel_filter_type = "BOX"
        self.settings.filter_width = _NARROWEST_FILTER_PX
        versions.use_denoiser(self.settings, False)
        self.render.image_settings.color_mode = "RGB" if colour else "BW"
        self.render.film_transparent = True
        render_window_only(self.render, width, height, window)
        channels = self._render_exr(width, height)
        # Grey files have one channel in Blender 5 and three equal ones beside an alpha in Blender 3.
        grey = channels["R"] if "R" in channels else next(iter(channels.values()))
        seen = np.stack([channels[name] for name in "RGB"], axis=-1) if colour else grey
        if seen.shape[:2] != (window.y2 - window.y1, window.x2 - window.x1):
            raise RuntimeError(f"expected a rendering of {window}, got {seen.shape[1]} x {seen.shape[0]} px")
        return seen

    def _forget_other(self, samples: int, finer: bool) -> None:
        """Make Cycles start anew where the last picture had other samples, or where two lamps are of one type.

        Otherwise the noise of a finer grid depends on the most samples that this process has rendered before, and which
        light path meets which of two lamps depends on the order in which Cycles keeps them from picture to picture.
        """
        if (samples, finer) != self._last or lamps.has_two_of_a_type():
            self.render.use_persistent_data = False  # frees what Cycles has kept
            self.render.use_persistent_data = True
        self._last = samples, finer

    def _render_exr(self, width: int, height: int) -> dict[str, np.ndarray]:
        path = self.scratch / "shot.exr"
        path.unlink(missing_ok=True)
        self.render.resolution_x, self.render.resolution_y = width, height
        if (self.render.resolution_x, self.render.resolution_y) != (width, height):
            raise RuntimeError(f"expected a view of at most {MOST_PX} px along a side, got {width} x {height} px")
        self.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        if not path.is_file():
            raise KeyboardInterrupt  # After SIGINT Blender returns from the render normally, but without a picture.
        return read_exr(path)
