"""A gauge at work: from the pictures of a part to a verdict with the measures of every pin.

The part's pose on the station is found in the pictures and given by nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from blender_scripts.contract.tolerance import Tolerance
from generator.io.certificate import Certificate
from generator.locating.cameras import StationCamera
from generator.locating.drawings import StatedDrawing
from generator.locating.fit import Fit, FitLimits, beyond_placing
from generator.locating.judge import CHARACTERISTICS, judge_part
from generator.locating.landmarks import queries
from generator.locating.likeness import Likeness, looks_of
from generator.locating.locate import Finder, View, located, placing_deviations
from generator.locating.measure import Factors, measure
from generator.locating.pose import NotDeterminedError, Pose
from generator.locating.rig import NOMINAL, Sizes, check_views, scale_note, station_cameras, with_camera_errors
from generator.locating.scaling import scaled
from generator.locating.search import Found, search
from generator.verdict.conformity import Decision
from generator.verdict.envelope import Verdict
from generator.verdict.gates import PictureGates

CAMERA_NOTE = "the camera's place is not known"


@dataclass(frozen=True)
class Gauge:
    """A trained gauge.

    Attributes:
        finder: its network, which finds pins and edges in pictures.
        pitch_px: pictures are resampled so that neighbouring pins are this many px apart, as in the training.
        factors: factors on the standard deviations of measures in mm.
        limits: limits of `Fit`, beyond which a part counts as not located.
        gates: checks of picture quality, by view; a part with a picture that they refuse is not measured.
        certificate: of the station's cameras; None: they are taken as connectors.json states them.
        likeness: what its training showed; a part unlike that is not measured. None: not known.
    """

    finder: Finder
    pitch_px: float
    factors: Factors
    limits: FitLimits
    gates: Mapping[str, PictureGates]
    certificate: Certificate | None = None
    likeness: Likeness | None = None


@dataclass(frozen=True)
class Inspected:
    """The result of measuring one part.

    Attributes:
        verdict, reasons: as in `generator.verdict.envelope.Envelope`.
        pins: the envelope's `pins`, one entry for each position in the drawing's order; empty if INVALID.
        views: the part's pictures, resampled to the gauge's scale.
        pose: the part's pose on the station; None if none was found.
        fits: how well the pose fits each picture, by view; empty without a pose.
        scale: what millimetres rest on, see `generator.locating.rig.scale_note`.
        found: where a search found the part in a photograph; None for pictures of the mounted station.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    pins: Sequence[Mapping[str, Any]] = ()
    views: Sequence[View] = ()
    pose: Pose | None = None
    fits: Mapping[str, Fit] = field(default_factory=dict)
    scale: str = NOMINAL
    found: Found | None = None

    @property
    def not_determined(self) -> dict[str, list[str]]:
        """Addresses of the pins of which the given views do not show a characteristic, by the characteristic."""
        open_ones = {str(Decision.UNDETERMINED), str(Decision.NOT_SEEN)}
        found: dict[str, list[str]] = {}
        for pin in self.pins:
            for name, decision in pin["decisions"].items():
                if decision in open_ones:
                    found.setdefault(name, []).append(pin["address"])
        return found

    def document(self, drawing: StatedDrawing, judged: Collection[str]) -> dict[str, Any]:
        """Return the keys that a gauge's JSON document has besides those of the envelope.

        Args:
            drawing: drawing of the part's connector.
            judged: characteristics that the verdict covers; `not_inspected` lists the others.
        """
        pose = None
        if self.pose is not None:
            pose = {
                "matrix": np.round(self.pose.matrix, 6).tolist(),
                "residual": round(self.pose.residual, 3),
                "inliers": round(self.pose.inliers, 3),
                "views": {view: {k: round(v, 3) for k, v in vars(fit).items()} for view, fit in self.fits.items()},
            }
        found = {
            "connector": dict(zip(("scene", "housing", "terminal"), drawing.key, strict=True)),
            "views": [view.name for view in self.views],
            "pose": pose,
            "not_determined": self.not_determined,
            "not_inspected": [name for name in CHARACTERISTICS if name not in judged],
            "scale": self.scale,
        }
        if "half_turn" in drawing.symmetries:
            found["orientation"] = "as placed: the positions look alike after a half turn"
        if self.found is not None:
            found["scale"] = f"{self.scale}; {CAMERA_NOTE}"
            found |= self.found.document([each.address for each in drawing.positions])
        return found


