"""Join the shards of a dataset, from `build --shard`, into the dataset that one machine would have built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blender_scripts.contract.errors import InputError
from generator.dataset.build import CHUNKS_WORTH_A_POOL, Inputs, Options, check_apart, write_dataset
from generator.dataset.card import DatasetFacts
from generator.dataset.render_manifests import log
from generator.dataset.shards import DatasetShard, all_rows, is_same
from generator.dataset.writer import DatasetWriter, Spool
from generator.io.processes import processes

# So many faults are listed, then a count.
_LISTED = 20
_PARTS = {
    "options": "options of `build`",
    "manifests": "manifests",
    "scenes": "scene files or tolerance",
    "program": "version of this program",
}


def merge_shards(
    folders: Sequence[Path], to: Path, renders: Path | None, workers: int | None, overwrite: bool
) -> DatasetFacts:
    """Check all shards of a dataset, and write the dataset; returns its counts and settings.

    Args:
        folders: the shards' folders.
        to: the dataset folder.
        renders: the render folder; None: where it was when the first shard was built.
        workers: number of processes; None: one per core.
        overwrite: replace the folder `to` even if it is not a Pinsight dataset.

    Raises:
        InputError: shards are missing, changed, of another build or given twice (the message lists them), the inputs of
            the build have changed, or `to` may not be replaced.
    """
    shards = [DatasetShard.read(folder) for folder in folders]
    _check_together(shards)
    problems = [problem for each in shards for problem in each.problems()]
    if problems:
        more = [f"and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
        raise InputError(problems[:_LISTED] + more)
    first = shards[0]
    directory, scenes = renders or Path(first.directory), Path(first.scenes) if first.scenes else None
    if not directory.is_dir():
        raise InputError(
            f"{directory}: expected the render folder that the shards were built from, got no such folder: give its "
            "path with --renders"
        )
    check_apart(to, directory, scenes)
    for each in shards:
        if each.folder.resolve().is_relative_to(to.resolve()):
            raise InputError(f"--to {to}: expected a folder for the dataset alone, got one that contains {each.folder}")
    options = Options(**{**first.identity["options"], "workers": workers, "overwrite": overwrite})
    inputs = Inputs.read(directory, scenes, options)
    if different := _differences(inputs.identity(), first.identity):
        raise InputError(
            f"{directory}: expected {different} as when the shards were built, got others: build the shards again"
        )
    for note in inputs.notes:
        log(note)
    with DatasetWriter(to, directory, overwrite) as writer:
        found = all_rows(shards)
        found.check(directory, options.partial)
        homes = {
            chunk.name: inputs.rules(Spool(writer.spool.folder, each.rows)) for each in shards for chunk in each.chunks
        }
        with processes(workers, len(homes) >= CHUNKS_WORTH_A_POOL) as in_order:
            return write_dataset(in_order, inputs, found, writer, lambda name: homes[name])


def _check_together(shards: Sequence[DatasetShard]) -> None:
    """Check that the shards are all those of one dataset. Raises InputError with every reason why they are not."""
    first, problems = shards[0], []
    seen: dict[int, DatasetShard] = {}
    for each in shards:
        if each.shard.count != first.shard.count:
            expected = f"one of {first.shard.count} shards, as {first.folder}"
            problems.append(f"{each.folder}: expected {expected}, got shard {each.shard}")
        elif different := _differences(each.identity, first.identity):
            problems.append(f"{each.folder}: expected a shard with the {different} of {first.folder}, got others")
        elif each.shard.index in seen:
            other = seen[each.shard.index].folder
            problems.append(f"{each.folder}: expected shard {each.shard} once, got it from {other} too")
        seen.setdefault(each.shard.index, each)
    missing = [str(index) for index in range(first.shard.count) if index not in seen]
    if missing and not problems:
        problems.append(f"expected {first.shard.count} shards, got all but those with the index {', '.join(missing)}")
    numbers = sorted(chunk.number for each in shards for chunk in each.chunks)
    if not problems and numbers != list(range(first.count)):
        problems.append(f"expected shards with {first.count} chunks of rows, got {len(set(numbers))}: build them again")
    if problems:
        raise InputError(problems)


def _differences(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Return the names of the inputs in which two builds differ; "" if they are equal."""
    return " and ".join(name for key, name in _PARTS.items() if not is_same({"": one.get(key)}, {"": other.get(key)}))
