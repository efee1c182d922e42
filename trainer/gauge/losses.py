"""The gauge's loss: distance of the points, how well their stated covariances fit, and presence."""

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.gauge.batch import Batch
from trainer.gauge.network import Found

# Beyond this distance in px an error counts linearly: a hidden tip must not outweigh many seen ones.
_LINEAR_PX = 0.5
# Weights of the covariances' and the presence's part.
_SURELY, _PRESENCE = 0.3, 0.3


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

    The covariances' part is the negative logarithm of a Student t density of 4 degrees of freedom, of errors that it
    does not change; so a few large errors do not spoil the statement on all others.
    """
    is_edge, is_there = batch.present < 0, (batch.present == 1).float()
    errors = found.points - batch.truth
    off = across(errors[:, 0], batch)
    of_points = F.smooth_l1_loss(errors, torch.zeros_like(errors), beta=_LINEAR_PX, reduction="none").sum((1, 2))
    of_edges = F.smooth_l1_loss(off, torch.zeros_like(off), beta=_LINEAR_PX, reduction="none")
    distance = torch.where(is_edge, of_edges, of_points * is_there)
    square = whiten(errors.detach(), found.sharpness).square().sum(-1)
    logs = found.sharpness[..., 0] + found.sharpness[..., 1]
    points_surely = (3.0 * torch.log1p(square / 4.0) - logs).sum(1)
    log = found.sharpness[:, 0, 0]
    edges_surely = 2.5 * torch.log1p((log.exp() * off.detach()).square() / 4.0) - log
    surely = torch.where(is_edge, edges_surely, points_surely * is_there)
    wanted = batch.present.clamp(min=0).float()
    presence = F.binary_cross_entropy_with_logits(found.present, wanted, reduction="none") * ~is_edge
    return distance, surely, presence


def loss(found: Found, batch: Batch) -> Tensor:
    """The sum over the crops."""
    distance, surely, presence = parts(found, batch)
    return (distance + _SURELY * surely + _PRESENCE * presence).sum()
