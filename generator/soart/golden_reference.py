"""A golden reference of NSOART: the sum of aligned pictures of OK parts, with whose mean other pictures are compared.

The pictures of OK parts (members) are aligned with one of them, the anchor (`generator.soart.registration`), and summed
as whole numbers, so that the sum is the same in any order. To compare a picture with their mean, the mean is moved onto
the picture's pixels; a member is compared with the mean of the others (leave-one-out). Edges may be displaced by 1 px:
each pixel is compared with the value, within 1 px in the mean, that is nearest to its own.

DATASET/nsoart/reference-000.npz   `total`, `anchor` and `members`
DATASET/nsoart/reference-000.png   the mean, for people to look at
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
    """A golden reference: the summed pictures of OK parts (its members), from which their mean is made.

    Attributes:
        total: (h, w) uint32, sum of the aligned members' grey values; full white of one member counts as STEPS (4080).
        anchor: (h, w) uint8 grey, the member with which all others are aligned.
        members: run names of the members.
    """

    total: np.ndarray
    anchor: np.ndarray
    members: tuple[str, ...]

    def maps(self, picture: Image.Image, member: str | None, window: int, stride: int) -> np.ndarray:
        """Compute the SOART3 maps of a picture, resized to the reference's size: (3, gh, gw) float32, gh x gw windows.

        Args:
            picture: a picture of any size with the reference's ratio of sides.
            member: run name of the picture; if it is in `members`, the mean is made without it. None: it is in none.
            window, stride: side and step of the windows, px.

        Raises:
            ValueError: the picture has another ratio of sides, or is smaller than the window.
        """
        grey = fitted(picture, self.anchor.shape)
        return maps_against(grey, self.laid(grey, member), window, stride)

    def laid(self, grey: np.ndarray, member: str | None = None) -> np.ndarray:
        """Return the mean of the members, moved so that it lies on a picture's pixels: (h, w) float32 in [0, 1].

        Pixels that the moved mean does not cover have the picture's own values.

        Args:
            grey: (h, w) the picture, from `fitted`.
            member: run name of the picture; if it is in `members`, the mean is made without it. None: it is in none.
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
    """Read a golden reference from a file that `Reference.save` wrote.

    Raises:
        ValueError: the file is missing or damaged, or its SHA-256 is not `sha256` (hex).
    """
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError("a file whose SHA-256 differs from that in nsoart.json")
        with np.load(io.BytesIO(content), allow_pickle=False) as data:
            return Reference(data["total"], data["anchor"], tuple(data["members"].tolist()))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path}: expected a golden reference of NSOART, got: {reason}") from None


def fitted(picture: Image.Image, size: tuple[int, ...]) -> np.ndarray:
    """Return the grey values of a picture resized to `size` = (h, w) px: float32 in [0, 1].

    Raises:
        ValueError: the picture's ratio of sides is not that of `size`.
    """
    check_ratio(picture.size, size)
    height, width = size
    grey = picture.convert("L")
    if grey.size != (width, height):
        how = Image.Resampling.BOX if grey.width > width else Image.Resampling.BICUBIC
        grey = grey.resize((width, height), how)
    return np.asarray(grey, dtype=np.float32) / np.float32(255)


def maps_against(grey: np.ndarray, laid: np.ndarray, window: int, stride: int) -> np.ndarray:
    """Compute the SOART3 maps of a picture `grey` against the mean `laid`, which `Reference.laid` returned.

    The maps are (3, gh, gw) float32, for gh x gw windows of side `window`, one every `stride` px.
    """
    nearest = np.clip(grey, _reach(laid, np.minimum), _reach(laid, np.maximum))
    return soart3_map(grey, nearest, window=window, stride=stride)


def check_ratio(size: tuple[int, int], shape: tuple[int, ...]) -> None:
    """Raise ValueError unless a picture of `size` (W, H) px has the ratio of sides of a reference of `shape` (h, w)."""
    if abs(size[0] * shape[0] / (size[1] * shape[1]) - 1) > RATIO:
        raise ValueError(
            f"expected a picture with the ratio of sides of its golden reference, {shape[1]} x {shape[0]} px, got "
            f"{size[0]} x {size[1]} px"
        )


def aligned(picture: Image.Image, anchor: np.ndarray) -> np.ndarray:
    """Return a picture aligned with the anchor (h, w) uint8, ready to be added to `Reference.total`: (h, w) uint32.

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
