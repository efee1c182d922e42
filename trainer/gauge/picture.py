"""Pictures of parts with their truth, as a gauge is trained and measured with."""

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
        row: the dataset's columns, without pictures and objects.
        objects: the pins' rows in the drawing's order; None where the dataset does not list one.
        key: scene, housing and terminal.
        pixels: (H, W, 3) uint8.
        camera: of the station, nominal, at this scale.
        pose: (4, 4) true, part to station.
        points: (n, 2, 2) px: true tip and foot of each pin; nan without a pin.
        present: (n,) whether there is a pin.
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
    """A dataset: its pictures by split, and the drawings and queries of its connectors."""

    splits: Mapping[str, Sequence[Picture]]
    connectors: Mapping[Key, NominalConnector]
    queries: Mapping[Key, Queries]
    pitch_px: float
    notes: tuple[str, ...]
