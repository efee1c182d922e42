"""The gauge's loss: distance of the points, how well their stated covariances fit, presence, votes, and no shortfall.

The cells near a point are to have the votes: they see it best, and the network learns several times as fast.

An answer that errs as little as possible on average falls short: it moves from what the picture shows towards what
training showed most often, pins that stand straight. A gauge must not do so: the mean error along the displacement is
to be zero at every size. The last part of the loss sees to it.
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
    """Errors (N, 2) px of edge points across the edge (N,): along it an edge shows nothing."""
    inwards = F.normalize(batch.besides - batch.marks, dim=-1)
    return (errors * inwards).sum(-1)


def whiten(errors: Tensor, sharpness: Tensor) -> Tensor:
    """Errors (..., 2) in px as standard deviations: L^T errors, by the sharpness (..., 3)."""
    a, b = sharpness[..., 0].exp(), sharpness[..., 1].exp()
    x, y = errors[..., 0], errors[..., 1]
    return torch.stack([a * x + sharpness[..., 2] * y, b * y], -1)


def parts(found: Found, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The three parts of the loss of each crop, (N,): distance, covariance, presence; 0 where one does not apply.

    The covariances' part is the negative logarithm of a Student t density of 4 degrees of freedom, so that a few large
    errors do not spoil the statement on all others.
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
    """Cross entropy (N,) of the votes' weights against a normal distribution round the true points; 0 without a pin."""
    off = centres(batch.crops.shape[-1]).to(batch.truth).flatten(1).T - batch.truth[:, :, None]  # N, 2, cells, 2
    square = off.square().sum(-1) / _NEAR_PX**2
    inwards = F.normalize(batch.besides - batch.marks, dim=-1)
    inside = (off[:, 0] * inwards[:, None]).sum(-1).square()
    along = (off[:, 0].square().sum(-1) - inside) / _ALONG_PX**2 + inside / _NEAR_PX**2
    of_points = -((-0.5 * square).softmax(-1) * found.weights).sum((1, 2))
    of_edges = -((-0.5 * along).softmax(-1) * found.weights[:, 0]).sum(1)
    return torch.where(batch.present < 0, of_edges, of_points * (batch.present == 1))


def shortfall(found: Found, batch: Batch) -> Tensor:
    """Sum over the pictures of (n + 1) m^2, in px^2: m is the mean error of n tips along their displacements.

    Each tip has a weight w from 0, not displaced, to 1: m = sum(w e) / (1 + n), n = sum(w^2).
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
    """The sum over the crops, and the shortfall of the pictures."""
    distance, surely, presence = parts(found, batch)
    of_crops = (distance + _SURELY * surely + _PRESENCE * presence + _VOTES * votes(found, batch)).sum()
    return of_crops + _SHORTFALL * shortfall(found, batch)
