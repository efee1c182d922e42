"""`python -m trainer.vit --data DATASET --out RUN`: train a small ViT from scratch on a built dataset.

RUN then holds config.json, metrics.csv (one line per epoch), curves.png, confusion.png, summary.json, the weights of
the best and the last epoch, and the state that `--resume` goes on from.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainer.core import card, checkpoint, event_files, frozen_threshold, metrics, row_facts, views
from trainer.core.checkpoint import TrainingConfig
from trainer.core.data import INPUTS, Data, channel_statistics, load_data
from trainer.core.distributed import join
from trainer.core.ema import Average
from trainer.core.errors import InputError
from trainer.core.options import (
    amp_of,
    check_folder,
    device_of,
    exit_code,
    number,
    repeatable,
    same_data,
    say,
    take_folder,
)
from trainer.vit import attention, doctor, hub_files, pretrained, results, run_page, training
from trainer.vit.answers import answer
from trainer.vit.network.model import SIZES, ViT, ViTConfig

EXAMPLE = """example:
  python -m trainer.vit --data out/dataset --out out/run --epochs 40
  python -m trainer.predict --model out/run picture.png -o out/predictions"""

# Options that --resume takes from the run, with their place in its configuration.
TRAINING_OPTIONS = {
    "epochs": "epochs",
    "batch_size": "batch_size",
    "lr": "lr",
    "warmup": "warmup",
    "weight_decay": "weight_decay",
    "label_smoothing": "label_smoothing",
    "patch_weight": "patch_weight",
    "close_ups": "close_ups",
    "close_up_px": "close_up_px",
    "seed": "seed",
    "threads": "threads",
    "input": "input",
    "augment": "augment",
    "accumulate": "accumulate",
    "ema": "ema",
    "patience": "patience",
    "stages": "stages",
    "balanced": "balanced",
    "rows": "rows",
    "init": "init",
    "amp": "amp",
}
MODEL_OPTIONS = {
    "patch_size": "patch_size",
    "dim": "dim",
    "depth": "depth",
    "heads": "heads",
    "mlp_ratio": "mlp_ratio",
    "stem_width": "stem_width",
    "registers": "registers",
    "dropout": "dropout",
}


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
    if not checkpoint.rising(numbers):
        raise argparse.ArgumentTypeError(f"expected rising epochs such as 300,400,500, got {text!r}")
    return numbers


def setting(field: str) -> Callable[[str], float]:
    """A parser of one of the training's or the network's numbers, within its range."""
    kinds = {one.name: one.type for one in (*fields(ViTConfig), *fields(TrainingConfig))}
    ranges = {**checkpoint.RANGES, **checkpoint.SHAPE_RANGES}
    return number(kinds[field], *ranges[field])  # type: ignore[arg-type]


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
    p.add_argument("--data", type=Path, required=True, metavar="DATASET", help="folder of the dataset")
    p.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run, new or empty")
    again = p.add_mutually_exclusive_group()
    again.add_argument(
        "--resume", action="store_true", help="go on from where RUN stands, with RUN's settings"
    )
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
    p.add_argument("--epochs", type=setting("epochs"), help=f"passes over the training split ({d.epochs})")
    p.add_argument(
        "--batch-size",
        type=setting("batch_size"),
        help=f"pictures per step ({d.batch_size}); with --views parts (as many as have about {d.batch_size} pictures)",
    )
    p.add_argument(
        "--accumulate", type=setting("accumulate"), metavar="N", help=f"batches per step ({d.accumulate})"
    )
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
    p.add_argument(
        "--balanced",
        action="store_const",
        const=True,
        help="draw each class alike, whatever its share of the pictures",
    )
    p.add_argument(
        "--rows",
        choices=row_facts.ROWS,
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
    p.add_argument(
        "--patch-size", type=int, choices=(4, 8, 16), help=f"px, not above a pin's ({m.patch_size})"
    )
    p.add_argument(
        "--size", choices=sorted(SIZES), help="the usual widths and depths, up to ViT-B; options given win"
    )
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
    p.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="(auto: cuda where there is one)"
    )
    p.add_argument(
        "--tensorboard", action="store_true", help=f"write event files too, in RUN/{event_files.FOLDER}"
    )
    return p


RUN_FILES = (
    *(checkpoint.CONFIG, checkpoint.BEST, checkpoint.LAST, checkpoint.STATE),
    *(training.METRICS, "curves.png", "confusion.png", "summary.json", frozen_threshold.FROZEN),
    *(*hub_files.CODE, hub_files.PROCESSOR),
    *(doctor.EXAMINATION, "report.html", "README.md"),
    "attention*",  # half written ones, of any stage: those folders go as a whole
)
RUN_FOLDERS = (training.STAGES, "attention", event_files.FOLDER)


def _resumed(args: argparse.Namespace) -> tuple[ViTConfig, TrainingConfig]:
    model, settings = checkpoint.load_config(args.out)
    problems = []
    for options, config in ((TRAINING_OPTIONS, settings), (MODEL_OPTIONS, model)):
        for option, field in options.items():
            given, kept = getattr(args, option), getattr(config, field)
            if given not in (None, "auto") and given != kept:
                flag = "--no-augment" if option == "augment" else "--" + option.replace("_", "-")
                problems.append(
                    f"{flag}: {args.out} was trained with {kept}, got {given}; --resume keeps the run's"
                )
    if args.image_size is not None and args.image_size != (model.width, model.height):
        problems.append(f"--image-size: {args.out} was trained with {model.width}x{model.height}")
    if problems:
        raise InputError(problems)
    same_data(args.data, args.out, settings.data_sha256)
    return model, settings


def _settings(args: argparse.Namespace, device: torch.device) -> TrainingConfig:
    """The settings: an earlier run's or the defaults, and what was given."""
    given = {f: getattr(args, o) for o, f in TRAINING_OPTIONS.items() if getattr(args, o) is not None}
    given["data_sha256"] = card.dataset_facts(args.data).get("content_sha256", "")
    if args.config is None or args.amp is not None:
        given["amp"] = amp_of(args.amp or "auto", device)
    if args.config is not None:
        return replace(checkpoint.read_config(args.config)[1], **given)
    given.setdefault("threads", torch.get_num_threads())
    if args.init and not pretrained.is_checkpoint(args.init):
        given["input"] = _input(args)
    return replace(TrainingConfig(), **given)


