"""Gates: checks of whether a picture can be judged at all. A picture that a gate refuses gets the verdict INVALID.

The limits are learned from pictures that can be judged, here called training pictures: the training and validation
pictures of a network (of OK and NG parts), or the OK pictures of an inspection. A gate that refuses a picture gives its
reason as a sentence, which begins with the gate's keyword:

    size         width and height, or their ratio, are unlike those of all training pictures
    exposure     the picture is too dark, too bright or burnt out
    contrast     it has less or more contrast than the training pictures
    sharpness    it is blurred, in all directions or only across or down, as by movement
    noise        it has more fine structure than the training pictures
    orientation  it is turned by 90, 180 or 270°; a part that looks the same after the turn is not refused
    view         one side of it is unlike all training pictures: the part is not wholly in view, or hidden
    appearance   the whole picture is unlike all training pictures
    colour       its colours are unlike those of all training pictures

    gates = PictureGates.of(pictures, groups)
    gates.reasons(picture)                        # [] if it can be judged
    gates.save(folder); PictureGates.load(folder)

Measures: `generator.verdict.measures`, `appearance`, `colours` and `orientation`. How limits are set:
`generator.verdict.tails`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.io import array_file
from generator.io.output_file import write_whole
from generator.verdict import colours
from generator.verdict.appearance import BINS, CELL_PX, LONGER_PX, References, cells, grey_values
from generator.verdict.decimals import told_apart
from generator.verdict.gate_limits import GateLimits, limits_of
from generator.verdict.measures import MEASURE_GATES, MEASURE_NAMES, MEASURES, flat, measures_of
from generator.verdict.orientation import Orientation
from generator.verdict.tails import limits, moved, moved_pair, upper_limit

FILE = "gates.npz"
TRAINING = "training pictures"
SCHEMA = 1
# Most training pictures that are kept; of more, so many are drawn evenly.
MOST_REFERENCES = 1000
ARRAYS = ("histograms", "groups", "measures", "weights", "turned")
# Files of older versions lack this array, and the limit of colour: they refuse no picture for its colours.
TONES = "tones"
# Turns that are tried beside 180°; of oblong pictures only to explain a refusal.
TURNS = (90, 270)
# Added to both differences of which a ratio is taken: pictures that are among the training pictures differ by 0.
SMALL = 0.003
# Size and ratio may differ this much from the nearest training picture's.
SCALE_MARGIN, ASPECT_MARGIN = 1.25, 1.03
# A turned copy has to differ by less than half as much as the picture given, before a turn is reported.
LEAST_TURN = math.log(2.0)


@dataclass(frozen=True)
class Comparison:
    """The result of comparing a picture with the training pictures.

    Attributes:
        beyond: (8,) the picture's measures, in the order of `generator.verdict.measures.MEASURES`, minus the medians of
            the measures of similar training pictures.
        difference: (rows, columns) smallest squared difference of each cell of the picture from similar training
            pictures, see `generator.verdict.appearance`.
        distance: mean of `difference`.
        upright: score of `generator.verdict.orientation`: about 1 if upright, -1 if turned by 180°.
        turns: for each turn that was tried (degrees counter-clockwise), log(`distance` / distance of the picture after
            this turn); above 0, the picture turned is more similar to the training pictures.
        colour: distance of the picture's colours from those of training pictures; 0 if these are not known.
    """

    beyond: np.ndarray
    difference: np.ndarray
    distance: float
    upright: float
    turns: Mapping[int, float]
    colour: float = 0.0


class PictureGates:
    """The gates of a training run, or of a unit space (the OK pictures of an inspection).

    Args:
        limits: limits of the gates.
        references: the N training pictures, whose `maps` are the histograms of their cells.
        measures: (N, 8) measures of the training pictures, in the order of MEASURES.
        orientation: the regression that recognises pictures turned by 180°.
        tones: (N, 2, rows, columns) colours of the training pictures, from `colours.tones`; None: not known.
    """

    def __init__(
        self,
        limits: GateLimits,
        references: References,
        measures: np.ndarray,
        orientation: Orientation,
        tones: np.ndarray | None = None,
    ) -> None:
        self.limits, self.references, self.measures, self.orientation = limits, references, measures, orientation
        self.tones = tones

    @classmethod
    def of(cls, pictures: Iterable[Image.Image], groups: Sequence[Hashable] | None = None) -> PictureGates:
        """Learn the gates from training pictures: pictures that can be judged, of OK and NG parts alike.

        With fewer than 3 pictures, or with a single group, limits other than those of size and turn are infinite.

        Args:
            pictures: N upright pictures, mode RGB or L, from `generator.io.pictures.open_picture`; each is read once.
            groups: (N,) for each picture, the part that it shows or the original that it is a copy of; None: every
                picture has a group of its own. A picture is not compared with those of its own group, which are more
                similar to it than pictures of a new part will be.

        Raises:
            ValueError: there are no pictures.
        """
        sizes, greys, measured, small = [], [], [], []
        for picture in pictures:
            sizes.append(picture.size)
            greys.append(_grey_bytes(picture))
            measured.append(measures_of(picture))
            small.append(colours.reduced(picture))
        if not sizes:
            raise ValueError("expected at least one picture, got none")
        width, height = np.array(sizes, dtype=np.float64).T
        grid = _grid(float(np.median(width / height)))
        histograms = np.stack([cells(_stretched(grey, grid)) for grey in greys])
        toned = np.stack([colours.tones(one, _cells(grid)) for one in small]).astype(np.float16)
        numbers = _numbered(groups or range(len(sizes)))
        kept = np.unique(np.linspace(0, len(sizes) - 1, min(len(sizes), MOST_REFERENCES)).round().astype(np.int64))
        made = cls(
            _unlimited(grid),
            References(histograms[kept], numbers[kept]),
            np.stack(measured)[kept],
            Orientation.of(histograms[kept], numbers[kept]),
            toned[kept],
        )
        looks = [
            made._look(*each)
            for each in zip(histograms, greys, measured, toned, numbers, strict=True)
            if (made.references.groups != each[4]).any()
        ]
        beyond = np.array([look.beyond for look in looks]).reshape(-1, len(MEASURE_NAMES))
        made.limits = GateLimits(
            pictures=len(sizes),
            grid=grid,
            diagonal_px=_range(np.hypot(width, height)),
            aspect=_range(width / height),
            measures={name: limits(beyond[:, k], MEASURES[name].least) for k, name in enumerate(MEASURE_NAMES)},
            appearance=math.exp(upper_limit(np.log([look.distance + SMALL for look in looks]))) - SMALL,
            colour=colours.limit([look.colour for look in looks]),
            turn=_turn_limit([max(look.turns.values()) for look in looks if look.turns]),
        )
        return made

    def reasons(
        self,
        picture: Image.Image,
        *,
        half_turn_alike: bool = False,
        noun: str = TRAINING,
        own_size: tuple[int, int] | None = None,
    ) -> list[str]:
        """Return a sentence for each gate that refuses a picture (RGB or L, from `open_picture`); [] if none does.

        Args:
            half_turn_alike: the part looks the same after a half turn, so that this turn is no reason.
            noun: what the sentences call the training pictures.
            own_size: size (W, H), px, of the file from which the picture was resampled; None: that of the picture.
        """
        measured = measures_of(picture)
        if flat(measured):
            return ["contrast: the whole picture has one grey value"]
        grey = _grey_bytes(picture)
        look = self._look_at(picture, grey, measured)
        size, unlike = self.size_reasons(picture.size, noun, own_size), self._unlike(look, noun)
        if size or unlike:
            more = {turn: self._turn(look.distance, grey, turn) for turn in TURNS if turn not in look.turns}
            look = replace(look, turns={**look.turns, **more})
        # Of another part the regression says anything: its half-turned copy must be more like the training pictures.
        half_turned = not half_turn_alike and (not unlike or self._turn(look.distance, grey, 180) > 0)
        turned = self._turned(look, half_turned, noun)
        return [*size, *self._measures(look.beyond, noun), *turned, *unlike, *self._coloured(look, noun)]

    def widened(self, pictures: Sequence[Image.Image], most: float) -> PictureGates:
        """Return gates with wider limits of measures and appearance, so that further pictures can be judged.

        A limit moves only if one of the pictures exceeds it, and only so far that all are allowed.

        Args:
            pictures: pictures that can be judged, unlike those of the training in light, blur or noise; with fewer than
                8, all limits stay.
            most: largest factor, above 1, by which a limit moves away from similar training pictures. So the gates may
                still refuse some of `pictures`.
        """
        looks = [self._look_at(picture, _grey_bytes(picture), measures_of(picture)) for picture in pictures]
        beyond = np.array([look.beyond for look in looks]).reshape(-1, len(MEASURE_NAMES))
        measured = {
            name: moved_pair((low, high), beyond[:, index], ((most - 1.0) * abs(low), (most - 1.0) * abs(high)))
            for index, name in enumerate(MEASURE_NAMES)
            for low, high in [self.limits.measures[name]]
        }
        known = self.limits.appearance
        appearance = moved(known, np.array([look.distance for look in looks]), (most - 1.0) * known)
        tone = self.limits.colour
        colour = moved(tone, np.array([look.colour for look in looks]), (most - 1.0) * tone)
        wider = replace(self.limits, measures=measured, appearance=appearance, colour=colour)
        return PictureGates(wider, self.references, self.measures, self.orientation, self.tones)

    def _look_at(self, picture: Image.Image, grey: np.ndarray, measured: np.ndarray) -> Comparison:
        grid = self.limits.grid
        toned = colours.tones(colours.reduced(picture), _cells(grid))
        return self._look(cells(_stretched(grey, grid)), grey, measured, toned)

    def _look(
        self,
        histograms: np.ndarray,
        grey: np.ndarray,
        measured: np.ndarray,
        toned: np.ndarray,
        without: int | None = None,
    ) -> Comparison:
        """Compare a picture with the training pictures, except those of group `without`."""
        nearest = self.references.nearest(histograms, without)
        difference = self.references.differences(histograms, nearest)
        distance = float(difference.mean())
        turns = {} if self._oblong else {turn: self._turn(distance, grey, turn, without) for turn in TURNS}
        beyond = measured - np.median(self.measures[nearest], axis=0)
        known = self.tones if self.tones is None or without is None else self.tones[self.references.groups != without]
        colour = 0.0 if known is None else colours.distance(toned, known)
        return Comparison(beyond, difference, distance, self.orientation.score(histograms), turns, colour)

    @property
    def _oblong(self) -> bool:
        """Whether a picture turned by 90° has another shape, so that its size alone shows it."""
        width, height = self.limits.grid
        return width != height

    def _turn(self, distance: float, grey: np.ndarray, turn: int, without: int | None = None) -> float:
        """Return the log of a picture's distance over that of its copy turned counter-clockwise by `turn` degrees."""
        copy = cells(_stretched(np.rot90(grey, turn // 90), self.limits.grid))
        away = self.references.differences(copy, self.references.nearest(copy, without))
        return math.log((distance + SMALL) / (float(away.mean()) + SMALL))

    def _measures(self, beyond: np.ndarray, noun: str) -> list[str]:
        said: dict[str, str] = {}  # by the gate's words: blur shows in fine and coarse structure, but is reported once
        for gate in MEASURE_GATES:
            value = float(beyond[MEASURE_NAMES.index(gate.measure)])
            limit = self.limits.measures[gate.measure][int(gate.above)]
            if (value > limit) if gate.above else (value < limit):
                said.setdefault(gate.words, gate.sentence(value, limit, noun))
        return list(said.values())

    def size_reasons(
        self, size: tuple[int, int], noun: str = TRAINING, own_size: tuple[int, int] | None = None
    ) -> list[str]:
        """Return a sentence if a picture's size (W, H), px, is refused, else []; arguments as for `reasons`."""
        px = "{} x {} px".format(*size)
        if own_size not in (None, size):
            px = "{} x {} px, resampled to {}".format(*own_size, px)
        (small, large), (narrow, wide) = self.limits.diagonal_px, self.limits.aspect
        aspect = size[0] / size[1]
        if not narrow / ASPECT_MARGIN <= aspect <= wide * ASPECT_MARGIN:
            trained = f"{narrow:.2f}" if wide - narrow < 0.005 else f"{narrow:.2f} to {wide:.2f}"
            return [f"size: {px}, width / height {aspect:.2f}, not {trained} as {noun}"]
        diagonal = math.hypot(*size)
        if not small / SCALE_MARGIN <= diagonal <= large * SCALE_MARGIN:
            trained = f"{small:.0f}" if large - small < 1 else f"{small:.0f} to {large:.0f}"
            return [f"size: {px}, diagonal {diagonal:.0f}, not {trained} px as {noun}"]
        return []

    def _turned(self, look: Comparison, half_turned: bool, noun: str) -> list[str]:
        turn = max(look.turns, key=lambda one: look.turns[one], default=0)
        if turn and look.turns[turn] > self.limits.turn:
            times, way = math.exp(look.turns[turn]), "clockwise" if turn == 270 else "counter-clockwise"
            return [
                f"orientation: the picture seems turned: rotated {way} by 90°, it is {times:.1f} times more similar to "
                f"the {noun}"
            ]
        if half_turned and look.upright < -self.orientation.limit:
            upright, least = told_apart(look.upright, -self.orientation.limit, 2)
            return [
                f"orientation: the picture is turned by 180° (score {upright}, at least {least} needed; 1: upright)"
            ]
        return []

    def _unlike(self, look: Comparison, noun: str) -> list[str]:
        if look.distance <= self.limits.appearance:
            return []
        times = f"{max(look.distance / self.limits.appearance, 1.01):.2f} times the limit"
        if side := _side(look.difference):
            return [f"view: {side} of the picture is unlike all {noun} (difference {times})"]
        return [f"appearance: the picture is unlike all {noun} (difference {times})"]

    def _coloured(self, look: Comparison, noun: str) -> list[str]:
        if look.colour <= self.limits.colour:
            return []
        times = max(look.colour / self.limits.colour, 1.01)
        return [f"colour: the colours are unlike those of all {noun} (difference {times:.2f} times the limit)"]

    def save(self, folder: Path) -> None:
        """Write the gates to FOLDER/gates.npz, atomically and without pickled objects."""
        write_whole(folder / FILE, self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the contents of the file that `save` writes."""
        header = {"schema": SCHEMA, "made_by": "pinsight", "limits": asdict(self.limits)}
        own = (self.references.maps, self.references.groups, self.measures)
        turns = (self.orientation.weights, np.array(self.orientation.limit))
        known = {} if self.tones is None else {TONES: self.tones}
        return array_file.pack(header, dict(zip(ARRAYS, (*own, *turns), strict=True)) | known)

    @classmethod
    def load(cls, folder: Path) -> PictureGates | None:
        """Return the gates in FOLDER/gates.npz; None if there is no such file.

        Raises:
            InputError: the file is damaged, or was not written by `save`.
        """
        path = folder / FILE
        return cls.of_bytes(path, str(path)) if path.is_file() else None

    @classmethod
    def of_bytes(cls, content: Path | io.BytesIO, place: str) -> PictureGates:
        """Return the gates that `to_bytes` wrote, from a file or from memory; error messages begin with `place`.

        Raises:
            InputError: the content is damaged.
        """
        try:
            document, arrays = array_file.unpack(content, SCHEMA)
            histograms, groups, measures, weights, turned = (arrays[name] for name in ARRAYS)
            learned = limits_of(document["limits"])
            shape = (len(groups), BINS, learned.grid[1] // CELL_PX, learned.grid[0] // CELL_PX)
            if (
                histograms.shape != shape
                or measures.shape != (len(groups), len(MEASURE_NAMES))
                or weights.shape != shape[1:]
            ):
                raise ValueError(f"arrays of wrong shapes {histograms.shape}, {measures.shape}, {weights.shape}")
            toned = arrays.get(TONES)
            if toned is not None and toned.shape != (len(groups), 2, *shape[2:]):
                raise ValueError(f"array {TONES} of wrong shape {toned.shape}")
            return cls(learned, References(histograms, groups), measures, Orientation(weights, float(turned)), toned)
        except array_file.DAMAGED as error:
            raise InputError(
                f"{place}: expected the file with the limits of picture quality that a training wrote, got {error}: "
                f"delete a training's {FILE}, and write it again by `python -m trainer.evaluate` with the training's "
                "dataset; export an ONNX file again"
            ) from None


def _grid(aspect: float) -> tuple[int, int]:
    """Return the size (W, H) in px, whole cells, in which pictures of this width / height are compared."""
    wide, high = (LONGER_PX, LONGER_PX / aspect) if aspect >= 1 else (LONGER_PX * aspect, LONGER_PX)
    width, height = (max(2, round(side / CELL_PX)) * CELL_PX for side in (wide, high))
    return width, height


def _cells(grid: tuple[int, int]) -> tuple[int, int]:
    """Return the number (columns, rows) of cells of a picture of size `grid`, px."""
    return grid[0] // CELL_PX, grid[1] // CELL_PX


def _stretched(grey: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Stretch grey values (H, W) of 8 bits to `grid` (W, H) px, as floats from 0 to 1."""
    return grey_values(Image.fromarray(grey), grid)


def _grey_bytes(picture: Image.Image) -> np.ndarray:
    """Return a picture's grey values (H, W), 8 bits, its shorter side reduced to at most LONGER_PX."""
    factor = min(1.0, LONGER_PX / min(picture.size))
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return np.asarray(picture.convert("L").resize(size, Image.Resampling.BOX), dtype=np.uint8)


def _numbered(groups: Iterable[Hashable]) -> np.ndarray:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups])


def _unlimited(grid: tuple[int, int]) -> GateLimits:
    return GateLimits(0, grid, (0.0, math.inf), (0.0, math.inf), {}, math.inf, math.inf)


def _turn_limit(ratios: Sequence[float]) -> float:
    """Compute the limit of the log ratio for copies turned by 90° from those of good pictures, near 0 by symmetry.

    It is LEAST_TURN, or 1.5 times the value that 1 % of them exceed: single pictures that were turned do not count.
    """
    return max(LEAST_TURN, 1.5 * float(np.quantile(ratios, 0.99))) if ratios else LEAST_TURN


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
