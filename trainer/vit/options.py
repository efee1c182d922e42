"""The options of `python -m trainer.vit`, in groups, and what each may be."""

import argparse
from pathlib import Path

from trainer.core import event_files, views
from trainer.core.options import add_options, number
from trainer.vit.network.model import SIZES, ViTConfig
from trainer.vit.run import TrainingConfig

EXAMPLE = """example:
  python -m trainer.vit
  python -m trainer.vit --data out/dataset --out out/run --epochs 40
  python -m trainer.predict --model out/run picture.png -o out/predictions"""


def picture_size(text: str) -> tuple[int, int]:
    """Parse `WxH` px."""
    width, cross, height = text.partition("x")
    if not cross or not width.isdecimal() or not height.isdecimal():
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT in px, such as 256x128, got {text!r}")
    if not (16 <= int(width) <= 4096 and 16 <= int(height) <= 4096):
        raise argparse.ArgumentTypeError(f"expected 16 to 4096 px each way, got {text!r}")
    return int(width), int(height)


def _beginning(p: argparse.ArgumentParser) -> argparse._ActionsContainer:
    """What a run begins with, and whether it is resumed; returns where the option of its weights goes."""
    again = p.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="resume RUN, with its own settings")
    again.add_argument("--overwrite", action="store_true", help="replace the files of an earlier run in RUN")
    begin = p.add_mutually_exclusive_group()
    begin.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings of an earlier run's config.json, without --init; options given win",
    )
    return begin


def _pictures(p: argparse._ActionsContainer) -> None:
    """Which pictures the network gets, beside the settings of the training."""
    p.add_argument(
        "--views",
        type=views.view_list,
        metavar="C,C,…",
        help="judge each part by all its pictures from these cameras together; all: every camera of the training "
        "split (each picture by itself)",
    )
    p.add_argument(
        "--image-size",
        type=picture_size,
        metavar="WxH",
        help="px; others are scaled to fit whole, the border repeated (size of the first training picture)",
    )


def _running(p: argparse._ActionsContainer) -> None:
    """What changes no result."""
    p.add_argument(
        "--no-check",
        dest="check",
        action="store_false",
        help="begin without learning one batch by heart first",
    )
    p.add_argument(
        "--time-limit",
        type=number(float, 0, 1e6, True),
        metavar="MIN",
        help="stop after the epoch in which it ends",
    )
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(auto: cuda where there is one)")
    p.add_argument("--tensorboard", action="store_true", help=f"write event files too, in RUN/{event_files.FOLDER}")


def parser() -> argparse.ArgumentParser:
    """The command's options. Those of the run default to None, so that --resume can tell what was given."""
    p = argparse.ArgumentParser(
        prog="python -m trainer.vit",
        description="Train a small ViT from scratch on a dataset made by `python -m generator build`.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    p.add_argument("--data", type=Path, metavar="DATASET", help="folder of the dataset (the only one in datasets/)")
    p.add_argument("--out", type=Path, metavar="RUN", help="folder of the run, new or empty (runs/DATASET-vit)")
    beginning = _beginning(p)
    training, pictures, network, running = map(p.add_argument_group, ("training", "pictures", "network", "running"))
    add_options({"": training, "pictures": pictures, "beginning": beginning}, TrainingConfig)
    _pictures(pictures)
    network.add_argument(
        "--size", choices=sorted(SIZES), help="the usual widths and depths, up to ViT-B; options given win"
    )
    add_options({"": network}, ViTConfig)
    _running(running)
    return p
