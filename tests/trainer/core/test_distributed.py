"""A training shared out among processes equals the one that a single process does."""

import csv
import itertools
import socket
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from tests.trainer.vit.vit_process import start
from trainer.core.distributed import Share, SharedDropout
from trainer.vit import command
from trainer.vit.command import main

# A last batch of one picture: one of two processes has none.
OPTIONS = ("--epochs", "3", "--close-ups", "0.34", "--dropout", "0.1", "--ema", "0.9", "--batch-size", "11")
GENTLE = ("--lr", "1e-4", "--balanced", "--no-check")


def together(data: Path, run: Path, *options: str, count: int = 2) -> str:
    """Processes on this machine, with the environment that `torchrun` gives them; what they said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    arguments = ["--data", str(data), "--out", str(run), "--device", "cpu", *options]
    said = run.parent / f"{run.name}.txt"
    processes = [
        start(arguments, said, {k: str(v) for k, v in {**shared, "RANK": rank, "LOCAL_RANK": rank}.items()})
        for rank in range(count)
    ]
    for process in processes:
        process.join()
    assert {process.exitcode for process in processes} <= {0, 1}, said.read_text()
    return said.read_text()


def numbers(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def pair(tiny_dataset, small_options, tmp_path_factory):
    run = tmp_path_factory.mktemp("pair") / "run"
    return run, together(tiny_dataset, run, *small_options, *OPTIONS, *GENTLE)


def test_two_processes_equal_one_with_the_whole_batch(pair, tiny_dataset, small_options, tmp_path):
    run, said = pair
    alone = tmp_path / "alone"
    assert main(["--data", str(tiny_dataset), "--out", str(alone), *small_options, *OPTIONS, *GENTLE]) == 0
    for name in ("last.safetensors", "best.safetensors"):
        first, second = load_file(alone / name), load_file(run / name)
        for key, tensor in first.items():
            torch.testing.assert_close(second[key], tensor, rtol=0, atol=1e-5)
    for one, two in zip(numbers(alone), numbers(run), strict=True):
        assert one.keys() == two.keys()
        for key, value in one.items():
            if key in ("stage", "val_top_class") or value == "":
                assert two[key] == value
            else:
                assert float(two[key]) == pytest.approx(float(value), abs=2e-4)
    assert said.count("epoch    3") == 1 and said.count("run: ") == 1
    assert "2 processes, each on cpu" in said


def test_two_processes_go_on_where_they_were_stopped(pair, tiny_dataset, small_options, tmp_path):
    broken = tmp_path / "run"
    said = together(tiny_dataset, broken, *small_options, *OPTIONS, *GENTLE, "--time-limit", "1e-6")
    assert "time limit" in said and len(numbers(broken)) == 1
    together(tiny_dataset, broken, "--resume")
    assert numbers(broken) == numbers(pair[0])
    for name in ("best.safetensors", "last.safetensors", "state.safetensors"):
        assert (broken / name).read_bytes() == (pair[0] / name).read_bytes(), name


@given(st.integers(0, 200), st.integers(1, 17))
def test_all_parts_together_are_the_whole(rows, count):
    parts = [list(range(rows))[Share(rank, count).own(rows)] for rank in range(count)]
    assert list(itertools.chain(*parts)) == list(range(rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_dropout_of_the_parts_is_that_of_the_whole():
    x = torch.ones(7, 3, 5)
    torch.manual_seed(0)
    whole = SharedDropout(0.3, Share())(x)
    parts = []
    for rank in range(3):
        share = Share(rank, 3)
        share.rows = 7
        torch.manual_seed(0)
        parts.append(SharedDropout(0.3, share)(x[share.own(7)]))
    assert torch.equal(torch.cat(parts), whole)
    torch.manual_seed(0)
    assert torch.equal(whole, torch.nn.Dropout(0.3)(x))
    assert torch.equal(SharedDropout(0.3, Share()).eval()(x), x)


def test_an_environment_that_is_not_torchruns(tiny_dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    assert main(["--data", str(tiny_dataset), "--out", str(tmp_path / "run")]) == 2
    assert "torchrun --nproc-per-node" in capsys.readouterr().err


def test_fewer_pictures_than_processes(tiny_dataset, tmp_path, monkeypatch, capsys):
    class Three(Share):
        def wait(self) -> None:
            pass

    monkeypatch.setattr(command, "join", lambda device: (Three(0, 3), device))
    options = ["--batch-size", "2", "--device", "cpu"]
    assert main(["--data", str(tiny_dataset), "--out", str(tmp_path / "run"), *options]) == 2
    assert "for each of 3 processes, got 2" in capsys.readouterr().err
