"""Find the part of a drawing in a photograph, wherever it lies, turned in the picture's plane, scaled, a little tilted.

Places where the part may lie (candidates) come from the photograph's edges (`generator.locating.coarse`). For each, the
photograph is resampled so that the part lies as in the picture of a camera mounted in a station, and the gauge's
network locates the part. Where the photograph's camera stood is not known, so the pose is that of a part in front of
the station's camera. It gives the pins' places in px of the photograph. Its millimetres are right only if the
photograph's camera was as far away as the station's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from generator.locating.cameras import StationCamera
from generator.locating.coarse import SCALES, Candidate, are_alike, candidates
from generator.locating.edges import Similarity, Template, template_of
from generator.locating.fit import Fit, FitLimits
from generator.locating.landmarks import Drawing, Queries, queries
from generator.locating.locate import THERE, Finder, Located, Sighting, View, located
from generator.locating.pose import (
    OUTLIER,
    NotDeterminedError,
    Points,
    Pose,
    find_pose,
    motion_derivative,
    small_motion,
)
from generator.locating.scaling import pitch_px

# Candidates that the gauge looks at, and how often: each time from the similarity of the last pose.
_CANDIDATES, _LOOKS = 6, 2
# Standard deviations of the part's place about a candidate's: degrees about X and Y, about Z, shares of the pitch
# along X and Y, and of the camera's distance.
_TILT_DEG, _TURN_DEG, _SHIFT, _LIFT = 8.0, 3.0, 0.4, 0.06
# A part tilted by more was not meant to be found; one beyond the scales that are searched by more than this share, or
# that reaches farther beyond the photograph, px of the nominal picture, is refused, too.
_MOST_TILT_DEG, _SCALE_MARGIN, _BEYOND_PX = 20.0, 0.05, 1.0
# Least score of a candidate that is looked at, also as a share of that of a place where the part is.
_LEAST_SCORE, _RUNNER_UP = 0.12, 0.6
# Least share of the pins that are seen at their places: for another look, and for the part to be there. A second place
# that has more than this share of the first one's agreement makes the place ambiguous.
_WORTH, LEAST_PINS, _AS_GOOD = 0.15, 0.6, 0.8
# A place beside the best one is a second part, however bad, if this share of the pins is seen there.
_SECOND = 0.35
# Validation shows mounted parts only. In photographs residuals may be larger than its limit by this factor, and there
# may be this many times the outliers and the standard deviation; in exchange the pins must be seen.
_RESIDUAL, _OUTLIERS, _SIGMA = 1.3, 2.0, 2.0
# Scatter of good tips and feet about their nominal places, along X and Y, mm; those of displaced pins are outliers.
# Behind the housing a photograph shows what no station shows, so all points found on edges may err alike: standard
# deviation of this common error, px of the nominal picture, from composites that the study does not use.
_PIN_MM, _EDGE_PX = 0.1, 0.3
# A foot is at its place within so many standard deviations, its scatter of so many shares of the pitch included.
_AT_PLACE, _SCATTER = 3.0, 0.05


@dataclass(frozen=True)
class Nominal:
    """Camera (the station's, rescaled) and size (W, H), px, of the picture of a part at its nominal place."""

    camera: StationCamera
    size: tuple[int, int]


@dataclass(frozen=True)
class Sighted:
    """A part as the gauge located it at one candidate, a place in a photograph where it may lie.

    Attributes:
        candidate: the candidate.
        similarity: map from px of the nominal picture (`Nominal`) to px of the photograph.
        view: the photograph resampled to the nominal picture.
        pose: pose of the part on the station that would give the picture `view`, by the datum: the housing's edges.
        pins_pose: the same by the pins: exact to a smaller part of a px, but it moves with a shifted pin pattern.
        fit: how well the points found in `view` fit the pose by which the gauge would measure.
        pins: the network's answers for all pins, in px of `view`.
        pins_seen: share of the positions, 0 to 1, with a pin whose foot was found where the pose projects it.
    """

    candidate: Candidate
    similarity: Similarity
    view: View
    pose: Pose
    pins_pose: Pose
    fit: Fit
    pins: Sighting
    pins_seen: float

    @property
    def agreement(self) -> float:
        """Share of points that fit the pose times share of pins seen, 0 to 1; candidates are compared by it."""
        return self.fit.inliers * self.pins_seen


@dataclass(frozen=True)
class SearchResult:
    """The result of a search for a part in a photograph.

    Attributes:
        reasons: why the verdict on the photograph is INVALID; empty if the part was found.
        place: the best place; None if the part could not be located anywhere.
        pixels: (n, 2) x and y, px of the photograph, of each pin's nominal tip, in the drawing's order.
        covariances: (n, 2, 2) covariances of `pixels`, px^2, which follow from that of the pose.
        orientations: the drawing looks alike after each turn by 360 / `orientations` degrees; 1: only after 360.
    """

    reasons: tuple[str, ...]
    place: Sighted | None = None
    pixels: np.ndarray | None = None
    covariances: np.ndarray | None = None
    orientations: int = 1

    def document(self, addresses: Sequence[str]) -> dict[str, Any]:
        """Return the JSON keys that state where the photograph shows the part, whose pins have these `addresses`.

        `place` is None if the part was not found. The uncertainties `u_pins_px` are expanded (k = 2).
        """
        if self.reasons or self.place is None or self.pixels is None or self.covariances is None:
            return {"place": None}
        similarity = self.place.similarity
        larger = 2.0 * np.sqrt(np.linalg.eigvalsh(self.covariances)[:, -1])
        said: dict[str, Any] = {
            "place": {
                "turn_deg": round(similarity.turn_deg, 2),
                "scale": round(similarity.scale, 4),
                "pins_px": dict(zip(addresses, np.round(self.pixels, 2).tolist(), strict=True)),
                "u_pins_px": dict(zip(addresses, np.round(larger, 2).tolist(), strict=True)),
            }
        }
        return said | orientation_note(self.orientations)


def orientation_note(orientations: int) -> dict[str, str]:
    """Return the JSON key that says that a part's turn is not known, if `orientations` is above 1; else none."""
    if orientations == 1:
        return {}
    said = f"the drawing looks alike after a turn by {360.0 / orientations:g}°; the turn nearest to upright is assumed"
    return {"orientation": f"ambiguous: {said}"}


def _as_it_is(point: np.ndarray) -> np.ndarray:
    return point


def search(
    photograph: Image.Image,
    drawing: Drawing,
    entry: Mapping[str, Any],
    finder: Finder,
    pitch: float,
    limits: FitLimits,
    stated: Callable[[np.ndarray], np.ndarray] = _as_it_is,
) -> SearchResult:
    """Find the part of a drawing in a photograph.

    Args:
        photograph: a picture of any size that shows the whole part; neighbouring pins are 0.5 to 2 times `pitch` px
            apart in it.
        drawing: drawing of the part's connector.
        entry: a station camera's entry in connectors.json; the camera sees the part from the photograph's direction.
        finder: the gauge's network.
        pitch: distance of neighbouring pins in the gauge's training, px.
        limits: limits of a located part's fit, learned from pictures of mounted parts; wider ones are applied here.
        stated: from a point (2,), px of the photograph, to the numbers that reasons state for it.

    Raises:
        ValueError: the drawing lacks the nominal height of a position.
    """
    sought, nominal = queries(drawing), nominal_picture(drawing, entry, pitch, finder.side)
    template = template_of(drawing, nominal.camera)
    picture = photograph.convert("RGB")
    seen: list[Sighted] = []
    enough = _LEAST_SCORE
    for each in candidates(picture, template, _CANDIDATES):
        if each.score < enough:
            break
        if (one := look(picture, nominal, sought, finder, each, pitch)) is not None:
            seen.append(one)
            enough = enough if _refusals(one, limits) else max(enough, _RUNNER_UP * each.score)
    if not seen:
        return SearchResult(("not found: no place in the photograph has the edges of the drawing",))
    seen.sort(key=lambda each: (bool(_refusals(each, limits)), -each.agreement))
    best, reasons = seen[0], _refusals(seen[0], limits)
    if not reasons:
        others = seen[1:]
        reasons = _ambiguity(best, others, template, limits, stated) or _second_part(best, others, template, stated)
        reasons = reasons or _cut_off(best, drawing, sought, picture.size)
    marks = sought.marks[: sought.pins]
    return SearchResult(tuple(reasons), best, *predicted(best, marks), template.turns)


def nominal_picture(drawing: Drawing, entry: Mapping[str, Any], pitch: float, side: int) -> Nominal:
    """Return camera and size of the picture that shows a part at its nominal place, at the gauge's scale.

    `entry` is the entry of the camera in connectors.json, `pitch` the distance of neighbouring pins in px, and `side`
    the margin round the part in px (the side of the network's crops).
    """
    camera = StationCamera.nominal(entry, 1000, 1000)
    ratio = pitch / pitch_px(drawing, camera)
    camera = camera.resized(ratio, ratio)
    sought = queries(drawing)
    points = camera.project(np.concatenate([sought.marks, sought.besides]))
    low, high = np.floor(points.min(axis=0) - side), np.ceil(points.max(axis=0) + side)
    across, down = (int(each) for each in high - low)
    return Nominal(replace(camera, cx=camera.cx - low[0], cy=camera.cy - low[1]), (across, down))


def resampled(photograph: Image.Image, similarity: Similarity, size: tuple[int, int]) -> np.ndarray:
    """Return a photograph resampled to the nominal picture, (H, W, 3) uint8; beyond the photograph its edge repeats.

    Args:
        photograph: RGB picture.
        similarity: map from px of the nominal picture to px of the photograph.
        size: width and height of the nominal picture, px.
    """
    corners = similarity.apply(np.array([(0, 0), (size[0], 0), (0, size[1]), size], float))
    margin = 4.0 * max(similarity.scale, 1.0)
    low, high = np.floor(corners.min(axis=0) - margin), np.ceil(corners.max(axis=0) + margin)
    pixels = np.asarray(photograph)
    columns, rows = (
        np.clip(np.arange(int(first), int(last)), 0, length - 1)
        for first, last, length in zip(low, high, photograph.size, strict=True)
    )
    region = Image.fromarray(pixels[rows[:, None], columns])
    ratio = min(1.0, 1.0 / similarity.scale)
    if ratio < 1.0:
        reduced = max(1, round(region.width * ratio)), max(1, round(region.height * ratio))
        across, down = reduced[0] / region.width, reduced[1] / region.height
        region = region.resize(reduced, Image.Resampling.LANCZOS)
    else:
        across = down = 1.0
    matrix = np.array([[across], [down]]) * similarity.linear
    start = np.array([across, down]) * (np.array([similarity.shift.real, similarity.shift.imag]) - low)
    coefficients = (*matrix[0].tolist(), float(start[0]), *matrix[1].tolist(), float(start[1]))
    return np.asarray(region.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC))