def inspect_part(
    gauge: Gauge,
    drawing: StatedDrawing,
    pictures: Mapping[str, Image.Image],
    tolerance: Tolerance,
    judged: Collection[str] = CHARACTERISTICS,
) -> Inspected:
    """Measure every pin of a part in one or more pictures, and judge the part.

    Args:
        gauge: the gauge.
        drawing: drawing of the part's connector, one of those that the gauge knows.
        pictures: a picture from each camera, by the camera's name; all were taken while the part lay at one place.
        tolerance: limits in mm.
        judged: characteristics that the verdict covers, of CHARACTERISTICS.

    Returns:
        Verdict, reasons, and decisions and measures of each pin. The verdict is INVALID if a picture's quality does not
        suffice, if the part cannot be located, or if it is unlike those of the gauge's training.

    Raises:
        ValueError: the drawing lacks the nominal height of a position.
        InputError: the certificate does not state the cameras that took the pictures.
    """
    found, deviations, scale = queries(drawing), placing_deviations(drawing.placing), scale_note(gauge.certificate)
    cameras = _cameras(gauge, drawing, {name: picture.size for name, picture in pictures.items()})
    views = [
        View(name, *scaled(picture, drawing, cameras[name], gauge.pitch_px)[:2]) for name, picture in pictures.items()
    ]
    refused = [reason for view in views for reason in _refused(gauge, drawing, view)]
    if refused:
        return Inspected(Verdict.INVALID, tuple(refused), views=views, scale=scale)
    try:
        part = located(views, found, gauge.finder, deviations)
        lost = [*gauge.limits.reasons(part.fits), *beyond_placing(part.pose, drawing.placing)]
        if gauge.likeness is not None:
            lost += gauge.likeness.reasons(drawing.key, looks_of(part))
        if lost:
            return Inspected(Verdict.INVALID, tuple(lost), (), views, part.pose, part.fits, scale)
        pins = measure(part.pins, found, part.pose, gauge.factors)
        if gauge.certificate is not None:
            pins = with_camera_errors(pins, part, found, gauge.certificate, drawing.cameras, deviations)
    except (NotDeterminedError, np.linalg.LinAlgError) as error:
        return Inspected(Verdict.INVALID, (f"not located: {error}",), views=views, scale=scale)
    verdict, reasons, entries = judge_part(drawing, pins, tolerance, judged)
    return Inspected(verdict, tuple(reasons), entries, views, part.pose, part.fits, scale)


def _cameras(gauge: Gauge, drawing: StatedDrawing, sizes: Sizes) -> dict[str, StationCamera]:
    """The cameras of the views, for pictures of these sizes."""
    if gauge.certificate is None:
        return {view: StationCamera.nominal(drawing.cameras[view], *size) for view, size in sizes.items()}
    check_views(gauge.certificate, drawing.cameras, sizes)
    return station_cameras(gauge.certificate, drawing.cameras, sizes)


def inspect_photograph(
    gauge: Gauge,
    drawing: StatedDrawing,
    view: str,
    photograph: Image.Image,
    tolerance: Tolerance,
    judged: Collection[str] = CHARACTERISTICS,
) -> Inspected:
    """Find a part in a photograph that is not of the mounted station, measure and judge it.

    Args:
        gauge: the gauge. Its checks of picture quality are not applied: they know pictures of the mounted station only.
        drawing: drawing of the part's connector.
        view: name of the station's camera whose view of the part is most like the photograph's.
        photograph: a picture that shows one part, see `generator.locating.search.search`.
        tolerance: limits in mm.
        judged: characteristics that the verdict covers, of CHARACTERISTICS.

    Returns:
        Verdict, reasons, and decisions and measures of each pin; INVALID if the part is not found, or at two places.

    Raises:
        ValueError: the drawing lacks the nominal height of a position.
    """
    found = search(photograph, drawing, drawing.cameras[view], gauge.finder, gauge.pitch_px, gauge.limits)
    place = found.place
    if place is None:
        whole = View(
            view, np.asarray(photograph.convert("RGB")), StationCamera.nominal(drawing.cameras[view], *photograph.size)
        )
        return Inspected(Verdict.INVALID, found.reasons, views=[whole], found=found)
    shown = replace(place.view, name=view)
    outcome = Inspected(Verdict.INVALID, found.reasons, (), [shown], place.pose, {view: place.fit}, found=found)
    if found.reasons:
        return outcome
    pins = measure([place.pins], queries(drawing), place.pose, gauge.factors)
    verdict, reasons, entries = judge_part(drawing, pins, tolerance, judged)
    noted = [{**entry, "note": CAMERA_NOTE} for entry in entries]
    return replace(outcome, verdict=verdict, reasons=tuple(reasons), pins=noted)


def _refused(gauge: Gauge, drawing: StatedDrawing, view: View) -> list[str]:
    """Why the gates refuse a picture. If the positions look alike after a half turn, that turn is no reason."""
    gates = gauge.gates.get(view.name)
    found = [] if gates is None else gates.reasons(Image.fromarray(view.pixels))
    if "half_turn" in drawing.symmetries:
        found = [reason for reason in found if not reason.startswith("orientation: the picture is turned by 180°")]
    return [f"{reason} (view {view.name})" for reason in found]
