"""`python -m generator merge`: join the shards of renders, or of a dataset, after checking every file.

A shard is the share of one of several machines: what `render --shard` or `build --shard` wrote.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from blender_scripts.contract.errors import InputError
from generator.io.number_option import check_workers, whole_number
from generator.rendering.merge import merge_renders

_SHARD = re.compile(r"\d+_of_\d+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator merge` to its parser."""
    add = parser.add_argument
    folders = "render folders with finished shards; or shards of a dataset, which `build --shard` wrote"
    add("folders", type=Path, nargs="+", metavar="DIR", help=folders)
    to = "folder to write: a render folder, new or of an earlier merge of these shards; or a dataset, new or to replace"
    add("--to", type=Path, required=True, metavar="DIR", help=to)
    mixed = (
        "renders: accept shards of different Blender versions, processors or devices (CPU, graphics card), whose "
        "pictures differ slightly"
    )
    add("--mixed", action="store_true", help=mixed)
    renders = "dataset: the render folder (default: where it was when the shards were built)"
    add("--renders", type=Path, metavar="DIR", help=renders)
    workers = "only for shards of a dataset: number of processes (default: one per core)"
    add("--workers", type=whole_number, metavar="N", help=workers)
    overwrite = "dataset: replace the folder of --to even if it holds other files"
    add("--overwrite", action="store_true", help=overwrite)


def run(options: argparse.Namespace) -> int:
    """Check all shards, then join them; returns 0."""
    folders = [shard for folder in options.folders for shard in _shards(folder)]
    datasets = [folder for folder in folders if _SHARD.fullmatch(folder.name)]
    if not datasets:
        merge_renders(folders, options.to, options.mixed)
        return 0
    if others := [str(folder) for folder in folders if folder not in datasets]:
        raise InputError(f"{', '.join(others)}: expected only dataset shards such as {datasets[0]}, got other folders")
    check_workers(options.workers)
    # Imported here, since machines that only render lack the libraries of datasets.
    from generator.dataset.build_command import print_facts
    from generator.dataset.merge_shards import merge_shards

    print_facts(merge_shards(datasets, options.to, options.renders, options.workers, options.overwrite), options.to)
    return 0


def _shards(folder: Path) -> list[Path]:
    """Return the shards of a dataset in a folder; of any other folder, the folder itself."""
    found = [path for path in sorted(folder.glob("*_of_*")) if path.is_dir() and _SHARD.fullmatch(path.name)]
    return found or [folder]
