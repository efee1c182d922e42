"""Read the results in a ViT's run: summary, fitness, evaluation, attention.

Pages and model cards import this module in place of the commands that write the results.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trainer.core import frozen_threshold, results_folder, run_folder
from trainer.core.errors import InputError
from trainer.core.fitness import Fitness, fitness_of
from trainer.core.frozen_threshold import sha256_of_weights
from trainer.core.run_folder import SUMMARY
from trainer.vit.network.model import OK_CLASS

# Folders in a run: results of trainer.evaluate and trainer.attention; copies of the run after epochs of --stages.
EVALUATION, ATTENTION, STAGES = "evaluation", "attention", "stages"
# Files in RUN/attention.
ATTENTION_DOCUMENT, CURVES, ANIMATION = "attention.json", "curves.png", "attention.gif"


def summary_of(run: Path) -> dict[str, Any]:
    """Read RUN/summary.json.

    Raises:
        InputError: The run was not finished, or its best weights have changed since.
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
    # Earlier versions wrote no hash.
    if "weights_sha256" in found and found["weights_sha256"] != sha256_of_weights(run / run_folder.BEST):
        raise InputError(
            f"{path}: expected the summary of {run_folder.BEST}, got that of other weights; finish the training with "
            "`python -m trainer.vit --resume`"
        )
    return found


def fitness_of_run(run: Path) -> Fitness | None:
    """Return the fitness of a run's best weights, how well they tell OK from NG; None if it is not recorded.

    For a run of an earlier version, whose frozen.json has no fitness, it is computed from the confusion matrix in
    summary.json: the most probable class decides, and each picture counts as a part.
    """
    held = frozen_threshold.load(run)
    if held is not None and held.fitness is not None:
        return held.fitness
    try:
        summary = summary_of(run)
        matrix = np.array(summary["splits"]["validation"]["confusion"], dtype=int)
        classes = [str(name) for name in summary["classes"]]
        said, truth = (np.repeat(index.ravel(), matrix.ravel()) for index in np.indices(matrix.shape)[::-1])
        ok = classes.index(OK_CLASS)
        names = [str(number) for number in range(len(truth))]
        return fitness_of(names, truth != ok, said != ok, [str(text) for text in summary["warnings"]])
    except (InputError, KeyError, TypeError, ValueError):
        return None


def evaluation_of(run: Path) -> dict[str, Any] | None:
    """Read RUN/evaluation/evaluation.json; None if it is missing, or not of the run's best weights."""
    place = run / EVALUATION / results_folder.EVALUATION
    if not place.is_file():
        return None
    found = results_folder.read(place, "an evaluation by trainer.evaluate", splits=dict)
    held = found.get("frozen")
    if not isinstance(held, dict) or held.get("weights_sha256") != sha256_of_weights(run / run_folder.BEST):
        return None
    return found


def attention_sheet(weights: str) -> str:
    """Return the attention sheet's file name for weights named `weights`, such as `best`."""
    return f"attention_{weights}.png"


def attention_files(document: Mapping[str, Any]) -> set[str]:
    """Return the names of the pictures that were written beside an attention.json of this content."""
    sheets = {attention_sheet(name) for name in document["weights"]}
    return sheets | ({CURVES, ANIMATION} if len(sheets) > 1 else set())


def attention_of(run: Path) -> dict[str, Any] | None:
    """Read RUN/attention/attention.json; None if it is missing.

    Raises:
        InputError: The file is not such a document.
    """
    path = run / ATTENTION / ATTENTION_DOCUMENT
    if not path.is_file():
        return None
    return results_folder.read(
        path, "an analysis by trainer.attention", weights=dict, baselines=dict, pictures=int, split=str
    )
