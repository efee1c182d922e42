"""How a gauge's decisions on pins that are missing by the reference are counted."""

from typing import Any

import numpy as np
import pandas as pd

from blender_scripts.contract.tolerance import Tolerance
from trainer.gauge.reference import Reference
from trainer.gauge.reference_figures import decisions, missing_pins
from trainer.gauge.reference_pins import ABSENT, doubtful, parts_of, pins_of

LIMITS = Tolerance(0.8, 0.6, 0.6)
JUDGED = ("presence", "true_position")
CONFORM = {"true_position": "conform", "height": "conform"}


def entry(presence: str, present: float, **decided: str) -> dict[str, Any]:
    """The entry of the only pin of a part, as in predictions.json."""
    return {"address": "r1c1", "decisions": {"presence": presence, **decided}, "present": present}


def tables(entries: dict[str, dict[str, Any] | None]) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Tables of parts of one pin, missing by the reference, and of these parts; None: the part is INVALID."""
    verdicts = {"nonconform": "NG", "undecided": "UNSURE", "conform": "OK"}
    documents = [
        {
            "part": part,
            "verdict": verdicts[one["decisions"]["presence"]] if one else "INVALID",
            "reasons": [],
            "pins": [one] if one else [],
        }
        for part, one in entries.items()
    ]
    missing = {part: {"r1c1": np.full(3, np.nan)} for part in entries}
    reference = Reference(missing, missing={(part, "r1c1") for part in entries})
    pins = pins_of(documents, reference, LIMITS, {"r1c1": 5.0}, JUDGED, 0.15)
    return pins, parts_of(pins, documents, ["r1c1"])


def test_missing_pins_are_noticed_undecided_or_taken_for_present():
    pins, parts = tables(
        {
            "p1": entry("nonconform", 0.001),
            "p2": entry("undecided", 0.4, **CONFORM),
            "p3": entry("conform", 0.998, **CONFORM),
            "p4": None,
        }
    )
    assert missing_pins(pins) == {
        "pins": 4,
        "parts": 4,
        "noticed": 1,
        "undecided": 1,
        "taken_for_present": 1,
        "invalid": 1,
        "named": ["p3 r1c1 missing by the reference, gauge: present with a probability of 0.998, OK"],
    }
    assert set(pins.truth) == {"NG"} and {one["truth"] for one in parts} == {"NG"}
    assert set(pins.not_compared_dx) == set(pins.not_compared_height) == {ABSENT}
    found = decisions(pins, parts, LIMITS, JUDGED)
    assert found["parts"]["matrix"]["NG"] == {"NG": 1, "INVALID": 1, "UNSURE": 1, "OK": 1}
    assert found["parts"]["escaped"] == [
        "p3: r1c1 missing by the reference, gauge: present with a probability of 0.998, OK"
    ]


def test_without_missing_pins_nothing_is_counted():
    pins, _ = tables({"p1": entry("nonconform", 0.001)})
    found = missing_pins(pins.assign(present="yes"))
    assert found["pins"] == found["noticed"] == 0 and found["named"] == []


def test_an_uncertainty_above_the_limit_is_doubted():
    """Half of the limit of true position, a diameter, is the most that dx or dy may be. Far pins are doubted, too."""
    pins = pd.DataFrame({"part": "p1", "address": ["r1c1", "r1c2", "r1c3"], "u_reference": [0.45, 0.1, np.nan]})
    pins["reference_true_position"] = [0.1, 3.9, np.nan]
    [said] = doubtful(pins, LIMITS)
    assert said.startswith("u_mm of 1 of the 3 pins is larger than half of their limit of true position")
    wide = Tolerance(0.8, 0.6, 0.6, {"r1c1": {"true_position_mm": 1.0}})
    assert doubtful(pins, wide) == []
    pins.loc[1, "reference_true_position"] = 4.1
    [said] = doubtful(pins, wide)
    assert said.startswith("true position by the reference is more than 5 times its limit for p1 r1c2: are dx_mm and")
