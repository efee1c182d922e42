"""Files of a ViT's run for the Hub: weights, configuration, frozen threshold, model card, a few pictures."""

from collections.abc import Sequence
from pathlib import Path

from trainer.core import frozen_threshold, gates, golden_input, run_folder
from trainer.core.publication import CARD, Files, Picture, captions, picture_files, pictures_of, write_card
from trainer.vit import hub_files, results
from trainer.vit import run as vit_run
from trainer.vit.card import vit_card

# Of several pictures with one name the first that exists is used; EVALUATED only if it is of these weights.
EVALUATED = (
    Picture("evaluation/operating_points.png", "operating_points.png", "Escapes and overkill over the threshold"),
    Picture("evaluation/confusion.png", "confusion.png", "Confusion matrices"),
    Picture(
        "evaluation/calibration.png",
        "calibration.png",
        "Calibration: share of right predictions over the predicted probability",
    ),
    Picture("evaluation/detection.png", "detection.png", "Defects found and missed over their size"),
)
TRAINED = (
    Picture("operating_points.png", "operating_points.png", "Escapes and overkill over the threshold"),
    Picture("confusion.png", "confusion.png", "Confusion matrices"),
    Picture("curves.png", "curves.png", "Training"),
    Picture("attention/attention_best.png", "attention.png", "Attention: where the network looks; box: the defect"),
)


def files_of(run: Path, name: str, datasets: Sequence[str] = (), license: str = "") -> Files:
    """Write RUN/README.md, and return the files of a run to upload, by path on the Hub.

    Args:
        run, name: Folder of a finished run, and the model's name on the Hub (owner/name).
        datasets, license: Names on the Hub of the training datasets, and the Hub's id of the licence.

    Raises:
        InputError: The run was not finished, or its card is too long.
    """
    vit_run.load_model(run)  # raises if the weights are broken or do not fit the configuration
    measured = results.evaluation_of(run) is not None
    pictures = pictures_of(run, (*(EVALUATED if measured else ()), *TRAINED))
    write_card(run, vit_card(run, name, captions(pictures), datasets, license))
    # Files for transformers, where the run has them.
    others = (hub_files.PROCESSOR, *hub_files.CODE, *hub_files.EARLIER_CODE)
    wanted = (CARD, run_folder.CONFIG, run_folder.BEST, frozen_threshold.FROZEN, *gates.FILES, *others)
    files: Files = {one: run / one for one in wanted if (run / one).is_file()}
    files |= golden_input.files_of(run, vit_run.load_config(run)[1].input)
    return {**files, **picture_files(run, pictures)}
