"""The options of `python -m trainer.vit`, in groups, and what each may be."""

import argparse
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from trainer.core import event_files, views
from trainer.core.options import number
from trainer.core.settings import INPUTS, ROWS, rising
from trainer.vit.network.model import SIZES, ViTConfig
from trainer.vit.run import RANGES, SHAPE_RANGES, TrainingConfig

EXAMPLE = """example:
  python -m trainer.vit
  python -m trainer.vit --data out/dataset --out out/run --epochs 40
  python -m trainer.predict --model out/run picture.png -o out/predictions"""

# Options that --resume takes from the run; each has the name of its setting.
TRAINING_OPTIONS = (
    *("epochs", "batch_size", "lr", "warmup", "weight_decay", "label_smoothing", "patch_weight"),
    *("close_ups", "close_up_px", "seed", "threads", "input", "augment", "accumulate", "ema", "patience"),
    *("stages", "balanced", "rows", "init", "amp"),
)
MODEL_OPTIONS = (*("patch_size", "dim", "depth", "heads", "mlp_ratio", "stem_width", "registers", "dropout"),)


def picture_size(text: str) -> tuple[int, int]:
    """Parse `WxH` px."""
    width, cross, height = text.partition("x")
    if not cross or not width.isdecimal() or not height.isdecimal():
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT in px, such as 256x128, got {text!r}")
    if not (16 <= int(width) <= 4096 and 16 <= int(height) <= 4096):
        raise argparse.ArgumentTypeError(f"expected 16 to 4096 px each way, got {text!r}")
    return int(width), int(height)


def stage_list(text: str) -> tuple[int, ...]:
    """Parse `10,20,30`: rising epochs."""
    numbers = tuple(int(part) if part.isdecimal() else 0 for part in text.split(","))
    if not rising(numbers):
        raise argparse.ArgumentTypeError(f"expected rising epochs such as 300,400,500, got {text!r}")
    return numbers


def setting(field: str) -> Callable[[str], float]:
    """A parser of one of the training's or the network's numbers, within its range."""
    kinds = {one.name: one.type for one in (*fields(ViTConfig), *fields(TrainingConfig))}
    ranges = {**RANGES, **SHAPE_RANGES}
    return number(kinds[field], *ranges[field])  # type: ignore[arg-type]


def _beginning(p: argparse.ArgumentParser) -> None:
    """What a run begins with, and whether it goes on."""
    again = p.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on from where RUN stands, with RUN's settings")
    again.add_argument("--overwrite", action="store_true", help="replace the files of an earlier run in RUN")
    begin = p.add_mutually_exclusive_group()
    begin.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings of an earlier run's config.json; options given win",
    )
    begin.add_argument(
        "--init",
        metavar="WEIGHTS",
        help="begin with the weights of this run (its classes may be others), or of a ViT as transformers saves it: "
        "a folder, or its name on the Hub such as google/vit-base-patch16-224",
    )


def _training(p: argparse.ArgumentParser, d: TrainingConfig) -> None:
    """Steps and losses."""
    p.add_argument("--epochs", type=setting("epochs"), help=f"passes over the training split ({d.epochs})")
    p.add_argument(
        "--batch-size",
        type=setting("batch_size"),
        help=f"pictures per step ({d.batch_size}); with --views parts (as many as have about {d.batch_size} pictures)",
    )
    p.add_argument("--accumulate", type=setting("accumulate"), metavar="N", help=f"batches per step ({d.accumulate})")
    p.add_argument("--lr", type=setting("lr"), help=f"highest learning rate ({d.lr:g})")
    p.add_argument("--warmup", type=setting("warmup"), help=f"share of the steps that warm up ({d.warmup:g})")
    p.add_argument("--weight-decay", type=setting("weight_decay"), help=f"AdamW's ({d.weight_decay:g})")
    p.add_argument("--label-smoothing", type=setting("label_smoothing"), help=f"({d.label_smoothing:g})")
    p.add_argument(
        "--patch-weight",
        type=setting("patch_weight"),
        help=f"weight of what the boxes teach the patches; 0: picture labels only ({d.patch_weight:g})",
    )
    p.add_argument(
        "--close-ups",
        type=setting("close_ups"),
        metavar="SHARE",
        help=f"share of the epochs that show close-ups of single pins only ({d.close_ups:g})",
    )
    p.add_argument(
        "--close-up-px",
        type=setting("close_up_px"),
        metavar="PX",
        help=f"side of a close-up: a pin and its neighbours ({d.close_up_px})",
    )


