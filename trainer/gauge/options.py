"""The options of `python -m trainer.gauge`."""

import argparse
from pathlib import Path

from trainer.core import event_files
from trainer.core.options import add_options, number
from trainer.gauge.run import GaugeConfig, TrainingConfig

EXAMPLE = """example:
  python -m generator design manifests/gauge_connector_3x9.toml -o gauge.csv
  python -m generator render gauge.csv && python -m generator build
  python -m trainer.gauge
  python -m trainer.predict --model runs/gauge-gauge center.png top.png left.png --scene connector_3x9 -o out"""


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options; a setting of the run is None if its option is not given."""
    p = argparse.ArgumentParser(
        prog="python -m trainer.gauge",
        description="Train a gauge on a dataset made by `python -m generator build`: a network that measures every pin "
        "of a connector in mm, and states the uncertainty of each measure.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    p.add_argument(
        "--data", type=Path, metavar="DATASET", help="folder of the dataset (default: the only one in datasets/)"
    )
    out = "folder of the run, new or empty (default: unfinished run with these settings, or new runs/DATASET-gauge)"
    p.add_argument("--out", type=Path, metavar="RUN", help=out)
    again = p.add_mutually_exclusive_group()
    again.add_argument(
        "--resume",
        action="store_true",
        help="continue the training of RUN after its last finished epoch, with the settings with which it was started",
    )
    again.add_argument(
        "--overwrite", action="store_true", help="delete the files of an earlier run in RUN and start a new one"
    )
    training, running = map(p.add_argument_group, ("training", "running"))
    add_options({"": training, "beginning": training}, TrainingConfig)
    add_options({"": training}, GaugeConfig)
    running.add_argument(
        "--time-limit",
        type=number(float, 0, 1e6, True),
        metavar="MIN",
        help="minutes from the start of the command, within which the training ends: the number of epochs is reduced "
        "to those that fit. With --resume the number is kept, but the training stops after the epoch in which the time "
        "ends (default: no limit)",
    )
    running.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="device; auto: a GPU if there is one (default: auto)",
    )
    running.add_argument(
        "--tensorboard", action="store_true", help=f"write event files for TensorBoard, in RUN/{event_files.FOLDER}"
    )
    return p
