"""What is decided once, on validation, and holds from then on: RUN/frozen.json.

- *Threshold*: NG is said from so much 1 - P(OK) on. It maximises the mean of the found NG and the passed OK pictures of
  validation, at the middle of the widest such gap, so that neither class's share of the pictures moves it.
- *Temperature*: what the logits are divided by so that probabilities mean what they say (Guo et al. 2017, On
  calibration of modern neural networks). It changes no order, and the threshold refers to probabilities after it.
  Likelihood alone has no optimum where validation is all right: the colder, the better, down to probabilities of 0
  and 1. So it is the most probable one under a weak prior: log T normal about 0, standard deviation 0.5.
- *Positions* that were defective in training, by scene: on another dataset, which are new?

All three belong to one set of weights, whose hash is kept beside them.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from trainer.core import checkpoint
from trainer.core.errors import InputError

FROZEN = "frozen.json"
CRITERION = "highest mean of NG found and OK passed on validation"
# Of log T: 19 of 20 temperatures between 0.38 and 2.7. A few hundred pictures that know better outweigh it.
PRIOR_DEVIATION = 0.5


@dataclass(frozen=True)
class Frozen:
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


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities (N, K) of logits (N, K)."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exponents = np.exp(scaled - scaled.max(1, keepdims=True))
    return np.asarray(exponents / exponents.sum(1, keepdims=True))


def decide(probabilities: np.ndarray, ok_index: int, threshold: float) -> np.ndarray:
    """Labels (N,) at a threshold: OK below it, else the most likely of the others.

    Args:
        probabilities: (N, K).
        ok_index: Label of OK.
        threshold: Least 1 - P(OK) of NG.
    """
    others = probabilities.copy()
    others[:, ok_index] = -1
    return np.asarray(np.where(1 - probabilities[:, ok_index] >= threshold, others.argmax(1), ok_index))


def choose_threshold(scores: np.ndarray, ng: np.ndarray) -> float:
    """The threshold with the highest mean of found NG and passed OK pictures; 0.5 where one of them is missing.

    Args:
        scores: (N,) 1 - P(OK).
        ng: (N,) bool.
    """
    if ng.all() or not ng.any():
        return 0.5
    values, inverse = np.unique(scores, return_inverse=True)
    bad = np.bincount(inverse, ng, len(values)) / ng.sum()
    good = np.bincount(inverse, ~ng, len(values)) / (~ng).sum()
    # Cut k lies below values[k]: NG from there on.
    gain = np.append(bad[::-1].cumsum()[::-1], 0) + np.insert(good.cumsum(), 0, 0)
    edges = np.concatenate([[0.0], values, [1.0]])
    best = np.flatnonzero(np.isclose(gain, gain.max(), rtol=0, atol=1e-12))
    cut = best[np.argmax(edges[best + 1] - edges[best])]
    middle = (edges[cut] + edges[cut + 1]) / 2
    # Two scores may be neighbours in floating point: their middle is then the lower one.
    return float(edges[cut + 1] if middle <= edges[cut] and cut > 0 else middle)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The most probable temperature, after the module's prior and the likelihood of the labels.

    Args:
        logits: (N, K).
        labels: (N,).
    """
    from scipy.optimize import minimize_scalar  # half a second: not for prediction

    def loss(log_temperature: float) -> float:
        p = softmax(logits, math.exp(log_temperature))
        surprise = -np.log(p[np.arange(len(labels)), labels].clip(1e-300)).sum()
        return float(surprise + (log_temperature / PRIOR_DEVIATION) ** 2 / 2)

    bound = math.log(100)
    return math.exp(float(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))


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
) -> Frozen:
    """Decide on validation, and write RUN/frozen.json.

    Args:
        run: The run's folder.
        logits, labels: (N, K) and (N,) of validation, by the best weights.
        ok_index: Label of OK.
        positions: Pins that were defective in training, by scene.
    """
    temperature = fit_temperature(logits, labels)
    scores = 1 - softmax(logits, temperature)[:, ok_index]
    decided = Frozen(
        weights_sha256=digest(run / checkpoint.BEST),
        threshold=choose_threshold(scores, labels != ok_index),
        temperature=temperature,
        pictures=len(labels),
        positions=positions,
    )
    document = {"criterion": CRITERION, **asdict(decided)}
    checkpoint.write_text(run / FROZEN, json.dumps(document, indent=2) + "\n")
    checkpoint.save_temperature(run, decided.temperature)
    return decided


def forget_temperature(run: Path) -> None:
    """Remove the temperature from RUN/config.json, before its weights are replaced: transformers reads it there."""
    path = run / checkpoint.CONFIG
    document = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if document.pop("logit_temperature", None) is not None:
        checkpoint.write_text(path, json.dumps(document, indent=2) + "\n")


def load(run: Path) -> Frozen | None:
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
        held = Frozen(**document)
        held = Frozen(
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
    if held.weights_sha256 != digest(run / checkpoint.BEST):
        raise InputError(
            f"{path}: belongs to other weights than {checkpoint.BEST}: finish the training with --resume, or remove "
            "the file, and `python -m trainer.evaluate` chooses it again"
        )
    return held
