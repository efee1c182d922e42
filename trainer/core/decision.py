"""The decision OK/NG of a classifier: its probabilities, the threshold on them, and how both are chosen.

What makes a pin NG: generator/dataset/labels.py. Florence-2's threshold: `florence2.metrics.best_threshold`.

- *Threshold*: NG is said from so much 1 - P(OK) on. It maximises the mean of the found NG and the passed OK pictures of
  validation, at the middle of the widest such gap, so that neither class's share of the pictures moves it.
- *Temperature*: what the logits are divided by so that probabilities mean what they say (Guo et al. 2017, On
  calibration of modern neural networks). It changes no order, and the threshold refers to probabilities after it.
  Likelihood alone has no optimum where validation is all right: the colder, the better, down to probabilities of 0
  and 1. So it is the most probable one under a weak prior: log T normal about 0, standard deviation 0.5.
"""

import math

import numpy as np

# Of log T: 19 of 20 temperatures between 0.38 and 2.7. A few hundred pictures that know better outweigh it.
PRIOR_DEVIATION = 0.5


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
    from sklearn.metrics import roc_curve  # a second: not for prediction

    alarms, found, cuts = (some[::-1] for some in roc_curve(ng, scores, drop_intermediate=False))
    # NG from cuts[k] on; so does any threshold above the next lower score. The last cut, infinite, says OK of all.
    edges = np.concatenate([[0.0], cuts[:-1], [1.0]])
    gain = found - alarms
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