def _input(args: argparse.Namespace) -> str:
    """The pictures that the run of `--init` knows, unless `--input` says others; that is told."""
    known = checkpoint.load_config(Path(args.init))[1].input
    if args.input not in (None, known):
        say(
            f"WARNING: --input {args.input}: {args.init} was trained on {known}, and has never seen such pictures."
        )
        return args.input  # type: ignore[no-any-return]
    if args.input is None and known != TrainingConfig().input:
        say(f"--input {known}, as {args.init} was trained")
    return known


def _views(args: argparse.Namespace, data: Data) -> tuple[str, ...]:
    """The cameras whose pictures of a part are one example: what was given, or an earlier run's; else none."""
    if args.views is not None:
        return views.cameras_of(data.splits) if args.views == views.ALL else args.views
    return checkpoint.read_config(args.config)[0].views if args.config else ()


def _by_part(data: Data, cameras: tuple[str, ...], folder: Path) -> Data:
    """The data with an example per part where there are `cameras`; how many pictures are left out is said."""
    if not cameras:
        return data
    splits = views.by_part(data.splits, cameras, data.classes, f"--views {','.join(cameras)}: {folder}")
    for name, split in splits.items():
        if left := len(data.splits[name]) - len(split.runs):
            say(
                f"split {name}: {left} of {len(data.splits[name])} pictures left out by --views {','.join(cameras)}"
            )
    return replace(data, splits=splits)


def _network(
    args: argparse.Namespace,
    data: Data,
    settings: TrainingConfig,
    source: pretrained.Pretrained | None,
    cameras: tuple[str, ...],
) -> ViTConfig:
    """The network's shape: an earlier run's or the defaults, what was given, and what the data ask for."""
    given = {f: getattr(args, o) for o, f in MODEL_OPTIONS.items() if getattr(args, o) is not None}
    own = {"classes": data.classes, "width": data.size[0], "height": data.size[1], "views": cameras}
    split = data.splits["train"]
    if args.init and source is not None:
        statistics = channel_statistics(split.pictures, len(split.runs))
        shape = replace(source.network(data.classes, data.size, statistics, given), views=cameras)
        if strange := checkpoint.out_of_range(shape, checkpoint.SHAPE_RANGES):
            raise InputError([f"--init {args.init}: {problem}" for problem in strange])
        return shape
    if args.init:
        shape, _ = checkpoint.load_config(Path(args.init))
        wrong = [
            f"--{option.replace('_', '-')}: {args.init} has {getattr(shape, field)}, got {given[field]}"
            for option, field in MODEL_OPTIONS.items()
            if field in given and field != "dropout" and given[field] != getattr(shape, field)
        ]
        if shape.channels != split.pictures.channels:
            wrong.append(
                f"--input: {args.init} takes {shape.channels} channels, got {split.pictures.channels}"
            )
        if wrong:
            raise InputError(wrong)
        # Its first layer knows its own mean and spread, whatever the new pictures'.
        return replace(shape, **own, **given)
    base: dict[str, Any] = {}
    if args.config is not None:
        base = vars(checkpoint.read_config(args.config)[0]).copy()
    if base and settings.init:
        if base["channels"] != split.pictures.channels:
            raise InputError(
                f"--input: {settings.init}, which {args.config} begins with, takes {base['channels']} channels, "
                f"got {split.pictures.channels}"
            )
        mean, std = base["mean"], base["std"]
    else:
        mean, std = channel_statistics(split.pictures, len(split.runs))
    return ViTConfig(**{**base, **given, **own, "channels": len(mean), "mean": mean, "std": std})


