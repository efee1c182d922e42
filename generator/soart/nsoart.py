"""NSOART, normalised SOART: the SOART3 maps of a picture, standardised by good parts, as a three-channel picture.

The three stage-1 maps (self reference: the mean of the picture's own windows) are standardised with the mean and
s.d. of each map over a unit space, coded by one fixed monotone function (`soart.encode_nsoart`) and stacked. Unit
space: the OK rows of the training split of the same scene, housing, terminal, camera and marking. Where training has
none, as for a held-out housing, the first few OK rows of that group in any split, as a station would take them;
where there are none either, those of all groups together. Which one it was, and from which rows, stands in the
parameters, which travel with the dataset as nsoart.json, so that any other picture can be processed alike:

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

# Of the maps of a new dataset, in px.
WINDOW, STRIDE = 16, 1

GROUP_BY = ("scene", "housing", "terminal", "camera", "marking")
FEW = 5
SCHEMA = 1


def grey(picture: Image.Image) -> np.ndarray:
    """A picture's grey values, (H, W) in [0, 1]: Pillow's ITU-R 601 luma, integer arithmetic, so alike everywhere."""
    return np.asarray(picture.convert("L")) / 255.0


@dataclass
class MapStatistics:
    """Mean and s.d. of each SOART3 map over any number of pictures, in one pass (Chan, Golub and LeVeque 1979)."""

    count: int = 0
    mean: np.ndarray = field(default_factory=lambda: np.zeros(3))
    squares: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def add(self, maps: np.ndarray) -> None:
        """Take in the maps (3, gh, gw) of one more picture."""
        values = maps.reshape(3, -1).astype(np.float64)
        mean = values.mean(axis=1)
        self._merge(values.shape[1], mean, ((values - mean[:, None]) ** 2).sum(axis=1))

    def merge(self, other: MapStatistics) -> None:
        """Take in what another one has taken in."""
        if other.count:
            self._merge(other.count, other.mean, other.squares)

    def _merge(self, count: int, mean: np.ndarray, squares: np.ndarray) -> None:
        total = self.count + count
        step = mean - self.mean
        self.squares = self.squares + squares + step**2 * (self.count * count / total)
        self.mean = self.mean + step * (count / total)
        self.count = total

    def as_numbers(self) -> tuple[int, list[float], list[float]]:
        """Everything, for JSON: floats survive it to the last bit."""
        return self.count, self.mean.tolist(), self.squares.tolist()

    @classmethod
    def from_numbers(cls, numbers: Sequence[Any]) -> MapStatistics:
        """What `as_numbers` gave."""
        count, mean, squares = numbers
        return cls(count, np.array(mean), np.array(squares))

    @property
    def sd(self) -> np.ndarray:
        return np.sqrt(self.squares / max(self.count, 1))


@dataclass(frozen=True)
class UnitSpace:
    """The rows that stand for good parts of one group.

    Attributes:
        group: the values of GROUP_BY.
        source: "train"; "few": no OK row in training, the first FEW of any split; "pooled": none in any split, the
            rows of all groups; "all": the dataset has no OK row at all, every row of the group.
        rows: their runs; empty when pooled.
    """

    group: tuple[str, ...]
    source: str
    rows: tuple[str, ...]


def group_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in GROUP_BY)


@dataclass
class UnitSpaces:
    """Finds the unit space of every group in one pass over the rows; keeps their names, not the rows."""

    training: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    good: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    every: dict[tuple[str, ...], list[str]] | None = field(default_factory=dict)

    def add(self, run: str, group: tuple[str, ...], is_ok: bool, split: str) -> None:
        """Take in a row, in the order of the dataset."""
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
        """The unit space of every group, sorted."""
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
    spaces: Sequence[UnitSpace],
    statistics: Mapping[tuple[str, ...], MapStatistics],
    window: int,
    stride: int,
) -> dict[str, Any]:
    """What nsoart.json holds.

    Args:
        spaces: of `UnitSpaces`.
        statistics: of each group whose unit space has rows.
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
        "code": {
            "function": "floor(127.5 (1 + z / (|z| + knee)) + 0.5)",
            "knee": CODE_KNEE,
            "sd_floor": SD_FLOOR,
        },
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
    """The stage-1 maps of a picture against itself, (3, gh, gw) float32."""
    return soart3_map(grey(picture), None, window=window, stride=stride)


def nsoart_picture(
    picture: Image.Image, parameters: Mapping[str, Any], row: Mapping[str, Any] | None = None
) -> Image.Image:
    """NSOART of any picture with the parameters of a dataset.

    Args:
        picture: a render or a photo, of any size not below the window.
        parameters: contents of nsoart.json.
        row: scene, housing, terminal, camera and marking of the part, to take the statistics of that group; None,
            or a group that the dataset does not know: those of all groups together.

    Returns:
        An RGB picture of the same size: log_beta, log_yita, log_gamma.

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
