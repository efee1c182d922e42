"""`python -m trainer.gauge [--data DATASET] [--out RUN]`: train a gauge on a built dataset.

RUN then holds config.json, metrics.csv (one line per epoch), best.safetensors (weights of the best epoch), what
`trainer.gauge.finish` writes, the dataset's connectors.json, report.html, and the state for `--resume`. Without --out,
an unfinished run with the same settings and dataset is resumed.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from generator.locating import factors, likeness
from trainer.core import base, default_paths, event_files, run_folder
from trainer.core.console import say, stage
from trainer.core.distributed import Share, start
from trainer.core.errors import InputError
from trainer.core.loop import Loop, Schedule
from trainer.core.options import amp_of, device_of, repeatable
from trainer.core.run_folder import Row, load_weights
from trainer.core.settings import given_settings, other_settings
from trainer.core.time_limit import shorten_to_limit
from trainer.core.tolerance import tolerances_of
from trainer.core.training_command import run_training
from trainer.gauge import gates
from trainer.gauge.data import read_gauge_data
from trainer.gauge.finish import finish
from trainer.gauge.options import parser
from trainer.gauge.picture import GaugeData
from trainer.gauge.run import FORMAT, GaugeConfig, TrainingConfig, load_config, save_config
from trainer.gauge.run_page import write_page
from trainer.gauge.ties import UNCERTAINTY
from trainer.gauge.training import GaugeTrainee, Portion, build

KIND = "gauge"  # end of default names of runs
RUN_FILES = (
    *(run_folder.CONFIG, run_folder.BEST, run_folder.STATE, run_folder.METRICS, run_folder.SUMMARY),
    *(UNCERTAINTY, factors.FILE, likeness.FILE, run_folder.REPORT, "README.md", *default_paths.DATASET_FILES),
)
FOLDERS = (event_files.FOLDER, gates.FOLDER, default_paths.DATASET_FOLDER)
# A crop's side in pitches, and its limits in px; pictures with larger pitches are reduced until it fits.
_PITCHES, _LEAST_PX, _MOST_PX = 2.3, 48, 80
# Default epochs show pictures so often in all, but no more epochs than these.
_SHOWN, _MOST_EPOCHS = 7_500, 200
# More connectors than this are counted, not named, when a training begins.
_MOST_NAMED = 6


@dataclass(frozen=True)
class Setup:
    """What a gauge's training starts with: shape of the network, settings, and data."""

    shape: GaugeConfig
    settings: TrainingConfig
    data: GaugeData


def crop_of(pitch_px: float) -> tuple[int, float]:
    """Choose the side of the network's crops, px, and the distance of neighbouring pins in resampled pictures, px.

    `pitch_px` is this distance in the stored pictures. The side is a multiple of 8.
    """
    side = int(np.clip(8 * round(_PITCHES * pitch_px / 8), _LEAST_PX, _MOST_PX))
    return side, min(pitch_px, side / _PITCHES * 1.1)


def epochs_for(pictures: int) -> int:
    """Return the default number of epochs for a number of training pictures: 75, up to 200 if they are few.

    With the base's weights and 36 pictures, 200 epochs erred by a tenth less than 75 (docs/explanation/gauge.md).
    """
    return int(np.clip(round(_SHOWN / max(pictures, 1)), TrainingConfig().epochs, _MOST_EPOCHS))


def _begin(args: argparse.Namespace, device: torch.device) -> Setup:
    """Return the training's setup; without --out, set `args` to resume an unfinished run of this setup, if any."""
    needed = ("train", "validation")
    if args.resume:
        shape, settings, pitch_px = load_config(args.out)
        if problems := other_settings(args.out, settings, args) + other_settings(args.out, shape, args):
            raise InputError(problems)
        default_paths.same_data(args.data, args.out, settings.data_sha256)
        return Setup(shape, settings, read_gauge_data(args.data, pitch_px, needed))
    given = given_settings(args, TrainingConfig)
    given["amp"] = _amp(args.amp or "auto", device)
    digest = default_paths.dataset_facts(args.data).get("content_sha256", "")
    settings = TrainingConfig(**{"threads": torch.get_num_threads(), **given, "data_sha256": digest})
    if settings.init:
        shape, _, pitch_px = load_config(Path(settings.init))
        data = read_gauge_data(args.data, pitch_px, needed)
    else:
        data = read_gauge_data(args.data, None, needed, lambda pitch: crop_of(pitch)[1])
        shape = GaugeConfig(**given_settings(args, GaugeConfig), side=crop_of(data.pitch_px)[0])
    if "epochs" not in given:
        settings = settings.changed({"epochs": epochs_for(len(data.splits["train"]))})
    wanted = (shape, settings)
    default_paths.resume_unfinished(args, KIND, FORMAT, digest, lambda run: _before_time_limit(run) == wanted)
    return Setup(shape, settings, data)


def _amp(name: str, device: torch.device) -> str:
    """Return the precision for --amp; `auto` is bf16 on a CPU with instructions for it."""
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # since PyTorch 2.10
    has_it = device.type == "cpu" and any(capabilities.get(one) for one in ("avx512_bf16", "amx_bf16"))
    return "bf16" if name == "auto" and has_it else amp_of(name, device)


def _before_time_limit(run: Path) -> tuple[GaugeConfig, TrainingConfig]:
    """Read a run's configuration as it was before --time-limit reduced its epochs."""
    shape, settings, _ = load_config(run)
    return shape, settings.changed({"fitted_epochs": 0})


