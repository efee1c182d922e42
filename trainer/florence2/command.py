"""`python -m trainer.florence2 --data DATASET --model ID_OR_PATH --mode MODE --out RUN`: train Florence-2's `<OD>`.

`--model tiny` builds a small Florence-2 on the spot and trains it from random weights on a CPU; a published checkpoint
(`florence-community/Florence-2-base-ft`, `-large`) or a folder is fine-tuned: all of it, a part, a share, or by LoRA.
docs/florence2.md explains options and files.
"""

import argparse
import resource
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from generator.dataset.hub import HubError, name_problem
from trainer.core import checkpoint
from trainer.core.card import dataset_facts
from trainer.core.data import first_size, read_dataset
from trainer.core.errors import InputError
from trainer.core.options import (
    check_folder,
    device_of,
    exit_code,
    number,
    repeatable,
    same_data,
    say,
    take_folder,
)
from trainer.florence2.data import DIGITS, Collator, DetectionData, detection_data
from trainer.florence2.network import (
    MODES,
    TINY,
    bytes_needed,
    choose_parameters,
    fitting_size,
    load,
    picture_size,
    trained_parameters,
)
from trainer.florence2.run import ADAPTER, FORMAT, MODEL, DetectionConfig, Detector, load_config, save_config
from trainer.vit.network.model import OK_CLASS
from trainer.vit.training import METRICS

EXAMPLE = """examples:
  python -m trainer.florence2 --data out/dataset --model tiny --out out/florence
  python -m trainer.florence2 --data out/dataset --model florence-community/Florence-2-base-ft --mode lora \\
      --out out/lora
  python -m trainer.predict --model out/florence picture.png -o out/predictions"""

# Options of the run, with their place in its configuration; --resume takes them from there.
OPTIONS = {
    "model": "model",
    "mode": "mode",
    "train_share": "train_share",
    "epochs": "epochs",
    "batch_size": "batch_size",
    "accumulate": "accumulate",
    "lr": "lr",
    "warmup": "warmup",
    "weight_decay": "weight_decay",
    "ema": "ema",
    "location_smoothing": "location_smoothing",
    "scaffold": "scaffold",
    "close_ups": "close_ups",
    "lora_rank": "rank",
    "lora_alpha": "alpha",
    "lora_target": "target",
    "gradient_checkpointing": "gradient_checkpointing",
    "digits": "digits",
    "digits_share": "digits_share",
    "remove_hyphens": "remove_hyphens",
    "limit": "limit",
    "seed": "seed",
    "threads": "threads",
    "input": "input",
    "augment": "augment",
    "evaluate_every": "evaluate_every",
}
INPUTS = ("image", "nsoart")
# What differs from DetectionConfig's defaults, which are a tiny model's, for a published checkpoint.
PUBLISHED = {"epochs": 12, "location_smoothing": 0.0, "scaffold": 0.0, "close_ups": 0.0, "ema": 0.999}
PUBLISHED_LR = {"full": 2e-5, "language": 2e-5, "decoder": 5e-5, "lora": 2e-4}

