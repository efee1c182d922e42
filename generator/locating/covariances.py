"""Covariances in px^2 of the points that a gauge's network finds, from the numbers that it answers with."""

from __future__ import annotations

import numpy as np

from generator.locating.landmarks import PIN

# Standard deviation of an edge point along its edge, px: it says nothing there.
ALONG_EDGE_PX = 50.0


def covariances(
    sharpness: np.ndarray, inwards: np.ndarray, kinds: np.ndarray, scales: tuple[float, float, float]
) -> np.ndarray:
    """Covariances (N, 2, 2, 2) in px^2 of the network's answers.

    Args:
        sharpness: (N, 2, 3) of the network: the logarithms of the diagonal, and the lower left entry, of the lower
            triangular matrix L of each point with inverse covariance L L^T, 1/px.
        inwards: (N, 2) directions from marks to the points beside them: across an edge.
        kinds: (N,) of the queries.
        scales: factors on the stated standard deviations of the mark of a pin, of the point beside it, and of edges.
    """
    inverse = np.zeros((*sharpness.shape[:2], 2, 2))
    inverse[..., 0, 0], inverse[..., 1, 1] = np.exp(sharpness[..., 0]), np.exp(sharpness[..., 1])
    inverse[..., 1, 0] = sharpness[..., 2]
    root = np.linalg.inv(inverse)  # of L; the covariance is L^-T L^-1
    found: np.ndarray = np.array(scales[:2])[:, None, None] ** 2 * (np.swapaxes(root, -1, -2) @ root)
    unit = inwards / np.maximum(np.linalg.norm(inwards, axis=-1, keepdims=True), 1e-9)
    normal = unit[:, :, None] * unit[:, None, :]
    variance = (scales[2] * np.exp(-sharpness[:, 0, 0]))[:, None, None] ** 2
    edge = variance * normal + ALONG_EDGE_PX**2 * (np.eye(2) - normal)
    found[kinds != PIN, 0] = edge[kinds != PIN]
    return found