def _save(run: Path, begun: Setup, settings: TrainingConfig) -> None:
    tolerance = tolerances_of(each.row for each in begun.data.splits["train"])
    save_config(run, begun.shape, settings, begun.data.pitch_px, tolerance)


def _take(args: argparse.Namespace, begun: Setup, hold: default_paths.Hold) -> Path:
    """Make and lock the run's folder, so that the run can be resumed whenever it is killed; returns the folder."""

    def save(run: Path) -> None:
        _save(run, begun, begun.settings)

    out, is_new = default_paths.take_place(args, KIND, save, hold)
    if is_new:
        return out
    if args.resume:
        run_folder.take_folder(out, False, RUN_FILES, FOLDERS)
        return out
    (out / run_folder.STATE).unlink(missing_ok=True)  # it does not belong to the new settings
    save(out)
    run_folder.take_folder(out, args.overwrite, RUN_FILES, FOLDERS, [])
    default_paths.copy_dataset_files(args.data, out)
    return out


def _report(row: Row, warnings: list[str], epochs: int) -> None:
    """Print one line on an epoch."""
    values: dict[str, Any] = row
    edge = values["val_edge_px"]
    say(
        f"epoch {values['epoch']} of {epochs}  training: loss {values['train_loss']:.3f}, error of tips "
        f"{values['train_tip_px']:.3f} px  validation: error of tips {values['val_tip_px']:.3f} px, of wall edges "
        f"{'none' if edge is None else f'{edge:.3f} px'}, presence right for {values['val_presence']:.1%} of pins  "
        f"{values['seconds']:.1f} s"
    )


def _train(args: argparse.Namespace, hold: default_paths.Hold) -> int:
    device = device_of(args.device)
    default_paths.settle(args, KIND, FORMAT, lambda run: load_config(run)[1].data_sha256)
    args.init = base.begun_with(args.init, KIND)
    if args.tensorboard:
        event_files.event_writer_class()  # fails early where the package is missing
    stage("reading the dataset")
    begun = _begin(args, device)
    for note in begun.data.notes:
        say(note)
    share = start(device, begun.settings.amp)
    if begun.settings.pictures < share.count:
        raise InputError(
            f"--pictures: expected at least {share.count} pictures per step, one for each process, got "
            f"{begun.settings.pictures}"
        )
    repeatable(share.accelerator.device, begun.settings.threads)
    network, optimizer = build(begun.shape, begun.settings, share.accelerator.device)
    has_state = args.resume and (args.out / run_folder.STATE).is_file()
    if begun.settings.init and not has_state:
        best = Path(begun.settings.init) / run_folder.BEST
        load_weights(network, run_folder.read_tensors(best)[0], str(best))
    trainee = GaugeTrainee(begun.data, network, optimizer, begun.settings, share)
    if args.time_limit and not args.resume:
        begun = replace(begun, settings=shorten_to_limit(trainee, args.time_limit, args.began))
    if share.first:
        args.out = _take(args, begun, hold)
    args.out = share.agreed(args.out)
    say(_described(begun, network, share))
    loop = _loop(args, begun, trainee)
    outcome = loop.train(has_state)
    share.leave()
    if not share.first:
        return 0
    if outcome.stopped:
        say(f"stopped: {outcome.stopped}")
    if outcome.best_epoch == 0:
        say(f"stopped before any epoch was validated: no best model was saved; {outcome.advice}")
        return 1
    finish(args.out, begun.data, args.data, network, outcome)
    say(f"run: {args.out}; report: {write_page(args.out)}")
    return 0


def _loop(args: argparse.Namespace, begun: Setup, trainee: GaugeTrainee) -> Loop[Portion]:
    def shorten(epoch: int) -> Schedule:
        trainee.adopt(trainee.config.changed({"fitted_epochs": epoch + 1}))
        if trainee.share.first:
            _save(args.out, begun, trainee.config)
        return trainee.schedule

    loop = Loop(trainee, trainee.schedule, args.out, args.time_limit, began=args.began)
    loop.shorten = None if args.resume else shorten
    loop.report = lambda row, warnings: _report(row, warnings, loop.schedule.epochs)
    if args.tensorboard and trainee.share.first:
        loop.events = event_files.EventFiles(args.out)
    return loop


def _described(begun: Setup, network: torch.nn.Module, share: Share) -> str:
    splits, shape, settings = begun.data.splits, begun.shape, begun.settings
    scenes = sorted({key[0] for key in begun.data.connectors})
    shown = ", ".join(scenes) if len(scenes) <= _MOST_NAMED else f"{len(scenes)} connectors"
    return (
        f"network of {sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters, crops of {shape.side} px, "
        f"{begun.data.pitch_px:.1f} px between neighbouring pins, {len(splits['train'])} training and "
        f"{len(splits['validation'])} validation pictures of {shown}, "
        + (f"{share.count} processes, each on " if share.count > 1 else "")
        + f"{share.accelerator.device}, {settings.threads} threads{', bfloat16' if settings.amp == 'bf16' else ''}"
    )


def run(args: argparse.Namespace) -> int:
    """Train as the options say; returns the exit code: 1 if training stopped before an epoch was validated, else 0."""
    with default_paths.Hold() as hold:
        return _train(args, hold)


def main(argv: list[str] | None = None, began: float | None = None) -> int:
    """Run the command with the arguments `argv` and the time of its start `began`: see `run_training`."""
    return run_training(parser(), run, argv, began)
