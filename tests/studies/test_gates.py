"""The study of the gates: which pictures it makes, and its table."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studies import gates
from studies.gates import HALF_TURN, REGULAR, SOARTC, is_symmetric, judges_of, measured, parser, share, unsuitable
from trainer.florence2.run import FORMAT as DETECTION_FORMAT


@pytest.fixture
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(40, 200, (64, 128, 3), dtype=np.uint8))


def test_every_unsuitable_picture_differs_and_only_quarter_turns_change_the_size(picture):
    for kind, one in unsuitable(picture, np.random.default_rng(0)).items():
        assert one.mode == "RGB"
        assert one.size == ((64, 128) if kind in ("turned by 90°", "turned by 270°") else picture.size), kind
        assert one.tobytes() != picture.tobytes(), kind


def test_half_of_the_part_leaves_the_frame(picture):
    moved = np.asarray(unsuitable(picture, np.random.default_rng(0))["half out of the frame, right"])
    np.testing.assert_array_equal(moved[:, 64:], np.asarray(picture)[:, :64])
    assert len(np.unique(moved[:, :64].reshape(-1, 3), axis=0)) == 1


def test_symmetric_parts():
    row = {"scene": "connector_3x9", "housing": "plain", "marking": "none"}
    assert is_symmetric(row)
    for changed in ({"housing": "latched"}, {"marking": "numbers"}, {"scene": "dsub_9"}):
        assert not is_symmetric({**row, **changed})


def test_table_counts_invalid_by_kind_and_judge(tmp_path: Path):
    for number, names in enumerate((["a", "b"], ["c"])):
        (tmp_path / str(number)).mkdir()
        for name in names:
            Image.new("L", (4, 4)).save(tmp_path / str(number) / f"{number}_{name}.png")
    (tmp_path / "kinds.json").write_text(json.dumps([REGULAR, HALF_TURN]))

    def judge(files):
        return {file.name: "INVALID" if file.name in ("0_b.png", "1_c.png") else "NG" for file in files}

    assert measured(tmp_path, {SOARTC: judge}).splitlines()[2:] == [
        f"| {REGULAR} | 1 of 2 (1.3–98.7 %) | NG 1 |",
        f"| {HALF_TURN} | 1 of 1 (2.5–100.0 %) |  |",
    ]
    assert measured(tmp_path, {"one": judge}).splitlines() == [
        "| pictures | one |",
        "|---|---|",
        f"| {REGULAR} | 1 of 2 (1.3–98.7 %) |",
        f"| {HALF_TURN} | 1 of 1 (2.5–100.0 %) |",
    ]


def test_columns_are_headed_by_kind_and_no_run_is_lost(tmp_path: Path, monkeypatch):
    for name, kind in (("a/run", "pinsight-vit"), ("b/run", "pinsight-vit"), ("c/run", DETECTION_FORMAT)):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text(json.dumps({"format": kind}))
    monkeypatch.setattr(gates, "judge_of_gates", lambda run: run)
    a, b, c = (tmp_path / name / "run" for name in "abc")
    assert list(judges_of([a])) == ["ViT"]
    assert list(judges_of([a, b, c])) == [f"ViT `{a}`", f"ViT `{b}`", "Florence-2"]


def test_share_states_the_exact_interval():
    assert share(["OK"] * 600) == "0 of 600 (0.0–0.6 %)"


def test_options():
    with pytest.raises(SystemExit):
        parser().parse_args([])
    assert parser().parse_args(["--data", "d", "--other", "e", "--other", "f"]).other == [Path("e"), Path("f")]
