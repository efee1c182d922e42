"""The render settings that are not in a manifest's row, but change its files: they are a part of the row's hash."""

from __future__ import annotations

from typing import NamedTuple

BOUNCES = 3
MOST_FINE_PX = 1 << 24
CPU = "CPU"
# Blender's identifiers of the interfaces to graphics cards. The fastest first: OptiX and CUDA run on the same cards.
CARDS = ("OPTIX", "CUDA", "HIP", "ONEAPI", "METAL")


class RenderSettings(NamedTuple):
    """Settings of a renderer.

    Attributes:
        device: what renders: CPU, or the interface of a graphics card, one of CARDS.
        denoised: whether pictures are denoised.
        mask_scale: K: each pixel of the mask is the most frequent value of K x K samples.
        extras: kinds of extra arrays that are written for each row, each one of output_folder.EXTRAS.
    """

    device: str
    denoised: bool
    mask_scale: int
    extras: tuple[str, ...]

    def text(self, width: int, height: int, samples: int) -> str:
        """Return the settings as the text that is hashed, for a picture's size in px and its light paths per pixel."""
        traced = f"cycles {self.device} bounces {BOUNCES} denoise {int(self.denoised)}"
        # Such pictures once got fewer light paths.
        large = ["own grid"] if self.denoised and sampling(width, height, samples) != _finer(samples) else []
        return " ".join((traced, f"mask {self.mask_scale}", *self.extras, *large))


def sampling(width: int, height: int, samples: int) -> tuple[float, int]:
    """Choose how a denoised picture is rendered.

    It is rendered on a finer pixel grid with about half the samples in all, and looks as good as with all samples on
    the picture's own grid: a fine pixel shows only one surface, so that the albedo and normal that guide the denoiser
    are not mixed (docs/explanation/quality.md). If the finer grid had more than MOST_FINE_PX pixels, the picture is
    rendered with all samples on its own grid.

    Args:
        width, height: size of the picture in px.
        samples: light paths per pixel of the picture, as in the manifest.

    Returns:
        Fine pixels per pixel along each axis, and light paths per fine pixel.
    """
    scale, paths = _finer(samples)
    return (scale, paths) if width * height * scale**2 <= MOST_FINE_PX else (1.0, samples)


def _finer(samples: int) -> tuple[float, int]:
    if samples < 3:
        return (1.0, 1.25)[samples - 1], 1
    if samples < 8:
        return 1.5, 1 if samples < 6 else 2
    if samples < 12:
        return 1.75, 2
    return 2.0, max(2, samples // 8)
