"""NSOART, normalised SOART: the SOART3 maps of a picture, standardised by OK parts, as a three-channel picture.

The three maps (reference: the mean of the picture's own windows) are standardised with the mean and standard deviation
(s.d.) of each map over a unit space (a group of OK parts), and coded as bytes (`soart.encode_nsoart`). Rows are grouped
by scene, housing, terminal, camera and marking; the unit space of a group is its OK rows in the training split. If
there are none, as for a held-out housing, the first few OK rows of the group in any split are used; without those, the
OK rows of all groups. The dataset's nsoart.json contains the source, rows and statistics of each group, so that any
other picture can be processed in the same way:

    parameters = json.loads(Path("DATASET/nsoart.json").read_text())
    picture = nsoart_picture(Image.open("photo.png"), parameters, {"scene": "connector_3x9", ...})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from generator.soart.soart3_maps import CHANNELS, CODE_KNEE, SD_FLOOR, encode_nsoart, soart3_map

# Side and step of the windows in a new dataset, px.
WINDOW, STRIDE = 16, 1

GROUP_BY = ("scene", "housing", "terminal", "camera", "marking")
FEW = 5
SCHEMA = 1


def grey(picture: Image.Image) -> np.ndarray:
    """Grey values (H, W) in [0, 1]: ITU-R 601 luma, which Pillow computes in integers, the same on every machine."""
    return np.asarray(picture.convert("L")) / 255.0


@dataclass
class MapStatistics:
    """Running mean and s.d. of each SOART3 map over many pictures (Chan, Golub and LeVeque 1979).

    Attributes:
        count: number of values of each map.
        mean, squares: (3,) mean of each map, and sum of squared deviations from it.
    """

    count: int = 0
    mean: np.ndarray = field(default_factory=lambda: np.zeros(3))
    squares: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def add(self, maps: np.ndarray) -> None:
        """Add a picture's maps to the statistics; `maps`: (3, gh, gw), for gh x gw windows down and across."""
        values = maps.reshape(3, -1).astype(np.float64)
        mean = values.mean(axis=1)
        self._merge(values.shape[1], mean, ((values - mean[:, None]) ** 2).sum(axis=1))

    def merge(self, other: MapStatistics) -> None:
        """Add the values that another object's statistics count to these."""
        if other.count:
            self._merge(other.count, other.mean, other.squares)

    def _merge(self, count: int, mean: np.ndarray, squares: np.ndarray) -> None:
        total = self.count + count
        step = mean - self.mean
        self.squares = self.squares + squares + step**2 * (self.count * count / total)
        self.mean = self.mean + step * (count / total)
        self.count = total

    def as_numbers(self) -> tuple[int, list[float], list[float]]:
        """Return count, mean and squares as JSON values, which keep floats to the last bit."""
        return self.count, self.mean.tolist(), self.squares.tolist()

    @classmethod
    def from_numbers(cls, numbers: Sequence[Any]) -> MapStatistics:
        """Restore statistics from the values of `as_numbers`."""
        count, mean, squares = numbers
        return cls(count, np.array(mean), np.array(squares))

    @property
    def sd(self) -> np.ndarray:
        return np.sqrt(self.squares / max(self.count, 1))


@dataclass(frozen=True)
class UnitSpace:
    """The rows that represent the OK parts of one group.

    Attributes:
        group: the group's values of the columns GROUP_BY.
        source: which rows: "train": OK rows of the training split; "few": the first FEW OK rows of any split, if there
            are none in training; "pooled": the OK rows of all groups, if the group has none; "all": all rows of the
            group, if the dataset has no OK row.
        rows: run names of these rows; empty for "pooled".
    """

    group: tuple[str, ...]
    source: str
    rows: tuple[str, ...]


def group_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in GROUP_BY)


