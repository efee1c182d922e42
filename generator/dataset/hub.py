"""Publish files on the Hugging Face Hub in one commit, with errors of one line; for `generator push`, `trainer.push`.

All files are uploaded first and become visible together: an interrupted push changes no file of the repository.
The token comes from the environment (HF_TOKEN) or the login (`hf auth login`), never from the command line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CARD = "README.md"
# Largest card in bytes that the Hub shows.
LARGEST_CARD = 1_000_000
_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")


class HubError(Exception):
    """The Hub cannot be reached or refuses the request, though the arguments are valid; the text is for the user."""


class NotAllowed(Exception):
    """The repository that the user names has files of another origin, or does not exist; the text is for the user."""


@dataclass(frozen=True)
class Publication:
    """The contents of one push.

    Attributes:
        kind: "dataset" or "model".
        name: owner/name of the repository.
        files: local file or contents of each file, by its path in the repository.
        message: commit message.
        is_ours: gets the text of the repository's card; returns whether the same command wrote it.
        replaced: gets the path of a file in the repository; returns whether it is deleted if `files` lacks it.
    """

    kind: str
    name: str
    files: Mapping[str, Path | bytes]
    message: str
    is_ours: Callable[[str], bool]
    replaced: Callable[[str], bool]


def name_problem(name: str, option: str) -> str | None:
    """Return a message, which starts with `option` (such as --to), if `name` does not have the form owner/name."""
    parts = name.split("/")
    if len(parts) == 2 and all(_PART.fullmatch(p) and "--" not in p and ".." not in p for p in parts):
        return None
    return f"{option}: expected OWNER/NAME, both of letters, digits, -, _ and ., got {name!r}"


def publish(
    what: Publication,
    private: bool = False,
    create_pr: bool = False,
    revision: str | None = None,
    option: str = "OWNER/NAME",
) -> str:
    """Upload the files and commit them.

    Args:
        what: the files, and the name of the repository.
        private: make the repository private, if it is new.
        create_pr: open a pull request instead of committing to the branch.
        revision: branch to commit to (made if missing), or that the pull request of `create_pr` changes; None: main.
        option: the command-line argument that has the repository's name, for error messages.

    Returns:
        The URL of the commit or pull request.

    Raises:
        NotAllowed: another program made the repository, or `create_pr` is true and there is no repository yet.
        HubError: no token, no network, no permission, or another error of the Hub.
    """
    # Imported here, because it takes a second that `--help` and `--dry-run` do not need.
    import huggingface_hub

    api = huggingface_hub.HfApi()
    if huggingface_hub.get_token() is None:
        raise HubError("expected a Hub token in the environment variable HF_TOKEN or from `hf auth login`, got none")
    kind, name = what.kind, what.name
    with _errors_in_one_line(name, kind):
        _make_repository(api, what, private, create_pr, option)
        if revision is not None and not create_pr:
            api.create_branch(name, branch=revision, repo_type=kind, exist_ok=True)
        commit = api.create_commit(
            repo_id=name,
            repo_type=kind,
            operations=_operations(api, what, revision),
            commit_message=what.message,
            revision=revision,
            create_pr=create_pr or None,
        )
    return str(commit.pr_url or commit.commit_url)


def _make_repository(api: Any, what: Publication, private: bool, create_pr: bool, option: str) -> None:
    """Create the repository if it is new; raise NotAllowed if another program made it."""
    from huggingface_hub.errors import RepositoryNotFoundError

    kind, name = what.kind, what.name
    try:
        api.repo_info(name, repo_type=kind)
    except RepositoryNotFoundError:
        if create_pr:
            raise NotAllowed(
                f"--create-pr: expected an existing {kind} {name} on the Hub, got none: push without --create-pr first"
            ) from None
        api.create_repo(name, repo_type=kind, private=private or None)
        return
    if not create_pr and not _is_ours(api, what):
        raise NotAllowed(
            f"{option}: expected a new name or a {kind} that push made, got {name}, which has files of another origin: "
            f"choose another name{', or give --create-pr' if kind == 'dataset' else ''}"
        )


def _operations(api: Any, what: Publication, revision: str | None) -> list[Any]:
    """Return the commit's operations: files to add, and files of an earlier push to delete."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    present = api.list_repo_files(what.name, repo_type=what.kind, revision=revision)
    outdated = [path for path in present if what.replaced(path) and path not in what.files]
    return [
        *(CommitOperationDelete(path_in_repo=path) for path in outdated),
        *(CommitOperationAdd(path_in_repo=path, path_or_fileobj=file) for path, file in what.files.items()),
    ]


def _is_ours(api: Any, what: Publication) -> bool:
    """Whether a repository is empty or was made by an earlier push."""
    held = [f for f in api.list_repo_files(what.name, repo_type=what.kind) if not f.startswith(".git")]
    if not held:
        return True
    if CARD not in held:
        return False
    card = Path(api.hf_hub_download(what.name, CARD, repo_type=what.kind))
    return what.is_ours(card.read_text(encoding="utf-8"))


@contextmanager
def _errors_in_one_line(name: str, kind: str) -> Iterator[None]:
    """Turn the client's errors into messages of one line that say what to do.

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
        400: "expected a request that the Hub accepts, got status 400 (bad request)",
        401: "expected a token that the Hub accepts, got status 401 (unauthorized): make a new token and log in again",
        403: f"expected a token with the right to write to {name}, got status 403 (forbidden): use one of role 'write'",
        404: f"expected a {kind} {name} that this token can see, got status 404 (not found): check the owner's name",
        409: f"expected no other commit to {name} at the same time, got status 409 (conflict): try again",
        413: f"expected a card and files within the Hub's size limits, got status 413 (too large) for {name}",
        429: "expected fewer requests to the Hub, got status 429 (too many requests): try again in some minutes",
    }
    try:
        yield
    except RevisionNotFoundError:
        raise HubError(f"--revision with --create-pr: expected a branch of {name}, got an unknown one") from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        details = " ".join(str(error.server_message or "").split())
        message = refusals.get(status, f"expected the Hub to accept the request, got HTTP status {status}")
        raise HubError(f"push: {message}" + (f" ({details[:300]})" if details else "")) from None
    except OfflineModeIsEnabled:
        raise HubError("push: expected access to the Hub, got HF_HUB_OFFLINE=1: unset this variable") from None
    except LocalEntryNotFoundError:
        raise HubError(_NO_NETWORK) from None
    except ValueError as error:  # the Hub's check of the card's YAML failed
        raise HubError(f"push: {' '.join(str(error).split())[:500]}") from None
    except Exception as error:
        # The client may use any of these HTTP libraries; their errors have no common class.
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore2"):
            raise HubError(f"{_NO_NETWORK} ({type(error).__name__}: {' '.join(str(error).split())[:200]})") from None
        raise


_NO_NETWORK = "push: expected an answer of the Hub, got none: check the network; nothing was published"
