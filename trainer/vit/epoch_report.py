"""Lines on the terminal for each epoch of a ViT's training."""

from collections.abc import Callable

from trainer.core.console import say
from trainer.core.run_folder import Row


class EpochReport:
    """Prints a line for each epoch; a warning of several epochs in a row is printed in the first of them only.

    Warnings of epochs of close-ups are not printed.

    Args:
        epochs: Returns the number of epochs of the training, which a time limit may reduce.
    """

    def __init__(self, epochs: Callable[[], int]) -> None:
        self.epochs = epochs
        self.warned: list[str] = []

    def __call__(self, row: Row, warnings: list[str]) -> None:
        if row["stage"] == "close-ups":
            say(
                f"epoch {row['epoch']} of {self.epochs()}  close-ups  loss {row['train_loss']:.3f}  "
                f"accuracy on pins {row['train_close_up_accuracy']:.3f}  {row['seconds']:.1f} s"
            )
            return
        say(
            f"epoch {row['epoch']} of {self.epochs()}  whole pictures  loss {row['train_loss']:.3f}  "
            f"accuracy {row['train_accuracy']:.3f}  "
            f"validation: accuracy {row['val_accuracy']:.3f} (loss {row['val_loss']:.3f}, most predicted: "
            f"{row['val_top_class']} {row['val_top_share']:.0%})  {row['seconds']:.1f} s"
        )
        for warning in warnings:
            if not any(warning.split(":")[-1] == old.split(":")[-1] for old in self.warned):
                usual = ". That is usual in the first epochs, but must not last" if "collapsed" in warning else ""
                say(f"WARNING: {warning}{usual}.")
        self.warned = warnings