def look(
    photograph: Image.Image, nominal: Nominal, sought: Queries, finder: Finder, candidate: Candidate, pitch: float
) -> Sighted | None:
    """Locate a part at a candidate, a place where it may lie; None if the points found there determine no pose.

    Args:
        photograph: RGB picture.
        nominal: camera and size of the nominal picture, to which the photograph is resampled.
        sought: points to look for: the connector's pins, and points on its edges.
        finder: the gauge's network.
        candidate: the candidate.
        pitch: distance of neighbouring pins in the nominal picture, px.
    """
    deviations = _deviations(nominal.camera, pitch)
    similarity, marks = candidate.similarity, sought.marks
    still = nominal.camera.project(marks)
    try:
        for number in range(_LOOKS):
            view = View("photograph", resampled(photograph, similarity, nominal.size), nominal.camera)
            found = located([view], sought, finder, deviations)
            pins_seen = share_seen(found, sought, pitch)
            if number == _LOOKS - 1 or pins_seen < _WORTH:
                break
            moved = nominal.camera.project(found.pose.to_station(marks))
            similarity = similarity.after(Similarity.between(still, moved))
    except (NotDeterminedError, np.linalg.LinAlgError):
        return None
    fit = found.fits[view.name]
    poses = _poses(found, sought, deviations)
    return Sighted(candidate, similarity, view, *poses, fit, found.pins[0], pins_seen)


