"""A gauge trained on drawn parts: what it reads, learns and states; and its training resumed after an interrupt."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from generator.io.checksum import sha256_of
from generator.locating.locate import View, located, placing_deviations
from tests.trainer.conftest import dying_in_epoch
from tests.trainer.gauge.conftest import SMALL
from tests.trainer.gauge.drawn_parts import DRAWING, KEY, write_drawn
from trainer.core.errors import InputError
from trainer.core.run_folder import BEST, read_json
from trainer.gauge import data as gauge_data
from trainer.gauge.batches import batch_of
from trainer.gauge.command import crop_of, epochs_for, main
from trainer.gauge.data import read_gauge_data
from trainer.gauge.finder import TorchFinder
from trainer.gauge.measuring import captures_of, measure_captures, table_of
from trainer.gauge.run import load_config, load_run


@pytest.fixture
def dataset(drawn_dataset: Path) -> Path:
    return drawn_dataset


@pytest.fixture
def run(drawn_run: Path) -> Path:
    return drawn_run


def test_true_poses_project_the_drawing_onto_the_truth(dataset: Path) -> None:
    data = read_gauge_data(dataset)
    for picture in data.splits["train"][:8]:
        feet = data.queries[KEY].besides[: len(DRAWING.positions)]
        pixels = picture.camera.project(feet @ picture.pose[:3, :3].T + picture.pose[:3, 3])
        there = picture.present
        assert np.abs(pixels[there] - picture.points[there, 1]).max() < 1e-3
        assert picture.present.sum() in (len(feet), len(feet) - 1)


def test_batches_mark_expected_points_and_carry_the_truth_through_mirroring(dataset: Path) -> None:
    data = read_gauge_data(dataset)
    pictures = data.splits["train"][:10]
    batch = batch_of(pictures, data.queries, {KEY: 5.0}, 48, (6, 4), np.random.default_rng(1))
    assert batch.crops.shape == (100, 3, 48, 48)
    tips = batch.truth[batch.present == 1][:, 0].round().long().clamp(1, 46)
    crops = batch.crops[batch.present == 1]
    each = torch.arange(len(tips))
    around = torch.stack([crops[each, 0, tips[:, 1] + dy, tips[:, 0] + dx] for dx in (-1, 0) for dy in (-1, 0)]).amax(0)
    # The drawn tips are the brightest spots of their crops.
    assert (around > 0.75 * crops.flatten(1).amax(1)).float().mean() > 0.9


def test_pictures_with_pins_beyond_the_edge_are_not_trained_on(dataset: Path, monkeypatch) -> None:
    whole = read_gauge_data(dataset)
    rows = gauge_data._rows

    def cut_off(split):
        first, *others = rows(split)
        first["objects"] = [replace(each, tip_px=(-1.0, 5.0)) if each.tip_px else each for each in first["objects"]]
        return [first, *others]

    monkeypatch.setattr(gauge_data, "_rows", cut_off)
    found = read_gauge_data(dataset)
    counts = {name: len(pictures) for name, pictures in whole.splits.items()}
    assert {name: len(pictures) for name, pictures in found.splits.items()} == {**counts, "train": counts["train"] - 1}
    assert "split train: 1 pictures are left out: a pin in them lies beyond the picture's edge" in found.notes


def test_a_trained_gauge_measures_better_than_zero_and_states_its_uncertainty(run: Path, dataset: Path) -> None:
    trained = load_run(run)
    data = read_gauge_data(dataset, trained.pitch_px)
    finder = TorchFinder(trained.network, trained.uncertainty.scales)
    table = table_of(measure_captures(captures_of(data.splits["test"]), data, finder), data)
    there = table[table.there]
    for axis, share in (("dx", 0.5), ("dy", 0.5), ("retraction", 0.9)):
        error = np.sqrt(np.mean((there[f"found_{axis}"] - there[f"true_{axis}"]) ** 2))
        assert error < share * np.sqrt(np.mean(there[f"true_{axis}"] ** 2)), axis
        assert there[f"determined_{axis}"].all()
    inside = (there.found_dx - there.true_dx).abs() <= 2.0 * there.sigma_dx
    assert inside.mean() > 0.8
    summary = read_json(run / "summary.json", "a summary")
    assert set(summary["splits"]) == {"validation", "test"}
    assert summary["splits"]["test"]["center+top"]["all pins"]["pins"] == len(there)
    page = (run / "report.html").read_text("utf-8")
    assert "center + top" in page and "weights_sha256" not in page
    stated = read_json(run / "uncertainty.json", "the uncertainty")
    assert stated["weights_sha256"] == sha256_of(run / BEST)
    assert set(stated["files"]) == {"errors.npz", "likeness.npz", "gates/center/gates.npz", "gates/top/gates.npz"}


def test_a_single_view_from_the_centre_does_not_determine_the_height(run: Path, dataset: Path) -> None:
    trained = load_run(run)
    data = read_gauge_data(dataset, trained.pitch_px)
    finder = TorchFinder(trained.network, trained.uncertainty.scales)
    table = table_of(measure_captures(captures_of(data.splits["test"], ("center",)), data, finder), data)
    assert table.determined_dx.all() and table.determined_dy.all()
    assert not table.determined_retraction.any()


def test_locate_finds_the_part_where_it_lies(run: Path, dataset: Path) -> None:
    trained = load_run(run)
    data = read_gauge_data(dataset, trained.pitch_px)
    off = []
    for capture in captures_of(data.splits["test"]):
        views = [View(each.row["camera"], each.pixels, each.camera) for each in capture.pictures]
        found = located(views, data.queries[KEY], TorchFinder(trained.network), placing_deviations(DRAWING.placing))
        off.append(found.pose.matrix[:2, 3] - capture.pictures[0].pose[:2, 3])
    assert np.sqrt(np.mean(np.square(off))) < 0.1


def test_a_killed_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    dataset = write_drawn(tmp_path / "set", {"train": 4, "validation": 2})
    options = ["--data", str(dataset), "--epochs", "3", *SMALL]
    assert main([*options, "--out", str(tmp_path / "whole")]) == 0
    with dying_in_epoch(3):
        assert main([*options, "--out", str(tmp_path / "killed")]) == 1
    assert main([*options, "--out", str(tmp_path / "killed"), "--resume"]) == 0
    assert (tmp_path / "whole" / BEST).read_bytes() == (tmp_path / "killed" / BEST).read_bytes()


def test_few_pictures_are_shown_more_often_unless_epochs_are_given(tmp_path: Path) -> None:
    dataset = write_drawn(tmp_path / "set", {"train": 4, "validation": 2})
    for words, epochs in (([], 200), (["--epochs", "75"], 75)):
        with dying_in_epoch(1):
            assert main(["--data", str(dataset), *SMALL, *words, "--out", str(tmp_path / str(epochs))]) == 1
        assert load_config(tmp_path / str(epochs))[1].epochs == epochs
    assert [epochs_for(pictures) for pictures in (36, 50, 100, 900, 0)] == [200, 150, 75, 75, 200]


def test_a_dataset_without_cameras_is_refused(dataset: Path, tmp_path: Path, capsys) -> None:
    folder = write_drawn(tmp_path / "set", {"train": 1, "validation": 1})
    (folder / "connectors.json").unlink()
    with pytest.raises(InputError, match=r"expected a connectors\.json with the cameras of the station"):
        read_gauge_data(folder)
    assert main(["--data", str(folder), "--out", str(tmp_path / "run")]) == 2
    assert "build the dataset again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pitch", "side", "scaled"), [(10.0, 48, 10.0), (20.7, 48, 20.7), (30.0, 72, 30.0), (90.0, 80, 38.3)]
)
def test_crops_hold_a_pin_and_its_neighbours(pitch: float, side: int, scaled: float) -> None:
    found = crop_of(pitch)
    assert found[0] == side
    assert found[1] == pytest.approx(scaled, abs=0.1)
