"""`python -m trainer.florence2 [--data DATASET] [--model ID_OR_PATH] [--mode MODE] [--out RUN]`: train `<OD>`.

`--model tiny`, the default, makes a small Florence-2 and trains it from random weights on a CPU. A published checkpoint
(`florence-community/Florence-2-base-ft`, `-large`) or a model in a folder is fine-tuned: all parameters, those of some
parts, a share of them, or LoRA's. Options: docs/reference/commands.md. Files of a run: docs/reference/runs.md. Defaults
of `--data` and `--out`: `trainer.core.default_paths`.
"""

import argparse
import resource
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from generator.dataset.hub import HubError, name_problem
from trainer.core import default_paths, event_files, frozen_threshold, gates, max_escape, results_folder, run_folder
from trainer.core.console import say, stage
from trainer.core.distributed import start
from trainer.core.errors import InputError
from trainer.core.loop import Loop, Outcome
from trainer.core.options import amp_of, device_of, repeatable
from trainer.core.time_limit import shorten_to_limit
from trainer.core.training_command import run_training
from trainer.florence2.beginning import Beginning, begin, resumed_settings, settings_of
from trainer.florence2.network import TINY
from trainer.florence2.options import parser
from trainer.florence2.run import ADAPTER, FORMAT, MODEL, DetectionConfig, Detector, load_config, save_config

if TYPE_CHECKING:
    from trainer.florence2.training import Florence2Trainee

KIND = "florence2"  # suffix of the default names of run folders
RUN_FILES = (
    *(run_folder.CONFIG, run_folder.BEST, run_folder.STATE, run_folder.METRICS, run_folder.SUMMARY),
    *("report.html", "curves.png", "calibration.png", "changes.png", "changes.json", "forgetting.json"),
    *("README.md", results_folder.OPERATING_POINTS, frozen_threshold.FROZEN, *gates.FILES),
    *default_paths.DATASET_FILES,
)
RUN_FOLDERS = (MODEL, ADAPTER, "sheets", "evaluation", event_files.FOLDER, default_paths.DATASET_FOLDER)


def _check(args: argparse.Namespace) -> None:
    """Check the options that need no dataset, also those used only after training, so that nothing fails there.

    Raises:
        InputError: An option is wrong.
    """
    if args.push and (wrong := name_problem(args.push, "--push")):
        raise InputError(wrong)
    if args.private and not args.push:
        raise InputError("--private: expected only with --push")
    if args.tensorboard:
        event_files.event_writer_class()
    if args.photos:
        from trainer.florence2.forgetting import photos

        for _ in photos(args.photos):
            pass
    if args.compare and args.out is None:
        raise InputError("--compare: expected --out FOLDER, in which the runs are written, got none")


def _check_model(args: argparse.Namespace) -> None:
    """Refuse an --overwrite that would remove the folder of --model, which `finish` reads again after training."""
    if not args.overwrite or args.model in (None, TINY) or not Path(args.model).exists():
        return
    if Path(args.model).resolve().is_relative_to(args.out.resolve()):
        raise InputError(f"--model {args.model}: expected a folder outside of {args.out}, which --overwrite empties")


def _begin(args: argparse.Namespace, device: torch.device) -> Beginning:
    """Prepare the training; without --out, an unfinished run with the same settings and data is resumed."""
    stage("reading dataset and model")
    settings, held = resumed_settings(args) if args.resume else (settings_of(args), None)
    if not args.resume and not args.dry_run:
        digest = settings.data_sha256
        default_paths.resume_unfinished(args, KIND, FORMAT, digest, lambda run: _before_time_limit(run) == settings)
        held = load_config(args.out)[1] if args.resume else None
    repeatable(device, settings.threads)
    return begin(args, settings, held)


def _before_time_limit(run: Path) -> DetectionConfig:
    """Read a run's settings as they were before --time-limit reduced its epochs."""
    return load_config(run)[0].changed({"fitted_epochs": 0})


def _make_run(args: argparse.Namespace, begun: Beginning, detector: Detector, hold: default_paths.Hold) -> Path:
    """Make and lock the run's folder; write config.json, so that a killed run can be resumed; returns the folder."""

    def save(run: Path) -> None:
        save_config(run, begun.settings, detector, begun.tolerance)

    out, is_new = default_paths.take_place(args, KIND, save, hold)
    if is_new:
        return out
    run_folder.take_folder(out, args.overwrite, RUN_FILES, RUN_FOLDERS)
    if not args.resume:
        save(out)
        default_paths.copy_dataset_files(args.data, out)
    return out


