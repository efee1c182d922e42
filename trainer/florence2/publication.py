"""Files of a Florence-2 run that are uploaded to the Hub: model for `from_pretrained`, card, pictures."""

from collections.abc import Sequence
from pathlib import Path

from trainer.core import golden_input, run_folder
from trainer.core.errors import InputError
from trainer.core.publication import CARD, Files, Picture, captions, picture_files, pictures_of, write_card
from trainer.florence2.card import model_card
from trainer.florence2.results import summary_of
from trainer.florence2.run import MODEL, UNFINISHED, load_config

PICTURES = (
    Picture("sheets/best.png", "predictions.png", "Validation pictures: truth on the left, prediction on the right"),
    Picture("operating_points.png", "operating_points.png", "Escapes and overkill over the threshold"),
    Picture(
        "calibration.png",
        "calibration.png",
        "Calibration: share of boxes that are right over their confidence and, if calibrated, their probability",
    ),
    Picture("curves.png", "curves.png", "Training: losses, and measures of validation"),
)


def files_of(run: Path, name: str, datasets: Sequence[str] = (), license: str = "") -> Files:
    """Write RUN/README.md for the Hub, and return the files to upload by path on the Hub.

    The files of RUN/model are at the top level.

    Args:
        run, name: Folder of a finished run, and the model's name on the Hub (owner/name).
        datasets, license: Names on the Hub of the training datasets, and the Hub's id of the licence.

    Raises:
        InputError: The run was not finished, or its card is too long.
    """
    _, detector = load_config(run)
    if not (run / MODEL / "config.json").is_file():
        raise InputError(f"{run / MODEL}: expected the trained model's config.json, got no such file; {UNFINISHED}")
    summary = summary_of(run)
    pictures = pictures_of(run, PICTURES)
    text = model_card(name.rpartition("/")[2], summary, summary["labels"], captions(pictures), datasets, license, name)
    card = write_card(run, text)
    model = {p.relative_to(run / MODEL).as_posix(): p for p in (run / MODEL).rglob("*") if p.is_file()}
    return {
        **dict(sorted(model.items())),
        CARD: card,
        "pinsight.json": run / run_folder.CONFIG,
        **golden_input.files_of(run, detector.input),
        **picture_files(run, pictures),
    }
