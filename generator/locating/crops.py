"""Cut square crops from a picture round the points that a network looks for, at whole pixels, without resampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.locating.cameras import StationCamera
from generator.locating.landmarks import Queries


@dataclass(frozen=True)
class Crops:
    """Crops (square cut-outs) of one picture, one for each of n queries: points that a network looks for.

    Attributes:
        pixels: (n, side, side, 3) uint8.
        corners: (n, 2) x and y of each crop's upper left corner, px of the picture, whole numbers.
        marks, besides: (n, 2) x and y, px from the crop's corner, where the supposed pose puts the query's two points
            (`generator.locating.landmarks`).
        scale: (n,) px per mm at the mark.
        which: (n,) index of the query in `Queries`.
        kinds: (n,) kind of the query: PIN, OUTLINE or OPENING.
    """

    pixels: np.ndarray
    corners: np.ndarray
    marks: np.ndarray
    besides: np.ndarray
    scale: np.ndarray
    which: np.ndarray
    kinds: np.ndarray


def cut(
    picture: np.ndarray, camera: StationCamera, queries: Queries, pose: np.ndarray, side: int, which: np.ndarray
) -> Crops:
    """Cut a crop for each query, round an edge's mark or the middle of a pin; beyond the picture, edge pixels repeat.

    Args:
        picture: (H, W, 3) uint8.
        camera: the camera that took the picture.
        queries: the points to look for on the connector.
        pose: (4, 4) supposed pose of the part: from its datum axes to the station's, mm.
        side: side of a crop, px.
        which: (n,) indices of the queries for which crops are cut.
    """
    height, width = picture.shape[:2]
    rotation, shift = pose[:3, :3].T, pose[:3, 3]
    placed = queries.marks[which] @ rotation + shift
    marks, besides = camera.project(placed), camera.project(queries.besides[which] @ rotation + shift)
    is_pin = (queries.kinds[which] == 0)[:, None]
    centres = np.where(is_pin, 0.5 * (marks + besides), marks)
    corners = np.round(centres - 0.5 * side).astype(np.int64)
    step = np.arange(side)
    rows = np.clip(corners[:, 1, None] + step, 0, height - 1)
    columns = np.clip(corners[:, 0, None] + step, 0, width - 1)
    pixels = picture[rows[:, :, None], columns[:, None, :]]
    return Crops(
        pixels, corners, marks - corners, besides - corners, camera.px_per_mm(placed), which, queries.kinds[which]
    )
