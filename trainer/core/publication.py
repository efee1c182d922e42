"""Upload a trained model to the Hugging Face Hub, in one commit.

Which files of a run are uploaded: `trainer.vit.publication` and `trainer.florence2.publication`.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from generator.dataset.hub import LARGEST_CARD, NotAllowed, Publication, publish
from trainer.core import card
from trainer.core.errors import InputError
from trainer.core.run_folder import write_text

CARD = "README.md"
# A file or its bytes, by path in the repository on the Hub.
Files = dict[str, Path | bytes]


class Picture(NamedTuple):
    """A picture of a run for the model card: path in the run, file name on the Hub, caption."""

    place: str
    name: str
    caption: str


def pictures_of(run: Path, wanted: Iterable[Picture]) -> list[Picture]:
    """Return those of the `wanted` pictures that exist in the run's folder; of several with one `name`, the first."""
    found: dict[str, Picture] = {}
    for picture in wanted:
        if (run / picture.place).is_file():
            found.setdefault(picture.name, picture)
    return list(found.values())


def captions(pictures: Sequence[Picture]) -> list[tuple[str, str]]:
    """Return for each picture its path on the Hub and its caption, for the model card."""
    return [(f"pictures/{picture.name}", picture.caption) for picture in pictures]


def picture_files(run: Path, pictures: Sequence[Picture]) -> Files:
    """Return the pictures' files in the run's folder, by path on the Hub."""
    return {f"pictures/{picture.name}": run / picture.place for picture in pictures}


def write_card(run: Path, text: str) -> Path:
    """Write the card's text into RUN/README.md; returns the file's path.

    Raises:
        InputError: The card is longer than the Hub accepts; the file is written nevertheless.
    """
    path = run / CARD
    write_text(path, text)
    if (size := path.stat().st_size) > LARGEST_CARD:
        raise InputError(f"{path}: expected a model card of at most {LARGEST_CARD:,} bytes, got {size:,} bytes")
    return path


def push(run: Path, name: str, files: Mapping[str, Path | bytes], private: bool, option: str = "--to") -> str:
    """Upload files to a model's repository in one commit, which deletes earlier pictures and weights; returns its URL.

    Args:
        run, name: The run's folder, named in the commit's message, and owner/name of the repository.
        files: The files by path in the repository.
        private: Whether a new repository is private.
        option: Name of the command's option for `name`, for messages.

    Raises:
        InputError: A model of that name exists that this project did not write.
        HubError: No token, no network, no permission, or another error of the Hub.
    """
    what = Publication(
        kind="model",
        name=name,
        files=files,
        message=f"{run.resolve().name}, trained with Pinsight",
        is_ours=card.is_ours,
        replaced=lambda path: (
            path.startswith("pictures/") or path.endswith((".safetensors", ".safetensors.index.json"))
        ),
    )
    try:
        return publish(what, private, option=option)
    except NotAllowed as error:
        raise InputError(str(error)) from None
