"""Build a shard of a dataset, the share of its rows that one of several machines builds: `build --shard I/N`.

FOLDER/I_of_N/shard.json   the inputs of the build, and the SHA-256 of every file in rows/
FOLDER/I_of_N/rows/        the shard's rows, in chunks as every build makes them: every N-th chunk of the dataset

The first pass checks the shard's rows. The second pass, which makes the column nsoart and stores the pictures, needs
statistics of all rows. So the first call of each shard does the first pass; a call that finds all other shards checked
does the second pass too. `generator merge` does what is left of the second pass (merge_shards).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from generator.dataset.build import CHUNKS_WORTH_A_POOL, Inputs, Options, check_apart, parameters_of, without_rows
from generator.dataset.first_pass import Examined, FirstPass, first_pass
from generator.dataset.folder import BATCH_ROWS, CARD
from generator.dataset.render_folder import Findings, attach_images
from generator.dataset.render_manifests import count_rows, log, manifest_paths
from generator.dataset.writer import Spool
from generator.io.checksum import sha256_of
from generator.io.output_file import check_folder, write_whole
from generator.io.processes import InOrder, processes
from generator.io.shard import Shard
from generator.soart.golden_reference import FOLDER

FILE = "shard.json"
_ROWS = "rows"


@dataclass(frozen=True)
class DatasetShard:
    """A shard whose rows have been checked.

    Attributes:
        folder: the shard's folder.
        shard: its number and the number of shards.
        directory: path of the render folder when the shard was built.
        scenes: path of the folder given by --scenes then; None: none was given.
        identity: `Inputs.identity` of the build.
        chunks: the shard's chunks.
        count: number of chunks of all shards.
        files: SHA-256 of each file in rows/, by name.
    """

    folder: Path
    shard: Shard
    directory: str
    scenes: str | None
    identity: dict[str, Any]
    chunks: tuple[Examined, ...]
    count: int
    files: dict[str, str]

    @property
    def rows(self) -> Path:
        """Folder of the shard's chunks."""
        return self.folder / _ROWS

    def write(self, is_whole: bool) -> DatasetShard:
        """Write shard.json with the present SHA-256 of the chunks' files; returns the shard with them.

        Args:
            is_whole: whether the second pass is done.
        """
        names = [f"{each.name}-light" for each in self.chunks]
        names += [each.name for each in self.chunks if is_whole and each.rows]
        paths = [self.rows / f"{name}.{suffix}" for name in names for suffix in ("json", "arrow")]
        found = replace(self, files={path.name: sha256_of(path) for path in paths if path.is_file()})
        stated = {name: value for name, value in asdict(found).items() if name != "folder"}
        write_whole(self.folder / FILE, (json.dumps(stated, indent=1) + "\n").encode())
        return found

    @classmethod
    def read(cls, folder: Path) -> DatasetShard:
        """Read the shard in a folder.

        Raises:
            InputError: there is none, or its file is damaged.
        """
        path = folder / FILE
        try:
            known = json.loads(path.read_bytes())
            chunks = tuple(Examined(*each) for each in known["chunks"])
            known |= {"shard": Shard(**known["shard"]), "chunks": chunks, "files": dict(known["files"])}
            return cls(folder=folder, **known)
        except FileNotFoundError:
            raise InputError(
                f"{path}: expected this file, which `build --shard` writes when the rows of the shard are checked, got "
                "no such file: repeat `build --shard` for this shard"
            ) from None
        except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            raise InputError(
                f"{path}: expected this file as `build --shard` wrote it, got a damaged one ({error}): repeat "
                "`build --shard` for this shard"
            ) from None

    def problems(self) -> Iterator[str]:
        """Yield a message on each file of the shard that is missing or was changed."""
        for name, known in tqdm(self.files.items(), f"checking {self.folder.name}", unit="file", disable=None):
            path = self.rows / name
            if not path.is_file():
                yield f"{path}: expected this file of shard {self.shard}, got none: repeat `build --shard {self.shard}`"
            elif sha256_of(path) != known:
                yield (
                    f"{path}: expected the file with the SHA-256 in {FILE}, got a changed one: delete "
                    f"{self.folder} and repeat `build --shard {self.shard}`"
                )


