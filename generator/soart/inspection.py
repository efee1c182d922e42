"""Judge a picture by a unit space and, if they are known, by the boxes of the connector's pins.

The picture's score is its largest anomaly degree. With pins there is a second score: the largest degree of a pin. Each
score has a limit, set from the scores of the OK pictures (leave-one-out); the stated false alarm rate is the share of
OK parts above one of the limits, without alarms by `fading`. A pin is not OK if its degree is above the limit, if it is
not visible in its box (`fading` in `generator.soart.pins`), or if the peak of an anomaly lies in its box or beside it.
Where OK pictures differ so much that not even a missing pin would be noticed, a pin is UNSURE, never OK.

The verdict is the first of these that applies:

- INVALID: the picture does not show the part that the OK pictures show (`generator.soart.evidence`), or shows it
  turned, or shows less than half of it;
- NG: a score is above its limit by more than its uncertainty (plus UNSUITABLE if the next point applies, not by a pin);
- INVALID: some of the part or a pin lies outside the picture, or size, exposure, contrast, sharpness or noise are
  unlike those of all OK pictures (`generator.verdict.gates`);
- UNSURE: a score is above its limit, but within the uncertainty of the limit; or a missing pin would not be noticed;
- OK: none of these.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.io.pictures import open_picture
from generator.io.wording import some_of
from generator.soart import missing_pins
from generator.soart.aligned import grey, greys
from generator.soart.estimator import PictureResult, SoartC
from generator.soart.limits import ScoreLimit, joint_limit, score_limit
from generator.soart.pins import Pin, PinMeasure, PinTable, as_box
from generator.soart.regions import boxes_of, holds, standing_out
from generator.soart.registration import Placed
from generator.soart.saved_space import EXPECTED, PIN_SHIFT, POSITIONS, UNNOTICED_PINS
from generator.verdict.decimals import told_apart
from generator.verdict.envelope import Verdict, keyword_of
from generator.verdict.gates import PictureGates
from generator.verdict.tails import student_quantile

# A limit is taken for uncertain by at most these shares: by one OK picture, and because the OK pictures are few.
MOST_OF_ONE, MOST_UNCERTAIN = 0.25, 0.5
# Scores of good parts reach 1.8 times the limit if less of the part is seen, and so aligned, and 1.3 if it is blurred.
UNSUITABLE = 1.0
# Normal quantile of 0.995.
Z_995 = 2.576
# A pin is seen if at least this share of its box lies in the picture.
PIN_SEEN = 0.9
# A picture with less than this share of the part shows too little to say that it is this part.
LEAST_SEEN = 0.5
OK_PICTURES = "OK pictures"  # what reasons call the pictures with which a picture is compared
# Gates that do not compare places in the picture: registration compares them, wherever the part lies.
GATES_USED = ("size", "exposure", "contrast", "sharpness", "noise")
# A peak of the mean picture lies in an anomaly's box in the picture, or this near to it, px of the reduced picture.
REACH = 1.5
NOT_SEEN, NOT_JUDGED = "not_seen", "not_judged"
BESIDE = "an anomaly lies beside it, as the tip of a bent pin does"
UNNOTICED = "even a missing pin might not be noticed"
# Key of a model's notes that states how pictures were straightened (`generator.soart.straighteners`), if they were.
STRAIGHTENED = "straightened"


@dataclass(frozen=True)
class InspectedPin:
    """What was found at one pin.

    Attributes:
        measure: its measures.
        is_bad: whether it is above its limit, or an anomaly lies in its box.
        decision: OK, NG, UNSURE (also if an anomaly lies beside the pin, as where its tip is if it is bent), `not_seen`
            (outside the picture) or `not_judged` (no part found). A pin that would not be missed is UNSURE, never OK.
        box: (x1, y1, x2, y2), px of the picture.
    """

    measure: PinMeasure
    is_bad: bool
    decision: str
    box: tuple[float, ...]

    @property
    def is_named(self) -> bool:
        """Whether lines and drawings name the pin: it is NG or UNSURE."""
        return self.decision in ("NG", "UNSURE")

    def to_json(self) -> dict[str, Any]:
        """Return the pin's entry for the JSON document: measures, decision, verdict and box."""
        return {
            **self.measure.to_json(),
            "decision": self.decision,
            "verdict": self.decision if self.decision in tuple(Verdict) else str(Verdict.INVALID),
            "box": [round(v, 2) for v in self.box],
        }


