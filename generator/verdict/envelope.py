"""The four verdicts, and the JSON document in which each verdict on a picture or part is written.

`generator inspect` and `trainer.predict` write such documents. A document has the keys of `Envelope`, and further keys,
which depend on the command.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Any

SCHEMA = "pinsight-verdict/1"
# The keywords with which reasons begin, each followed by a colon, and what such a reason says.
KEYWORDS: Mapping[str, str] = {
    "file": "the picture's file, or a picture of a part, is missing, or cannot be read",
    "unfit": "the run may not judge, such as one that is not better than chance",
    "gates": "the run has no limits beyond which a picture cannot be judged",
    "size": "width and height of the picture, or their ratio, are unlike those of the training pictures",
    "exposure": "the picture is too dark, too bright or burnt out",
    "contrast": "the picture has less or more contrast than the training pictures",
    "sharpness": "the picture is blurred",
    "noise": "the picture has more fine structure than the training pictures",
    "orientation": "the picture or the part in it is turned",
    "view": "some of the part or of its pins lies outside the picture or is hidden",
    "appearance": "the picture is unlike the training pictures, or does not show the part",
    "colour": "the colours are unlike those of the training pictures",
    "features": "the network's features of the picture are unlike those of the training pictures",
    "defect": "a score is at or above the threshold of NG",
    "threshold": "a score lies between the thresholds of OK and NG",
    "pin": "`inspect`: this pin is unlike that of the golden pictures",
    "anomaly": "`inspect`: places of the picture are unlike the golden pictures",
    "limit": "`inspect`: a score is above its limit, but within the uncertainty of the limit",
    "unnoticed": "`inspect`: even a missing pin might not be noticed at these positions",
    "not found": "no place in the photograph fits the drawing",
    "not located": "the pose of the part cannot be determined, or fits the picture too badly",
    "ambiguous": "the part fits nearly as well at another place or turn, or several parts are seen",
    "unlike training": "a gauge: connector or looks of the part are unlike those of the training",
    "nonconform": "a gauge: a characteristic of these pins is beyond its limit",
    "undecided": "a gauge: a characteristic is too near to its limit for its uncertainty",
    "undetermined": "a gauge: the given views do not determine a characteristic",
    "not_seen": "a gauge: these pins are hidden in every given view",
    "not inspected": "a gauge: the verdict does not cover this characteristic",
}


class Verdict(StrEnum):
    """The verdict on a picture, pin or part; `overall` combines several in this order.

    What no score can be trusted for is INVALID before it is compared with limits. Only `generator inspect` calls an
    unsuitable picture NG if its score is far above the limit (`generator.soart.inspection`).

    - NG: a defect was found.
    - INVALID: it cannot be judged, for example because the part was not found, or the picture is too dark or blurred.
    - UNSURE: judged, but between the limits of OK and NG; or a characteristic with a tolerance could not be measured.
    - OK: everything that had to be judged was visible and is within its tolerance. Only OK releases a part.
    """

    NG = "NG"
    INVALID = "INVALID"
    UNSURE = "UNSURE"
    OK = "OK"


def keyword_of(reason: str) -> str:
    """Return the keyword with which a verdict's reason begins: what stands before its first colon."""
    return reason.partition(":")[0]


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """Combine verdicts into one: the first of NG, INVALID, UNSURE, OK that occurs; INVALID if there is none."""
    found = set(verdicts)
    return next((one for one in Verdict if one in found), Verdict.INVALID)


def in_short(reasons: Sequence[str]) -> str:
    """Return a verdict's first reason and the keywords of the others, for a line; the document has all reasons."""
    first, *others = reasons or [""]
    own = first.partition(":")[0]
    more = [word for word in dict.fromkeys(text.partition(":")[0] for text in others) if word != own]
    return f"{first}; also {', '.join(more)}" if more else first


@dataclass(frozen=True)
class Envelope:
    """The JSON document on one picture, or on one part from several views.

    Attributes:
        verdict: the verdict on the picture or part.
        reasons: why it is not OK, and what was not inspected; each begins with a keyword and a colon, such as
            "exposure: ...", for programs that read it: see KEYWORDS. Empty only for OK.
        file: path of the picture; None for a part.
        files: paths of the part's pictures, by view; None for a single picture.
        sha256: SHA-256 of the picture's file in hex; for a part, that of each picture by view.
        model: `name` and `hash` of the training run or unit space that judged.
        tolerance: limits in mm that were applied, or for which the model was trained; None if there are none.
        judged: characteristics that the verdict covers, such as `true_position`, `height`, `presence`.
        pins: an entry for each pin that was judged, with `address`, `decision` and measures; may be empty.
        boxes: boxes of defects or anomalies found in the picture, xyxy in px; may be empty.
    """

    verdict: Verdict
    reasons: Sequence[str] = ()
    file: str | None = None
    files: Mapping[str, str] | None = None
    sha256: str | Mapping[str, str] | None = None
    model: Mapping[str, str] = field(default_factory=dict)
    tolerance: Mapping[str, Any] | None = None
    judged: Sequence[str] = ()
    pins: Sequence[Mapping[str, Any]] = ()
    boxes: Sequence[Any] = ()

    def to_json(self, **more: Any) -> dict[str, Any]:
        """Return the document: schema, software, time (UTC), each attribute that is not None, the items of `more`."""
        document = {
            "schema": SCHEMA,
            **{name: value for name, value in asdict(self).items() if value is not None},
            "software": software(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        return {**document, "verdict": str(self.verdict), **more}


def software() -> str:
    """Return this program's name and version, such as "pinsight 0.2.0"."""
    try:
        return f"pinsight {version('pinsight')}"
    except PackageNotFoundError:
        return "pinsight, not installed"
