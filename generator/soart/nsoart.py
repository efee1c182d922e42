"""NSOART, normalised SOART: the SOART3 maps of a picture, standardised by OK parts, as a three-channel picture.

The three maps are standardised with the mean and standard deviation (s.d.) of each map over a unit space (some OK
parts), and coded as bytes (`soart.encode_nsoart`). A dataset's rows are grouped by scene, housing, terminal, camera and
marking. A group's unit space is its OK rows in the training split; if there are none, as for a held-out housing, it is
the group's first 5 OK rows in any split. The windows of a picture are compared with one of these references:

- "self", the mean of the picture's own windows. A group without OK rows uses the OK rows of all groups.
- "golden", the mean picture of the unit space (`generator.soart.golden_reference`). A group with fewer than 5 OK rows
  uses those of all groups that differ from it only in marking. If these are fewer than 5, it uses those of all groups
  that differ from it only in marking and housing.

The dataset's nsoart.json contains the rows and statistics of each group, so that any other picture can be processed in
the same way:

    parameters = json.loads(Path("DATASET/nsoart.json").read_text())
    picture = nsoart_picture(Image.open("photo.png"), parameters, {"scene": "connector_3x9", ...}, Path("DATASET"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from generator.soart.golden_reference import TOLERANCE_PX, Reference, read_reference
from generator.soart.soart3_maps import CHANNELS, CODE_KNEE, SD_FLOOR, encode_nsoart, soart3_map

# Side and step of the windows in a new dataset, px.
WINDOW, STRIDE = 16, 1

GROUP_BY = ("scene", "housing", "terminal", "camera", "marking")
FEW = 5
SCHEMA = 1
SELF, GOLDEN = "self", "golden"
REFERENCES = (SELF, GOLDEN)


def grey(picture: Image.Image) -> np.ndarray:
    """Return a picture's grey values (H, W) in [0, 1] (ITU-R 601 luma by Pillow, the same on every machine)."""
    return np.asarray(picture.convert("L")) / 255.0


@dataclass
class MapStatistics:
    """Mean and standard deviation of each SOART3 map over pictures that are added one by one (Chan et al. 1979).

    Attributes:
        count: number of values of each map.
        mean, squares: (3,) mean of each map, and sum of squared deviations from it.
    """

    count: int = 0
    mean: np.ndarray = field(default_factory=lambda: np.zeros(3))
    squares: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def add(self, maps: np.ndarray) -> None:
        """Add the SOART3 maps of a picture, (3, gh, gw) for its gh x gw windows, to the statistics."""
        values = maps.reshape(3, -1).astype(np.float64)
        mean = values.mean(axis=1)
        self._merge(values.shape[1], mean, ((values - mean[:, None]) ** 2).sum(axis=1))

    def merge(self, other: MapStatistics) -> None:
        """Add the pictures of the statistics `other` to these statistics."""
        if other.count:
            self._merge(other.count, other.mean, other.squares)

    def _merge(self, count: int, mean: np.ndarray, squares: np.ndarray) -> None:
        total = self.count + count
        step = mean - self.mean
        self.squares = self.squares + squares + step**2 * (self.count * count / total)
        self.mean = self.mean + step * (count / total)
        self.count = total

    def as_numbers(self) -> tuple[int, list[float], list[float]]:
        """Return count, mean and squares as JSON values, from which `from_numbers` restores every bit."""
        return self.count, self.mean.tolist(), self.squares.tolist()

    @classmethod
    def from_numbers(cls, numbers: Sequence[Any]) -> MapStatistics:
        """Restore statistics from the values of `as_numbers`."""
        count, mean, squares = numbers
        return cls(count, np.array(mean), np.array(squares))

    @property
    def sd(self) -> np.ndarray:
        """(3,) standard deviation of the values in each of the three SOART3 maps."""
        return np.sqrt(self.squares / max(self.count, 1))


@dataclass(frozen=True)
class UnitSpace:
    """The dataset rows that represent the OK parts of one group.

    Attributes:
        group: scene, housing, terminal, camera and marking, which are the same in all rows of the group.
        source: which rows these are. "train": the group's OK rows in the training split. "few": its first 5 OK rows in
            any split. "pooled": the OK rows of all groups. "all": all rows of the group, as the dataset has no OK row.
            "marking", "housing": the OK rows of the groups that differ only in marking, or in marking and housing.
        rows: run names of these rows; empty for "pooled".
    """

    group: tuple[str, ...]
    source: str
    rows: tuple[str, ...]


def group_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a row's scene, housing, terminal, camera and marking; the rows for which these are equal form a group."""
    return tuple(str(row[name]) for name in GROUP_BY)