def _size(args: argparse.Namespace) -> tuple[int, int] | None:
    """The pictures' (W, H) where an option or an earlier run says it."""
    if args.image_size is not None:
        return args.image_size  # type: ignore[no-any-return]
    of_run = args.init and not pretrained.is_checkpoint(args.init)
    earlier = args.config or (Path(args.init) / checkpoint.CONFIG if of_run else None)
    if earlier is None:
        return None
    shape, _ = checkpoint.read_config(earlier)
    return shape.width, shape.height


def _kept(data: Data, which: str, folder: Path) -> Data:
    """The rows that train and are measured; how many are left out is said."""
    splits = {
        name: split.subset(np.flatnonzero(row_facts.kept_rows(split, which)).tolist())
        for name, split in data.splits.items()
    }
    for name, split in splits.items():
        if not len(split):
            raise InputError(f"--data {folder} split {name}: --rows {which} leaves no row")
        if left := len(data.splits[name]) - len(split):
            what = "parts" if split.views > 1 else "rows"
            say(f"split {name}: {left} of {len(data.splits[name])} {what} left out by --rows {which}")
    return replace(data, splits=splits)


def _begin(model: ViT, init: str, source: pretrained.Pretrained | None) -> None:
    """Put the weights of `--init` into a new network, and say what was taken."""
    if pretrained.is_checkpoint(init):
        for line in pretrained.load(model, source or pretrained.read(init)):
            say(line)
        return
    new = checkpoint.load_classes(model, Path(init))
    say(f"begun with the weights of {init}" + (f"; new classes: {', '.join(new)}" if new else ""))


def _take(
    run: Path,
    overwrite: bool,
    model: ViT,
    optimizer: torch.optim.Optimizer,
    settings: TrainingConfig,
) -> None:
    """Make the folder the new run's, so that it can be resumed whenever it is killed.

    Weights in it that the run begins with go like the rest: the state of no epoch has them, until the first epoch's.
    """
    run.mkdir(parents=True, exist_ok=True)
    kept = list(hub_files.files_of(model.config))
    if settings.init and Path(settings.init).resolve().is_relative_to(run.resolve()):
        average = Average(model, settings.ema)
        checkpoint.save_state(run, model, optimizer, training.BEGINNING, average.held)
        kept.append(checkpoint.STATE)
    else:
        (run / checkpoint.STATE).unlink(missing_ok=True)  # never with the new settings
    checkpoint.save_config(run, model.config, settings)
    take_folder(run, overwrite, RUN_FILES, RUN_FOLDERS, kept)


class EpochReporter:
    """Says each epoch in one line; a collapse at once, and once, until the model has recovered. Feeds event files."""

    def __init__(self, events: event_files.EventFiles | None = None) -> None:
        self.warned: list[str] = []
        self.events = events

    def close(self) -> None:
        """Finish the event files."""
        if self.events is not None:
            self.events.close()

    def __call__(self, row: dict[str, object], warnings: list[str]) -> None:
        if self.events is not None:
            self.events.add(row)
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


