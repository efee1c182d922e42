"""Measures of a picture's exposure, contrast, sharpness and noise, and the gates on them.

The gates compare them with those of similar training pictures; the other gates are in `generator.verdict.gates`.

Sharpness is the logarithm of a ratio of mean squares, so that it does not depend on the scene's contrast. It has four
measures, horizontal ("across") and vertical ("down"), each in two ways:

- "fine": second differences of neighbouring pixels divided by first differences;
- "coarse": first differences in the picture at half size divided by those at quarter size, which show blur in a noisy
  picture as well.

Blur lowers both, noise raises them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from generator.verdict.appearance import grey_values

# Larger pictures are reduced to this side first: sharpness in finer detail than a judge uses does not count.
LONGEST_PX = 2048
BURNT = 250 / 255
# Standard deviation of grey values, 0 to 1, below which a picture shows nothing: one step of 8 bits.
FLAT = 1 / 255
TINY = 1e-9


@dataclass(frozen=True)
class Measure:
    """A measure of a picture's quality, with limits beyond which `MEASURE_GATES` refuse pictures.

    Attributes:
        unit: for messages, what is measured, with its range or unit, such as `mean grey value, 0 to 1`.
        least: smallest distance of a limit from the median of training pictures, in the measure's own unit.
    """

    unit: str
    least: float


MEASURES = {
    "brightness": Measure("mean grey value, 0 to 1", 0.02),
    "highlights": Measure("grey value that 1 % of the pixels exceed, 0 to 1", 0.05),
    "burnt": Measure("square root of the share of pixels at 250 of 255 or above", 0.05),
    "contrast": Measure("log of the standard deviation of the grey values", 0.1),
    "fine_across": Measure("log of (mean squared second / mean squared first horizontal pixel differences)", 0.1),
    "fine_down": Measure("log of (mean squared second / mean squared first vertical pixel differences)", 0.1),
    "coarse_across": Measure("log of (mean squared horizontal pixel differences at half size / at quarter size)", 0.1),
    "coarse_down": Measure("log of (mean squared vertical pixel differences at half size / at quarter size)", 0.1),
}
MEASURE_NAMES = tuple(MEASURES)


@dataclass(frozen=True)
class MeasureGate:
    """A gate that refuses pictures above or below a limit of one measure.

    Attributes:
        keyword: word with which `sentence`, the gate's reason in a verdict INVALID, begins.
        measure: name of the measure, a key of MEASURES.
        above: whether the gate refuses values above the upper limit; else values below the lower limit.
        words: how a refused picture differs, such as `darker than similar {noun}`.
    """

    keyword: str
    measure: str
    above: bool
    words: str

    def sentence(self, beyond: float, limit: float, noun: str) -> str:
        """Return the reason why the gate refuses a picture.

        Args:
            beyond: the picture's measure minus the median of this measure over similar training pictures.
            limit: the limit of this difference that the picture exceeds.
            noun: what the sentence calls the training pictures.
        """
        unit = MEASURES[self.measure].unit
        words = self.words.format(noun=noun)
        return f"{self.keyword}: {words} ({unit}: {beyond:+.3f} from their median, limit {limit:+.3f})"


MEASURE_GATES = (
    MeasureGate("exposure", "brightness", False, "darker than similar {noun}"),
    MeasureGate("exposure", "brightness", True, "brighter than similar {noun}"),
    MeasureGate("exposure", "highlights", False, "darker highlights than similar {noun}"),
    MeasureGate("exposure", "burnt", True, "more burnt-out pixels than similar {noun}"),
    MeasureGate("contrast", "contrast", False, "less contrast than similar {noun}"),
    MeasureGate("contrast", "contrast", True, "more contrast than similar {noun}"),
    MeasureGate("sharpness", "fine_across", False, "more blurred horizontally than similar {noun}"),
    MeasureGate("sharpness", "fine_down", False, "more blurred vertically than similar {noun}"),
    MeasureGate("sharpness", "coarse_across", False, "more blurred horizontally than similar {noun}"),
    MeasureGate("sharpness", "coarse_down", False, "more blurred vertically than similar {noun}"),
    MeasureGate("noise", "fine_across", True, "more fine horizontal structure than similar {noun}"),
    MeasureGate("noise", "fine_down", True, "more fine vertical structure than similar {noun}"),
)


def measures_of(picture: Image.Image) -> np.ndarray:
    """Compute the measures (8,) of a picture of mode RGB or L, in the order of MEASURES."""
    longest = max(picture.size)
    size = None
    if longest > LONGEST_PX:
        size = tuple(max(1, round(side * LONGEST_PX / longest)) for side in picture.size)
    grey = grey_values(picture, size)  # type: ignore[arg-type]
    half = _halved(grey)
    quarter = _halved(half)
    fine, coarse = [], []
    for axis in (1, 0):  # across, down
        fine.append(_log_ratio(np.diff(grey, 2, axis=axis), np.diff(grey, axis=axis)))
        coarse.append(_log_ratio(np.diff(half, axis=axis), np.diff(quarter, axis=axis)))
    exposure = (grey.mean(), np.quantile(grey, 0.99), np.sqrt((grey >= BURNT).mean()), np.log(grey.std() + TINY))
    return np.array([*exposure, *fine, *coarse], dtype=np.float64)


def _log_ratio(one: np.ndarray, other: np.ndarray) -> float:
    """Log of the ratio of the mean squares of differences; 0 for pictures too small to have any."""
    squares = [float(np.square(each).mean()) if each.size else 0.0 for each in (one, other)]
    return float(np.log((squares[0] + TINY) / (squares[1] + TINY)))


def flat(found: np.ndarray) -> bool:
    """Return whether `found`, the measures (8,) of a picture, say that it has one grey value everywhere."""
    return bool(found[MEASURE_NAMES.index("contrast")] < np.log(FLAT))


def _halved(grey: np.ndarray) -> np.ndarray:
    """Reduce (H, W) by two: means of 2 x 2 pixels; a picture of 1 px stays."""
    rows, columns = (side // 2 * 2 for side in grey.shape)
    if not rows or not columns:
        return grey
    even = grey[:rows, :columns]
    return np.asarray((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4)
