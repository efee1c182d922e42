"""The options of `python -m trainer.vit`, in groups."""

import argparse
from pathlib import Path

from generator.io.given_once import GivenOnce
from trainer.core import views
from trainer.core.options import add_options, parser_with_example
from trainer.core.training_command import add_again, add_places, add_running
from trainer.vit.network.model import SIZES, ViTConfig
from trainer.vit.run import TrainingConfig

EXAMPLE = """example:
  python -m trainer.vit
  python -m trainer.vit --data out/dataset --out out/run --epochs 40
  python -m trainer.predict --model out/run picture.png -o out/predictions"""


def picture_size(text: str) -> tuple[int, int]:
    """Parse --image-size `WxH` in px into width and height, each from 16 to 4096."""
    width, cross, height = text.partition("x")
    if not cross or not width.isdecimal() or not height.isdecimal():
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT in px, such as 256x128, got {text!r}")
    if not (16 <= int(width) <= 4096 and 16 <= int(height) <= 4096):
        raise argparse.ArgumentTypeError(f"expected 16 to 4096 px each way, got {text!r}")
    return int(width), int(height)


def _beginning(p: argparse.ArgumentParser) -> argparse._ActionsContainer:
    """Add --resume, --overwrite and --config; returns the group for --init, which excludes --config."""
    add_again(p)
    begin = p.add_mutually_exclusive_group()
    begin.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="config.json of an earlier run, whose settings replace the defaults; not with --init",
    )
    return begin


def _pictures(p: argparse._ActionsContainer) -> None:
    """Add options on pictures that are not settings of the training."""
    p.add_argument(
        "--views",
        action=GivenOnce,
        type=views.view_list,
        metavar="C,C,…",
        help="judge parts, each from the pictures of these cameras together; all: every camera of the training split; "
        "single: judge pictures one by one (default: all if every part has one picture from each camera, else single)",
    )
    p.add_argument(
        "--image-size",
        type=picture_size,
        metavar="WxH",
        help="picture size of the network in px; other pictures are scaled without distortion and filled up by "
        "repeating their border (default: size in the run of --config or --init; otherwise the first "
        "training picture's)",
    )


def _running(p: argparse._ActionsContainer) -> None:
    """Add options that do not change the result."""
    p.add_argument(
        "--no-check",
        dest="check",
        action="store_false",
        help="skip the checks before the training: of the labels, and whether the network learns one batch",
    )
    add_running(p)


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options; a setting of the run is None if its option is not given."""
    p = parser_with_example(
        "vit",
        "Train a small vision transformer (ViT) on a dataset made by `python -m generator build`.\n"
        "It classifies a picture of a connector as OK or as a class of defect (NG).",
        EXAMPLE,
    )
    add_places(p, "vit")
    beginning = _beginning(p)
    training, pictures, network, running = map(p.add_argument_group, ("training", "pictures", "network", "running"))
    add_options({"": training, "pictures": pictures, "beginning": beginning}, TrainingConfig)
    _pictures(pictures)
    network.add_argument(
        "--size",
        choices=sorted(SIZES),
        help="use the --dim, --depth, --heads and --mlp-ratio of the usual ViT of this size, unless they are given",
    )
    add_options({"": network}, ViTConfig)
    _running(running)
    return p
