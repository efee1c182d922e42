"""`torchrun` over two machines, here two network namespaces that are connected and share a disk."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import torch
from safetensors.torch import load_file

from tests.namespaces import kill_all, namespaces
from tests.trainer.gauge.drawn_parts import write_drawn
from trainer.gauge.command import main as gauge_main
from trainer.vit.command import main as vit_main

OPTIONS = ("--epochs", "6", "--batch-size", "11", "--lr", "1e-4", "--no-check", "--device", "cpu")
OF_A_GAUGE = ("--epochs", "6", "--pictures", "4", "--edges", "6", "--width", "8", "--lr", "1e-4", "--amp", "off")
OF_A_GAUGE += ("--threads", "1", "--device", "cpu")
PORT = "29500"
SECONDS = 240


@pytest.fixture
def machines() -> Iterator[list[str]]:
    """Names of two network namespaces, at 10.77.0.1 and 10.77.0.2, each with a network device `cable`."""
    with namespaces(2, "10.77.0") as names:
        if not names:
            pytest.skip("network namespaces are not permitted here")
        yield names


def torchrun(trainer: str, machine: str, rank: int, *options: str) -> subprocess.Popen[str]:
    """One process of a training on one of two machines."""
    launcher = (sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1")
    launcher += ("--node-rank", str(rank), "--master-addr", "10.77.0.1", "--master-port", PORT, "-m", trainer)
    return subprocess.Popen(
        ["ip", "netns", "exec", machine, *launcher, *options],
        env={**os.environ, "GLOO_SOCKET_IFNAME": "cable"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("trainer", ["trainer.vit", pytest.param("trainer.gauge", marks=pytest.mark.soak)])
def test_two_machines_equal_one_and_resume_when_one_is_killed(
    trainer, machines, tiny_dataset, small_options, tmp_path
) -> None:
    alone, run = tmp_path / "alone", tmp_path / "run"
    if trainer == "trainer.vit":
        given, main = ("--data", str(tiny_dataset), *small_options, *OPTIONS), vit_main
    else:
        drawn = write_drawn(tmp_path / "drawn", {"train": 24, "validation": 6})
        given, main = ("--data", str(drawn), *OF_A_GAUGE), gauge_main
    sides = [torchrun(trainer, name, rank, *given, "--out", str(run)) for rank, name in enumerate(machines)]
    end = time.monotonic() + SECONDS
    while not (run / "state.safetensors").is_file() and time.monotonic() < end:
        time.sleep(0.01)
    kill_all(machines[1])
    said = [side.communicate(timeout=SECONDS)[0] for side in sides]
    assert sides[0].returncode != 0, said[0]  # it does not wait for the lost machine
    assert not (run / "summary.json").exists(), said[0]
    again = ("--data", given[1], "--out", str(run), "--resume", "--device", "cpu")
    sides = [torchrun(trainer, name, rank, *again) for rank, name in enumerate(machines)]
    said = [side.communicate(timeout=SECONDS)[0] for side in sides]
    assert [side.returncode for side in sides] == [0, 0], said
    assert "2 processes, each on cpu" in said[0]
    assert main([*given, "--out", str(alone)]) == 0
    weights = "last.safetensors" if trainer == "trainer.vit" else "best.safetensors"
    first, second = (load_file(each / weights) for each in (alone, run))
    for key, tensor in first.items():
        # The loss does not depend on this bias of a softmax: AdamW turns the rounding of its gradient into steps.
        if key != "votes.bias":
            torch.testing.assert_close(second[key], tensor, rtol=0, atol=1e-5 if trainer == "trainer.vit" else 1e-4)