class StageReporter(EpochReporter):
    """An `EpochReporter` that also looks where the network looks, after each stage."""

    def __init__(
        self,
        run: Path,
        data: Data,
        settings: TrainingConfig,
        device: torch.device,
        events: event_files.EventFiles | None = None,
    ) -> None:
        super().__init__(events)
        self._stages = settings.stages
        self._probes = attention.probes_of(data.splits, attention.SPLIT, len(data.classes))
        self._looks = attention.StageLooks(run, self._probes, device)

    def __call__(self, row: dict[str, object], warnings: list[str]) -> None:
        super().__call__(row, warnings)
        if row["epoch"] in self._stages:
            self._looks.update()

    def finish(self, run: Path) -> None:
        """Write RUN/attention: sheets, scores, curves and animation of all stages and the best weights."""
        if not (run / training.STAGES).is_dir():
            return  # stopped before the first
        looks, base = self._looks.finish()
        attention.write(run / results.ATTENTION, looks, base, self._probes)


def _finish(run: Path, data: Data, folder: Path, model: ViT, outcome: training.Outcome) -> None:
    """Measure the best weights on every split but train, and write summary and pictures."""
    from trainer.core import plots

    tensors, _ = checkpoint.read_tensors(run / checkpoint.BEST)
    checkpoint.load_weights(model, tensors, str(run / checkpoint.BEST))
    summary: dict[str, object] = {
        "data": card.dataset_facts(folder),
        "training_pictures": len(data.splits["train"].runs),
        **({"views": list(model.config.views)} if model.config.views else {}),
        "classes": list(data.classes),
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "best_by": "balanced accuracy on validation, then lower validation loss: its own number is optimistic",
        "stopped": outcome.stopped,
        "splits": {},
    }
    matrices = {}
    ok = model.config.ok_index
    for name, split in data.splits.items():
        if name == "train":
            continue
        answers = answer(model, split)
        if name == "validation":
            positions = row_facts.defect_positions(data.splits["train"], ok)
            held = frozen_threshold.freeze(run, answers.logits, split.labels.numpy(), ok, positions)
            summary["threshold"], summary["temperature"] = held.threshold, held.temperature
            summary["weights_sha256"] = held.weights_sha256
        matrix = metrics.confusion_matrix(answers.truth, answers.predicted, len(data.classes))
        matrices[name] = matrix
        shares = {"recall": metrics.recall(matrix), "precision": metrics.precision(matrix)}
        summary["splits"][name] = {  # type: ignore[index]
            "pictures": len(split),
            "accuracy": metrics.accuracy(matrix),
            "balanced_accuracy": metrics.balanced_accuracy(matrix),
            "loss": answers.loss,
            **{
                k: {c: None if v != v else float(v) for c, v in zip(data.classes, values, strict=True)}
                for k, values in shares.items()
            },
            "confusion": matrix.tolist(),
        }
        counted = f"{len(split)} {'parts' if split.views > 1 else 'pictures'}"
        say(f"{name}: accuracy {metrics.accuracy(matrix):.3f} on {counted} (best weights)")
    collapse = metrics.collapse_warning(matrices["validation"], data.classes)
    summary["warnings"] = [collapse] if collapse else []
    if collapse:
        say(f"WARNING: this run is not usable: {collapse}. {metrics.COLLAPSE_ADVICE}")
    checkpoint.write_text(run / "summary.json", json.dumps(summary, indent=2) + "\n")
    plots.curves(training.read_metrics(run, outcome.epochs), data.classes, run / "curves.png")
    plots.confusion(matrices, data.classes, run / "confusion.png")


def _examine(model: ViT, data: Data, settings: TrainingConfig) -> list[str]:
    """Labels against boxes, classes against each other, and one batch by heart, before anything is spent.

    Returns:
        What was found, in sentences without their full stop.

    Raises:
        InputError: Training cannot succeed as it is.
    """
    train, validation = data.splits["train"], data.splits["validation"]
    problems, warnings = doctor.check_labels(train, model.config.ok_index, data.classes)
    if problems:
        raise InputError([f"split train: {problem}" for problem in problems])
    warnings += doctor.check_classes(train, validation, data.classes)
    for warning in warnings:
        say(f"WARNING: {warning}.")
    found = doctor.examine(model, train, settings)
    if found.hopeless:
        raise InputError(f"not begun (--no-check begins all the same): {found.reason}")
    if not found.healthy:
        say(f"WARNING: {found.reason}.")
        return [*warnings, found.reason]
    learned = (
        f"one batch learned by heart in {found.steps} steps: loss {found.first_loss:.3f} to {found.last_loss:.3f}, "
        f"largest gradient {found.largest_gradient:.2g}"
    )
    say(learned)
    return [*warnings, learned]


