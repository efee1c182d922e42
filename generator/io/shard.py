"""A shard: the share of a command's work that one of several machines does, as `--shard I/N` states it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from blender_scripts.contract.errors import InputError, shown

AUTO = "auto"
# Of each scheduler: its name, and the environment variables with a task's number and with the number of tasks.
_SCHEDULERS = (
    ("SLURM", "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"),
    ("Kubernetes", "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"),
    ("AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE"),
)
# Of a SLURM array: its first number and its last. An array may begin anywhere, and leave numbers out.
_SLURM_FIRST, _SLURM_LAST = "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX"


@dataclass(frozen=True)
class Shard:
    """Shard number `index`, counted from 0, of `count` shards."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def rows(self, total: int) -> list[int]:
        """Return the numbers, from 0, of this shard's rows, if the manifest has `total` rows; they are consecutive."""
        return list(range(total * self.index // self.count, total * (self.index + 1) // self.count))


def shard_of(text: str, environment: Mapping[str, str] = os.environ) -> Shard:
    """Return the shard that the text of --shard states.

    Args:
        text: `I/N`, `auto/N` or `auto`. `auto` takes the missing numbers from environment variables of a SLURM job
            array, an indexed Kubernetes job or an AWS Batch array job.
        environment: the environment variables.

    Raises:
        InputError: the text has another form, or the environment variables are missing.
    """
    first, slash, second = text.partition("/")
    if first == AUTO:
        return _scheduled(second if slash else None, environment)
    return _checked("--shard", first, second, text)


def _scheduled(count: str | None, environment: Mapping[str, str]) -> Shard:
    for name, number, total in _SCHEDULERS:
        if number not in environment:
            continue
        index, whole = environment[number], count or environment.get(total, "")
        if not whole:
            raise InputError(f"--shard auto: expected the environment variable {total}, got none: give --shard auto/N")
        if not (index.isdecimal() and whole.isdecimal()):
            raise InputError(
                f"--shard auto: expected whole numbers as index (environment variable {number} of {name}) and as "
                f"number of shards, got {shown(f'{index} of {whole}')}"
            )
        first, last = environment.get(_SLURM_FIRST, "0"), environment.get(_SLURM_LAST, str(int(whole) - 1))
        if name == "SLURM" and count is None and (first, last) != ("0", str(int(whole) - 1)):
            raise InputError(
                f"--shard auto: expected a whole job array such as --array=0-7, got {whole} tasks from {shown(first)} "
                f"to {shown(last)}: to repeat some tasks of a job array of N, give --shard auto/N"
            )
        return _checked(f"--shard auto, from {number}", index, whole, f"{index}/{whole}")
    names = ", ".join(number for _, number, _ in _SCHEDULERS)
    raise InputError(f"--shard auto: expected one of the environment variables {names}, got none: give --shard I/N")


def _checked(where: str, index: str, count: str, text: str) -> Shard:
    if not (index.isdecimal() and count.isdecimal() and len(count) < 10 and int(index) < int(count)):
        raise InputError(f"{where}: expected I/N with I from 0 to N - 1, such as 0/4, got {shown(text)}")
    return Shard(int(index), int(count))
