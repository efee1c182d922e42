"""The loop knows no pictures: it trains whatever keeps to `Trainee`, here a plane through points, as a gauge would."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.trainer.conftest import dying_in_epoch
from trainer.core.distributed import Share
from trainer.core.errors import InputError
from trainer.core.loop import EpochScore, Loop, Schedule, Trained, Trainee
from trainer.core.run_folder import Row, read_metrics

SCHEDULE = Schedule(epochs=4, lr=0.1, warmup=0.1, clip=1.0, ema=0.9)


class Plane:
    """y = A x, learned from 12 points in batches of 3, two a step."""

    def __init__(self, due: int = 1, best: Sequence[int] = ()) -> None:
        torch.manual_seed(0)
        self.network: nn.Module = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.2), nn.Linear(3, 2))
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(self.network.parameters())
        self.share, self.due, self.best = Share(), due, best
        self.x = torch.randn(12, 3)
        self.y = self.x @ torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
        self.kept: list[tuple[object, bool]] = []
        self.factor = 1.0

    def steps(self, epoch: int) -> int:
        return 2

    def batches(self, epoch: int) -> Iterator[Sequence[Tensor]]:
        torch.manual_seed(epoch)
        self.network.train()
        self.lost: list[float] = []
        yield from zip(*[iter(torch.randperm(12).split(3))] * 2, strict=True)

    def backward(self, batch: Tensor, batches_per_step: int) -> None:
        loss = self.factor * (self.network(self.x[batch]) - self.y[batch]).square().mean() / batches_per_step
        loss.backward()
        self.lost.append(float(loss.detach()))

    def trained(self, epoch: int, how: Trained) -> Row:
        return {"lr": how.lr, "train_loss": sum(self.lost) / 2, "step": how.step, "norm": how.gradient_norm}

    def is_due(self, epoch: int) -> bool:
        return epoch % self.due == 0

    def measure(self, epoch: int) -> EpochScore:
        self.network.eval()
        with torch.no_grad():
            error = float((self.network(self.x) - self.y).square().mean())
        return EpochScore({"val": error}, (float(epoch in self.best),) if self.best else (-error,))

    def unmeasured(self) -> Row:
        return {"val": None}

    def weights(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self.network.state_dict().items()}

    def keep(self, run: Path, row: Row, is_best: bool) -> None:
        self.kept.append((row["epoch"], is_best))

    def warnings(self, rows: Sequence[Row]) -> list[str]:
        return [f"{len(rows)} epochs"]


def plain(rows: Sequence[Row]) -> list[Row]:
    return [{name: cell for name, cell in row.items() if name != "seconds"} for row in rows]


def trained(run: Path, plane: Trainee[Tensor], schedule: Schedule = SCHEDULE, **options: object):
    run.mkdir(exist_ok=True)
    resume = bool(options.pop("resume", False))
    return Loop(plane, schedule, run, **options).train(resume)


def test_a_loop_learns_keeps_and_reports(tmp_path):
    told = []
    outcome = trained(tmp_path / "run", plane := Plane(), report=lambda row, said: told.append((row["epoch"], said)))
    rows = read_metrics(tmp_path / "run", 4)
    assert [row["step"] for row in rows] == ["2", "4", "6", "8"]
    assert float(str(rows[-1]["val"])) < float(str(rows[0]["val"]))
    assert told == [(n, [f"{n} epochs"]) for n in (1, 2, 3, 4)]
    assert (outcome.epochs, outcome.best_epoch, outcome.stopped) == (4, 4, "")
    assert plane.kept == [(n, True) for n in (1, 2, 3, 4)]
    # What is kept is the average, what trains on is not.
    best = load_file(tmp_path / "run" / "best.safetensors")
    state = load_file(tmp_path / "run" / "state.safetensors")
    assert all(torch.equal(best[name], state[f"average.{name}"]) for name in best)
    assert not torch.equal(best["0.weight"], state["weight.0.weight"])


@pytest.mark.parametrize("number", [1, 3])
def test_killed_and_resumed_equals_uninterrupted(tmp_path, number):
    trained(tmp_path / "whole", Plane())
    with dying_in_epoch(number), pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "broken", Plane())
    trained(tmp_path / "broken", Plane(), resume=number > 1)
    for name in ("best.safetensors", "state.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "broken" / name).read_bytes()
    assert plain(read_metrics(tmp_path / "whole", 4)) == plain(read_metrics(tmp_path / "broken", 4))


def test_a_loss_that_is_no_number_ends_it(tmp_path):
    plane = Plane()
    plane.factor = math.nan
    outcome = trained(tmp_path / "run", plane)
    assert (outcome.epochs, outcome.best_epoch) == (0, 0)
    assert outcome.stopped == "the loss of epoch 1 is nan: expected a finite number; --lr 0.1 is too high"
    assert list((tmp_path / "run").iterdir()) == []


def test_patience_and_epochs_that_do_not_count(tmp_path):
    outcome = trained(tmp_path / "run", Plane(best=[1]), replace(SCHEDULE, patience=2))
    assert (outcome.epochs, outcome.best_epoch, outcome.stopped) == (
        3,
        1,
        "the last 2 epochs were no better than epoch 1 (--patience)",
    )
    outcome = trained(tmp_path / "later", Plane(best=[1]), replace(SCHEDULE, patience=2, uncounted=2))
    assert (outcome.epochs, outcome.stopped) == (4, "")


def test_out_of_time_it_is_measured_and_goes_on_as_if_it_had_not_been(tmp_path):
    trained(tmp_path / "whole", Plane(due=4))
    outcome = trained(tmp_path / "run", Plane(due=4), time_limit_min=1e-9)
    assert (outcome.epochs, outcome.best_epoch) == (1, 1)
    assert outcome.stopped == "time limit of 1e-09 min reached after epoch 1 of 4"
    outcome = trained(tmp_path / "run", Plane(due=4), resume=True)
    assert (outcome.epochs, outcome.best_epoch) == (4, 4)
    for name in ("best.safetensors", "state.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_the_state_of_another_network_is_refused(tmp_path):
    trained(tmp_path / "run", Plane())
    other = Plane()
    other.network.append(nn.Linear(2, 2))
    with pytest.raises(InputError, match="expected the state of this network"):
        trained(tmp_path / "run", other, resume=True)


def test_the_time_that_measuring_takes_counts(tmp_path, monkeypatch):
    plane, now = Plane(), [0.0]
    measure = plane.measure

    def slow(epoch: int) -> EpochScore:
        now[0] += 61.0
        return measure(epoch)

    monkeypatch.setattr(plane, "measure", slow)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    outcome = trained(tmp_path / "run", plane, time_limit_min=1.0)
    assert (outcome.epochs, outcome.stopped) == (1, "time limit of 1 min reached after epoch 1 of 4")
