"""Read the results of a Florence-2 run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.core import results_folder
from trainer.core.run_folder import SUMMARY


def summary_of(run: Path) -> Mapping[str, Any]:
    """Read RUN/summary.json.

    Raises:
        InputError: The file is missing, or lacks a key of a finished run's summary.
    """
    return results_folder.read(
        run / SUMMARY,
        "the summary of a finished run",
        settings=dict,
        labels=list,
        splits=dict,
        threshold=float,
        trained_parameters=int,
        parameters=int,
        training_pictures=int,
        epochs=int,
    )
