"""How far renders of the fitted scene still differ from the photographs, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_laplace, sobel
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from generator.io.srgb import coded
from generator.matching.noise import Transfer
from generator.matching.regions import NAMES, QUADRANTS, means
from generator.matching.shifts import grey_of

# Side of a patch, px, of the domain classifier.
_PATCH = 32
_FOLDS = 5


@dataclass(frozen=True)
class Differences:
    """Numbers of photographs beside those of renders.

    Attributes:
        regions: for each surface in view its name, and means of grey level (0 to 255), red over green and blue over
            green in photographs and in renders: (name, (6,)).
        edge_px: standard deviations, px, of edges, with the filter of the render's pixels: photographs, renders.
        noise: standard deviation of linear light at the photographs' median light: photographs, renders; None: not
            measured.
        auroc: area under the curve of a classifier that tells patches of photographs from patches of renders, 0.5: it
            cannot; None: fewer than 2 photographs.
    """

    regions: list[tuple[str, list[float]]]
    edge_px: tuple[float, float]
    noise: tuple[float, float] | None
    auroc: float | None

    def document(self) -> dict[str, Any]:
        """Return them as a JSON object."""
        names = ("grey", "red_over_green", "blue_over_green")
        return {
            "regions": {
                name: {
                    "photographs": dict(zip(names, values[:3], strict=True)),
                    "renders": dict(zip(names, values[3:], strict=True)),
                }
                for name, values in self.regions
            },
            "edge_spread_px": {"photographs": self.edge_px[0], "renders": self.edge_px[1]},
            "noise": self.noise and {"photographs": self.noise[0], "renders": self.noise[1]},
            "auroc": self.auroc,
        }


def regions_of(
    photographs: Sequence[np.ndarray], renders: Sequence[np.ndarray], labels: Sequence[np.ndarray]
) -> list[tuple[str, list[float]]]:
    """Return the means of each surface in photographs and renders (H, W, 3) of the same poses, as in `Differences`."""
    pairs = [
        [means(picture, label) for picture, label in zip(some, labels, strict=True)] for some in (photographs, renders)
    ]
    found = []
    for number, name in enumerate(NAMES):
        own = slice(number * QUADRANTS, (number + 1) * QUADRANTS)
        sides = [np.concatenate([each[own] for each in some]) for some in pairs]
        both = np.isfinite(sides[0] + sides[1]).all(axis=1)
        if not both.any():
            continue
        values: list[float] = []
        for side in sides:
            red, green, blue = side[both].mean(axis=0).tolist()
            values += [float(coded(np.array(0.3 * red + 0.59 * green + 0.11 * blue))), red / green, blue / green]
        found.append((name, values))
    return found


def noise_of(photographs: Transfer | None, renders: Transfer | None) -> tuple[float, float] | None:
    """Return the standard deviation of linear light at the photographs' median light, of photographs and renders."""
    if photographs is None or renders is None:
        return None
    light = np.array([np.median(photographs.light)])
    return float(photographs.deviation(light)[0]), float(renders.deviation(light)[0])


def domain_auroc(photographs: Sequence[np.ndarray], renders: Sequence[np.ndarray]) -> float | None:
    """Return how well a logistic regression tells patches of photographs from patches of renders.

    It sees six statistics of each patch: mean, contrast, gradient, fine detail and two colour ratios. All patches of a
    picture are in one fold of the cross-validation.

    Args:
        photographs, renders: (H, W, 3) uint8 each.

    Returns:
        The area under the receiver operating characteristic; None: fewer than 2 pictures of either.
    """
    if min(len(photographs), len(renders)) < 2:
        return None
    features, truth, groups = [], [], []
    for is_render, pictures in enumerate((photographs, renders)):
        for number, picture in enumerate(pictures):
            found = _patches(picture)
            features.append(found)
            truth += [is_render] * len(found)
            groups += [number] * len(found)
    folds = GroupKFold(min(_FOLDS, len(set(groups))))
    model = make_pipeline(StandardScaler(), LogisticRegression())
    with threadpool_limits(1):
        told = cross_val_predict(
            model, np.concatenate(features), truth, groups=groups, cv=folds, method="decision_function"
        )
    return float(roc_auc_score(truth, told))


def _patches(picture: np.ndarray) -> np.ndarray:
    grey = grey_of(picture)
    detail, gradient = np.abs(gaussian_laplace(grey, 0.7)), np.hypot(sobel(grey, 0), sobel(grey, 1)) / 8.0
    colour = picture.astype(float).mean(axis=2) + 1.0
    found = []
    for top in range(0, grey.shape[0] - _PATCH + 1, _PATCH):
        for left in range(0, grey.shape[1] - _PATCH + 1, _PATCH):
            part = slice(top, top + _PATCH), slice(left, left + _PATCH)
            ratios = [float((picture[part][..., channel] / colour[part]).mean()) for channel in (0, 2)]
            sizes = np.log([grey[part].std() + 1.0, gradient[part].mean() + 0.1, detail[part].mean() + 0.1])
            found.append([float(grey[part].mean()), *sizes.tolist(), *ratios])
    return np.array(found)