class Doubts(NamedTuple):
    """By which share the limits of a picture's anomaly degree and of a pin's degree are uncertain."""

    picture: float
    pin: float


@dataclass(frozen=True)
class Finding:
    """The verdict on one picture.

    Attributes:
        verdict: OK, NG, UNSURE or INVALID.
        reasons: why the picture is not OK, each beginning with a keyword and a colon; empty for OK.
        score: the largest of three: the picture's anomaly degree divided by its limit, the largest degree of a pin
            divided by its limit, and the largest `fading` of a pin, if above 1. A score above 1 is not OK.
        boxes: (x1, y1, x2, y2, degree divided by its limit) of each anomaly, px of the picture, largest degree first.
        pins: what was found at each pin.
        anomaly: (H, W) float32, anomaly degree of each pixel of the picture divided by the limit.
        maps: (K, gh, gw) the SOART3 maps of the aligned picture (stage 1), K = 3 per channel.
        look: all results of SOARTC for the picture.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    score: float
    boxes: tuple[tuple[float, ...], ...]
    pins: tuple[InspectedPin, ...]
    anomaly: np.ndarray
    maps: np.ndarray
    look: PictureResult

    def to_json(self) -> dict[str, Any]:
        """Return what a verdict's JSON has besides the keys of `Envelope`: score, number of anomalies, evidence."""
        return {"score": round(self.score, 4), "anomalies": len(self.boxes), "evidence": self.look.evidence.to_json()}

    def boxes_to_json(self) -> list[list[float]]:
        """Return `boxes` for the JSON document."""
        return [[round(v, 2) for v in box] for box in self.boxes]

    def pins_to_json(self) -> list[dict[str, Any]]:
        """Return the pins' entries for the JSON document: measures, decision, verdict and box."""
        return [pin.to_json() for pin in self.pins]