def _memory_mb(device: torch.device) -> float:
    """Peak memory so far, in MiB: the GPU's if there is one, else this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(args: argparse.Namespace, argv: list[str]) -> int:
    """Train as the options say; returns the exit code, 1 if no model was saved, or upload or a compared mode failed.

    Args:
        args: Parsed from `argv`.
        argv: The command line's words, which --compare passes on to each of its runs.
    """
    device = device_of(args.device)
    _check(args)
    if args.compare:
        from trainer.florence2.comparison import compare

        args.data = default_paths.dataset_of(args.data)
        return compare(args, argv)
    if args.dry_run:
        args.data = default_paths.dataset_of(args.data)
        begun = _begin(args, device)
        from trainer.florence2.dry_run import dry_run

        dry_run(begun.data, begun.model, begun.collator, begun.settings)
        return 0
    default_paths.settle(args, KIND, FORMAT, lambda run: load_config(run)[0].data_sha256)
    _check_model(args)
    with default_paths.Hold() as hold:
        return _train(args, _begin(args, device), device, hold)


def _train(args: argparse.Namespace, begun: Beginning, device: torch.device, hold: default_paths.Hold) -> int:
    """Train, then measure and write the results; returns the exit code."""
    from trainer.florence2.detect import answers
    from trainer.florence2.epoch_report import MEASURES_LINE, EpochSheets, say_epoch
    from trainer.florence2.training import Florence2Trainee

    settings, data, collator = begun.settings, begun.data, begun.collator
    share = start(device, amp_of("auto", device))
    trainee = Florence2Trainee(data, begun.model, collator, settings, share)
    if args.time_limit and not args.resume:
        settings = shorten_to_limit(trainee, args.time_limit, args.began)
        begun = replace(begun, settings=settings)
    rows = trainee.examples.rows
    seen = data.seen_positions(rows)
    facts = (seen, settings.remove_hyphens, settings.input, trainee.examples.most_pins)
    detector = Detector(data.classes, data.size, 0.5, *facts)
    trainee.self_test()
    # A run that was killed in its first epoch has no state yet: it starts again from the first epoch.
    resumes = args.resume and (args.out / run_folder.STATE).is_file()
    share.wait()  # all processes read the folder before the first one changes it
    if share.first:
        args.out = _make_run(args, begun, detector, hold)
    args.out = share.agreed(args.out)
    validation = data.splits["validation"]
    if settings.max_escape:
        truths = validation.truths
        ng = np.array([bool(truth.targets) for truth in truths], dtype=bool)
        say(max_escape.prospect([truth.part for truth in truths], ng, settings.max_escape))
    say(
        f"{data.size[0]}x{data.size[1]} px, {len(rows)} training and {len(validation)} validation pictures, "
        f"{trainee.steps(1) * settings.scheduled} steps, {share.accelerator.device}, {settings.threads} threads; "
        "loss self-test passed"
    )
    say(MEASURES_LINE)
    show = EpochSheets(args.out, validation, settings.scheduled)
    trainee.show = show
    if share.first and not resumes:
        show.before(answers(begun.model, validation, collator, trainee.question, rows=show.rows))
    events = event_files.EventFiles(args.out) if args.tensorboard and share.first else None
    report = partial(say_epoch, epochs=settings.scheduled)
    loop = Loop(trainee, trainee.schedule, args.out, args.time_limit, report, events, args.began)
    outcome = loop.train(resumes)
    share.leave()
    if not share.first:
        return 0
    if outcome.stopped:
        say(f"stopped: {outcome.stopped}")
    if outcome.best_epoch == 0:
        say(f"stopped before any epoch was validated: no best model was saved; {outcome.advice}")
        return 1
    return _finish(args, begun, trainee, detector, outcome)


def _finish(
    args: argparse.Namespace, begun: Beginning, trainee: "Florence2Trainee", detector: Detector, outcome: Outcome
) -> int:
    """Measure the best weights, write the run's files, and upload them with --push; returns the exit code."""
    from trainer.florence2.finish import Ended, finish

    device = trainee.examples.device
    ended = Ended(trainee.network, trainee.examples, begun.source, outcome, begun.matched, _memory_mb(device))
    finish(args.out, ended, detector, args.photos)
    say(f"run: {args.out}; report: {args.out / 'report.html'}")
    if args.push:
        from trainer.core.publication import push
        from trainer.florence2.publication import files_of

        try:
            url = push(args.out, args.push, files_of(args.out, args.push), args.private, "--push")
        except HubError as error:
            sys.stderr.write(f"{error}; the run is kept: upload it with `python -m trainer.push`\n")
            return 1
        say(f"pushed to {url}")
    return 0


def main(argv: list[str] | None = None, began: float | None = None) -> int:
    """Run the command with the arguments `argv` and the time of its start `began`: see `run_training`."""
    words = sys.argv[1:] if argv is None else argv
    return run_training(parser(), lambda args: run(args, words), words, began)