@dataclass
class UnitSpaces:
    """Collects the run names of OK rows by group, from which it then makes the unit space of every group.

    A group is the rows with the same scene, housing, terminal, camera and marking.

    Attributes:
        training: run names of each group's OK rows in the training split.
        good: run names of each group's first 5 OK rows in any split.
        every: run names of all rows of each group; None if any group has an OK row.
    """

    training: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    good: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    every: dict[tuple[str, ...], list[str]] | None = field(default_factory=dict)

    def add(self, run: str, group: tuple[str, ...], is_ok: bool, split: str) -> None:
        """Add one row of the dataset; to be called for all rows, in the dataset's order.

        Args:
            run, group, split: the row's run name, its group from `group_of`, and the name of its split.
            is_ok: whether the row's class is OK.
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
        """Return each group's unit space (rows that standardise its maps), sorted by group, for reference "self"."""
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

    def golden(self) -> list[UnitSpace]:
        """Return each group's unit space (the OK rows that make its golden reference), sorted by group.

        Raises:
            ValueError: a group's unit space has fewer than two rows, even with OK rows of other markings and housings.
        """
        spaces, lacking = [], []
        for group in sorted(self.good):
            found = [self._alike(group, source) for source in ("", "marking", "housing")]
            space = next((one for one in found if len(one.rows) >= FEW), max(found, key=lambda one: len(one.rows)))
            spaces.append(space)
            if len(space.rows) < 2:
                lacking.append(f"{', '.join(group)} ({len(space.rows)})")
        if lacking:
            raise ValueError(
                "expected at least 2 OK rows of the same scene, terminal and camera for each golden reference, got "
                f"fewer for {'; '.join(lacking)}"
            )
        return spaces

    def _alike(self, group: tuple[str, ...], source: str) -> UnitSpace:
        """Return the OK rows of a group, or with a `source` those of all groups that differ in nothing else."""
        free = {"": (), "marking": ("marking",), "housing": ("marking", "housing")}[source]
        same = [number for number, name in enumerate(GROUP_BY) if name not in free]
        alike = [other for other in self.good if all(other[number] == group[number] for number in same)]
        trained = sorted(run for other in alike for run in self.training[other])
        rows = trained or sorted(run for other in alike for run in self.good[other])
        return UnitSpace(group, source or ("train" if trained else "few"), tuple(rows))


def make_parameters(
    spaces: Sequence[UnitSpace],
    statistics: Mapping[tuple[str, ...], MapStatistics],
    window: int,
    stride: int,
    golden: Mapping[tuple[str, ...], tuple[str, str]] | None = None,
) -> dict[str, Any]:
    """Make the contents of nsoart.json.

    Args:
        spaces: unit space of each group, from `UnitSpaces.found` or `UnitSpaces.golden`.
        statistics: statistics of the SOART3 maps, by group; needed for the groups whose unit space has rows.
        window, stride: side and step of the windows, px.
        golden: file (path in the dataset) and SHA-256 of the golden reference, by group; None: the reference is "self".
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
        "reference": SELF if golden is None else GOLDEN,
        **({} if golden is None else {"tolerance_px": TOLERANCE_PX}),
        "code": {"function": "floor(127.5 (1 + z / (|z| + knee)) + 0.5)", "knee": CODE_KNEE, "sd_floor": SD_FLOOR},
        "group_by": list(GROUP_BY),
        "pooled": _moments(pooled),
        "groups": [
            {
                **dict(zip(GROUP_BY, space.group, strict=True)),
                "unit_space": space.source,
                "rows": list(space.rows),
                **({} if golden is None else dict(zip(("file", "sha256"), golden[space.group], strict=True))),
                **_moments(statistics[space.group] if space.rows else pooled),
            }
            for space in spaces
        ],
    }


def _moments(statistics: MapStatistics) -> dict[str, list[float]]:
    return {"mean": statistics.mean.tolist(), "sd": statistics.sd.tolist()}


def nsoart_maps(picture: Image.Image, window: int, stride: int) -> np.ndarray:
    """Compute a picture's SOART3 maps against its own mean window: (3, gh, gw) float32, for gh x gw windows."""
    return soart3_map(grey(picture), None, window=window, stride=stride)


