"""What is said and shown of each epoch of a Florence-2's training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.core.console import say
from trainer.core.run_folder import Row
from trainer.florence2 import metrics, sheets
from trainer.florence2.answers import Found
from trainer.florence2.data import DetectionSplit


def say_epoch(row: Row, warnings: Sequence[str]) -> None:
    """An epoch in one line."""
    text = f"epoch {row['epoch']:>4}  loss {row['train_loss']:.3f}  answer {row['train_answer_loss']:.3f}"
    if row["val_map"] is not None:
        text += f"  validation mAP {row['val_map']:.3f}  mAP50 {row['val_map50']:.3f}"
        for name in ("seen", "held-out"):
            if row[f"val_map50_{name}"] is not None:
                text += f"  {name} {row[f'val_map50_{name}']:.3f}"
    say(f"{text}  {row['seconds']:.1f} s")


class EpochSheets:
    """Sheets of the same validation pictures with truth and prediction, in RUN/sheets.

    Args:
        run: The run's folder.
        validation: The split.
        epochs: Of the whole training: which decide what is shown.
    """

    def __init__(self, run: Path, validation: DetectionSplit, epochs: int) -> None:
        self.run, self.validation, self.epochs = run, validation, epochs
        self.rows = sheets.fixed_rows(validation)

    def __call__(self, epoch: int, found: Sequence[Sequence[Found]]) -> None:
        """The boxes of every validation picture, at the best threshold."""
        if sheets.is_shown(epoch, self.epochs):
            threshold = metrics.best_threshold(list(zip(self.validation.truths, found, strict=True)))
            self._save(epoch, found, threshold)

    def before(self, found: Sequence[Sequence[Found]]) -> None:
        """Those of the pictures shown, before training: all that is said."""
        self._save(0, dict(zip(self.rows, found, strict=True)), 0.0)

    def _save(
        self, epoch: int, found: Mapping[int, Sequence[Found]] | Sequence[Sequence[Found]], threshold: float
    ) -> None:
        sheet = sheets.truth_and_prediction(self.validation, found, self.rows, threshold)
        sheets.save(sheet, self.run / "sheets" / f"epoch_{epoch:04d}.png")
