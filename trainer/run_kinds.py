"""Kinds of run that `python -m trainer.…` commands tell apart, by the `format` in a run's config.json."""

from enum import StrEnum
from pathlib import Path

from trainer.core.run_folder import format_of
from trainer.florence2.run import FORMAT as FLORENCE2_FORMAT
from trainer.gauge.run import FORMAT as GAUGE_FORMAT


class RunKind(StrEnum):
    """Kinds of run; the values are their names in messages."""

    VIT = "ViT"
    FLORENCE2 = "Florence-2"
    GAUGE = "gauge"


def run_kind(run: Path) -> RunKind:
    """Return the kind of the run in this folder; ViT if config.json cannot be read: a ViT's reader then says why."""
    found = format_of(run)
    if found == FLORENCE2_FORMAT:
        return RunKind.FLORENCE2
    return RunKind.GAUGE if found == GAUGE_FORMAT else RunKind.VIT
