"""Check whether a located part looks like those of the training, on which its uncertainties were calibrated.

A gauge's uncertainties hold for the housings, terminals and lights of its training. A part is INVALID

- by name: if the training showed no connector of its scene, its housing or its terminal;
- by the colour of its pins: another plating reflects other colours;
- by what the network computes at the housing's edges (`generator.verdict.feature_gate`): another light or housing.

Colours and features are compared view by view with those of training and validation pictures, which give the limits.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from blender_scripts.contract.errors import InputError
from generator.io import array_file
from generator.io.output_file import write_whole
from generator.locating.drawings import Key
from generator.locating.locate import Located, Sighting
from generator.verdict.feature_gate import FeatureGate
from generator.verdict.tails import limits, moved_pair

FILE = "likeness.npz"
SCHEMA = 1
# Probability above which a pin counts as there, and the px on each side of its tip that show its colour.
_THERE, _AROUND_PX = 0.5, 1
# Added to the sum of red, green and blue, so that a dark tip's noise has no colour.
_DARK = 10.0
# Smallest distance of a colour's limits from the median: the colours of one kind of metal differ by as much.
_LEAST_COLOUR = 0.02
_TONES = ("(red - green) / sum", "(green - blue) / sum")


class Looks(NamedTuple):
    """What one view of a located part looks like.

    Attributes:
        colour: (2,) colour of the pins, see `pin_colour`; None if no pin is present.
        features: (F,) mean of the network's features over points of the housing's edges, or over the pins of a housing
            without stated edges; None if the network gives no features.
    """

    colour: np.ndarray | None
    features: np.ndarray | None


def looks_of(part: Located) -> dict[str, Looks]:
    """Return the colour of the pins and the network's features in each view of a located part, by name of the view."""
    return {seen.view.name: Looks(pin_colour(seen), part.features[seen.view.name]) for seen in part.pins}


def pin_colour(seen: Sighting) -> np.ndarray | None:
    """Return the colour (2,) of the pins in a view: red - green and green - blue, each divided by red + green + blue.

    Each of red, green and blue is the median over all present pins of the mean over 3 x 3 px at the pin's tip. The
    result is None if no pin is present and seen.
    """
    pixels = seen.view.pixels
    height, width = pixels.shape[:2]
    tips = np.floor(seen.found.points[(seen.found.present > _THERE) & seen.sees(0), 0]).astype(int)
    steps = np.arange(-_AROUND_PX, _AROUND_PX + 1)
    if not len(tips):
        return None
    columns, rows = tips[:, 0, None] + steps, tips[:, 1, None] + steps
    near = pixels[np.clip(rows, 0, height - 1)[:, :, None], np.clip(columns, 0, width - 1)[:, None, :]]
    red, green, blue = np.median(near.mean(axis=(1, 2)), axis=0)
    colour: np.ndarray = np.array([red - green, green - blue]) / (red + green + blue + _DARK)
    return colour


@dataclass(frozen=True)
class ViewLikeness:
    """Limits of one view, within which a part looks like those of the training.

    Attributes:
        colours: (2, 2) a row for each of the two numbers of `pin_colour`: the lowest and the highest value allowed.
        features: gate that limits the distance of the features from those of the training; None if the network gives
            no features.
    """

    colours: np.ndarray
    features: FeatureGate | None

    @classmethod
    def of(cls, training: Sequence[Looks], validation: Sequence[Looks]) -> ViewLikeness:
        """Learn the limits from pictures of one view; those of colour are infinite if fewer than 3 show pins."""
        shown = [each.colour for each in (*training, *validation) if each.colour is not None]
        colours = np.array([limits(tone, _LEAST_COLOUR) for tone in np.reshape(shown, (-1, 2)).T])
        known, new = (
            [each.features[:, None, None] for each in some if each.features is not None]
            for some in (training, validation)
        )
        return cls(colours, FeatureGate.of(np.stack(known), np.stack(new)) if known and new else None)

    def widened(self, looks: Sequence[Looks], most: float) -> ViewLikeness:
        """Return wider limits, which allow further parts as far as no limit moves away too far.

        A limit moves only if one of the parts exceeds it.

        Args:
            looks: what these parts look like; fewer than 8 move no limit.
            most: largest factor, above 1, on the width of the limits of a colour and on the limit of the features.
        """
        shown = [each.colour for each in looks if each.colour is not None]
        colours = self.colours
        if shown:
            room = 0.5 * (most - 1.0) * (colours[:, 1] - colours[:, 0])
            moved = [
                moved_pair((low, high), tone, (each, each))
                for (low, high), tone, each in zip(colours, np.reshape(shown, (-1, 2)).T, room, strict=True)
            ]
            colours = np.array(moved)
        known = [each.features[:, None, None] for each in looks if each.features is not None]
        gate = self.features
        return ViewLikeness(colours, gate.widened(np.stack(known), most) if gate is not None and known else gate)

    def reasons(self, found: Looks) -> list[str]:
        """Return a text for each limit of colour or features that a part violates; empty if there is none."""
        said = []
        if found.colour is not None:
            for name, value, (low, high) in zip(_TONES, found.colour, self.colours, strict=True):
                if not low <= value <= high:
                    said.append(f"colour of the pins: {name} = {value:+.3f}, in training {low:+.3f} to {high:+.3f}")
        if self.features is not None and found.features is not None:
            (more,) = self.features.reasons(found.features[None, :, None, None])
            said += more
        return said


