"""`python -m generator push DATASET owner/name`: a dataset folder to the Hub, in one commit.

All files go up first and become visible together: a push that is stopped in between leaves the repository as it was.
The token comes from the environment (HF_TOKEN) or the login (`hf auth login`), never from the command line.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from blender_scripts.errors import InputError
from generator.card import read_settings
from generator.dataset_folder import CARD, DATA, NSOART, SHEET, split_files

# The Hub takes files of up to ten million bytes in a commit without LFS, and shows no card that is larger.
LARGEST_CARD = 1_000_000
_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")


class HubError(Exception):
    """The Hub could not be reached or refuses; the message is for the user. No fault of the input."""


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
    parser.add_argument(
        "--revision", metavar="R", help="branch to commit to, made where there is none (default: main)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check the folder and say what would go up; no network"
    )


def run(args: argparse.Namespace) -> int:
    """Check the folder, then upload it; 1 where the Hub is the problem."""
    upload = check_folder(args.dataset)
    problems = []
    parts = args.name.split("/")
    if len(parts) != 2 or not all(_PART.fullmatch(p) and "--" not in p and ".." not in p for p in parts):
        problems.append(
            f"OWNER/NAME: expected two names of letters, digits, -, _ and . joined by /, got {args.name!r}"
        )
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
    problems = (
        [] if splits else [f"{dataset}: expected a dataset that build made, got no data/*.parquet file"]
    )
    problems += [
        f"{dataset}: expected a dataset that build made, got no {name}"
        for name in (CARD, NSOART)
        if not (dataset / name).is_file()
    ]
    if problems:
        raise InputError(problems)
    card = (dataset / CARD).read_bytes()
    if len(card) > LARGEST_CARD:
        problems.append(
            f"{dataset / CARD}: expected a card of at most {LARGEST_CARD:,} bytes, got {len(card):,}"
        )
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
    names = [CARD, NSOART, *([SHEET] if (dataset / SHEET).is_file() else [])]
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
    # Imported here: a second, which `--help` and `--dry-run` do without.
    import huggingface_hub
    from huggingface_hub.errors import RepositoryNotFoundError

    api = huggingface_hub.HfApi()
    if huggingface_hub.get_token() is None:
        raise HubError(
            "expected a token of the Hub in the variable HF_TOKEN or of the command `hf auth login`, got none"
        )
    with _explained(name):
        try:
            api.repo_info(name, repo_type="dataset")
            is_new = False
        except RepositoryNotFoundError:
            is_new = True
        if is_new:
            if create_pr:
                raise InputError(
                    f"--create-pr: expected a dataset {name} to open a pull request for, got none"
                )
            api.create_repo(name, repo_type="dataset", private=private or None)
        elif not create_pr and not _is_ours(api, name):
            raise InputError(
                f"OWNER/NAME: expected a new name or a dataset that push made, got {name}, which holds something else: "
                "choose another name, or give --create-pr"
            )
        if revision is not None and not create_pr:
            api.create_branch(name, branch=revision, repo_type="dataset", exist_ok=True)
        commit = api.upload_folder(
            repo_id=name,
            repo_type="dataset",
            folder_path=upload.folder,
            allow_patterns=list(upload.files),
            # Files of an earlier push that this one does not have go away in the same commit.
            delete_patterns=[f"{DATA}/*"],
            commit_message=f"{sum(upload.rows.values())} rows",
            revision=revision,
            create_pr=create_pr or None,
        )
    return str(commit.pr_url or commit.commit_url)


def _is_ours(api: Any, name: str) -> bool:
    """Whether a repository is empty or holds what an earlier push left."""
    held = [f for f in api.list_repo_files(name, repo_type="dataset") if not f.startswith(".git")]
    if not held:
        return True
    if CARD not in held:
        return False
    card = Path(api.hf_hub_download(name, CARD, repo_type="dataset"))
    try:
        return bool(read_settings(card.read_text(encoding="utf-8")))
    except ValueError:
        return False


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """What the client raises, in one line that says what to do.

    Raises:
        HubError: in place of the client's errors.
    """
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RevisionNotFoundError,
    )

    refusals = {
        400: "the Hub does not accept the request",
        401: "expected a token that the Hub accepts, got 401: make a new one and log in again",
        403: f"expected a token with the right to write to {name}, got 403: use one of role 'write'",
        404: f"expected a dataset {name} that this token can see, got 404: does the owner exist?",
        409: f"expected a name that is free or a branch that nobody else commits to, got 409 for {name}: try again",
        413: f"expected a card and files that the Hub takes, got 413 (too large) for {name}",
        429: "the Hub asks to slow down (429): try again in some minutes",
    }
    try:
        yield
    except RevisionNotFoundError:
        raise HubError(
            f"--revision: expected a branch of {name}, got one that the Hub does not know"
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        told = " ".join(str(error.server_message or "").split())
        said = refusals.get(status, f"the Hub answered {status}")
        raise HubError(f"push: {said}" + (f" ({told[:300]})" if told else "")) from None
    except OfflineModeIsEnabled:
        raise HubError("push: expected a network, got HF_HUB_OFFLINE=1: unset it") from None
    except LocalEntryNotFoundError:
        raise HubError(_NO_NETWORK) from None
    except ValueError as error:  # of the Hub's check of the card's YAML
        raise HubError(f"push: {' '.join(str(error).split())[:500]}") from None
    except Exception as error:
        # The HTTP library is the client's own choice; its errors share a module, not a class.
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in (
            "httpx",
            "httpx2",
            "httpcore2",
        ):
            raise HubError(
                f"{_NO_NETWORK} ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
            ) from None
        raise


_NO_NETWORK = "push: expected a network and a Hub that answers, got neither: nothing was published"
