"""A run's card and `python -m trainer.push` against a Hub on this computer, with the unmodified client."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.generator.dataset.local_hub import TOKEN, Hub, environment, local_hub
from tests.generator.reporting.page_reader import read_page
from tests.trainer.conftest import dying_in_epoch
from trainer.core.card import is_ours
from trainer.core.frozen_threshold import sha256_of_weights
from trainer.evaluate import main as evaluate
from trainer.florence2.card import model_card
from trainer.florence2.publication import files_of as detection_files
from trainer.push import main
from trainer.report import main as report
from trainer.vit.command import main as train
from trainer.vit.results import evaluation_of

ROOT = Path(__file__).resolve().parents[2]
SECRETS = ("state.safetensors", "last.safetensors", "metrics.csv")


def push(hub: Hub, home: Path, run: Path, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainer.push", str(run), "--to", *words]
    own = environment(hub, home, **changes)
    return subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, timeout=300)


def metadata(text: str) -> dict:
    from huggingface_hub import ModelCard

    return ModelCard(text).data.to_dict()


def test_one_commit_with_what_a_user_needs_and_nothing_else(run: Path, tmp_path: Path) -> None:
    with local_hub() as hub:
        done = push(hub, tmp_path / "home", run, "me/pins", "--private")
        assert done.returncode == 0, done.stderr
        assert TOKEN not in done.stdout + done.stderr
        repository = hub.repositories["me/pins"]
        assert repository.private and len(repository.branches["main"]) == 2  # nothing, then everything
        there = repository.head("main")
        assert {"README.md", "config.json", "best.safetensors", "frozen.json"} <= set(there)
        assert not set(SECRETS) & set(there)
        assert there["best.safetensors"] == (run / "best.safetensors").read_bytes()
        # Pushed again: an older picture is removed, the owner's own file stays.
        repository.branches["main"].append({**there, "pictures/old.png": b"x", "LICENSE": b"mine"})
        assert push(hub, tmp_path / "home", run, "me/pins").returncode == 0
        assert set(repository.head("main")) == {*there, "LICENSE"}
        # Another person's model is not replaced; a token without write access is refused with a message.
        repository.branches["main"].append({"README.md": b"# Cats"})
        done = push(hub, tmp_path / "home", run, "me/pins")
        assert done.returncode == 2 and "--to: expected a new name or a model that push made" in done.stderr
        hub.forbidden.add("other")
        done = push(hub, tmp_path / "home", run, "other/pins")
        assert done.returncode == 1 and "got status 403 (forbidden)" in done.stderr and "Traceback" not in done.stderr


def test_the_card_has_the_evaluation_s_numbers_until_the_weights_change(
    run: Path, tiny_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(["--model", str(run), "--data", str(tiny_dataset), "--threads", "1"]) == 0
    assert main([str(run), "--to", "me/pins", "--dataset", "me/renders", "--dry-run"]) == 0
    assert "dry run: nothing was sent to me/pins" in capsys.readouterr().out
    card = (run / "README.md").read_text("utf-8")
    document = json.loads((run / "evaluation" / "evaluation.json").read_text("utf-8"))
    found = metadata(card)
    assert (found["pipeline_tag"], found["datasets"]) == ("image-classification", ["me/renders"])
    accuracy = document["splits"]["validation"]["accuracy"]
    (result,) = found["model-index"][0]["results"]
    metrics = {metric["type"]: metric for metric in result["metrics"]}
    assert metrics["accuracy"]["value"] == accuracy["share"]
    assert "{:.3f} to {:.3f}".format(*accuracy["interval"]) in metrics["accuracy"]["name"]
    assert "## Operating points" in card and "before a trial has shown" in card and "pictures/confusion.png" in card
    assert is_ours(card) and not is_ours("# Cats") and not is_ours("---\ntags: [a]\n---\n# Cats")
    # Other weights: the evaluation does not count for them.
    (run / "best.safetensors").write_bytes((run / "best.safetensors").read_bytes() + b" ")
    assert evaluation_of(run) is None


def test_a_summary_of_other_weights_is_refused_until_the_training_has_finished(
    tiny_dataset: Path, small_options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    given = ["--data", str(tiny_dataset), "--out", str(run), "--device", "cpu"]
    options = [*small_options, "--epochs", "8", "--close-ups", "0", "--no-check"]
    with dying_in_epoch(1):
        assert train([*given, *options]) == 1
    assert train([*given, "--resume", "--time-limit", "1e-5"]) == 0
    summary = json.loads((run / "summary.json").read_text("utf-8"))
    first = sha256_of_weights(run / "best.safetensors")
    assert summary["best_epoch"] == 1 and summary["weights_sha256"] == first
    assert "logit_temperature" in (run / "config.json").read_text("utf-8")
    with dying_in_epoch(6):
        assert train([*given, "--resume"]) == 1
    assert sha256_of_weights(run / "best.safetensors") != first
    assert "logit_temperature" not in (run / "config.json").read_text("utf-8")
    push_it, show_it = [str(run), "--to", "me/pins", "--dry-run"], [str(run)]
    capsys.readouterr()
    for frozen in (True, False):
        if not frozen:
            (run / "frozen.json").unlink()
        assert (main(push_it), report(show_it)) == (2, 2)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 2 and all("of other weights" in line for line in lines)
    # The threshold is chosen again; the page waits for the training's end.
    assert evaluate(["--model", str(run), "--data", str(tiny_dataset), "--threads", "1"]) == 0
    assert "is not updated" in capsys.readouterr().out
    assert train([*given, "--resume"]) == 0
    assert (main(push_it), report(show_it)) == (0, 0)
    del summary["weights_sha256"]  # as earlier versions wrote it
    (run / "summary.json").write_text(json.dumps(summary))
    assert (main(push_it), report(show_it)) == (0, 0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("summary.json", "{}"),
        ("summary.json", "[]"),
        ("examination.json", "{}"),
        ("evaluation/evaluation.json", "{}"),
        ("attention/attention.json", "{}"),
        ("best.safetensors", None),
    ],
)
def test_a_run_with_a_broken_file_is_named_in_one_line(
    run: Path, name: str, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / name).parent.mkdir(exist_ok=True)
    if text is None:
        (run / name).unlink()
    else:
        (run / name).write_text(text)
    assert report([str(run)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {run / name}: expected ")


def test_the_page_of_a_run_holds_everything_in_one_file(run: Path, tiny_dataset: Path) -> None:
    page = " ".join(read_page(run / "report.html").text)
    assert "Not measured yet" in page and "one batch learned by heart" in page
    assert evaluate(["--model", str(run), "--data", str(tiny_dataset), "--threads", "1"]) == 0
    measured = read_page(run / "report.html")
    assert "Not measured yet" not in " ".join(measured.text) and "overkill" in measured.text
    pictures = [attributes["src"] for tag, attributes in measured.tags if tag == "img"]
    assert len(pictures) >= 4 and "script" not in {tag for tag, _ in measured.tags}


def test_a_detector_s_files_and_card(tmp_path: Path) -> None:
    run = tmp_path / "run"
    part = {"map": 0.5, "map50": 0.75, "map50_interval": [0.5, 0.875], "pictures": 8}
    summary = {
        "settings": {"model": "tiny", "mode": "full", "seed": 3, "input": "image"},
        "labels": ["bent-pin"],
        "threshold": 0.25,
        "trained_parameters": 10,
        "parameters": 20,
        "training_pictures": 30,
        "epochs": 4,
        "splits": {"validation": part},
    }
    text = model_card("run", summary, ["bent-pin"], [("pictures/curves.png", "Training")], ["me/renders"])
    (result,) = metadata(text)["model-index"][0]["results"]
    assert {m["type"]: m["value"] for m in result["metrics"]} == {"map": 0.5, "map50": 0.75}
    assert "0.500 to 0.875" in text and is_ours(text) and "before a trial has shown" in text
    assert "Defects that can be seen" not in text
    part["observable"] = {"ignored": 11, "boxes": 128, "map50": 0.8125}
    text = model_card("run", summary, ["bent-pin"])
    assert "Defects that can be seen" in text and "| validation, all | 11 | 128 |" in text and "0.812" in text
    with pytest.raises(Exception, match=r"expected a trained run's config\.json"):
        detection_files(run, "me/pins")


@pytest.mark.parametrize("words", [["--to", "pins"], ["--to", "me/pins", "--dataset", "a b"]])
def test_wrong_names_are_refused(run: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run), *words, "--dry-run"]) == 2
    assert f"{words[-2]}: expected OWNER/NAME" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--to", "me/pins"]) == 2
    assert "expected a trained run's config.json" in capsys.readouterr().err


def test_a_run_of_an_earlier_version_goes_up_with_all_that_its_code_imports(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "letterbox.py").rename(run / "fitting.py")
    assert main([str(run), "--to", "me/pins", "--dry-run"]) == 0
    assert "  fitting.py  " in capsys.readouterr().out
