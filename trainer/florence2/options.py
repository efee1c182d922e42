"""The options of `python -m trainer.florence2`, in groups."""

import argparse
from pathlib import Path

from trainer.core import event_files
from trainer.core.options import add_options, number
from trainer.florence2.run import DetectionConfig

EXAMPLE = """examples:
  python -m trainer.florence2
  python -m trainer.florence2 --data out/dataset --model tiny --out out/florence
  python -m trainer.florence2 --data out/dataset --model florence-community/Florence-2-base-ft --mode lora \\
      --out out/lora
  python -m trainer.predict --model out/florence picture.png -o out/predictions"""


def _again(p: argparse.ArgumentParser) -> None:
    """Whether a run is resumed, replaced, or none of its own."""
    again = p.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="resume RUN, with its own settings")
    again.add_argument("--overwrite", action="store_true", help="replace the files of an earlier run in RUN")
    again.add_argument(
        "--compare",
        metavar="MODES",
        help="train several modes at equal data, seed and budget, such as lora,full:50,full; a number is a train share",
    )
    again.add_argument("--dry-run", action="store_true", help="shapes, what trains, estimated memory; no training")


def _running(train: argparse._ActionsContainer) -> None:
    """What changes no result."""
    train.add_argument("--time-limit", type=number(float, 0, 1e6, True), metavar="MIN", help="stop after that epoch")
    train.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(auto)")
    train.add_argument("--tensorboard", action="store_true", help=f"write event files too, in RUN/{event_files.FOLDER}")


def _afterwards(p: argparse.ArgumentParser) -> None:
    """What follows the training."""
    after = p.add_argument_group("afterwards")
    after.add_argument("--photos", type=Path, metavar="FOLDER", help="also check forgetting on these pictures")
    after.add_argument("--push", metavar="OWNER/NAME", help="upload the model and its card to the Hub")
    after.add_argument("--private", action="store_true", help="with --push: create it private")


def parser() -> argparse.ArgumentParser:
    """The command's options. Those of the run default to None, so that --resume can tell what was given."""
    p = argparse.ArgumentParser(
        prog="python -m trainer.florence2",
        description="Train Florence-2 to box bent and missing pins, on a dataset made by `python -m generator build`.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    p.add_argument("--data", type=Path, metavar="DATASET", help="folder of the dataset (the only one in datasets/)")
    p.add_argument("--out", type=Path, metavar="RUN", help="folder of the run, new or empty (runs/DATASET-florence2)")
    _again(p)
    train, lora, data = map(p.add_argument_group, ("training", "LoRA", "data"))
    add_options({"model": p, "": train, "LoRA": lora, "data": data}, DetectionConfig)
    _running(train)
    _afterwards(p)
    return p
