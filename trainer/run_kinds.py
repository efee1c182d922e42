"""Kinds of run that `python -m trainer.…` commands tell apart, by the `format` in a run's config.json."""

from enum import StrEnum
from pathlib import Path

from trainer.core.run_folder import CONFIG, format_of, read_json
from trainer.florence2.run import FORMAT as FLORENCE2_FORMAT
from trainer.gauge.run import FORMAT as GAUGE_FORMAT


class RunKind(StrEnum):
    """Kinds of run; the values are their names in messages."""

    VIT = "ViT"
    FLORENCE2 = "Florence-2"
    GAUGE = "gauge"


def run_kind(run: Path) -> RunKind:
    """Return the kind of the run in this folder; ViT if config.json has an unknown format, which a ViT's reader names.

    Raises:
        InputError: config.json is missing or cannot be read. No kind is taken then: messages on options would name it.
    """
    read_json(run / CONFIG, "a trained run's config.json")
    found = format_of(run)
    if found == FLORENCE2_FORMAT:
        return RunKind.FLORENCE2
    return RunKind.GAUGE if found == GAUGE_FORMAT else RunKind.VIT
