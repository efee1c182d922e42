"""Decisions against the truth, on tables whose answers are known."""

import numpy as np
import pandas as pd

from generator.locating.judge import CHARACTERISTICS
from tests.trainer.gauge.gauge_tables import table
from trainer.gauge.agreement import forced, near_limit, of_parts, of_pins
from trainer.gauge.figures import true_position


def decided(pins: pd.DataFrame, limit: float = 0.8) -> pd.DataFrame:
    """Decisions by the measured value alone, as if U were 0."""
    found = pd.DataFrame({"true_position_mm": limit}, index=pins.index)
    sizes = {name: true_position(pins, name) > limit for name in ("true", "found", "bright")}
    for name in CHARACTERISTICS:
        is_tip = name == "true_position"
        found[f"decision_{name}"] = np.where(sizes["found"] & is_tip, "nonconform", "conform")
        found[f"ng_{name}"] = sizes["true"] & is_tip
    for name in ("found", "bright"):
        found[f"{name}_ng_true_position"] = sizes[name]
    return found.assign(zero_ng_true_position=False)


def test_wrong_decisions_lie_near_the_limit():
    pins = table(sigma=0.03)
    found = of_pins(pins, decided(pins), CHARACTERISTICS, ["a/r1c1"])
    wrong = found["characteristics"]["true_position"]["wrong"]
    assert 0 < wrong["count"] < wrong["of"] == len(pins)
    *ranges, near = found["near_limit"]
    assert sum(each["pins"] for each in ranges) == len(pins)
    assert ranges[0]["wrong"] == ranges[-1]["wrong"] == 0 and near["wrong"] == wrong["count"]
    assert ranges[-1]["right"] == {"gauge": 1.0, "bright tip": ranges[-1]["right"]["bright tip"], "answer zero": 0.0}


def test_forced_decisions_by_position_add_up():
    pins = table(sigma=0.1)
    found = forced(pins, decided(pins), ["a/r1c1", "a/r1c2"])
    counts = {name: by["gauge"]["of"] for name, by in found.items()}
    assert counts["all positions"] == counts["displaced in training"] + counts["never displaced in training"]
    assert found["all positions"]["gauge"]["share"] > found["all positions"]["answer zero"]["share"]
    assert set(forced(pins, decided(pins), ())) == {"all positions"}


def test_a_pin_that_was_called_missing_counts_as_no_decision_on_its_tip():
    pins = table()
    decisions = decided(pins)
    decisions.loc[:9, "decision_true_position"] = ""
    assert of_pins(pins, decisions, CHARACTERISTICS, ())["characteristics"]["true_position"]["wrong"]["of"] == 230
    assert sum(each["pins"] for each in near_limit(pins, decisions)[:-1]) == 240


def test_parts_by_truth_and_verdict():
    parts = pd.DataFrame({"ng": [True, True, False, False, False], "verdict": ["NG", "OK", "OK", "UNSURE", "INVALID"]})
    parts = parts.assign(found_ng=[True, False, False, True, False], bright_ng=False, zero_ng=False)
    found = of_parts(parts)
    assert found["matrix"] == {
        "OK": {"NG": 0, "INVALID": 1, "UNSURE": 1, "OK": 1},
        "NG": {"NG": 1, "INVALID": 0, "UNSURE": 0, "OK": 1},
    }
    assert (found["wrong"]["count"], found["wrong"]["of"]) == (1, 3) and found["wrong"]["interval"][1] > 0.9
    assert found["forced"]["gauge"]["share"] == 0.6 and found["forced"]["answer zero"]["share"] == 0.6
    assert found["unsure"]["ok"]["count"] == found["invalid"]["ok"]["count"] == found["escapes"]["count"] == 1