RUN_FILES = (
    *(checkpoint.CONFIG, checkpoint.BEST, checkpoint.STATE, METRICS, "summary.json", "report.html"),
    *("curves.png", "calibration.png", "changes.png", "changes.json", "forgetting.json", "README.md"),
)
RUN_FOLDERS = (MODEL, ADAPTER, "sheets", "evaluation")


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
    p.add_argument("--data", type=Path, required=True, metavar="DATASET", help="folder of the dataset")
    p.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run, new or empty")
    p.add_argument(
        "--model", metavar="ID_OR_PATH", help="tiny, a checkpoint's folder, or its id on a hub (tiny)"
    )
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
    again.add_argument(
        "--dry-run", action="store_true", help="shapes, what trains, estimated memory; no training"
    )

    train = p.add_argument_group("training")
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
    train.add_argument(
        "--gradient-checkpointing", action="store_const", const=True, help="less memory, more time"
    )
    train.add_argument("--seed", type=number(int, 0, 2**31 - 1), help=f"({d.seed})")
    train.add_argument(
        "--threads", type=number(int, 1, 1024), help="CPU threads (as many as PyTorch finds cores)"
    )
    train.add_argument(
        "--time-limit", type=number(float, 0, 1e6, True), metavar="MIN", help="stop after that epoch"
    )
    train.add_argument(
        "--evaluate-every", type=number(int, 1, 100_000), metavar="N", help=f"epochs ({d.evaluate_every})"
    )
    train.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(auto)")

    lora = p.add_argument_group("LoRA")
    lora.add_argument("--lora-rank", type=number(int, 1, 1024), help=f"({d.rank})")
    lora.add_argument("--lora-alpha", type=number(int, 1, 4096), help=f"scale times rank ({d.alpha})")
    lora.add_argument(
        "--lora-target", metavar="REGEX", help="linear layers by whole name (all, of every part)"
    )

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
    data.add_argument(
        "--limit", type=number(int, 0, 10**9), metavar="N", help="train on N pictures; 0: all (0)"
    )
    data.add_argument(
        "--no-augment", dest="augment", action="store_const", const=False, help="pictures as they are"
    )

    after = p.add_argument_group("afterwards")
    after.add_argument(
        "--photos", type=Path, metavar="FOLDER", help="also check forgetting on these pictures"
    )
    after.add_argument("--push", metavar="OWNER/NAME", help="upload the model and its card to the Hub")
    after.add_argument("--private", action="store_true", help="with --push: create it private")
    return p


def _given(args: argparse.Namespace) -> dict[str, Any]:
    return {f: getattr(args, o) for o, f in OPTIONS.items() if getattr(args, o) is not None}


def settings_of(args: argparse.Namespace) -> DetectionConfig:
    """The settings that options and defaults amount to.

    Raises:
        InputError: Options that exclude each other.
    """
    given = _given(args)
    given.setdefault("threads", torch.get_num_threads())
    given["data_sha256"] = dataset_facts(args.data).get("content_sha256", "")
    mode = given.get("mode", "full")
    if given.get("model", TINY) != TINY:
        given = {**PUBLISHED, "lr": PUBLISHED_LR[mode], **given}
    problems = []
    if mode == "lora" and "train_share" in given:
        problems.append("--train-share: expected a mode other than lora, whose share is its rank")
    if mode != "lora":
        problems += [
            f"--{o.replace('_', '-')}: expected only with --mode lora, got --mode {mode}"
            for o in ("lora_rank", "lora_alpha", "lora_target")
            if getattr(args, o) is not None
        ]
    if "digits_share" in given and given.get("digits") not in ("printed", "overlaid"):
        problems.append("--digits-share: expected only with --digits printed or overlaid")
    if problems:
        raise InputError(problems)
    return replace(DetectionConfig(), **given)


def _resumed(args: argparse.Namespace) -> tuple[DetectionConfig, Detector]:
    """The settings of the run in `args.out`, and what prediction knows of it.

    Raises:
        InputError: There is none, or an option asks for another setting.
    """
    settings, detector = load_config(args.out)
    problems = []
    for option, field in OPTIONS.items():
        given, kept = getattr(args, option), getattr(settings, field)
        if given is not None and given != kept:
            flag = "--no-augment" if option == "augment" else "--" + option.replace("_", "-")
            problems.append(
                f"{flag}: {args.out} was trained with {kept}, got {given}; --resume keeps the run's"
            )
    if problems:
        raise InputError(problems)
    same_data(args.data, args.out, settings.data_sha256)
    return settings, detector


def _check_run(args: argparse.Namespace) -> None:
    """Whether RUN can be taken, and keeps the model that is compared with at the end."""
    check_folder(args.out, args.resume, args.overwrite, FORMAT)
    if not args.overwrite or args.model in (None, TINY) or not Path(args.model).exists():
        return
    if Path(args.model).resolve().is_relative_to(args.out.resolve()):
        raise InputError(
            f"--model {args.model}: expected a folder outside of {args.out}, which --overwrite empties"
        )


