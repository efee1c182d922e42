"""A replacement for the study's commands that writes small made-up outputs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studies import measures, plan
from studies.execution import CommandFailed, Execution
from studies.run import Run

SHARE = {"share": 0.8, "count": 80, "of": 100, "interval": [0.7, 0.9]}


CLASSES = ["BENDNG", "NUKENG", "OK"]


ANSWERS = {"of": "1", "classes": CLASSES, "truth": "0120120120", "said": "0110120220"}


def result_of(*_: Any) -> dict[str, Any]:
    curve = [
        {"epoch": 1.0, "stage": "pictures", "train_accuracy": 0.6, "val_accuracy": 0.5, "val_loss": 1.0}
        | {"val_balanced_accuracy": 0.5, "val_map50": 0.1, "train_loss": 2.0, "seconds_so_far": 10.0},
        {"epoch": 2.0, "stage": "pictures", "train_accuracy": 0.9, "val_accuracy": 0.8, "val_loss": 0.6}
        | {"val_balanced_accuracy": 0.8, "val_map50": 0.3, "train_loss": 1.0, "seconds_so_far": 20.0},
    ]
    measured = {"balanced_accuracy": SHARE, "accuracy": SHARE, "factors": {}, "answers": ANSWERS}
    measured["recall"] = {"OTHERNG": SHARE}
    names = (
        "test",
        "test_known",
        "test_new",
        "test_shifted",
        "test_allpins",
        "test_mixed",
        "test_housings",
        "test_latched",
    )
    stage = {
        "ng_pictures": 20,
        "hit": 0.5,
        "energy_ratio": 9.0,
        "entropy_ng": 0.4,
        "entropy_ok": 0.6,
        "on_pins": 0.7,
        "on_housing": 0.2,
    }
    attention = {
        "weights": {"00008": {"gradient": stage}, "00016": {"gradient": stage}},
        "baselines": {"uniform": stage, "random weights, gradient": {**stage, "hit": None}},
    }
    part = {"class": SHARE, "verdict": SHARE, "recall": {"NUKENG": SHARE}, "answers": ANSWERS}
    judged = [*(("good", "") for _ in range(4)), *(("bad", "bent") for _ in range(3))]
    by_method = {m: [0.1, 0.3, 0.2, 0.4, 0.5, 0.35, 0.6] for m in (*plan.METHODS, "ViT")}
    box = {"map50": 0.2, "map50_interval": [0.1, 0.3], "false_boxes_per_ok_picture": 0.1}
    return {
        "curve": curve,
        "collapsed": False,
        "splits": {name: {**measured, **box} for name in names},
        "attention": {"test_housings": attention},
        "views": dict.fromkeys(measures.VIEWS, part),
        "originals": {"balanced_accuracy": SHARE},
        "scores": measures.scores(judged, by_method),
        "parameters": 100,
        "trained_parameters": 50,
        "changed_parameters": 40,
        "forgetting": {"similarity": 0.5, "agreement": 0.5},
    }


class Pretended:
    """Commands that write a trainer's output files; a command with an option in `fails` or `killed` fails once."""

    def __init__(self) -> None:
        self.said: list[list[str]] = []
        self.fails: set[str] = set()
        self.killed: set[str] = set()

    def __call__(self, words: Sequence[str], log: Path) -> None:
        self.said.append(list(words))
        for word in words:
            if word in self.fails:
                raise CommandFailed(f"exit code 2 of {word}")
        out = Path(words[words.index("--out" if "--out" in words else "--to") + 1])
        out.mkdir(parents=True, exist_ok=True)
        if words[1] == "trainer.evaluate":
            (out / "evaluation.json").touch()
            return
        if words[1] == "trainer.attention":
            (out / "attention.json").write_text("{}")
            return
        (out / "state.safetensors").touch()
        (out / "stages" / "00008").mkdir(parents=True, exist_ok=True)
        (out / "stages" / "00008" / "best.safetensors").touch()
        for word in words:
            if word in self.killed:
                self.killed.remove(word)
                raise KeyboardInterrupt
        (out / "summary.json").touch()


def at(tmp_path: Path, commands: Pretended) -> Execution:
    return Execution(tmp_path / "work", tmp_path / "results.parquet", command=commands, report=quiet)


def some_runs(runs: list[Run], question: int, count: int) -> list[Run]:
    return [run for run in runs if run.question == question][:count]


def quiet(text: str) -> None:
    pass


def results_of(tmp_path: Path) -> Path:
    """The folder in which `at` stores the results of finished runs."""
    return tmp_path / "work" / "results"