def build_shard(directory: Path, to: Path, scenes: Path | None, options: Options, shard: Shard) -> str:
    """Build a shard of a dataset; returns a sentence for the user on what is done and what is left.

    Args:
        directory, scenes, options: as for `generator.dataset.build.build`.
        to: the folder of all shards.
        shard: number of this shard, and number of shards.

    Raises:
        InputError: its message lists every fault of the shard's rows and of the options.
    """
    manifest_paths(directory)
    check_apart(to, directory, scenes)
    check_folder(to, "--to")
    if (to / CARD).exists():
        raise InputError(f"--to {to}: expected a folder for a dataset's shards, got a dataset: choose another folder")
    inputs = Inputs.read(directory, scenes, options)
    for note in inputs.notes:
        log(note)
    folder = to / f"{shard.index}_of_{shard.count}"
    with _locked(folder):
        rules = inputs.rules(Spool(folder / _ROWS))
        rules.spool.folder.mkdir(exist_ok=True)
        lines = count_rows(inputs.manifests)
        is_worth_it = lines // shard.count >= CHUNKS_WORTH_A_POOL * BATCH_ROWS
        with processes(options.workers, is_worth_it) as in_order:
            reader = inputs.reader()
            found = first_pass(in_order, rules, reader, lines, shard)
            found.check(directory, options.partial, whole=False)
            own = DatasetShard(
                folder,
                shard,
                str(directory.resolve()),
                None if scenes is None else str(scenes.resolve()),
                inputs.identity(),
                tuple(found.examined),
                reader.count,
                {},
            ).write(is_whole=False)
            shards, waiting = _others(to, own)
            if not waiting:
                _second_pass(in_order, inputs, shards, own)
    if waiting:
        return (
            f"shard {shard}: {found.rows} rows are checked. Their pictures wait for the statistics of the shards "
            f"{', '.join(map(str, waiting))}, which are not checked with these inputs yet: when they are, repeat this "
            "command, or let `generator merge` do the rest"
        )
    return f"shard {shard} is finished: {found.rows} rows in {folder}"


def _others(to: Path, own: DatasetShard) -> tuple[list[DatasetShard], list[int]]:
    """Return all shards of the dataset that have been checked, and the indices of those that have not."""
    shards, waiting = [], []
    for index in range(own.shard.count):
        folder = to / f"{index}_of_{own.shard.count}"
        try:
            one = own if index == own.shard.index else DatasetShard.read(folder)
        except InputError:
            waiting.append(index)
            continue
        if is_same(one.identity, own.identity):
            shards.append(one)
        else:
            waiting.append(index)
    return shards, waiting


def _second_pass(in_order: InOrder, inputs: Inputs, shards: Sequence[DatasetShard], own: DatasetShard) -> None:
    """Attach the pictures to the shard's rows."""
    found = all_rows(shards)
    found.check(inputs.directory, inputs.options.partial)
    rules = inputs.rules(Spool(own.rows))
    shutil.rmtree(own.folder / FOLDER, ignore_errors=True)
    moments = without_rows(parameters_of(in_order, found, rules, inputs.options, own.folder))
    chunks = [each for each in own.chunks if each.rows]
    work = ((each.name, each.key, rules, moments, own.folder) for each in chunks)
    with tqdm(total=sum(each.rows for each in chunks), desc="pictures", unit="row", disable=None) as bar:
        for each, _ in zip(chunks, in_order(attach_images, work), strict=True):
            bar.update(each.rows)
    own.write(is_whole=True)


def all_rows(shards: Sequence[DatasetShard]) -> FirstPass:
    """Return the results of the first pass over all rows, from those of all shards.

    Raises:
        InputError: a shard has changed since its rows were checked.
    """
    found = FirstPass()
    for chunk, rows in sorted((chunk, each.rows) for each in shards for chunk in each.chunks):
        kept = Spool(rows).find(f"{chunk.name}-light", chunk.key)
        if kept is None:
            raise InputError(f"{rows}: expected the results {chunk.name}-light.json, got none: repeat `build --shard`")
        found.take(chunk, Findings.of_note(kept.note))
    return found


def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two identities of builds are equal as JSON values."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Create a folder and lock it against other commands; raises InputError if another command has locked it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InputError(f"{folder}: expected a shard that no other command is building, got one in use") from None
    finally:
        os.close(handle)