def golden_group(parameters: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the entry of nsoart.json with the golden reference for a part.

    Args:
        parameters: contents of a nsoart.json with golden references.
        known: scene, housing, terminal, camera and marking of the part, by name; a name that is missing, or whose value
            is None or empty, is not known.

    Raises:
        ValueError: no group has these values, or several groups with different references have them.
    """
    given = {name: str(known[name]) for name in GROUP_BY if known.get(name) not in (None, "")}
    groups: Sequence[Mapping[str, Any]] = parameters["groups"]
    found = [each for each in groups if all(each[name] == value for name, value in given.items())]
    said = ", ".join(f"{name} {value}" for name, value in given.items()) or "an unknown part"
    if not found:
        kept = "; ".join(", ".join(group_of(each)) for each in groups)
        raise ValueError(f"no golden reference for NSOART of {said}: nsoart.json has those of {kept}")
    if len({each["file"] for each in found}) > 1:
        open_ = [name for name in GROUP_BY if len({each[name] for each in found}) > 1]
        choices = "; ".join(f"{name} ({' or '.join(sorted({each[name] for each in found}))})" for name in open_)
        raise ValueError(f"several golden references for NSOART of {said}: give also {choices} to select one")
    return found[0]


def golden_reference(parameters: Mapping[str, Any], known: Mapping[str, Any], folder: Path) -> Reference:
    """Read the golden reference for a part from the dataset's folder.

    Args:
        parameters: contents of the dataset's nsoart.json.
        known: scene, housing, terminal, camera and marking of the part, by name, as far as known.
        folder: folder of nsoart.json.

    Raises:
        ValueError: no reference or several fit the part, or the reference's file is damaged.
    """
    group = golden_group(parameters, known)
    return read_reference(folder / group["file"], group["sha256"])


def is_golden(parameters: Mapping[str, Any]) -> bool:
    """Return whether the contents of nsoart.json, `parameters`, contain golden references."""
    return parameters.get("reference") == GOLDEN


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Check that NSOART can be computed with the contents of a dataset's nsoart.json.

    Raises:
        ValueError: the contents are of another version, or lack the window.
    """
    for name, known in (("schema", (SCHEMA,)), ("reference", REFERENCES)):
        if parameters.get(name) not in known:
            wanted = " or ".join(repr(value) for value in known)
            raise ValueError(f"parameters of nsoart.json: expected {name} {wanted}, got {parameters.get(name)!r}")
    for name in ("window", "stride"):
        if not isinstance(size := parameters.get(name), int) or size < 1:
            raise ValueError(f"parameters of nsoart.json: expected {name} as a whole number from 1, got {size!r}")


def nsoart_picture(
    picture: Image.Image,
    parameters: Mapping[str, Any],
    row: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    member: str | None = None,
) -> Image.Image:
    """Compute NSOART of any picture with the parameters of a dataset.

    Args:
        picture: a render or a photo, at least as large as the window.
        parameters: contents of the dataset's nsoart.json.
        row: scene, housing, terminal, camera and marking of the part, by name. They select the group of the dataset
            whose statistics are used. With "self" references, all five must be given; None or an unknown group selects
            the statistics of all groups together. With golden references, some may be missing as in `golden_group`.
        folder: folder of nsoart.json; needed for golden references.
        member: run name of the picture, if it is a row of this dataset: its golden reference is made without it.

    Returns:
        An RGB picture of the same size, with channels log_beta, log_yita, log_gamma.

    Raises:
        ValueError: the parameters have another version, the picture is smaller than the window, or no single golden
            reference fits it, or its file is missing or damaged.
    """
    check_parameters(parameters)
    window, stride = parameters["window"], parameters["stride"]
    if is_golden(parameters):
        if folder is None:
            raise ValueError("folder: expected the folder with nsoart.json and the golden references, got None")
        reference = golden_reference(parameters, row or {}, folder)
        maps, shape = reference.maps(picture, member, window, stride), reference.anchor.shape
    else:
        maps, shape = nsoart_maps(picture, window, stride), (picture.height, picture.width)
    chart = coded(maps, parameters, row, shape)
    return chart if chart.size == picture.size else chart.resize(picture.size, Image.Resampling.NEAREST)


def coded(
    maps: np.ndarray, parameters: Mapping[str, Any], row: Mapping[str, Any] | None, shape: Sequence[int]
) -> Image.Image:
    """Standardise the SOART3 maps (3, gh, gw) of a picture by its group's unit space, and code them as an RGB picture.

    `parameters` and `row` are as for `nsoart_picture`; `shape` is (H, W) of the picture, px.
    """
    if (knee := parameters["code"]["knee"]) != CODE_KNEE:
        raise ValueError(f"parameters of nsoart.json: knee must be {CODE_KNEE}, got {knee}")
    moments = parameters["pooled"]
    if is_golden(parameters):
        moments = golden_group(parameters, row or {})
    elif row is not None:
        group = group_of(row)
        moments = next((entry for entry in parameters["groups"] if group_of(entry) == group), moments)
    settings = {
        "mean": moments["mean"],
        "sd": moments["sd"],
        "window": parameters["window"],
        "stride": parameters["stride"],
        "size": tuple(shape),
    }
    return Image.fromarray(encode_nsoart(maps, settings))
