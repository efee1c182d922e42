"""The network as `generator.locating` uses it: crops in, points with covariances out, as NumPy arrays."""

import numpy as np
import torch

from generator.locating.crops import Crops
from generator.locating.landmarks import PIN
from generator.locating.locate import FoundPoints
from trainer.gauge.network import GaugeNetwork

# Standard deviation of an edge point along its edge, px: it says nothing there.
ALONG_EDGE_PX = 50.0


class TorchFinder:
    """A `generator.locating.locate.Finder` of a trained network.

    Args:
        network: in evaluation mode.
        scales: factors on the stated standard deviations of the mark of a pin, of the point beside it, and of edges.
    """

    def __init__(self, network: GaugeNetwork, scales: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> None:
        self.network, self.scales = network, scales

    @property
    def side(self) -> int:
        return self.network.config.side

    def find(self, crops: Crops) -> FoundPoints:
        """Find the points of crops."""
        pixels = torch.from_numpy(np.ascontiguousarray(crops.pixels.transpose(0, 3, 1, 2))).float() / 255.0
        device = self.network.cells.device
        inputs = [pixels.to(memory_format=torch.channels_last)]
        inputs += [torch.from_numpy(each).float() for each in (crops.marks, crops.besides)]
        with torch.inference_mode():
            found = self.network(*(each.to(device) for each in inputs), torch.from_numpy(crops.kinds).to(device))
        points, sharpness, present = (each.cpu().double().numpy() for each in found)
        spread = covariances(sharpness, crops.besides - crops.marks, crops.kinds, self.scales)
        return FoundPoints(points, spread, 1.0 / (1.0 + np.exp(-present)))


def covariances(
    sharpness: np.ndarray, inwards: np.ndarray, kinds: np.ndarray, scales: tuple[float, float, float]
) -> np.ndarray:
    """Covariances (N, 2, 2, 2) in px^2 of the network's answers.

    Args:
        sharpness: (N, 2, 3) of the network.
        inwards: (N, 2) directions from marks to the points beside them: across an edge.
        kinds: (N,) of the queries.
        scales: see `TorchFinder`.
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