def _poses(found: Located, sought: Queries, deviations: np.ndarray) -> tuple[Pose, Pose]:
    """Fit the pose again, first to edges and feet as `located` does, then to tips and feet as if they were the datum.

    Edges have larger covariances here than in `located`.
    """
    edges: list[Points] = []
    feet: list[Points] = []
    for each in found.points[found.pins[0].view.name]:
        is_edge = len(sought.kinds) > sought.pins and not each.is_pattern
        (edges if is_edge else feet).append(each)
    # The mean of n independent errors has the variance of the common error if each has n times that variance.
    common = sum(len(each.pixels) for each in edges) * _EDGE_PX**2 * np.eye(2)
    edges = [replace(each, covariances=each.covariances + common) for each in edges]
    pins = found.pins[0].only(found.pins[0].found.present > THERE)
    scatter = (_PIN_MM * pins.scale)[:, None, None] ** 2 * np.eye(2)
    ends = [
        Points(
            pins.view.camera, places[pins.which], pins.found.points[:, end], pins.found.covariances[:, end] + scatter
        )
        for end, places in enumerate((sought.marks, sought.besides))
    ]
    start = found.pose.matrix
    return find_pose([*edges, *feet], start, deviations), find_pose([*edges, *ends], start, deviations)


def _deviations(camera: StationCamera, pitch: float) -> np.ndarray:
    """Standard deviations (6,) of the part's place about a candidate's, rad and mm."""
    scale = float(camera.px_per_mm(np.zeros((1, 3)))[0])
    shift = _SHIFT * pitch / scale
    # A telecentric camera's scale does not depend on the distance.
    away = 1.0 if camera.telecentric else _LIFT * camera.fx / scale
    tilt, turn = np.radians(_TILT_DEG), np.radians(_TURN_DEG)
    return np.array([tilt, tilt, turn, shift, shift, away])


