"""Prepare a training of `python -m trainer.florence2`: settings, dataset, model, and the parameters that train."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trainer.core.console import say
from trainer.core.data import first_size, read_dataset
from trainer.core.dataset_columns import ANSWER_READ, lacking, lacking_line
from trainer.core.default_paths import dataset_facts, same_data
from trainer.core.errors import InputError
from trainer.core.settings import given_settings, other_settings
from trainer.core.tolerance import tolerances_of
from trainer.florence2 import lora
from trainer.florence2.answers import Vocabulary
from trainer.florence2.batches import Collator
from trainer.florence2.data import DetectionData, detection_data
from trainer.florence2.network import TINY, choose_parameters, fitting_size, load, picture_size, trained_parameters
from trainer.florence2.run import LORA, DetectionConfig, Detector, load_config
from trainer.vit.network.model import OK_CLASS


@dataclass(frozen=True)
class Beginning:
    """Settings, data and model at the start of a training.

    Args:
        settings: Settings of the training.
        data: The dataset, its pictures scaled to the model's size.
        model: Florence-2 with `requires_grad` set on the parameters that train, or PEFT's model around it.
        collator: Makes the model's batches.
        matched: Linear layers to which LoRA was added; empty in other modes.
        source: The arguments of `network.load` that made the model: model, labels, size, seed.
        tolerance: Limits in mm of the training rows, by scene.
    """

    settings: DetectionConfig
    data: DetectionData
    model: Any
    collator: Collator
    matched: list[lora.Matched]
    source: tuple[str, list[str], tuple[int, int], int]
    tolerance: Mapping[str, Any]


# Settings that need the auxiliary losses, and what these learn by them.
_AUXILIARY = {"measure_weight": "measures", "region_weight": "regions", "balanced_positions": "regions"}


def settings_of(args: argparse.Namespace) -> DetectionConfig:
    """Make the settings of a new run: the options given, otherwise the defaults; without --model print what is trained.

    Raises:
        InputError: Options exclude each other.
    """
    given = given_settings(args, DetectionConfig)
    given.setdefault("threads", torch.get_num_threads())
    given["data_sha256"] = dataset_facts(args.data).get("content_sha256", "")
    mode = given.get("mode", "full")
    if "model" not in given:
        say(
            f"no --model given: training a small Florence-2 from random weights (--model {TINY}, --mode {mode}); "
            "to fine-tune a published one, give --model florence-community/Florence-2-base-ft"
        )
    elif given["model"] != TINY:
        _note_regions(given)
        given = {**DetectionConfig.published(mode), **given}
    problems = []
    if "longest_side" in given and given.get("model", TINY) != TINY:
        problems.append(
            f"--longest-side: expected --model {TINY}, got {given['model']}, whose processor sets the size of pictures"
        )
    if mode == "lora" and "train_share" in given:
        problems.append(
            "--train-share: expected a mode other than lora, got --mode lora; --lora-rank sets how much is trained"
        )
    if mode != "lora":
        problems += [
            f"{option}: expected only with --mode lora, got the mode {mode}"
            for option, name in LORA.items()
            if name in given
        ]
    scaffold = given.get("scaffold", DetectionConfig().scaffold)
    problems += [
        f"--{name.replace('_', '-')}: expected --scaffold above 0, got 0, with which no {what} are learned"
        for name, what in _AUXILIARY.items()
        if given.get(name) and not scaffold
    ]
    digits = given.get("digits", "as-is")
    if digits == "varied" and given.get("input") == "nsoart":
        problems.append("--digits varied: expected --input image, got nsoart, whose pictures show no texts as they are")
    if digits != "varied":
        if "digits_share" in given and digits not in ("printed", "overlaid"):
            problems.append(f"--digits-share: expected --digits varied, printed or overlaid, got {digits}")
        given.setdefault("digits_share", 1.0)
    if problems:
        raise InputError(problems)
    return DetectionConfig(**given)


def _note_regions(given: Mapping[str, Any]) -> None:
    """Print what a training that begins with an own run's model does not keep, unless the options `given` keep it."""
    try:
        settings, detector = load_config(Path(given["model"]).parent)
    except InputError:
        return  # another model
    if detector.pins and not (given.get("scaffold") and given.get("region_weight")):
        say(
            f"--model {given['model']}: found boxes will not be read again, as this model does; to keep that, give "
            f"--scaffold {settings.scaffold:g} --region-weight {settings.region_weight:g}"
        )


def resumed_settings(args: argparse.Namespace) -> tuple[DetectionConfig, Detector]:
    """Read the settings of the run in `args.out`, and its `Detector`.

    Raises:
        InputError: The folder contains no run, or an option or the dataset differs from the run's.
    """
    settings, detector = load_config(args.out)
    if problems := other_settings(args.out, settings, args):
        raise InputError(problems)
    same_data(args.data, args.out, settings.data_sha256)
    return settings, detector


def begin(args: argparse.Namespace, settings: DetectionConfig, held: Detector | None) -> Beginning:
    """Read the dataset, make the model, and choose its trained parameters.

    Args:
        args, settings: The command's parsed options, and the settings of the training.
        held: The `Detector` of the run that is resumed; None for a new run.

    Raises:
        InputError: Dataset or model cannot be read, or differ from the resumed run's; or --lora-target fits no layer.
    """
    dataset, classes = read_dataset(args.data, settings.input)
    if missing := lacking(next(iter(dataset.values())).features, ANSWER_READ):
        say(lacking_line(missing))
    stored_size = first_size(dataset, args.data, settings.input)
    labels = [name for name in classes if name != OK_CLASS]
    source = (settings.model, labels, fitting_size(stored_size, settings.longest_side), settings.seed)
    model, processor = load(*source)
    size = picture_size(processor)
    if held is not None and (classes, size) != (held.classes, held.size):
        raise InputError(
            f"--data {args.data}: expected the classes {list(held.classes)} and pictures of "
            f"{held.size[0]}x{held.size[1]} px, as {args.out} has, got {list(classes)} and {size[0]}x{size[1]} px"
        )
    data = detection_data(dataset, classes, args.data, settings.input, size)
    if not any(each.answer for each in data.splits["train"].truths):
        raise InputError(
            f"--data {args.data} split train: expected pictures with boxes of defects, got none: all "
            f"{len(data.splits['train'])} are OK"
        )
    vocabulary = Vocabulary(processor.tokenizer, labels, settings.remove_hyphens)
    collator = Collator(processor, vocabulary, classes, size)
    model, matched = _marked(settings, model, collator)
    tolerance = tolerances_of(truth.columns for truth in data.splits["train"].truths)
    return Beginning(settings, data, model, collator, matched, source, tolerance)


def _marked(settings: DetectionConfig, model: Any, collator: Collator) -> tuple[Any, list[lora.Matched]]:
    """Set which parameters train, or add LoRA, and print it; returns the model and the layers with LoRA."""
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if settings.mode == "lora":
        ids = collator.vocabulary.location_ids
        model, matched = lora.add(model, ids, settings.rank, settings.alpha, settings.target, settings.seed)
        for line in lora.described(matched, *trained_parameters(model)):
            say(line)
        return model, matched
    chosen = choose_parameters(model, settings.mode, settings.train_share)
    trained, every = trained_parameters(model)
    blocks = f"{len(chosen)} blocks, {chosen[0]} to {chosen[-1]}"
    say(f"{trained:,} of {every:,} parameters are trained ({trained / every:.1%}): {blocks}")
    return model, []
