"""Devices, precision and processes of a training, by Accelerate: `torchrun --nproc-per-node 2 -m trainer.vit ...`.

`accelerate launch` can start the processes too. In trainings of a ViT or gauge every process draws the same random
numbers for the whole batch, and prepares and computes only its own share of the examples (`Share`). Gradients, and the
counts by which losses are divided, are summed over all processes. So N processes train on the same examples and take
the same step as one process with the whole batch, up to the order of summation. (Florence-2 differs: see
`trainer.florence2.training`.) Gradients are summed once per step, in one message;
docs/decisions/0009-sum-of-gradients.md says why neither DDP nor `Accelerator.accumulate` sums them.
"""

import os
import warnings
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn

from trainer.core.errors import InputError

ENVIRONMENT = ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
PATIENCE = timedelta(hours=2)  # the others wait while the first process checks the data or measures


class Share:
    """One process of a distributed training, and its share of the examples; by default it is the only process.

    Args:
        rank, count: Number of this process, from 0, and number of all processes.
        accelerator: The `accelerate.Accelerator`: device, precision, communication; None: one process, no training.
    """

    def __init__(self, rank: int = 0, count: int = 1, accelerator: Any = None) -> None:
        self.rank, self.count, self.accelerator = rank, count, accelerator
        # Number of rows of the whole batch in the network now (None: it is not divided between processes), and how many
        # neighbouring rows stay in one process.
        self.rows: int | None = None
        self.together = 1

    @property
    def first(self) -> bool:
        """True in the process that writes files and prints."""
        return self.rank == 0

    def own(self, rows: int, together: int = 1) -> slice:
        """Return the slice of a batch's rows that this process computes; the processes get about equal slices.

        Args:
            rows: Number of rows of the whole batch, a multiple of `together`.
            together: Each block of this number of neighbouring rows stays in one process.
        """
        low, high = (rows // together * rank // self.count for rank in (self.rank, self.rank + 1))
        return slice(low * together, high * together)

    def total(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over all processes; every process gets the sum."""
        if self.count == 1:
            return tensor
        whole: Tensor = self.accelerator.reduce(tensor, "sum")
        return whole

    def sum_gradients(self, module: nn.Module) -> None:
        """Sum the gradients over all processes, in place; each process must have gradients of the same parameters."""
        if self.count == 1:
            return
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        whole = self.total(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = torch.split(whole, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def agreed[T](self, value: T) -> T:
        """Return the first process's `value` in every process; the value given by others may differ or be None."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        first: T = broadcast_object_list([value])[0]
        return first

    def wait(self) -> None:
        """Wait until all processes have reached this call."""
        if self.count > 1:
            self.accelerator.wait_for_everyone()

    def leave(self) -> None:
        """Destroy the process group: afterwards the first process works alone."""
        self.accelerator.end_training()


class SharedDropout(nn.Module):
    """Dropout, (rows, ...) to the same shape.

    Every process draws the mask of the whole batch, and applies the rows of the mask that belong to its own share.

    Args:
        p: Probability that a value is set to zero, in [0, 1).
        share: This process's share of a batch; `share.rows` is the number of rows of the whole batch.
    """

    def __init__(self, p: float, share: Share) -> None:
        super().__init__()
        self.p, self.share = p, share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        rows = self.share.rows
        own = slice(None) if rows is None else self.share.own(rows, self.share.together)
        mask = x.new_empty((len(x) if rows is None else rows, *x.shape[1:])).bernoulli_(1 - self.p)
        return x * mask[own] / (1 - self.p)


def share_dropout(module: nn.Module, share: Share) -> None:
    """Replace every dropout layer inside a module by a `SharedDropout`; `share`: this process's share of a batch."""
    for name, child in module.named_children():
        if isinstance(child, nn.Dropout) and child.p > 0:
            setattr(module, name, SharedDropout(child.p, share))
        else:
            share_dropout(child, share)


def start(device: torch.device, amp: str) -> Share:
    """Join the process group of `torchrun` or `accelerate launch`; without these launchers there is one process.

    Args:
        device: CPU or GPU; with several GPUs each process takes one of its own.
        amp: `bf16` or `off`, from `options.amp_of`.

    Returns:
        This process's share; its `accelerator` has device and precision.

    Raises:
        InputError: Variables of the launcher are missing, or there are fewer GPUs than processes.
    """
    _check_environment(device)
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import GradientAccumulationPlugin, InitProcessGroupKwargs

    # An earlier training in this Python process may have had another device or precision.
    AcceleratorState._reset_state(reset_partial_state=True)
    threads = torch.get_num_threads()
    with warnings.catch_warnings(action="ignore"):  # on the number of CPU threads, which the settings decide
        accelerator = Accelerator(
            cpu=device.type == "cpu",
            mixed_precision="bf16" if amp == "bf16" else "no",
            # Without it an environment variable of Accelerate could divide the losses.
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
    torch.set_num_threads(threads)
    return Share(accelerator.process_index, accelerator.num_processes, accelerator)


def process_count() -> int:
    """Return the number of processes that `torchrun` started; 1 without it.

    Raises:
        InputError: The environment variable WORLD_SIZE is not a number.
    """
    return _whole("WORLD_SIZE")


def _whole(name: str) -> int:
    """Return the environment variable `name` as a number; 1 if it is not set."""
    if not (value := os.environ.get(name, "1")).isdecimal():
        raise InputError(f"environment variable {name}: expected a whole number, got {value!r}")
    return int(value)


def _check_environment(device: torch.device) -> None:
    """Check the environment variables of a launcher, and that there is a GPU for each process."""
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        _whole(name)
    world = os.environ.get("WORLD_SIZE", "1")
    if world == "1":
        return
    missing = [name for name in ENVIRONMENT if not os.environ.get(name)]
    if missing:
        raise InputError(
            f"environment variable WORLD_SIZE={world}: expected also {', '.join(missing)}, which are not set; start "
            "with `torchrun --nproc-per-node N -m trainer.vit ...`, or unset WORLD_SIZE"
        )
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    if device.type == "cuda" and here > torch.cuda.device_count():
        raise InputError(
            f"torchrun: expected a GPU for each of {here} processes on this machine, got {torch.cuda.device_count()}; "
            "start fewer processes (--nproc-per-node), or use --device cpu"
        )
