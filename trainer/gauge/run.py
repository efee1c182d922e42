"""Files of a gauge's run: config.json (settings, px per pitch), uncertainty.json (factors, slopes), and weights."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from generator.locating import factors, likeness
from generator.locating.factors import Factors, ValidationErrors
from generator.locating.fit import FitLimits
from generator.locating.likeness import Likeness
from generator.locating.measure import SAG_DEVIATION
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
from trainer.core.settings import FITTED_EPOCHS, THREADS, Settings, section, setting
from trainer.gauge import ties
from trainer.gauge.network import GaugeNetwork
from trainer.gauge.ties import UNCERTAINTY

FORMAT = "pinsight-gauge"
VERSION = 1
# Beyond these limits no training comes; 0 and numbers below would make U meaningless.
Factor = Annotated[float, Field(ge=1e-3, le=1e6)]
Triple = tuple[Factor, Factor, Factor]
_OF_OLD = ("aside", "height", "aside_alone", "height_alone")


class GaugeConfig(Settings):
    """Settings of the shape of a gauge's network."""

    side: int = setting(
        48, "side of the network's square crops, px; a multiple of 8", ge=32, le=256, no_option="from the pins' pitch"
    )
    width: int = setting(
        32, "channels at half the picture's resolution; twice as many at 1/4, three times as many at 1/8", ge=4, le=256
    )


class TrainingConfig(Settings):
    """Settings of a gauge's training that change its result."""

    epochs: int = setting(
        75, "passes over the training split", ge=1, le=100_000,
        shown="75; more, up to 200, for fewer than 100 training pictures",
    )  # fmt: skip
    pictures: int = setting(4, "pictures per step", ge=1, le=4096)
    pins: int = setting(12, "pins per picture in a step, at most; they are drawn at random", ge=1, le=4096)
    edges: int = setting(10, "points on the edges of the housing's walls per picture in a step, at most", ge=0, le=4096)
    lr: float = setting(1.5e-3, "highest learning rate", gt=0, le=10)
    warmup: float = setting(
        0.05, "share of the steps, from the first on, during which the learning rate rises", ge=0, le=1
    )
    weight_decay: float = setting(0.02, "weight decay of AdamW", ge=0, le=10)
    clip: float = setting(1.0, "norm to which larger gradients are scaled down", gt=0, le=1e6, no_option="fixed")
    ema: float = setting(
        0.995, "validate and keep the moving average of the weights with this decay per step; 0: no average",
        ge=0, le=0.99999, metavar="DECAY",
    )  # fmt: skip
    patience: int = setting(0, "stop after N epochs without a new best one; 0: never", ge=0, le=100_000, metavar="N")
    augment: bool = setting(True, "train without random exposure, colour, sharpness, noise and mirroring")
    seed: int = setting(0, "seed of all random numbers", ge=0, le=2**31 - 1)
    threads: int = THREADS
    init: str = setting(
        "", "start with the weights of a gauge's RUN, and its network's shape in place of --width; base: the run that "
        "`make base` trained",
        metavar="RUN", group="beginning", expected="a gauge's run",
        shown="random weights",
    )  # fmt: skip
    amp: Literal["bf16", "off"] = setting(
        "off",
        "precision: bf16 computes in bfloat16 with weights in float32",
        choices=("auto", "bf16", "off"),
        shown="auto: bf16 on a GPU or CPU that computes in bfloat16",
    )
    fitted_epochs: int = FITTED_EPOCHS
    data_sha256: str = setting(
        "", "SHA-256 of the dataset's content", expected="a SHA-256, or nothing", no_option="read from the dataset"
    )

    @property
    def scheduled(self) -> int:
        """Number of epochs for which the learning rate is planned: `epochs`, or `fitted_epochs` with --time-limit."""
        return self.fitted_epochs or self.epochs

    @property
    def close_ups(self) -> float:
        """Share of the epochs that show close-ups of single pins only: always 0 for a gauge."""
        return 0.0


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Uncertainty:
    """Factors on standard deviations, so that stated uncertainties hold on validation, and limits of a part's fit.

    Attributes:
        tip, foot, edge: factors on the network's standard deviations, in px, of tips, of feet and of edge points.
        together, alone, widening: factors on standard deviations in mm, see `generator.locating.factors.Factors`.
        slopes: found over true displacements of tips, by name of the terminal, see the same class.
        sag: standard deviation of how far a bend lowers a tip, see `generator.locating.measure.Correction`; runs of
            earlier versions state none and keep that of arcs and kinks.
        residual, inliers, sigma_px: limits beyond which a part counts as not located, see `FitLimits`.
    """

    tip: Factor = 1.0
    foot: Factor = 1.0
    edge: Factor = 1.0
    together: Triple = factors.ONES
    widening: Triple = factors.ONES
    residual: Annotated[float, Field(ge=0)] = FitLimits.residual
    inliers: Annotated[float, Field(ge=0, le=1)] = FitLimits.inliers
    sigma_px: Annotated[float, Field(ge=0)] = FitLimits.sigma_px
    alone: Mapping[str, Triple] = field(default_factory=dict)
    slopes: Mapping[str, Factor] = field(default_factory=dict)
    sag: Factor = SAG_DEVIATION

    @property
    def scales(self) -> tuple[float, float, float]:
        """The factors by which standard deviations in px are multiplied: of tips, of feet, of edge points."""
        return self.tip, self.foot, self.edge

    @property
    def fit_limits(self) -> FitLimits:
        """The limits beyond which a part counts as not located."""
        return FitLimits(self.residual, self.inliers, self.sigma_px)