def share_seen(found: Located, sought: Queries, pitch: float) -> float:
    """Return the share of the positions with a pin whose foot is seen where the pose puts it, in the first view.

    `pitch` is the distance of neighbouring pins in the view, px.
    """
    seen = found.pins[0]
    feet = seen.view.camera.project(found.pose.to_station(sought.besides[seen.which]))
    off = seen.found.points[:, 1] - feet
    spread = seen.found.covariances[:, 1] + (_SCATTER * pitch) ** 2 * np.eye(2)
    apart = np.sqrt(np.einsum("ni,nij,nj->n", off, np.linalg.inv(spread), off))
    return float(np.mean(seen.sees(1) & (seen.found.present > 0.5) & (apart <= _AT_PLACE)))


def predicted(place: Sighted, marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where points of a located part lie in a photograph: x and y (n, 2) in px, covariances (n, 2, 2) in px^2.

    The covariances follow from that of the pose. They are enlarged if the fit of the pose is worse than the found
    points' covariances predict (Birge's ratio).

    Args:
        place: the located part.
        marks: (n, 3) the points, mm in the part's datum axes.
    """
    camera, pose, linear = place.view.camera, place.pins_pose, place.similarity.linear
    placed = pose.to_station(marks)
    slope = linear @ motion_derivative(camera, placed)
    larger = max(1.0, place.fit.residual**2)
    return place.similarity.apply(camera.project(placed)), larger * slope @ pose.covariance @ np.swapaxes(slope, 1, 2)


def _refusals(place: Sighted, limits: FitLimits) -> list[str]:
    """Why a place is none of the part."""
    wider = FitLimits(
        min(_RESIDUAL * limits.residual, OUTLIER), 1.0 - _OUTLIERS * (1.0 - limits.inliers), _SIGMA * limits.sigma_px
    )
    reasons = wider.reasons({place.view.name: place.fit})
    tilt = float(np.degrees(np.linalg.norm(small_motion(place.pose.matrix)[:2])))
    if tilt > _MOST_TILT_DEG:
        reasons.append(f"not located: the part is tilted by {tilt:.0f}°, limit {_MOST_TILT_DEG:.0f}°")
    scale, (least, most) = place.similarity.scale, SCALES
    if not least / (1.0 + _SCALE_MARGIN) <= scale <= most * (1.0 + _SCALE_MARGIN):
        reasons.append(
            f"not located: neighbouring pins are {scale:.2f} times as far apart as in the training pictures, allowed "
            f"{least:g} to {most:g}"
        )
    return reasons + too_few_pins(place.pins_seen)


def _cut_off(place: Sighted, drawing: Drawing, sought: Queries, size: tuple[int, int]) -> list[str]:
    """Whether a part, by the outline of its mating face, is not wholly in a photograph of `size` (W, H) px."""
    points = np.concatenate([sought.marks, sought.besides])
    if drawing.outline_mm is not None:
        points = np.pad(np.array(drawing.outline_mm, float), ((0, 0), (0, 1)))
    shown = place.similarity.apply(place.view.camera.project(place.pins_pose.to_station(points)))
    beyond = float(max(-shown.min(), (shown - size).max()))
    if beyond <= _BEYOND_PX * max(1.0, place.similarity.scale):
        return []
    return ["view: some of the part lies outside the photograph"]


def too_few_pins(seen: float) -> list[str]:
    """Return a sentence "not located: ..." if only this share of the pins is seen at their places; else nothing."""
    if seen >= LEAST_PINS:
        return []
    return [f"not located: only {seen:.0%} of the pins are seen at their places, {LEAST_PINS:.0%} needed"]


def _ambiguity(
    best: Sighted,
    others: Sequence[Sighted],
    template: Template,
    limits: FitLimits,
    stated: Callable[[np.ndarray], np.ndarray],
) -> list[str]:
    """Whether another place or orientation fits nearly as well, as a reason."""
    for other in others:
        if _refusals(other, limits) or are_alike(best.similarity, other.similarity, template):
            continue
        if other.agreement > _AS_GOOD * best.agreement:
            x, y = stated(other.similarity.apply(np.array([template.middle.real, template.middle.imag])))
            turn = np.degrees(np.angle(other.similarity.factor / best.similarity.factor))
            place = f"{x:.0f}, {y:.0f} px, turned by {round(turn)}° from the best place"
            return [f"ambiguous: the part fits nearly as well at {place}"]
    return []


def _second_part(
    best: Sighted, others: Sequence[Sighted], template: Template, stated: Callable[[np.ndarray], np.ndarray]
) -> list[str]:
    """Whether the photograph shows a second part beside the best place, which may be a defective one, as a reason."""
    least = 0.5 * min(np.ptp(template.points.real), np.ptp(template.points.imag)) * best.similarity.scale
    middle = np.array([template.middle.real, template.middle.imag])
    for other in others:
        place = other.similarity.apply(middle)
        away = np.linalg.norm(place - best.similarity.apply(middle))
        if other.pins_seen >= _SECOND and away > least:
            x, y = stated(place)
            return [
                f"ambiguous: {other.pins_seen:.0%} of the pins are also seen at another place ({x:.0f}, {y:.0f} px)"
            ]
    return []