class InspectionModel:
    """A fitted SOARTC model with the connector's pins and the limits of all scores, ready to judge pictures.

    Args:
        model: a fitted model.
        pins: the pins, with boxes in px of the unit space's mean picture; may be empty.
        gates: limits of size, exposure, contrast, sharpness and noise; None: these are not judged. They and the pins
            are also put into the model's `extras` and `notes`, so that `model.save` saves the whole inspection model.

    Attributes:
        table: statistics of the pins over the OK parts; None without pins.
        scores: the scores of the OK parts (leave-one-out), (n,) for the picture and, with pins, (n,) for the pins.
        picture_limit, pin_limit: limits of the picture's anomaly degree and of a pin's degree.
        picture_doubt, pin_doubt: uncertainty of each limit, as a share of the limit.
        other_views: inspection models of other views of the same parts; their pins have the same addresses.
        limit: the limits together, with the false alarm rate to be expected, alarms by `fading` left out.
        lacks: names of limits that are missing because an older version saved the file; empty for a new model.

    Raises:
        ValueError: the OK pictures are copies of each other, or a pin's box lies outside the mean picture.
    """

    def __init__(self, model: SoartC, pins: Sequence[Pin] = (), gates: PictureGates | None = None) -> None:
        self.model, self.gates = model, gates
        self.other_views: tuple[InspectionModel, ...] = ()
        self.table = PinTable(pins, greys(model.members_), greys(model.reference_[None])[0]) if pins else None
        self.scores = [model.scores_, *([self.table.leave_one_out()] if self.table else [])]
        above = min(model.settings["above"], len(model.scores_) // len(self.scores) - 1)
        self.set_limits(self.scores, above, joint_limit(self.scores, above)[1])
        self.lacks = [*model.lacks, *([] if gates else ["limits of size, exposure, contrast, sharpness and noise"])]
        positions = [[pin.address, *pin.box] for pin in pins]
        if model.notes.get(POSITIONS) != positions:
            model.notes.pop(UNNOTICED_PINS, None)  # found for other pins
        model.notes[POSITIONS] = positions
        if gates:
            model.extras["gates"] = np.frombuffer(gates.to_bytes(), np.uint8)

    def set_limits(self, scores: Sequence[np.ndarray], above: int, limit: ScoreLimit) -> None:
        """Set the limits of the picture's anomaly degree and of a pin's degree, and how uncertain they are.

        Args:
            scores: the scores of the OK parts, (n,) for the picture and, with pins, (n,) for the pins.
            above: number of OK parts whose score is above each limit.
            limit: what is stated of the limits together.

        Raises:
            ValueError: the OK pictures are copies of each other.
        """
        limits = [score_limit(one, above).value for one in scores]
        if not min(limits) > 0:
            raise ValueError(
                "expected OK pictures that differ, as limits are set from their differences, got equal ones"
            )
        self.picture_limit, self.pin_limit, self.limit = limits[0], limits[-1], limit
        doubts = [_doubt(one, above) for one in scores]
        self.picture_doubt, self.pin_doubt = doubts[0], doubts[-1]
        self._unnoticed: list[str] | None = None

    @classmethod
    def load(cls, path: Path) -> InspectionModel:
        """Load an inspection model (SOARTC model, pins and gates) from a file that its `model.save` wrote.

        Raises:
            ValueError: the file is damaged, of another kind, or of another version.
        """
        model = SoartC.load(path)
        pins = [Pin(address, as_box(box)) for address, *box in model.notes.get(POSITIONS, [])]
        try:
            content = model.extras.get("gates")
            gates = None if content is None else PictureGates.of_bytes(io.BytesIO(content.tobytes()), str(path))
        except InputError:
            raise ValueError(f"{path}: expected {EXPECTED}, got a damaged array extra_gates") from None
        return cls(model, pins, gates)

    def hash(self) -> str:
        """Return the SHA-256 (hex) of settings, pins, limits and statistics, but not of the gates."""
        model = self.model
        words = [model.settings, model.notes[POSITIONS], asdict(model.evidence_), *model.features_used]
        words += [model.notes[key] for key in (STRAIGHTENED, PIN_SHIFT) if model.notes.get(key)]
        digest = hashlib.sha256(json.dumps(words).encode())
        for array in (model.reference_, model.mean_, model.precision_, model.scores_, model.core_):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def inspect(self, image: np.ndarray) -> Finding:
        """Judge a picture, (H, W) grey or (H, W, C) colour, floats in [0, 1]; returns the verdict with its reasons.

        Raises:
            ValueError: the picture has another type or range or is smaller than a window, or its score is not finite.
        """
        look = self.model.look(image)
        unfit = self._reasons_of_gates(image)
        doubts = self._doubts(look, bool(unfit))
        relative = look.anomaly / np.float32(self.picture_limit)
        picture_score = float(look.degrees.max()) / self.picture_limit
        peaks = standing_out(look.degrees / np.float32(self.picture_limit))[:, 4:]
        lost = self._reasons_not_found(look)
        pins = self._judged_pins(look, peaks, doubts, bool(lost))
        pin_score = max((pin.measure.score(self.pin_limit) for pin in pins if pin.decision != NOT_SEEN), default=0.0)
        score = max(picture_score, pin_score)
        if not math.isfinite(score):  # a comparison with it would say OK
            raise ValueError(
                f"expected a finite anomaly score, got {score}; make the unit space again from the OK pictures"
            )
        boxes = () if lost else self._boxes(relative, peaks, look.placed)
        if not lost:
            is_bad = picture_score > 1 + doubts.picture or pin_score > 1 + doubts.pin
            found = self._reasons_anomalous(score, None if is_bad else doubts, boxes, pins)
            found += unnoticed_pins([pin.measure.address for pin in pins if pin.measure.hint == UNNOTICED], len(pins))
            unseen = self._reasons_not_seen(look, [pin.decision for pin in pins])
            unseen += [] if is_bad else unfit
            verdict = Verdict.NG if is_bad else Verdict.INVALID if unseen else Verdict.UNSURE if found else Verdict.OK
            reasons = [*found, *unseen]
        else:
            verdict, reasons = Verdict.INVALID, [*lost, *unfit]
        return Finding(verdict, tuple(reasons), score, boxes, pins, relative, look.maps, look)

    @property
    def unnoticed(self) -> list[str]:
        """Addresses of the pins that would not be missed, neither here nor in another view that shows them."""
        noticed = {pin.address for one in self.other_views for pin in one._pins() if pin.address not in one._blind()}
        return [address for address in self._blind() if address not in noticed]

    def _blind(self) -> list[str]:
        """Addresses of the pins that would not be missed in this view."""
        if self._unnoticed is None:
            table, limits = self.table, (self.picture_limit, self.pin_limit)
            self._unnoticed = [] if table is None else missing_pins.unnoticed(self.model, table, *limits)
        return self._unnoticed

    def reasons_unlike(self, image: np.ndarray) -> list[str]:
        """List why a picture, as for `inspect`, does not show the part as the OK pictures do; empty if it does.

        Raises:
            ValueError: as `inspect`.
        """
        look = self.model.look(image)
        lost = self._reasons_not_found(look) or self._reasons_not_seen(look, [NOT_JUDGED] * len(tuple(self._pins())))
        height, width = image.shape[:2]
        return [*lost, *(self.gates.size_reasons((width, height), OK_PICTURES) if self.gates else [])]

    def _reasons_not_found(self, look: PictureResult) -> list[str]:
        """List why the picture does not show the part as the OK pictures do; empty if it does."""
        found, limit = look.evidence, self.model.evidence_
        if found.residual > limit.residual:
            misfit = "misfit {}, limit {}".format(*told_apart(found.residual, limit.residual, 2))
            return [f"appearance: the part that the OK pictures show was not found, or is blurred ({misfit})"]
        if found.upright < limit.upright:
            return [f"orientation: the part is turned by {found.turn_deg} degrees"]
        return [_too_little(found.seen, max(limit.seen, LEAST_SEEN))] if found.seen < LEAST_SEEN else []

    def _reasons_not_seen(self, look: PictureResult, decisions: Sequence[str]) -> list[str]:
        found, limit = look.evidence.seen, self.model.evidence_.seen
        reasons = []
        if found < limit:
            reasons.append(_too_little(found, limit))
        if away := [pin.address for pin, said in zip(self._pins(), decisions, strict=True) if said == NOT_SEEN]:
            reasons.append(f"view: pins outside the picture: {some_of(away)}")
        return reasons

    def _reasons_of_gates(self, image: np.ndarray) -> list[str]:
        if self.gates is None:
            return []
        first: dict[str, str] = {}  # by keyword; a blurred picture is so across and down, in fine and in coarse detail
        for one in self.gates.reasons(Image.fromarray(np.round(255 * image).astype(np.uint8)), noun=OK_PICTURES):
            first.setdefault(keyword_of(one), one)
        return [first[keyword] for keyword in GATES_USED if keyword in first]

    def _reasons_anomalous(
        self,
        score: float,
        doubts: Doubts | None,
        boxes: Sequence[tuple[float, ...]],
        pins: Sequence[InspectedPin],
    ) -> list[str]:
        if score <= 1:
            return []
        named = [pin.measure for pin in pins if pin.is_named and pin.measure.hint != UNNOTICED]
        reasons = [f"pin: {pin.address}, {pin.hint}" for pin in named]
        if doubts is not None:
            share = f"{100 * max(self.picture_doubt, self.pin_doubt):.0f} %"
            more = (
                "; as the picture is unsuitable, twice the limit counts" if doubts.picture > self.picture_doubt else ""
            )
            return [f"limit: score {score:.2f} times the limit, and the limit is uncertain by {share}{more}", *reasons]
        if boxes:
            places = "1 place differs" if len(boxes) == 1 else f"{len(boxes)} places differ"
            reasons.append(f"anomaly: {places} from the OK pictures, by up to {boxes[0][4]:.2f} times the limit")
        return reasons or [f"anomaly: score {score:.2f} times the limit"]

    def _doubts(self, look: PictureResult, is_unfit: bool) -> Doubts:
        """Return the uncertainty of both limits; larger if the part lies partly outside or the picture is unfit."""
        more = UNSUITABLE if is_unfit or look.evidence.seen < self.model.evidence_.seen else 0.0
        return Doubts(self.picture_doubt + more, self.pin_doubt + more)

    def _judged_pins(
        self, look: PictureResult, peaks: np.ndarray, doubts: Doubts, is_lost: bool
    ) -> tuple[InspectedPin, ...]:
        """Measure every pin and judge whether it is above its limit, and surely so; bad pins get a hint.

        `peaks` (n, 3) are the anomalies' degrees divided by the limit, and their x, y in px of the mean picture;
        `is_lost`: the part was not found, so that no pin is judged.
        """
        if self.table is None:
            return ()
        seen = grey(look.seen)
        high = peaks[peaks[:, 0] > 1 + doubts.picture]
        boxes, visible = self._pin_boxes(look.placed), self._pins_seen(look.placed)
        beside = set() if is_lost else self.table.beside(peaks[:, 1:])
        judged, unnoticed = [], set(self.unnoticed)
        for number, pin in enumerate(self.table.measure(seen, look.degrees)):
            part = self.table.parts[number]
            score = pin.score(self.pin_limit)
            is_bad = score > 1 or holds(part, peaks[:, 1:])
            is_sure = score > 1 + doubts.pin or holds(part, high[:, 1:])
            hint = self.table.hint(seen, number) if is_bad else BESIDE if number in beside else ""
            decision = _decision(visible[number], is_lost, is_bad or number in beside, is_sure)
            if decision == "OK" and pin.address in unnoticed:
                decision, hint = "UNSURE", UNNOTICED
            judged.append(InspectedPin(replace(pin, hint=hint), is_bad, decision, boxes[number]))
        return tuple(judged)

    def _boxes(self, relative: np.ndarray, peaks: np.ndarray, placed: Placed) -> tuple[tuple[float, ...], ...]:
        """List `Finding.boxes`, with the degrees by which the picture is judged: `relative` is resampled from them."""
        places = placed.to_picture(peaks[:, 1:] + 0.5)
        return boxes_of(relative, np.column_stack([peaks[:, 0], places]), REACH / float(placed.reduction.min()))

    def _pin_boxes(self, placed: Placed) -> tuple[tuple[float, ...], ...]:
        return tuple(
            tuple(float(v) for v in placed.to_picture(np.array(pin.box).reshape(2, 2)).ravel()) for pin in self._pins()
        )

    def _pins(self) -> Iterable[Pin]:
        return self.table.pins if self.table else ()

    def _pins_seen(self, placed: Placed) -> list[bool]:
        """Whether enough of each pin's box lies in the picture; of the box, what the mean picture shows counts."""
        height, width = placed.reference
        seen = []
        for pin in self._pins():
            x1, y1, x2, y2 = np.clip(pin.box, 0, [width, height, width, height])
            x, y = np.meshgrid(np.linspace(x1, x2, 20), np.linspace(y1, y2, 20))
            points = placed.to_picture(np.stack([x.ravel(), y.ravel()], axis=1))
            within = ((points >= 0) & (points <= [placed.size[1], placed.size[0]])).all(axis=1)
            seen.append(float(within.mean()) >= PIN_SEEN)
        return seen


def unnoticed_pins(addresses: Sequence[str], count: int) -> list[str]:
    """Say which of `count` pins would not be missed: one reason, or none if there is no such pin."""
    which = f"{len(addresses)} of {count} pins ({some_of(addresses)})"
    return [f"unnoticed: {which}: {UNNOTICED}"] if addresses else []


def _decision(is_seen: bool, is_lost: bool, is_bad: bool, is_sure: bool) -> str:
    """Decide on a pin, as `InspectedPin.decision` states it."""
    if not is_seen:
        return NOT_SEEN
    if is_lost:
        return NOT_JUDGED
    if not is_bad:
        return "OK"
    return "NG" if is_sure else "UNSURE"


def _too_little(seen: float, limit: float) -> str:
    share, least = told_apart(100 * seen, 100 * limit, 0)
    return f"view: only {share} % of the part is in the picture, at least {least} % needed"


def _doubt(scores: np.ndarray, above: int) -> float:
    """Compute the share by which a limit is uncertain.

    It is the larger of two: by how much the limit falls without the OK picture that set it; and by how much it lies
    below the score that 0.5 % of good parts exceed, if the scores' logarithms are distributed normally.
    """
    count = len(scores)
    ordered = np.sort(scores)[::-1]
    limit, following = ordered[above], ordered[min(above + 1, count - 1)]
    logs = np.log(np.maximum(scores, 1e-12))
    extreme = float(np.exp(logs.mean() + student_quantile(Z_995, count - 1) * logs.std(ddof=1)))
    by_one, by_few = 1.0 - float(following / limit), extreme / float(limit) - 1.0
    return max(0.0, min(MOST_OF_ONE, by_one), min(MOST_UNCERTAIN, by_few))


def read_picture(path: Path, colour: bool = False) -> np.ndarray:
    """Read a picture as floats in [0, 1], (H, W) grey or, with `colour`, (H, W, 3) RGB, turned by its EXIF orientation.

    Raises:
        InputError: the file is damaged or not a picture.
    """
    return as_values(open_picture(path, str(path)), colour)


def as_values(picture: Image.Image, colour: bool = False) -> np.ndarray:
    """Convert a picture of mode RGB or L to floats in [0, 1]: (H, W) grey or, with `colour`, (H, W, 3) RGB."""
    return np.asarray(picture.convert("RGB" if colour else "L"), dtype=np.float32) / np.float32(255)
