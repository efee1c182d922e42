"""Find the boxes of all pins in a picture of a connector: a gauge locates the part, and its drawing says the rest.

A picture is first taken as one of the mounted station, in which the part lies within the placing that its scene states.
If the gauge does not locate the part so, it searches the picture for it, at any place and turn.

If the pin positions look alike after a turn, such as a half turn, no picture tells which way round the part lies. A
part that lies nearly upright was placed as in the station, so its addresses are stated, with a note; those of another
turn are not.
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
from generator.locating.cameras import StationCamera, chosen_camera, known_camera
from generator.locating.drawings import StatedDrawing
from generator.locating.edges import template_of
from generator.locating.fit import beyond_placing
from generator.locating.gauge import Gauge
from generator.locating.gauge_file import read_gauge_file
from generator.locating.landmarks import Drawing, pitch_mm, queries
from generator.locating.locate import View, located, placing_deviations
from generator.locating.pose import NotDeterminedError
from generator.locating.scaling import scaled
from generator.locating.search import LEAST_PINS, nominal_picture, search, share_seen, too_few_pins

# Width of a terminal that the drawing does not state, and margin round a pin's box, in pitches.
_WIDTH, _ROUND_PIN = 0.25, 0.05
# Largest turn of a part that lies nearly upright, degrees.
UPRIGHT_DEG = 10.0
# Turns by 360 / n degrees after which pin positions may look alike, and how near to each other they then are, pitches.
_TURNS, _NEAR = (2, 3, 4, 5, 6, 8), 0.1
# A box may reach so far beyond the picture.
_BEYOND_PX = 1.0

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
        self._turns_by_view: dict[str, int] = {}

    @classmethod
    def read(
        cls, path: Path, scene: str | None, housing: str | None, terminal: str | None, threads: int = 0
    ) -> PinLocator:
        """Read a gauge's ONNX file, and choose the drawing by its names; None: any.

        `threads`: number of threads of the gauge's network; 0: one per core.

        Raises:
            InputError: the file cannot be read, or the names do not say which of the gauge's connectors is meant.
        """
        held = read_gauge_file(path, threads)
        return cls(held.gauge, held.drawing(scene, housing, terminal))

    def view(self, file: Path, camera: str | None) -> str:
        """Return the camera of a picture by the end of its file's name, otherwise `camera`, center or the only one.

        Raises:
            InputError: the gauge has no such camera, or none is named and it has several, none of which is center.
        """
        cameras = list(self.drawing.cameras)
        if camera is not None:
            self.known(camera)
        if named := view_of(file, cameras):
            return named[1]
        return chosen_camera(cameras, camera, f"{file.name}: --camera")

    def known(self, view: str) -> str:
        """Return the name of a camera; InputError if the gauge has none of this name."""
        return known_camera(self.drawing.cameras, view)

    def find(self, picture: Image.Image, view: str) -> PinPlaces:
        """Find the pins in a picture by the camera `view`."""
        nominal = StationCamera.nominal(self.drawing.cameras[view], *picture.size)
        pixels, camera, _ = scaled(picture, self.drawing, nominal, self.gauge.pitch_px)
        larger = np.array(picture.size) / pixels.shape[1::-1]
        project, turn = self._on_station(pixels, camera, view), 0.0
        if project is None:
            found = self._searched(pixels, view, larger)
            if isinstance(found, list):
                return PinPlaces(reasons=tuple(found))
            project, turn = found
        boxes = pin_boxes(self.drawing, lambda points: larger * project(points))
        edges = np.array([each.box for each in boxes])
        if (edges < -_BEYOND_PX).any() or (edges[:, 2:] > np.array(picture.size) + _BEYOND_PX).any():
            return PinPlaces(reasons=("view: some of the pins lie outside the picture",))
        if view not in self._turns_by_view:
            self._turns_by_view[view] = turns_alike(self.gauge, self.drawing, view)
        if (turns := self._turns_by_view[view]) == 1:
            return PinPlaces(boxes)
        alike = f"the pin positions look alike, or nearly, after a turn of the part by {360.0 / turns:g}°"
        if abs(turn) <= UPRIGHT_DEG:
            return PinPlaces(boxes, orientation=f"not checked: {alike}")
        return PinPlaces(
            orientation=f"ambiguous: the part is turned by {turn:.0f}°, and {alike}, so the boxes have no addresses"
        )

    def _on_station(self, pixels: np.ndarray, camera: StationCamera, view: str) -> Projection | None:
        """Where a picture of the mounted station shows the part; None if the part is not located so."""
        placing = self.drawing.placing
        try:
            part = located([View(view, pixels, camera)], self._sought, self.gauge.finder, placing_deviations(placing))
        except (NotDeterminedError, np.linalg.LinAlgError):
            return None
        lost = [*self.gauge.limits.reasons(part.fits), *beyond_placing(part.pose, placing)]
        lost += too_few_pins(share_seen(part, self._sought, self.gauge.pitch_px))
        return None if lost else lambda points: camera.project(part.pose.to_station(points))

    def _searched(self, pixels: np.ndarray, view: str, larger: np.ndarray) -> tuple[Projection, float] | list[str]:
        """Where a picture shows the part, and its turn in degrees, or why the part is not located.

        `larger` (2,): the sides of the user's picture, which reasons speak of, divided by those of `pixels`.
        """
        gauge, picture, entry = self.gauge, Image.fromarray(pixels), self.drawing.cameras[view]
        found = search(
            picture, self.drawing, entry, gauge.finder, gauge.pitch_px, gauge.limits, lambda point: larger * point
        )
        place = found.place
        if found.reasons or place is None:
            return list(found.reasons)
        similarity, pose, camera = place.similarity, place.pins_pose, place.view.camera

        def project(points: np.ndarray) -> np.ndarray:
            shown: np.ndarray = similarity.apply(camera.project(pose.to_station(points)))
            return shown

        shown = project(self._sought.marks)
        if (shown < 0).any() or (shown > picture.size).any():
            return ["view: some of the part lies outside the photograph"]
        return project, similarity.turn_deg


def turns_alike(gauge: Gauge, drawing: StatedDrawing, view: str) -> int:
    """Return n such that most pins lie at a position again after a turn of the part by 360 / n degrees; or 1.

    Or n is that of the whole drawing as the search sees it in pictures by the camera `view`, if that is larger.
    """
    nominal = nominal_picture(drawing, drawing.cameras[view], gauge.pitch_px, gauge.finder.side)
    places = np.array([complex(each.x_mm, each.y_mm) for each in drawing.positions])
    edge = np.array([complex(*point) for point in drawing.outline_mm]) if drawing.outline_mm else places
    places = places - 0.5 * complex(edge.real.min() + edge.real.max(), edge.imag.min() + edge.imag.max())
    near = _NEAR * pitch_mm(drawing)

    def share(n: int) -> float:
        turned = places[:, None] * np.exp(2j * np.pi / n)
        return float(np.mean(np.abs(turned - places).min(axis=1) <= near))

    alike = [n for n in _TURNS if share(n) >= LEAST_PINS]
    return max(template_of(drawing, nominal.camera).turns, *alike, 1)
