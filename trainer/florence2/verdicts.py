"""A detector's verdict on a picture, with a box around each defect, and the drawing of the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from generator.io.drawing import Box, Cell, draw_boxes, enlargement, grid, under_verdict
from generator.verdict.envelope import Verdict
from trainer.core.calibration import Calibration
from trainer.core.decision import Thresholds
from trainer.core.decision import verdict_of as verdict_of_score
from trainer.florence2.answers import Found
from trainer.florence2.metrics import pin_at
from trainer.florence2.truth import Pin
from trainer.florence2.verdict_counts import score_of

SIDE_PX = 768


@dataclass(frozen=True)
class Detection:
    """A found box.

    Args:
        box, label: xyxy in px, and the class.
        confidence: In [0, 1]; not calibrated. The thresholds apply to it.
        address, cavity: Those of the pin there; None if not known.
        probability: Calibrated probability that the box is right; None if the run is not calibrated at this confidence.
    """

    box: tuple[float, float, float, float]
    label: str
    confidence: float
    address: str | None
    cavity: str | None
    probability: float | None = None

    @property
    def sure(self) -> str:
        """Confidence as text and, if the run is calibrated, the probability in per cent."""
        if self.probability is None:
            return f"{self.confidence:.2f}"
        return f"{self.confidence:.2f} ({'>99%' if self.probability >= 0.995 else f'{self.probability:.0%}'})"


@dataclass(frozen=True)
class DetectionVerdict:
    """Verdict on one picture.

    Args:
        verdict: OK, NG or UNSURE, by the highest confidence of all boxes (0 without a box); or INVALID.
        reasons: Why the verdict is not OK; each begins with a keyword and a colon.
        width, height: Size of the picture in px.
        threshold: Confidence from which a box counts.
        boxes: The boxes at or above the threshold, in the answer's order.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    width: int
    height: int
    threshold: float
    boxes: tuple[Detection, ...]

    @property
    def said(self) -> str:
        """Text beside the verdict: address, class, confidence and probability of each box; empty for INVALID."""
        if self.verdict is Verdict.INVALID:
            return ""
        return ", ".join(f"{b.address or '?'} {b.label} {b.sure}" for b in self.boxes)


def verdict_of(
    found: Sequence[Found],
    size: tuple[int, int],
    limits: Thresholds,
    pins: Sequence[Pin] = (),
    invalid: Sequence[str] = (),
    calibration: Calibration | None = None,
) -> DetectionVerdict:
    """Make the verdict from the boxes found.

    Args:
        found: All found boxes, in px of the picture.
        size: Size (W, H) of the picture in px.
        limits: Thresholds of the highest confidence; a box with less than `limits.threshold` is left out.
        pins: The pins' positions, if known; a box gets the address of its pin (`pin_at`).
        invalid: Reasons why the picture cannot be judged: see `decision.verdict_of`.
        calibration: The run's; it gives the boxes' probabilities and changes no verdict.
    """
    boxes = []
    for one in found:
        if one.confidence >= limits.threshold:
            pin = pin_at(one.box, pins)
            address, cavity = (pin.address, pin.cavity or None) if pin else (None, None)
            probability = calibration.probability(one.confidence) if calibration else None
            boxes.append(Detection(one.box, one.label, one.confidence, address, cavity, probability))
    verdict, reasons = verdict_of_score(score_of(found), limits, invalid, "the highest confidence of a box")
    return DetectionVerdict(verdict, tuple(reasons), *size, limits.threshold, tuple(boxes))


def annotate(picture: Image.Image, verdict: DetectionVerdict) -> Image.Image:
    """Return a sheet: a bar with the verdict and, if NG, address and class of each box, otherwise the reasons; below
    it the picture with its boxes.
    """
    shown = _named(verdict) if verdict.verdict is Verdict.NG else verdict.reasons
    return under_verdict(_with_boxes(picture, verdict), verdict.verdict, "  ".join(shown))


def annotate_part(
    views: Mapping[str, tuple[Image.Image, DetectionVerdict]], verdict: Verdict, reasons: Sequence[str]
) -> Image.Image:
    """Return a part's sheet: a bar with its verdict; below it each view's picture with its boxes.

    Args:
        views: Picture and verdict of each view, by its name.
        verdict, reasons: Verdict on the part, and why it is not OK.
    """
    cells = [Cell(_with_boxes(picture, one), [f"{view}: {one.verdict}"]) for view, (picture, one) in views.items()]
    named = [f"{view}: {', '.join(_named(one))}" for view, (_, one) in views.items() if one.verdict is Verdict.NG]
    return under_verdict(grid([cells]), verdict, "  ".join(named if verdict is Verdict.NG else reasons))


def _named(verdict: DetectionVerdict) -> list[str]:
    return [f"{b.address or '?'} {b.label}" for b in verdict.boxes]


def _with_boxes(picture: Image.Image, verdict: DetectionVerdict) -> Image.Image:
    boxes = [Box(b.box, b.label, " ".join(filter(None, (b.address, b.label, b.sure)))) for b in verdict.boxes]
    return draw_boxes(picture, boxes, enlargement(picture.size, SIDE_PX))
