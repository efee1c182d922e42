"""A gauge's run on disk: settings, scale and calibration (RUN/config.json, RUN/uncertainty.json), and weights."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from generator.locating import likeness
from generator.locating.fit import FitLimits
from generator.locating.likeness import Likeness
from generator.locating.measure import Factors
from trainer.core.errors import InputError, as_input_error
from trainer.core.run_folder import (
    BEST,
    CONFIG,
    TOLERANCE,
    load_weights,
    read_json,
    read_tensors,
    write_json,
    write_text,
)
from trainer.core.run_folder import read_config as read_document
from trainer.core.settings import FITTED_EPOCHS, Settings, section, setting
from trainer.gauge.network import GaugeNetwork

FORMAT = "pinsight-gauge"
VERSION = 1
UNCERTAINTY = "uncertainty.json"


class GaugeConfig(Settings):
    """Shape of the network."""

    side: int = setting(
        48, "side of a crop, px; a multiple of 8", ge=32, le=256, no_option="from the pitch of the pins in px"
    )
    width: int = setting(
        32, "channels of the network at a stride of 2 px; twice and three times as many at 4 and 8 px", ge=4, le=256
    )


class TrainingConfig(Settings):
    """Settings of a training that change its result."""

    epochs: int = setting(75, "passes over the training split", ge=1, le=100_000)
    pictures: int = setting(4, "pictures per step", ge=1, le=4096)
    pins: int = setting(12, "largest number of pins of a picture per step, drawn at random", ge=1, le=4096)
    edges: int = setting(10, "largest number of edge points of a picture per step, drawn at random", ge=0, le=4096)
    lr: float = setting(1.5e-3, "highest learning rate", gt=0, le=10)
    warmup: float = setting(0.05, "share of the steps during which the learning rate rises", ge=0, le=1)
    weight_decay: float = setting(0.02, "weight decay of AdamW", ge=0, le=10)
    clip: float = setting(1.0, "largest norm of the gradient", gt=0, le=1e6, no_option="fixed")
    ema: float = setting(
        0.995, "decay per step of the moving average of the weights; 0: the weights themselves", ge=0, le=0.99999,
        metavar="DECAY",
    )  # fmt: skip
    patience: int = setting(0, "stop after N epochs that bring no better one; 0: never", ge=0, le=100_000, metavar="N")
    augment: bool = setting(True, "train without augmentation (exposure, colour, noise, mirroring)")
    seed: int = setting(0, "seed of all random numbers", ge=0, le=2**31 - 1)
    threads: int = setting(
        1, "CPU threads; results repeat only with the same number", ge=1, le=1024, shown="number of cores"
    )
    init: str = setting(
        "", "start with the weights of this gauge's run", metavar="RUN", group="beginning", expected="a gauge's run",
        shown="random weights",
    )  # fmt: skip
    amp: Literal["bf16", "off"] = setting(
        "off",
        "precision: bf16 computes in bfloat16 with weights in float32",
        choices=("auto", "bf16", "off"),
        shown="auto: bf16 on a GPU or CPU that computes in it",
    )
    fitted_epochs: int = FITTED_EPOCHS
    data_sha256: str = setting(
        "", "SHA-256 of the dataset's content", expected="a SHA-256, or nothing", no_option="read from the dataset"
    )

    @property
    def scheduled(self) -> int:
        """Number of epochs of the schedule: those of --epochs, or as many as fit into --time-limit."""
        return self.fitted_epochs or self.epochs

    @property
    def close_ups(self) -> float:
        """Share of epochs with close-ups only: 0, as a gauge has none."""
        return 0.0


@dataclass(frozen=True)
class Uncertainty:
    """Factors on standard deviations, calibrated on validation so that stated uncertainties hold, and limits of a fit.

    Attributes:
        tip, foot, edge: factors on the network's standard deviations of points in px.
        aside, height, aside_alone, height_alone: factors on standard deviations in mm, see
            `generator.locating.measure.Factors`.
        residual, inliers, sigma_px: limits of a located part's fit, see `generator.locating.fit`.
    """

    tip: float = 1.0
    foot: float = 1.0
    edge: float = 1.0
    aside: float = 1.0
    height: float = 1.0
    aside_alone: float = 1.0
    height_alone: float = 1.0
    residual: float = FitLimits.residual
    inliers: float = FitLimits.inliers
    sigma_px: float = FitLimits.sigma_px

    @property
    def scales(self) -> tuple[float, float, float]:
        return self.tip, self.foot, self.edge

    @property
    def factors(self) -> Factors:
        """The factors on measures in mm."""
        return Factors(self.aside, self.height, self.aside_alone, self.height_alone)

    @property
    def fit_limits(self) -> FitLimits:
        return FitLimits(self.residual, self.inliers, self.sigma_px)


@dataclass(frozen=True)
class GaugeRun:
    """A trained gauge: network in evaluation mode, pitch in px of resampled pictures, calibrated uncertainty.

    `likeness`: what its training showed.
    """

    network: GaugeNetwork
    pitch_px: float
    uncertainty: Uncertainty
    likeness: Likeness


def save_config(
    run: Path, model: GaugeConfig, training: TrainingConfig, pitch_px: float, tolerance: Mapping[str, Any] | None = None
) -> None:
    """Write RUN/config.json; `pitch_px`: of the resampled pictures; `tolerance`: limits in mm of training, by scene."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "model": model.model_dump(),
        "pitch_px": pitch_px,
        "training": training.model_dump(),
        **({TOLERANCE: dict(tolerance)} if tolerance else {}),
    }
    write_text(run / CONFIG, json.dumps(document, indent=2) + "\n")


def load_config(run: Path) -> tuple[GaugeConfig, TrainingConfig, float]:
    """Read RUN/config.json strictly: shape of the network, settings of the training, pitch in px.

    Raises:
        InputError: the file is missing, damaged, of another version, or has unknown keys or values.
    """
    path = run / CONFIG
    document = read_document(path, FORMAT, VERSION, {"model", "training", "pitch_px", TOLERANCE})
    model = section(GaugeConfig, document.get("model"), f"{path} model")
    return model, section(TrainingConfig, document.get("training"), f"{path} training"), float(document["pitch_px"])


def save_uncertainty(run: Path, found: Uncertainty) -> None:
    """Write RUN/uncertainty.json."""
    write_json(run / UNCERTAINTY, asdict(found))


def load_run(run: Path) -> GaugeRun:
    """Load a trained gauge, in evaluation mode.

    Raises:
        InputError: the run is missing or its files do not fit together.
    """
    model, _, pitch_px = load_config(run)
    network = GaugeNetwork(model.side, model.width)
    tensors, _ = read_tensors(run / BEST)
    load_weights(network, tensors, str(run / BEST))
    stated = read_json(run / UNCERTAINTY, "the uncertainty of a gauge's run")
    uncertainty = Uncertainty(**{key: float(value) for key, value in stated.items()})
    return GaugeRun(network.eval(), pitch_px, uncertainty, _likeness(run))


def _likeness(run: Path) -> Likeness:
    path = run / likeness.FILE
    if not path.is_file():
        raise InputError(
            f"{path}: expected what the training showed, got no such file: `python -m trainer.gauge --data DATASET "
            f"--out {run} --resume` writes it"
        )
    with as_input_error():
        return Likeness.of_bytes(path, str(path))
