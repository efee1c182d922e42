"""Straighten photographs: resample them so that the part lies as in the picture of a camera mounted in a station.

In all straightened pictures of a drawing the part has one size and one place, so they can be compared with each other.
They show the part only, as far as the drawing states its outline; the background gets one grey value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image, ImageChops

from blender_scripts.contract.errors import InputError
from generator.io.drawing import polygon_mask
from generator.io.pictures import open_picture
from generator.io.pin_boxes import PinBox
from generator.locating.cameras import StationCamera
from generator.locating.drawings import StatedDrawing
from generator.locating.edges import Similarity
from generator.locating.gauge import Gauge
from generator.locating.landmarks import queries
from generator.locating.pin_places import PinLocator, pin_boxes
from generator.locating.search import Nominal, nominal_picture, orientation_note, resampled, search

# Margin round the outline, or without one round the pins in pitches; what lies so near to the outline is cut off, since
# the background shines through there.
_MARGIN_PX, _MARGIN_PITCHES, _CUT_PX = 4.0, 0.6, 1.0
_BACKGROUND = 128


class NotFoundError(InputError):
    """The gauge did not find the part in a photograph; `reasons` say why, each beginning with a keyword and a colon."""

    def __init__(self, name: str, reasons: Sequence[str]) -> None:
        super().__init__([f"{name}: {reason}" for reason in reasons])
        self.reasons = tuple(reasons)


@dataclass(frozen=True)
class Straightened:
    """A straightened photograph.

    Attributes:
        picture: RGB.
        similarity: map from px of `picture` to px of the photograph.
        orientations: the drawing looks alike after each turn by 360 / `orientations` degrees; 1: only after 360.
    """

    picture: Image.Image
    similarity: Similarity
    orientations: int

    @property
    def matrix(self) -> np.ndarray:
        """(2, 3) matrix of `similarity`, which multiplies a column (x, y, 1)."""
        shift = [[self.similarity.shift.real], [self.similarity.shift.imag]]
        return np.hstack([self.similarity.linear, shift])

    def to_json(self) -> dict[str, Any]:
        """Return the JSON keys that state where the photograph shows the picture, and if its turn is not known."""
        said: dict[str, Any] = {"to_photograph": [[round(each, 5) for each in row] for row in self.matrix.tolist()]}
        return said | orientation_note(self.orientations)


class Straightener:
    """Straightens photographs of one connector, taken from about one direction.

    Args:
        gauge: the gauge that finds the part.
        weights_sha256: SHA-256 of the gauge's weights, in hex.
        drawing: drawing of the part's connector.
        view: name of the station's camera that looks from the photographs' direction.

    Raises:
        InputError: the drawing has no such camera, or lacks the nominal height of a position.
    """

    def __init__(self, gauge: Gauge, weights_sha256: str, drawing: StatedDrawing, view: str) -> None:
        PinLocator(gauge, drawing).known(view)
        self.gauge, self.drawing, self.view = gauge, drawing, view
        self._pictures: dict[str, Image.Image] = {}
        self.key = {"gauge": weights_sha256, "connector": list(drawing.key), "view": view}

    def read(self, content: bytes, name: str) -> Image.Image:
        """Read and straighten a photograph; what was found is kept, in case the same bytes are read again.

        Args:
            content: the bytes of the file.
            name: the photograph's name in messages.

        Raises:
            InputError: the file is damaged or not a picture.
            NotFoundError: the part is not found in it.
        """
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._pictures:
            self._pictures[digest] = self.straighten(open_picture(content, name), name).picture
        return self._pictures[digest]

    def forget(self) -> None:
        """Give up the pictures that `read` kept."""
        self._pictures.clear()

    def straighten(self, photograph: Image.Image, name: str) -> Straightened:
        """Find the part in a photograph, and resample it; NotFoundError, with `name`, if it is not found."""
        similarity, orientations = self.find(photograph, name)
        return Straightened(self.resample(photograph, similarity), similarity, orientations)

    def find(self, photograph: Image.Image, name: str) -> tuple[Similarity, int]:
        """Return where a photograph shows straightened pictures, and in how many orientations the drawing looks alike.

        Returns:
            The map from px of straightened pictures to px of the photograph, and `Straightened.orientations`.

        Raises:
            NotFoundError: the part is not found, or not wholly in the photograph; the message begins with `name`.
        """
        entry, gauge = self.drawing.cameras[self.view], self.gauge
        found = search(photograph, self.drawing, entry, gauge.finder, gauge.pitch_px, gauge.limits)
        if found.reasons or found.place is None:
            raise NotFoundError(name, found.reasons)
        (left, top), place, marks = self._nominal[1], found.place, queries(self.drawing).marks
        camera = place.view.camera
        moved = Similarity.between(camera.project(marks), camera.project(place.pins_pose.to_station(marks)))
        similarity = place.similarity.after(moved)
        similarity = Similarity(similarity.factor, similarity.shift + similarity.factor * complex(left, top))
        within = similarity.apply(self._shown)
        if (within < 0).any() or (within > photograph.size).any():
            raise NotFoundError(name, ["view: some of the part lies outside the photograph"])
        return similarity, found.orientations

    def resample(self, photograph: Image.Image, similarity: Similarity) -> Image.Image:
        """Return a photograph as a straightened picture (RGB); `similarity` maps px of this to px of the photograph."""
        picture = Image.fromarray(resampled(photograph.convert("RGB"), similarity, self.size))
        picture.paste((_BACKGROUND,) * 3, mask=self._background)
        return picture

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of straightened pictures, px."""
        return self._nominal[0].size

    def shown_share(self, box: Iterable[float]) -> float:
        """Return the share of a box, xyxy in px of straightened pictures, in which these show the part, 0 to 1."""
        x1, y1, x2, y2 = box
        left, top, right, bottom = int(np.floor(x1)), int(np.floor(y1)), int(np.ceil(x2)), int(np.ceil(y2))
        within = np.asarray(self._background)[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        return float(np.count_nonzero(within == 0) / max((right - left) * (bottom - top), 1))

    def boxes(self) -> list[PinBox]:
        """Return the boxes of good pins in straightened pictures, px."""
        return list(pin_boxes(self.drawing, self._nominal[0].camera.project))

    @cached_property
    def _nominal(self) -> tuple[Nominal, tuple[float, float]]:
        """Camera and size of straightened pictures, and their upper left corner in the search's nominal picture."""
        whole = nominal_picture(
            self.drawing, self.drawing.cameras[self.view], self.gauge.pitch_px, self.gauge.finder.side
        )
        outline = self._outline(whole.camera)
        margin = _MARGIN_PX
        if outline is None:
            sought = queries(self.drawing)
            outline = whole.camera.project(np.concatenate([sought.marks, sought.besides]))
            margin = _MARGIN_PITCHES * self.gauge.pitch_px
        low = np.floor(outline.min(axis=0) - margin)
        across, down = (int(each) for each in np.ceil(outline.max(axis=0) + margin) - low)
        camera = replace(whole.camera, cx=whole.camera.cx - low[0], cy=whole.camera.cy - low[1])
        return Nominal(camera, (across, down)), (float(low[0]), float(low[1]))

    @cached_property
    def _shown(self) -> np.ndarray:
        """Points (n, 2), px of straightened pictures, round what a photograph must show."""
        outline = self._outline(self._nominal[0].camera)
        if outline is not None:
            return outline
        width, height = self._nominal[0].size
        return np.array([(0.0, 0.0), (width, 0.0), (0.0, height), (width, height)])

    @cached_property
    def _background(self) -> Image.Image:
        """The mask (mode L) of what is not the part: outside of its outline; empty if the drawing states none."""
        nominal = self._nominal[0]
        outline = self._outline(nominal.camera)
        if outline is None:
            return Image.new("L", nominal.size)
        middle = 0.5 * (outline.min(axis=0) + outline.max(axis=0))
        extent = 0.5 * np.ptp(outline, axis=0)
        inside = middle + (outline - middle) * (1.0 - _CUT_PX / extent)
        return ImageChops.invert(polygon_mask(inside, nominal.size))

    def _outline(self, camera: StationCamera) -> np.ndarray | None:
        """The outer edge of the housing's mating face in a camera's picture, (n, 2) px; None if it is not stated."""
        if self.drawing.outline_mm is None:
            return None
        return camera.project(np.pad(np.array(self.drawing.outline_mm, float), ((0, 0), (0, 1))))
