"""A trained model to the Hugging Face Hub, in one commit; what of a run goes up, its own kind says.

The files of a ViT's run: `trainer.vit.publication`; of a Florence-2's: `trainer.florence2.publication`.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from generator.dataset.hub import LARGEST_CARD, NotAllowed, Publication, publish
from trainer.core import card
from trainer.core.errors import InputError
from trainer.core.run_folder import write_text

CARD = "README.md"
# By path there: a file, or bytes.
Files = dict[str, Path | bytes]


class Picture(NamedTuple):
    """A picture of a run that goes up: its path below RUN, its name there, and what it shows."""

    place: str
    name: str
    caption: str


def pictures_of(run: Path, wanted: Iterable[Picture]) -> list[Picture]:
    """Those that exist; of several with one name the first."""
    found: dict[str, Picture] = {}
    for picture in wanted:
        if (run / picture.place).is_file():
            found.setdefault(picture.name, picture)
    return list(found.values())


def captions(pictures: Sequence[Picture]) -> list[tuple[str, str]]:
    """Path there and caption of each, as a card shows them."""
    return [(f"pictures/{picture.name}", picture.caption) for picture in pictures]


def picture_files(run: Path, pictures: Sequence[Picture]) -> Files:
    """The pictures by path there."""
    return {f"pictures/{picture.name}": run / picture.place for picture in pictures}


def write_card(run: Path, text: str) -> Path:
    """Write RUN/README.md; returns its path.

    Raises:
        InputError: It is longer than the Hub takes.
    """
    path = run / CARD
    write_text(path, text)
    if (size := path.stat().st_size) > LARGEST_CARD:
        raise InputError(f"{path}: expected a card of at most {LARGEST_CARD:,} bytes, got {size:,}")
    return path


def push(run: Path, name: str, files: Mapping[str, Path | bytes], private: bool, option: str = "--to") -> str:
    """Upload and commit; returns the commit's address.

    Args:
        run: The run, for the commit's message.
        name: owner/name there.
        files: By path there.
        private: Whether a new repository is private.
        option: What messages call the name.

    Raises:
        InputError: There is a model of that name that was not pushed from here.
        HubError: no token, no network, no right, or what the Hub answers.
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