def run(args: argparse.Namespace) -> int:
    """Train as the options say; returns the exit code."""
    for field, value in SIZES.get(args.size, {}).items():
        if getattr(args, field) is None:
            setattr(args, field, value)
    source = None
    share, device = join(device_of(args.device))
    events = event_files.EventFiles(args.out) if args.tensorboard and share.first else None
    check_folder(args.out, args.resume, args.overwrite, checkpoint.FORMAT)
    if args.resume:
        if args.config is not None:
            raise InputError("--config: --resume keeps the run's own settings")
        config, settings = _resumed(args)
        data = load_data(args.data, settings.input, (config.width, config.height))
        if data.classes != config.classes:
            raise InputError(
                f"--data {args.data}: {args.out} knows {config.classes}, the dataset has {data.classes}"
            )
        if args.views is not None and (given := _views(args, data)) != config.views:
            raise InputError(
                f"--views: {args.out} was trained with {','.join(config.views) or 'single pictures'}, "
                f"got {','.join(given)}; --resume keeps the run's"
            )
        data = _by_part(data, config.views, args.data)
    else:
        settings = _settings(args, device)
        if late := [epoch for epoch in settings.stages if epoch > settings.epochs]:
            raise InputError(f"--stages: expected epochs up to --epochs {settings.epochs}, got {late}")
        data = load_data(args.data, settings.input, _size(args))
        if settings.init and pretrained.is_checkpoint(settings.init):
            source = pretrained.read(settings.init)
        cameras = _views(args, data)
        data = _by_part(data, cameras, args.data)
        if cameras and args.batch_size is None and args.config is None:
            # About as many pictures per step, and so as many steps, as when each is an example.
            settings = replace(settings, batch_size=max(1, round(settings.batch_size / len(cameras))))
        config = _network(args, data, settings, source, cameras)
    if settings.batch_size < share.count:
        raise InputError(
            f"--batch-size: expected a picture at least for each of {share.count} processes, got {settings.batch_size}"
        )
    for warning in data.warnings:
        say(f"WARNING: {warning}")
    data = _kept(data, settings.rows, args.data)
    repeatable(device, settings.threads)
    model, optimizer = training.build(config, settings, device, share)
    # Killed in its first epoch, a run has its settings and nothing else: it begins again.
    goes_on = args.resume and (args.out / checkpoint.STATE).is_file()
    if settings.init and not goes_on:
        _begin(model, settings.init, source)
    found = _examine(model, data, settings) if args.check and not args.resume and share.first else []
    share.wait()  # until all have read what --overwrite removes
    if share.first and args.resume:
        take_folder(args.out, False, RUN_FILES, RUN_FOLDERS)
    elif share.first:
        _take(args.out, args.overwrite, model, optimizer, settings)
    if found:
        checkpoint.write_text(
            args.out / doctor.EXAMINATION, json.dumps({"found": found}, indent=2, ensure_ascii=False) + "\n"
        )
    boxed = bool(data.splits["train"].boxes_known.any())
    examples = f"parts, each from {', '.join(config.views)}" if config.views else "pictures"
    say(
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {config.width}x{config.height} px, "
        f"{len(data.splits['train'])} training and {len(data.splits['validation'])} validation {examples}, "
        + (f"{share.count} processes, each on " if share.count > 1 else "")
        + f"{device}, {settings.threads} threads{', bfloat16' if settings.amp == 'bf16' else ''}; "
        + ("boxes teach the patches" if boxed and settings.patch_weight > 0 else "picture labels only")
    )
    # The others look at nothing: attention is the first process's.
    looks = bool(settings.stages) and share.first
    reporter = StageReporter(args.out, data, settings, device, events) if looks else EpochReporter(events)
    outcome = training.train(
        data,
        model,
        optimizer,
        settings,
        args.out,
        resume=goes_on,
        time_limit_min=args.time_limit,
        share=share,
        report=reporter,
    )
    reporter.close()
    share.leave()
    if not share.first:
        return 0
    if outcome.stopped:
        say(f"stopped: {outcome.stopped}")
    if outcome.best_epoch == 0:
        say(
            "no epoch with whole pictures was finished: there is no best.safetensors; --resume, or give it more time"
        )
        return 1
    _finish(args.out, data, args.data, model, outcome)
    if isinstance(reporter, StageReporter):
        reporter.finish(args.out)
    say(f"run: {args.out}; report: {run_page.write_page(args.out)}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parser().parse_args(argv)
    kept = f"interrupted; the finished epochs are kept: go on with --resume --out {args.out}"
    return exit_code(lambda: run(args), kept)