@dataclass(frozen=True)
class Likeness:
    """What the parts of a gauge's training look like.

    Attributes:
        trained: scene, housing and terminal of each connector in the training pictures.
        views: limits of colour and features, by name of the view.
    """

    trained: frozenset[Key]
    views: Mapping[str, ViewLikeness]

    def reasons(self, key: Key, looks: Mapping[str, Looks]) -> list[str]:
        """Return why a part is unlike the parts of the training, "unlike training: ..."; empty if it is like them.

        Args:
            key: scene, housing and terminal of the part.
            looks: what the part looks like, by view; a view that the training did not show is not compared.
        """
        scene, housing, terminal = key
        shown = [each for each in self.trained if each[0] == scene]
        if not shown:
            return [f"unlike training: scene {scene}, in training {_listed(each[0] for each in self.trained)}"]
        said = []
        for what, name, at in (("housing", housing, 1), ("terminal", terminal, 2)):
            if name not in (names := {each[at] for each in shown}):
                said.append(f"unlike training: {what} {name}, in training {_listed(names)} (scene {scene})")
        for view, found in looks.items():
            if view in self.views:
                said += [f"unlike training: {each} (view {view})" for each in self.views[view].reasons(found)]
        return said

    def save(self, folder: Path) -> None:
        """Write FOLDER/likeness.npz, atomically and without pickled objects."""
        write_whole(folder / FILE, self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the content of the file that `save` writes."""
        header = {"schema": SCHEMA, "trained": sorted(self.trained), "views": list(self.views)}
        arrays: dict[str, np.ndarray] = {}
        for number, each in enumerate(self.views.values()):
            arrays[f"{number} colours"] = each.colours
            own = each.features.arrays() if each.features is not None else {}
            arrays |= {f"{number} {name}": array for name, array in own.items()}
        return array_file.pack(header, arrays)

    @classmethod
    def of_bytes(cls, content: Path | io.BytesIO, place: str) -> Likeness:
        """Read what `to_bytes` returned, from a file or from memory; `place` is the file's name, for error messages.

        Raises:
            InputError: the content is damaged.
        """
        try:
            header, arrays = array_file.unpack(content, SCHEMA)
            views = {view: _view_of(number, arrays) for number, view in enumerate(header["views"])}
            return cls(frozenset((str(a), str(b), str(c)) for a, b, c in header["trained"]), views)
        except array_file.DAMAGED as error:
            raise InputError(f"{place}: expected limits of colour and features, got damaged content: {error}") from None


def _view_of(number: int, arrays: Mapping[str, np.ndarray]) -> ViewLikeness:
    own = {name.partition(" ")[2]: array for name, array in arrays.items() if name.startswith(f"{number} ")}
    colours = own.pop("colours")
    if colours.shape != (2, 2) or np.isnan(colours).any():
        raise ValueError(f"limits of colour of shape {colours.shape} or with NaN, not 2 x 2 numbers")
    gate = FeatureGate.of_arrays(own) if own else None
    if gate is not None and not math.isfinite(float(np.sum(gate.matrix))):
        raise ValueError("an array `matrix` with numbers that are not finite")
    return ViewLikeness(colours, gate)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))
