"""RUN/frozen.json: values chosen and measured once on validation, for all evaluations and predictions of a run.

It holds thresholds and temperature (`trainer.core.decision`), fitness (`trainer.core.fitness`), calibration of a
detector (`trainer.core.calibration`), and by scene the pin positions that were defective in training, so that an
evaluation can report on other positions apart. All values belong to the weights whose SHA-256 is in the file.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from generator.io.checksum import sha256_of
from trainer.core import fitness, max_escape, metrics, operating_points, run_folder
from trainer.core.calibration import Calibration
from trainer.core.decision import Thresholds, choose_limits, choose_threshold, fit_temperature, softmax
from trainer.core.errors import InputError
from trainer.core.fitness import Fitness

FROZEN = "frozen.json"
CRITERION = "highest mean, on validation, of the share of NG pictures found and the share of OK pictures passed"


@dataclass(frozen=True)
class FrozenThreshold:
    """Content of RUN/frozen.json.

    Args:
        weights_sha256: SHA-256 of RUN/best.safetensors, in hex.
        threshold: See `decision.Thresholds`.
        temperature: Number above 0 that divides the logits.
        pictures: Number of validation pictures (with --views: parts) on which thresholds and temperature were chosen.
        positions: Addresses (such as `r1c2`) of the pins that were defective in training, by scene.
        escape_threshold, overkill_threshold: See `decision.Thresholds`; None in files of earlier versions.
        fitness: How well the run tells OK from NG; None in files of earlier versions.
        tolerance: Limits in mm under which the run was trained, by scene; None: not recorded.
        max_escape: `max_escape.Check` as JSON object; None without --max-escape.
        operating_points: Thresholds by accepted share of escapes or overkill, from `operating_points.choose`; None in
            files of earlier versions.
        calibration: Of a detector's confidences; None for a classifier, and in files of earlier versions.
    """

    weights_sha256: str
    threshold: float
    temperature: float
    pictures: int
    positions: dict[str, list[str]]
    escape_threshold: float | None = None
    overkill_threshold: float | None = None
    fitness: Fitness | None = None
    tolerance: dict[str, Any] | None = None
    max_escape: dict[str, Any] | None = None
    operating_points: list[dict[str, Any]] | None = None
    calibration: Calibration | None = None

    @property
    def limits(self) -> Thresholds:
        """The thresholds of the verdict; an escape or overkill threshold that is None equals `threshold`."""
        escape, overkill = self.escape_threshold, self.overkill_threshold
        return Thresholds(
            self.threshold,
            self.threshold if escape is None else escape,
            self.threshold if overkill is None else overkill,
        )

    def sentences(self) -> list[str]:
        """Return sentences without full stops: on the run's fitness, and on whether --max-escape, if given, holds."""
        return [text for text in (fitness.fitness_said(self.fitness), max_escape.said(self.max_escape)) if text]

    def to_json(self) -> dict[str, Any]:
        """Return the content as a JSON object, its keys in the order of the fields."""
        fitness = None if self.fitness is None else self.fitness.to_json()
        calibration = None if self.calibration is None else vars(self.calibration)
        return {**vars(self), "fitness": fitness, "calibration": calibration}


