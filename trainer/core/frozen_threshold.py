"""What is decided once, on validation, and holds from then on: RUN/frozen.json.

- *Threshold* and *temperature* of the decision OK/NG: `trainer.core.decision` says how they are chosen.
- *Positions* that were defective in training, by scene: on another dataset, which are new?

All three belong to one set of weights, whose hash is kept beside them.
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
    """A run's decisions.

    Args:
        weights_sha256: Of RUN/best.safetensors.
        threshold: NG from so much 1 - P(OK) on.
        temperature: Divides the logits.
        pictures: Validation pictures that decided.
        positions: Pins that were defective in training, by scene.
    """

    weights_sha256: str
    threshold: float
    temperature: float
    pictures: int
    positions: dict[str, list[str]]


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as e:
        raise InputError(f"{path}: expected a trained run's weights, got {e}") from e


def freeze(
    run: Path, logits: np.ndarray, labels: np.ndarray, ok_index: int, positions: dict[str, list[str]]
) -> FrozenThreshold:
    """Decide on validation, and write RUN/frozen.json.

    Args:
        run: The run's folder.
        logits, labels: (N, K) and (N,) of validation, by the best weights.
        ok_index: Label of OK.
        positions: Pins that were defective in training, by scene.
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
    """The temperature in RUN/config.json, where transformers reads it; None: none."""
    path = run / run_folder.CONFIG
    document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    known = document.pop("logit_temperature", None)
    if temperature != known:
        held = {} if temperature is None else {"logit_temperature": temperature}
        run_folder.write_text(path, json.dumps({**document, **held}, indent=2) + "\n")


def forget_temperature(run: Path) -> None:
    """Remove the temperature from RUN/config.json, before its weights are replaced: transformers reads it there."""
    _write_temperature(run, None)


def load(run: Path) -> FrozenThreshold | None:
    """RUN/frozen.json; None where the run has none.

    Raises:
        InputError: It is broken, or of other weights than RUN/best.safetensors.
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
        raise InputError(f"{path}: expected what a training froze, got {type(e).__name__}: {e}") from e
    if not (0 <= held.threshold <= 1 and held.temperature > 0):
        raise InputError(f"{path}: expected a threshold in [0, 1] and a temperature above 0, got {held}")
    if held.weights_sha256 != digest(run / run_folder.BEST):
        raise InputError(
            f"{path}: belongs to other weights than {run_folder.BEST}: finish the training with --resume, or remove "
            "the file, and `python -m trainer.evaluate` chooses it again"
        )
    return held
