"""OK or NG by a classifier: how threshold and temperature are chosen and applied.

The tolerances that make a pin NG: generator/dataset/labels.py. Florence-2's threshold:
`florence2.metrics.best_threshold`.

- *Threshold*: a picture is NG if P(NG) = 1 - P(OK) is at least the threshold. It maximises the mean of two shares on
  validation, NG pictures found and OK pictures passed, so the classes' frequencies do not move it. Of all thresholds
  with that maximum it is the middle of the widest interval.
- *Temperature*: divides the logits so that probabilities are calibrated (Guo et al. 2017, On calibration of modern
  neural networks). It keeps the order of the classes; the threshold applies to the probabilities after it.
  Maximum likelihood has no optimum where every validation picture is right: T would go to 0 and probabilities to 0 and
  1. So T is the maximum a posteriori under a weak prior: log T normal about 0, standard deviation 0.5.
"""

import math

import numpy as np

# Standard deviation of log T in the prior: 95 % between T = 0.38 and 2.7. A few hundred pictures outweigh it.
PRIOR_DEVIATION = 0.5


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Compute probabilities (N, K) from logits (N, K), which are divided by the temperature first."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exponents = np.exp(scaled - scaled.max(1, keepdims=True))
    return np.asarray(exponents / exponents.sum(1, keepdims=True))


def decide(probabilities: np.ndarray, ok_index: int, threshold: float) -> np.ndarray:
    """Return the predicted labels (N,): OK if P(NG) is below the threshold, else the most probable NG class.

    Args:
        probabilities: (N, K), after the temperature.
        ok_index: Label of OK.
        threshold: Least P(NG) = 1 - P(OK) that is NG, in [0, 1].
    """
    others = probabilities.copy()
    others[:, ok_index] = -1
    return np.asarray(np.where(1 - probabilities[:, ok_index] >= threshold, others.argmax(1), ok_index))


def choose_threshold(scores: np.ndarray, ng: np.ndarray) -> float:
    """Choose the threshold with the highest mean of two shares, NG found and OK passed; 0.5 without NG or OK pictures.

    Args:
        scores: (N,) P(NG) = 1 - P(OK).
        ng: (N,) whether the picture is NG in truth.
    """
    if ng.all() or not ng.any():
        return 0.5
    from sklearn.metrics import roc_curve  # takes a second; prediction does not need it

    alarms, found, cuts = (some[::-1] for some in roc_curve(ng, scores, drop_intermediate=False))
    # Thresholds from above the next lower score to cuts[k] decide alike. With the last cut, infinite, all is OK.
    edges = np.concatenate([[0.0], cuts[:-1], [1.0]])
    gain = found - alarms
    best = np.flatnonzero(np.isclose(gain, gain.max(), rtol=0, atol=1e-12))
    cut = best[np.argmax(edges[best + 1] - edges[best])]
    middle = (edges[cut] + edges[cut + 1]) / 2
    # Between two neighbouring floating-point numbers the middle is rounded to the lower one.
    return float(edges[cut + 1] if middle <= edges[cut] and cut > 0 else middle)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature that maximises its prior (see the module) times the likelihood of the labels.

    Args:
        logits: (N, K), not divided yet.
        labels: (N,) true labels.
    """
    from scipy.optimize import minimize_scalar  # takes half a second; prediction does not need it

    def loss(log_temperature: float) -> float:
        p = softmax(logits, math.exp(log_temperature))
        surprise = -np.log(p[np.arange(len(labels)), labels].clip(1e-300)).sum()
        return float(surprise + (log_temperature / PRIOR_DEVIATION) ** 2 / 2)

    bound = math.log(100)
    return math.exp(float(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))
