"""The loss of the gauge's network: a weighted sum of five parts.

- Distance: how far the points found lie from the true ones (on an edge: at right angles to it).
- Covariance: how well the stated covariances fit these errors.
- Presence: how well the stated probability that there is a pin agrees with the truth.
- Votes: how much weight the votes far from a point have. It makes the network learn several times as fast.
- Shortfall: the mean error of displaced tips along their displacement. Without it the network would answer smaller
  displacements than the picture shows, since most pins in training stand straight.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.gauge.network import Batch, Found, centres

# Beyond this distance in px an error counts linearly: a hidden tip must not outweigh many seen ones.
_LINEAR_PX = 0.5
# Weights of the covariances', the presence's, the votes' and the shortfall's part.
_SURELY, _PRESENCE, _VOTES, _SHORTFALL = 0.3, 0.3, 0.2, 4.0
# Standard deviation in px of the votes about a point, and along an edge.
_NEAR_PX, _ALONG_PX = 3.0, 9.0
# Displacements that are small against this share of a crop's side have no clear direction and count little.
_CLEAR = 1.0 / 48.0


def across(errors: Tensor, batch: Batch) -> Tensor:
    """Return the component (N,) of errors (N, 2), in px, at right angles to the edge that each crop of `batch` shows.

    It is above 0 if the error points into the area that the edges enclose. For crops of pins it has no meaning.
    """
    inwards = F.normalize(batch.besides - batch.marks, dim=-1)
    return (errors * inwards).sum(-1)


def whiten(errors: Tensor, sharpness: Tensor) -> Tensor:
    """Divide errors (..., 2) in px by stated uncertainties: returns L^T errors (..., 2), L as in `Found.sharpness`."""
    a, b = sharpness[..., 0].exp(), sharpness[..., 1].exp()
    x, y = errors[..., 0], errors[..., 1]
    return torch.stack([a * x + sharpness[..., 2] * y, b * y], -1)


def parts(found: Found, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return three parts of each crop's loss, each (N,): distance and covariance (0 for missing pins), presence.

    The part of the covariance is the negative logarithm of a Student t density with 4 degrees of freedom: a few large
    errors then change the stated covariances of other points little. Presence is 0 for edges.
    """
    is_edge, is_there = batch.present < 0, (batch.present == 1).float()
    errors = found.points - batch.truth
    off = across(errors[:, 0], batch)
    of_points = F.smooth_l1_loss(errors, torch.zeros_like(errors), beta=_LINEAR_PX, reduction="none").sum((1, 2))
    of_edges = F.smooth_l1_loss(off, torch.zeros_like(off), beta=_LINEAR_PX, reduction="none")
    distance = torch.where(is_edge, of_edges, of_points * is_there)
    square = whiten(errors, found.sharpness).square().sum(-1)
    logs = found.sharpness[..., 0] + found.sharpness[..., 1]
    points_surely = (3.0 * torch.log1p(square / 4.0) - logs).sum(1)
    log = found.sharpness[:, 0, 0]
    edges_surely = 2.5 * torch.log1p((log.exp() * off).square() / 4.0) - log
    surely = torch.where(is_edge, edges_surely, points_surely * is_there)
    wanted = batch.present.clamp(min=0).float()
    presence = F.binary_cross_entropy_with_logits(found.present, wanted, reduction="none") * ~is_edge
    return distance, surely, presence


def votes(found: Found, batch: Batch) -> Tensor:
    """Return the part `Votes` of each crop's loss (N,): cross-entropy of the votes' weights and a normal density.

    The votes are those of a crop's cells for a point (see `Found.weights`); the density lies around the true point. For
    a pin the loss is summed over its two points; for a missing pin it is 0. For an edge it is that of the first point
    alone, and the density is wider along the edge.
    """
    off = centres(batch.crops.shape[-1]).to(batch.truth).flatten(1).T - batch.truth[:, :, None]  # N, 2, cells, 2
    square = off.square().sum(-1) / _NEAR_PX**2
    inwards = F.normalize(batch.besides - batch.marks, dim=-1)
    inside = (off[:, 0] * inwards[:, None]).sum(-1).square()
    along = (off[:, 0].square().sum(-1) - inside) / _ALONG_PX**2 + inside / _NEAR_PX**2
    of_points = -((-0.5 * square).softmax(-1) * found.weights).sum((1, 2))
    of_edges = -((-0.5 * along).softmax(-1) * found.weights[:, 0]).sum(1)
    return torch.where(batch.present < 0, of_edges, of_points * (batch.present == 1))


def shortfall(found: Found, batch: Batch) -> Tensor:
    """Return the part `Shortfall` of the loss, a scalar in px^2: the sum of S^2 / (1 + W) over the pictures.

    S is the sum of w * e over the tips of a picture, and W the sum of w^2. e is a tip's error along its true
    displacement, in px; its weight w is 0 without displacement, and near 1 for a large one.
    """
    off = batch.truth[:, 0] - batch.nominal
    clear = _CLEAR * batch.crops.shape[-1]
    along = off * torch.rsqrt(off.square().sum(-1, keepdim=True) + clear**2) * (batch.present == 1)[:, None]
    errors = (found.points - batch.truth)[:, 0]
    zeros = errors.new_zeros(int(batch.pictures.max()) + 1)
    total = zeros.index_add(0, batch.pictures, (errors * along).sum(-1))
    count = zeros.index_add(0, batch.pictures, along.square().sum(-1))
    return (total.square() / (1.0 + count)).sum()


def loss(found: Found, batch: Batch) -> Tensor:
    """Return the loss of a batch, a scalar: the weighted sum of `parts`, `votes` (of all crops) and `shortfall`."""
    distance, surely, presence = parts(found, batch)
    of_crops = (distance + _SURELY * surely + _PRESENCE * presence + _VOTES * votes(found, batch)).sum()
    return of_crops + _SHORTFALL * shortfall(found, batch)
