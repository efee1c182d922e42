"""The options of `python -m trainer.florence2`, in groups."""

import argparse
from pathlib import Path

from generator.io.given_once import GivenOnce
from trainer.core.options import add_options, parser_with_example
from trainer.core.training_command import add_again, add_places, add_running
from trainer.florence2.run import DetectionConfig

DESCRIPTION = """Train Florence-2 to draw a box around each defective pin and name its class (BENDNG: bent; NUKENG:
missing or not seated; OTHERNG: any other defect), on a dataset made by `python -m generator build`. Its
answers to the task <OD> (object detection) state boxes in thousandths of the picture (bins).
Defaults are in brackets; if there are two, `tiny` is for --model tiny, `published` for every other model."""
EXAMPLE = """examples:
  python -m trainer.florence2
  python -m trainer.florence2 --data out/dataset --model tiny --out out/florence
  python -m trainer.florence2 --data out/dataset --model florence-community/Florence-2-base-ft --mode lora \\
      --out out/lora
  python -m trainer.predict --model out/florence picture.png -o out/predictions"""


def _again(p: argparse.ArgumentParser) -> None:
    """Add the options that resume or replace a run, compare modes, or do a dry run."""
    again = add_again(p)
    again.add_argument(
        "--compare",
        action=GivenOnce,
        metavar="MODES",
        help="train in each of these modes, such as lora,full:50,full, with equal data, seed and epochs, and compare "
        "the results; full:50 stands for --mode full with --train-share 50; --out is the folder of all runs",
    )
    again.add_argument(
        "--dry-run",
        action="store_true",
        help="only print tensor shapes, which parameters would be trained, and estimated memory",
    )


def _afterwards(p: argparse.ArgumentParser) -> None:
    """Add the options of what follows the training, such as the upload."""
    after = p.add_argument_group("after the training")
    after.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help="folder of your own pictures, on which the model's answers before and after training are compared, in "
        "addition to pictures of simple objects that the command draws; only the first 24 by name are used",
    )
    after.add_argument("--push", metavar="OWNER/NAME", help="upload the model and its card to the Hugging Face Hub")
    after.add_argument("--private", action="store_true", help="with --push: make a new repository private")


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options; a setting of the run is None if its option is not given."""
    p = parser_with_example("florence2", DESCRIPTION, EXAMPLE)
    add_places(p, "florence2")
    _again(p)
    train = p.add_argument_group("training")
    lora = p.add_argument_group("LoRA", "with --mode lora: small matrices train beside frozen linear layers")
    data = p.add_argument_group("data")
    add_options({"model": p, "": train, "LoRA": lora, "data": data}, DetectionConfig)
    add_running(train)
    _afterwards(p)
    return p
