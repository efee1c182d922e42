"""Gates: whether a picture can be judged at all. What they refuse is INVALID, whatever a network would say of it.

The limits are learned from good pictures, OK and NG alike: the training and validation pictures of a run, or the golden
pictures of an inspection. No limit is a constant of the program, except for flat pictures and half turns. A gate's
sentence begins with its keyword:

    size         width and height, or their ratio, unlike all training pictures
    exposure     too dark, too bright, burnt out
    contrast     flat, or more contrast than any training picture
    sharpness    blurred; also by movement, across or down
    noise        more fine structure than any training picture
    orientation  the picture turned by 90, 180 or 270° is far more like the training pictures than as given
    view         one part of the picture is unlike all training pictures: the part is not wholly in view, or hidden
    appearance   the whole picture is unlike all training pictures

    gates = PictureGates.of(pictures, groups)
    gates.reasons(picture)                        # [] if it can be judged
    gates.save(folder); PictureGates.load(folder)

Measures: `generator.verdict.measures`, `generator.verdict.appearance`. How limits are set: `generator.verdict.tails`.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.io.output_file import write_whole
from generator.verdict.appearance import BINS, CELL_PX, LONGER_PX, References, cells, grey_values
from generator.verdict.measures import GATES, MEASURES, NAMES, flat, measures_of
from generator.verdict.tails import limits, upper_limit

FILE = "gates.npz"
SCHEMA = 1
# More pictures are not kept: drawn evenly from all.
MOST_REFERENCES = 1000
ARRAYS = ("header", "histograms", "groups", "measures")
TINY = 1e-9
# Size and ratio may differ this much from the nearest training picture's.
SCALE_MARGIN, ASPECT_MARGIN = 1.25, 1.03
# A turned copy has to differ by less than half as much as the picture given, before a turn is reported.
LEAST_TURN = math.log(2.0)


@dataclass(frozen=True)
class Limits:
    """What good pictures show at most.

    Attributes:
        pictures: number of pictures that the limits were learned from.
        grid: (W, H) px to which pictures are stretched for their appearance.
        diagonal_px, aspect: smallest and largest of the pictures' diagonals, and of width / height.
        measures: by name of measure, the limits below and above of its difference from similar training pictures.
        appearance: largest mean difference of a picture's cells.
        turn: largest log of the difference as given over that of a turned copy.
    """

    pictures: int
    grid: tuple[int, int]
    diagonal_px: tuple[float, float]
    aspect: tuple[float, float]
    measures: Mapping[str, tuple[float, float]]
    appearance: float
    turn: float


@dataclass(frozen=True)
class Look:
    """A picture compared with the training pictures.

    Attributes:
        beyond: (8,) its measures less the medians of similar training pictures.
        difference: (rows, columns) how each cell differs from all similar training pictures.
        distance: mean of `difference`, above 0.
        turns: (3,) log of `distance` over that of the picture turned by 90, 180 and 270° counter-clockwise.
    """

    beyond: np.ndarray
    difference: np.ndarray
    distance: float
    turns: np.ndarray


class PictureGates:
    """The gates of a run or unit space: see the module.

    Args:
        limits: what good pictures show at most.
        references: cells of the training pictures.
        measures: (N, 8) measures of the training pictures.
    """

    def __init__(self, limits: Limits, references: References, measures: np.ndarray) -> None:
        self.limits, self.references, self.measures = limits, references, measures

    @classmethod
    def of(cls, pictures: Iterable[Image.Image], groups: Sequence[Hashable] | None = None) -> PictureGates:
        """Learn the gates from pictures that can be judged, OK and NG alike.

        Args:
            pictures: N upright pictures, mode RGB or L, as `generator.io.pictures.open_picture` returns them. They are
                read once, one after the other.
            groups: (N,) which part, or original of a copy, each picture shows: a picture is not compared with others
                of its group, as they would make it look more regular than a new part; None: all differ.

        Raises:
            ValueError: no pictures.
        """
        sizes, greys, measured = [], [], []
        for picture in pictures:
            sizes.append(picture.size)
            greys.append(grey_values(picture, _reduced(picture.size)))
            measured.append(measures_of(picture))
        if not sizes:
            raise ValueError("expected at least one picture, got none")
        width, height = np.array(sizes, dtype=np.float64).T
        grid = _grid(float(np.median(width / height)))
        histograms = np.stack([cells(_stretched(grey, grid)) for grey in greys])
        numbers = _numbered(groups or range(len(sizes)))
        kept = np.unique(np.linspace(0, len(sizes) - 1, min(len(sizes), MOST_REFERENCES)).round().astype(np.int64))
        made = cls(_unlimited(grid), References(histograms[kept], numbers[kept]), np.stack(measured)[kept])
        looks = [
            made._look(*each)
            for each in zip(histograms, greys, measured, numbers, strict=True)
            if (made.references.groups != each[3]).any()
        ]
        beyond = np.array([look.beyond for look in looks]).reshape(-1, len(NAMES))
        made.limits = Limits(
            pictures=len(sizes),
            grid=grid,
            diagonal_px=_range(np.hypot(width, height)),
            aspect=_range(width / height),
            measures={name: limits(beyond[:, k], MEASURES[name].least) for k, name in enumerate(NAMES)},
            appearance=math.exp(upper_limit(np.array([math.log(look.distance) for look in looks]))),
            turn=max([LEAST_TURN, *(1.5 * look.turns.max() for look in looks)]),
        )
        return made

    def reasons(self, picture: Image.Image) -> list[str]:
        """Return why a picture cannot be judged, a sentence for each gate that refuses it; empty if it can.

        Args:
            picture: upright, mode RGB or L.
        """
        measured = measures_of(picture)
        if flat(measured):
            return ["contrast: the picture is flat, it shows nothing"]
        grey = grey_values(picture, _reduced(picture.size))
        look = self._look(cells(_stretched(grey, self.limits.grid)), grey, measured)
        return [*self._size(picture.size), *self._measures(look.beyond), *self._appearance(look)]

    def _look(self, histograms: np.ndarray, grey: np.ndarray, measured: np.ndarray, without: int | None = None) -> Look:
        """Compare a picture with the training pictures, except those of group `without`."""
        nearest = self.references.nearest(histograms, without)
        difference = self.references.differences(histograms, nearest)
        distance = max(float(difference.mean()), TINY)
        turns = []
        for turn in (1, 2, 3):
            copy = cells(_stretched(np.rot90(grey, turn), self.limits.grid))
            away = self.references.differences(copy, self.references.nearest(copy, without))
            turns.append(math.log(distance / max(float(away.mean()), TINY)))
        beyond = measured - np.median(self.measures[nearest], axis=0)
        return Look(beyond, difference, distance, np.array(turns))

    def _measures(self, beyond: np.ndarray) -> list[str]:
        said = []
        for gate in GATES:
            value, limit = float(beyond[NAMES.index(gate.measure)]), self.limits.measures[gate.measure][int(gate.above)]
            if (value > limit) if gate.above else (value < limit):
                said.append(gate.sentence(value, limit))
        return said

    def _size(self, size: tuple[int, int]) -> list[str]:
        (small, large), (narrow, wide) = self.limits.diagonal_px, self.limits.aspect
        aspect = size[0] / size[1]
        if not narrow / ASPECT_MARGIN <= aspect <= wide * ASPECT_MARGIN:
            trained = f"{narrow:.2f}" if wide - narrow < 0.005 else f"{narrow:.2f} to {wide:.2f}"
            return [f"size: {size[0]} x {size[1]} px, width / height {aspect:.2f}; training pictures have {trained}"]
        diagonal = math.hypot(*size)
        if not small / SCALE_MARGIN <= diagonal <= large * SCALE_MARGIN:
            trained = f"{small:.0f}" if large - small < 1 else f"{small:.0f} to {large:.0f}"
            return [f"size: {size[0]} x {size[1]} px, diagonal {diagonal:.0f} px; training pictures have {trained} px"]
        return []

    def _appearance(self, look: Look) -> list[str]:
        said = []
        if (most := float(look.turns.max())) > self.limits.turn:
            turn = 90 * (1 + int(look.turns.argmax()))
            said.append(
                f"orientation: turned counter-clockwise by {turn}°, the picture would be {math.exp(most):.1f} times "
                "nearer to the training pictures"
            )
        if look.distance > self.limits.appearance:
            times = f"{look.distance / self.limits.appearance:.1f} times the limit"
            side = _side(look.difference)
            said.append(
                f"view: {side} of the picture is unlike all training pictures ({times})"
                if side
                else f"appearance: unlike all training pictures ({times})"
            )
        return said

    def save(self, folder: Path) -> None:
        """Write the gates into FOLDER/gates.npz, atomically and without pickled objects."""
        header = json.dumps({"schema": SCHEMA, "made_by": "pinsight", "limits": asdict(self.limits)})
        content = io.BytesIO()
        np.savez_compressed(
            content,
            header=np.frombuffer(header.encode(), dtype=np.uint8),
            histograms=self.references.histograms,
            groups=self.references.groups,
            measures=self.measures,
        )
        write_whole(folder / FILE, content.getvalue())

    @classmethod
    def load(cls, folder: Path) -> PictureGates | None:
        """Read FOLDER/gates.npz; None where there is no such file.

        Raises:
            InputError: the file is damaged or of another origin.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                header, histograms, groups, measures = (file[name] for name in ARRAYS)
            document = json.loads(header.tobytes())
            if document["schema"] != SCHEMA:
                raise ValueError(f"schema {document['schema']!r}")
            learned = _limits_of(document["limits"])
            shape = (len(groups), BINS, learned.grid[1] // CELL_PX, learned.grid[0] // CELL_PX)
            if histograms.shape != shape or measures.shape != (len(groups), len(NAMES)):
                raise ValueError(f"arrays of shapes {histograms.shape}, {measures.shape}")
            return cls(learned, References(histograms, groups), measures)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: expected gates that a training wrote, got {error}") from None


def _limits_of(held: Mapping[str, Any]) -> Limits:
    def pair(ends: Sequence[Any]) -> tuple[float, float]:
        low, high = ends
        return float(low), float(high)

    width, height = held["grid"]
    return Limits(
        pictures=int(held["pictures"]),
        grid=(int(width), int(height)),
        diagonal_px=pair(held["diagonal_px"]),
        aspect=pair(held["aspect"]),
        measures={name: pair(held["measures"][name]) for name in NAMES},
        appearance=float(held["appearance"]),
        turn=float(held["turn"]),
    )


def _grid(aspect: float) -> tuple[int, int]:
    """Return the size (W, H) in px, whole cells, in which pictures of this width / height are compared."""
    wide, high = (LONGER_PX, LONGER_PX / aspect) if aspect >= 1 else (LONGER_PX * aspect, LONGER_PX)
    width, height = (max(2, round(side / CELL_PX)) * CELL_PX for side in (wide, high))
    return width, height


def _stretched(grey: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    if grey.shape == grid[::-1]:
        return grey
    return grey_values(Image.fromarray((255 * grey).round().astype(np.uint8)), grid)


def _reduced(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size (W, H) in px of a picture reduced so that its shorter side has at most LONGER_PX."""
    factor = min(1.0, LONGER_PX / min(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _numbered(groups: Iterable[Hashable]) -> np.ndarray:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups])


def _unlimited(grid: tuple[int, int]) -> Limits:
    return Limits(0, grid, (0.0, math.inf), (0.0, math.inf), {}, math.inf, math.inf)


def _range(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _side(difference: np.ndarray) -> str:
    """Name the side of the picture that holds most of the difference (rows, columns); empty if none stands out."""
    rows, columns = difference.shape
    parts = {
        "the left side": difference[:, : columns // 2],
        "the right side": difference[:, -(columns // 2) :],
        "the upper side": difference[: rows // 2],
        "the lower side": difference[-(rows // 2) :],
    }
    shares = {name: float(part.sum() / difference.sum()) for name, part in parts.items()}
    most = max(shares, key=lambda name: shares[name])
    return most if shares[most] > 0.8 else ""
