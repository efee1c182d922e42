"""A run states its tolerance, and says what another one would judge otherwise."""

import json
import re
from dataclasses import replace

import pytest

from benchmarks.florence2_drawn import pins_of
from trainer import evaluate, predict
from trainer.core import run_folder
from trainer.core.errors import InputError
from trainer.core.frozen_threshold import FROZEN
from trainer.core.tolerance import Comparison, cannot_follow, compare, is_between, tolerances_of, words
from trainer.vit import command

WIDE, TIGHT = ({"true_position_mm": limit, "retraction_mm": 0.5} for limit in (0.4, 0.05))


def row(scene: str, tolerance: dict | None, part: int = 1) -> dict:
    return {"scene": scene, "part": part, "run": "r", "tolerance_json": tolerance and json.dumps(tolerance)}


def test_tolerances_are_collected_by_scene():
    assert tolerances_of([row("a", WIDE), row("b", TIGHT), row("c", None), row("a", WIDE)]) == {"a": WIDE, "b": TIGHT}
    assert tolerances_of([row("a", WIDE), row("a", TIGHT)]) == {"a": WIDE, "a (2)": TIGHT}
    assert words({"a": {**WIDE, "at": {"r1c2": {"retraction_mm": 1}}}}) == (
        "a: true_position_mm=0.4,retraction_mm=0.5,r1c2.retraction_mm=1"
    )
    assert words(None) == "not recorded"


def test_pins_in_between_count_once_a_part():
    """The seven good pins of a tiny picture are 0.1 mm off; the missing one has no measure."""
    objects = pins_of([[0, 0, 1, 1]] * 8, [1] + [2] * 7, "missing")
    rows = [(row("a", TIGHT, part), objects) for part in (1, 1, 2)]
    found = compare({"a": WIDE}, rows)
    assert (found.other, found.pins, found.between) == (["a"], 14, 14)
    assert "14 of 14 pins" in found.sentence() and found.sentence().startswith("WARNING")
    assert compare({"a": TIGHT}, rows).sentence().endswith("as in training")
    assert "not recorded" in compare(None, rows).sentence()


def test_what_is_not_compared_is_not_said_to_be_as_in_training():
    same, other, none = row("a", WIDE), row("b", TIGHT), row("c", None)
    trained = {"a": WIDE, "d": TIGHT}

    def said(*rows):
        found = compare(trained, [(each, None) for each in rows])
        assert Comparison(**json.loads(json.dumps(found.to_json()))).sentence() == found.sentence()
        return found.sentence()

    assert said(none).startswith("the dataset states no tolerance; tolerance of the training: a: ")
    assert said(other) == "not compared: the run knows no scene b"
    as_in_training = "tolerance: a: true_position_mm=0.4,retraction_mm=0.5, as in training"
    assert said(same) == as_in_training
    assert said(same, other) == f"{as_in_training}; not compared: the run knows no scene b"
    assert said(same, none).endswith("; the dataset states no tolerance for pictures of the scene c")
    assert said(row("a", TIGHT), other).startswith("WARNING: the dataset's tolerance is a: ")
    assert said(row("a", TIGHT), other).endswith("; not compared: the run knows no scene b")
    assert said(row(None, TIGHT)) == "not compared: the run knows no scene (none stated)"
    old = Comparison({"a": WIDE}, {"a": WIDE}, [])  # evaluation.json of an earlier version
    assert old.sentence() == as_in_training


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"true_position_mm": 0.1}, {"true_position_mm": 0.2}, False),  # equal to its limit is good
        ({"true_position_mm": 0.09}, {"true_position_mm": 0.1}, True),
        ({"true_position_mm": 0.09}, {"true_position_mm": 0.05}, False),
        ({"true_position_mm": 0.3}, {"true_position_mm": 0.3, "at": {"r1c1": {"true_position_mm": 0.01}}}, True),
    ],
)
def test_a_measure_lies_between_two_limits(first, second, expected):
    (pin,) = pins_of([[0, 0, 1, 1]], [2], "")
    first, second = ({"retraction_mm": 0.5, **each} for each in (first, second))
    assert is_between(pin, first, second) == is_between(pin, second, first) == expected


@pytest.mark.parametrize(("retraction", "expected"), [(-0.4, True), (-0.6, False), (0.4, False)])
def test_a_limit_of_protrusion_that_is_not_stated_is_that_of_retraction(tmp_path, retraction, expected):
    (pin,) = pins_of([[0, 0, 1, 1]], [2], "")
    pin = replace(pin, retraction_mm=retraction)
    complete = {**WIDE, "protrusion_mm": 0.5}
    assert not is_between(pin, WIDE, complete)
    assert is_between(pin, WIDE, {**WIDE, "protrusion_mm": 0.3}) == expected
    assert cannot_follow(tmp_path, {"a": WIDE}, {"protrusion_mm": 0.5}) is None
    assert "cannot follow" in (cannot_follow(tmp_path, {"a": WIDE}, {"protrusion_mm": 0.4}) or "")
    assert compare({"a": WIDE}, [(row("a", complete), [pin])]).other == []


