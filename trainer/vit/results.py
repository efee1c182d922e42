"""What lies in a ViT's run beside its weights, read back: summary, evaluation, attention.

Pages and cards read these documents, never the commands that write them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.core import frozen_threshold, results_folder, run_folder
from trainer.core.errors import InputError
from trainer.core.run_folder import SUMMARY

# Folders in a run: what trainer.evaluate and trainer.attention measure, and copies of the run after some epochs.
EVALUATION, ATTENTION, STAGES = "evaluation", "attention", "stages"
# In the folder of the attention.
ATTENTION_DOCUMENT, CURVES, ANIMATION = "attention.json", "curves.png", "attention.gif"


def summary_of(run: Path) -> dict[str, Any]:
    """RUN/summary.json of a ViT's run.

    Raises:
        InputError: The run was not finished, or its best weights are others by now.
    """
    path = run / SUMMARY
    found = results_folder.read(
        path,
        "the summary of a finished run",
        epochs=int,
        best_epoch=int,
        best_by=str,
        stopped=str,
        splits=dict,
        warnings=list,
    )
    # Earlier versions kept no hash.
    if "weights_sha256" in found and found["weights_sha256"] != frozen_threshold.digest(run / run_folder.BEST):
        raise InputError(
            f"{path}: is of other weights than {run_folder.BEST}: finish the training with `python -m trainer.vit "
            "--resume`"
        )
    return found


def evaluation_of(run: Path) -> dict[str, Any] | None:
    """What RUN/evaluation/evaluation.json says of the run's best weights; None where it is of others, or missing."""
    place = run / EVALUATION / results_folder.EVALUATION
    if not place.is_file():
        return None
    found = results_folder.read(place, "what trainer.evaluate wrote", splits=dict)
    held = found.get("frozen")
    if not isinstance(held, dict) or held.get("weights_sha256") != frozen_threshold.digest(run / run_folder.BEST):
        return None
    return found


def attention_sheet(weights: str) -> str:
    """Name of the sheet of the attention of some weights."""
    return f"attention_{weights}.png"


def attention_files(document: Mapping[str, Any]) -> set[str]:
    """What lies beside an attention.json."""
    sheets = {attention_sheet(name) for name in document["weights"]}
    return sheets | ({CURVES, ANIMATION} if len(sheets) > 1 else set())


def attention_of(run: Path) -> dict[str, Any] | None:
    """What RUN/attention/attention.json says; None where it is missing.

    Raises:
        InputError: It is no such document.
    """
    path = run / ATTENTION / ATTENTION_DOCUMENT
    if not path.is_file():
        return None
    return results_folder.read(
        path, "what trainer.attention wrote", weights=dict, baselines=dict, pictures=int, split=str
    )
