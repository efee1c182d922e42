"""Devices, precision and processes of a training, by Accelerate: `torchrun --nproc-per-node 2 -m trainer.vit ...`.

`accelerate launch` starts the processes as well. `Share` is a process's part of the training: every process draws the
same random numbers for the whole batch and makes only its own part of it; gradients, and the counts that the losses
are divided by, are summed over all. So the examples are the same whatever the number of processes, and N processes
take the step that one takes with the whole batch, up to the order of summation. Gradients are summed once per step, in
one message; why neither DDP nor `Accelerator.accumulate` does it: docs/decisions/0009-sum-of-gradients.md.
"""

import os
import warnings
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn

from trainer.core.errors import InputError

ENVIRONMENT = ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
PATIENCE = timedelta(hours=2)  # the first process examines and measures while the others wait


class Share:
    """A process's part of a training; alone by default.

    Args:
        rank: Number of this process, from 0.
        count: Number of processes.
        accelerator: Accelerate's: device, precision, messages between the processes. None: a part without a training.
    """

    def __init__(self, rank: int = 0, count: int = 1, accelerator: Any = None) -> None:
        self.rank, self.count, self.accelerator = rank, count, accelerator
        # Of the whole batch that is in the network now, and how many of them belong together; None: not shared out.
        self.rows: int | None = None
        self.together = 1

    @property
    def first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def own(self, rows: int, together: int = 1) -> slice:
        """This process's part of so many rows; all parts together are the rows in their order.

        Args:
            rows: How many, a multiple of `together`.
            together: So many neighbours are never torn apart.
        """
        low, high = (rows // together * rank // self.count for rank in (self.rank, self.rank + 1))
        return slice(low * together, high * together)

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.count == 1:
            return tensor
        whole: Tensor = self.accelerator.reduce(tensor, "sum")
        return whole

    def sum_gradients(self, module: nn.Module) -> None:
        """Add up the gradients of all processes; they must be of the same parameters everywhere."""
        if self.count == 1:
            return
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        whole = self.total(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = torch.split(whole, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def agreed[T](self, value: T) -> T:
        """The first process's value: clocks differ, and not every process measures."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        first: T = broadcast_object_list([value])[0]
        return first

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            self.accelerator.wait_for_everyone()

    def leave(self) -> None:
        """Destroy the process group: what follows is for the first process alone."""
        self.accelerator.end_training()


class SharedDropout(nn.Module):
    """Dropout whose mask is drawn for the whole batch: (B, ...) -> the same shape.

    Args:
        p: Share of the values set to zero.
        share: This process's part; its `rows` tell how many rows the whole batch has.
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
    """Put `SharedDropout` in every dropout's place."""
    for name, child in module.named_children():
        if isinstance(child, nn.Dropout) and child.p > 0:
            setattr(module, name, SharedDropout(child.p, share))
        else:
            share_dropout(child, share)


def start(device: torch.device, amp: str) -> Share:
    """Join the processes that `torchrun` or `accelerate launch` started; without them this one is alone.

    Args:
        device: What the training runs on; with several GPUs each process takes its own.
        amp: `bf16` or `off`, from `options.amp_of`.

    Returns:
        This process's part, and in its `accelerator` the device and the precision.

    Raises:
        InputError: The environment is not that of a launcher, or there are fewer GPUs than processes.
    """
    _check_environment(device)
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import GradientAccumulationPlugin, InitProcessGroupKwargs

    # An earlier training in this Python process may have had another device or precision.
    AcceleratorState._reset_state(reset_partial_state=True)
    threads = torch.get_num_threads()
    with warnings.catch_warnings(action="ignore"):  # of the number of CPU threads that it sets: the settings have it
        accelerator = Accelerator(
            cpu=device.type == "cpu",
            mixed_precision="bf16" if amp == "bf16" else "no",
            # Given, else a variable of the environment would divide the losses.
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
    torch.set_num_threads(threads)
    return Share(accelerator.process_index, accelerator.num_processes, accelerator)


def _check_environment(device: torch.device) -> None:
    """Whether a launcher's environment is whole, and has a GPU for each process.

    Raises:
        InputError: It is not, or has not.
    """
    world = os.environ.get("WORLD_SIZE", "1")
    if world == "1":
        return
    missing = [name for name in ENVIRONMENT if not os.environ.get(name)]
    if missing:
        raise InputError(
            f"WORLD_SIZE={world} in the environment: expected {', '.join(missing)} beside it, got none; start with "
            "`torchrun --nproc-per-node N -m trainer.vit ...`, or unset WORLD_SIZE"
        )
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    if device.type == "cuda" and here > torch.cuda.device_count():
        raise InputError(
            f"torchrun: expected a GPU for each of {here} processes, got {torch.cuda.device_count()}; "
            "--nproc-per-node, or --device cpu?"
        )
