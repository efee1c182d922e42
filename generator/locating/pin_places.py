"""Find the boxes of all pins in a picture of a connector: a gauge locates the part, and its drawing says the rest.

A picture is first taken as one of the mounted station, in which the part lies within the placing that its scene states.
If the gauge does not locate the part so, it searches the picture for it, at any place and turn.

If the pin positions look alike after a half turn, no picture tells which way round the part lies. A part that lies
nearly upright was placed as in the station, so its addresses are stated, with a note; those of another turn are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.io.pin_boxes import PinBox
from generator.io.view_names import view_of
from generator.locating.cameras import StationCamera
from generator.locating.drawings import StatedDrawing, choose
from generator.locating.fit import beyond_placing
from generator.locating.gauge import Gauge
from generator.locating.gauge_file import read_gauge_file
from generator.locating.landmarks import Drawing, pitch_mm, queries
from generator.locating.locate import View, located, placing_deviations
from generator.locating.pose import NotDeterminedError
from generator.locating.scaling import scaled
from generator.locating.search import search, share_seen, too_few_pins

DEFAULT_VIEW = "center"
# Width of a terminal that the drawing does not state, and margin round a pin's box, in pitches.
_WIDTH, _ROUND_PIN = 0.25, 0.05
# Largest turn of a part that lies nearly upright, degrees.
_UPRIGHT_DEG = 10.0
# Margin, as a share of the longer side, round a picture that is searched: edges at its border are not found otherwise.
_AROUND = 0.25

# From points (n, 3), mm in the part's datum axes, to a picture's px (n, 2).
Projection = Callable[[np.ndarray], np.ndarray]


def pin_boxes(drawing: Drawing, project: Projection) -> tuple[PinBox, ...]:
    """Return the boxes of good pins in a picture, px, in the drawing's order.

    Args:
        drawing: drawing of the connector, with the nominal height of every position.
        project: where the picture shows points of the part.
    """
    pitch, found = pitch_mm(drawing), []
    for each in drawing.positions:
        half = 0.5 * (each.width_mm or _WIDTH * pitch) + _ROUND_PIN * pitch
        tip = np.array([each.x_mm, each.y_mm, each.z_mm], float)
        foot = tip - (0.0, 0.0, each.standing_mm or 0.0)
        corners = [(-half, -half, 0.0), (half, half, 0.0), (-half, half, 0.0), (half, -half, 0.0)]
        points = project(np.concatenate([end + corners for end in (tip, foot)]))
        x1, y1, x2, y2 = (float(value) for value in (*points.min(axis=0), *points.max(axis=0)))
        found.append(PinBox(each.address, (x1, y1, x2, y2), each.cavity or None))
    return tuple(found)


@dataclass(frozen=True)
class PinPlaces:
    """Where a picture shows the pins of a part.

    Attributes:
        boxes: boxes of good pins, px, in the drawing's order; empty if the part is not located, or its addresses not
            known.
        reasons: why the part is not located, each beginning with a keyword and a colon; empty if it is.
        orientation: what is not known of the part's turn; None: nothing.
    """

    boxes: tuple[PinBox, ...] = ()
    reasons: tuple[str, ...] = ()
    orientation: str | None = None


class PinLocator:
    """Finds the pins of one connector in pictures.

    Args:
        gauge: the gauge that locates the part.
        drawing: drawing of the part's connector.

    Raises:
        InputError: the drawing lacks the nominal height of a position.
    """

    def __init__(self, gauge: Gauge, drawing: StatedDrawing) -> None:
        try:
            self._sought = queries(drawing)
        except ValueError as error:
            raise InputError(f"connector {' '.join(drawing.key)}: {error}") from None
        self.gauge, self.drawing = gauge, drawing

    @classmethod
    def read(cls, path: Path, scene: str | None, housing: str | None, terminal: str | None) -> PinLocator:
        """Read a gauge's ONNX file, and choose the drawing by its names; None: any.

        Raises:
            InputError: the file cannot be read, or the names do not say which of the gauge's connectors is meant.
        """
        held = read_gauge_file(path)
        return cls(held.gauge, choose(held.drawings, scene, housing, terminal))

    def view(self, file: Path, camera: str | None) -> str:
        """Return the camera of a picture by the end of its file's name, otherwise `camera`, center or the only one.

        Raises:
            InputError: the gauge has no such camera.
        """
        cameras = list(self.drawing.cameras)
        if named := view_of(file, cameras):
            return named[1]
        return self.known(camera or (DEFAULT_VIEW if len(cameras) > 1 else cameras[0]))

    def known(self, view: str) -> str:
        """Return the name of a camera; InputError if the gauge has none of this name."""
        if view not in self.drawing.cameras:
            listed = ", ".join(sorted(self.drawing.cameras))
            raise InputError(f"view {view}: expected a camera of the gauge ({listed}), got one that it lacks")
        return view

    def find(self, picture: Image.Image, view: str) -> PinPlaces:
        """Find the pins in a picture by the camera `view`."""
        alike = "half_turn" in self.drawing.symmetries
        project, turn = self._on_station(picture, view), 0.0
        if project is None:
            found = self._searched(picture, view)
            if isinstance(found, list):
                return PinPlaces(reasons=tuple(found))
            project, turn = found
        if alike and abs(turn) > _UPRIGHT_DEG:
            said = f"ambiguous: the part is turned by {turn:.0f}°, and its pin positions look alike after a half turn"
            return PinPlaces(orientation=f"{said}, so the boxes have no addresses")
        note = "not checked: the pin positions look alike after a half turn of the part" if alike else None
        return PinPlaces(pin_boxes(self.drawing, project), orientation=note)

    def _on_station(self, picture: Image.Image, view: str) -> Projection | None:
        """Where a picture of the mounted station shows the part; None if the part is not located so."""
        nominal, placing = StationCamera.nominal(self.drawing.cameras[view], *picture.size), self.drawing.placing
        pixels, camera, ratio = scaled(picture, self.drawing, nominal, self.gauge.pitch_px)
        try:
            part = located([View(view, pixels, camera)], self._sought, self.gauge.finder, placing_deviations(placing))
        except (NotDeterminedError, np.linalg.LinAlgError):
            return None
        lost = [*self.gauge.limits.reasons(part.fits), *beyond_placing(part.pose, placing)]
        lost += too_few_pins(share_seen(part, self._sought, self.gauge.pitch_px))
        return None if lost else lambda points: camera.project(part.pose.to_station(points)) / ratio

    def _searched(self, picture: Image.Image, view: str) -> tuple[Projection, float] | list[str]:
        """Where a picture shows the part, and its turn in degrees, or why the part is not located."""
        gauge, margin = self.gauge, round(_AROUND * max(picture.size))
        wider = np.pad(np.asarray(picture.convert("RGB")), [(margin, margin)] * 2 + [(0, 0)], mode="edge")
        entry = self.drawing.cameras[view]
        found = search(Image.fromarray(wider), self.drawing, entry, gauge.finder, gauge.pitch_px, gauge.limits)
        place = found.place
        if found.reasons or place is None:
            return list(found.reasons)
        similarity, pose, camera = place.similarity, place.pins_pose, place.view.camera

        def project(points: np.ndarray) -> np.ndarray:
            return similarity.apply(camera.project(pose.to_station(points))) - margin

        shown = project(self._sought.marks)
        if (shown < 0).any() or (shown > picture.size).any():
            return ["view: some of the part lies outside the picture"]
        return project, similarity.turn_deg
