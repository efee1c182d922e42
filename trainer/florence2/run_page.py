"""Everything that is known of a Florence-2 run on one page, RUN/report.html: it needs no other file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.core import page
from trainer.core.run_folder import REPORT, write_text
from trainer.florence2.evaluation_page import split_parts


def write_page(run: Path, summary: Mapping[str, Any]) -> None:
    """Write RUN/report.html from the summary and the run's pictures."""
    settings = summary["settings"]
    parts = [page.head(f"Florence-2 detection: {run.name}"), page.paragraph(_introduction(summary))]
    for name, measured in summary["splits"].items():
        parts += split_parts(name, measured)
    parts += [
        "<h2>Curves</h2>",
        page.picture(run / "curves.png", "Losses and validation over the training pictures"),
        page.picture(run / "calibration.png", "Confidence against the share of true boxes"),
    ]
    if sheets := sorted((run / "sheets").glob("epoch_*.png")):
        parts.append("<h2>The same pictures, before training and after</h2>")
        parts += [page.picture(path, path.stem.replace("_", " ")) for path in sheets]
    parts += [
        "<h2>What training changed</h2>",
        page.picture(run / "changes.png", "Relative change of each weight"),
    ]
    if forgetting := summary.get("forgetting"):
        keys = ("picture", "task", "before", "after", "similarity", "agreement")
        parts += [
            "<h2>Forgetting</h2>",
            page.paragraph(
                "Pictures that are no connectors, before and after: similarity of answers "
                f"{forgetting['similarity']:.3f}, agreement of probabilities {forgetting['agreement']:.3f}."
            ),
            page.table(keys, [[row[key] for key in keys] for row in forgetting["rows"]]),
        ]
    parts += ["<h2>Settings</h2>", page.table(["option", "value"], sorted(settings.items()))]
    write_text(run / REPORT, "\n".join(filter(None, parts)) + "\n")


def _introduction(summary: Mapping[str, Any]) -> str:
    settings = summary["settings"]
    return (
        f"{settings['model']}, {settings['mode']}; {summary['trained_parameters']:,} of "
        f"{summary['parameters']:,} parameters trained on {summary['training_pictures']} pictures for "
        f"{summary['epochs']} epochs in {summary['minutes']:.1f} min on {summary['device']}. Weights of epoch "
        f"{summary['best_epoch']} (best validation mAP). A box counts from confidence "
        f"{summary['threshold']:.3f} on, chosen on validation."
    )
