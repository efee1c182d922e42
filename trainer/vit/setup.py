"""Settings, data and shape of the network at the start of a training of `python -m trainer.vit`.

They come from options, an earlier run (--config, --init), a checkpoint (--init) and the dataset; with --resume they
come from the run itself.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainer.core import row_facts, views
from trainer.core.console import say
from trainer.core.data import load_data
from trainer.core.dataset_columns import lacking_line
from trainer.core.default_paths import dataset_facts, same_data
from trainer.core.distributed import process_count
from trainer.core.errors import InputError
from trainer.core.options import amp_of
from trainer.core.run_folder import CONFIG
from trainer.core.settings import given_settings, other_settings
from trainer.core.split import Data, Split, channel_statistics
from trainer.core.tolerance import tolerances_of
from trainer.vit import data_defaults, pretrained
from trainer.vit.measures import are_stated
from trainer.vit.network.model import ViT, ViTConfig
from trainer.vit.run import TrainingConfig, load_classes, load_config, read_config


@dataclass(frozen=True)
class Setup:
    """Settings, data and network of a training.

    Args:
        config, settings: Configuration of the network, and settings of the training.
        data: The dataset, with the rows that `--rows` keeps.
        source: The checkpoint that `--init` names; None if it names none.
        chosen: Settings that were chosen by the data, and why: see `data_defaults.fitted`.
    """

    config: ViTConfig
    settings: TrainingConfig
    data: Data
    source: pretrained.Pretrained | None = None
    chosen: tuple[str, ...] = ()

    @property
    def tolerance(self) -> dict[str, Any]:
        """Tolerance of the training rows: limits in mm by scene."""
        return tolerances_of(self.data.splits["train"].rows)


def new_setup(args: argparse.Namespace, device: torch.device) -> Setup:
    """Make the setup of a new training from its options and the run or checkpoint that they name.

    Raises:
        InputError: Options contradict each other or the dataset, or dataset, run or checkpoint cannot be read.
    """
    settings = _settings(args, device)
    data = load_data(args.data, settings.input, _size(args))
    is_checkpoint = settings.init and pretrained.is_checkpoint(settings.init)
    source = pretrained.read(settings.init) if is_checkpoint else None
    cameras = _views(args, data)
    by_data = args.views is None and args.config is None and bool(cameras)
    data = _by_part(data, cameras, args.data)
    if cameras and args.batch_size is None and args.config is None:
        # About the same number of pictures per step, and so of steps, as with single pictures; a part for each process.
        count = max(round(settings.batch_size / len(cameras)), process_count())
        settings = settings.changed({"batch_size": count})
    config = _network(args, data, settings, source, cameras)
    data = _kept(data, settings.rows, args.data)
    chosen: tuple[str, ...] = ()
    if args.config is None:
        given = given_settings(args, TrainingConfig)
        split = data.splits["train"]
        settings, chosen = data_defaults.fitted(settings, given, split, are_stated(split))
    if by_data:
        why = "every part has one picture from each of these cameras; --views single judges pictures one by one"
        chosen = (f"--views {','.join(cameras)}, because {why}", *chosen)
    if late := [epoch for epoch in settings.stages if epoch > settings.epochs]:
        raise InputError(f"--stages: expected epochs up to --epochs {settings.epochs}, got {late}")
    return Setup(config, settings, data, source, chosen)


def resumed_setup(args: argparse.Namespace) -> Setup:
    """Read the setup of the run in `args.out`, to resume the run.

    Raises:
        InputError: There is no run, an option contradicts its settings, or it was trained on another dataset.
    """
    if args.config is not None:
        raise InputError("expected no --config beside --resume, which keeps the run's settings")
    config, settings = load_config(args.out)
    problems = other_settings(args.out, settings, args) + other_settings(args.out, config, args)
    if args.image_size is not None and args.image_size != (config.width, config.height):
        given_size = "x".join(map(str, args.image_size))
        problems.append(
            f"--image-size: {args.out} was trained with {config.width}x{config.height} px, got {given_size}; "
            "--resume keeps the run's size"
        )
    if problems:
        raise InputError(problems)
    same_data(args.data, args.out, settings.data_sha256)
    data = load_data(args.data, settings.input, (config.width, config.height))
    if data.classes != config.classes:
        raise InputError(f"--data {args.data}: expected the classes {config.classes} of {args.out}, got {data.classes}")
    if args.views is not None and (given := _views(args, data)) != config.views:
        raise InputError(
            f"--views: expected {','.join(config.views) or 'single'}, with which {args.out} was trained, got "
            f"{','.join(given) or 'single'}; --resume keeps the run's views"
        )
    data = _by_part(data, config.views, args.data)
    return Setup(config, settings, _kept(data, settings.rows, args.data))


def put_weights(model: ViT, init: str, source: pretrained.Pretrained | None) -> None:
    """Load the weights of `--init` into a new network, and print where they are from.

    Args:
        model, init: The network, and the value of `--init`: folder of a run, or a checkpoint.
        source: The checkpoint, if it was read already; None: a checkpoint that `init` names is read here.
    """
    if pretrained.is_checkpoint(init):
        for line in pretrained.load(model, source or pretrained.read(init)):
            say(line)
        return
    new = load_classes(model, Path(init))
    say(f"starts with the weights of {init}" + (f"; random for the new classes: {', '.join(new)}" if new else ""))


def _settings(args: argparse.Namespace, device: torch.device) -> TrainingConfig:
    """Make the settings of a new training: those of --config or the defaults, replaced by the options given."""
    given = given_settings(args, TrainingConfig)
    given["data_sha256"] = dataset_facts(args.data).get("content_sha256", "")
    if args.config is None or args.amp is not None:
        given["amp"] = amp_of(args.amp or "auto", device)
    if args.config is not None:
        return read_config(args.config)[1].changed(given)
    given.setdefault("threads", torch.get_num_threads())
    if args.init and not pretrained.is_checkpoint(args.init):
        given["input"] = _input(args)
    return TrainingConfig(**given)


def _input(args: argparse.Namespace) -> str:
    """Return the kind of pictures: --input, else that of the run of --init; warns where the two differ."""
    known = load_config(Path(args.init))[1].input
    given: str | None = args.input
    if given not in (None, known):
        say(f"WARNING: --input {given}: {args.init} was trained on {known} pictures, never on {given} pictures.")
        return given
    if given is None and known != TrainingConfig().input:
        say(f"--input is set to {known}, because {args.init} was trained on such pictures")
    return known


def _size(args: argparse.Namespace) -> tuple[int, int] | None:
    """Return the picture size (W, H) in px of --image-size or of an earlier run; None: neither is given."""
    given: tuple[int, int] | None = args.image_size
    if given is not None:
        return given
    of_run = args.init and not pretrained.is_checkpoint(args.init)
    earlier = args.config or (Path(args.init) / CONFIG if of_run else None)
    if earlier is None:
        return None
    shape, _ = read_config(earlier)
    return shape.width, shape.height


def _views(args: argparse.Namespace, data: Data) -> tuple[str, ...]:
    """Return the cameras whose pictures of a part are one example: of --views, --config or the data; or SINGLE."""
    given: tuple[str, ...] | None = args.views
    if given is not None:
        return views.cameras_of(data.splits) if given == views.ALL else given
    return read_config(args.config)[0].views if args.config else views.common_cameras(data.splits)


def _by_part(data: Data, cameras: tuple[str, ...], folder: Path) -> Data:
    """Return the data with one example per part if there are `cameras`; prints how many pictures are left out."""
    if not cameras:
        return data
    splits = views.by_part(data.splits, cameras, data.classes, f"--views {','.join(cameras)}: {folder}")
    for name, split in splits.items():
        if left := len(data.splits[name]) - len(split.runs):
            say(f"split {name}: {left} of {len(data.splits[name])} pictures left out by --views {','.join(cameras)}")
    return replace(data, splits=splits)


def _kept(data: Data, which: str, folder: Path) -> Data:
    """Return the data with the rows that --rows keeps; prints how many are left out, and the data's warnings."""
    for warning in data.warnings:
        say(f"WARNING: {warning}")
    if data.lacking:
        say(lacking_line(data.lacking))
    splits = {
        name: split.subset(np.flatnonzero(row_facts.kept_rows(split, which)).tolist())
        for name, split in data.splits.items()
    }
    for name, split in splits.items():
        if not len(split):
            raise InputError(f"--data {folder} split {name}: expected rows to use, got none with --rows {which}")
        if left := len(data.splits[name]) - len(split):
            what = "parts" if split.views > 1 else "rows"
            say(f"split {name}: {left} of {len(data.splits[name])} {what} left out by --rows {which}")
    return replace(data, splits=splits)


