"""The gauge's network: in a crop with two expected points it finds where they are, and says how precisely.

Each crop is brought to one brightness and contrast. Every cell of a grid of 2 px votes for the place of each of the two
points. The answer is the mean of the votes weighted by a softmax. So a point is found in the same way wherever it lies
in the crop; the network does not know its address.
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
    """Answers for N crops.

    Attributes:
        points: (N, 2, 2) px in the crop: where the mark and the point beside it are, x and y.
        sharpness: (N, 2, 3): logarithms of the diagonal, and the lower left entry, of the lower triangular matrix L of
            each point with inverse covariance L L^T, 1/px.
        present: (N,) logit that there is a pin.
        weights: (N, 2, cells) logarithms of the votes' weights, by cell: rows from the top, each from the left.
        features: (N, F) what the network computes `sharpness` and `present` from: tells how unlike training a crop is.
    """

    points: Tensor
    sharpness: Tensor
    present: Tensor
    weights: Tensor
    features: Tensor


class Batch(NamedTuple):
    """N crops and their truth.

    Attributes:
        crops: (N, 3, S, S) from 0 to 1.
        marks, besides: (N, 2) px where the points are expected.
        kinds: (N,) of the queries.
        truth: (N, 2, 2) px of the two points; without a pin, where they are expected.
        nominal: (N, 2) px where the mark would be on a perfect part in the same place.
        present: (N,) 1 with a pin, 0 without, -1 for edges.
        pictures: (N,) number of the picture, from 0, that the crop is of.
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
    """See the module's docstring.

    Args:
        side: side of a crop, px; a multiple of 8.
        width: channels at a stride of 2 px; twice and three times as many at 4 and 8 px.

    `forward` takes crops (N, 3, S, S) with values from 0 to 1, marks and besides (N, 2) in px, and kinds (N,).
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
    """Centres (2, n, n) of the cells of a crop, x and y in px."""
    cells = (torch.arange(side // STRIDE) + 0.5) * STRIDE
    return torch.stack(torch.meshgrid(cells, cells, indexing="xy"))


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
