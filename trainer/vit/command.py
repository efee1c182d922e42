"""`python -m trainer.vit [--data DATASET] [--out RUN]`: train a small ViT from scratch on a built dataset.

RUN gets the settings (config.json), the weights of the best and the last epoch, the state for `--resume`, thresholds,
measures, figures and report.html: see docs/reference/runs.md. Defaults of --data and --out:
`trainer.core.default_paths`.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from trainer.core import (
    base,
    default_paths,
    event_files,
    frozen_threshold,
    gates,
    max_escape,
    results_folder,
    row_facts,
    run_folder,
)
from trainer.core.console import say, stage
from trainer.core.distributed import Share, start
from trainer.core.errors import InputError
from trainer.core.loop import Loop, Outcome, Report, Schedule
from trainer.core.options import device_of, repeatable
from trainer.core.time_limit import shorten_to_limit
from trainer.core.training_command import run_training
from trainer.vit import attention, forecast, hub_files, results, training, training_check
from trainer.vit.epoch_report import EpochReport
from trainer.vit.finish import finish
from trainer.vit.loader import Portion
from trainer.vit.network.model import SIZES, ViT, ViTConfig
from trainer.vit.options import parser
from trainer.vit.run import FORMAT, TrainingConfig, load_config, save_config
from trainer.vit.run_page import write_page
from trainer.vit.setup import Setup, new_setup, put_weights, resumed_setup

KIND = "vit"  # end of default names of runs
RUN_FILES = (
    *(run_folder.CONFIG, run_folder.BEST, run_folder.LAST, run_folder.STATE, run_folder.METRICS),
    *("curves.png", "confusion.png", results_folder.OPERATING_POINTS),
    *(run_folder.SUMMARY, frozen_threshold.FROZEN, *gates.FILES),
    *(*hub_files.CODE, *hub_files.EARLIER_CODE, hub_files.PROCESSOR, *default_paths.DATASET_FILES),
    *(training_check.EXAMINATION, "report.html", "README.md"),
    "attention*",  # temporary files of a killed run, in stages too
)
RUN_FOLDERS = (results.STAGES, results.ATTENTION, event_files.FOLDER, default_paths.DATASET_FOLDER)


def _begin(args: argparse.Namespace, device: torch.device) -> Setup:
    """Return the training's setup; without --out, set `args` to resume an unfinished run of this setup, if any."""
    if args.resume:
        return resumed_setup(args)
    begun = new_setup(args, device)
    digest = begun.settings.data_sha256

    def is_same(run: Path) -> bool:
        config, settings = _before_time_limit(run)
        # Runs of earlier versions judge at one place; resumed, they keep to that.
        shifts = config.shifts if args.shifts is None else begun.config.shifts
        return (config, settings) == (replace(begun.config, shifts=shifts), begun.settings)

    default_paths.resume_unfinished(args, KIND, FORMAT, digest, is_same)
    return begun


def _before_time_limit(run: Path) -> tuple[ViTConfig, TrainingConfig]:
    """Read a run's configuration as it was before --time-limit reduced its epochs."""
    config, settings = load_config(run)
    return config, settings.changed({"fitted_epochs": 0})


def _take(
    args: argparse.Namespace,
    begun: Setup,
    loop_in: Callable[[Path], Loop[Portion]],
    hold: default_paths.Hold,
    before: Mapping[str, object],
) -> Path:
    """Make and lock the run's folder, so that the run can be resumed whenever it is killed; returns the folder.

    A new run gets `before`, what was found and said before the training, as examination.json.

    Where --init names weights in that folder, --overwrite removes them: so they are first saved as state of epoch 0.
    """

    def save(run: Path) -> None:
        save_config(run, begun.config, begun.settings, begun.tolerance)
        run_folder.write_json(run / training_check.EXAMINATION, before)

    out, is_new = default_paths.take_place(args, KIND, save, hold)
    if is_new:
        return out
    if args.resume:
        run_folder.take_folder(out, False, RUN_FILES, RUN_FOLDERS)
        return out
    kept = list(hub_files.files_of(begun.config))
    init = begun.settings.init
    if init and Path(init).resolve().is_relative_to(out.resolve()):
        loop_in(out).save()
        kept.append(run_folder.STATE)
    else:
        (out / run_folder.STATE).unlink(missing_ok=True)  # it does not belong to the new settings
    save(out)
    run_folder.take_folder(out, args.overwrite, RUN_FILES, RUN_FOLDERS, kept)
    default_paths.copy_dataset_files(args.data, out)
    run_folder.write_json(out / training_check.EXAMINATION, before)
    return out


def _described(begun: Setup, model: ViT, share: Share, device: torch.device) -> str:
    """Describe the training in one line: parameters, pictures, device."""
    config, settings, splits = begun.config, begun.settings, begun.data.splits
    boxed = bool(splits["train"].boxes_known.any())
    examples = f"parts, each from {', '.join(config.views)}" if config.views else "pictures"
    return (
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {config.width}x{config.height} px, "
        f"{len(splits['train'])} training and {len(splits['validation'])} validation {examples}, "
        + (f"{share.count} processes, each on " if share.count > 1 else "")
        + f"{device}, {settings.threads} threads{', bfloat16' if settings.amp == 'bf16' else ''}; "
        + ("trains on labels and boxes" if boxed and settings.patch_weight > 0 else "trains on labels only")
    )


