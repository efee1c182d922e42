"""`python -m trainer.florence2` from end to end on a tiny dataset: train, resume, LoRA, predict, mistakes."""

import csv
import io
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("transformers")
pytest.importorskip("peft")
pytest.importorskip("pycocotools")

from benchmarks.florence2_drawn import png_bytes
from generator.io.palette import hue, rgb
from tests.conftest import edited
from tests.generator.reporting.page_reader import read_page
from tests.generator.soart.golden_files import drawn_part, golden_run, write_golden
from tests.trainer.conftest import dying_in_epoch
from tests.trainer.core.test_distributed import together
from tests.trainer.florence2.florence2_rows import answered_dataset, detection_of, with_answers
from trainer import evaluate, predict
from trainer.core import held_out, run_folder, time_limit
from trainer.core.calibration import Calibration
from trainer.core.decision import Thresholds
from trainer.core.errors import InputError
from trainer.core.golden_input import GoldenInput
from trainer.core.run_folder import read_tensors
from trainer.florence2 import command, comparison, detect, evaluation, forgetting, lora, prediction, verdicts
from trainer.florence2.answers import Found
from trainer.florence2.beginning import settings_of
from trainer.florence2.data import DetectionSplit, chosen_rows, sample_of, training_rows
from trainer.florence2.detect import Inspector
from trainer.florence2.examples import Examples
from trainer.florence2.network import load
from trainer.florence2.options import parser
from trainer.florence2.run import DetectionConfig, load_config
from trainer.florence2.samples import close_up, overlay
from trainer.florence2.truth import Truth, truth_of

SMALL = ["--model", "tiny", "--batch-size", "4", "--evaluate-every", "3"]
SMALL += ["--threads", "1", "--seed", "1", "--device", "cpu"]

THREE = ("--epochs", "3")


@pytest.fixture(scope="module")
def dataset(make_rows, make_dataset, tmp_path_factory) -> Path:
    return answered_dataset(make_rows, make_dataset, tmp_path_factory.mktemp("florence") / "dataset", 8, 6)


def train(dataset: Path, run: Path, *words: str) -> int:
    return command.main(["--data", str(dataset), "--out", str(run), *SMALL, *words])


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    assert train(dataset, run, *THREE) == 0
    return run


def test_a_run_holds_what_the_page_names(finished: Path):
    names = {p.name for p in finished.iterdir()}
    wanted = {"model", "sheets", "config.json", "metrics.csv", "summary.json", "report.html", "curves.png"}
    wanted |= {"calibration.png", "changes.json", "changes.png", "forgetting.json", "README.md"}
    wanted |= {"gates.npz", "gates.safetensors", "operating_points.png"}
    assert wanted | {"best.safetensors", "state.safetensors", "frozen.json"} == names
    assert {p.name for p in (finished / "sheets").iterdir()} == {*("epoch_0000.png", "epoch_0003.png", "best.png")}
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["trained_parameters"] == summary["parameters"]
    assert summary["splits"]["validation"]["pictures"] == 6
    page = read_page(finished / "report.html")
    assert {"held-out positions", "seen positions"} & set(page.text) and {"mAP", "confidence"} <= set(page.meanings)
    card = (finished / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers") and "## Operating points" in card


def dies_in_epoch_2(argv: list[str] | None = None) -> int:
    with dying_in_epoch(2):
        return command.main(argv)


def resume(dataset: Path, run: Path, *words: str) -> int:
    return command.main(["--data", str(dataset), "--out", str(run), "--resume", "--device", "cpu", *words])


# A run that was killed in its first epoch has only its settings.
@pytest.mark.parametrize("number", [1, 3])
def test_a_killed_run_resumed_equals_one_that_was_not(dataset, finished, tmp_path, number):
    run = tmp_path / "run"
    with dying_in_epoch(number):
        assert train(dataset, run, *THREE) == 1
    assert resume(dataset, run) == 0
    assert (run / "config.json").read_bytes() == (finished / "config.json").read_bytes()
    ours, _ = read_tensors(run / "state.safetensors")
    theirs, _ = read_tensors(finished / "state.safetensors")
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    rows = [list(csv.DictReader((r / "metrics.csv").open())) for r in (run, finished)]
    for row in rows[0] + rows[1]:
        del row["seconds"]
    assert rows[0] == rows[1]


def test_a_run_that_ran_out_of_time_and_went_on_has_the_same_model(dataset, finished, tmp_path):
    """A run also measures the epoch in which its time ends, although not due: that epoch may well be the best."""
    run = tmp_path / "run"
    with dying_in_epoch(1):
        assert train(dataset, run, *THREE) == 1
    assert resume(dataset, run, "--time-limit", "1e-6") == 0
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["epochs"], summary["best_epoch"]) == (1, 1)
    # The highest possible score: no later epoch beats it.
    tensors, metadata = read_tensors(run / "state.safetensors")
    state = json.loads(metadata["state"])
    state["best_score"] = [1.0, 1.0]
    run_folder.save_tensors(run / "state.safetensors", tensors, {"state": json.dumps(state)})
    assert resume(dataset, run) == 0
    for name in ("best.safetensors", "state.safetensors"):
        ours, theirs = (read_tensors(place / name) for place in (run, finished))
        assert ours[1] == theirs[1] and all(torch.equal(ours[0][key], theirs[0][key]) for key in theirs[0])
    assert (run / "config.json").read_bytes() == (finished / "config.json").read_bytes()


