"""Figures of the study `reality_gap`, of made verdicts, and its tables."""

import json

import pytest

from blender_scripts.contract.connector import read_connector
from studies.foreign_stations import SCENES
from studies.gap_measures import (
    JudgedPart,
    Truth,
    classifier_figures,
    gauge_figures,
    inspect_figures,
    judged_by_classifier,
    judged_by_gauge,
    judged_by_inspect,
    truths,
    verdict_figures,
)
from studies.gap_tables import AS_TRAINED, CLASSIFIER, GAUGE, INSPECT, MATCHED, STAND_IN, Result, silent, tables

CONNECTOR = read_connector(SCENES / "connector_3x9.toml")


def record(folder, name, **pin):
    good = {"address": "r1c1", "tip_mm": [0, 0, 0], "dx_mm": 0.01, "dy_mm": 0.0, "retraction_mm": 0.0}
    (folder / f"{name}_center.json").write_text(json.dumps({"positions": [good | pin]}))


def test_the_class_in_truth_follows_the_tolerance_and_the_floor(tmp_path):
    record(tmp_path, "good")
    record(tmp_path, "bent", dx_mm=0.41)
    record(tmp_path, "low", retraction_mm=0.58)
    record(tmp_path, "high", retraction_mm=-0.62)
    record(tmp_path, "missing", tip_mm=None, dx_mm=None, dy_mm=None, retraction_mm=None)
    labels = {"good": "OK", "bent": "BENDNG", "low": "OK", "high": "OTHERNG", "missing": "NUKENG"}
    assert {name: one.label for name, one in truths(tmp_path, CONNECTOR, 0.0).items()} == labels
    deeper = truths(tmp_path, CONNECTOR, 0.03)
    assert deeper["low"].label == "NUKENG" and deeper["good"].pins["r1c1"] == pytest.approx((0.01, 0.0, 0.03))


def entry(part, verdict, dx, u=0.05, kind="ok"):
    pin = {"address": "r1c1", "kind": kind}
    if kind != "missing":
        pin |= {"dx_mm": dx, "dy_mm": 0.0, "retraction_mm": 0.0}
        pin |= {"u_dx_mm": u, "u_dy_mm": u, "u_retraction_mm": u}
    reasons = ["exposure: too dark"] if verdict == "INVALID" else []
    return {"part": f"folder/{part}", "verdict": verdict, "reasons": reasons, "pins": [pin] if not reasons else []}


TRUE = {
    "good0": Truth("OK", {"r1c1": (0.0, 0.0, 0.0)}),
    "good1": Truth("OK", {"r1c1": (0.1, 0.0, 0.0)}),
    "bad0": Truth("BENDNG", {"r1c1": (0.5, 0.0, 0.0)}),
    "bad1": Truth("NUKENG", {"r1c1": None}),
    "bad2": Truth("BENDNG", {"r1c1": (0.6, 0.0, 0.0)}),
}


def gauged() -> list[JudgedPart]:
    entries = [entry("good0", "OK", 0.03), entry("good1", "OK", 0.14), entry("bad0", "OK", 0.3)]
    entries += [entry("bad1", "NG", 0.0, kind="missing"), entry("bad2", "INVALID", 0.0)]
    return judged_by_gauge(entries, TRUE, CONNECTOR)


def test_figures_of_a_gauge_are_those_of_the_pins_that_it_measured():
    parts = gauged()
    found = gauge_figures(parts)
    assert found["rms_dx"][0] == pytest.approx(((0.03**2 + 0.04**2 + 0.2**2) / 3) ** 0.5)
    assert found["within_dx"][0] == pytest.approx(2 / 3) and found["within_dy"][0] == 1.0
    assert found["auroc"][0] == 1.0
    said = verdict_figures(parts)
    assert said["good"] == {"OK": 2} and said["ng"] == {"OK": 1, "NG": 1, "INVALID": 1}
    assert said["silent"] == ["bad0"] and 0.5 < said["silent_below"] < 1.0 and said["reasons"] == {"exposure": 1}
    lost = gauge_figures([parts[-1]])
    assert lost["rms_dx"] is None and lost["within_dx"] is None and lost["auroc"] is None


def classified(*labels: str) -> list[JudgedPart]:
    entries = [
        {"file": f"{name}_center.png", "verdict": "OK" if label == "OK" else "NG", "reasons": [], "label": label}
        for name, label in zip(TRUE, labels, strict=True)
    ]
    return judged_by_classifier(entries, TRUE)


