"""A golden reference of NSOART: the sum of aligned pictures of OK parts, from which a mean is made for each picture.

The members of the unit space are aligned with one of them, the anchor (`generator.soart.registration`), and summed. For
a picture, the mean of the members is laid on its pixels; a member is compared with the mean of the others
(leave-one-out). Edges may lie up to TOLERANCE_PX beside those of the mean: a pixel is compared with the value nearest
to its own among those that the mean has in reach. Grey values are summed as whole numbers, so that the sum is the same
in any order.

DATASET/nsoart/reference-000.npz   `total`, `anchor` and `members`
DATASET/nsoart/reference-000.png   the mean, to look at
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from generator.soart.registration import Pose, register, warp
from generator.soart.soart3_maps import soart3_map

FOLDER = "nsoart"
FILE = r"reference-\d{3,}\.(npz|png)"
TOLERANCE_PX = 1
# Whole steps between black and white, 16 for each grey level.
STEPS = 16 * 255
# A picture is resized to the reference's size if its sides have the same ratio, up to this.
RATIO = 0.02


@dataclass(frozen=True)
class Reference:
    """The summed pictures of OK parts.

    Attributes:
        total: (h, w) uint32, sum of the aligned members' grey values, in units of 1 / STEPS.
        anchor: (h, w) uint8 grey, the picture with which all others are aligned.
        members: run names of the members.
    """

    total: np.ndarray
    anchor: np.ndarray
    members: tuple[str, ...]

    def maps(self, picture: Image.Image, member: str | None, window: int, stride: int) -> np.ndarray:
        """Compute the SOART3 maps of a picture at the reference's size: (3, gh, gw) float32.

        Args:
            picture: any size with the reference's ratio of sides.
            member: run name of the picture; if it is a member, the reference is made without it.
            window, stride: as in `soart3_map`, px.

        Raises:
            ValueError: the picture has another ratio of sides, or is smaller than the window.
        """
        grey = fitted(picture, self.anchor.shape)
        return maps_against(grey, self.laid(grey, member), window, stride)

    def laid(self, grey: np.ndarray, member: str | None = None) -> np.ndarray:
        """Return the mean of the members, without `member`, on a picture's pixels: (h, w) float32 in [0, 1].

        Pixels that no member shows have the picture's own values.

        Args:
            grey: (h, w) the picture, from `fitted`.
            member: its run name.
        """
        pose = register(grey, self.anchor / 255)
        total, count = self.total.astype(np.int64), len(self.members)
        if member in self.members:
            total, count = total - _steps(grey, pose), count - 1
        mean = np.clip(total / (STEPS * count), 0, 1)
        return warp(mean, pose.inverse(), grey.shape, fill=grey)

    def save(self, path: Path) -> str:
        """Write the reference to an NPZ file, and its mean to a PNG file beside it; returns the NPZ file's SHA-256."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, total=self.total, anchor=self.anchor, members=np.array(self.members))
        path.write_bytes(buffer.getvalue())
        mean = np.rint(self.total / (16 * len(self.members))).clip(0, 255).astype(np.uint8)
        Image.fromarray(mean).save(path.with_suffix(".png"))
        return hashlib.sha256(buffer.getvalue()).hexdigest()


@lru_cache(maxsize=8)
def read_reference(path: Path, sha256: str) -> Reference:
    """Read a file that `Reference.save` wrote.

    Raises:
        ValueError: the file is missing, or not the one with this SHA-256.
    """
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError("another file than nsoart.json names (its SHA-256 differs)")
        with np.load(io.BytesIO(content), allow_pickle=False) as data:
            return Reference(data["total"], data["anchor"], tuple(data["members"].tolist()))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path}: expected a golden reference of NSOART, got: {reason}") from None


def fitted(picture: Image.Image, size: tuple[int, ...]) -> np.ndarray:
    """Return a picture's grey values, resized to `size` = (h, w): float32 in [0, 1].

    Raises:
        ValueError: the ratio of its sides is not that of `size`.
    """
    check_ratio(picture.size, size)
    height, width = size
    grey = picture.convert("L")
    if grey.size != (width, height):
        how = Image.Resampling.BOX if grey.width > width else Image.Resampling.BICUBIC
        grey = grey.resize((width, height), how)
    return np.asarray(grey, dtype=np.float32) / np.float32(255)


def maps_against(grey: np.ndarray, laid: np.ndarray, window: int, stride: int) -> np.ndarray:
    """Compute the SOART3 maps of a picture against a mean on its pixels, from `Reference.laid`: (3, gh, gw) float32."""
    nearest = np.clip(grey, _reach(laid, np.minimum), _reach(laid, np.maximum))
    return soart3_map(grey, nearest, window=window, stride=stride)


def check_ratio(size: tuple[int, int], shape: tuple[int, ...]) -> None:
    """Raise ValueError unless a picture of `size` (W, H) px has the ratio of sides of a reference of `shape` (h, w)."""
    if abs(size[0] * shape[0] / (size[1] * shape[1]) - 1) > RATIO:
        raise ValueError(
            f"expected a picture of the shape of its golden reference, {shape[1]} x {shape[0]} px or a multiple, got "
            f"{size[0]} x {size[1]} px"
        )


def aligned(picture: Image.Image, anchor: np.ndarray) -> np.ndarray:
    """Align a picture with the anchor, (h, w) uint8 grey: (h, w) uint32, to be summed for `Reference.total`.

    Raises:
        ValueError: the picture has another ratio of sides than the anchor.
    """
    grey = fitted(picture, anchor.shape)
    return _steps(grey, register(grey, anchor / 255))


def _steps(grey: np.ndarray, pose: Pose) -> np.ndarray:
    """Return the aligned picture in units of 1 / STEPS: (h, w) uint32."""
    steps: np.ndarray = np.floor(warp(grey, pose, grey.shape) * STEPS + 0.5).astype(np.uint32)
    return steps


def _reach(values: np.ndarray, extreme: np.ufunc) -> np.ndarray:
    """Return the smallest or largest value within TOLERANCE_PX of each pixel, along rows and columns."""
    for axis in (0, 1):
        sides = [(TOLERANCE_PX, TOLERANCE_PX) if each == axis else (0, 0) for each in (0, 1)]
        padded = np.pad(values, sides, mode="edge")
        values = extreme.reduce(np.lib.stride_tricks.sliding_window_view(padded, 2 * TOLERANCE_PX + 1, axis), axis=-1)
    return values
