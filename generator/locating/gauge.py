"""Measure every pin of a part in its pictures with a trained gauge, and judge the part.

The part's pose on the station is found in the pictures alone.
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
from generator.locating.factors import Factors
from generator.locating.fit import Fit, FitLimits, beyond_placing
from generator.locating.judge import CHARACTERISTICS, judge_part
from generator.locating.landmarks import queries
from generator.locating.likeness import Likeness, looks_of
from generator.locating.locate import Finder, View, located, placing_deviations
from generator.locating.measure import measure
from generator.locating.pose import NotDeterminedError, Pose
from generator.locating.rig import NOMINAL, Sizes, check_views, scale_note, station_cameras, with_camera_errors
from generator.locating.scaling import scaled
from generator.locating.search import SearchResult, search
from generator.verdict.conformity import Decision
from generator.verdict.envelope import Verdict
from generator.verdict.gates import PictureGates

CAMERA_NOTE = "the camera's place is not known"


@dataclass(frozen=True)
class Gauge:
    """A trained gauge: the network that finds pins in pictures, and what is needed to measure and judge with it.

    Attributes:
        finder: the network, which finds pins and the edges of the housing in pictures.
        pitch_px: distance of neighbouring pins in the training, px, to which pictures are resampled.
        factors: factors, found in validation, by which the standard deviations of measures in mm are multiplied.
        limits: limits of `Fit`; a part beyond one of them counts as not located.
        gates: checks of picture quality, by view; a part with a picture that they refuse is not measured.
        certificate: calibration certificate of the cameras; None: the nominal cameras of connectors.json are used.
        likeness: what the parts of the training look like; a part unlike them is not measured. None: not checked.
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
        verdict, reasons: verdict on the part and reasons for it, as in `generator.verdict.envelope.Envelope`.
        pins: an entry for each position of the drawing, in its order, with decisions and measures; empty if INVALID.
        views: the part's pictures, resampled to the gauge's scale.
        pose: the part's pose on the station; None if no pose was found.
        fits: how well the pose fits each picture, by view; empty without a pose.
        scale: sentence on the calibration of the cameras, from `generator.locating.rig.scale_note`.
        found: result of the search for the part in a photograph; None for pictures of the mounted station.
        judged: characteristics that the verdict, and `decision` and `kind` of each pin, cover.
        limits: limits of `fits`; None: none were applied.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    pins: Sequence[Mapping[str, Any]] = ()
    views: Sequence[View] = ()
    pose: Pose | None = None
    fits: Mapping[str, Fit] = field(default_factory=dict)
    scale: str = NOMINAL
    found: SearchResult | None = None
    judged: Collection[str] = CHARACTERISTICS
    limits: FitLimits | None = None

    @property
    def not_determined(self) -> dict[str, list[str]]:
        """By characteristic, addresses of the pins for which the views do not determine it, or do not show the tip."""
        open_ones = {str(Decision.UNDETERMINED), str(Decision.NOT_SEEN)}
        found: dict[str, list[str]] = {}
        for pin in self.pins:
            for name, decision in pin["decisions"].items():
                if decision in open_ones:
                    found.setdefault(name, []).append(pin["address"])
        return found

    def document(self, drawing: StatedDrawing, judged: Collection[str]) -> dict[str, Any]:
        """Return what a gauge adds to a part's JSON entry: connector, views, pose, what is not determined or inspected.

        `judged` are the characteristics that the verdict covers.
        """
        pose = None
        if self.pose is not None:
            pose = {
                "matrix": np.round(self.pose.matrix, 6).tolist(),
                "residual": round(self.pose.residual, 3),
                "inliers": round(self.pose.inliers, 3),
                "views": {view: {k: round(v, 3) for k, v in vars(fit).items()} for view, fit in self.fits.items()},
            }
            if self.limits is not None:
                pose["limits"] = {name: round(limit, 3) for name, limit in vars(self.limits).items()}
        found = {
            "connector": dict(zip(("scene", "housing", "terminal"), drawing.key, strict=True)),
            "views": [view.name for view in self.views],
            "pose": pose,
            "not_determined": self.not_determined,
            "not_inspected": [name for name in CHARACTERISTICS if name not in judged],
            "scale": self.scale,
        }
        if "half_turn" in drawing.symmetries:
            found["orientation"] = "not checked: the pin positions look alike after a half turn of the part"
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
        gauge: the trained gauge.
        drawing: drawing of the part's connector, with the nominal cameras of the views.
        pictures: by name of the camera in `drawing.cameras`, its picture; all were taken with the part at one place.
        tolerance: limits in mm.
        judged: characteristics that the verdict covers: some or all of CHARACTERISTICS.

    Returns:
        Verdict, reasons, and decisions and measures of each pin. The verdict is INVALID if the gates refuse a picture,
        if the part cannot be located, or if it looks unlike the parts of the gauge's training.

    Raises:
        ValueError: the drawing lacks the nominal height of a position.
        InputError: the gauge's certificate does not state the cameras that took the pictures.
    """
    found, deviations, scale = queries(drawing), placing_deviations(drawing.placing), scale_note(gauge.certificate)
    cameras = _cameras(gauge, drawing, {name: picture.size for name, picture in pictures.items()})
    views = [
        View(name, *scaled(picture, drawing, cameras[name], gauge.pitch_px)[:2]) for name, picture in pictures.items()
    ]
    refused = [reason for view in views for reason in _refused(gauge, drawing, view, pictures[view.name].size)]
    if refused:
        return Inspected(Verdict.INVALID, tuple(refused), views=views, scale=scale)
    try:
        part = located(views, found, gauge.finder, deviations)
        lost = [*gauge.limits.reasons(part.fits), *beyond_placing(part.pose, drawing.placing)]
        if gauge.likeness is not None:
            lost += gauge.likeness.reasons(drawing.key, looks_of(part))
        if lost:
            return Inspected(Verdict.INVALID, tuple(lost), (), views, part.pose, part.fits, scale, limits=gauge.limits)
        correction = gauge.factors.correction(part.features, drawing.key)
        pins = measure(part.pins, found, part.pose, correction)
        if gauge.certificate is not None:
            pins = with_camera_errors(pins, part, found, gauge.certificate, drawing.cameras, deviations, correction)
    except (NotDeterminedError, np.linalg.LinAlgError) as error:
        return Inspected(Verdict.INVALID, (f"not located: {error}",), views=views, scale=scale)
    verdict, reasons, entries = judge_part(drawing, pins, tolerance, judged)
    return Inspected(
        verdict, tuple(reasons), entries, views, part.pose, part.fits, scale, judged=judged, limits=gauge.limits
    )


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
    """Find a part in a photograph by any camera, measure its pins, and judge it.

    Args:
        gauge: the gauge. Its checks of picture quality and of likeness, and its certificate, are for pictures of the
            mounted station; they are not applied.
        drawing: drawing of the part's connector.
        view: name of the station's camera that shows the part most nearly as the photograph does.
        photograph: a picture that shows one part, see `generator.locating.search.search`.
        tolerance: limits in mm.
        judged: characteristics that the verdict covers, of CHARACTERISTICS.

    Returns:
        Verdict, reasons, and decisions and measures of each pin. The verdict is INVALID if the part is not found, or
        fits at two places nearly as well.

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
    correction = gauge.factors.correction({view: None}, drawing.key)
    pins = measure([place.pins], queries(drawing), place.pose, correction)
    verdict, reasons, entries = judge_part(drawing, pins, tolerance, judged)
    noted = [{**entry, "note": CAMERA_NOTE} for entry in entries]
    return replace(outcome, verdict=verdict, reasons=tuple(reasons), pins=noted, judged=judged)


def _refused(gauge: Gauge, drawing: StatedDrawing, view: View, size: tuple[int, int]) -> list[str]:
    """Why the gates refuse a picture, whose file has this size (W, H), px.

    If the positions look alike after a half turn, that turn is no reason.
    """
    gates, picture = gauge.gates.get(view.name), Image.fromarray(view.pixels)
    alike = "half_turn" in drawing.symmetries
    found = [] if gates is None else gates.reasons(picture, half_turn_alike=alike, own_size=size)
    return [f"{reason} (view {view.name})" for reason in found]