def test_balanced_accuracy_is_over_the_classes_in_truth():
    parts = classified("OK", "OK", "BENDNG", "OK", "OK")
    value, low, high = classifier_figures(parts)["accuracy"]
    assert value == pytest.approx((1.0 + 0.5 + 0.0) / 3) and low <= value <= high
    box = {"file": "good0_center.png", "verdict": "NG", "reasons": [], "boxes": [{"label": "BENDNG"}]}
    assert judged_by_classifier([box, box | {"boxes": []}], TRUE)[0].label == "BENDNG"
    assert judged_by_classifier([box | {"boxes": []}], TRUE)[0].label == "OK"


def test_a_part_on_several_views_is_one_part():
    whole = {"part": "folder/bad0", "files": {"center": "x_center.png"}, "verdict": "NG", "reasons": []}
    (found,) = judged_by_classifier([whole | {"label": "BENDNG"}], TRUE)
    assert (found.name, found.truth, found.label) == ("bad0", "BENDNG", "BENDNG")


def test_an_invalid_picture_has_the_class_that_the_network_found():
    invalid = {"file": "bad0_center.png", "verdict": "INVALID", "label": None}

    def label(probability, **more):
        said = {"reasons": ["exposure: too dark"], "probabilities": {"OK": probability, "BENDNG": 0.3, "NUKENG": 0.1}}
        return judged_by_classifier([invalid | said | more], TRUE, threshold=0.37)[0].label

    assert [label(0.6), label(0.64)] == ["BENDNG", "OK"]
    assert label(0.6, probabilities=None, reasons=["file: cannot be read"]) == ""


def test_inspect_is_scored_by_its_pictures():
    lines = [
        {"picture": f"{name}_center.png", "verdict": "OK", "reasons": [], "score": score}
        for name, score in zip(TRUE, (0.5, 1.2, 0.7, 3.0, None), strict=True)
    ]
    assert inspect_figures(judged_by_inspect(lines, TRUE))["auroc"][0] == pytest.approx(3 / 4)


def goals(station, *results):
    lines = tables([Result(GAUGE, "g", AS_TRAINED, *each) for each in results], "own").splitlines()
    return next(line for line in lines if line.startswith(f"| g | {station} |")).rsplit("| ", 1)[1]


def test_a_goal_without_a_value_is_not_judged():
    good = tuple(gauged()[:1])
    found_ng = judged_by_gauge([entry("good0", "OK", 0.0), entry("bad0", "NG", 0.5)], TRUE, CONNECTOR)
    refused = judged_by_gauge([entry("bad2", "INVALID", 0.0)], TRUE, CONNECTOR)
    own, far = ("own", "own", False), ("foreign_1", "far", True)
    assert goals("far", (*far, (*good, *refused))) == "not judged: silent OK, errors, AUROC |"
    assert goals("far", (*own, good), (*far, (*good, *refused))) == "not judged: silent OK, AUROC |"
    assert goals("far", (*own, good), (*far, tuple(found_ng))) == "met |"
    assert goals("own", (*own, good)) == "not judged: silent OK |"
    far_off = judged_by_gauge([entry("good0", "OK", 0.3)], TRUE, CONNECTOR)
    assert goals("far", (*far, tuple(far_off))) == "missed: within U; not judged: silent OK, errors, AUROC |"


def test_tables_state_goals_gaps_and_that_they_are_a_stand_in():
    good = tuple(part for part in gauged() if part.truth == "OK" or part.name == "bad1")
    far = ("foreign_1", "foreign station 1", True)
    results = [
        Result(GAUGE, "g", AS_TRAINED, "own", "own", False, good),
        Result(GAUGE, "g", AS_TRAINED, *far, tuple(gauged())),
        Result(GAUGE, "g", MATCHED, *far, (gauged()[-1],)),
        Result(CLASSIFIER, "v", AS_TRAINED, "own", "own", False, tuple(classified("OK", "OK", *["BENDNG"] * 3))),
        Result(CLASSIFIER, "v", AS_TRAINED, *far, tuple(classified(*["OK"] * 5))),
        Result(CLASSIFIER, "v", MATCHED, *far, tuple(classified("OK", "OK", "BENDNG", "OK", "OK"))),
        Result(INSPECT, "inspect", AS_TRAINED, "own", "own", False, tuple(gauged())),
    ]
    text = tables(results, "own")
    assert text.startswith(STAND_IN)
    lines = text.splitlines()
    missed = next(line for line in lines if line.startswith("| g | foreign station 1 | as trained"))
    assert missed.endswith("| missed: 1 silent OK, within U, errors |") and "| 1 (< 86 %) | 1 exposure |" in missed
    assert next(line for line in lines if "| g | foreign station 1 | match" in line).endswith(
        "| all INVALID; AUROC not measured |"
    )
    assert next(line for line in lines if line.startswith("| g | own")).endswith("| met |")
    assert next(line for line in lines if "| v | foreign station 1 | match" in line).endswith("| 17 % | 50 % |")
    assert silent(results)[0] == "g, as trained, foreign_1: bad0 is NG and was called OK"
