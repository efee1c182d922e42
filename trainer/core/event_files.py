"""Event files for TensorBoard: the numbers of metrics.csv while they come about, in RUN/tensorboard.

`tensorboard --logdir RUN` shows them. metrics.csv stays the record: of a killed and resumed run, TensorBoard drops the
events of epochs that were trained again.
"""

from pathlib import Path
from typing import Any

from trainer.core.errors import InputError

FOLDER = "tensorboard"


def event_writer_class() -> Any:
    """PyTorch's writer of event files.

    Raises:
        InputError: The package `tensorboard` is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as e:
        raise InputError(
            f"--tensorboard: expected the package tensorboard, got {e}; in this project's folder: pip install "
            "'.[tensorboard]'"
        ) from e
    return SummaryWriter


class EventFiles:
    """Writes each epoch's numbers under `train/`, `validation/` and, where neither fits, by their name.

    Args:
        run: The run's folder.

    Raises:
        InputError: The package `tensorboard` is not installed.
    """

    def __init__(self, run: Path) -> None:
        self._class, self._folder = event_writer_class(), run / FOLDER
        self._writer: Any = None

    def add(self, row: dict[str, object]) -> None:
        """Write one line of metrics.csv."""
        epoch = int(row["epoch"])  # type: ignore[call-overload]
        if self._writer is None:
            # What an earlier process wrote of this epoch and later ones does not count.
            self._writer = self._class(str(self._folder), purge_step=epoch)
        for name, value in row.items():
            if name == "epoch" or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            group, _, rest = name.partition("_")
            tag = {"train": f"train/{rest}", "val": f"validation/{rest}"}.get(group, name)
            self._writer.add_scalar(tag, value, epoch)
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()
