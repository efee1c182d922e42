"""A gauge's evaluation of parts whose measures are made: files, page, tolerances, and what is refused."""

import csv
import json

import numpy as np
import pytest
import torch

from blender_scripts.contract.nominal_position import NominalPosition
from blender_scripts.contract.tolerance import Tolerance
from generator.dataset.connectors import NominalConnector
from generator.dataset.rows import ObjectRow
from generator.locating.landmarks import queries
from generator.locating.likeness import Likeness
from generator.locating.measure import MeasuredPin
from generator.locating.pose import Pose
from tests.generator.reporting.page_reader import read_page
from tests.trainer.gauge.gauge_tables import camera
from trainer.core.errors import InputError
from trainer.evaluate import main
from trainer.gauge import evaluation
from trainer.gauge.beside import read_classifier
from trainer.gauge.evaluation import EvaluationOptions, evaluate
from trainer.gauge.measuring import MeasuredCapture
from trainer.gauge.network import GaugeNetwork
from trainer.gauge.picture import GaugeData, Picture
from trainer.gauge.run import GaugeConfig, GaugeRun, TrainingConfig, Uncertainty, save_config

KEY = ("a", "plain", "round")
ADDRESSES = [f"r{row}c{column}" for row in (1, 2) for column in (1, 2, 3, 4)]
SIGMA, LIMIT = 0.03, 0.8
TOLERANCE = json.dumps({"true_position_mm": LIMIT, "retraction_mm": 0.6, "protrusion_mm": 0.6})
POSITIONS = tuple(
    NominalPosition(address, str(index), 4.0 * (index % 4) - 6.0, 4.0 * (index // 4) - 2.0, -1.2, 6.3, 1.3, 1.3)
    for index, address in enumerate(ADDRESSES)
)
DRAWING = NominalConnector(*KEY, "", ((8.0, 5.0), (-8.0, 5.0), (-8.0, -5.0), (8.0, -5.0)), (), POSITIONS)


def picture(part: int, view: str) -> Picture:
    """A part whose pins are displaced by up to 0.6 mm in even, 0.3 mm in odd parts; pin r1c1 of part 4 is missing."""
    source = np.random.default_rng(part)
    radius = source.uniform(0, 0.3 if part % 2 else 0.6, 8)
    azimuth = source.uniform(0, 6.28, 8)
    objects = [
        ObjectRow(
            None, (0, 0, 1, 1), "OK", address=address, dx_mm=x, dy_mm=y, true_position_mm=2 * r, retraction_mm=r / 6
        )
        for address, x, y, r in zip(ADDRESSES, radius * np.cos(azimuth), radius * np.sin(azimuth), radius, strict=True)
    ]
    present = np.ones(8, bool)
    if part == 4:
        objects[0], present[0] = ObjectRow(None, (0, 0, 1, 1), "NUKENG", address="r1c1"), False
    row = {"run": f"p{part}_{view}", "camera": view, "part": part, "fixture": part, "tolerance_json": TOLERANCE}
    row |= dict(zip(("scene", "housing", "terminal"), KEY, strict=True)) | {"lighting": "ring", "defects": ""}
    pixels = np.zeros((128, 256, 3), np.uint8)
    return Picture(row, tuple(objects), KEY, pixels, camera(), np.eye(4), np.zeros((8, 2, 2)), present)


DATA = GaugeData(
    {"test": tuple(picture(part, view) for part in range(10) for view in ("center", "top")), "train": ()},
    {KEY: DRAWING},
    {KEY: queries(DRAWING)},
    20.0,
    (),
)


def measured(captures, data, *rest) -> list[MeasuredCapture]:
    """Measures with normal errors of SIGMA; height is determined by two views only, and part 7 is not located."""
    found = []
    for one in captures:
        first, two = one.pictures[0], len(one.pictures) > 1
        source = np.random.default_rng([first.row["part"], two])
        pins = []
        for each in first.objects:
            true = np.array([each.dx_mm or 0.0, each.dy_mm or 0.0, each.retraction_mm or 0.0])
            off = true + source.normal(0, SIGMA, 3)
            there = 0.0 if each.dx_mm is None else 1.0
            pins.append(MeasuredPin(there, 0.2, off, SIGMA**2 * np.eye(3), np.array([True, True, two]), 0.0))
        pose = Pose(np.eye(4), np.zeros((6, 6)), 1.0, 1.0)
        found.append(MeasuredCapture(one, None, ()) if first.row["part"] == 7 else MeasuredCapture(one, pose, pins))
    return found


@pytest.fixture(autouse=True)
def made(monkeypatch):
    network, likeness = GaugeNetwork(16, 8), Likeness(frozenset({KEY}), {})
    monkeypatch.setattr(evaluation, "load_run", lambda run: GaugeRun(network, 20.0, Uncertainty(), likeness))
    monkeypatch.setattr(evaluation, "read_gauge_data", lambda *given, **options: DATA)
    monkeypatch.setattr(evaluation, "measure_captures", measured)


def test_cameras_that_locate_no_part_are_named_and_the_others_measured(tmp_path, monkeypatch, capsys):
    def blind(captures, *rest):
        found = measured(captures, *rest)
        return found if len(captures[0].pictures) > 1 else [MeasuredCapture(each.capture, None, ()) for each in found]

    monkeypatch.setattr(evaluation, "measure_captures", blind)
    assert set(evaluated(tmp_path)) == {"center+top"}
    document = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert [each["cameras"] for each in document["not_located"]] == ["center", "top"]
    said = (
        f"test, top: the part was found in none of {document['not_located'][1]['captures']} captures: all are INVALID"
    )
    assert said in capsys.readouterr().out
    assert "captures. All are INVALID" in (tmp_path / "out" / "report.html").read_text("utf-8")
    with (tmp_path / "out" / "parts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["cameras"] for row in rows].count("top") == [row["cameras"] for row in rows].count("center+top") == 10
    assert {row["verdict"] for row in rows if row["cameras"] in ("center", "top")} == {"INVALID"}
    assert {(row["part"], row["ng"]) for row in rows if row["cameras"] == "top"} >= {("1", "False"), ("4", "True")}


def test_parts_unlike_training_are_invalid_and_their_errors_are_reported(tmp_path, monkeypatch):
    unlike = GaugeRun(GaugeNetwork(16, 8), 20.0, Uncertainty(), Likeness(frozenset({("a", "plain", "square")}), {}))
    monkeypatch.setattr(evaluation, "load_run", lambda run: unlike)
    figures = evaluated(tmp_path)["center+top"]
    everything = figures["groups"]["all pins"]
    assert everything["unlike"] == everything["parts"] > 0 and everything["rms_dx"] < 3 * SIGMA
    for counts in figures["decisions"]["dataset"]["parts"]["matrix"].values():
        assert {name for name, count in counts.items() if count} == {"INVALID"}
    assert "unlike training" in (tmp_path / "out" / "report.html").read_text("utf-8")


def evaluated(tmp_path, tolerances=None):
    (tmp_path / "run").mkdir(exist_ok=True)
    evaluate(
        EvaluationOptions(tmp_path / "run", tmp_path, torch.device("cpu"), (), tolerances), tmp_path / "out", False
    )
    return json.loads((tmp_path / "out" / "evaluation.json").read_text())["splits"]["test"]


def test_files_page_and_figures(tmp_path):
    found = evaluated(tmp_path)
    assert set(found) == {"center", "top", "center+top"}
    both, centre = found["center+top"], found["center"]
    assert (both["captures"], both["located"]) == (10, 9)
    assert both["judged"] == ["presence", "true_position", "height"] and centre["judged"] == [
        "presence",
        "true_position",
    ]
    assert "rms_retraction" in both["groups"]["all pins"] and "rms_retraction" not in centre["groups"]["all pins"]
    assert both["groups"]["all pins"]["rms_dx"] == pytest.approx(SIGMA, rel=0.25)
    parts = both["decisions"]["dataset"]["parts"]
    assert sum(sum(by.values()) for by in parts["matrix"].values()) == 10
    assert sum(by["INVALID"] for by in parts["matrix"].values()) == 1
    assert parts["wrong"]["count"] == 0 and parts["forced"]["answer zero"]["share"] < 0.7
    with (tmp_path / "out" / "measured.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 9 * 8 and {row["split"] for row in rows} == {"test"}
    missing = [row for row in rows if row["there"] == "False"]
    assert {row["decision_presence dataset"] for row in missing} == {"nonconform"}
    page = read_page(tmp_path / "out" / "report.html")
    assert sum(tag == "img" for tag, _ in page.tags) == 2 and "answer zero" in page.text


def classified(folder, verdicts, data, by_part=False):
    """Write what an evaluation of a ViT leaves, with a verdict for each run of split test."""
    folder.mkdir()
    views = {"views": ["center", "top"]} if by_part else {}
    (folder / "evaluation.json").write_text(json.dumps({"model": "vit", "data": data, "splits": {}, **views}))
    lines = [f"test,{run},{run[1]},{verdict}" for run, verdict in verdicts.items()]
    (folder / "predictions.csv").write_text("\n".join(["split,run,part,verdict", *lines]) + "\n")
    return folder


def test_a_classifiers_verdicts_are_compared_part_by_part(tmp_path):
    # The classifier sees defects from the top only, calls the good part 1 NG too, and has not judged part 9's top.
    verdicts = {f"p{part}_{view}": "OK" for part in range(10) for view in ("center", "top")}
    verdicts |= {f"p{part}_top": "NG" for part in (0, 1, 2, 4, 6, 8)} | {"p3_center": "UNSURE"}
    del verdicts["p9_top"]
    (tmp_path / "run").mkdir()
    folder = classified(tmp_path / "vit", verdicts, tmp_path.name)
    limits = {"middle": {"true_position_mm": 0.75}}  # only pins of even parts are displaced by more
    asked = EvaluationOptions(tmp_path / "run", tmp_path, torch.device("cpu"), (), limits, folder)
    evaluate(asked, tmp_path / "out", False)
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())["splits"]["test"]
    both, centre = (found[name]["decisions"]["middle"]["beside"] for name in ("center+top", "center"))
    assert (both["classifier"], both["parts"], both["left_out"], centre["left_out"]) == ("vit", 9, 1, 0)
    assert sum(counts["UNSURE"] for of in both["matrix"].values() for counts in of.values()) == 1
    assert both["matrix"]["NG"]["NG"]["NG"] == centre["matrix"]["NG"]["NG"]["OK"] == 5
    assert (both["alike"]["count"], both["alike"]["of"]) == (6, 7) and both["right"] == {"gauge": 1, "classifier": 0}
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "The classifier vit judged 9 of these parts too; parts that it did not judge: 1." in page


def test_verdicts_on_parts_are_compared_by_the_parts_number(tmp_path):
    (tmp_path / "run").mkdir()
    folder = classified(tmp_path / "vit", {"p0_center": "NG", "p2_center": "NG"}, tmp_path.name, True)
    evaluate(EvaluationOptions(tmp_path / "run", tmp_path, torch.device("cpu"), beside=folder), tmp_path / "out", False)
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())["splits"]["test"]
    assert found["center+top"]["decisions"]["dataset"]["beside"]["parts"] == 2


@pytest.mark.parametrize("name", ["dataset", "demo/dataset"], ids=["of an earlier version", "of today"])
def test_a_classifiers_evaluation_states_the_folder_above_or_not(tmp_path, name):
    assert read_classifier(classified(tmp_path / "vit", {"p0_center": "NG"}, name), "demo/dataset").name == "vit"
    with pytest.raises(InputError, match="of a dataset named line/dataset, got one of demo/dataset"):
        read_classifier(classified(tmp_path / "other", {"p0_center": "NG"}, "demo/dataset"), "line/dataset")


def test_an_evaluation_of_another_dataset_or_network_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    folder = classified(tmp_path / "vit", {"p0_center": "NG"}, "other")
    asked = EvaluationOptions(tmp_path / "run", tmp_path, torch.device("cpu"), beside=folder)
    with pytest.raises(InputError, match=f"of a dataset named {tmp_path.name}, got one of other"):
        evaluate(asked, tmp_path / "out", False)
    (folder / "evaluation.json").write_text(json.dumps({"model": "f", "data": tmp_path.name}))
    (folder / "predictions.csv").write_text("split,run,kind\n")
    with pytest.raises(InputError, match="expected the columns of a ViT's predictions, got none named"):
        evaluate(asked, tmp_path / "out", False)
    assert not (tmp_path / "out").exists()


def test_a_wider_tolerance_makes_fewer_parts_ng_without_training(tmp_path, capsys):
    found = evaluated(tmp_path, {"narrow": {"true_position_mm": 0.2}, "wide": {"true_position_mm": 2.0}})
    assert "is more than the pitch" not in capsys.readouterr().out
    counts = {name: decided["parts"]["matrix"]["NG"] for name, decided in found["center+top"]["decisions"].items()}
    assert sum(counts["narrow"].values()) == 10 and counts["narrow"]["NG"] == 9
    assert sum(counts["wide"].values()) == counts["wide"]["NG"] == 1  # the part with a missing pin
    with (tmp_path / "out" / "parts.csv").open(newline="") as file:
        assert {row["tolerance"] for row in csv.DictReader(file)} == {"narrow", "wide"}


def test_addresses_of_a_tolerance_must_exist(tmp_path):
    with pytest.raises(InputError, match="r9c9"):
        evaluated(tmp_path, {"x": {"r9c9.true_position_mm": 0.2}})
    assert not (tmp_path / "out").exists()


def test_limits_in_mil_are_named(tmp_path, capsys):
    evaluated(tmp_path, {"mil": {"true_position_mm": 31.5}})
    said = capsys.readouterr().out
    assert said.count("WARNING: --tolerance, scene a: true_position_mm=31.5 is more than the pitch") == 1


def test_limits_of_an_address_count(tmp_path):
    assert Tolerance(LIMIT, 0.6, 0.6).with_limits({"r1c1.true_position_mm": 0.1}).limits("r1c1").true_position_mm == 0.1
    found = evaluated(tmp_path, {"one": {"r1c2.true_position_mm": 0.001}})
    parts = found["center+top"]["decisions"]["one"]["parts"]["matrix"]
    assert sum(parts["NG"].values()) == 10


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rows", "all"], "--rows applies to ViT and Florence-2 runs only"),
        (["--batch-size", "4"], "--batch-size applies to ViT"),
        (["--max-escape", "0.1"], "--max-escape applies to ViT"),
        (["--tolerance", "true_position=1"], "--tolerance: expected true_position_mm=NUMBER"),
    ],
)
def test_options_of_other_kinds_are_refused(tmp_path, capsys, options, said):
    save_config(tmp_path, GaugeConfig(side=32, width=8), TrainingConfig(), 20.0)
    assert main(["--model", str(tmp_path), "--data", str(tmp_path), *options]) == 2
    assert said in capsys.readouterr().err
