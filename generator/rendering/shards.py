"""Shards of a manifest. A shard is the share of the rows that one of several machines renders.

When a machine has finished its shard, it writes `shards/I_of_N.json` into its render folder: the version of Blender,
the kind of processor, and the SHA-256 of every record. `generator merge` joins only what these files list.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.output_folder import OutputFolder
from blender_scripts.manifest.record import read_record
from generator.io.checksum import sha256_of
from generator.io.shard import Shard

FOLDER = "shards"
# What Cycles' kernels for x86 need beyond their oldest; pictures of another kernel differ in bytes.
_AVX2 = {"avx", "avx2", "fma", "bmi1", "bmi2", "f16c"}


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


def cpu() -> str:
    """Return the kind of this machine's processor, such as `x86_64 avx2`, on which the last bits of pictures depend."""
    machine = platform.machine().lower() or "unknown"
    try:
        lines = Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines()
    except OSError:
        return machine
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
    return f"{machine} avx2" if flags >= _AVX2 else machine
