"""Console line and sheet of pictures for each epoch of a Florence-2 training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.core.console import say
from trainer.core.run_folder import Row
from trainer.florence2 import metrics, sheets
from trainer.florence2.answers import Found
from trainer.florence2.data import DetectionSplit

MEASURES_LINE = (
    "mAP50: average precision of the boxes, from 0 to 1, where IoU 0.5 with a true box is enough; mAP: mean over IoU "
    "0.5 to 0.95; seen positions: pins that are defective in a training picture; held-out positions: all other pins"
)


def say_epoch(row: Row, warnings: Sequence[str], epochs: int) -> None:
    """Print an epoch's losses, mAP and seconds, from its line `row` of metrics.csv; `warnings` are not printed."""
    text = f"epoch {row['epoch']} of {epochs}  loss {row['train_loss']:.3f}  answer loss {row['train_answer_loss']:.3f}"
    if row["val_map"] is not None:
        text += f"  validation mAP {row['val_map']:.3f}  mAP50 {row['val_map50']:.3f}"
        for name in ("seen", "held-out"):
            if row[f"val_map50_{name}"] is not None:
                text += f"  {name} positions {row[f'val_map50_{name}']:.3f}"
    say(f"{text}  {row['seconds']:.1f} s")


class EpochSheets:
    """Writes sheets into RUN/sheets after some epochs: the same few validation pictures, truth beside prediction.

    Args:
        run, validation: The run's folder, and the validation split.
        epochs: Number of epochs of the training, for `sheets.is_shown`.
    """

    def __init__(self, run: Path, validation: DetectionSplit, epochs: int) -> None:
        self.run, self.validation, self.epochs = run, validation, epochs
        self.rows = sheets.fixed_rows(validation)

    def __call__(self, epoch: int, found: Sequence[Sequence[Found]]) -> None:
        """Write an epoch's sheet, if it gets one, at its best threshold, from the boxes of all validation pictures."""
        if sheets.is_shown(epoch, self.epochs):
            threshold = metrics.best_threshold(list(zip(self.validation.truths, found, strict=True)))
            self._save(epoch, found, threshold)

    def before(self, found: Sequence[Sequence[Found]]) -> None:
        """Write the sheet before training, without a threshold; `found` has the boxes of the sheet's pictures only."""
        self._save(0, dict(zip(self.rows, found, strict=True)), 0.0)

    def _save(
        self, epoch: int, found: Mapping[int, Sequence[Found]] | Sequence[Sequence[Found]], threshold: float
    ) -> None:
        sheet = sheets.truth_and_prediction(self.validation, found, self.rows, threshold)
        sheets.save(sheet, self.run / "sheets" / f"epoch_{epoch:04d}.png")
