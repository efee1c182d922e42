"""NSOART pictures that `trainer.predict` makes from photographs, with the golden references of a run."""

import json

import numpy as np
import pytest

from generator.soart.nsoart import nsoart_picture
from tests.generator.soart.golden_files import PART, drawn_part, golden_run, write_golden
from trainer.core.errors import InputError
from trainer.core.golden_input import GoldenInput, check_reference, files_of
from trainer.predict import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    write_golden(folder, ("center", "left"))
    return folder


def test_a_photograph_is_compared_with_the_reference_of_its_camera(run, tmp_path):
    golden, photo = GoldenInput.of(run, "nsoart", {}), drawn_part(9, 1.5)
    parameters = json.loads((run / "nsoart.json").read_text())
    wanted = np.asarray(nsoart_picture(photo, parameters, {**PART, "camera": "left"}, run))
    assert (np.asarray(golden.chart(photo, tmp_path / "part7_left.png")) == wanted).all()
    assert (np.asarray(golden.chart(photo, tmp_path / "photo.png", "left")) == wanted).all()
    assert (np.asarray(golden.chart(photo, tmp_path / "part7_center.png")) != wanted).any()
    golden.check([tmp_path / "part7_left.png", tmp_path / "part7_center.png"])
    with pytest.raises(
        InputError, match=r"photo_left\.png: expected a picture with the ratio of sides of its golden ref"
    ):
        golden.chart(photo.resize((96, 96)), tmp_path / "photo_left.png")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "several golden references for NSOART of an unknown part: give also camera (center or left)"),
        (
            {"camera": "top"},
            "no golden reference for NSOART of camera top: nsoart.json has those of s, plain, round, center",
        ),
        ({"camera": "left", "housing": "ribbed"}, "no golden reference for NSOART of housing ribbed, camera left: "),
    ],
)
def test_without_a_reference_nothing_is_judged(run, tmp_path, given, message):
    golden = GoldenInput.of(run, "image+nsoart", given)
    with pytest.raises(InputError) as caught:
        golden.check([tmp_path / "a.png", tmp_path / "b.png"])
    [problem] = caught.value.problems
    assert problem.startswith(f"--model {run}: {message}")


def test_other_runs_are_given_their_pictures(run, tmp_path):
    assert GoldenInput.of(run, "image", {"scene": None}) is None and files_of(run, "image") == {}
    assert {"nsoart.json", "nsoart/reference-001.npz"} < set(files_of(run, "image+nsoart"))
    assert GoldenInput.of(tmp_path, "nsoart", {}) is None  # of an earlier version, without nsoart.json
    with pytest.raises(InputError, match="--scene, --marking: expected only for a run whose NSOART pictures were"):
        GoldenInput.of(run, "image", {"scene": "s", "camera": None, "marking": "none"})


def test_an_evaluation_keeps_to_the_kind_of_reference(run, tmp_path):
    check_reference(run, run, "nsoart")
    check_reference(run, tmp_path, "image")
    with pytest.raises(
        InputError, match=r"built with --nsoart golden, as the training .*, got one built with --nsoart self"
    ):
        check_reference(run, tmp_path, "nsoart")


def test_predict_makes_the_pictures_that_a_vit_needs(run, trained_run, tmp_path, capsys):
    model = golden_run(trained_run, run, tmp_path / "run", "training")
    (tmp_path / "photos").mkdir()
    photo = tmp_path / "photos/p1_left.png"
    drawn_part(9, 1.5).save(photo)
    chart = tmp_path / "p1.png"
    GoldenInput.of(run, "nsoart", {}).chart(drawn_part(9, 1.5), photo).save(chart)
    words = ["--allow-unfit", "--threads", "1", "--json"]
    assert main(["--model", str(model), str(photo), *words, str(tmp_path / "golden.json")]) == 0
    assert main(["--model", str(trained_run), str(chart), *words, str(tmp_path / "plain.json")]) == 0
    [found], [known] = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("golden", "plain"))
    assert found["file"] == str(photo) and found["probabilities"] == known["probabilities"]
    capsys.readouterr()
    assert main(["--model", str(model), str(photo), "--housing", "ribbed"]) == 2
    told = capsys.readouterr()
    assert "no golden reference for NSOART of housing ribbed, camera left" in told.err and told.err.count("\n") == 1
    assert not told.out
    assert main(["--model", str(trained_run), str(photo), "--housing", "plain"]) == 2
    assert "--housing: expected only for a run whose NSOART" in capsys.readouterr().err
