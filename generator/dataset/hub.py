"""Publishing on the Hugging Face Hub: names, one commit, and what the client raises said in one line.

All files go up first and become visible together: a push that is stopped in between leaves the repository as it was.
The token comes from the environment (HF_TOKEN) or the login (`hf auth login`), never from the command line.
`generator push` and `trainer.push` use it; what they upload is their own business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CARD = "README.md"
# The Hub shows no card that is larger.
LARGEST_CARD = 1_000_000
_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?")


class HubError(Exception):
    """The Hub could not be reached or refuses; the message is for the user. No fault of the input."""


class NotAllowed(Exception):
    """What was asked for does not fit what is there; the message is for the user, whose mistake it is."""


@dataclass(frozen=True)
class Publication:
    """What goes where.

    Attributes:
        kind: "dataset" or "model".
        name: owner/name.
        files: contents by their path there, or where they lie.
        message: of the commit.
        is_ours: whether a card there is one that the same command wrote.
        replaced: whether a file of an earlier push, by its path, goes away where `files` has none of that name.
    """

    kind: str
    name: str
    files: Mapping[str, Path | bytes]
    message: str
    is_ours: Callable[[str], bool]
    replaced: Callable[[str], bool]


def name_problem(name: str, option: str) -> str | None:
    """What is wrong with an owner/name; None where nothing is."""
    parts = name.split("/")
    if len(parts) == 2 and all(_PART.fullmatch(p) and "--" not in p and ".." not in p for p in parts):
        return None
    return f"{option}: expected two names of letters, digits, -, _ and . joined by /, got {name!r}"


def publish(
    what: Publication,
    private: bool = False,
    create_pr: bool = False,
    revision: str | None = None,
    option: str = "OWNER/NAME",
) -> str:
    """Upload and commit.

    Args:
        what: files and name.
        private: of a repository that is new.
        create_pr: commit to a pull request.
        revision: branch; None: main.
        option: what a message calls the name.

    Returns:
        The address of the commit or pull request.

    Raises:
        NotAllowed: there is a repository of that name that the command did not make.
        HubError: no token, no network, no right, or what the Hub answers.
    """
    # Imported here: a second, which `--help` and `--dry-run` do without.
    import huggingface_hub

    api = huggingface_hub.HfApi()
    if huggingface_hub.get_token() is None:
        raise HubError(
            "expected a token of the Hub in the variable HF_TOKEN or of the command `hf auth login`, got none"
        )
    kind, name = what.kind, what.name
    with _explained(name, kind):
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
    """See that there is a repository to commit to, a new one or one that this command made."""
    from huggingface_hub.errors import RepositoryNotFoundError

    kind, name = what.kind, what.name
    try:
        api.repo_info(name, repo_type=kind)
    except RepositoryNotFoundError:
        if create_pr:
            raise NotAllowed(f"--create-pr: expected a {kind} {name} to open a pull request for, got none") from None
        api.create_repo(name, repo_type=kind, private=private or None)
        return
    if not create_pr and not _is_ours(api, what):
        raise NotAllowed(
            f"{option}: expected a new name or a {kind} that push made, got {name}, which holds something else: "
            f"choose another name{', or give --create-pr' if kind == 'dataset' else ''}"
        )


def _operations(api: Any, what: Publication, revision: str | None) -> list[Any]:
    """What the commit adds, and what of an earlier push goes away."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    there = api.list_repo_files(what.name, repo_type=what.kind, revision=revision)
    gone = [path for path in there if what.replaced(path) and path not in what.files]
    return [
        *(CommitOperationDelete(path_in_repo=path) for path in gone),
        *(CommitOperationAdd(path_in_repo=path, path_or_fileobj=file) for path, file in what.files.items()),
    ]


def _is_ours(api: Any, what: Publication) -> bool:
    """Whether a repository is empty or holds what an earlier push left."""
    held = [f for f in api.list_repo_files(what.name, repo_type=what.kind) if not f.startswith(".git")]
    if not held:
        return True
    if CARD not in held:
        return False
    card = Path(api.hf_hub_download(what.name, CARD, repo_type=what.kind))
    return what.is_ours(card.read_text(encoding="utf-8"))


@contextmanager
def _explained(name: str, kind: str) -> Iterator[None]:
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
        404: f"expected a {kind} {name} that this token can see, got 404: does the owner exist?",
        409: f"expected a name that is free or a branch that nobody else commits to, got 409 for {name}: try again",
        413: f"expected a card and files that the Hub takes, got 413 (too large) for {name}",
        429: "the Hub asks to slow down (429): try again in some minutes",
    }
    try:
        yield
    except RevisionNotFoundError:
        raise HubError(f"--revision: expected a branch of {name}, got one that the Hub does not know") from None
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
            raise HubError(f"{_NO_NETWORK} ({type(error).__name__}: {' '.join(str(error).split())[:200]})") from None
        raise


_NO_NETWORK = "push: expected a network and a Hub that answers, got neither: nothing was published"
