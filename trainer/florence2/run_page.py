"""The page of a Florence-2 run, RUN/report.html: settings, measures and pictures in one file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generator.reporting.pages import render
from trainer.core import operating_tables
from trainer.core.max_escape import fitness_and_escapes
from trainer.core.run_folder import REPORT, write_text
from trainer.core.settings import settings_table
from trainer.core.tolerance import words
from trainer.florence2.evaluation_page import calibration_words, split_tables
from trainer.florence2.network import MODE_WORDS
from trainer.florence2.run import DetectionConfig

FORGETTING = ("picture", "task", "before", "after", "similarity", "agreement")


def write_page(run: Path, summary: Mapping[str, Any]) -> None:
    """Write RUN/report.html from the content of summary.json and the run's pictures."""
    forgetting = (summary.get("forgetting") or {}).get("rows", ())
    meanings = {row.name: ": ".join(filter(None, (row.option, row.help))) for row in settings_table(DetectionConfig)}
    page = render(
        "trainer.florence2",
        "run.html.j2",
        title=f"Florence-2 detection: {run.name}",
        run=run,
        folder=None,
        operating_points=operating_tables.view(summary["splits"]),
        summary=summary,
        tolerance=words(summary.get("tolerance")),
        fitness=fitness_and_escapes(summary),
        calibration=calibration_words(summary),
        settings=summary["settings"],
        mode=MODE_WORDS.get(summary["settings"]["mode"], ""),
        options=[[name, str(value), meanings.get(name, "")] for name, value in sorted(summary["settings"].items())],
        splits=[split_tables(name, measured) for name, measured in summary["splits"].items()],
        sheets=sorted((run / "sheets").glob("epoch_*.png")),
        forgetting=[[row[key] for key in FORGETTING] for row in forgetting],
    )
    write_text(run / REPORT, page)
