"""What a training of `python -m trainer.vit` begins with: settings, data and network shape, from options, an earlier
run, a checkpoint and the dataset; or, resumed, the run's own.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainer.core import row_facts, views
from trainer.core.columns_read import lacking_line
from trainer.core.console import say
from trainer.core.data import load_data
from trainer.core.errors import InputError
from trainer.core.options import amp_of
from trainer.core.places import dataset_facts, same_data
from trainer.core.run_folder import CONFIG
from trainer.core.settings import given_settings, other_settings
from trainer.core.split import Data, channel_statistics
from trainer.vit import pretrained
from trainer.vit.network.model import ViT, ViTConfig
from trainer.vit.run import TrainingConfig, load_classes, load_config, read_config


@dataclass(frozen=True)
class Beginning:
    """What a training begins with.

    Args:
        config: The network's shape.
        settings: Of the training.
        data: Of which only the rows that count are kept.
        source: The checkpoint that `--init` names; None without.
    """

    config: ViTConfig
    settings: TrainingConfig
    data: Data
    source: pretrained.Pretrained | None = None


def new_beginning(args: argparse.Namespace, device: torch.device) -> Beginning:
    """What options, and the run or checkpoint that they name, ask for.

    Raises:
        InputError: They contradict each other, or the dataset.
    """
    settings = _settings(args, device)
    if late := [epoch for epoch in settings.stages if epoch > settings.epochs]:
        raise InputError(f"--stages: expected epochs up to --epochs {settings.epochs}, got {late}")
    data = load_data(args.data, settings.input, _size(args))
    is_checkpoint = settings.init and pretrained.is_checkpoint(settings.init)
    source = pretrained.read(settings.init) if is_checkpoint else None
    cameras = _views(args, data)
    data = _by_part(data, cameras, args.data)
    if cameras and args.batch_size is None and args.config is None:
        # About as many pictures per step, and so as many steps, as when each is an example.
        settings = settings.changed({"batch_size": max(1, round(settings.batch_size / len(cameras)))})
    config = _network(args, data, settings, source, cameras)
    return Beginning(config, settings, _kept(data, settings.rows, args.data), source)


def resumed_beginning(args: argparse.Namespace) -> Beginning:
    """What the run in `args.out` began with.

    Raises:
        InputError: There is none, an option asks for another setting, or the dataset is another.
    """
    if args.config is not None:
        raise InputError("--config: --resume keeps the run's own settings")
    config, settings = load_config(args.out)
    problems = other_settings(args.out, settings, args) + other_settings(args.out, config, args)
    if args.image_size is not None and args.image_size != (config.width, config.height):
        problems.append(f"--image-size: {args.out} was trained with {config.width}x{config.height}")
    if problems:
        raise InputError(problems)
    same_data(args.data, args.out, settings.data_sha256)
    data = load_data(args.data, settings.input, (config.width, config.height))
    if data.classes != config.classes:
        raise InputError(f"--data {args.data}: {args.out} knows {config.classes}, the dataset has {data.classes}")
    if args.views is not None and (given := _views(args, data)) != config.views:
        raise InputError(
            f"--views: {args.out} was trained with {','.join(config.views) or 'single pictures'}, "
            f"got {','.join(given)}; --resume keeps the run's"
        )
    data = _by_part(data, config.views, args.data)
    return Beginning(config, settings, _kept(data, settings.rows, args.data))


def put_weights(model: ViT, init: str, source: pretrained.Pretrained | None) -> None:
    """Put the weights of `--init` into a new network, and say what was taken."""
    if pretrained.is_checkpoint(init):
        for line in pretrained.load(model, source or pretrained.read(init)):
            say(line)
        return
    new = load_classes(model, Path(init))
    say(f"begun with the weights of {init}" + (f"; new classes: {', '.join(new)}" if new else ""))


def _settings(args: argparse.Namespace, device: torch.device) -> TrainingConfig:
    """The settings: an earlier run's or the defaults, and what was given."""
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
    """The pictures that the run of `--init` knows, unless `--input` says others; that is told."""
    known = load_config(Path(args.init))[1].input
    given: str | None = args.input
    if given not in (None, known):
        say(f"WARNING: --input {given}: {args.init} was trained on {known}, and has never seen such pictures.")
        return given
    if given is None and known != TrainingConfig().input:
        say(f"--input {known}, as {args.init} was trained")
    return known


def _size(args: argparse.Namespace) -> tuple[int, int] | None:
    """The pictures' (W, H) where an option or an earlier run says it."""
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
    """The cameras whose pictures of a part are one example: what was given, or an earlier run's; else none."""
    given: tuple[str, ...] | None = args.views
    if given is not None:
        return views.cameras_of(data.splits) if given == views.ALL else given
    return read_config(args.config)[0].views if args.config else ()


def _by_part(data: Data, cameras: tuple[str, ...], folder: Path) -> Data:
    """The data with an example per part where there are `cameras`; how many pictures are left out is said."""
    if not cameras:
        return data
    splits = views.by_part(data.splits, cameras, data.classes, f"--views {','.join(cameras)}: {folder}")
    for name, split in splits.items():
        if left := len(data.splits[name]) - len(split.runs):
            say(f"split {name}: {left} of {len(data.splits[name])} pictures left out by --views {','.join(cameras)}")
    return replace(data, splits=splits)


def _kept(data: Data, which: str, folder: Path) -> Data:
    """The rows that train and are measured; how many are left out is said, and so are the data's warnings."""
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
            raise InputError(f"--data {folder} split {name}: --rows {which} leaves no row")
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
    """The network's shape: an earlier run's or the defaults, what was given, and what the data ask for."""
    given = given_settings(args, ViTConfig)
    own: dict[str, Any] = {
        "classes": data.classes,
        "width": data.size[0],
        "height": data.size[1],
        "views": cameras,
    }
    split = data.splits["train"]
    if args.init and source is not None:
        statistics = channel_statistics(split.pictures, len(split.runs))
        return replace(source.network(data.classes, data.size, statistics, given), views=cameras)
    if args.init:
        # Its first layer knows its own mean and spread, whatever the new pictures'.
        return replace(_shape_of_run(args.init, given, split.pictures.channels), **own, **given)
    base: dict[str, Any] = {}
    if args.config is not None:
        base = vars(read_config(args.config)[0]).copy()
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


def _shape_of_run(init: str, given: dict[str, Any], channels: int) -> ViTConfig:
    """The shape of the run that `--init` names.

    Raises:
        InputError: An option asks for another, or the pictures have other channels.
    """
    shape, _ = load_config(Path(init))
    wrong = [
        f"--{name.replace('_', '-')}: {init} has {getattr(shape, name)}, got {value}"
        for name, value in given.items()
        if name != "dropout" and value != getattr(shape, name)
    ]
    if shape.channels != channels:
        wrong.append(f"--input: {init} takes {shape.channels} channels, got {channels}")
    if wrong:
        raise InputError(wrong)
    return shape