def _forecast(begun: Setup) -> str:
    """Say which settings were chosen by the data, and what to expect of the training; returns the forecast."""
    split = begun.data.splits["train"]
    boxes = bool(split.boxes_known.any())
    expected = forecast.forecast(len(split), begun.settings, begun.config, boxes)
    for text in (*(f"chosen by the data: {text}" for text in begun.chosen), f"forecast: {expected}"):
        say(text)
    return expected


def run(args: argparse.Namespace) -> int:
    """Train as the options say; returns the exit code, 1 if the training stopped without a model."""
    with default_paths.Hold() as hold:
        return _train(args, hold)


def _train(args: argparse.Namespace, hold: default_paths.Hold) -> int:
    for field, value in SIZES.get(args.size, {}).items():
        if getattr(args, field) is None:
            setattr(args, field, value)
    device = device_of(args.device)
    default_paths.settle(args, KIND, FORMAT, lambda run: load_config(run)[1].data_sha256)
    args.init = base.begun_with(args.init, KIND)
    if note := base.unknown(args.init):
        say(note)
    if args.tensorboard:
        event_files.event_writer_class()  # fails early where the package is missing
    stage("reading the dataset")
    begun = _begin(args, device)
    settings, data = begun.settings, begun.data
    share = start(device, settings.amp)
    device = share.accelerator.device
    if settings.max_escape:
        say(_prospect(begun))
    if settings.batch_size < share.count:
        raise InputError(
            f"--batch-size: expected at least 1 picture for each of {share.count} processes, got {settings.batch_size}"
        )
    repeatable(device, settings.threads)
    model, optimizer = training.build(begun.config, settings, device, share)
    # A run killed in its first epoch has no state: it is trained from the start.
    has_state = args.resume and (args.out / run_folder.STATE).is_file()
    if settings.init and not has_state:
        put_weights(model, settings.init, begun.source)
    found = training_check.admit(model, data, settings) if args.check and not args.resume and share.first else []
    share.wait()  # until all processes have read files that --overwrite removes
    trainee = training.ViTTrainee(data, model, optimizer, settings, share)
    if args.time_limit and not args.resume:
        begun = replace(begun, settings=shorten_to_limit(trainee, args.time_limit, args.began))
    expected = "" if args.resume else _forecast(begun)

    def shorten(epoch: int) -> Schedule:
        trainee.adopt(trainee.config.changed({"fitted_epochs": epoch + 1}))
        if share.first:  # --resume reads it
            save_config(args.out, begun.config, trainee.config, begun.tolerance)
        return trainee.schedule

    def loop_in(folder: Path) -> Loop[Portion]:
        loop = Loop(trainee, trainee.schedule, folder, args.time_limit, began=args.began)
        loop.shorten = None if args.resume else shorten
        return loop

    if share.first:
        before = {"found": found, "chosen": begun.chosen, "forecast": expected}
        args.out = _take(args, begun, loop_in, hold, before)
    args.out = share.agreed(args.out)
    say(_described(begun, model, share, device))
    loop = loop_in(args.out)
    if args.tensorboard and share.first:
        loop.events = event_files.EventFiles(args.out)
    look = _reports(loop, begun, device)
    outcome = loop.train(has_state)
    trainee.leave()
    share.leave()
    return _ended(args, begun, model, outcome, look) if share.first else 0


def _prospect(begun: Setup) -> str:
    """Say what --max-escape can show on the validation split."""
    validation, ok = begun.data.splits["validation"], begun.config.ok_index
    parts = [facts.part for facts in row_facts.facts(validation, ok)]
    return max_escape.prospect(parts, validation.labels.numpy() != ok, begun.settings.max_escape)


def _reports(loop: Loop[Portion], begun: Setup, device: torch.device) -> Callable[[], None]:
    """Let the loop print each epoch and, with --stages, compute the attention after each stage.

    Returns:
        Function that writes RUN/attention at the end.
    """
    said: Report = EpochReport(lambda: loop.schedule.epochs)
    loop.report = said
    # Only the first process computes attention.
    if not (begun.settings.stages and loop.trainee.share.first):
        return lambda: None
    probes = attention.probes_of(begun.data.splits, attention.SPLIT, len(begun.data.classes))
    looks = attention.StageLooks(loop.run, probes, device)

    def report(row: run_folder.Row, warnings: list[str]) -> None:
        said(row, warnings)
        if row["epoch"] in begun.settings.stages:
            looks.update()

    def finished() -> None:
        if (loop.run / results.STAGES).is_dir():  # else the training stopped before the first stage
            found, base = looks.finish()
            attention.write(loop.run / results.ATTENTION, found, base, probes)

    loop.report = report
    return finished


def _ended(args: argparse.Namespace, begun: Setup, model: ViT, outcome: Outcome, look: Callable[[], None]) -> int:
    """Measure the best weights, call `look` (writes RUN/attention) and write the page; returns the exit code."""
    if outcome.stopped:
        say(f"stopped: {outcome.stopped}")
    if outcome.best_epoch == 0:
        say(
            "no best model was saved: the training stopped before the end of its first epoch of whole pictures "
            f"(earlier epochs show close-ups of single pins); {outcome.advice}"
        )
        return 1
    finish(args.out, begun.data, args.data, model, outcome, begun.settings.max_escape)
    look()
    say(f"run: {args.out}; report: {write_page(args.out)}")
    return 0


def main(argv: list[str] | None = None, began: float | None = None) -> int:
    """Run the command with the arguments `argv` and the time of its start `began`: see `run_training`."""
    return run_training(parser(), run, argv, began)