def sha256_of_weights(path: Path) -> str:
    """Compute the SHA-256 of a file of weights, in hex.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        return sha256_of(path)
    except OSError as e:
        raise InputError(f"{path}: expected a trained run's weights, got {e}") from e


def freeze(
    run: Path,
    logits: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    ok_index: int,
    positions: dict[str, list[str]],
    parts: Sequence[str],
    held: FrozenThreshold | None = None,
    rate: float = 0.0,
) -> FrozenThreshold:
    """Choose and write a classifier's thresholds, temperature (also into RUN/config.json) and fitness, on validation.

    Args:
        logits, labels: Logits (N, K) of the best weights on the validation split, and its true labels (N,).
        classes, ok_index: Class names, and the label of OK.
        positions: Addresses of the pins that were defective in training, by scene.
        parts: (N,) name of the part that each picture shows.
        held: Present content, which lacks fitness or a new --max-escape: its threshold and temperature are kept. None:
            both are chosen.
        rate: Rate of `--max-escape`; 0: not given.

    Returns:
        The content of RUN/frozen.json.
    """
    temperature = held.temperature if held else fit_temperature(logits, labels)
    scores, ng = 1 - softmax(logits, temperature)[:, ok_index], labels != ok_index
    matrix = metrics.confusion_matrix(labels, logits.argmax(1), len(classes))
    collapse = metrics.collapse_warning(matrix, classes)
    said = fitness.cross_decided(parts, ng, scores, choose_threshold)
    measured = fitness.fitness_of(parts, ng, said, [collapse] if collapse else [])
    threshold = held.threshold if held else choose_threshold(scores, ng)
    decided = decided_by(run, parts, scores, ng, threshold, measured, positions, temperature, rate)
    write(run, decided)
    _write_temperature(run, decided.temperature)
    return decided


def decided_by(
    run: Path,
    parts: Sequence[str],
    scores: np.ndarray,
    ng: np.ndarray,
    threshold: float,
    measured: Fitness,
    positions: dict[str, list[str]],
    temperature: float = 1.0,
    rate: float = 0.0,
) -> FrozenThreshold:
    """Choose the escape and the overkill threshold on validation; returns what `write` writes into RUN/frozen.json.

    Args:
        parts: (N,) name of the part that each picture shows.
        scores, ng: (N,) scores of the validation split, and whether each picture is NG in truth.
        threshold: Score from which on the class is a class of defect.
        measured: The run's fitness.
        positions: Addresses of the pins that were defective in training, by scene.
        temperature: Divides the logits; 1 for a run without logits.
        rate: Rate of `--max-escape`; 0: not given.
    """
    limits = choose_limits(scores, ng, threshold)
    check = max_escape.choose(parts, ng, scores, rate, threshold, limits.overkill) if rate else None
    limits = replace(limits, escape=check.threshold) if check else limits
    return FrozenThreshold(
        weights_sha256=sha256_of_weights(run / run_folder.BEST),
        threshold=limits.threshold,
        temperature=temperature,
        pictures=len(scores),
        positions=positions,
        escape_threshold=limits.escape,
        overkill_threshold=limits.overkill,
        fitness=measured,
        tolerance=run_folder.recorded_tolerances(run),
        max_escape=asdict(check) if check else None,
        operating_points=operating_points.choose(scores, ng, limits),
    )


def write(run: Path, decided: FrozenThreshold, criterion: str = CRITERION) -> None:
    """Write `decided` into RUN/frozen.json; `criterion`: how the threshold was chosen, in words."""
    run_folder.write_text(run / FROZEN, json.dumps({"criterion": criterion, **decided.to_json()}, indent=2) + "\n")


def _write_temperature(run: Path, temperature: float | None) -> None:
    """Write the temperature into RUN/config.json, where transformers reads it; None removes the key."""
    path = run / run_folder.CONFIG
    document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    known = document.pop("logit_temperature", None)
    if temperature != known:
        held = {} if temperature is None else {"logit_temperature": temperature}
        run_folder.write_text(path, json.dumps({**document, **held}, indent=2) + "\n")


def forget_temperature(run: Path) -> None:
    """Remove the temperature from RUN/config.json: it belongs to weights that are about to be replaced."""
    _write_temperature(run, None)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def load(run: Path) -> FrozenThreshold | None:
    """Read RUN/frozen.json; None if the run has no such file.

    Raises:
        InputError: The file is broken, or belongs to other weights than RUN/best.safetensors, or these are missing.
    """
    path = run / FROZEN
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        document.pop("criterion")
        held = FrozenThreshold(**document)
        held = FrozenThreshold(
            str(held.weights_sha256),
            float(held.threshold),
            float(held.temperature),
            int(held.pictures),
            {str(k): [str(a) for a in v] for k, v in held.positions.items()},
            _number(held.escape_threshold),
            _number(held.overkill_threshold),
            None if held.fitness is None else Fitness.from_json(held.fitness),
            None if held.tolerance is None else dict(held.tolerance),
            None if held.max_escape is None else asdict(max_escape.Check(**held.max_escape)),
            None if held.operating_points is None else [operating_points.read(one) for one in held.operating_points],
            None if held.calibration is None else Calibration.from_json(held.calibration),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise InputError(
            f"{path}: expected the thresholds that a training wrote, got {type(e).__name__}: {e}; delete the file and "
            "choose them again with `python -m trainer.evaluate`"
        ) from e
    # A detector that finds nothing has a threshold just above its highest confidence.
    if not (0 <= held.limits.escape <= held.threshold <= held.limits.overkill <= 2 and held.temperature > 0):
        raise InputError(
            f"{path}: expected thresholds 0 <= escape <= threshold <= overkill <= 2 and a temperature above 0, got "
            f"{held.limits} and temperature {held.temperature}; delete the file and choose them again with `python -m "
            "trainer.evaluate`"
        )
    if held.weights_sha256 != sha256_of_weights(run / run_folder.BEST):
        raise InputError(
            f"{path}: expected thresholds chosen with the weights in {run_folder.BEST}, got some chosen with other "
            "weights; finish the training with --resume, or delete the file and choose them again with `python -m "
            "trainer.evaluate`"
        )
    return held