def test_a_run_fitted_to_its_time_limit_resumes_with_that_schedule(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(time_limit, "fitted_epochs", lambda *_: 2)
    words = ["--epochs", "30", "--close-ups", "0.5", "--time-limit", "100"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert train(dataset, whole, *words) == 0
    said = capsys.readouterr().out
    assert "--time-limit 100: 2 of 30 epochs fit into the" in said and "epoch 2 of 2  loss" in said
    with dying_in_epoch(2):
        assert train(dataset, broken, *words) == 1
    assert resume(dataset, broken) == 0
    for name in ("best.safetensors", "state.safetensors", "config.json"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
    assert json.loads((whole / "config.json").read_text())["training"]["fitted_epochs"] == 2


def test_two_processes_with_half_the_batch_equal_one_and_resume_to_the_bit(make_rows, make_dataset, tmp_path):
    """All answers have as many tokens, so the mean of two batches' losses is the loss of one batch with both."""
    rows = [row for row in with_answers(make_rows("train", 12, 0)) if row["bbox_str"]]
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": with_answers(make_rows("validation", 3, 1))})
    words = [*SMALL, "--epochs", "2", "--scaffold", "0", "--close-ups", "0", "--no-augment", "--lr", "1e-4"]
    alone, run, broken = (tmp_path / name for name in ("alone", "run", "broken"))
    assert command.main(["--data", str(data), "--out", str(alone), *words]) == 0
    said = together(data, run, *words, "--batch-size", "2", train=command.main)
    assert said.count("run: ") == 1
    # AdamW turns the rounding of a zero gradient into a full step, so moments are compared, not weights.
    ours, theirs = (read_tensors(place / "state.safetensors")[0] for place in (run, alone))
    moments, expected = (
        torch.cat([tensor.flatten() for name, tensor in state.items() if name.startswith("optimizer.exp_avg.")])
        for state in (ours, theirs)
    )
    assert torch.linalg.vector_norm(moments - expected) < 1e-4 * torch.linalg.vector_norm(expected)
    together(data, broken, *words, "--batch-size", "2", train=dies_in_epoch_2)
    together(data, broken, "--resume", train=command.main)
    assert (broken / "state.safetensors").read_bytes() == (run / "state.safetensors").read_bytes()


def test_training_pictures_without_a_defect_are_refused(make_rows, make_dataset, tmp_path, capsys):
    rows = with_answers(make_rows("train", 12, 0))
    good = [row for row in rows if not row["bbox_str"]]
    data = make_dataset(tmp_path / "data", {"train": good, "validation": rows})
    assert good and command.main(["--data", str(data), "--out", str(tmp_path / "run"), "--epochs", "1", *SMALL]) == 2
    assert f"expected pictures with boxes of defects, got none: all {len(good)} are OK" in capsys.readouterr().err


def test_positions_are_seen_where_pictures_train(dataset, tmp_path):
    data = detection_of(dataset)
    split = data.splits["train"]
    for words, rows in (
        (["--limit", "3"], training_rows(split, "as-is", 1.0, 3, 1)),
        (["--digits", "none"], [0, 2, 4, 6]),
    ):
        run = tmp_path / words[0].strip("-")
        assert train(dataset, run, "--epochs", "1", *words) == 0
        addresses = {pin.address for row in rows for pin in split.truths[row].targets}
        assert load_config(run)[1].seen == {"": sorted(addresses)} != data.seen_positions(range(8))


def test_the_bare_command_trains_a_tiny_model_and_resumes_it(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = shutil.copytree(dataset, Path("datasets") / "ladder")
    (data / "README.md").write_text(f"---\npinsight:\n  content_sha256: {'a' * 64}\n---\n")
    (data / "connectors.json").write_text("{}")
    words = ["--epochs", "2", "--batch-size", "4", "--threads", "1", "--device", "cpu"]
    with dying_in_epoch(2):
        assert command.main(words) == 1
    said = capsys.readouterr()
    assert "training a small Florence-2 from random weights (--model tiny, --mode full)" in said.out
    assert "--out runs/ladder-florence2\n" in said.out
    assert "continue with --resume --out runs/ladder-florence2" in said.err
    with dying_in_epoch(1):
        assert command.main(words) == 1
    assert (
        "--out runs/ladder-florence2: resumed as an unfinished run with the same settings and dataset"
        in capsys.readouterr().out
    )
    with dying_in_epoch(1):
        assert command.main([*words, "--seed", "3"]) == 1
    assert sorted(path.name for path in Path("runs").iterdir()) == ["ladder-florence2", "ladder-florence2-2"]
    assert (Path("runs/ladder-florence2") / "connectors.json").read_text() == "{}"
    for option in ("--overwrite", "--compare=full"):
        assert command.main([*words, option]) == 2
        assert "expected --out" in capsys.readouterr().err


def enlarged(rows: list[dict]) -> list[dict]:
    """Scale the rows' pictures to twice their size."""
    for row in rows:
        with Image.open(io.BytesIO(row["image"]["bytes"])) as picture:
            row["image"] = {"bytes": png_bytes(np.asarray(picture.resize((128, 64)))), "path": None}
    return rows


@pytest.mark.parametrize(
    "change, classes, message",
    [
        (list, ["BENDNG", "NUKENG", "OK", "OTHERNG"], "got ['BENDNG', 'NUKENG', 'OK', 'OTHERNG'] and 64x32 px"),
        (enlarged, ["BENDNG", "NUKENG", "OK"], "and 128x64 px"),
    ],
)
def test_resume_refuses_data_that_the_run_does_not_know(
    finished, make_rows, make_dataset, tmp_path, capsys, change, classes, message
):
    run = shutil.copytree(finished, tmp_path / "run")
    names = ("train", "validation")
    other = {name: change(with_answers(make_rows(name, 4, 0))) for name in names}
    assert resume(make_dataset(tmp_path / "other", other, classes), run) == 2
    assert message in capsys.readouterr().err
    assert (run / "config.json").read_bytes() == (finished / "config.json").read_bytes()


def test_resume_refuses_another_dataset(dataset, finished, tmp_path, capsys):
    run = shutil.copytree(finished, tmp_path / "run")
    with edited(run / "config.json") as document:
        document["training"]["data_sha256"] = "a" * 64
    assert resume(dataset, run) == 2
    assert (
        f"expected the dataset that {run} was started with (whose README.md has content_sha256"
        in capsys.readouterr().err
    )


def test_a_run_that_dies_on_resuming_keeps_its_threshold(dataset, finished, tmp_path, monkeypatch):
    from trainer.core import loop

    run = shutil.copytree(finished, tmp_path / "run")
    with edited(run / "config.json") as document:
        document["detector"]["threshold"] = 0.321

    def killed(self, *args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.Loop, "train", killed)
    assert resume(dataset, run) == 1
    assert load_config(run)[1].threshold == 0.321


def test_overwrite_removes_nothing_before_all_is_checked(dataset, finished, tmp_path, capsys):
    run = shutil.copytree(finished, tmp_path / "run")
    assert train(dataset, run, "--model", str(run / "model"), "--overwrite") == 2
    assert f"--model {run / 'model'}: expected a folder outside of {run}" in capsys.readouterr().err
    assert train(tmp_path / "nowhere", run, "--overwrite") == 2
    document = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**document, "format": "pinsight-vit"}))
    assert train(dataset, run, "--overwrite") == 2
    assert "expected an earlier run, whose config.json has the format" in capsys.readouterr().err
    shutil.copy(finished / "config.json", run)
    for folder, _, names in finished.walk():
        for name in names:
            place = (folder / name).relative_to(finished)
            assert (run / place).read_bytes() == (finished / place).read_bytes()


def test_a_config_without_scenes_is_read_and_its_addresses_count_in_every_scene(finished, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    document = json.loads((finished / "config.json").read_text())
    document["detector"]["seen"] = ["", "r1c1"]
    (run / "config.json").write_text(json.dumps(document))
    seen = load_config(run)[1].seen
    assert [held_out.group_of("any", [a], seen) for a in ("r1c1", "r1c2", "")] == [*("seen", "held-out", "no position")]


def test_predict_draws_boxes_and_writes_json(dataset, finished, make_rows, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index, row in enumerate(make_rows("test", 3, 2)):
        (pictures / f"p{index}.png").write_bytes(row["image"]["bytes"])
    table = tmp_path / "positions.csv"
    table.write_text("address,cavity,x1,y1,x2,y2\nr1c1,1,0,0,32,32\nr1c2,2,32,0,64,32\n")
    out = tmp_path / "out"
    words = ["--model", str(finished), str(pictures), "-o", str(out), "--positions", str(table), "--threshold", "0"]
    # Three epochs of eight pictures teach it nothing.
    assert predict.main(words) == 0
    for verdict in json.loads((out / "predictions.json").read_text()):
        assert verdict["verdict"] == "INVALID" and verdict["reasons"][0].startswith("unfit: ")
    words.append("--allow-unfit")
    assert predict.main([*words, "--batch-size", "2", "--threads", "1"]) == 0
    verdicts = json.loads((out / "predictions.json").read_text())
    assert [Path(v["file"]).name for v in verdicts] == ["p0.png", "p1.png", "p2.png"]
    assert (verdicts[0]["width"], verdicts[0]["height"]) == (64, 32)
    for verdict in verdicts:
        assert verdict["verdict"] == "NG" and verdict["schema"] == "pinsight-verdict/1"
        for box in verdict["boxes"]:
            x1, y1, x2, y2 = box["box"]
            assert 0 <= x1 <= x2 <= 64 and 0 <= y1 <= y2 <= 32
            assert box["label"] in ("BENDNG", "NUKENG") and 0 <= box["confidence"] <= 1
            assert box["address"] in (None, "r1c1", "r1c2")
    with Image.open(out / "p0.png") as sheet:
        assert sheet.width == 768
    words = ["--model", str(finished), str(pictures), "--allow-unfit", "--json", str(out / "v.json")]
    assert predict.main([*words, "--threshold", "1"]) == 0
    assert all(v["verdict"] in ("OK", "UNSURE") for v in json.loads((out / "v.json").read_text()))
    (pictures / "p1.png").write_bytes(b"not a picture")
    predict.main([*words, "--threshold", "1"])
    read = json.loads((out / "v.json").read_text())
    assert [Path(v["file"]).name for v in read] == ["p0.png", "p1.png", "p2.png"]
    assert [v["verdict"] == "INVALID" for v in read] == [False, True, False]


def test_predict_makes_the_nsoart_pictures_of_golden_references(finished, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(detect, "READ_AGAIN_BIAS", 100.0)  # answers of a model that learned nothing have boxes, too
    (tmp_path / "references").mkdir()
    write_golden(tmp_path / "references", ("center", "left"))
    model = golden_run(finished, tmp_path / "references", tmp_path / "run", "detector")
    photo, chart = tmp_path / "p1_left.png", tmp_path / "p1.png"
    drawn_part(9, 1.5).save(photo)
    GoldenInput.of(model, "nsoart", {}).chart(drawn_part(9, 1.5), photo).save(chart)
    words = ["--allow-unfit", "--threshold", "0", "--threads", "1", "--json", str(tmp_path / "v.json")]
    found = []
    for run, file in ((model, photo), (finished, chart)):
        assert predict.main(["--model", str(run), str(file), *words]) == 0
        found += json.loads((tmp_path / "v.json").read_text())
    assert found[0]["boxes"] and found[0]["boxes"] == found[1]["boxes"]
    assert predict.main(["--model", str(model), str(photo), "--marking", "lot"]) == 2
    assert "no golden reference for NSOART of camera left, marking lot" in capsys.readouterr().err


def test_a_part_gets_the_gravest_verdict_of_its_views(finished, make_rows, tmp_path, capsys, monkeypatch):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    names = [f"part{part}_{view}.png" for part in (1, 2, 3) for view in ("center", "left")][:-1]
    for name, row in zip(names, make_rows("test", 5, 2), strict=True):
        (pictures / name).write_bytes(row["image"]["bytes"])
    black = np.zeros((32, 64, 3), np.uint8)
    Image.fromarray(black).save(pictures / "part2_left.png")  # cannot be judged

    with Image.open(pictures / "part1_left.png") as shown:
        bad = np.asarray(shown.convert("RGB"))
    whole = Inspector.find

    def find(self, given):
        whole(self, given)  # the gates see the network's features
        defect = [Found((2.0, 2.0, 9.0, 9.0), "BENDNG", 0.9)]
        return [defect if np.array_equal(one, bad) else [] for one in map(np.asarray, given)]

    monkeypatch.setattr(Inspector, "find", find)
    words = ["--model", str(finished), str(pictures), "--allow-unfit", "-o"]
    assert predict.main([*words, str(tmp_path / "single")]) == 0
    single = {Path(v["file"]).stem: v for v in json.loads((tmp_path / "single" / "predictions.json").read_text())}
    assert predict.main([*words, str(tmp_path / "out"), "--views", "center,left"]) == 2
    assert "part3: expected a picture of every view, got none of left" in capsys.readouterr().err
    unfit = ["--model", str(finished), *map(str, sorted(pictures.glob("part1_*"))), "--views", "center,left"]
    assert predict.main([*unfit, "--json", str(tmp_path / "unfit.json")]) == 0
    (entry,) = json.loads((tmp_path / "unfit.json").read_text())
    assert entry["reasons"] == list(dict.fromkeys(entry["reasons"])) and "(view" not in "".join(entry["reasons"])
    assert capsys.readouterr().out.splitlines()[-1].split() == ["INVALID", str(pictures / "part1"), "unfit"]
    first, second, left = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert (first["verdict"], second["verdict"], left["verdict"]) == ("NG", "INVALID", "INVALID")
    assert Path(first["part"]).name == "part1" and set(first["files"]) == {"center", "left"} and "file" not in first
    for part, name in ((first, "part1"), (second, "part2")):
        for view, found in part["by_view"].items():
            own = single[f"{name}_{view}"]
            assert {key: own[key] for key in found} == found
            assert all(f"{reason} (view {view})" in part["reasons"] for reason in own["reasons"])
    assert first["by_view"]["left"]["boxes"][0]["label"] == "BENDNG" and first["boxes"] == []
    with Image.open(tmp_path / "out" / "part1.png") as sheet:
        assert sheet.width > 2 * 768
    refused = [
        "--model",
        str(finished),
        str(pictures),
        "--views",
        "center,left",
        "--positions",
        str(tmp_path / "t.csv"),
    ]
    assert predict.main(refused) == 2
    assert "--views: expected without --positions" in capsys.readouterr().err


def test_a_calibration_gives_boxes_a_probability_and_changes_no_verdict(
    dataset, finished, make_rows, make_dataset, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(detect, "READ_AGAIN_BIAS", 100.0)  # answers of a model that learned nothing have boxes, too
    run, out = shutil.copytree(finished, tmp_path / "run"), tmp_path / "out"
    frozen, summary = (json.loads((run / name).read_text()) for name in ("frozen.json", "summary.json"))
    assert frozen.pop("calibration") == summary["calibration"]
    (tmp_path / "p.png").write_bytes(make_rows("test", 1, 2)[0]["image"]["bytes"])
    words = ["--model", str(run), "--threads", "1"]
    boxes, verdicts = [], []
    # A run of an earlier version, and one that is calibrated.
    for more in ({}, {"calibration": {"lowest": 0.0, "boxes": 40, "right": 8, "slope": 0.5, "intercept": -1.0}}):
        (run / "frozen.json").write_text(json.dumps({**frozen, **more}))
        assert predict.main([*words, str(tmp_path / "p.png"), "--json", str(out), "--threshold", "0"]) == 0
        (document,) = json.loads(out.read_text())
        boxes.append(document.pop("boxes"))
        verdicts.append({key: value for key, value in document.items() if key != "time"})
    assert verdicts[0] == verdicts[1] and boxes[0] and all(box["probability"] is None for box in boxes[0])
    monkeypatch.undo()
    by = Calibration(0.0, 40, 8, 0.5, -1.0)
    assert boxes[1] == [{**box, "probability": by.probability(box["confidence"])} for box in boxes[0]]
    # The own validation split is no test of a calibration that was fitted on it; that of another dataset is.
    assert evaluate.main([*words, "--data", str(dataset), "--out", str(tmp_path / "own"), "--device", "cpu"]) == 0
    own = json.loads((tmp_path / "own" / "evaluation.json").read_text())
    assert own["splits"]["validation"] == summary["splits"]["validation"]
    with edited(run / "config.json") as config:
        config["training"]["data_sha256"] = "0" * 64
    data = make_dataset(tmp_path / "other", {"validation": with_answers(make_rows("validation", 4, 3))})
    capsys.readouterr()
    assert evaluate.main([*words, "--data", str(data), "--out", str(tmp_path / "others"), "--device", "cpu"]) == 0
    split = json.loads((tmp_path / "others" / "evaluation.json").read_text())["splits"]["validation"]
    part = split["calibration_of_counted"]
    before, after = part["confidence"]["ece"], part["probability"]["ece"]
    assert part["boxes"] > 0 and before != after
    said = f"{before:.3f} of the {part['boxes']} that count, {after:.3f} of their probabilities"
    assert said in capsys.readouterr().out
    page = "".join(read_page(tmp_path / "others" / "report.html").text)
    assert "Confidences are calibrated on 40 boxes found in validation" in page and "8 of them right" in page


def test_an_annotated_picture_shows_the_box():
    found = Found((20.0, 10.0, 60.0, 40.0), "NUKENG", 0.9)
    verdict = verdicts.verdict_of([found], (128, 64), Thresholds.at(0.5))
    sheet = verdicts.annotate(Image.new("RGB", (128, 64)), verdict)
    assert verdict.verdict == "NG" and verdict.boxes[0].address is None
    bar = sheet.height - 64 * 6
    assert sheet.getpixel((20 * 6 - 2, bar + 25 * 6)) == rgb(hue("NUKENG").on_picture)


def test_predict_refuses_options_of_the_other_kind(finished, trained_run, tmp_path, capsys):
    Image.new("RGB", (64, 32)).save(tmp_path / "p.png")
    assert predict.main(["--model", str(finished), str(tmp_path / "p.png"), "--weights", "last"]) == 2
    assert predict.main(["--model", str(trained_run), str(tmp_path / "p.png"), "--batch-size", "2"]) == 2
    error = capsys.readouterr().err
    assert "--weights applies to ViT runs only" in error
    assert "--batch-size applies to Florence-2 runs only" in error


def test_evaluate_says_of_validation_what_the_training_said(dataset, finished, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--model", str(finished), "--data", str(dataset), "--out", str(out), "--batch-size", "16"]
    assert evaluate.main([*words, "--device", "cpu", "--threads", "1"]) == 0
    said = json.loads((out / "evaluation.json").read_text())
    summary = json.loads((finished / "summary.json").read_text())
    assert list(said["splits"]) == ["validation"]
    own, first = said["splits"]["validation"], summary["splits"]["validation"]
    assert own == first
    with (out / "predictions.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    kinds = [line["kind"] for line in lines]
    assert kinds.count("true") + kinds.count("missed") == own["boxes"] > 0
    assert all((line["confidence"] == "") == (line["kind"] == "missed") for line in lines)
    page = read_page(out / "report.html")
    assert ("mistakes_validation.png" in {p.name for p in out.iterdir()}) == any(k != "true" for k in kinds)
    assert "Split validation" in page.text
    assert evaluate.main([*words, "--split", "train", "--device", "cpu"]) == 0
    assert list(json.loads((out / "evaluation.json").read_text())["splits"]) == ["train"]
    assert {p.name for p in out.glob("mistakes_*")} <= {"mistakes_train.png"}


def test_evaluate_measures_again_with_texts_drawn(dataset, finished, tmp_path, monkeypatch, capsys):
    seen = []

    def unchanged(picture, truth, kind):
        seen.append((truth.run, kind))
        return picture

    monkeypatch.setattr(evaluation, "with_texts", unchanged)
    words = ["--model", str(finished), "--data", str(dataset), "--out", str(tmp_path / "out"), "--threads", "1"]
    assert evaluate.main([*words, "--device", "cpu", "--digits", "edges", "--digits", "overlaid"]) == 0
    own = json.loads((tmp_path / "out" / "evaluation.json").read_text())["splits"]["validation"]
    drawn = own.pop("drawn")
    assert list(drawn) == ["edges", "overlaid"]
    assert [part.pop("pictures_without_texts") for part in drawn.values()] == [6, 6]
    assert all(own[key] == value for part in drawn.values() for key, value in part.items())
    runs = {truth.run for truth in detection_of(dataset).splits["validation"].truths}
    assert set(seen) == {(run, kind) for run in runs for kind in drawn}
    said = capsys.readouterr().out
    assert "texts drawn, edges: mAP" in said and "edges: 6 of 6 pictures have no room for a text" in said
    assert "texts drawn on the pictures" in read_page(tmp_path / "out" / "report.html").text


def test_a_killed_evaluation_of_a_detector_leaves_nothing_and_no_file_of_a_person_goes(
    dataset, finished, tmp_path, monkeypatch, capsys
):
    from trainer.florence2 import plots

    def killed(*args):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    words = ["--model", str(finished), "--data", str(dataset), "--device", "cpu", "--out"]
    out.mkdir()
    (out / "mistakes_mine.png").write_bytes(b"mine")
    with monkeypatch.context() as patch:
        patch.setattr(plots, "calibration", killed)
        assert evaluate.main([*words, str(out)]) == 1
    assert [path.name for path in out.iterdir()] == ["mistakes_mine.png"]
    assert evaluate.main([*words, str(out)]) == 0 and (out / "mistakes_mine.png").read_bytes() == b"mine"
    assert evaluate.main([*words, str(finished)]) == 2
    assert "expected another folder than the run's (--model)" in capsys.readouterr().err


def test_evaluate_tells_what_is_missed_from_what_cannot_be_seen(finished, make_rows, make_dataset, tmp_path, capsys):
    rows = with_answers(make_rows("station", 6, 5))  # twice bent, missing, OK
    objects = rows[0]["objects"]
    objects["moved_px"] = [0.2 if category != 2 else None for category in objects["category"]]
    rows[0]["observable"], rows[3]["grey"] = False, True
    data = make_dataset(tmp_path / "station", {"station": rows})
    words = ["--model", str(finished), "--data", str(data), "--device", "cpu", "--threads", "1", "--out"]

    def measured(name: str, *more: str) -> tuple[dict, list[dict], str]:
        out = tmp_path / name
        assert evaluate.main([*words, str(out), *more]) == 0
        with (out / "predictions.csv").open(newline="") as file:
            lines = [line for line in csv.DictReader(file) if line["kind"] != "false"]
        return json.loads((out / "evaluation.json").read_text()), lines, " ".join(read_page(out / "report.html").text)

    document, lines, page = measured("default")
    split = document["splits"]["station"]
    assert (document["rows"], document["left_out"], document["observable_px"]) == ("all", {"station": 0}, 1.0)
    assert (split["pictures"], split["boxes"]) == (6, 4)
    assert (split["observable"]["ignored"], split["observable"]["boxes"]) == (1, 3)
    assert sorted(line["observable"] for line in lines) == ["no", "yes", "yes", "yes"]
    assert [line["run"] for line in lines if line["observable"] == "no"] == ["station000"]
    assert "Defects that can be seen" in page and "leaves out" not in page
    assert "without 1 that cannot be seen: mAP50" in capsys.readouterr().out
    for which, pictures in (("observable", 5), ("clear", 4)):
        document, lines, page = measured(which, "--rows", which)
        assert (document["rows"], document["left_out"]) == (which, {"station": 6 - pictures})
        assert document["splits"]["station"]["pictures"] == pictures
        assert document["splits"]["station"]["observable"] is None and len(lines) == pictures - 2
        assert f"--rows {which} leaves out: {6 - pictures}." in page
    # The dataset's own limit.
    (data / "README.md").write_text("---\npinsight:\n  observable_px: 0.1\n---\n")
    document, lines, _ = measured("own")
    assert document["observable_px"] == 0.1 and document["splits"]["station"]["observable"] is None
    assert {line["observable"] for line in lines} == {"yes"}
    data = make_dataset(tmp_path / "hidden", {"station": rows[:1]})
    words[3] = str(data)
    assert evaluate.main([*words, str(tmp_path / "none"), "--rows", "observable"]) == 2
    assert "expected rows to measure in ['station'], got none with --rows observable" in capsys.readouterr().err


def test_rows_keep_or_leave_out_parts_whose_verdicts_are_counted(finished, make_rows, make_dataset, tmp_path):
    rows = with_answers(make_rows("station", 6, 5))
    for index, row in enumerate(rows):
        row["part"] = index // 2
    rows[0]["observable"], rows[3]["grey"] = False, True
    data = make_dataset(tmp_path / "station", {"station": rows})
    words = ["--model", str(finished), "--data", str(data), "--device", "cpu", "--threads", "1", "--out"]
    found = {}
    for which in ("all", "observable", "clear"):
        assert evaluate.main([*words, str(tmp_path / which), "--rows", which]) == 0
        document = json.loads((tmp_path / which / "evaluation.json").read_text())
        split, left_out = document["splits"]["station"], document["left_out"]["station"]
        on_parts = split["verdicts_on_parts"]
        assert on_parts["escapes"]["of"] + on_parts["overkill"]["of"] == on_parts["parts"]
        found[which] = (split["pictures"], left_out, on_parts["parts"])
        with (tmp_path / which / "predictions.csv").open(newline="") as file:
            assert ("station000" in {line["run"] for line in csv.DictReader(file)}) == (which == "all")
    # Two pictures go with the grey part, and one that shows nothing of a defect of a part that stays.
    assert found == {"all": (6, 0, 3), "observable": (5, 1, 3), "clear": (3, 3, 2)}


def test_evaluate_measures_data_that_has_no_training_split(make_rows, make_dataset, finished, tmp_path):
    rows = with_answers(make_rows("station", 4, 5))
    data = make_dataset(tmp_path / "station", {"station": rows})
    assert evaluate.main(["--model", str(finished), "--data", str(data), "--out", str(tmp_path / "out")]) == 0
    said = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert said["splits"]["station"]["pictures"] == 4


def test_a_split_without_answers_is_left_out_where_it_is_not_needed(
    make_rows, make_dataset, finished, tmp_path, capsys
):
    splits = {name: with_answers(make_rows(name, 4, 0)) for name in ("train", "validation", "station")}
    for row in splits["station"]:
        row["bbox_str"] = None
    data = make_dataset(tmp_path / "data", splits)
    assert train(data, tmp_path / "run", "--epochs", "1", "--dry-run") == 0
    words = ["--model", str(finished), "--data", str(data), "--device", "cpu", "--out"]
    assert evaluate.main([*words, str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.count("split station is left out: it has no answers") == 2
    assert evaluate.main([*words, str(tmp_path / "other"), "--split", "station"]) == 2
    splits["train"] = [{**row, "bbox_str": None} for row in splits["train"]]
    data = make_dataset(tmp_path / "untaught", splits)
    assert train(data, tmp_path / "run", "--epochs", "1") == 2
    station, taught = capsys.readouterr().err.splitlines()
    assert "split station: expected answers" in station and "split train: expected answers" in taught
    assert not (tmp_path / "other").exists() and not (tmp_path / "run").exists()


def test_what_evaluate_of_a_detector_refuses(dataset, finished, make_rows, make_dataset, tmp_path, capsys):
    words = ["--model", str(finished), "--data"]
    assert evaluate.main([*words, str(dataset), "--split", "nothing"]) == 2
    strange = with_answers(make_rows("test", 4, 3))
    for row in strange:
        row["bbox_str"] = row["bbox_str"].replace("NUKENG", "OTHERNG").replace("BENDNG", "OTHERNG")
    classes = ["BENDNG", "NUKENG", "OK", "OTHERNG"]
    other = make_dataset(tmp_path / "other", {"test": strange}, classes)
    assert evaluate.main([*words, str(other), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "expected a split 'nothing'" in error
    assert "split test: expected defects of the run's classes ['BENDNG', 'NUKENG'], got OTHERNG" in error
    assert not (tmp_path / "out").exists() and not (finished / "evaluation").exists()


def test_a_picture_s_lines_name_what_is_true_false_and_missed(dataset):
    data = detection_of(dataset)
    truth = next(t for t in data.splits["train"].truths if t.targets)
    pin = truth.targets[0]
    other = "NUKENG" if pin.label == "BENDNG" else "BENDNG"
    found = [Found(pin.box, other, 0.9), Found(pin.box, pin.label, 0.8), Found(pin.box, pin.label, 0.1)]
    lines = evaluation.lines_of("train", truth, found, 0.5)
    assert [line["kind"] for line in lines] == ["false", "true", *["missed"] * (len(truth.targets) - 1)]
    assert {line["address"] for line in lines[:2]} == {pin.address}
    assert [line["probability"] for line in lines] == [""] * len(lines)
    by = Calibration(0.0, 40, 8, 0.5, -1.0)
    calibrated = evaluation.lines_of("train", truth, found, 0.5, by)
    expected = [f"{by.probability(0.9):.4f}", f"{by.probability(0.8):.4f}", *[""] * (len(truth.targets) - 1)]
    assert [line["probability"] for line in calibrated] == expected
    missed = evaluation.lines_of("train", truth, [], 0.5)
    assert [line["kind"] for line in missed] == ["missed"] * len(truth.targets)
    assert evaluation.worst([lines[1:2], missed, lines[:2]]) == [1, 2]
    assert [line["observable"] for line in lines] == ["", "yes", *["yes"] * (len(truth.targets) - 1)]
    unseen = replace(truth, pins=tuple(replace(pin, unseen=True) for pin in truth.pins))
    for some, observable in ((found[:2], ["", "no"]), ([], ["no"])):
        assert [line["observable"] for line in evaluation.lines_of("train", unseen, some, 0.5)][:2] == observable
    assert evaluation.worst([evaluation.lines_of("train", unseen, [], 0.5)]) == []


@pytest.mark.parametrize(
    "content, message",
    [
        ("a,b\n1,2\n", r"t\.csv:1: expected the columns address, x1, y1, x2, y2, got no address"),
        ("address,cavity,x1,y1,x2,y2\nr1c1,1,5,0,2,9\n", r"t\.csv:2: expected an address, and x1 < x2"),
    ],
)
def test_tables_of_positions_that_cannot_be_used(tmp_path, content, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        prediction.pins_of(tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"expected a record of the renderer \(\.json\), or a CSV file"):
        prediction.pins_of(tmp_path / "nothing.csv")


@pytest.mark.parametrize("cavity", ["A", None])
def test_a_box_gets_its_pin_of_a_table_or_a_record(tmp_path, cavity):
    record = {"positions": [{"address": "r1c1", "cavity": cavity, "boxes": {"expected": [1, 2, 3, 4]}}]}
    (tmp_path / "r.json").write_text(json.dumps(record))
    of_cavity = ("", "") if cavity is None else (",cavity", f",{cavity}")
    (tmp_path / "r.csv").write_text(f"address,x1,y1,x2,y2{of_cavity[0]}\nr1c1,1,2,3,4{of_cavity[1]}\n")
    for name in ("r.json", "r.csv"):
        pins = prediction.pins_of(tmp_path / name)
        found = [Found((1.0, 2.0, 3.0, 4.0), "BENDNG", 0.9)]
        (box,) = verdicts.verdict_of(found, (9, 9), Thresholds.at(0.5), pins).boxes
        assert (box.address, box.cavity, pins[0].box) == ("r1c1", cavity, (1, 2, 3, 4))


def test_weights_that_are_cut_off_are_named(finished, tmp_path, capsys):
    run = shutil.copytree(finished, tmp_path / "run")
    weights = run / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    picture = tmp_path / "picture.png"
    Image.new("RGB", (64, 32)).save(picture)
    assert predict.main(["--model", str(run), str(picture)]) == 2
    said = capsys.readouterr().err
    assert f"{run / 'model'}: expected" in said and said.count("\n") == 1


def test_lora_trains_merges_and_says_what(dataset, finished, tmp_path, capsys):
    run = tmp_path / "run"
    words = ["--data", str(dataset), "--out", str(run), "--model", str(finished / "model"), "--mode", "lora"]
    words += ["--lora-rank", "4", "--epochs", "1", "--batch-size", "4", "--threads", "1", "--device", "cpu"]
    assert command.main([*words, "--lr", "1e-2"]) == 0
    said = capsys.readouterr().out
    for part in lora.PARTS:
        assert f"LoRA in {part}: " in said
    summary = json.loads((run / "summary.json").read_text())
    assert summary["merge_difference"] < 1e-3
    assert summary["changed"]["language_model.shared"]["changed"] == 1
    assert summary["changed"]["vision_tower"]["changed"] > 0
    # Shared matrices count once, as in the model's number of parameters.
    assert sum(part["parameters"] for part in summary["changed"].values()) == summary["parameters"]
    assert summary["trained_parameters"] < summary["parameters"] / 2
    assert (run / "adapter" / "adapter_model.safetensors").is_file()
    merged, _ = load(str(run / "model"), (), (64, 32), 0)
    base, _ = load(str(finished / "model"), (), (64, 32), 0)
    rows = lora.changes({k: v.clone() for k, v in base.state_dict().items()}, merged)
    moved = {row["name"] for row in rows if row["changed"]}
    assert any("vision_tower.blocks" in name for name in moved)
    assert not any("norm" in name for name in moved)


def test_lora_begins_alike_with_the_same_seed(finished):
    def begun(seed: int, drawn_before: int) -> dict[str, torch.Tensor]:
        torch.rand(drawn_before)
        model, _ = load(str(finished / "model"), (), (64, 32), 0)
        model, _ = lora.add(model, [5, 6], 4, 8, seed=seed)
        return {name: p.detach() for name, p in model.named_parameters() if "lora_A" in name}

    one, same, other = begun(1, 3), begun(1, 5), begun(2, 3)
    assert one and all(torch.equal(weight, same[name]) for name, weight in one.items())
    assert not any(torch.equal(weight, other[name]) for name, weight in one.items())


def test_which_pictures_get_texts_by_default(dataset):
    for words, digits in {
        "": ("as-is", 1.0),
        "--digits varied": ("varied", 0.25),
        "--digits varied --no-augment --digits-share 0.2": ("varied", 0.2),
        "--digits overlaid": ("overlaid", 1.0),
    }.items():
        settings = settings_of(parser().parse_args(["--data", str(dataset), *words.split()]))
        assert (settings.digits, settings.digits_share) == digits


def test_a_share_of_the_training_pictures_gets_texts(dataset, finished):
    device, generator = torch.device("cpu"), torch.Generator().manual_seed(0)
    data, collator = detection_of(dataset), Inspector.load(finished, device).collator
    plain = [sample_of(data.splits["train"], row, data.size, data.classes).pixels for row in range(8)]

    def changed(share: float) -> int:
        config = DetectionConfig(digits="varied", digits_share=share, augment=False)
        examples = Examples(data, collator, config, (8, 4), device)
        return sum(not torch.equal(examples._sample(row, generator).pixels, plain[row]) for row in range(8))

    assert changed(0.0) == 0 < changed(0.5) < changed(1.0)


def test_texts_lie_on_no_pin_that_a_shift_moved_half_outside(monkeypatch, dataset, finished):
    data, inspector = detection_of(dataset), Inspector.load(finished, torch.device("cpu"))
    examples = Examples(
        data, inspector.collator, DetectionConfig(digits="varied", digits_share=1.0), (8, 4), torch.device("cpu")
    )
    seen = []

    def drawn(pixels, boxes, *_):
        seen.append(len(boxes))
        return pixels

    monkeypatch.setattr("trainer.florence2.examples.varied", drawn)
    generator = torch.Generator().manual_seed(0)
    kept = [len(examples._sample(0, generator).boxes) for _ in range(40)]
    assert set(seen) == {len(examples.split.truths[0].pins)} and min(kept) < max(kept)


def test_boxes_of_defects_alone_are_refused_for_varied_texts(dataset):
    split = detection_of(dataset).splits["train"]
    truths = [replace(truth, answer=tuple(range(len(truth.pins)))) for truth in split.truths]
    with pytest.raises(InputError, match=r"--digits varied: expected .* boxes of good pins too, got boxes of defects"):
        chosen_rows(replace(split, truths=truths), "varied", 0.25)


@pytest.mark.parametrize("pattern", [r".*decoder.*q_proj", r".*no_such_layer"])
def test_a_pattern_that_leaves_out_a_part_is_an_error(finished, pattern):
    model, _ = load(str(finished / "model"), (), (64, 32), 0)
    with pytest.raises(InputError, match=r"got none in .*vision_tower"):
        lora.match(model, pattern)
    with pytest.raises(InputError, match="regular expression"):
        lora.match(model, "(")


@pytest.mark.parametrize(
    "words, message",
    [
        (["--mode", "full", "--lora-rank", "4"], "--lora-rank: expected only with --mode lora"),
        (["--mode", "lora", "--train-share", "50"], "--train-share: expected a mode other than lora"),
        (["--digits-share", "0.5", "--digits", "none"], "--digits-share: expected --digits varied, printed or"),
        (["--digits", "varied", "--input", "nsoart"], "--digits varied: expected --input image, got nsoart"),
        (["--private"], "--private: expected only with --push"),
        (["--compare", "full,best"], "--compare: expected modes"),
        (["--compare", "lora:50"], "--compare: expected modes"),
        (["--compare", "full", "--push", "o/n"], "--push: expected no such option beside --compare"),
        (["--compare", "full", "--mode", "decoder"], "--mode: expected no such option beside --compare"),
        (["--compare", "full", "--train-share", "50"], "--train-share: expected no such option beside --compare"),
        (["--compare", "full", "--lora-rank", "4"], "--lora-rank: expected lora among the modes"),
        (["--model", "/no/such/folder"], "expected 'tiny', a checkpoint's folder"),
        (
            ["--model", "tiny", "--photos", "/no/photos"],
            "/no/photos: expected a folder of pictures, got no such folder",
        ),
    ],
)
def test_mistakes_are_named_without_a_traceback(dataset, tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert command.main(["--data", str(dataset), "--out", str(tmp_path / "run"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_pictures_that_it_has_no_input_for(dataset, make_rows, make_dataset, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        train(dataset, tmp_path / "run", "--input", "image+nsoart")
    assert stop.value.code == 2 and "--input: invalid choice" in capsys.readouterr().err
    splits = {name: with_answers(make_rows(name, 3, 0)) for name in ("train", "validation")}
    splits["train"][0]["image"] = None
    assert train(make_dataset(tmp_path / "data", splits), tmp_path / "run") == 2
    assert "split train: row 0, column 'image': expected a picture, got null" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_used_folder_and_other_settings_are_refused(dataset, finished, capsys):
    assert train(dataset, finished, "--epochs", "3") == 2
    assert "expected a new or empty folder" in capsys.readouterr().err
    words = ["--data", str(dataset), "--out", str(finished), "--resume", "--epochs", "9", "--mode", "decoder"]
    assert command.main(words) == 2
    error = capsys.readouterr().err
    assert "--epochs" in error and "--mode" in error


def test_a_dry_run_says_memory_and_writes_nothing(dataset, tmp_path, capsys):
    assert train(dataset, tmp_path / "run", "--dry-run", "--mode", "decoder") == 0
    said = capsys.readouterr().out
    assert "activations" in said and "total" in said and "nothing was trained" in said
    assert not (tmp_path / "run").exists()


def test_a_comparison_passes_everything_on_but_what_it_sets():
    argv = ["--data", "d", "--out=o", "--compare", "lora,full:50", "--epochs", "2", "--lora-rank", "4"]
    assert comparison.passed_on(argv, lora=False) == ["--data", "d", "--epochs", "2"]
    assert comparison.passed_on(argv, lora=True) == ["--data", "d", "--epochs", "2", "--lora-rank", "4"]
    assert comparison.parse_modes("lora,full:50,full") == [
        ("lora", "lora", None),
        ("full-50", "full", 50.0),
        ("full", "full", None),
    ]


def test_a_comparison_goes_on_where_it_stands(dataset, finished, tmp_path, monkeypatch, capsys):
    """`full` is finished, `decoder` was killed in its second epoch, `language` is new."""
    out, began = tmp_path / "modes", []
    words = ["--evaluate-every", "3", "--epochs", "3"]

    def killed(words, check):
        mode = words[words.index("--mode") + 1]
        if mode == "full":
            shutil.copytree(finished, out / "full")
            return subprocess.CompletedProcess(words, 0)
        with dying_in_epoch(2):
            assert command.main(words[3:]) == 1
        raise KeyboardInterrupt

    def in_this_process(words, check):
        began.append(words)
        return subprocess.CompletedProcess(words, command.main(words[3:]))

    monkeypatch.setattr(subprocess, "run", killed)
    assert train(dataset, out, *words, "--compare", "full,decoder,language") == 1
    monkeypatch.setattr(subprocess, "run", in_this_process)
    assert train(dataset, out, *words, "--compare", "full,decoder,language") == 0
    modes = [(words[words.index("--mode") + 1], words[-1] == "--resume") for words in began]
    assert modes == [("decoder", True), ("language", False)]
    rows = json.loads((out / "compare.json").read_text())
    assert [(row["name"], row["epochs"]) for row in rows] == [("full", 3), ("decoder", 3), ("language", 3)]
    assert "failed" not in capsys.readouterr().out
    assert train(dataset, out, "--epochs", "9", "--compare", "full,decoder,language") == 2
    assert train(tmp_path, out, *words, "--compare", "full,decoder") == 2
    assert train(dataset, finished, *words, "--compare", "full,decoder") == 2
    said = capsys.readouterr().err
    assert f"--epochs: expected 3, as when the comparison {out} was started, got 9" in said
    assert f"--data: expected {dataset.resolve()}, as when the comparison {out} was started, got {tmp_path}" in said
    assert f"{finished / 'command.json'}: expected --out to be new, or the folder of an earlier comparison" in said
    assert len(began) == 2


def test_rows_by_digits(dataset):
    data = detection_of(dataset)
    split = data.splits["train"]
    printed, plain = chosen_rows(split, "printed", 1.0), chosen_rows(split, "none", 1.0)
    assert printed == [1, 3, 5, 7] and plain == [0, 2, 4, 6]
    assert chosen_rows(split, "printed", 0.5) == list(range(8))
    assert chosen_rows(split, "as-is", 1.0) == list(range(8))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("printed, plain", [(200, 40), (40, 200)])
def test_a_share_of_printed_rows_holds_whichever_are_scarce(printed, plain, share):
    markings = ["numbers"] * printed + ["none"] * plain
    truths = [Truth(str(i), (64, 32), (), (), factors={"marking": m}) for i, m in enumerate(markings)]
    rows = chosen_rows(DetectionSplit(None, truths), "printed", share)
    assert sum(row < printed for row in rows) / len(rows) == pytest.approx(share, abs=0.02)
    with pytest.raises(InputError, match=f"with and without print .* got {printed} with and 0 without"):
        chosen_rows(DetectionSplit(None, truths[:printed]), "printed", 0.5)


def test_overlaid_digits_change_only_what_is_above_the_boxes():
    pixels = torch.zeros(3, 64, 64)
    changed = overlay(pixels, torch.tensor([[20.0, 40.0, 30.0, 50.0]]), ["7"])
    assert changed[:, 41:].abs().max() == 0 and changed[:, 25:40, 15:35].max() > 0.5


def test_the_answer_s_boxes_are_the_objects_own(dataset):
    data = detection_of(dataset)
    truth = data.splits["train"].truths[0]
    (pin,) = truth.targets
    assert pin.address == "r1c1" and pin.label == "BENDNG" and not pin.missing
    assert data.splits["train"].truths[1].targets[0].missing
    assert data.seen_positions(range(8)) == {"": ["r1c1", "r1c2", "r1c4", "r2c1", "r2c3", "r2c4"]}
    assert data.seen_positions([0, 1]) == {"": ["r1c1", "r1c2"]}


def test_only_a_pin_can_be_missing():
    place = {"bbox": [0.0, 0.0, 8.0, 8.0], "category": 1, "address": "r1c1", "retraction_mm": None}
    things = [
        (place, True),
        ({**place, "retraction_mm": 2.0}, False),
        ({**place, "category": 3, "address": "r1c1-r1c2"}, False),
        ({**place, "category": 3, "address": None}, False),
        ({**place, "address": None}, False),
    ]
    objects = {key: [thing[key] for thing, _ in things] for key in place}
    row = {"width": 64, "height": 32, "bbox_str": "", "objects": objects}
    pins = truth_of(row, ("BENDNG", "NUKENG", "OK", "OTHERNG"), "row 0").pins
    assert [pin.missing for pin in pins] == [missing for _, missing in things]


def test_positions_are_those_of_their_scene(make_rows, make_dataset, tmp_path):
    rows = with_answers(make_rows("train", 6, 0))
    for index, row in enumerate(rows):
        row["scene"] = "ab"[index // 3]
        row["objects"]["address"] = ["r1c1-r1c2", None, *row["objects"]["address"][2:]]
    data = detection_of(make_dataset(tmp_path / "data", {"train": rows, "validation": rows}))
    assert data.seen_positions(range(6)) == {"a": ["r1c1", "r1c2"], "b": ["r1c4", "r2c1"]}


def test_a_row_without_objects_keeps_its_answer_and_a_wrong_answer_is_named():
    row = {"run": "a", "width": 64, "height": 32, "bbox_str": "NUKENG<loc_10><loc_20><loc_30><loc_40>"}
    truth = truth_of(row, ("NUKENG", "OK"), "row 0")
    assert truth.targets[0].box == pytest.approx((0.672, 0.656, 1.952, 1.296))
    with pytest.raises(InputError, match=r"row 0 column bbox_str: .*four locations"):
        truth_of({**row, "bbox_str": "NUKENG<loc_10>"}, ("NUKENG", "OK"), "row 0")
    with pytest.raises(InputError, match="expected labels of"):
        truth_of({**row, "bbox_str": "CUT<loc_1><loc_1><loc_2><loc_2>"}, ("NUKENG", "OK"), "row 0")


def test_a_close_up_shows_whole_defects_and_keeps_their_place(dataset):
    data = detection_of(dataset)
    split = data.splits["train"]
    for index in (0, 1):
        sample = sample_of(split, index, data.size, data.classes)
        for seed in range(20):
            near = close_up(sample, 24, 8, torch.Generator().manual_seed(seed), on_answer=True)
            x, y = near.offset
            assert near.pixels.shape == (3, 24, 24) and x % 8 == 0 and y % 8 == 0
            assert torch.equal(near.pixels, sample.pixels[:, y : y + 24, x : x + 24])
            centres = (near.boxes[:, :2] + near.boxes[:, 2:]) / 2
            assert ((centres >= torch.tensor([x, y])) & (centres < torch.tensor([x, y]) + 24)).all()


def test_a_model_has_forgotten_nothing_of_itself(finished):
    model, processor = load(str(finished / "model"), (), (64, 32), 0)
    pictures = forgetting.drawn_pictures((64, 64))
    assert len(pictures) == len({name for name, _ in pictures}) >= 8
    alike = forgetting.compare(model.eval(), model, processor, (64, 32), pictures[:2])
    assert alike["similarity"] == 1.0 and alike["agreement"] == pytest.approx(1.0)
    assert len(alike["rows"]) == 4


def test_the_threshold_is_kept_for_prediction(finished):
    _, detector = load_config(finished)
    summary = json.loads((finished / "summary.json").read_text())
    assert detector.threshold == summary["threshold"]
    assert detector.classes == ("BENDNG", "NUKENG", "OK") and detector.size == (64, 32)
