"""`trainer.evaluate` on a ViT's run: the numbers against a recount, the page, and what is refused."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import edited, folder_bytes
from tests.generator.reporting.page_reader import read_page
from trainer.core import frozen_threshold, plots, row_facts, settings
from trainer.core.data import load_frozen_classes
from trainer.core.errors import InputError
from trainer.core.frozen_threshold import FROZEN, FrozenThreshold
from trainer.core.held_out import positions_by_scene
from trainer.core.row_facts import Facts
from trainer.evaluate import main
from trainer.vit import metrics
from trainer.vit.evaluation_page import write_page
from trainer.vit.results import evaluation_of


def evaluate(run, data, out, *options: str) -> int:
    return main(["--model", str(run), "--data", str(data), "--out", str(out), "--threads", "1", *options])


@pytest.fixture(scope="module")
def evaluated(trained_run, tiny_dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluated") / "out"
    assert evaluate(trained_run, tiny_dataset, out) == 0
    return out


def test_the_numbers_are_those_of_the_predictions(evaluated):
    document = json.loads((evaluated / "evaluation.json").read_text())
    with (evaluated / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    measured = document["splits"]["validation"]
    assert set(document["splits"]) == {"validation"} and measured["pictures"] == len(rows) == 6
    right = sum(row["truth"] == row["said"] for row in rows)
    assert measured["accuracy"]["share"] == right / 6
    low, high = measured["accuracy"]["interval"]
    assert low <= right / 6 <= high
    escapes = sum(row["truth"] != "OK" and row["said"] == "OK" for row in rows)
    assert (measured["escapes"]["count"], measured["escapes"]["of"]) == (escapes, 4)
    own = measured["operating_points"]["points"][0]
    assert all(own[name]["count"] == measured[name]["count"] for name in ("escapes", "overkill"))
    threshold = document["frozen"]["threshold"]
    assert all((float(row["p_ng"]) >= threshold) == (row["said"] != "OK") for row in rows)
    assert len(measured["mistakes"]) == 6 - right


def test_the_page_holds_everything_itself(evaluated):
    page = read_page(evaluated / "report.html")
    assert sum(tag == "img" for tag, _ in page.tags) >= 3 and "escapes" in page.text
    assert {"BENDNG", "NUKENG", "OK", "threshold", "calibration", "escape"} <= set(page.meanings)
    assert any("escapes at most 1" in text for text in page.text) and "operating point" in page.meanings
    names = ("confusion.png", "calibration.png", "detection.png", "operating_points.png", "effects_validation.png")
    for name in names:
        assert (evaluated / name).stat().st_size > 5000


def test_names_on_the_page_are_text_not_markup(evaluated, tmp_path):
    document = json.loads((evaluated / "evaluation.json").read_text())
    hostile = "<script>alert(1)</script>"
    measured = document["splits"]["validation"]
    levels = next(iter(measured["factors"].values()))
    measured["factors"] = {hostile: {hostile: next(iter(levels.values()))}}
    write_page(tmp_path, {**document, "model": hostile, "data": hostile, "splits": {"test": measured}})
    page = read_page(tmp_path / "report.html")
    assert page.text.count(hostile) == 2 and f"Evaluation: {hostile} on {hostile}" in page.text
    assert not [tag for tag, _ in page.tags if tag == "script"]


def test_another_dataset_changes_nothing_that_is_frozen(trained_run, make_dataset, make_rows, tmp_path, capsys):
    before = (trained_run / FROZEN).read_bytes()
    other = make_dataset(tmp_path / "other", {"test_new": make_rows("test_new", 6, 5)})
    assert evaluate(trained_run, other, tmp_path / "out", "--split", "test_new") == 0
    assert (trained_run / FROZEN).read_bytes() == before
    assert "test_new: accuracy" in capsys.readouterr().out


def test_classes_are_matched_by_name(trained_run, make_dataset, make_rows, tmp_path):
    rows = make_rows("test", 6, 1)
    plain = make_dataset(tmp_path / "plain", {"test": rows})
    turned = json.loads(json.dumps(rows, default=lambda v: v.decode("latin1")))
    for row, original in zip(turned, rows, strict=True):
        row["image"], row["nsoart"] = original["image"], original["nsoart"]
        row["label"] = 2 - row["label"]
        row["objects"]["category"] = [2 - c for c in row["objects"]["category"]]
    other = make_dataset(tmp_path / "turned", {"test": turned}, ["OK", "NUKENG", "BENDNG"])
    for name, folder in (("a", plain), ("b", other)):
        assert evaluate(trained_run, folder, tmp_path / name) == 0
    first, second = (json.loads((tmp_path / n / "evaluation.json").read_text())["splits"] for n in "ab")
    assert first == second


def test_a_run_without_a_threshold_gets_one_from_validation_only(
    run, trained_run, tiny_dataset, make_dataset, make_rows, tmp_path, capsys
):
    (run / FROZEN).unlink()
    only_test = make_dataset(tmp_path / "data", {"test": make_rows("test", 6, 3)})
    assert evaluate(run, only_test, tmp_path / "out") == 2
    assert "validation" in capsys.readouterr().err
    assert evaluate(run, tiny_dataset, tmp_path / "out") == 0
    assert (run / FROZEN).read_bytes() == (trained_run / FROZEN).read_bytes()


def test_rows_whose_defect_cannot_be_seen_are_left_out(trained_run, make_dataset, make_rows, tmp_path):
    rows = make_rows("test", 6, 1)
    rows[0]["observable"], rows[1]["grey"] = False, True
    data = make_dataset(tmp_path / "data", {"test": rows})
    counts = {}
    for which in settings.ROWS:
        assert evaluate(trained_run, data, tmp_path / which, "--rows", which) == 0
        document = json.loads((tmp_path / which / "evaluation.json").read_text())
        counts[which] = (document["splits"]["test"]["pictures"], document["left_out"]["test"])
    assert counts == {"all": (6, 0), "observable": (5, 1), "clear": (4, 2)}


def test_a_killed_evaluation_leaves_the_numbers_and_pictures_of_one(
    run, tiny_dataset, make_dataset, make_rows, tmp_path, monkeypatch
):
    """Files of the old evaluation or of the new one, or none that would count as an evaluation of these weights."""
    assert evaluate(run, tiny_dataset, run / "evaluation") == 0
    before = folder_bytes(run / "evaluation")
    other = make_dataset(tmp_path / "other", {"test": make_rows("test", 6, 5)})

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(plots, "confusion", killed)
        assert evaluate(run, other, run / "evaluation") == 1
        assert evaluate(run, other, tmp_path / "new") == 1
    assert folder_bytes(run / "evaluation") == before and not (tmp_path / "new").exists()
    # Killed while the new files are moved in: evaluation.json is gone, and the next evaluation may replace the rest.
    real = Path.unlink

    def unlink(path, **options):
        real(path, **options)
        if path.name == "evaluation.json":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        assert evaluate(run, other, run / "evaluation") == 1
    assert evaluation_of(run) is None
    (run / "evaluation" / "mistakes_mine.png").write_bytes(b"mine")
    assert evaluate(run, tiny_dataset, run / "evaluation") == 0
    assert set(folder_bytes(run / "evaluation")) == {*before, "mistakes_mine.png"}
    assert evaluation_of(run) is not None


def test_what_is_not_an_evaluation_s_stays(trained_run, tiny_dataset, make_dataset, make_rows, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("effects_mine.png", "report.html"):
        (out / name).write_bytes(b"mine")
    assert evaluate(trained_run, tiny_dataset, out) == 2
    assert "got other files, whose names the results need: report.html; give another --out" in capsys.readouterr().err
    (out / "report.html").unlink()
    other = make_dataset(tmp_path / "other", {"test": make_rows("test", 6, 5)})
    for data, split in ((tiny_dataset, "validation"), (other, "test")):
        assert evaluate(trained_run, data, out) == 0
        assert {path.name for path in out.glob("effects_*")} == {f"effects_{split}.png", "effects_mine.png"}
    assert (out / "effects_mine.png").read_bytes() == b"mine"
    before = (trained_run / "confusion.png").read_bytes()
    assert evaluate(trained_run, tiny_dataset, trained_run) == 2
    assert "expected another folder than the run's (--model)" in capsys.readouterr().err
    assert (trained_run / "confusion.png").read_bytes() == before


def test_names_are_those_of_the_folders_however_they_are_given(trained_run, tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(trained_run)
    assert evaluate(Path(), tiny_dataset / "data" / "..", tmp_path / "out") == 0
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (document["model"], document["data"]) == (trained_run.name, f"{tiny_dataset.parent.name}/dataset")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert f"Evaluation: {trained_run.name} on {tiny_dataset.parent.name}/dataset" in page


def test_a_threshold_never_comes_from_another_dataset(run, tiny_dataset, tmp_path, capsys):
    (run / FROZEN).unlink()
    with edited(run / "config.json") as config:
        config["training"]["data_sha256"] = "0" * 64
    assert evaluate(run, tiny_dataset, tmp_path / "out") == 2
    assert f"expected the dataset that {run} was trained on, because the run has no {FROZEN}" in capsys.readouterr().err
    assert not (run / FROZEN).exists() and not (tmp_path / "out" / "evaluation.json").exists()


@pytest.mark.parametrize(("rows", "measured"), [("observable", "all"), ("all", "observable")])
def test_what_is_frozen_again_is_of_the_rows_that_trained(run, make_dataset, make_rows, tmp_path, rows, measured):
    """Training has one hidden defect, at r2c2, and so has one picture of validation."""
    (run / FROZEN).unlink()
    with edited(run / "config.json") as config:
        config["training"]["rows"] = rows
    splits = {name: make_rows(name, 12, seed) for seed, name in enumerate(("train", "validation"))}
    hidden = [row for row in splits["train"] if row["objects"]["category"][5] != 2]
    assert not hidden
    splits["train"][0]["objects"]["category"][:6] = [2, 2, 2, 2, 2, 0]
    splits["train"][0]["observable"] = splits["validation"][0]["observable"] = False
    data = make_dataset(tmp_path / "data", splits)
    assert evaluate(run, data, tmp_path / "out", "--rows", measured) == 0
    held = frozen_threshold.load(run)
    assert held.pictures == (12 if rows == "all" else 11)
    assert ("r2c2" in held.positions[""]) == (rows == "all")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--split", "nowhere"], "nowhere"),
        (["--model", "nowhere"], "config.json"),
        (["--data", "nowhere"], "nowhere"),
        (["--digits", "edges"], "--digits applies to Florence-2 runs only"),
    ],
)
def test_wrong_inputs_exit_with_2(trained_run, tiny_dataset, tmp_path, capsys, options, said):
    base = {"--model": str(trained_run), "--data": str(tiny_dataset), "--out": str(tmp_path / "out")}
    base.update([options])
    assert main([text for pair in base.items() for text in pair]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_class_that_the_network_never_saw_is_refused(trained_run, make_dataset, make_rows, tmp_path, capsys):
    data = make_dataset(tmp_path / "data", {"test": make_rows("test", 3, 0)}, ["BENDNG", "OTHERNG", "OK"])
    assert evaluate(trained_run, data, tmp_path / "out") == 2
    assert "OTHERNG" in capsys.readouterr().err


def fact(kinds="bent", addresses=("r1c1",), measure="true_position_mm", size=1.0, part="a", **factors) -> Facts:
    return Facts(part, "s", kinds, addresses, measure, size, factors)


def test_positions_are_seen_held_out_both_or_none():
    seen = {"s": ["r1c1"]}
    assert row_facts.position_group(fact(), seen) == "seen"
    assert row_facts.position_group(fact(addresses=("r2c2",)), seen) == "held-out"
    assert row_facts.position_group(fact(addresses=("r1c1", "r2c2")), seen) == "both"
    assert row_facts.position_group(fact(kinds="OK", addresses=()), seen) == "OK"
    assert row_facts.position_group(fact(kinds="cracked", addresses=("",)), seen) == "no position"
    assert row_facts.position_group(fact(), {"other": ["r1c1"]}) == "held-out"


@pytest.mark.parametrize("seen", [["r1c1", "r1c2"], ["r1c2-r1c1"]], ids=["now", "kept by earlier versions"])
def test_a_bridge_s_position_is_that_of_its_pins(seen):
    def group(*addresses: str) -> str:
        return row_facts.position_group(fact(addresses=addresses), {"s": seen})

    assert [group(a) for a in ("r1c1-r1c2", "r1c1", "r1c2-r1c3", "r1c3-r1c4")] == [
        *("seen", "seen", "both", "held-out")
    ]
    assert positions_by_scene([("s", ["r1c2-r1c1", ""]), ("t", [])]) == {"s": ["r1c1", "r1c2"], "t": []}


def test_a_split_that_is_not_measured_is_not_read(make_dataset, make_rows, tmp_path):
    """Where only split test is measured, training pictures may have classes that the network does not know."""
    rows = {"train": make_rows("train", 3, 0), "test": [{**row, "label": 2} for row in make_rows("test", 3, 0)]}
    data = make_dataset(tmp_path / "data", rows, ["OTHERNG", "NUKENG", "OK"])
    found = load_frozen_classes(data, "image", (64, 32), ("BENDNG", "NUKENG", "OK"), but=("train",))
    assert list(found) == ["test"]
    with pytest.raises(InputError, match="split train: expected the network's classes"):
        load_frozen_classes(data, "image", (64, 32), ("BENDNG", "NUKENG", "OK"))


def test_a_rows_facts(tiny_dataset):
    split = load_frozen_classes(tiny_dataset, "image", (64, 32), ("BENDNG", "NUKENG", "OK"), ("validation",))
    rows = row_facts.facts(split["validation"], 2)
    assert [row.kinds for row in rows] == ["bent", "missing", "OK"] * 2
    assert [row.addresses for row in rows[:3]] == [("r1c1",), ("r1c2",), ()]
    assert [row.size_mm for row in rows[:3]] == [pytest.approx(0.1), None, None]
    assert row_facts.defect_positions(split["validation"], 2) == {"": ["r1c1", "r1c2", "r1c4", "r2c1"]}


def test_kinds_that_nobody_named_whatever_the_dataset_s_order_of_classes(make_dataset, make_rows, tmp_path):
    rows = [{**row, "kinds": None, "objects": None, "label": 2 - row["label"]} for row in make_rows("test", 3, 1)]
    data = make_dataset(tmp_path / "data", {"test": rows}, ["OK", "NUKENG", "BENDNG"])
    split = load_frozen_classes(data, "image", (64, 32), ("BENDNG", "NUKENG", "OK"))["test"]
    assert [row.kinds for row in row_facts.facts(split, 2)] == ["unknown", "unknown", "OK"]


def test_a_report_counts_by_factor_and_ranks_mistakes():
    rows = [fact(part=str(i), camera="center" if i % 2 else "top") for i in range(8)]
    truth = np.array([0, 0, 0, 0, 2, 2, 2, 2])
    sure = np.array([[6, 0, 0], [0, 6, 0], [0, 0, 3], [0, 0, 5], [0, 0, 6], [0, 0, 6], [5.5, 0, 0], [0, 0, 4]])
    held = FrozenThreshold("", 0.5, 1.0, 8, {"s": ["r1c1"]})
    verdicts = np.array(["NG", "NG", "OK", "OK", "OK", "UNSURE", "NG", "INVALID"])
    measured = metrics.report(rows, sure.astype(float), truth, ("BENDNG", "NUKENG", "OK"), 2, held, verdicts)
    assert measured["accuracy"]["share"] == 0.5
    assert (measured["escapes"]["count"], measured["overkill"]["count"]) == (2, 1)
    undecided = {name: [measured[name][of]["count"] for of in ("ok", "ng")] for name in ("unsure", "invalid")}
    assert undecided == {"unsure": [1, 0], "invalid": [1, 0]}
    assert measured["factors"]["camera"]["center"]["unsure"]["ok"] == {"count": 1, "of": 2, "share": 0.5} | {
        "interval": measured["factors"]["camera"]["center"]["unsure"]["ok"]["interval"]
    }
    assert measured["confusion"] == [[1, 1, 2], [0, 0, 0], [1, 0, 3]]
    assert measured["classes"]["NUKENG"]["recall"]["share"] is None
    assert set(measured["factors"]) == {"camera"}
    assert measured["factors"]["camera"]["top"]["accuracy"] == 0.5
    # Wrong verdicts first, the most confident first; wrong classes of NG pictures last.
    assert [m["index"] for m in measured["mistakes"]] == [6, 3, 2, 1]
    assert measured["auroc"] == 13 / 16


def test_a_column_named_as_a_computed_factor_stands_beside_it():
    places = ("lower", "upper")
    rows = [
        replace(
            fact(addresses=(f"r1c{i % 2 + 1}",)),
            factors={"position": places[i // 2 % 2], "size": str(i % 3), "camera": str(i % 2)},
        )
        for i in range(8)
    ]
    levels = row_facts.factor_levels(rows, {"s": ["r1c1"]})
    assert set(levels["position"]) == {"seen", "held-out"} and set(levels["position (column)"]) == set(places)
    assert set(levels["size (column)"]) == {"0", "1", "2"} and "camera" in levels
    both = [fact(**{"position": place, "position (column)": "mine"}) for place in places]
    assert list(row_facts.column_names(both).values()) == ["position (column) (column)", "position (column)"]


def test_calibration_of_a_model_that_means_what_it_says():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], 20000)
    truth = (rng.random((20000, 1)) > p.cumsum(1)).sum(1).clip(max=2)
    assert metrics.calibration(p, truth)["ece"] < 0.015
    assert metrics.calibration(np.full((9, 3), 1 / 3), np.zeros(9, dtype=int))["ece"] == pytest.approx(2 / 3)
