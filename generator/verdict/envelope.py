"""The four verdicts, and the JSON document that every judge writes for a picture or part.

Judges: `generator inspect`, and `trainer.predict` with a run of any kind. A document has the keys of `Envelope`, and
further keys of its judge.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Any

SCHEMA = "pinsight-verdict/1"


class Verdict(StrEnum):
    """The verdict on a picture, pin or part; in this order the first that applies counts.

    - NG: a defect was found.
    - INVALID: it cannot be judged: not located, not wholly in view, too dark, blurred, unlike all training pictures.
    - UNSURE: judged, but between the limits of OK and NG, or something that has a tolerance was not seen.
    - OK: everything that was to be judged was seen and is within its tolerance. Only OK releases a part.
    """

    NG = "NG"
    INVALID = "INVALID"
    UNSURE = "UNSURE"
    OK = "OK"


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on a whole from those on its parts: the first of NG, INVALID, UNSURE, OK that occurs.

    Without any verdict it is INVALID: nothing was judged.
    """
    found = set(verdicts)
    return next((one for one in Verdict if one in found), Verdict.INVALID)


@dataclass(frozen=True)
class Envelope:
    """The JSON document on one picture, or on one part from several views.

    Attributes:
        verdict: of the picture or part.
        reasons: why it is not OK, and what was not inspected; each begins with a keyword and a colon,
            such as "exposure: ...", which programs may read. Empty only for OK.
        file: the picture's path; None for a part.
        files: paths by view; None for a single picture.
        sha256: SHA-256 of the picture's file in hex, or by view.
        model: `name` and `hash` of the run or unit space that judged.
        tolerance: limits in mm that the judge was made for or applies; None if it knows none.
        judged: characteristics that the verdict covers, such as `true_position`, `retraction`, `presence`.
        pins: one entry per pin that was judged, with `address`, `decision` and measures; may be empty.
        boxes: what was found in the picture, xyxy in px; may be empty.
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
        """Make the document: the fields that are set, schema, software and time (UTC), then `more` of the judge."""
        document = {
            "schema": SCHEMA,
            **{name: value for name, value in asdict(self).items() if value is not None},
            "software": software(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        return {**document, "verdict": str(self.verdict), **more}


def software() -> str:
    """Return name and version of this program, such as "pinsight 0.2.0"."""
    try:
        return f"pinsight {version('pinsight')}"
    except PackageNotFoundError:
        return "pinsight, not installed"
