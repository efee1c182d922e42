"""A gauge for comparison: the tip is the centroid of the brightest pixels; the pose is that which the network found."""

import numpy as np

from generator.locating.cameras import StationCamera
from generator.locating.landmarks import Queries
from generator.locating.pose import Pose
from generator.locating.triangulation import ViewSights, triangulate
from trainer.gauge.measuring import MeasuredCapture

# The window round a nominal tip reaches this share of the pitch to each side; its brightest pixels are about as many
# as a pin a third of the pitch wide covers. Both are chosen once, for all scenes.
_WINDOW, _BRIGHTEST = 0.45, 0.1
# A tip's place about its nominal one, mm: from one view its height is the nominal one, as nothing shows it.
_ASIDE_MM, _HEIGHT_MM, _NOMINAL_MM = 2.0, 1.0, 1e-3
# What a bend lowers the tip by, in bend^2 / length, as in `generator.locating.measure`.
_SAG = 0.65
# Standard deviation of a centroid, px: so small that the views decide.
_PIXEL = 0.2


def bright_tips(measured: MeasuredCapture, queries: Queries, pitch_mm: float) -> np.ndarray:
    """Measure every pin of a located capture by the brightest pixels near its nominal tip.

    Args:
        measured: a located capture.
        queries: nominal tips and feet of its connector's n pins.
        pitch_mm: distance of neighbouring pins of its connector.

    Returns:
        (n, 3) for each pin dx, dy and retraction in mm: how far the tip lies from its nominal place along X and Y, and
        the terminal below its nominal height. The retraction is nan if the capture has a single view.
    """
    assert measured.pose is not None
    views, pose = measured.capture.views, Pose(measured.pose.matrix, np.zeros((6, 6)), 1.0, 1.0)
    tips, feet = queries.marks[: queries.pins], queries.besides[: queries.pins]
    pixels = [centroids(view.pixels, view.camera, pose.to_station(tips), pitch_mm) for view in views]
    height = _HEIGHT_MM if len(views) > 1 else _NOMINAL_MM
    prior = np.diag(np.square([_ASIDE_MM, _ASIDE_MM, height]))
    same = np.tile(_PIXEL**2 * np.eye(2), (queries.pins, 1, 1))
    sights = [ViewSights(view.camera, each, same) for view, each in zip(views, pixels, strict=True)]
    found: np.ndarray = np.array([each.mean for each in triangulate(sights, pose, tips, prior)]) - tips
    sag = _SAG * (found[:, 0] ** 2 + found[:, 1] ** 2) / (tips[:, 2] - feet[:, 2])
    found[:, 2] = -found[:, 2] - sag if len(views) > 1 else np.nan
    return found


def centroids(picture: np.ndarray, camera: StationCamera, tips: np.ndarray, pitch_mm: float) -> np.ndarray:
    """Find near each nominal tip the centroid of the brightest pixels.

    Args:
        picture: (H, W, 3) uint8.
        camera: the picture's camera.
        tips: (n, 3) nominal tips in the station's axes, mm.
        pitch_mm: distance of neighbouring pins; the pixels up to 0.45 of it from a tip, along x and y, are searched.

    Returns:
        (n, 2) x and y of the centroids, in px from the picture's left upper corner.
    """
    marks = camera.project(tips)
    half = max(2, round(_WINDOW * pitch_mm * float(np.median(camera.px_per_mm(tips)))))
    step = np.arange(-half, half + 1)
    corners = np.floor(marks).astype(np.int64)
    rows = np.clip(corners[:, 1, None] + step, 0, picture.shape[0] - 1)
    columns = np.clip(corners[:, 0, None] + step, 0, picture.shape[1] - 1)
    light = picture[rows[:, :, None], columns[:, None, :]].mean(axis=-1)  # (n, window, window)
    limit = np.quantile(light, 1.0 - _BRIGHTEST, axis=(1, 2), keepdims=True)
    weights = np.maximum(light - limit, 0.0) + 1e-9
    total = weights.sum(axis=(1, 2))
    x = (weights * (columns[:, None, :] + 0.5)).sum(axis=(1, 2)) / total
    y = (weights * (rows[:, :, None] + 0.5)).sum(axis=(1, 2)) / total
    return np.stack([x, y], axis=1)
