"""A gauge's data in memory: pictures at one scale with their truth, and the drawings of their connectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from generator.dataset.connectors import NominalConnector
from generator.dataset.rows import ObjectRow
from generator.locating.cameras import StationCamera
from generator.locating.landmarks import Queries

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Picture:
    """One picture of a part, resampled to the run's scale, with its truth.

    Attributes:
        row: the dataset's columns of this picture, without images and objects.
        objects: labels of the connector's n pins, in the drawing's order; None for a pin without labels.
        key: scene, housing and terminal.
        pixels: (H, W, 3) uint8.
        camera: the station's nominal camera, for a picture of W x H px.
        pose: (4, 4) matrix that turns points in the part's datum axes into the station's axes, mm; true, not found.
        points: (n, 2, 2) true tip and foot of each pin, x and y in px; nan for a missing pin.
        present: (n,) whether there is a pin in truth.
    """

    row: Mapping[str, Any]
    objects: tuple[ObjectRow | None, ...]
    key: Key
    pixels: np.ndarray
    camera: StationCamera
    pose: np.ndarray
    points: np.ndarray
    present: np.ndarray


@dataclass(frozen=True)
class GaugeData:
    """A dataset for the gauge.

    Attributes:
        splits: pictures by name of the split.
        connectors: drawings of the connectors, by scene, housing and terminal (`Key`).
        queries: what to find of each connector, by `Key`: its pins, and points on the edges of its walls.
        pitch_px: distance of neighbouring pins in the pictures, px.
        notes: messages for the user.
    """

    splits: Mapping[str, Sequence[Picture]]
    connectors: Mapping[Key, NominalConnector]
    queries: Mapping[Key, Queries]
    pitch_px: float
    notes: tuple[str, ...]