def _memory_mb(device: torch.device) -> float:
    """Most memory so far: of the GPU where there is one, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def dry_run(settings: DetectionConfig, model: Any, data: DetectionData, collator: Collator) -> None:
    """Say shapes, what trains and how much memory a step needs, from one picture's forward pass."""
    from trainer.florence2.training import Training

    training = Training(data, model, collator, settings, _accelerator(torch.device("cpu")))
    batch, cells = training.batch(training.rows[:1], torch.Generator().manual_seed(0))
    kept: dict[tuple[int, int], int] = {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr(), storage.nbytes()] = storage.nbytes()
        return tensor

    training.trainee.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        losses = training.trainee(batch, cells)
    say(
        f"pictures {tuple(batch.inputs['pixel_values'].shape[1:])}, prompt {batch.inputs['input_ids'].shape[1]} tokens"
    )
    say(f"logits {tuple(losses['logits'].shape)} for the answer of one picture")
    say(f"{len(training.rows)} training pictures, {training.steps} steps")
    need = bytes_needed(model, sum(kept.values()) * settings.batch_size, settings.ema > 0)
    for part, size in need.items():
        say(f"  {part:<12} {size / 2**30:8.2f} GiB")
    say("estimated for float32; nothing was trained, and no GPU was measured")


def _accelerator(device: torch.device) -> Any:
    from accelerate import Accelerator

    bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return Accelerator(cpu=device.type == "cpu", mixed_precision="bf16" if bf16 else "no")


def _prepared(settings: DetectionConfig, model: Any, collator: Collator) -> tuple[Any, list[Any]]:
    """The model with what trains marked, or with LoRA in it, and what LoRA matched."""
    from trainer.florence2 import lora

    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if settings.mode == "lora":
        model, matched = lora.add(
            model,
            collator.vocabulary.location_ids,
            settings.rank,
            settings.alpha,
            settings.target,
            settings.seed,
        )
        for line in lora.described(matched, *trained_parameters(model)):
            say(line)
        return model, matched
    chosen = choose_parameters(model, settings.mode, settings.train_share)
    trained, every = trained_parameters(model)
    say(
        f"{trained:,} of {every:,} parameters train ({trained / every:.1%}): {len(chosen)} blocks, from {chosen[0]} on"
    )
    return model, []


