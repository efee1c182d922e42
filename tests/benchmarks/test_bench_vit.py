"""The loops that `benchmarks.bench_vit` compares do the same work; their speed is not tested."""

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from benchmarks import bench_vit
from benchmarks.steps_in_turn import Setting


@pytest.fixture(autouse=True)
def as_before():
    """Restore the settings of the process that the benchmark changes."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)


@pytest.mark.parametrize(
    ("close_ups", "boxes"), [(False, True), (True, True), (False, False)], ids=["pictures", "close-ups", "labels"]
)
def test_the_bare_loop_has_the_trainer_s_loss(close_ups, boxes):
    setting = Setting(1, 1, close_ups=close_ups, boxes=boxes, batch_size=1)
    assert len(setting.portions) == setting.steps == 1 + close_ups
    assert setting.loss_difference() < 1e-6


def test_every_contender_is_measured_against_another(capsys):
    assert bench_vit.main(["--steps", "1", "--repeats", "1", "--batch-size", "1"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["1 threads"]
    ratios = {kind: [key for key in numbers if key.startswith("speed")] for kind, numbers in found.items()}
    assert {kind: len(keys) for kind, keys in ratios.items()} == {
        "pictures with close-ups": 3,
        "close-ups only": 3,
        "labels only": 4,
    }
    for kind, keys in ratios.items():
        for key in keys:
            assert found[kind][key]["wall"]["median"] > 0
            assert found[kind][key]["wall"]["interval"] is None  # too few steps for an interval
        assert found[kind]["bare + step"]["wall_ms"] >= found[kind]["bare"]["wall_ms"] > 0


def test_the_bare_network_steps_after_each_step_of_the_other_and_leaves_it_alone():
    setting = Setting(2, 1, close_ups=False, boxes=True, batch_size=1)
    assert len(setting.own()) == len(setting.own(thread=False)) == setting.steps == 2
    assert all(p.grad is None for p in setting.model.parameters())


def test_the_interval_of_six_steps_is_their_range():
    assert bench_vit.median([0.9, 1.0, 1.1, 1.2, 0.8, 1.3]) == {"median": 1.05, "interval": [0.8, 1.3]}
