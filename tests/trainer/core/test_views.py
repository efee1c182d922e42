"""Several views of one part as one example: grouping, training, and every command that takes such a run."""

import argparse
import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file

from benchmarks.florence2_drawn import draw, png_bytes
from generator.io.view_names import parts_of, view_of
from tests.trainer.conftest import dying_in_epoch, tiny_rows
from tests.trainer.core.test_distributed import together
from trainer.core import row_facts
from trainer.core.data import load_data
from trainer.core.distributed import Share, SharedDropout
from trainer.core.errors import InputError
from trainer.core.views import SINGLE, by_part, common_cameras, view_list
from trainer.vit import run as vit_run
from trainer.vit.closeups import CloseUps
from trainer.vit.command import main
from trainer.vit.loader import plan_of, steps_of
from trainer.vit.network.model import ViT, ViTConfig
from trainer.vit.options import parser
from trainer.vit.run import TrainingConfig
from trainer.vit.setup import new_setup

VIEWS = ("center", "left", "top")


def part_rows(split: str, count: int, seed: int, views: tuple[str, ...] = VIEWS) -> list[dict]:
    """Parts whose defect one view shows, in turn; the others show a good pin in its place, as behind an edge."""
    rng = np.random.default_rng(seed)
    rows = []
    for index, part in enumerate(tiny_rows(split, count, seed)):
        kind, target = ("bent", "missing", "ok")[index % 3], index % 8
        shows = views[index // 3 % len(views)]
        for view in views:
            seen = view == shows or kind == "ok"
            picture, boxes, categories = draw(rng, kind if seen else "ok", target)
            if not seen:
                categories[target] = {"bent": 0, "missing": 1}[kind]
            objects = {**part["objects"], "bbox": boxes, "category": categories}
            objects["visible"] = [0.0 if i == target and not seen else 1.0 for i in range(8)]
            objects["true_position_mm"] = [0.4 if c == 0 else None if c == 1 else 0.1 for c in categories]
            row = {"image": {"bytes": png_bytes(picture), "path": None}, "objects": objects, "camera": view}
            row["part"] = {"train": 1000, "validation": 2000}[split] + index
            rows.append({**part, **row, "run": f"{split}{index:03d}_{view}", "observable": seen})
    return rows


def write_parts(folder: Path, make_dataset, train: int = 18, validation: int = 9) -> Path:
    return make_dataset(
        folder, {"train": part_rows("train", train, 0), "validation": part_rows("validation", validation, 1)}
    )


@pytest.fixture(scope="module")
def parts_dataset(make_dataset, tmp_path_factory) -> Path:
    return write_parts(tmp_path_factory.mktemp("parts") / "dataset", make_dataset)


@pytest.fixture(scope="module")
def few_parts(make_dataset, tmp_path_factory) -> Path:
    """Just enough for what does not depend on what was learned."""
    return write_parts(tmp_path_factory.mktemp("few") / "dataset", make_dataset, 6, 3)


@pytest.fixture(scope="module")
def parts_run(parts_dataset, small_options, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("parts_run") / "run"
    options = ["--views", "all", "--epochs", "40", "--close-ups", "0.4", "--no-augment", *small_options]
    options += ["--stages", "40", "--batch-size", "3"]
    assert main(["--data", str(parts_dataset), "--out", str(run), *options]) == 0
    return run


def numbers(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def grouped(folder: Path, views: tuple[str, ...] = VIEWS):
    data = load_data(folder)
    return by_part(data.splits, views, data.classes, "data")


def test_a_part_is_an_example_with_its_views_in_their_order(few_parts):
    split = grouped(few_parts, ("top", "center"))["train"]
    assert len(split) == 6 and split.views == 2 and len(split.runs) == 12
    assert split.runs[2:4] == ["train001_top", "train001_center"]
    assert split.name(1) == "train001_top+train001_center"
    assert split.labels.tolist() == [0, 1, 2] * 2
    pixels = split.pixels([4, 1])
    assert pixels.shape == (2, 2, 3, 32, 64)
    assert torch.equal(pixels[1, 1], split.pictures.batch([3])[0])
    some = split.subset([5, 1])
    assert some.runs == ["train005_top", "train005_center", "train001_top", "train001_center"]
    assert some.labels.tolist() == [2, 1]
    assert some.by_picture().labels.tolist() == [2, 2, 1, 1]


def test_the_order_of_the_rows_does_not_matter(few_parts, make_dataset, tmp_path):
    rows = part_rows("train", 6, 0)
    order = np.random.default_rng(3).permutation(len(rows))
    splits = {"train": [rows[i] for i in order], "validation": part_rows("validation", 3, 1)}
    mixed = grouped(make_dataset(tmp_path / "data", splits))["train"]
    plain = grouped(few_parts)["train"]
    names = [plain.name(i) for i in range(len(plain))]
    for index in range(len(mixed)):
        other = names.index(mixed.name(index))
        assert torch.equal(mixed.pixels([index]), plain.pixels([other]))
        assert mixed.labels[index] == plain.labels[other]


def test_a_part_is_as_bad_as_its_worst_picture(make_dataset, tmp_path):
    rows = part_rows("train", 4, 0)
    for row, label in zip(rows, (2, 0, 1, 2, 2, 0, 2, 2, 2, 1, 1, 2), strict=True):
        row["label"] = label
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": part_rows("validation", 3, 1)})
    assert grouped(data)["train"].labels.tolist() == [1, 0, 2, 1]  # NUKENG before BENDNG before OK


def test_a_part_can_be_seen_where_one_of_its_views_shows_the_defect(few_parts):
    split = grouped(few_parts)["train"]
    assert row_facts.kept_rows(split, "observable").all()
    first = row_facts.facts(split, 2)[0]  # bent, seen from the centre alone
    assert (first.addresses, first.measure, first.kinds) == (("r1c1",), "true_position_mm", "bent")
    assert first.size_mm == pytest.approx(0.4)
    assert first.factors["camera"] == "" and first.factors["marking"] == "none"
    others = grouped(few_parts, ("left", "top"))["train"]
    assert row_facts.kept_rows(others, "observable").tolist()[:3] == [False, False, True]
    assert row_facts.facts(others, 2)[0].addresses == ()


def without(rows: list[dict], *runs: str) -> list[dict]:
    return [row for row in rows if row["run"] not in runs]


@pytest.mark.parametrize(
    ("spoil", "views", "message"),
    [
        (
            lambda t, v: without(t, "train001_left"),
            "all",
            "train: part 1001: expected a picture from each view, got none from left",
        ),
        (
            lambda t, v: without(t, "train001_left", "train001_top", "train004_top"),
            "center,left,top",
            "train: part 1004: expected a picture from each view, got none from top",
        ),
        (
            lambda t, v: [*t, {**t[3], "run": "again"}],
            "all",
            "train: part 1001: expected one picture from the camera center, got the rows train001_center and again",
        ),
        (lambda t, v: [{**t[0], "part": None}, *t[1:]], "all", "row train000_center: expected a part and a camera in"),
        (lambda t, v: [{**t[0], "camera": ""}, *t[1:]], "all", "part 1000 and camera ''"),
        (lambda t, v: t, "center,bottom", "part 1000: expected a picture from each view, got none from bottom"),
        (
            lambda t, v: [row for row in t if row["camera"] == "left"],
            "all",
            "--views all: expected pictures of two or more cameras in the split train, got the cameras ['left']",
        ),
    ],
)
def test_what_does_not_make_whole_parts_is_told(spoil, views, message, make_dataset, tmp_path, capsys, small_options):
    train, validation = part_rows("train", 6, 0), part_rows("validation", 3, 1)
    data = make_dataset(tmp_path / "data", {"train": spoil(train, validation), "validation": validation})
    run = tmp_path / "run"
    assert main(["--data", str(data), "--out", str(run), "--views", views, *small_options]) == 2
    assert message in capsys.readouterr().err
    assert not (run / "config.json").exists()


def test_a_part_in_two_splits_is_told(few_parts, make_dataset, tmp_path):
    rows = part_rows("train", 3, 0)
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": rows})
    with pytest.raises(InputError, match="part 1000: expected all its pictures in one split, got some in train too"):
        grouped(data)


def test_many_problems_are_counted(make_dataset, tmp_path):
    rows = [row for row in part_rows("train", 9, 0) if row["camera"] != "left"]
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": part_rows("validation", 3, 1)})
    with pytest.raises(InputError) as caught:
        grouped(data)
    assert caught.value.problems[5] == "data split train: and 4 more"


def only(camera: str, splits: dict[str, list[dict]]) -> None:
    for rows in splits.values():
        rows[:] = [row for row in rows if row["camera"] == camera]


def test_parts_with_a_picture_of_each_camera_are_judged_by_them_without_an_option(
    few_parts, make_dataset, small_options, tmp_path
):
    data = load_data(few_parts)
    assert common_cameras(data.splits) == VIEWS
    wanted = {"train": part_rows("train", 6, 0), "validation": part_rows("validation", 3, 1)}

    def cameras(change: Callable[[dict[str, list[dict]]], object]) -> tuple[str, ...]:
        splits = {name: [dict(row) for row in rows] for name, rows in wanted.items()}
        change(splits)
        spoiled = load_data(make_dataset(tmp_path / str(len(list(tmp_path.iterdir()))), splits))
        return common_cameras(spoiled.splits)

    assert cameras(lambda splits: splits["validation"].pop()) == SINGLE  # a part lacks a view
    assert cameras(lambda splits: splits["train"].append({**splits["train"][0], "run": "again"})) == SINGLE
    assert cameras(lambda splits: splits["train"][0].update(camera="right")) == SINGLE
    assert cameras(lambda splits: splits["train"][0].update(camera=None)) == SINGLE
    assert cameras(lambda splits: splits["train"][0].update(part=None)) == SINGLE
    assert cameras(lambda splits: splits["validation"].append(splits["train"].pop())) == SINGLE
    assert cameras(lambda splits: only("top", splits)) == SINGLE
    words = ["--data", str(few_parts), *small_options]
    begun = new_setup(parser().parse_args(words), torch.device("cpu"))
    assert begun.config.views == VIEWS and begun.chosen[0].startswith("--views center,left,top, because every part")
    single = new_setup(parser().parse_args([*words, "--views", "single"]), torch.device("cpu"))
    assert single.config.views == () and not any("--views" in text for text in single.chosen)


@pytest.mark.parametrize("text", ["center", "", "left,", "left,left", "all,left,all"])
def test_views_are_at_least_two_that_differ(text):
    with pytest.raises(argparse.ArgumentTypeError, match="two or more different cameras"):
        view_list(text)


def network(**changes) -> ViT:
    torch.manual_seed(0)
    shape = {"dim": 16, "depth": 1, "heads": 2, "views": VIEWS, **changes}
    return ViT(ViTConfig(("BENDNG", "NUKENG", "OK"), 32, 32, **shape)).eval()


def test_the_order_of_the_views_changes_no_verdict():
    model, pixels = network(), torch.rand(2, 3, 3, 32, 32)
    with torch.inference_mode():
        one, other = model(pixels), model(pixels[:, [2, 0, 1]])
    torch.testing.assert_close(one.logits, other.logits)
    torch.testing.assert_close(one.patch_logits[:, [2, 0, 1]], other.patch_logits)
    assert one.patch_logits.shape == (2, 3, 3, 4, 4)


def test_every_view_is_looked_at_by_itself_and_all_are_pooled_as_the_patches_of_one():
    model, pixels = network(), torch.rand(2, 3, 3, 32, 32)
    with torch.inference_mode():
        fused = model(pixels)
        alone = [model(pixels[:, view]) for view in range(3)]
        wide = torch.cat([one.patch_logits for one in alone], 3)  # the views' grids side by side
    for view in range(3):
        torch.testing.assert_close(fused.patch_logits[:, view], alone[view].patch_logits)
    means = [one.logits - model.pooling(one.patch_logits) for one in alone]
    torch.testing.assert_close(fused.logits, sum(means) / 3 + model.pooling(wide))


def test_a_network_of_one_view_is_no_network_of_views():
    with pytest.raises(InputError, match="views: expected none, or two and more that differ"):
        ViTConfig(("NG", "OK"), 32, 32, views=("center",))


@given(st.integers(0, 60), st.integers(1, 5), st.integers(1, 7))
def test_no_part_is_torn_between_processes(parts, views, count):
    found = []
    for rank in range(count):
        own = Share(rank, count).own(parts * views, views)
        assert own.start % views == 0 and own.stop % views == 0
        found += range(parts * views)[own]
    assert found == list(range(parts * views))


def test_dropout_of_parts_follows_their_pictures():
    x = torch.ones(9, 4)
    torch.manual_seed(0)
    whole = SharedDropout(0.5, Share())(x)
    found = []
    for rank in range(2):
        share = Share(rank, 2)
        share.rows, share.together = 9, 3
        torch.manual_seed(0)
        found.append(SharedDropout(0.5, share)(x[share.own(9, 3)]))
    assert [len(part) for part in found] == [3, 6]
    assert torch.equal(torch.cat(found), whole)


def test_close_ups_are_of_pictures(few_parts):
    split = grouped(few_parts)["train"]
    plan = plan_of(split, TrainingConfig(epochs=4, batch_size=3, close_ups=0.5), CloseUps(split, 16, 3))
    assert (plan.picture_steps, plan.close_up_steps) == (2, 4)
    labels = CloseUps(split, 16, 3).draw(torch.arange(30), False)[0].labels
    assert set(labels.tolist()) == {0, 1, 2}
    steps = list(steps_of(split, CloseUps(split, 16, 3), TrainingConfig(batch_size=3), plan, 4, Share()))
    for (portion,) in steps:
        assert portion.picture_count == len(portion.pictures.labels) == 3
        assert len(portion.pictures.pixels) == 9 and len(portion.close_ups.pixels) == 18


def test_a_defect_that_one_camera_shows_is_found(parts_run, parts_dataset):
    summary = json.loads((parts_run / "summary.json").read_text())
    assert summary["views"] == list(VIEWS)
    assert summary["training_pictures"] == 54 and summary["splits"]["validation"]["pictures"] == 9
    # A dozen bent or missing pins taught it.
    assert summary["splits"]["validation"]["accuracy"] >= 6 / 9
    model, split = vit_run.load_model(parts_run), grouped(parts_dataset)["train"]
    good = split.pixels([2])[0].float() / 255
    for part in range(len(split)):
        pixels = split.pixels([part]).float() / 255
        shows = part // 3 % 3
        with torch.inference_mode():
            said = model(pixels).logits.softmax(1)[0, 2]
            pixels[0, shows] = good[shows]  # without the one view that shows it
            without_it = model(pixels).logits.softmax(1)[0, 2]
        assert (said > 0.5) == (part % 3 == 2)
        assert without_it > 0.5


def test_the_run_knows_its_views(parts_run):
    config, _ = vit_run.load_config(parts_run)
    assert config.views == VIEWS
    document = json.loads((parts_run / "config.json").read_text())
    assert document["model"]["views"] == list(VIEWS)
    assert float(numbers(parts_run)[-1]["train_accuracy"]) == 1.0


QUICK = ("--epochs", "3", "--close-ups", "0.34", "--batch-size", "2", "--dropout", "0.1", "--no-check")


@pytest.fixture(scope="module")
def quick_run(few_parts, small_options, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("quick") / "run"
    options = [*small_options, *QUICK, "--views", "center,left,top"]
    assert main(["--data", str(few_parts), "--out", str(run), *options]) == 0
    return run


def test_resumed_it_is_the_same_to_the_bit(quick_run, few_parts, small_options, tmp_path, capsys):
    run, data = tmp_path / "run", ["--data", str(few_parts)]
    with dying_in_epoch(3):
        assert main([*data, "--out", str(run), *small_options, *QUICK, "--views", "all"]) == 1
    assert main([*data, "--out", str(run), "--resume", "--views", "left,top"]) == 2
    assert main([*data, "--out", str(run), "--resume", "--views", "single"]) == 2
    error = capsys.readouterr().err
    assert f"--views: expected center,left,top, with which {run} was trained, got left,top; " in error
    assert f"--views: expected center,left,top, with which {run} was trained, got single; " in error
    assert main([*data, "--out", str(run), "--resume", "--views", "all", "--device", "cpu"]) == 0
    assert numbers(run) == numbers(quick_run)
    for name in ("best.safetensors", "last.safetensors", "state.safetensors"):
        assert (run / name).read_bytes() == (quick_run / name).read_bytes(), name


def test_its_settings_make_the_same_run_again(quick_run, few_parts, tmp_path):
    run = tmp_path / "run"
    options = ["--config", str(quick_run / "config.json"), "--device", "cpu", "--no-check"]
    assert main(["--data", str(few_parts), "--out", str(run), *options]) == 0
    assert (run / "last.safetensors").read_bytes() == (quick_run / "last.safetensors").read_bytes()


def test_two_processes_equal_one(quick_run, few_parts, small_options, tmp_path):
    run = tmp_path / "run"
    # Three parts a step among two processes, then none for one of them.
    options = [*small_options, *QUICK, "--lr", "1e-4", "--batch-size", "5", "--views", "all"]
    together(few_parts, run, *options)
    alone = tmp_path / "alone"
    assert main(["--data", str(few_parts), "--out", str(alone), *options]) == 0
    first, second = (load_file(one / "last.safetensors") for one in (alone, run))
    for key, tensor in first.items():
        torch.testing.assert_close(second[key], tensor, rtol=0, atol=1e-5)


def test_a_run_on_pictures_begins_one_on_parts_and_back(
    trained_run, quick_run, few_parts, small_options, tmp_path, capsys
):
    common = ["--data", str(few_parts), "--epochs", "1", "--lr", "1e-9", "--device", "cpu", "--no-check"]
    parts, pictures = tmp_path / "parts", tmp_path / "pictures"
    assert main([*common, "--out", str(parts), "--init", str(trained_run), "--views", "all"]) == 0
    assert "starts with the weights of" in capsys.readouterr().out
    assert vit_run.load_config(parts)[0].views == VIEWS
    begun, own = load_file(trained_run / "best.safetensors"), load_file(parts / "last.safetensors")
    assert all(torch.allclose(own[name], begun[name], atol=1e-5) for name in begun)
    assert main([*common, "--out", str(pictures), "--init", str(quick_run), "--views", "single"]) == 0
    assert vit_run.load_config(pictures)[0].views == ()


def test_the_doctor_looks_at_parts(few_parts, tmp_path, small_options, capsys):
    options = [*small_options, "--epochs", "1", "--views", "all"]
    assert main(["--data", str(few_parts), "--out", str(tmp_path / "run"), *options]) == 0
    said = capsys.readouterr().out
    assert "6 training and 3 validation parts, each from center, left, top" in said
    assert "learned by heart" in said


def test_evaluation_counts_parts(parts_run, parts_dataset, tmp_path, capsys):
    from trainer.evaluate import main as evaluate

    out = tmp_path / "out"
    common = ["--model", str(parts_run), "--data", str(parts_dataset), "--device", "cpu"]
    assert evaluate([*common, "--out", str(out)]) == 0
    assert "9 parts from 3 views each; escapes (NG called OK)" in capsys.readouterr().out.replace(
        "on 9 parts", "9 parts"
    )
    document = json.loads((out / "evaluation.json").read_text())
    measured = document["splits"]["validation"]
    assert document["views"] == list(VIEWS)
    assert measured["pictures"] == measured["parts"] == 9 and measured["escapes"]["of"] == 6
    assert "camera" not in measured["factors"]
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["part"] for line in lines] == [f"/{2000 + i}" for i in range(9)]
    assert lines[0]["run"] == "validation000_center+validation000_left+validation000_top"
    assert "The network judges parts" in (out / "report.html").read_text(encoding="utf-8")


def test_mistakes_are_shown_from_every_view(quick_run, parts_dataset, tmp_path):
    from trainer.evaluate import main as evaluate

    out = tmp_path / "out"
    assert evaluate(["--model", str(quick_run), "--data", str(parts_dataset), "--out", str(out)]) == 0
    document = json.loads((out / "evaluation.json").read_text())
    mistakes = document["splits"]["validation"]["mistakes"]
    assert mistakes and mistakes[0]["run"].startswith("part ")
    with Image.open(out / "mistakes_validation.png") as sheet:
        cell = sheet.height / -(-len(mistakes) // 3)
        assert cell > 3 * 32 * 6  # three pictures, enlarged six times


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Two parts in folders, one by the ends of its names."""
    folder = tmp_path / "station 1"
    for row in part_rows("train", 18, 0):
        part, view = row["run"].split("_")
        if part == "train000":
            place = folder / "part.a" / f"{view}.png"
        elif part == "train002":
            place = folder / "good" / f"{view}.png"
        elif part == "train004":
            place = folder / f"b-{view}.png" if view == "left" else folder / f"b_{view}.png"
        else:
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(row["image"]["bytes"])
    return folder


def predict(run: Path, *arguments) -> int:
    from trainer.predict import main as command

    return command(["--model", str(run), *map(str, arguments)])


def test_parts_are_predicted_from_folders_and_from_the_ends_of_names(parts_run, pictures, tmp_path, capsys):
    out = tmp_path / "out"
    assert predict(parts_run, pictures, "-o", out) == 0
    verdicts = {Path(v["part"]).name: v for v in json.loads((out / "predictions.json").read_text())}
    assert {name: v["label"] for name, v in verdicts.items()} == {"part.a": "BENDNG", "good": "OK", "b": "NUKENG"}
    assert verdicts["part.a"]["peak_view"] == "center" and verdicts["b"]["peak_view"] == "left"
    assert verdicts["b"]["files"] == {
        "center": str(pictures / "b_center.png"),
        "left": str(pictures / "b-left.png"),
        "top": str(pictures / "b_top.png"),
    }
    x, y = verdicts["b"]["peak_px"]
    assert np.hypot(x - 8, y - 24) < 12  # pin 5 of 2 x 4
    said = capsys.readouterr().out
    assert said.count("most suspicious in view") == 2 and "OK       OK" in said
    with Image.open(out / "part.a.png") as sheet:
        assert sheet.width == 4 * 8 + 3 * 512
    assert (out / "good.png").is_file() and (out / "b.png").is_file()


def test_parts_that_are_not_whole_are_named_and_the_others_judged(parts_run, pictures, tmp_path, capsys):
    (pictures / "good" / "left.png").unlink()
    (pictures / "b_top.png").write_bytes(b"no picture")
    shutil.copy(pictures / "part.a" / "top.png", pictures / "nobody.png")
    assert predict(parts_run, pictures, "--json", tmp_path / "v.json") == 2
    said = capsys.readouterr().err
    assert f"{pictures / 'good'}: expected a picture of every view, got none of left" in said
    assert f"{pictures / 'nobody.png'}: expected a name that ends in one of the views (center, left, top)" in said
    assert f"{pictures / 'b_top.png'}: expected a picture that can be decoded" in said
    verdicts = json.loads((tmp_path / "v.json").read_text())
    # No file is passed over: an incomplete part's files, and those of no part, are INVALID one by one.
    assert {Path(v.get("part") or v["file"]).name: v["verdict"] for v in verdicts} == {
        "part.a": "NG",
        "b": "INVALID",
        "center.png": "INVALID",
        "top.png": "INVALID",
        "nobody.png": "INVALID",
    }
    assert all(v["reasons"][0].startswith("file: ") for v in verdicts if v["verdict"] == "INVALID")


def test_the_longest_view_that_a_name_ends_in_is_meant():
    views = ("left", "top_left", "top")
    assert view_of(Path("x/p7_top_left.png"), views) == ("x/p7", "top_left")
    assert view_of(Path("x/p7_left.png"), views) == ("x/p7", "left")
    assert view_of(Path("x/p7/top_left.jpg"), views) == ("x/p7", "top_left")
    assert view_of(Path("x/p7left.png"), views) is None
    assert view_of(Path("left.png"), views) == (str(Path.cwd()), "left")


def test_a_view_given_twice_is_told():
    found, problems = parts_of([Path("a_left.png"), Path("a-left.png"), Path("a_top.png")], ("left", "top"))
    assert problems == ["a: expected one picture of view left, got a_left.png and a-left.png"]
    assert not found  # which of the two is the part's, nobody knows


def test_a_folder_and_files_of_its_name_are_two_parts():
    views = ("left", "top")
    inside = [Path("p1/left.png"), Path("p1/top.png")]
    beside = [Path("p1_left.png"), Path("p1-top.png")]
    whole = {"p1": dict(zip(views, inside, strict=True)), "p1_": dict(zip(views, beside, strict=True))}
    assert parts_of([*inside, *beside], views) == (whole, [])
    assert parts_of(beside, views) == ({"p1": whole["p1_"]}, [])
    found, problems = parts_of([inside[0], beside[1]], views)
    assert not found
    assert problems == [
        "p1: expected a picture of every view, got none of top",
        "p1_: expected a picture of every view, got none of left",
    ]


def test_attention_looks_at_every_view(parts_run, parts_dataset, tmp_path):
    from trainer.attention import main as attention

    kept = json.loads((parts_run / "attention" / "attention.json").read_text())
    assert kept["pictures"] == 27 and len(kept["probes"]) == 9
    assert [name.split("_")[1] for name in kept["probes"][:3]] == list(VIEWS)
    out = tmp_path / "out"
    common = ["--model", str(parts_run), "--data", str(parts_dataset), "-o", str(out), "--device", "cpu"]
    assert attention([*common, "--pictures", "9", "--probes", "6"]) == 0
    document = json.loads((out / "attention.json").read_text())
    assert document["pictures"] == 9 and len(document["probes"]) == 6
    # Of three parts, two of them NG, each defect is seen in one view.
    assert document["weights"]["best"]["patches"]["ng_pictures"] == 2
    assert document["weights"]["best"]["patches"]["hit"] >= 0.5
    assert (out / "attention_best.png").is_file()


def test_onnx_says_the_same(parts_run, parts_dataset, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    from trainer.export import main as export

    file = tmp_path / "model.onnx"
    assert export(["--model", str(parts_run), "--to", str(file)]) == 0
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["views"]) == list(VIEWS) and "(N, V, C, H, W)" in about["pixels"]
    pixels = grouped(parts_dataset)["validation"].pixels(range(5)).float() / 255
    said, patches = session.run(None, {"pixels": pixels.numpy()})
    with torch.inference_mode():
        expected = vit_run.load_model(parts_run)(pixels)
    logits = expected.logits / float(about["temperature"])
    np.testing.assert_allclose(said, logits.softmax(1).numpy(), atol=1e-4)
    np.testing.assert_allclose(patches, expected.patch_logits.softmax(2).numpy(), atol=1e-4)


def test_transformers_loads_it_and_wants_every_view(parts_run, parts_dataset):
    pytest.importorskip("transformers")
    from transformers import AutoModelForImageClassification

    import trainer.hub  # noqa: F401 (registers the network)

    assert not (parts_run / "preprocessor_config.json").exists()
    model = AutoModelForImageClassification.from_pretrained(parts_run).eval()
    pixels = grouped(parts_dataset)["validation"].pixels(range(2)).float() / 255
    with torch.inference_mode():
        said = model(pixels).logits * model.config.logit_temperature
        torch.testing.assert_close(said, vit_run.load_model(parts_run)(pixels).logits)
    for wrong in (pixels[:, 0], pixels[:, :2]):
        with pytest.raises(ValueError, match=r"expected \(B, 3, C, H, W\), the views center, left, top, got"):
            model(wrong)


def test_the_card_says_what_to_give(parts_run, capsys):
    pytest.importorskip("huggingface_hub")
    from trainer.push import main as push

    assert push([str(parts_run), "--to", "me/parts", "--dry-run"]) == 0
    card = (parts_run / "README.md").read_text(encoding="utf-8")
    assert "classifies 3 pictures (center, left, top) of a connector" in card
    assert "part7_center.png part7_left.png part7_top.png --out" in card
    assert "from transformers import pipeline" not in card
    assert "library_name: pinsight" in card
    assert "preprocessor_config.json" not in capsys.readouterr().out