def test_limits_asked_for_are_compared_at_every_address(tmp_path):
    trained = {"a": {**WIDE, "at": {"r1c1": {"true_position_mm": 0.1}}}}
    assert cannot_follow(tmp_path, {"a": WIDE}, {"true_position_mm": 0.4}) is None
    assert "cannot follow another" in (cannot_follow(tmp_path, trained, {"true_position_mm": 0.4}) or "")
    assert cannot_follow(tmp_path, trained, {"r1c1.true_position_mm": 0.1, "r2c2.true_position_mm": 0.4}) is None
    assert "not recorded" in (cannot_follow(tmp_path, None, {"true_position_mm": 0.4}) or "")


def stated(rows: list[dict], limits: dict) -> list[dict]:
    return [{**one, "scene": "plug", "tolerance_json": json.dumps(limits)} for one in rows]


def test_a_run_carries_its_tolerance_and_warns_under_another(make_rows, make_dataset, small_options, tmp_path, capsys):
    splits = {"train": make_rows("train", 6, 0), "validation": make_rows("validation", 6, 1)}
    data = make_dataset(tmp_path / "data", {name: stated(rows, WIDE) for name, rows in splits.items()})
    other = make_dataset(tmp_path / "other", {"test": stated(splits["validation"], TIGHT)})
    run = tmp_path / "run"
    assert command.main(["--data", str(data), "--out", str(run), "--epochs", "1", "--no-check", *small_options]) == 0
    assert run_folder.recorded_tolerances(run) == json.loads((run / FROZEN).read_text())["tolerance"] == {"plug": WIDE}
    said = "plug: true_position_mm=0.4,retraction_mm=0.5"
    assert said in (run / "report.html").read_text()
    capsys.readouterr()
    assert evaluate.main(["--model", str(run), "--data", str(other), "--threads", "1"]) == 0
    assert " pins have a measure between the limits of the two" in capsys.readouterr().out
    held = json.loads((run / "evaluation" / "evaluation.json").read_text())["tolerance"]
    assert held["trained"] == {"plug": WIDE} and held["data"] == {"plug": TIGHT} and held["between"] == held["pins"] > 0
    assert "pins have a measure between the limits of the two" in (run / "report.html").read_text()
    (tmp_path / "p.png").write_bytes(splits["train"][0]["image"]["bytes"])
    words = ["--model", str(run), str(tmp_path / "p.png"), "--json", str(tmp_path / "v.json")]
    assert predict.main([*words, "--tolerance", "true_position_mm=0.1"]) == 0
    (one,) = json.loads((tmp_path / "v.json").read_text())
    assert one["tolerance"] == {"plug": WIDE} and one["warnings"][-1].startswith("tolerance: ")
    assert "cannot follow another" in capsys.readouterr().out
    assert predict.main([*words, "--tolerance", "true_position_mm=0.4"]) == 0
    assert "cannot follow" not in capsys.readouterr().out
    assert predict.main([*words, "--tolerance", "depth=1"]) == 2


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ([0.8], "config.json tolerance: expected limits in mm by scene, got"),
        ({"plug": [0.8]}, "config.json tolerance.plug: expected limits in mm by name, got"),
        ({"plug": {**WIDE, "retraction_mm": "0.8"}}, "plug.retraction_mm: expected a number of mm above 0, got '0.8'"),
        ({"plug": {**WIDE, "at": [1]}}, "plug.at: expected limits in mm by address, got"),
        (
            {"plug": {**WIDE, "at": {"r1c1": {"retraction_mm": 0}}}},
            "plug.at.r1c1.retraction_mm: expected a number of mm",
        ),
    ],
)
def test_a_damaged_tolerance_of_a_run_is_named(tmp_path, stated, said):
    (tmp_path / "config.json").write_text(json.dumps({"tolerance": stated}))
    with pytest.raises(InputError, match=re.escape(said)):
        run_folder.recorded_tolerances(tmp_path)


@pytest.mark.parametrize("stated", [None, {}])
def test_a_run_may_record_no_tolerance(tmp_path, stated):
    (tmp_path / "config.json").write_text(json.dumps({"tolerance": stated}))
    assert run_folder.recorded_tolerances(tmp_path) is None


@pytest.mark.parametrize("stated", [{"true_position_mm": 0.8}, {"true_position_mm": 0.8, "retraction_mm": 0}])
def test_a_tolerance_that_another_program_stated_wrongly_is_named(stated: dict[str, float]) -> None:
    row = {"scene": "a", "tolerance_json": json.dumps(stated)}
    with pytest.raises(InputError, match="tolerance_json"):
        compare({"a": {"true_position_mm": 0.8, "retraction_mm": 0.5}}, [(row, None)])


def test_an_empty_tolerance_is_none() -> None:
    row = {"scene": "a", "tolerance_json": "{}"}
    found = compare({"a": {"true_position_mm": 0.8, "retraction_mm": 0.5}}, [(row, None)])
    assert found.unstated == ["a"] and not found.other and not found.same
