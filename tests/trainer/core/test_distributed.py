"""A training shared out among processes equals the one that a single process does."""

import csv
import itertools
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from tests.trainer.conftest import dying_in_epoch
from tests.trainer.vit import vit_process
from trainer.core.distributed import Share, SharedDropout, start
from trainer.core.errors import InputError
from trainer.core.options import device_of
from trainer.vit import command
from trainer.vit.command import main

# A last batch of one picture: one of two processes has none.
OPTIONS = ("--epochs", "3", "--close-ups", "0.34", "--dropout", "0.1", "--ema", "0.9", "--batch-size", "11")
GENTLE = ("--lr", "1e-4", "--balanced", "--no-check")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def together(data: Path, run: Path, *options: str, count: int = 2, train: vit_process.Command = main) -> str:
    """Processes on this machine, with the environment that `torchrun` gives them; what they said."""
    port = free_port()
    shared = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    arguments = ["--data", str(data), "--out", str(run), "--device", "cpu", *options]
    said = run.parent / f"{run.name}.txt"
    processes = [
        vit_process.start(
            arguments, said, {k: str(v) for k, v in {**shared, "RANK": rank, "LOCAL_RANK": rank}.items()}, train
        )
        for rank in range(count)
    ]
    for process in processes:
        process.join()
    assert {process.exitcode for process in processes} <= {0, 1}, said.read_text()
    return said.read_text()


def numbers(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def dies_in_epoch_1(argv: list[str] | None = None) -> int:
    with dying_in_epoch(1):
        return main(argv)


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
    assert said.count("epoch 3 of 3  ") == 1 and said.count("run: ") == 1
    assert "2 processes, each on cpu" in said


def test_two_processes_go_on_where_they_were_stopped(pair, tiny_dataset, small_options, tmp_path):
    broken = tmp_path / "run"
    together(tiny_dataset, broken, *small_options, *OPTIONS, *GENTLE, train=dies_in_epoch_1)
    said = together(tiny_dataset, broken, "--resume", "--time-limit", "1e-6")
    assert "time limit" in said and len(numbers(broken)) == 1
    together(tiny_dataset, broken, "--resume")
    assert numbers(broken) == numbers(pair[0])
    for name in ("best.safetensors", "last.safetensors", "state.safetensors"):
        assert (broken / name).read_bytes() == (pair[0] / name).read_bytes(), name


def test_accelerates_launcher_trains_the_same_network(pair, tiny_dataset, small_options, tmp_path):
    run = tmp_path / "run"
    # Several processes without MPI: Accelerate has them for GPUs only; `--device cpu` keeps these on the CPU.
    launch = (sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2")
    launch += ("--mixed_precision", "bf16", "--main_process_port", str(free_port()), "-m", "trainer.vit")
    words = [*launch, "--data", str(tiny_dataset), "--out", str(run), *small_options, *OPTIONS, *GENTLE]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 3 of 3  ") == 1
    for name in ("best.safetensors", "state.safetensors"):
        assert (run / name).read_bytes() == (pair[0] / name).read_bytes(), name


def test_one_python_process_trains_in_one_precision_and_then_in_the_other(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")  # `--amp` decides
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    threads = torch.get_num_threads()
    x = torch.ones(2, 2, requires_grad=True)
    for amp, kind in (("bf16", torch.bfloat16), ("off", torch.float32), ("bf16", torch.bfloat16)):
        share = start(torch.device("cpu"), amp)
        with share.accelerator.autocast():
            assert (x @ x).dtype is kind
        assert (share.rank, share.count, share.accelerator.device.type) == (0, 1, "cpu")
    share.accelerator.backward(x.sum())
    assert torch.equal(x.grad, torch.ones(2, 2))
    assert torch.get_num_threads() == threads


def test_a_launcher_hides_the_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_of("auto").type == device_of("cuda").type == "cuda"
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    assert device_of("auto").type == "cpu"
    with pytest.raises(InputError, match="--device cuda: expected a GPU that PyTorch can use, got none"):
        device_of("cuda")


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


@pytest.mark.parametrize("value", ["abc", "", "-1"])
def test_a_number_of_processes_that_is_none(value, tiny_dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", value)
    assert main(["--data", str(tiny_dataset), "--out", str(tmp_path / "run")]) == 2
    assert f"WORLD_SIZE: expected a whole number, got {value!r}" in capsys.readouterr().err


def test_fewer_pictures_than_processes(tiny_dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "start", lambda device, amp: Share(0, 3, SimpleNamespace(device=device)))
    options = ["--batch-size", "2", "--device", "cpu"]
    assert main(["--data", str(tiny_dataset), "--out", str(tmp_path / "run"), *options]) == 2
    assert "for each of 3 processes, got 2" in capsys.readouterr().err
