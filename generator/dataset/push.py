"""`python -m generator push DATASET owner/name`: upload a dataset folder to the Hugging Face Hub, in one commit."""

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
from generator.dataset.folder import CARD, DATA, NSOART, SHEET, lost_references, reference_files, split_files
from generator.dataset.hub import LARGEST_CARD, HubError, NotAllowed, Publication, name_problem, publish
from generator.soart.golden_reference import FOLDER

_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")


@dataclass(frozen=True)
class Upload:
    """The files to upload, as paths relative to `folder`, and the number of rows of each split."""

    folder: Path
    files: tuple[str, ...]
    rows: dict[str, int]

    @property
    def bytes(self) -> int:
        """Size of all files together, in bytes."""
        return sum((self.folder / name).stat().st_size for name in self.files)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator push`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of the dataset")
    parser.add_argument("name", metavar="OWNER/NAME", help="the dataset's name on the Hub")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request instead of committing")
    parser.add_argument(
        "--revision",
        metavar="R",
        help="branch to commit to, created if missing; with --create-pr, the existing branch that the pull request "
        "changes (default: main)",
    )
    parser.add_argument("--dry-run", action="store_true", help="check the folder and list its files; upload nothing")


def run(args: argparse.Namespace) -> int:
    """Check the dataset folder and upload it; returns the exit code, 1 if the Hub refuses or cannot be reached."""
    upload = check_folder(args.dataset)
    problems = []
    if wrong := name_problem(args.name, "OWNER/NAME"):
        problems.append(wrong)
    if args.revision is not None and not _REVISION.fullmatch(args.revision):
        problems.append(f"--revision: expected the name of a branch, such as main, got {args.revision!r}")
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
    """Check a dataset folder and return the files to upload.

    Raises:
        InputError: it is not a Pinsight dataset, a file is damaged or missing, its Parquet files differ in columns, or
            its card is too long.
    """
    splits = split_files(dataset)
    problems = [] if splits else [f"{dataset}: expected a Pinsight dataset, got no data/*.parquet file"]
    problems += [
        f"{dataset}: expected a Pinsight dataset, got a folder without {name}"
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
        problems.append(f"{dataset / CARD}: expected a card that Pinsight wrote, got: {error}")
    rows: dict[str, int] = {}
    schema = None
    for split, paths in splits.items():
        for path in paths:
            try:
                metadata = pq.read_metadata(path)
            except (OSError, ValueError) as error:
                problems.append(f"{path}: expected an undamaged Parquet file, got: {error}")
                continue
            rows[split] = rows.get(split, 0) + metadata.num_rows
            found = metadata.schema.to_arrow_schema()
            schema = found if schema is None else schema
            if not found.equals(schema, check_metadata=True):
                different = sorted({*found.names} ^ {*schema.names})
                got = f"differences in the columns {', '.join(different)}" if different else "other column types"
                problems.append(f"{path}: expected the columns of the other Parquet files, got {got}")
    if problems:
        raise InputError(problems)
    if lost := lost_references(dataset):
        raise InputError(f"{dataset}: expected the golden references that nsoart.json names, got no {', '.join(lost)}")
    names = [CARD, NSOART, *(name for name in (CONNECTORS, SHEET) if (dataset / name).is_file())]
    names += [path.relative_to(dataset).as_posix() for path in reference_files(dataset)]
    names += [f"{DATA}/{path.name}" for paths in splits.values() for path in paths]
    return Upload(dataset, tuple(names), rows)


def push(upload: Upload, name: str, private: bool, create_pr: bool, revision: str | None) -> str:
    """Upload a dataset and commit it.

    Args:
        upload: result of `check_folder`.
        name: owner/name of the repository.
        private: make the repository private, if it is new.
        create_pr: open a pull request instead of committing to the branch.
        revision: branch to commit to (made if missing), or that the pull request of `create_pr` changes; None: main.

    Returns:
        The URL of the commit or pull request.

    Raises:
        InputError: another program made the repository, or `create_pr` is true and there is no repository yet.
        HubError: no token, no network, no permission, or another error of the Hub.
    """
    what = Publication(
        kind="dataset",
        name=name,
        files={path: upload.folder / path for path in upload.files},
        message=f"{sum(upload.rows.values())} rows",
        is_ours=_is_ours,
        replaced=lambda path: path.startswith((f"{DATA}/", f"{FOLDER}/")) or path == CONNECTORS,
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
