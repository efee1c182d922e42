"""A detector's verdict on a picture: OK, or NG with a box around each defect; and the drawing of the verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from generator.io.drawing import Box, draw_boxes, enlargement, under_verdict
from trainer.florence2.answers import Found
from trainer.florence2.metrics import pin_at
from trainer.florence2.truth import Pin

SIDE_PX = 768


@dataclass(frozen=True)
class Detection:
    """One box: xyxy in px of the picture, class, confidence in [0, 1]; address and cavity where positions are known."""

    box: tuple[float, float, float, float]
    label: str
    confidence: float
    address: str | None
    cavity: str | None


@dataclass(frozen=True)
class DetectionVerdict:
    """Verdict on one picture: `NG` if it has a box at or above the threshold, else `OK`.

    Args:
        file: The picture's path, as given or as found in a given folder.
        verdict: `OK` or `NG`.
        width, height: Size of the picture in px.
        threshold: Confidence from which a box counts.
        boxes: The boxes at or above the threshold, in the answer's order.
    """

    file: str
    verdict: str
    width: int
    height: int
    threshold: float
    boxes: tuple[Detection, ...]


def verdict_of(
    found: Sequence[Found], size: tuple[int, int], file: str, threshold: float, pins: Sequence[Pin] = ()
) -> DetectionVerdict:
    """Make the verdict from the boxes at or above a threshold; with `pins`, a box gets its pin's address (`pin_at`)."""
    boxes = []
    for one in found:
        if one.confidence >= threshold:
            pin = pin_at(one.box, pins)
            where = (pin.address, pin.cavity or None) if pin else (None, None)
            boxes.append(Detection(one.box, one.label, one.confidence, *where))
    return DetectionVerdict(file, "NG" if boxes else "OK", *size, threshold, tuple(boxes))


def annotate(picture: Image.Image, verdict: DetectionVerdict) -> Image.Image:
    """Draw the boxes on the picture, under a bar with the verdict and the address and class of each box."""
    boxes = [
        Box(b.box, b.label, " ".join(filter(None, (b.address, b.label, f"{b.confidence:.0%}")))) for b in verdict.boxes
    ]
    sheet = draw_boxes(picture, boxes, enlargement(picture.size, SIDE_PX))
    return under_verdict(sheet, verdict.verdict, "  ".join(f"{b.address or '?'} {b.label}" for b in verdict.boxes))
