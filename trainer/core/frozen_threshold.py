"""RUN/frozen.json: threshold and temperature, chosen once on validation and then kept for all evaluations.

How both are chosen: `trainer.core.decision`. The file also lists the pin positions that were defective in training, by
scene, so that an evaluation can tell new positions. All belong to the weights whose SHA-256 is in the file.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from trainer.core import run_folder
from trainer.core.decision import choose_threshold, fit_temperature, softmax
from trainer.core.errors import InputError

FROZEN = "frozen.json"
CRITERION = "highest mean of NG found and OK passed on validation"


@dataclass(frozen=True)
class FrozenThreshold:
    """Content of RUN/frozen.json: a run's threshold and temperature, and the weights they belong to.

    Args:
        weights_sha256: SHA-256 of RUN/best.safetensors, in hex.
        threshold: Least P(NG) = 1 - P(OK) that is NG, in [0, 1].
        temperature: Number above 0 that divides the logits.
        pictures: Number of validation pictures, or parts with --views, that both were chosen on.
        positions: Addresses (such as `r1c2`) of the pins that were defective in training, by scene.
    """

    weights_sha256: str
    threshold: float
    temperature: float
    pictures: int
    positions: dict[str, list[str]]


def digest(path: Path) -> str:
    """Compute the SHA-256 of a file of weights, in hex.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as e:
        raise InputError(f"{path}: expected a trained run's weights, got {e}") from e


def freeze(
    run: Path, logits: np.ndarray, labels: np.ndarray, ok_index: int, positions: dict[str, list[str]]
) -> FrozenThreshold:
    """Choose threshold and temperature on validation, and write RUN/frozen.json.

    Args:
        run: The run's folder.
        logits, labels: Logits (N, K) of the best weights on the validation split, and its true labels (N,).
        ok_index: Label of OK.
        positions: Addresses of the pins that were defective in training, by scene.
    """
    temperature = fit_temperature(logits, labels)
    scores = 1 - softmax(logits, temperature)[:, ok_index]
    decided = FrozenThreshold(
        weights_sha256=digest(run / run_folder.BEST),
        threshold=choose_threshold(scores, labels != ok_index),
        temperature=temperature,
        pictures=len(labels),
        positions=positions,
    )
    document = {"criterion": CRITERION, **asdict(decided)}
    run_folder.write_text(run / FROZEN, json.dumps(document, indent=2) + "\n")
    _write_temperature(run, decided.temperature)
    return decided


def _write_temperature(run: Path, temperature: float | None) -> None:
    """Write the temperature into RUN/config.json, where transformers reads it; None removes the key."""
    path = run / run_folder.CONFIG
    document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    known = document.pop("logit_temperature", None)
    if temperature != known:
        held = {} if temperature is None else {"logit_temperature": temperature}
        run_folder.write_text(path, json.dumps({**document, **held}, indent=2) + "\n")


def forget_temperature(run: Path) -> None:
    """Remove the temperature from RUN/config.json, before the weights that it belongs to are replaced."""
    _write_temperature(run, None)


def load(run: Path) -> FrozenThreshold | None:
    """Read RUN/frozen.json; None where the run has none.

    Raises:
        InputError: The file is broken, or belongs to other weights than RUN/best.safetensors.
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
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise InputError(f"{path}: expected the threshold that a training wrote, got {type(e).__name__}: {e}") from e
    if not (0 <= held.threshold <= 1 and held.temperature > 0):
        raise InputError(f"{path}: expected a threshold in [0, 1] and a temperature above 0, got {held}")
    if held.weights_sha256 != digest(run / run_folder.BEST):
        raise InputError(
            f"{path}: expected the threshold of {run_folder.BEST}, got that of other weights; finish the training with "
            "--resume, or delete the file: `python -m trainer.evaluate` then chooses the threshold again"
        )
    return held
