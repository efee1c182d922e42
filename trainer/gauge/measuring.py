"""Measure every pin of a dataset's parts with a gauge, as a table with the truth beside it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from generator.locating.factors import Factors
from generator.locating.fit import Fit
from generator.locating.likeness import Looks, looks_of
from generator.locating.locate import Finder, Sighting, View, located, placing_deviations
from generator.locating.measure import MeasuredPin, measure
from generator.locating.pose import Pose
from trainer.gauge.picture import GaugeData, Picture

AXES = ("dx", "dy", "retraction")


@dataclass(frozen=True)
class Capture:
    """Pictures of a part that was placed on the station once, in one light: at most one picture by each camera."""

    pictures: tuple[Picture, ...]

    @property
    def views(self) -> list[View]:
        """The pictures with their cameras, as `generator.locating` reads them."""
        return [View(str(each.row["camera"]), each.pixels, each.camera) for each in self.pictures]


@dataclass(frozen=True)
class MeasuredCapture:
    """A capture and what the gauge measured in it.

    Attributes:
        capture: the pictures.
        pose: pose of the part in the station; None if it could not be located; `pins` is then empty.
        pins: measures of each pin in mm, in the drawing's order.
        fits: by view, how well the pose fits the points found.
        seen: for each view, the points found, in px.
        looks: by view, colour of the pins and features of the housing's edges, to compare with training.
        unlike: reasons why the part is unlike those of the training; with any, its verdict is INVALID.
    """

    capture: Capture
    pose: Pose | None
    pins: Sequence[MeasuredPin]
    fits: Mapping[str, Fit] = field(default_factory=dict)
    seen: Sequence[Sighting] = ()
    looks: Mapping[str, Looks] = field(default_factory=dict)
    unlike: tuple[str, ...] = ()


def captures_of(pictures: Iterable[Picture], cameras: Sequence[str] = ()) -> list[Capture]:
    """Group pictures into captures: each has one placing of a part, in one light, and at most one picture per camera.

    Args:
        pictures: the pictures of a split. If a camera took several of one placing, they go into different captures.
        cameras: names of the cameras whose pictures are used; empty: all.
    """
    found: dict[tuple[Any, ...], list[Picture]] = {}
    counts: dict[tuple[Any, ...], int] = {}
    for each in pictures:
        row = each.row
        if cameras and row["camera"] not in cameras:
            continue
        placing = each.key, row.get("part"), row.get("fixture"), row.get("lighting"), each.pixels.shape
        view = (*placing, row["camera"])
        counts[view] = counts.get(view, 0) + 1
        found.setdefault((*placing, counts[view]), []).append(each)
    return [Capture(tuple(each)) for each in found.values()]


def some_of(captures: Sequence[Capture], most: int) -> list[Capture]:
    """Return at most `most` of the captures, evenly spread from the first to the last."""
    if len(captures) <= most:
        return list(captures)
    return [captures[index] for index in np.unique(np.linspace(0, len(captures) - 1, most).astype(int))]


def measure_captures(
    captures: Sequence[Capture],
    data: GaugeData,
    finder: Finder,
    factors: Factors | None = None,
    progress: Callable[[Iterable[Capture]], Iterable[Capture]] = iter,
) -> list[MeasuredCapture]:
    """Locate each capture's part and measure its pins; return a `MeasuredCapture` for each, however well the pose fits.

    Args:
        captures: the captures, from `captures_of`.
        data: drawings and queries of the captures' connectors.
        finder: the network, which finds points in crops.
        factors: factors on the standard deviations in mm, slopes and biases of the measures; None: no correction.
        progress: called with the captures; returns an iterator over them that shows progress.
    """
    found = []
    for capture in progress(captures):
        key = capture.pictures[0].key
        queries = data.queries[key]
        views = capture.views
        try:
            part = located(views, queries, finder, placing_deviations(data.connectors[key].placing))
            pins = measure(part.pins, queries, part.pose, (factors or Factors()).correction(part.features, key))
            found.append(MeasuredCapture(capture, part.pose, pins, part.fits, part.pins, looks_of(part)))
        except (ValueError, np.linalg.LinAlgError):
            found.append(MeasuredCapture(capture, None, ()))
    return found


def table_of(measured: Iterable[MeasuredCapture], data: GaugeData) -> pd.DataFrame:
    """Make a table with a row for each pin of each located capture in `measured`.

    Returns:
        Columns `part`, `fixture` (placing), `scene`, `housing`, `terminal`, `lighting`, `cameras`, `capture` (number in
        `measured`), `unlike` (whether the part is unlike training), `address`, `kind` (kinds of defect, or none),
        `there` (whether there is a pin in truth), `present` (measured probability of a pin), `sigma_px` (of the tip in
        its best view), `cov_xy` (covariance of dx and dy, mm^2), `visible` (largest share of the pin that a view
        shows). For each axis A of dx, dy and retraction, in mm: `true_A`, `found_A`, standard deviation `sigma_A`;
        `determined_A`, whether the views determine this measure.
    """
    rows = []
    for number, one in enumerate(measured):
        first = one.capture.pictures[0]
        facts = {name: first.row.get(name) for name in ("part", "fixture", "scene", "housing", "terminal", "lighting")}
        facts["cameras"] = "+".join(str(each.row["camera"]) for each in one.capture.pictures)
        facts["capture"] = number
        positions, kinds = data.connectors[first.key].positions, kinds_of(str(first.row.get("defects") or ""))
        for index, pin in enumerate(one.pins):
            truth = first.objects[index]
            true = [np.nan] * 3
            if truth is not None and truth.dx_mm is not None:
                true = [truth.dx_mm, truth.dy_mm or 0.0, truth.retraction_mm or 0.0]
            shown = [each.objects[index] for each in one.capture.pictures]
            deviations = np.sqrt(np.diag(pin.covariance))
            rows.append(
                {
                    **facts,
                    "unlike": bool(one.unlike),
                    "address": positions[index].address,
                    "kind": kinds.get(positions[index].address, "none"),
                    "there": bool(first.present[index]),
                    "present": pin.present,
                    "sigma_px": pin.sigma_px,
                    **{f"true_{name}": value for name, value in zip(AXES, true, strict=True)},
                    **{f"found_{name}": value for name, value in zip(AXES, pin.offsets_mm, strict=True)},
                    **{f"sigma_{name}": value for name, value in zip(AXES, deviations, strict=True)},
                    **{f"determined_{name}": bool(value) for name, value in zip(AXES, pin.determined, strict=True)},
                    "cov_xy": float(pin.covariance[0, 1]),
                    "visible": max((each.visible or 0.0 for each in shown if each is not None), default=np.nan),
                }
            )
    return pd.DataFrame(rows)


def kinds_of(defects: str) -> dict[str, str]:
    """Return the kinds of defect of each defective pin, such as `bent+retracted`, by the pin's address.

    `defects` is the text in the manifest's column of this name, such as `bent@r1c2:...;missing@r2c1`.
    """
    found: dict[str, str] = {}
    for text in filter(None, defects.split(";")):
        kind, _, rest = text.partition("@")
        address = rest.partition(":")[0]
        found[address] = f"{found[address]}+{kind}" if address in found else kind
    return found