@dataclass(frozen=True)
class GaugeRun:
    """A trained gauge: its network in evaluation mode, and what was learned at the end of its training.

    `pitch_px` is the distance of neighbouring pins in px to which pictures are resampled. `uncertainty` has the factors
    by which standard deviations are multiplied. `likeness` has limits beyond which a part is unlike those of the
    training. `errors` are the errors in measuring the validation parts; None: an earlier version's run, trained on
    single views.
    """

    network: GaugeNetwork
    pitch_px: float
    uncertainty: Uncertainty
    likeness: Likeness
    errors: ValidationErrors | None = None

    @property
    def factors(self) -> Factors:
        """The factors by which standard deviations in mm are multiplied."""
        return factors_of(self.uncertainty, self.errors)


def factors_of(found: Uncertainty, errors: ValidationErrors | None) -> Factors:
    """Return the factors by which standard deviations in mm are multiplied, from the results of validation."""
    return Factors(found.together, found.alone, errors, found.widening, found.slopes, found.sag)


def save_config(
    run: Path, model: GaugeConfig, training: TrainingConfig, pitch_px: float, tolerance: Mapping[str, Any] | None = None
) -> None:
    """Write RUN/config.json: settings of network and training, and the tolerance (limits in mm, by scene).

    `pitch_px` is the distance of neighbouring pins in resampled pictures, px.
    """
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
    """Read RUN/config.json; returns the settings of network and training, and the distance of neighbouring pins, px.

    Raises:
        InputError: the file is missing, damaged, of another version, or has unknown keys or values.
    """
    path = run / CONFIG
    document = read_document(path, FORMAT, VERSION, {"model", "training", "pitch_px", TOLERANCE})
    if not isinstance(pitch_px := document.get("pitch_px"), int | float):
        raise InputError(f"{path} pitch_px: expected a number, got {pitch_px!r}")
    model = section(GaugeConfig, document.get("model"), f"{path} model")
    return model, section(TrainingConfig, document.get("training"), f"{path} training"), float(pitch_px)


def save_uncertainty(run: Path, found: Uncertainty, errors: ValidationErrors | None) -> None:
    """Write `found` into RUN/uncertainty.json and `errors`, unless None, into RUN/errors.npz; `tie` ties them."""
    write_json(run / UNCERTAINTY, asdict(found))
    (run / factors.FILE).unlink(missing_ok=True)
    if errors is not None:
        errors.save(run)


def tie(run: Path) -> None:
    """Tie RUN/uncertainty.json to the run's weights, errors, gates and likeness (`trainer.gauge.ties`); call it last.

    Raises:
        InputError: uncertainty.json is missing or damaged.
    """
    stated = read_json(run / UNCERTAINTY, "the uncertainty of a gauge's run")
    write_json(run / UNCERTAINTY, ties.tied(run, run / BEST, stated))


def load_run(run: Path) -> GaugeRun:
    """Load a trained gauge from the run's folder, with its network in evaluation mode.

    Raises:
        InputError: the run is missing, or its files do not fit together or are of several runs (`trainer.gauge.ties`).
    """
    model, _, pitch_px = load_config(run)
    network = GaugeNetwork(model.side, model.width)
    tensors, _ = read_tensors(run / BEST)
    load_weights(network, tensors, str(run / BEST))
    stated = read_json(run / UNCERTAINTY, "the uncertainty of a gauge's run")
    ties.check(run, run / BEST, stated)
    stated = {key: value for key, value in stated.items() if key not in ties.KEYS}
    if stated.keys() >= set(_OF_OLD):  # a run of an earlier version: one factor for dx and dy, and for all cameras
        aside, height, aside_alone, height_alone = (stated.pop(name) for name in _OF_OLD)
        stated |= {"together": (aside, aside, height), "alone": {"": (aside_alone, aside_alone, height_alone)}}
    try:
        uncertainty = TypeAdapter(Uncertainty).validate_python(stated)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"{run / UNCERTAINTY} {'.'.join(map(str, first['loc']))}: expected the uncertainty of a gauge's run, got: "
            f"{first['msg']}; {ties.remedy(run)}"
        ) from None
    return GaugeRun(network.eval(), pitch_px, uncertainty, _likeness(run), _errors(run))


def _likeness(run: Path) -> Likeness:
    path = run / likeness.FILE
    if not path.is_file():
        raise InputError(
            f"{path}: expected the file with the limits for the appearance of parts, got no such file: "
            f"{ties.remedy(run)}"
        )
    with as_input_error():
        return Likeness.of_bytes(path, str(path))


def _errors(run: Path) -> ValidationErrors | None:
    path = run / factors.FILE
    if not path.is_file():
        return None
    with as_input_error():
        return ValidationErrors.of_bytes(path, str(path))
