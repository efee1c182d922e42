"""The study of a RetinaNet beside Florence-2: its network, its examples, equal CPU time, and the table in the docs."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from studies import detector_beside as beside
from studies.detector_beside import DETECTORS, FLIPS, MOVES, PAGE, PART, TITLES
from studies.execution import SPENT, Execution, Meter
from studies.measures import FLORENCE_KEPT
from studies.page import marked, rows_of
from tests.trainer.conftest import tiny_rows, write_dataset
from tests.trainer.florence2.florence2_rows import CLASSES, detection_of, with_answers
from trainer.florence2.data import sample_of
from trainer.florence2.samples import Sample

SMALL, LARGE = TITLES.values()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    splits = {name: with_answers(tiny_rows(name, 8, seed)) for seed, name in enumerate(("train", "validation", "test"))}
    return write_dataset(tmp_path_factory.mktemp("beside") / "dataset", splits)


def test_the_epochs_take_the_budget_and_are_at_least_one():
    assert [beside.epochs_in(budget, 16.5) for budget in (250.0, 240.0, 3.0)] == [15, 15, 1]


def test_the_anchors_fit_pins_of_8_to_24_px_at_the_strides_that_they_are_made_for():
    model = beside.network(3, (96, 96)).eval()
    pixels = torch.zeros(1, 3, 96, 96)
    features = model.backbone(pixels)
    assert [96 // each.shape[-1] for each in features.values()] == list(beside.STRIDES)
    sides = sorted(side for level in model.anchor_generator.sizes for side in level)
    assert sides[0] <= 8 and sides[-1] >= 24
    assert max(after / before for before, after in pairwise(sides)) < 1.3


def test_boxes_of_good_pins_and_duplicates_do_not_count():
    boxes = torch.tensor([[1.0, 1, 9, 9], [1.5, 1, 9, 9], [20, 1, 30, 9], [40, 1, 50, 9]])
    output = {"boxes": boxes, "labels": torch.tensor([0, 1, 2, 1]), "scores": torch.tensor([0.5, 0.75, 0.9, 0.25])}
    found = beside.found_of(output, CLASSES)
    assert [(each.label, each.confidence, each.box) for each in found] == [
        ("NUKENG", 0.75, (1.5, 1, 9, 9)),
        ("NUKENG", 0.25, (40, 1, 50, 9)),
    ]


def test_examples_are_mirrored_with_their_boxes_as_often_as_not(dataset):
    data, generator, seen = detection_of(dataset), torch.Generator().manual_seed(0), {}
    plain = sample_of(data.splits["train"], 0, data.size, data.classes)
    for _ in range(8):
        made = beside.example(data, 0, FLIPS, generator)
        seen[torch.equal(made.pixels, plain.pixels.flip(2))] = made
    assert torch.equal(seen[False].pixels, plain.pixels)
    torch.testing.assert_close(seen[True].boxes[:, [0, 2]], 64 - seen[False].boxes[:, [2, 0]])


def test_boxes_are_cut_at_the_edges_and_those_outside_are_no_target():
    boxes = torch.tensor([[-5.0, 2, 4, 9], [-9, 2, -1, 9], [60, 30, 70, 40]])
    sample = Sample(torch.zeros(3, 32, 64), boxes, torch.tensor([0, 1, 2]), torch.ones(3) > 0, torch.ones(3))
    target = beside.target_of(sample)
    assert target["boxes"].tolist() == [[0, 2, 4, 9], [60, 30, 64, 32]] and target["labels"].tolist() == [0, 2]


def test_a_training_learns_and_is_measured_as_florence2_is(dataset, monkeypatch):
    monkeypatch.setattr("trainer.florence2.average_precision.BOOTSTRAPS", 20)
    made = beside.trained(dataset, MOVES, 0, 1e-9)  # no machine has an epoch so short: the least, one epoch
    assert made["epochs"] == 1 and made["cpu_s"] > 0 and math.isfinite(made["loss"])
    assert set(made["splits"]) == {"validation", "test"}
    assert made["splits"]["test"]["pictures"] == 8 and "seen" in made["splits"]["test"]["positions"]
    training = beside.Training(detection_of(dataset), FLIPS, 0, 8)
    losses = [training.epoch() for _ in range(8)]
    assert losses[-1] < 0.9 * losses[0]


def result(detector: str, seed: int, share: float, task: str = SMALL) -> dict:
    measured = dict.fromkeys(FLORENCE_KEPT, share) | {"map50_interval": [share - 0.1, share + 0.1]}
    splits = {"validation": {"positions": {}}, "test": {"positions": {"held-out": measured, "seen": measured}}}
    return {"task": task, "detector": detector, "seed": seed, "cpu_s": 246.0, "epochs": 8, "splits": splits}


def test_the_table_has_the_means_over_seeds_and_keeps_the_other_task():
    text = beside.written([result(DETECTORS[0], 0, 0.5), result(DETECTORS[0], 1, 0.7)])
    shares = "0.60 (0.50, 0.70)"
    row = f"| {SMALL} | seen | {DETECTORS[0]} | 2 | 4.1 | 8 | {shares} | 0.60 (0.40–0.80) | {shares} | {shares} |"
    assert text.splitlines()[2] == row and "held out" in text.splitlines()[3]
    page = marked(PAGE.read_text("utf-8"), PART, text)
    both = beside.written([result(DETECTORS[1], 0, 0.9, LARGE)], rows_of(page, PART))
    assert both.splitlines()[2] == row and LARGE in both.splitlines()[4]
    committed = PAGE.read_text("utf-8")
    assert marked(committed, PART, beside.written([], rows_of(committed, PART))) == committed


def test_retinanet_gets_the_cpu_time_of_florence2_and_a_result_is_kept(tmp_path, monkeypatch):
    execution, budgets = Execution(tmp_path, tmp_path / "none.parquet"), []
    folder = execution.folder(beside.florence2("small"))
    (folder / "run").mkdir(parents=True)
    summary = {"epochs": 8, "splits": result("", 0, 0.5)["splits"]}
    (folder / "run" / "summary.json").write_text(json.dumps(summary))
    Meter(folder / SPENT).add("training", 500.0, 251.0)
    monkeypatch.setattr(execution.workshop, "data", lambda _: tmp_path)

    def trained(*given):
        budgets.append(given)
        return {"cpu_s": 246.0}

    monkeypatch.setattr(beside, "trained", trained)
    for _ in range(2):
        beside.do(execution, tmp_path / "beside", "small", 0)
    assert budgets == [(tmp_path, FLIPS, 0, 251.0), (tmp_path, MOVES, 0, 251.0)]
    found = [json.loads(path.read_text()) for path in sorted((tmp_path / "beside").glob("*.json"))]
    assert [(each["detector"], each["cpu_s"]) for each in found] == [
        *zip(DETECTORS, (251.0, 246.0, 246.0), strict=True)
    ]
