"""What a gauge sees in photographs of parts of a station, and which change of the pictures makes it see best.

The best change is chosen by what good parts show without a reference: how many of them the run's own limits accept, and
how far the housing's edges are found from where the part's pose puts them. The measures of the pins do not count here:
a change that makes the network blind would pull them all to zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from generator.locating.cameras import StationCamera
from generator.locating.fit import Fit, beyond_placing
from generator.locating.gauge import Gauge
from generator.locating.landmarks import queries
from generator.locating.likeness import Looks, looks_of
from generator.locating.locate import View, located, placing_deviations
from generator.locating.measure import MeasuredPin, measure
from generator.locating.scaling import scaled
from trainer.core.picture_transform import KINDS, PictureStatistics, PictureTransform
from trainer.gauge.prediction import Bench

Pictures = Mapping[str, Image.Image]


@dataclass(frozen=True)
class SeenPart:
    """A part as the gauge sees it.

    Attributes:
        part: name of the part.
        pins: measures of each position, in the drawing's order; empty if the part was not located.
        fits, looks: how well the pose fits, and what the part looks like, by view.
        reasons: why the run's limits make it INVALID; empty if they accept it.
        placed: whether the limits of the pose's fit accept the part.
    """

    part: str
    pins: Sequence[MeasuredPin] = ()
    fits: Mapping[str, Fit] = field(default_factory=dict)
    looks: Mapping[str, Looks] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    placed: bool = False

    @property
    def edge_px(self) -> float:
        """Root mean square distance of the points found from where the pose puts them, px; infinite: not located."""
        if not self.pins:
            return float("inf")
        return float(np.mean([fit.residual * fit.sigma_px for fit in self.fits.values()]))


def camera_of(bench: Bench, view: str, picture: Image.Image) -> StationCamera:
    """Return the nominal camera of a view, for a picture of this size."""
    return StationCamera.nominal(bench.drawing.cameras[view], *picture.size)


def at_scale(bench: Bench, view: str, picture: Image.Image) -> np.ndarray:
    """Return a picture's pixels (H, W, 3) at the gauge's scale."""
    return scaled(picture, bench.drawing, camera_of(bench, view, picture), bench.gauge.pitch_px)[0]


def see(bench: Bench, part: str, pictures: Pictures) -> SeenPart:
    """Locate and measure a part in its pictures, by view, whatever the run's limits say of it."""
    gauge, drawing = bench.gauge, bench.drawing
    views = [
        View(view, *scaled(picture, drawing, camera_of(bench, view, picture), gauge.pitch_px)[:2])
        for view, picture in pictures.items()
    ]
    alike = "half_turn" in drawing.symmetries
    refused = [
        reason
        for view in views
        for reason in gauge.gates[view.name].reasons(Image.fromarray(view.pixels), half_turn_alike=alike)
    ]
    found = queries(drawing)
    try:
        one = located(views, found, gauge.finder, placing_deviations(drawing.placing))
    except (ValueError, np.linalg.LinAlgError) as error:
        return SeenPart(part, reasons=(*refused, f"not located: {error}"))
    pins = measure(one.pins, found, one.pose, gauge.factors.correction(one.features, drawing.key))
    looks = looks_of(one)
    misplaced = [*gauge.limits.reasons(one.fits), *beyond_placing(one.pose, drawing.placing)]
    refused += misplaced
    if gauge.likeness is not None:
        refused += gauge.likeness.reasons(drawing.key, looks)
    return SeenPart(part, pins, one.fits, looks, tuple(refused), not misplaced)


def changed(transforms: Mapping[str, PictureTransform], pictures: Pictures) -> dict[str, Image.Image]:
    """Return a part's pictures, by view, each changed as its view's pictures are."""
    return {view: transforms[view].apply(picture) for view, picture in pictures.items()}


@dataclass(frozen=True)
class Candidate:
    """A kind of change, with what it does to photographs of good parts.

    Attributes:
        kind, transforms: the kind, and the change of each view.
        seen: the parts.
    """

    kind: str
    transforms: Mapping[str, PictureTransform]
    seen: Sequence[SeenPart]

    @property
    def accepted(self) -> int:
        """Number of parts that the run's limits accept."""
        return sum(not each.reasons for each in self.seen)

    @property
    def edge_px(self) -> float:
        """Median over the parts of the distance at which edges are found, px."""
        return float(np.median([each.edge_px for each in self.seen]))

    def to_json(self) -> dict[str, object]:
        """Return kind, number of accepted parts and distance of the edges."""
        far = self.edge_px
        return {"kind": self.kind, "accepted": self.accepted, "of": len(self.seen),
                "edge_px": round(far, 4) if np.isfinite(far) else None}  # fmt: skip


def candidates(
    bench: Bench,
    parts: Mapping[str, Pictures],
    photographs: Mapping[str, Sequence[np.ndarray]],
    targets: Mapping[str, PictureStatistics],
    kinds: Sequence[str] = KINDS,
) -> list[Candidate]:
    """Try kinds of change on photographs of good parts.

    Args:
        bench: the run and the drawing.
        parts: the photographs, by part and view.
        photographs: their pixels (H, W, 3) at the gauge's scale, by view.
        targets: statistics that the photographs shall get, by view.
        kinds: the kinds to try.
    """
    found = []
    for kind in kinds:
        transforms = {view: PictureTransform.fit(kind, each, targets[view]) for view, each in photographs.items()}
        seen = [see(bench, name, changed(transforms, pictures)) for name, pictures in parts.items()]
        found.append(Candidate(kind, transforms, seen))
    return found


def widened(bench: Bench, candidate: Candidate, parts: Mapping[str, Pictures], most: float) -> Gauge:
    """Return a gauge whose limits of pictures and looks allow the good parts too, each moved by at most `most` times.

    The limits of the pose's fit stay: they say whether a part was located at all. Parts that they refuse do not count.
    """
    gauge, by_view = bench.gauge, dict[str, list[Image.Image]]()
    placed = [one for one in candidate.seen if one.placed]
    for one in placed:
        for view, picture in changed(candidate.transforms, parts[one.part]).items():
            by_view.setdefault(view, []).append(Image.fromarray(at_scale(bench, view, picture)))
    gates = {view: gauge.gates[view].widened(each, most) for view, each in by_view.items()}
    likeness = gauge.likeness
    if likeness is not None:
        looks = {view: [one.looks[view] for one in placed if view in one.looks] for view in by_view}
        views = {
            view: own.widened(looks[view], most) if looks.get(view) else own for view, own in likeness.views.items()
        }
        likeness = replace(likeness, views=views)
    return replace(gauge, gates={**gauge.gates, **gates}, likeness=likeness)