def _stopping_points(p: argparse.ArgumentParser, d: TrainingConfig) -> None:
    """What is kept, and when to stop."""
    p.add_argument(
        "--ema",
        type=setting("ema"),
        metavar="DECAY",
        help=f"measure and keep averaged weights, such as 0.99; 0: the weights themselves ({d.ema:g})",
    )
    p.add_argument(
        "--patience",
        type=setting("patience"),
        metavar="N",
        help=f"stop after N epochs with whole pictures without a better one; 0: never ({d.patience})",
    )
    p.add_argument(
        "--stages",
        type=stage_list,
        metavar="E,E,…",
        help="keep a copy of the run, and look where it looks, after these epochs (none)",
    )


def _pictures(p: argparse.ArgumentParser, d: TrainingConfig) -> None:
    """Which pictures train, and how they are shown."""
    p.add_argument(
        "--balanced",
        action="store_const",
        const=True,
        help="draw each class alike, whatever its share of the pictures",
    )
    p.add_argument(
        "--rows",
        choices=ROWS,
        help=f"all; those whose defects can be seen; of these, those outside the grey zone ({d.rows})",
    )
    p.add_argument(
        "--no-augment",
        dest="augment",
        action="store_const",
        const=False,
        help="train on pictures as they are",
    )
    p.add_argument("--seed", type=setting("seed"), help=f"({d.seed})")
    p.add_argument("--threads", type=setting("threads"), help="CPU threads (as many as PyTorch finds cores)")
    p.add_argument(
        "--amp",
        choices=("auto", "bf16", "off"),
        help="compute in bfloat16, keep float32 weights (auto: on a GPU that can)",
    )
    p.add_argument("--input", choices=INPUTS, help=f"which pictures of the dataset ({d.input})")
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


def _network(p: argparse.ArgumentParser, m: ViTConfig) -> None:
    """The network's shape."""
    p.add_argument("--patch-size", type=int, choices=(4, 8, 16), help=f"px, not above a pin's ({m.patch_size})")
    p.add_argument("--size", choices=sorted(SIZES), help="the usual widths and depths, up to ViT-B; options given win")
    p.add_argument("--dim", type=setting("dim"), help=f"width of a token ({m.dim})")
    p.add_argument("--depth", type=setting("depth"), help=f"transformer blocks ({m.depth})")
    p.add_argument("--heads", type=setting("heads"), help=f"attention heads ({m.heads})")
    p.add_argument(
        "--mlp-ratio",
        type=setting("mlp_ratio"),
        help=f"width of a block's MLP over --dim ({m.mlp_ratio:g})",
    )
    p.add_argument(
        "--stem-width",
        type=setting("stem_width"),
        metavar="N",
        help=f"channels of the stem's first convolution; each later one twice as many, up to --dim ({m.stem_width})",
    )
    p.add_argument(
        "--registers",
        type=setting("registers"),
        metavar="N",
        help=f"tokens beside the patches' ({m.registers})",
    )
    p.add_argument("--dropout", type=setting("dropout"), help=f"({m.dropout:g})")


def _running(p: argparse.ArgumentParser) -> None:
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
    d, m = TrainingConfig(), ViTConfig(("NG", "OK"), 256, 128)
    p.add_argument("--data", type=Path, metavar="DATASET", help="folder of the dataset (the only one in datasets/)")
    p.add_argument("--out", type=Path, metavar="RUN", help="folder of the run, new or empty (runs/DATASET-vit)")
    _beginning(p)
    _training(p, d)
    _stopping_points(p, d)
    _pictures(p, d)
    _network(p, m)
    _running(p)
    return p