def run(args: argparse.Namespace, argv: list[str]) -> int:
    """Train as the options say; returns the exit code.

    Args:
        args: Parsed from `argv`.
        argv: The command's words, for the runs of a comparison.
    """
    if args.push and (wrong := name_problem(args.push, "--push")):
        raise InputError(wrong)
    if args.private and not args.push:
        raise InputError("--private: expected only with --push")
    device = device_of(args.device)
    if args.photos:
        from trainer.florence2.forgetting import photos

        for _ in photos(args.photos):  # a wrong folder shows now, not after the training
            pass
    if args.compare:
        from trainer.florence2.comparison import compare

        return compare(args, argv)
    if not args.dry_run:
        _check_run(args)
    settings, held = _resumed(args) if args.resume else (settings_of(args), None)
    repeatable(device, settings.threads)
    dataset, classes = read_dataset(args.data, settings.input)
    stored_size = first_size(dataset, args.data, settings.input)
    labels = [name for name in classes if name != OK_CLASS]
    source = (settings.model, labels, fitting_size(stored_size), settings.seed)
    model, processor = load(*source)
    size = picture_size(processor)
    if held is not None and (classes, size) != (held.classes, held.size):
        raise InputError(
            f"--data {args.data}: {args.out} knows {list(held.classes)} in {held.size[0]}x{held.size[1]} px, "
            f"the dataset has {list(classes)} in {size[0]}x{size[1]} px"
        )
    data = detection_data(dataset, classes, args.data, settings.input, size)
    from trainer.florence2.answers import Vocabulary

    collator = Collator(
        processor, Vocabulary(processor.tokenizer, labels, settings.remove_hyphens), classes, size
    )
    model, matched = _prepared(settings, model, collator)
    if args.dry_run:
        dry_run(settings, model, data, collator)
        return 0
    accelerator = _accelerator(device)
    main = accelerator.is_main_process

    from trainer.florence2 import metrics, sheets
    from trainer.florence2.detect import answers
    from trainer.florence2.training import Training

    training = Training(data, model, collator, settings, accelerator)
    seen = data.seen_positions(training.rows)
    detector = Detector(classes, size, 0.5, seen, settings.remove_hyphens, settings.input)
    training.self_test()
    # Killed in its first epoch, a run has its settings and nothing else: it begins again.
    goes_on = args.resume and (args.out / checkpoint.STATE).is_file()
    accelerator.wait_for_everyone()  # until all have looked at the folder
    if main:
        take_folder(args.out, args.overwrite, RUN_FILES, RUN_FOLDERS)
        if not args.resume:
            save_config(args.out, settings, detector)
        say(
            f"{size[0]}x{size[1]} px, {len(training.rows)} training and {len(data.splits['validation'])} validation "
            f"pictures, {training.steps} steps, {accelerator.device}, {settings.threads} threads; loss self-test passed"
        )
    validation = data.splits["validation"]
    shown_rows = sheets.fixed_rows(validation)

    def show(epoch: int, found: Any) -> None:
        if not sheets.is_shown(epoch, settings.epochs):
            return
        if found is None:  # before training: only what is shown is worth the time
            some = answers(training.trainee.model, validation, collator, training.grammar, rows=shown_rows)
            found, threshold = dict(zip(shown_rows, some, strict=True)), 0.0
        else:
            threshold = metrics.best_threshold(list(zip(validation.truths, found, strict=True)))
        sheet = sheets.truth_and_prediction(validation, found, shown_rows, threshold)
        sheets.save(sheet, args.out / "sheets" / f"epoch_{epoch:04d}.png")

    outcome = training.train(
        args.out,
        resume=goes_on,
        time_limit_min=args.time_limit,
        report=_say_epoch,
        show=show,
    )
    if not main:
        return 0
    if outcome.stopped:
        say(f"stopped: {outcome.stopped}")
    if outcome.best_epoch == 0:
        say("no epoch was measured: there is nothing to keep; --resume, or give it more time")
        return 1
    from trainer.florence2.finish import finish

    memory = _memory_mb(accelerator.device)
    finish(args.out, settings, training, source, detector, outcome, memory, matched, args.photos)
    say(f"run: {args.out}; report: {args.out / 'report.html'}")
    if args.push:
        from trainer.core.publication import push
        from trainer.florence2.publication import files_of

        try:
            url = push(args.out, args.push, files_of(args.out, args.push), args.private, "--push")
        except HubError as error:
            sys.stderr.write(f"{error}; the run is kept: `python -m trainer.push` pushes it\n")
            return 1
        say(f"pushed to {url}")
    return 0


def _say_epoch(row: dict[str, object]) -> None:
    text = f"epoch {row['epoch']:>4}  loss {row['train_loss']:.3f}  answer {row['train_answer_loss']:.3f}"
    if row["val_map"] is not None:
        text += f"  validation mAP {row['val_map']:.3f}  mAP50 {row['val_map50']:.3f}"
        for name in ("seen", "held-out"):
            if row[f"val_map50_{name}"] is not None:
                text += f"  {name} {row[f'val_map50_{name}']:.3f}"
    say(f"{text}  {row['seconds']:.1f} s")


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    args = parser().parse_args(argv)
    again = "the same command" if args.compare else f"--resume --out {args.out}"
    kept = f"interrupted; the finished epochs are kept: go on with {again}"
    return exit_code(lambda: run(args, argv), kept)
