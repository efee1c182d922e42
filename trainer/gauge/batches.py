"""Batches for training the gauge: crops cut where a slightly wrong pose of the part would show pins and edges."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from generator.locating.crops import cut
from generator.locating.landmarks import Queries
from generator.locating.pose import motion
from trainer.gauge.network import Batch
from trainer.gauge.picture import Key, Picture

# Half ranges of the supposed pose about the true one: degrees about X and Y, about Z, shares of the pitch across and
# along the view. So wide that where a point is expected says little of where it is: otherwise the network would shrink
# displacements. In some of the pictures they are a sixth of these, as after `locate`.
TILT_DEG, TURN_DEG, SHIFT, LIFT = 1.0, 1.5, 0.22, 0.4
_FINE, _FINE_SHARE = 1.0 / 6.0, 0.25


def misplaced(pose: np.ndarray, pitch_mm: float, source: np.random.Generator) -> np.ndarray:
    """Return a wrong pose (4, 4) of a part near its true `pose` (4, 4), as after an inexact search for the part.

    `source` draws it: turned by up to 1.5°, moved by up to 0.4 of `pitch_mm`, the distance of neighbouring pins.
    """
    size = np.array([*np.radians([TILT_DEG, TILT_DEG, TURN_DEG]), SHIFT * pitch_mm, SHIFT * pitch_mm, LIFT * pitch_mm])
    size *= _FINE if source.random() < _FINE_SHARE else 1.0
    supposed: np.ndarray = motion(source.uniform(-size, size)) @ pose
    return supposed


def crops_of(
    picture: Picture, queries: Queries, pitch_mm: float, side: int, counts: tuple[int, int], source: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Cut crops of some pins, and of some points on the walls' edges, from one picture.

    Args:
        picture: the picture with its truth.
        queries: the pins and edge points of its connector.
        pitch_mm: distance of neighbouring pins of its connector.
        side: side of a crop, px.
        counts: largest number of pins, and of edge points; if the picture has more, they are drawn at random.
        source: draws random numbers.

    Returns:
        The arrays of `Batch` in its order, without `pictures`; the crops are (n, S, S, 3) uint8.
    """
    edges = len(queries.kinds) - queries.pins
    pins = source.permutation(queries.pins)[: counts[0]]
    which = np.concatenate([pins, queries.pins + source.permutation(edges)[: counts[1]]])
    found = cut(picture.pixels, picture.camera, queries, misplaced(picture.pose, pitch_mm, source), side, which)
    rotation, shift = picture.pose[:3, :3].T, picture.pose[:3, 3]
    places = np.stack([queries.marks[which], queries.besides[which]], axis=1)
    truth = picture.camera.project(places @ rotation + shift)
    nominal = truth[:, 0].copy()
    present = np.full(len(which), -1)
    present[: len(pins)] = picture.present[pins]
    is_there = present == 1
    truth[is_there] = picture.points[which[is_there]]
    truth, nominal = truth - found.corners[:, None], nominal - found.corners
    return found.pixels, found.marks, found.besides, found.kinds, truth, nominal, present


def batch_of(
    pictures: Sequence[Picture],
    queries: Mapping[Key, Queries],
    pitches: Mapping[Key, float],
    side: int,
    counts: tuple[int, int],
    source: np.random.Generator,
    augment: bool = True,
) -> Batch:
    """Cut crops out of some pictures, and join them in one batch.

    Args:
        pictures: the pictures with their truth.
        queries, pitches: by connector the pins and edge points to find, and the distance of neighbouring pins in mm.
        side: side of a crop, px.
        counts: largest number of pins, and of edge points, per picture; if it has more, they are drawn at random.
        source: draws random numbers.
        augment: whether to vary light, sharpness and noise of the crops, and to mirror them.
    """
    made = [
        _of_picture(number, crops_of(each, queries[each.key], pitches[each.key], side, counts, source), augment, source)
        for number, each in enumerate(pictures)
    ]
    return Batch(*(torch.cat(each) for each in zip(*made, strict=True)))


def _of_picture(number: int, cut_out: Sequence[np.ndarray], augment: bool, source: np.random.Generator) -> Batch:
    pixels, marks, besides, kinds, truth, nominal, present = cut_out
    crops = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 255.0
    placed = np.concatenate([marks[:, None], besides[:, None], truth, nominal[:, None]], axis=1)
    points = torch.from_numpy(placed).float()
    if augment:
        crops, points = _mirrored(_varied(crops, source), points, crops.shape[-1], source)
    return Batch(
        crops=crops,
        marks=points[:, 0],
        besides=points[:, 1],
        kinds=torch.from_numpy(kinds),
        truth=points[:, 2:4],
        nominal=points[:, 4],
        present=torch.from_numpy(present),
        pictures=torch.full((len(kinds),), number),
    )


def _varied(crops: Tensor, source: np.random.Generator) -> Tensor:
    """Vary exposure, contrast, colour, evenness of the light, sharpness and noise."""
    gain = 2.0 ** source.uniform(-0.5, 0.5)
    colour = torch.from_numpy(source.uniform(0.9, 1.1, (1, 3, 1, 1))).float()
    gamma = float(np.exp(source.uniform(-0.2, 0.2)))
    grey = crops.mean(1, keepdim=True)
    crops = grey + source.uniform(0.0, 1.3) * (crops - grey)
    crops = crops * (gain * colour * _slope(crops.shape[-1], source))
    crops = crops.clamp(0.0, 1.0) ** gamma
    blurred = F.avg_pool2d(F.pad(crops, (1, 1, 1, 1), mode="replicate"), 3, 1)
    crops = torch.lerp(crops, blurred, max(0.0, source.uniform(-0.5, 0.6)))
    noise = source.uniform(0.0, 0.01)
    drawn = torch.from_numpy(source.standard_normal(crops.shape, np.float32))
    return (crops + noise * drawn).clamp(0.0, 1.0)


def _slope(side: int, source: np.random.Generator) -> Tensor:
    """A light (side, side) that rises across a crop by at most a quarter of its mean to each side."""
    rise = torch.from_numpy(source.uniform(-0.25, 0.25, 2)).float()
    across = torch.linspace(-1.0, 1.0, side)
    return 1.0 + 0.5 * (rise[0] * across[:, None] + rise[1] * across)


def _mirrored(crops: Tensor, points: Tensor, side: int, source: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mirror crops and their points (N, 5, 2) left to right, top to bottom and about the diagonal, each in half."""
    if source.random() < 0.5:
        crops = crops.flip(3)
        points = torch.stack([side - points[..., 0], points[..., 1]], -1)
    if source.random() < 0.5:
        crops = crops.flip(2)
        points = torch.stack([points[..., 0], side - points[..., 1]], -1)
    if source.random() < 0.5:
        crops, points = crops.transpose(2, 3), points.flip(-1)
    return crops, points
