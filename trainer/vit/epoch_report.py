"""What is said of each epoch of a ViT's training."""

from trainer.core.console import say
from trainer.core.run_folder import Row


class EpochReport:
    """Says each epoch in one line; a collapse at once, and once, until the network has recovered."""

    def __init__(self) -> None:
        self.warned: list[str] = []

    def __call__(self, row: Row, warnings: list[str]) -> None:
        if row["stage"] == "close-ups":
            say(
                f"epoch {row['epoch']:>4}  close-ups  loss {row['train_loss']:.3f}  "
                f"pins right {row['train_close_up_accuracy']:.3f}  {row['seconds']:.1f} s"
            )
            return
        say(
            f"epoch {row['epoch']:>4}  pictures   loss {row['train_loss']:.3f}  train {row['train_accuracy']:.3f}  "
            f"validation {row['val_accuracy']:.3f} (loss {row['val_loss']:.3f}, most often "
            f"{row['val_top_class']} {row['val_top_share']:.0%})  {row['seconds']:.1f} s"
        )
        for warning in warnings:
            if not any(warning.split(":")[-1] == old.split(":")[-1] for old in self.warned):
                usual = ". Usual in the first epochs, wrong if it stays" if "collapsed" in warning else ""
                say(f"WARNING: {warning}{usual}.")
        self.warned = warnings
