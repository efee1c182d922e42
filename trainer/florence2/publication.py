"""What of a Florence-2 run goes to the Hub: the model as `from_pretrained` reads it, card, a few pictures."""

from collections.abc import Sequence
from pathlib import Path

from trainer.core import run_folder
from trainer.core.errors import InputError
from trainer.core.publication import CARD, Files, Picture, captions, picture_files, pictures_of, write_card
from trainer.florence2.card import model_card
from trainer.florence2.results import summary_of
from trainer.florence2.run import MODEL, load_config

PICTURES = (
    Picture("sheets/best.png", "predictions.png", "Truth and prediction"),
    Picture("calibration.png", "calibration.png", "Confidence against the share of true boxes"),
    Picture("curves.png", "curves.png", "Training"),
)


def files_of(run: Path, name: str, datasets: Sequence[str] = (), license: str = "") -> Files:
    """What of a run goes up, by path there: RUN/model at the top; RUN/README.md is written anew.

    Args:
        run: A finished run.
        name: owner/name there.
        datasets: Names on the Hub of what it was trained on.
        license: The Hub's id of one.

    Raises:
        InputError: The run was not finished, or its card is too long.
    """
    load_config(run)
    if not (run / MODEL / "config.json").is_file():
        raise InputError(f"{run / MODEL}: expected the trained model, got nothing there: was it finished?")
    summary = summary_of(run)
    pictures = pictures_of(run, PICTURES)
    text = model_card(name.rpartition("/")[2], summary, summary["labels"], captions(pictures), datasets, license, name)
    card = write_card(run, text)
    model = {p.relative_to(run / MODEL).as_posix(): p for p in (run / MODEL).rglob("*") if p.is_file()}
    return {
        **dict(sorted(model.items())),
        CARD: card,
        "pinsight.json": run / run_folder.CONFIG,
        **picture_files(run, pictures),
    }
