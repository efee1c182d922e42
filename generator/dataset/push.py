"""`python -m generator push DATASET owner/name`: a dataset folder to the Hub, in one commit.

All files go up first and become visible together: a push that is stopped in between leaves the repository as it was.
The token comes from the environment (HF_TOKEN) or the login (`hf auth login`), never from the command line.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from blender_scripts.contract.errors import InputError
from generator.dataset.card_header import read_settings
from generator.dataset.connectors import CONNECTORS
from generator.dataset.folder import CARD, DATA, NSOART, SHEET, split_files
from generator.dataset.hub import LARGEST_CARD, HubError, NotAllowed, Publication, name_problem, publish

_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")


@dataclass(frozen=True)
class Upload:
    """What goes up: files below `folder` by their path there, and the rows of each split."""

    folder: Path
    files: tuple[str, ...]
    rows: dict[str, int]

    @property
    def bytes(self) -> int:
        return sum((self.folder / name).stat().st_size for name in self.files)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder that build made")
    parser.add_argument("name", metavar="OWNER/NAME", help="the dataset's name on the Hub")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request in place of a commit")
    parser.add_argument("--revision", metavar="R", help="branch to commit to, made where there is none (default: main)")
    parser.add_argument("--dry-run", action="store_true", help="check the folder and say what would go up; no network")


def run(args: argparse.Namespace) -> int:
    """Check the folder, then upload it; 1 where the Hub is the problem."""
    upload = check_folder(args.dataset)
    problems = []
    if wrong := name_problem(args.name, "OWNER/NAME"):
        problems.append(wrong)
    if args.revision is not None and not _REVISION.fullmatch(args.revision):
        problems.append(f"--revision: expected the name of a branch, got {args.revision!r}")
    if problems:
        raise InputError(problems)
    rows = ", ".join(f"{split} {count}" for split, count in upload.rows.items())
    sys.stdout.write(f"{len(upload.files)} files, {upload.bytes / 1e6:.1f} MB, rows: {rows}\n")
    if args.dry_run:
        sys.stdout.write("".join(f"  {name}\n" for name in upload.files))
        sys.stdout.write(f"dry run: nothing was sent to {args.name}\n")
        return 0
    try:
        url = push(upload, args.name, args.private, args.create_pr, args.revision)
    except HubError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{url}\n")
    return 0


def check_folder(dataset: Path) -> Upload:
    """What of a folder goes up.

    Raises:
        InputError: it is no dataset of ours, its files do not fit together, or its card is too long.
    """
    splits = split_files(dataset)
    problems = [] if splits else [f"{dataset}: expected a dataset that build made, got no data/*.parquet file"]
    problems += [
        f"{dataset}: expected a dataset that build made, got no {name}"
        for name in (CARD, NSOART)
        if not (dataset / name).is_file()
    ]
    if problems:
        raise InputError(problems)
    card = (dataset / CARD).read_bytes()
    if len(card) > LARGEST_CARD:
        problems.append(f"{dataset / CARD}: expected a card of at most {LARGEST_CARD:,} bytes, got {len(card):,}")
    try:
        read_settings(card.decode("utf-8"))
    except ValueError as error:
        problems.append(f"{dataset / CARD}: expected a card that build wrote, got: {error}")
    rows: dict[str, int] = {}
    schema = None
    for split, paths in splits.items():
        for path in paths:
            try:
                metadata = pq.read_metadata(path)
            except (OSError, ValueError) as error:
                problems.append(f"{path}: expected a whole Parquet file, got: {error}")
                continue
            rows[split] = rows.get(split, 0) + metadata.num_rows
            found = metadata.schema.to_arrow_schema()
            schema = found if schema is None else schema
            if not found.equals(schema, check_metadata=True):
                problems.append(f"{path}: expected the columns of the other files, got others")
    if problems:
        raise InputError(problems)
    names = [CARD, NSOART, *(name for name in (CONNECTORS, SHEET) if (dataset / name).is_file())]
    names += [f"{DATA}/{path.name}" for paths in splits.values() for path in paths]
    return Upload(dataset, tuple(names), rows)


def push(upload: Upload, name: str, private: bool, create_pr: bool, revision: str | None) -> str:
    """Upload and commit.

    Args:
        upload: of `check_folder`.
        name: owner/name.
        private: of a repository that is new.
        create_pr: commit to a pull request.
        revision: branch; None: main.

    Returns:
        The address of the commit or pull request.

    Raises:
        InputError: there is a dataset of that name that this command did not make.
        HubError: no token, no network, no right, or what the Hub answers.
    """
    what = Publication(
        kind="dataset",
        name=name,
        files={path: upload.folder / path for path in upload.files},
        message=f"{sum(upload.rows.values())} rows",
        is_ours=_is_ours,
        replaced=lambda path: path.startswith(f"{DATA}/") or path == CONNECTORS,
    )
    try:
        return publish(what, private, create_pr, revision)
    except NotAllowed as error:
        raise InputError(str(error)) from None


def _is_ours(card: str) -> bool:
    try:
        return bool(read_settings(card))
    except ValueError:
        return False
