"""Options whose value is a list are refused if they are given twice: the second list would replace the first."""

from __future__ import annotations

import pytest

from generator.__main__ import main
from trainer.florence2.command import main as florence2
from trainer.predict import main as predict
from trainer.vit.command import main as vit

TWICE = "expected this option once, with all values in one list, got it twice"


@pytest.mark.parametrize(
    "words",
    [
        ["build", "renders", "--tolerance", "true_position_mm=0.3", "--tolerance", "retraction_mm=0.5"],
        ["import", "photos", "--format", "coco", "--to", "set", "--known", "camera=left", "--known", "marking=none"],
        ["import", "photos", "--format", "coco", "--to", "set", "--splits", "test=1", "--splits", "test=1"],
        ["inspect", "a.png", "--golden", "ok", "-o", "out", "--views", "center,left", "--views", "center,top"],
    ],
    ids=lambda words: " ".join(words[-4:]),
)
def test_a_list_given_twice_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert TWICE in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "option", "texts"), [(vit, "--stages", ("3,4", "5")), (florence2, "--compare", ("lora", "full"))]
)
def test_a_training_does_not_keep_the_last_of_two_lists(command, option, texts, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        command(["--data", "dataset", option, texts[0], option, texts[1]])
    assert TWICE in capsys.readouterr().err


def test_a_gauge_does_not_judge_by_the_last_of_two_lists_of_limits(capsys: pytest.CaptureFixture[str]):
    limits = ["--tolerance", "true_position_mm=0.3", "--tolerance", "retraction_mm=0.5"]
    with pytest.raises(SystemExit, match="2"):
        predict(["--model", "run", "a.png", *limits])
    assert f"argument --tolerance: {TWICE}" in capsys.readouterr().err
