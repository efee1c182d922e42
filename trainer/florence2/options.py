"""The options of `python -m trainer.florence2`, in groups."""

import argparse
from pathlib import Path

from trainer.core import event_files
from trainer.core.options import number
from trainer.florence2.data import DIGITS
from trainer.florence2.network import MODES
from trainer.florence2.run import DetectionConfig

EXAMPLE = """examples:
  python -m trainer.florence2
  python -m trainer.florence2 --data out/dataset --model tiny --out out/florence
  python -m trainer.florence2 --data out/dataset --model florence-community/Florence-2-base-ft --mode lora \\
      --out out/lora
  python -m trainer.predict --model out/florence picture.png -o out/predictions"""

# Options that --resume takes from the run; each has the name of its setting, but for those of `SETTINGS`.
OPTIONS = (
    *("model", "mode", "train_share", "epochs", "batch_size", "accumulate", "lr", "warmup", "weight_decay"),
    *("ema", "location_smoothing", "scaffold", "close_ups", "lora_rank", "lora_alpha", "lora_target"),
    *("gradient_checkpointing", "digits", "digits_share", "remove_hyphens", "limit", "seed", "threads"),
    *("input", "augment", "evaluate_every"),
)
LORA = {"lora_rank": "rank", "lora_alpha": "alpha", "lora_target": "target"}
SETTINGS = {name: LORA.get(name, name) for name in OPTIONS}
INPUTS = ("image", "nsoart")


def _model(p: argparse.ArgumentParser) -> None:
    """The model, what of it trains, and whether a run goes on."""
    p.add_argument("--model", metavar="ID_OR_PATH", help="tiny, a checkpoint's folder, or its id on a hub (tiny)")
    p.add_argument("--mode", choices=MODES, help="what trains (full)")
    p.add_argument(
        "--train-share",
        type=number(float, 0, 100, True),
        metavar="P",
        help="per cent of the parameters that train at most, taken from the answer back to the picture (100)",
    )
    again = p.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on from where RUN stands, with its settings")
    again.add_argument("--overwrite", action="store_true", help="replace the files of an earlier run in RUN")
    again.add_argument(
        "--compare",
        metavar="MODES",
        help="train several modes at equal data, seed and budget, such as lora,full:50,full; a number is a train share",
    )
    again.add_argument("--dry-run", action="store_true", help="shapes, what trains, estimated memory; no training")


def _steps(train: argparse._ArgumentGroup, d: DetectionConfig) -> None:
    """Epochs, batches, learning rate."""
    train.add_argument(
        "--epochs",
        type=number(int, 1, 100_000),
        help=f"passes over the training split ({d.epochs}; published: 12)",
    )
    train.add_argument("--batch-size", type=number(int, 1, 4096), help=f"pictures per batch ({d.batch_size})")
    train.add_argument("--accumulate", type=number(int, 1, 4096), help=f"batches per step ({d.accumulate})")
    train.add_argument(
        "--lr",
        type=number(float, 0, 10, True),
        help=f"highest learning rate (tiny {d.lr:g}; published by mode)",
    )
    train.add_argument("--warmup", type=number(float, 0, 1), help=f"share of the steps ({d.warmup:g})")
    train.add_argument("--weight-decay", type=number(float, 0, 10), help=f"AdamW's ({d.weight_decay:g})")


def _teaching(train: argparse._ArgumentGroup, d: DetectionConfig) -> None:
    """Averages, and what the boxes teach beside the answer."""
    train.add_argument(
        "--ema", type=number(float, 0, 0.99999), help=f"decay of the weights' average, 0: none ({d.ema:g})"
    )
    train.add_argument(
        "--location-smoothing",
        type=number(float, 0, 100),
        metavar="BINS",
        help=f"spread of a location's target (tiny {d.location_smoothing:g}; published 0)",
    )
    train.add_argument(
        "--scaffold",
        type=number(float, 0, 1000),
        help=f"weight of what the boxes teach beside the answer (tiny {d.scaffold:g}; published 0)",
    )
    train.add_argument(
        "--close-ups",
        type=number(float, 0, 1),
        metavar="SHARE",
        help=f"share of the epochs that show close-ups (tiny {d.close_ups:g}; published 0)",
    )


def _running(train: argparse._ArgumentGroup, d: DetectionConfig) -> None:
    """Seeds, time, devices."""
    train.add_argument("--gradient-checkpointing", action="store_const", const=True, help="less memory, more time")
    train.add_argument("--seed", type=number(int, 0, 2**31 - 1), help=f"({d.seed})")
    train.add_argument("--threads", type=number(int, 1, 1024), help="CPU threads (as many as PyTorch finds cores)")
    train.add_argument("--time-limit", type=number(float, 0, 1e6, True), metavar="MIN", help="stop after that epoch")
    train.add_argument(
        "--evaluate-every", type=number(int, 1, 100_000), metavar="N", help=f"epochs ({d.evaluate_every})"
    )
    train.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(auto)")
    train.add_argument("--tensorboard", action="store_true", help=f"write event files too, in RUN/{event_files.FOLDER}")


def _lora(p: argparse.ArgumentParser, d: DetectionConfig) -> None:
    """LoRA's."""
    lora = p.add_argument_group("LoRA")
    lora.add_argument("--lora-rank", type=number(int, 1, 1024), help=f"({d.rank})")
    lora.add_argument("--lora-alpha", type=number(int, 1, 4096), help=f"scale times rank ({d.alpha})")
    lora.add_argument("--lora-target", metavar="REGEX", help="linear layers by whole name (all, of every part)")


def _pictures(p: argparse.ArgumentParser, d: DetectionConfig) -> None:
    """Which pictures train, and how."""
    data = p.add_argument_group("data")
    data.add_argument("--input", choices=INPUTS, help=f"which pictures of the dataset ({d.input})")
    data.add_argument(
        "--digits",
        choices=DIGITS,
        help="as-is: all pictures; printed: those with print on the housing; overlaid: cavity numbers drawn over them; "
        f"none: those without print ({d.digits})",
    )
    data.add_argument(
        "--digits-share", type=number(float, 0, 1), metavar="S", help="share of the pictures with them (1)"
    )
    data.add_argument(
        "--remove-hyphens",
        action="store_const",
        const=True,
        help="write labels without hyphens, as the source did",
    )
    data.add_argument("--limit", type=number(int, 0, 10**9), metavar="N", help="train on N pictures; 0: all (0)")
    data.add_argument("--no-augment", dest="augment", action="store_const", const=False, help="pictures as they are")


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
    d = DetectionConfig()
    p.add_argument("--data", type=Path, metavar="DATASET", help="folder of the dataset (the only one in datasets/)")
    p.add_argument("--out", type=Path, metavar="RUN", help="folder of the run, new or empty (runs/DATASET-florence2)")
    _model(p)
    train = p.add_argument_group("training")
    _steps(train, d)
    _teaching(train, d)
    _running(train, d)
    _lora(p, d)
    _pictures(p, d)
    _afterwards(p)
    return p