def _network(
    args: argparse.Namespace,
    data: Data,
    settings: TrainingConfig,
    source: pretrained.Pretrained | None,
    cameras: tuple[str, ...],
) -> ViTConfig:
    """Make a new network's configuration: an earlier run's or the defaults, then options and the data's values."""
    given = given_settings(args, ViTConfig)
    own: dict[str, Any] = {"classes": data.classes, "width": data.size[0], "height": data.size[1], "views": cameras}
    split = data.splits["train"]
    # Not a matter of weights: a run of --init that judges at one place does not make the new run do so.
    places = {"shifts": given.get("shifts", _shifts(settings, split))}
    if args.init and source is not None:
        statistics = channel_statistics(split.pictures, len(split.runs))
        return replace(source.network(data.classes, data.size, statistics, given), views=cameras, **places)
    if args.init:
        # The first layer was trained with this mean and standard deviation: kept for the new pictures.
        return replace(_shape_of_run(args.init, given, split.pictures.channels), **{**own, **given, **places})
    base: dict[str, Any] = dict(places)
    if args.config is not None:
        base = vars(read_config(args.config)[0]).copy()
    if args.config is not None and settings.init:
        if base["channels"] != split.pictures.channels:
            raise InputError(
                f"--input: expected pictures of {base['channels']} channels, which the weights of {settings.init} "
                f"(init in {args.config}) need, got {split.pictures.channels}"
            )
        mean, std = base["mean"], base["std"]
    else:
        mean, std = channel_statistics(split.pictures, len(split.runs))
    return ViTConfig(**{**base, **given, **own, "channels": len(mean), "mean": mean, "std": std})


def _shifts(settings: TrainingConfig, split: Split) -> int:
    """At how many places a network judges unless an option says so: at one, if its training does not move pictures.

    Without boxes, augmentation moves pictures by 2 px only.
    """
    moves = settings.augment and bool(split.boxes_known.float().mean() > 0.5)
    return ViTConfig.shifts if moves else 1


def _shape_of_run(init: str, given: dict[str, Any], channels: int) -> ViTConfig:
    """Read the network's configuration of the run of `--init`, and check options and channels against it."""
    shape, _ = load_config(Path(init))
    wrong = [
        f"--{name.replace('_', '-')}: expected {getattr(shape, name)}, as --init {init} has, got {value}"
        for name, value in given.items()
        if name not in ("dropout", "shifts") and value != getattr(shape, name)
    ]
    if shape.channels != channels:
        wrong.append(f"--input: expected pictures of {shape.channels} channels, as --init {init} takes, got {channels}")
    if wrong:
        raise InputError(wrong)
    return shape
