"""Shards of a manifest: which rows a machine renders, and what it says when it has finished.

A finished shard leaves `shards/I_of_N.json` in its render folder: the SHA-256 of every record, and on what they were
made. `generator merge` joins only what these files list.
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
    """Shard `index`, counted from 0, of `count`."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def rows(self, total: int) -> list[int]:
        """Return this shard's rows of `total`: neighbours, since the rows of a part share their set-up."""
        return list(range(total * self.index // self.count, total * (self.index + 1) // self.count))


@dataclass(frozen=True)
class Finished:
    """A shard that was rendered to its end, as its file states.

    Attributes:
        manifest: file name of the manifest.
        manifest_sha256: of its content.
        index, count: which shard of how many.
        blender: version of Blender.
        cpu: kind of the processor, which decides the pictures' last bits.
        records: SHA-256 of each row's record, by run.
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
        return Shard(self.index, self.count)

    def write(self, output: OutputFolder) -> Path:
        """Write the shard's file into its render folder; returns its path."""
        path = output.root / FOLDER / f"{self.index}_of_{self.count}.json"
        output.keep(path, (json.dumps(asdict(self), indent=1) + "\n").encode())
        return path

    @classmethod
    def read(cls, path: Path) -> Finished:
        """Read a shard's file.

        Raises:
            InputError: it cannot be read, or lacks something.
        """
        try:
            known = json.loads(path.read_text("utf-8"))
            found = cls(**known)
            texts = (found.manifest, found.manifest_sha256, found.blender, found.cpu)
            names = [*found.records, *found.records.values()]
            if not all(isinstance(each, str) for each in (*texts, *names)):
                raise TypeError("not a text")
            if not 0 <= int(found.index) < int(found.count):
                raise ValueError(f"shard {found.index} of {found.count}")
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{path}: expected the file of a finished shard, got a damaged one: {error}") from None
        return found


def finished(output: OutputFolder, shard: Shard, manifest: Path, content: bytes, runs: Sequence[str]) -> Finished:
    """Describe a shard all rows of which are rendered.

    Args:
        output: its render folder.
        shard: which one.
        manifest: path of the manifest.
        content: its bytes.
        runs: of the shard's rows.
    """
    records = {run: sha256_of(output.record(run)) for run in runs}
    blender = sorted({str(read_record(output.record(run))["blender"]) for run in runs})
    sha256 = hashlib.sha256(content).hexdigest()
    return Finished(manifest.name, sha256, shard.index, shard.count, ", ".join(blender), cpu(), records)


def shard_of(text: str, environment: Mapping[str, str] = os.environ) -> Shard:
    """Read --shard: `I/N`, `auto` or `auto/N`.

    Args:
        text: `auto` takes I, and where it is not given N, from the variables of a SLURM job array, an indexed
            Kubernetes job or an AWS Batch array job.
        environment: where these variables stand.

    Raises:
        InputError: it cannot be read, or there are no such variables.
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
            raise InputError(f"--shard auto: expected {total} from {name}, got none: give --shard auto/N")
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
    raise InputError(f"--shard auto: expected a task of an array job, got none of {names}: give --shard I/N")


def _checked(where: str, index: str, count: str, text: str) -> Shard:
    if not (index.isdecimal() and count.isdecimal() and len(count) < 10 and int(index) < int(count)):
        raise InputError(f"{where}: expected I/N with I from 0 to N - 1, such as 0/4, got {shown(text)}")
    return Shard(int(index), int(count))


def cpu() -> str:
    """Return the kind of this machine's processor as far as Cycles' pictures depend on it, such as `x86_64 avx2`."""
    machine = platform.machine().lower() or "unknown"
    try:
        lines = Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines()
    except OSError:
        return machine
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
    return f"{machine} avx2" if flags >= _AVX2 else machine
