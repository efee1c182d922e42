"""Write RUN/report.html of a gauge: settings and errors on one page, which needs no other file and no internet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from generator.reporting.pages import render
from trainer.core import run_folder
from trainer.core.run_folder import REPORT, SUMMARY, read_json, read_metrics
from trainer.core.tolerance import words
from trainer.gauge import ties
from trainer.gauge.run import load_config
from trainer.gauge.ties import UNCERTAINTY

COLUMNS = ("rms", "zero", "slope", "bias", "coverage")
# Pages show the height, which is less where the retraction is more.
SHOWN_AXES = {"dx": "dx", "dy": "dy", "retraction": "height"}


def write_page(run: Path) -> Path:
    """Write report.html into a run's folder, from the files there; returns the page's path.

    Raises:
        InputError: the run was not finished, or a file in it cannot be read.
    """
    shape, settings, pitch_px = load_config(run)
    summary = read_json(run / SUMMARY, "the summary of a finished run")
    rows = read_metrics(run, summary["epochs"])
    minutes = sum(float(str(row["seconds"])) for row in rows) / 60
    factors = read_json(run / UNCERTAINTY, "the uncertainty of a gauge's run")
    factors = {name: value for name, value in factors.items() if name not in ties.KEYS}
    slopes, alone = factors.pop("slopes", {}), factors.pop("alone", {})
    facts = [
        ("dataset", summary["data"].get("name")),
        ("training pictures", summary["training_pictures"]),
        ("crops", f"{shape.side} px, pins {pitch_px:.1f} px apart"),
        ("training", f"{summary['epochs']} epochs in {minutes:.1f} min, seed {settings.seed}"),
        ("best epoch", f"{summary['best_epoch']}, by {summary['best_by']}"),
        ("stopped early", summary["stopped"]),
        ("tolerance", words(run_folder.recorded_tolerances(run))),
        ("uncertainty", ", ".join(f"{name} {_numbers(value)}" for name, value in factors.items())),
        ("factors of U, one view", ", ".join(f"{name or 'any'} {_numbers(value)}" for name, value in alone.items())),
        (
            "dx and dy divided by",
            ", ".join(f"{value:.3f} ({name or 'other terminals'})" for name, value in slopes.items()),
        ),
    ]
    context = {
        "title": f"Gauge: {run.resolve().name}",
        "facts": [(name, str(value)) for name, value in facts if value],
        "tables": tables(summary["splits"]),
        "settings": [[name, str(value)] for name, value in settings.model_dump().items()],
    }
    run_folder.write_text(run / REPORT, render("trainer.gauge", "run.html.j2", **context))
    return run / REPORT


def _numbers(value: float | Sequence[float]) -> str:
    return " / ".join(f"{each:.2f}" for each in (value if isinstance(value, Sequence) else [value]))


def shown_figure(figures: Mapping[str, Any], column: str, axis: str) -> Any:
    """Return the figure `column` (such as bias) of an axis as pages show it: of the height in place of the retraction.

    `figures` are those of a group of pins, see `trainer.gauge.figures.figures`; None if they lack this one.
    """
    value = figures.get(f"{column}_{axis}")
    return -value if value is not None and (column, axis) == ("bias", "retraction") else value


def tables(splits: Mapping[str, Any]) -> list[tuple[str, list[str], list[list[Any]]]]:
    """Make a table of errors (title, header, rows) per split and cameras, from the entry `splits` of summary.json."""
    found = []
    for split, by_cameras in splits.items():
        for cameras, by_group in by_cameras.items():
            axes = [axis for axis in SHOWN_AXES if f"rms_{axis}" in by_group.get("all pins", {})]
            header = ["pins", "number"]
            for axis in axes:
                name = SHOWN_AXES[axis]
                header += [f"{name}: error", "answer zero", "slope", "bias", "within U"]
            rows = [
                [group, figures["pins"], *(shown_figure(figures, column, axis) for axis in axes for column in COLUMNS)]
                for group, figures in by_group.items()
            ]
            found.append((f"{split}, {cameras.replace('+', ' + ')}", header, rows))
    return found