@dataclass
class UnitSpaces:
    """Finds the unit space of every group in one pass over the rows; only run names are kept.

    Attributes:
        training: run names of each group's OK rows in the training split.
        good: run names of each group's first FEW OK rows in any split.
        every: run names of all rows of each group; None once an OK row was added.
    """

    training: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    good: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    every: dict[tuple[str, ...], list[str]] | None = field(default_factory=dict)

    def add(self, run: str, group: tuple[str, ...], is_ok: bool, split: str) -> None:
        """Note a row for the unit spaces; call in the dataset's order.

        Args:
            run: run name of the row.
            group: the row's values of the columns GROUP_BY.
            is_ok: whether the row's class is OK.
            split: name of the row's split.
        """
        self.training.setdefault(group, [])
        self.good.setdefault(group, [])
        if is_ok:
            self.every = None
            if split == "train":
                self.training[group].append(run)
            if len(self.good[group]) < FEW:
                self.good[group].append(run)
        elif self.every is not None:
            self.every.setdefault(group, []).append(run)

    def found(self) -> list[UnitSpace]:
        """Return the unit space of every group, sorted by group."""
        if self.every is not None:
            return [UnitSpace(group, "all", tuple(self.every[group])) for group in sorted(self.every)]
        spaces = []
        for group in sorted(self.good):
            if self.training[group]:
                spaces.append(UnitSpace(group, "train", tuple(self.training[group])))
            elif self.good[group]:
                spaces.append(UnitSpace(group, "few", tuple(self.good[group])))
            else:
                spaces.append(UnitSpace(group, "pooled", ()))
        return spaces


def make_parameters(
    spaces: Sequence[UnitSpace], statistics: Mapping[tuple[str, ...], MapStatistics], window: int, stride: int
) -> dict[str, Any]:
    """Make the contents of nsoart.json.

    Args:
        spaces: from `UnitSpaces.found`.
        statistics: map statistics of each group whose unit space has rows.
        window, stride: as in `soart3_map`, in px.
    """
    pooled = MapStatistics()
    for space in spaces:
        if space.rows:
            pooled.merge(statistics[space.group])
    return {
        "schema": SCHEMA,
        "made_by": "pinsight",
        "channels": list(CHANNELS),
        "grey": "Pillow L / 255",
        "window": window,
        "stride": stride,
        "reference": "self",
        "code": {"function": "floor(127.5 (1 + z / (|z| + knee)) + 0.5)", "knee": CODE_KNEE, "sd_floor": SD_FLOOR},
        "group_by": list(GROUP_BY),
        "pooled": _moments(pooled),
        "groups": [
            {
                **dict(zip(GROUP_BY, space.group, strict=True)),
                "unit_space": space.source,
                "rows": list(space.rows),
                **_moments(statistics[space.group] if space.rows else pooled),
            }
            for space in spaces
        ],
    }


def _moments(statistics: MapStatistics) -> dict[str, list[float]]:
    return {"mean": statistics.mean.tolist(), "sd": statistics.sd.tolist()}


def nsoart_maps(picture: Image.Image, window: int, stride: int) -> np.ndarray:
    """Compute the SOART3 maps of a picture with its own mean window as reference: (3, gh, gw) float32."""
    return soart3_map(grey(picture), None, window=window, stride=stride)


def nsoart_picture(
    picture: Image.Image, parameters: Mapping[str, Any], row: Mapping[str, Any] | None = None
) -> Image.Image:
    """Compute NSOART of any picture with the parameters of a dataset.

    Args:
        picture: a render or a photo, at least as large as the window.
        parameters: contents of nsoart.json.
        row: scene, housing, terminal, camera and marking of the part, whose group's statistics are used; None or an
            unknown group: the statistics of all groups together.

    Returns:
        An RGB picture of the same size, with channels log_beta, log_yita, log_gamma.

    Raises:
        ValueError: parameters of another version, or a picture smaller than the window.
    """
    for name, known in (("schema", SCHEMA), ("reference", "self")):
        if parameters.get(name) != known:
            raise ValueError(f"parameters: {name} must be {known!r}, got {parameters.get(name)!r}")
    if (knee := parameters["code"]["knee"]) != CODE_KNEE:
        raise ValueError(f"parameters: knee must be {CODE_KNEE}, got {knee}")
    moments = parameters["pooled"]
    if row is not None:
        group = group_of(row)
        moments = next((entry for entry in parameters["groups"] if group_of(entry) == group), moments)
    maps = nsoart_maps(picture, parameters["window"], parameters["stride"])
    settings = {
        "mean": moments["mean"],
        "sd": moments["sd"],
        "window": parameters["window"],
        "stride": parameters["stride"],
        "size": (picture.height, picture.width),
    }
    return Image.fromarray(encode_nsoart(maps, settings))
