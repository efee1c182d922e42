"""Compute the covariances of the points that a gauge's network finds, from the network's answers."""

from __future__ import annotations

import numpy as np

from generator.locating.landmarks import PIN

# Standard deviation, px, that is set for an edge point along its edge, where it is not found.
ALONG_EDGE_PX = 50.0


def covariances(
    sharpness: np.ndarray, inwards: np.ndarray, kinds: np.ndarray, scales: tuple[float, float, float]
) -> np.ndarray:
    """Return the covariances (N, 2, 2, 2) in px^2 of the points that a gauge's network found for N queries.

    Each query asks for two points: its mark, and the point beside the mark (`generator.locating.landmarks`). In the
    result, axis 1 is the point, and axes 2 and 3 are its 2 x 2 covariance.

    Args:
        sharpness: (N, 2, 3) the network's answer for each point: log L[0, 0], log L[1, 1] and L[1, 0] of a lower
            triangular matrix L in 1/px. L L^T is the inverse of the point's covariance. Of an edge's mark only
            L[0, 0] is used, as 1 / (standard deviation across the edge).
        inwards: (N, 2) vector from the mark to the point beside it in the picture, of any length; for an edge it is
            perpendicular to the edge.
        kinds: (N,) kind of each query: PIN, OUTLINE or OPENING (the latter two are edges).
        scales: three factors by which the network's standard deviations are multiplied: for tips, for feet, for edges.
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
