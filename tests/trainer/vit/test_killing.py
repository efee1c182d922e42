"""A training that is killed five times and resumed is the training that nobody killed, to the byte."""

import csv
import random
import signal
import time
from pathlib import Path

import pytest

from tests.soak import rounds
from tests.trainer.vit.vit_process import start

EPOCHS = 16
KILLS = 5
SETTINGS = {"close-ups": "0.5", "dropout": "0.1", "ema": "0.9", "batch-size": "3", "stages": "3,9"}


def lines(run: Path) -> list[dict[str, str]]:
    """Lines of metrics.csv without the stop-watch."""
    path = run / "metrics.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def seconds_of(run: Path) -> float:
    """What all epochs took."""
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return sum(float(row["seconds"]) for row in csv.DictReader(file))


@pytest.mark.parametrize("part", rounds(1))
def test_killed_five_times_equals_never_killed(tiny_dataset, tmp_path, small_options, part):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = [*small_options, "--no-check", "--balanced", "--epochs", str(EPOCHS)]
    for name, value in SETTINGS.items():
        options += [f"--{name}", value]
    data = ["--data", str(tiny_dataset), "--out"]
    process = start([*data, str(whole), *options], tmp_path / "said")
    process.join()
    assert process.exitcode == 0

    source = random.Random(8 + part)
    pause = 1.5 * seconds_of(whole) / EPOCHS
    arguments = [*data, str(broken), *options]
    for _ in range(KILLS):
        before = len(lines(broken))
        process = start(arguments, tmp_path / "said")
        # The first may die before an epoch is done; the others within two epochs after the first one that they did.
        while process.is_alive() and not (broken / "config.json").is_file():
            time.sleep(0.01)
        wanted = before + (1 if before else 0)
        while process.is_alive() and len(lines(broken)) < wanted:
            time.sleep(0.01)
        time.sleep(source.random() * pause)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        arguments = [*data, str(broken), "--resume", "--device", "cpu"]
    assert len(lines(broken)) < EPOCHS
    process = start(arguments, tmp_path / "said")
    process.join()
    assert process.exitcode == 0

    assert lines(whole) == lines(broken)
    names = sorted(str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(broken)) for path in broken.rglob("*") if path.is_file())
    for name in names:
        if name.endswith(".safetensors") or name in ("config.json", "frozen.json", "summary.json"):
            assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
