"""Event files for TensorBoard in RUN/tensorboard: the numbers of metrics.csv, written after each epoch.

`tensorboard --logdir RUN` shows them. If a resumed run trains an epoch again, events of that and later epochs are
dropped.
"""

from pathlib import Path
from typing import Any

from trainer.core.errors import InputError

FOLDER = "tensorboard"


def event_writer_class() -> Any:
    """Import and return PyTorch's class that writes event files.

    Raises:
        InputError: The package `tensorboard` is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as e:
        raise InputError(
            f"--tensorboard: expected the package tensorboard, got {e}; to install it, run in this project's folder: "
            "pip install '.[tensorboard]'"
        ) from e
    return SummaryWriter


class EventFiles:
    """Writer of event files: call `add` after each epoch, and `close` at the end.

    Args:
        run: The run's folder; the files are in its folder `tensorboard`, which the first `add` makes.

    Raises:
        InputError: The package `tensorboard` is not installed.
    """

    def __init__(self, run: Path) -> None:
        self._class, self._folder = event_writer_class(), run / FOLDER
        self._writer: Any = None

    def add(self, row: dict[str, object]) -> None:
        """Write the numbers of one line of metrics.csv, by column, as events of its epoch (column `epoch`).

        The tag of column `train_X` is `train/X`, of `val_X` `validation/X`, of others the column's name. Text, bool and
        empty cells are left out.
        """
        epoch = int(row["epoch"])  # type: ignore[call-overload]
        if self._writer is None:
            # Drop events of this epoch and later ones that an earlier process wrote.
            self._writer = self._class(str(self._folder), purge_step=epoch)
        for name, value in row.items():
            if name == "epoch" or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            group, _, rest = name.partition("_")
            tag = {"train": f"train/{rest}", "val": f"validation/{rest}"}.get(group, name)
            self._writer.add_scalar(tag, value, epoch)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file, if one was opened."""
        if self._writer is not None:
            self._writer.close()
