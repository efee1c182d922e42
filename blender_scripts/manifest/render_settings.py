"""The render settings that are not in a manifest's row, but change its files: they are a part of the row's hash."""

from __future__ import annotations

from typing import NamedTuple

BOUNCES = 3
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

    @property
    def text(self) -> str:
        """The settings as the text that is hashed."""
        traced = f"cycles {self.device} bounces {BOUNCES} denoise {int(self.denoised)}"
        return " ".join((traced, f"mask {self.mask_scale}", *self.extras))
