"""The gauge's network: given a crop and the expected places of two points, it finds the points and their uncertainty.

The points are a pin's tip and foot, or a point on a wall's edge and one inside it. Each crop is brought to one
brightness and contrast. Every cell of 2 x 2 px votes for the place of each point. The answer is the mean of the votes,
weighted by a softmax, so a point is found equally well all over the crop. The network does not know the pin's address.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 2
KINDS = 3
# Added to the standard deviation of a crop's values, so that noise alone does not fill the range.
_DARK = 0.02
# Width in px of the marks that show the network the expected points.
_MARK_PX = 2.0
# Standard deviation of a standard normal variable divided by that of its positive part.
_RELU_GAIN = 1.7139588594436646
# Limits of the logarithm of a standard deviation's inverse, in 1/px: sigma from 0.02 to 12 px.
_LOG_SHARPEST, _LOG_BLUNTEST = 3.9, -2.5


class Found(NamedTuple):
    """The network's answers for N crops, each of a pin (points: tip and foot) or of a wall's edge (see `Queries`).

    Attributes:
        points: (N, 2, 2) the two points found, x and y in px from the crop's left upper corner.
        sharpness: (N, 2, 3) for each point the lower triangular matrix L, in 1/px, whose product L L^T is the inverse
            of the point's covariance: logarithms of the two diagonal entries, and the entry below the diagonal.
        present: (N,) logit of the probability that there is a pin.
        weights: (N, 2, cells) logarithms of the weights of the cells' votes for each point; `points` are the weighted
            means of the votes. Cells are squares of 2 x 2 px of the crop, row by row from the top, each from the left.
        features: (N, F) numbers from which the last layers compute `sharpness` and `present`. They show how far
            a crop is from the crops of the training.
    """

    points: Tensor
    sharpness: Tensor
    present: Tensor
    weights: Tensor
    features: Tensor


class Batch(NamedTuple):
    """N crops and their truth; points are x and y in px from the crop's left upper corner.

    Attributes:
        crops: (N, 3, S, S) values from 0 to 1.
        marks: (N, 2) where a pin's tip, or a point on a wall's edge, is expected.
        besides: (N, 2) where the pin's foot, or a point inside the edge, is expected.
        kinds: (N,) what is looked for: 0 a pin, 1 the walls' outer edge, 2 their inner edge.
        truth: (N, 2, 2) the two true points; for a missing pin, where its tip and foot would be on a perfect part.
        nominal: (N, 2) where the first of the two points would be on a perfect part in the true pose.
        present: (N,) 1 if there is a pin, 0 if it is missing, -1 for edges.
        pictures: (N,) number, from 0, of the picture from which the crop was cut.
    """

    crops: Tensor
    marks: Tensor
    besides: Tensor
    kinds: Tensor
    truth: Tensor
    nominal: Tensor
    present: Tensor
    pictures: Tensor


class _Conv(nn.Conv2d):
    """A convolution whose kernels have mean 0 and one size, with a factor for each channel.

    Scaled weight standardisation (Brock et al., arXiv:2101.08692) in place of a normalisation of the activations, which
    takes half of the time on a CPU. The gain keeps the variance after a ReLU.
    """

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, size, stride, size // 2)
        self.gain = nn.Parameter(torch.full((outputs, 1, 1, 1), _RELU_GAIN))
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        fan_in = self.weight[0].numel()
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True)
        kernels = (self.weight - mean) * torch.rsqrt(variance * fan_in + 1e-4) * self.gain
        return F.conv2d(x, kernels, self.bias, self.stride, self.padding)


class _Block(nn.Module):
    """Two 3x3 convolutions with a residual connection, to which they add little at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _Conv(channels, channels, 3), _Conv(channels, channels, 3)
        with torch.no_grad():
            self.second.gain.mul_(0.3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


def _down(inputs: int, outputs: int, size: int = 3) -> nn.Sequential:
    return nn.Sequential(_Conv(inputs, outputs, size, 2), nn.ReLU())


class GaugeNetwork(nn.Module):
    """A network that finds two points in each crop of a picture, and states how precisely it finds them.

    `forward` takes `crops`, `marks`, `besides` and `kinds` of `Batch`, and returns `Found`.

    Args:
        side: side of a crop, px; a multiple of 8.
        width: number of channels at half the crop's resolution; twice as many at a quarter, three times at an eighth.
    """

    cells: Tensor
    pixels: Tensor

    def __init__(self, side: int = 48, width: int = 32) -> None:
        super().__init__()
        self.side, self.width = side, width
        self.stem = _down(3 + 2 + KINDS, width, 5)
        self.fine = _Block(width)
        self.down = _down(width, 2 * width)
        self.middle = nn.Sequential(_Block(2 * width), _Block(2 * width))
        self.down_again = _down(2 * width, 3 * width)
        self.coarse = _Block(3 * width)
        self.from_coarse = nn.Conv2d(3 * width, 2 * width, 1)
        self.from_middle = nn.Conv2d(2 * width, width, 1)
        self.merge = _Block(width)
        self.votes = nn.Conv2d(width, 2 * 3, 1)  # of each point: logit, x, y
        last = nn.Linear(64, 2 * 3 + 1)
        nn.init.zeros_(last.weight)
        self.surely = nn.Sequential(nn.Linear(2 * width + 3 * width, 64), nn.ReLU(), last)
        self.register_buffer("cells", centres(side), persistent=False)
        pixels = torch.arange(side) + 0.5
        self.register_buffer("pixels", torch.stack(torch.meshgrid(pixels, pixels, indexing="xy")), persistent=False)

    def forward(self, crops: Tensor, marks: Tensor, besides: Tensor, kinds: Tensor) -> Found:
        variance, mean = torch.var_mean(crops, dim=(1, 2, 3), keepdim=True)
        even = (crops - mean) / (variance.sqrt() + _DARK)
        x = torch.cat([even, 2.0 * self._shown(marks), 2.0 * self._shown(besides), self._kinds(kinds)], 1)
        fine = self.fine(self.stem(x))
        middle = self.middle(self.down(fine))
        coarse = self.coarse(self.down_again(middle))
        middle = F.relu(middle + _twice(self.from_coarse(coarse)))
        features = self.merge(F.relu(fine + _twice(self.from_middle(middle))))
        # From here on in full precision: a place in px needs more than the 8 bits of bfloat16.
        with torch.autocast(features.device.type, enabled=False):
            return self._answer(features.float(), coarse.float())

    def _answer(self, features: Tensor, coarse: Tensor) -> Found:
        votes = self.votes(features).flatten(2).unflatten(1, (2, 3))  # N, point, 3, cells
        logs_of_weights = votes[:, :, 0].log_softmax(-1)
        weights = logs_of_weights.exp()
        places = votes[:, :, 1:] + self.cells.flatten(1)
        points = (weights[:, :, None] * places).sum(-1)
        pooled = (weights[:, :, None] * features.flatten(2)[:, None]).sum(-1).flatten(1)
        described = torch.cat([pooled, coarse.mean((2, 3))], 1)
        said = self.surely(described)
        sharpness = said[:, :6].unflatten(1, (2, 3))
        logs = sharpness[..., :2].clamp(_LOG_BLUNTEST, _LOG_SHARPEST)
        return Found(points, torch.cat([logs, sharpness[..., 2:]], -1), said[:, 6], logs_of_weights, described)

    def _shown(self, points: Tensor) -> Tensor:
        """A picture (N, 1, S, S) with a spot at each point (N, 2)."""
        off = self.pixels - points[:, :, None, None]
        return torch.exp(-(off**2).sum(1, keepdim=True) / (2 * _MARK_PX**2))

    def _kinds(self, kinds: Tensor) -> Tensor:
        side = self.side
        planes = F.one_hot(kinds, KINDS).to(self.pixels.dtype)
        return planes[:, :, None, None].expand(-1, -1, side, side)


def centres(side: int) -> Tensor:
    """Return the centres of a crop's n x n cells of 2 px, given its side in px: (2, n, n), all x, then all y, in px."""
    cells = (torch.arange(side // STRIDE) + 0.5) * STRIDE
    return torch.stack(torch.meshgrid(cells, cells, indexing="xy"))


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
