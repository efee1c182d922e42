"""Wraps a trained network so that `generator.locating` can call it: NumPy crops in, points with covariances out."""

import numpy as np
import torch

from generator.locating.covariances import covariances
from generator.locating.crops import Crops
from generator.locating.locate import FoundPoints
from trainer.gauge.network import GaugeNetwork


class TorchFinder:
    """Finds pins, and edges of the housing's walls, in crops with a trained network, for `generator.locating.locate`.

    Args:
        network: the trained network, in evaluation mode.
        scales: factors on the standard deviations that the network states: of pins' tips, of pins' feet, of edges.
    """

    def __init__(self, network: GaugeNetwork, scales: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> None:
        self.network, self.scales = network, scales

    @property
    def side(self) -> int:
        """Side of the network's square crops, px."""
        return self.network.side

    def find(self, crops: Crops) -> FoundPoints:
        """Find in each of n crops the two points that its query asks for: mark, and point beside it (see `Queries`).

        Returns the points (n, 2, 2) in px from the crop's left upper corner, their covariances (n, 2, 2, 2) in px^2,
        the probability (n,) that there is a pin, and the network's features (n, F).
        """
        pixels = torch.from_numpy(np.ascontiguousarray(crops.pixels.transpose(0, 3, 1, 2))).float() / 255.0
        device = self.network.cells.device
        inputs = [pixels.to(memory_format=torch.channels_last)]
        inputs += [torch.from_numpy(each).float() for each in (crops.marks, crops.besides)]
        with torch.inference_mode():
            found = self.network(*(each.to(device) for each in inputs), torch.from_numpy(crops.kinds).to(device))
        points, sharpness, present = (each.cpu().double().numpy() for each in found[:3])
        features = found.features.cpu().numpy()
        spread = covariances(sharpness, crops.besides - crops.marks, crops.kinds, self.scales)
        return FoundPoints(points, spread, 1.0 / (1.0 + np.exp(-present)), features)
