"""The study of a gauge's learning: its SPECs, the selected figures, the table in the docs."""

import json
import tomllib

import pytest

from studies import gauge_learning
from studies.gauge_learning import ALL, PLAN, Pictures, Study, figures, spec, written
from studies.gauge_rr import PAGE
from studies.page import marked, rows_of


@pytest.mark.parametrize("scene", ["connector_3x9", "circular_5"])
def test_a_spec_has_the_pictures_asked_for(scene):
    text = spec(scene, Pictures("few", (scene,), 36, 15))
    read = tomllib.loads(text)
    assert read["splits"]["train"]["rows"] == 36 and read["splits"]["validation"]["rows"] == 15
    assert read["factors"]["scene"] == scene and "measurement" in read and read["factors"]["samples"] == 8


def test_all_pictures_are_the_shipped_spec():
    assert tomllib.loads(spec("connector_3x9", ALL)) == tomllib.loads(gauge_learning._SPEC.read_text("utf-8"))


def test_the_plan_names_each_training_once_and_its_first_weights():
    names = [training.name for training in PLAN]
    assert len(set(names)) == len(names) and {training.init for training in PLAN} - {""} <= set(names)


def groups(share: float) -> dict:
    near = {"rms_dx": 0.03, "rms_dy": 0.04, "slope_dx": 0.98}
    whole = {"rms_retraction": 0.05, **{f"coverage_{axis}": share for axis in ("dx", "dy", "retraction")}}
    return {"groups": {gauge_learning._NEAR: near, "all pins": whole}}


def test_the_table_holds_the_figures_of_the_split_and_has_a_place_in_the_docs():
    found = {"center": groups(0.9), "center+left+top": groups(0.953)}
    found["center+left+top"]["groups"][gauge_learning._NEAR] = {"rms_dx": 0.01, "rms_dy": 0.02}
    text = written([figures("900 pictures, 75 epochs", 49.6, found)])
    assert "| 900 pictures, 75 epochs | 50 | 0.030, 0.040 | 0.980 | 0.010, 0.020 | 0.050 | 95, 95, 95 % |" in text
    assert text in marked(PAGE.read_text("utf-8"), "gauge learning", text)


def test_rows_of_trainings_without_a_result_stay_in_the_order_of_the_plan():
    page = PAGE.read_text("utf-8")
    known = rows_of(page, "gauge learning")
    found = {"center": groups(0.9), "center+left+top": groups(0.953)}
    again = rows_of(marked(page, "gauge learning", written([figures(known[1][0], 1, found)], known)), "gauge learning")
    assert again[1][:3] == [known[1][0], "1", "0.030, 0.040"] and again[0] == known[0] and again[2:] == known[2:]
    assert written([], known) in page


def test_a_finished_training_is_only_measured_and_a_result_is_kept(tmp_path, monkeypatch):
    said: list[list[str]] = []

    def command(words, log):
        said.append(list(words))
        assert "trainer.evaluate" in words
        to = tmp_path / "evaluations" / "all_0"
        to.mkdir(parents=True)
        found = {"center": groups(0.9), "center+left+top": groups(0.9)}
        (to / "evaluation.json").write_text(json.dumps({"splits": {"test": found}}))

    monkeypatch.setattr(gauge_learning, "python", command)
    run = tmp_path / "runs" / "all_0"
    run.mkdir(parents=True)
    (run / "summary.json").write_text("{}")
    (run / "metrics.csv").write_text("epoch,seconds\n1,60\n2,120\n")
    (tmp_path / "datasets" / "all").mkdir(parents=True)
    for _ in range(2):
        Study(tmp_path, 1, 1).do(PLAN[0])
    assert len(said) == 1
    assert json.loads((tmp_path / "results" / "all_0.json").read_text())["minutes"] == 3
