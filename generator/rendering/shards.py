"""Shards of a manifest. A shard is the share of the rows that one of several machines renders.

When a machine has finished its shard, it writes `shards/I_of_N.json` into its render folder: the version of Blender,
the kind of processor, and the SHA-256 of every record. `generator merge` joins only what these files list.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from blender_scripts.contract.errors import InputError, shown
from blender_scripts.manifest.output_folder import OutputFolder
from blender_scripts.manifest.record import read_record
from generator.io.checksum import sha256_of

FOLDER = "shards"
AUTO = "auto"
# Of each scheduler: its name, and the environment variables with a task's number and with the number of tasks.
_SCHEDULERS = (
    ("SLURM", "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"),
    ("Kubernetes", "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"),
    ("AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE"),
)
# Of a SLURM array: its first number and its last. An array may begin anywhere, and leave numbers out.
_SLURM_FIRST, _SLURM_LAST = "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX"
# What Cycles' kernels for x86 need beyond their oldest; pictures of another kernel differ in bytes.
_AVX2 = {"avx", "avx2", "fma", "bmi1", "bmi2", "f16c"}


@dataclass(frozen=True)
class Shard:
    """One shard of a manifest: shard number `index`, counted from 0, of `count` shards."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def rows(self, total: int) -> list[int]:
        """Return the numbers, from 0, of this shard's rows, if the manifest has `total` rows; they are consecutive."""
        return list(range(total * self.index // self.count, total * (self.index + 1) // self.count))


@dataclass(frozen=True)
class Finished:
    """What the file of a completely rendered shard states.

    Attributes:
        manifest: file name of the manifest.
        manifest_sha256: SHA-256 of the manifest, in hex.
        index, count: number of the shard, counted from 0, and number of shards.
        blender: version of Blender.
        cpu: kind of the processor, on which the pictures' last bits depend.
        records: SHA-256 of each row's record in hex, by run name of the row.
    """

    manifest: str
    manifest_sha256: str
    index: int
    count: int
    blender: str
    cpu: str
    records: dict[str, str]

    @property
    def shard(self) -> Shard:
        """The shard's number and the number of shards."""
        return Shard(self.index, self.count)

    def write(self, output: OutputFolder) -> Path:
        """Write the shard's file into the render folder `output`; returns the file's path."""
        path = output.root / FOLDER / f"{self.index}_of_{self.count}.json"
        output.keep(path, (json.dumps(asdict(self), indent=1) + "\n").encode())
        return path

    @classmethod
    def read(cls, path: Path) -> Finished:
        """Read the file of a finished shard.

        Raises:
            InputError: the file cannot be read, or is damaged.
        """
        try:
            known = json.loads(path.read_text("utf-8"))
            found = cls(**known)
            texts = (found.manifest, found.manifest_sha256, found.blender, found.cpu)
            names = [*found.records, *found.records.values()]
            if not all(isinstance(each, str) for each in (*texts, *names)):
                raise TypeError("expected names, versions and hashes as texts, got another type")
            if not 0 <= int(found.index) < int(found.count):
                raise ValueError(f"expected an index from 0 to {found.count} - 1, got {found.index}")
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{path}: expected the file of a finished shard, got a damaged one: {error}") from None
        return found


def finished(output: OutputFolder, shard: Shard, manifest: Path, content: bytes, runs: Sequence[str]) -> Finished:
    """Return what is to be written into the file of a shard, when all its rows are rendered.

    Args:
        output: render folder of the shard.
        shard: the shard.
        manifest: path of the manifest.
        content: bytes of the manifest.
        runs: run names of the shard's rows.
    """
    records = {run: sha256_of(output.record(run)) for run in runs}
    blender = sorted({str(read_record(output.record(run))["blender"]) for run in runs})
    sha256 = hashlib.sha256(content).hexdigest()
    return Finished(manifest.name, sha256, shard.index, shard.count, ", ".join(blender), cpu(), records)


def shard_of(text: str, environment: Mapping[str, str] = os.environ) -> Shard:
    """Return the shard that the text of --shard states.

    Args:
        text: `I/N` (I from 0 to N - 1), `auto/N` or `auto`. With auto, the missing numbers are taken from environment
            variables of a SLURM job array, an indexed Kubernetes job or an AWS Batch array job.
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
            raise InputError(f"--shard auto: expected the variable {total} of {name}, got none: give --shard auto/N")
        if not (index.isdecimal() and whole.isdecimal()):
            raise InputError(f"--shard auto: expected whole numbers from {name}, got {shown(f'{index} of {whole}')}")
        first, last = environment.get(_SLURM_FIRST, "0"), environment.get(_SLURM_LAST, str(int(whole) - 1))
        if name == "SLURM" and count is None and (first, last) != ("0", str(int(whole) - 1)):
            raise InputError(
                f"--shard auto: expected a whole array such as --array=0-7, got {whole} tasks from {shown(first)} to "
                f"{shown(last)}: to repeat some tasks of an array of N, give --shard auto/N"
            )
        return _checked(f"--shard auto, from {number}", index, whole, f"{index}/{whole}")
    names = ", ".join(number for _, number, _ in _SCHEDULERS)
    raise InputError(f"--shard auto: expected one of the environment variables {names}, got none: give --shard I/N")


def _checked(where: str, index: str, count: str, text: str) -> Shard:
    if not (index.isdecimal() and count.isdecimal() and len(count) < 10 and int(index) < int(count)):
        raise InputError(f"{where}: expected I/N with I from 0 to N - 1, such as 0/4, got {shown(text)}")
    return Shard(int(index), int(count))


def cpu() -> str:
    """Return the kind of this machine's processor, such as `x86_64 avx2`, on which the last bits of pictures depend."""
    machine = platform.machine().lower() or "unknown"
    try:
        lines = Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines()
    except OSError:
        return machine
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
    return f"{machine} avx2" if flags >= _AVX2 else machine
