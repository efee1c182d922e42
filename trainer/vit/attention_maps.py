"""Attention maps of a ViT: attention rollout, gradient rollout and the probability of NG by patch.

- *Rollout* (Abnar & Zuidema 2020): each block's attention is averaged over heads and mixed half and half with the
  identity, for the residual branch; these matrices are multiplied through the blocks. The map is the mean over the
  tokens after the last block, because the class head takes their mean. This map does not depend on the class.
- *Gradient rollout* (after Chefer, Gur & Wolf 2021): each block's attention is multiplied by the gradient of the
  evidence, set to 0 where negative, and averaged over heads; this matrix A updates the relevance R <- R + A R. The
  tokens after the last block are weighted by gradient times value. The evidence is the log-odds of the most probable
  NG class against OK, in OK pictures too.
- *Patches*: 1 - P(OK) of each patch, the heat map of `trainer.predict`.

Maps are (B, h, w), not negative, each summing to 1; a map without any evidence is flat.
"""

import types
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from trainer.vit.network.blocks import Attention, rotate
from trainer.vit.network.model import ViT

METHODS = ("rollout", "gradient", "patches")


def _recording_forward(self: Attention, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Do as `Attention.forward`, but keep the attention weights, which PyTorch's fused function does not return."""
    batch, tokens, dim = x.shape
    qkv = self.qkv(x).view(batch, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.unbind(0)
    scores = rotate(q, cos, sin) @ rotate(k, cos, sin).transpose(2, 3) * q.shape[-1] ** -0.5
    weights = scores.softmax(-1)  # (B, heads, N, N)
    self.__dict__["recorded"] = weights
    out: Tensor = self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, dim))
    return out


@contextmanager
def recording(model: ViT) -> Iterator[list[Attention]]:
    """Yield the attention layers; in the `with` block each keeps its weights (B, heads, N, N) as `recorded`."""
    layers = [layer for layer in model.modules() if isinstance(layer, Attention)]
    try:
        for layer in layers:
            layer.__dict__["forward"] = types.MethodType(_recording_forward, layer)
        yield layers
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)
            layer.__dict__.pop("recorded", None)


def shares(maps: Tensor) -> Tensor:
    """Set negative values of maps (B, h, w) to 0, and scale each map to the sum 1; a map of zeros becomes flat."""
    maps = maps.clamp(min=0)
    total = maps.sum((1, 2), keepdim=True)
    flat = torch.full_like(maps, 1 / (maps.shape[1] * maps.shape[2]))
    return torch.where(total > 1e-12, maps / total.clamp(min=1e-12), flat)


def maps_of(model: ViT, pixels: Tensor) -> dict[str, Tensor]:
    """Compute three kinds of attention map of each picture: rollout, gradient rollout, patches.

    Args:
        model: The network in evaluation mode.
        pixels: (B, C, H, W) in [0, 1], on the model's device; or (B, V, C, H, W), V views of each of B parts. Then
            gradient rollout uses the class logits of the part.

    Returns:
        By kind (`rollout`, `gradient`, `patches`), maps (B, h, w) on the CPU, each with the sum 1; for parts
        (B * V, h, w), the views of a part one after the other.
    """
    ok = model.config.ok_index
    last: list[Tensor] = []
    hook = model.norm.register_forward_hook(lambda module, given, out: last.append(out))
    try:
        with recording(model) as layers, torch.enable_grad():
            prediction = model(pixels)
            odds = prediction.logits - prediction.logits[:, ok : ok + 1]
            odds = odds.masked_fill(torch.arange(odds.shape[1], device=odds.device) == ok, -torch.inf)
            evidence = odds.amax(1).sum()
            weights: list[Tensor] = [layer.__dict__["recorded"] for layer in layers]
            gradients = torch.autograd.grad(evidence, [last[0], *weights])
    finally:
        hook.remove()
    patch_logits = prediction.patch_logits.detach().flatten(0, -4)  # (B, K, h, w), of each view by itself
    grid = patch_logits.shape[2:]
    with torch.no_grad():
        count, tokens = last[0].shape[:2]
        identity = torch.eye(tokens, device=pixels.device).expand(count, tokens, tokens)
        rolled, relevance = identity, identity
        for weight, gradient in zip(weights, gradients[1:], strict=True):
            rolled = (0.5 * weight.mean(1) + 0.5 * identity) @ rolled
            relevance = relevance + (weight * gradient).clamp(min=0).mean(1) @ relevance
        read = (gradients[0] * last[0]).sum(2).clamp(min=0)  # (B, N)
        gradient_map = (read[:, None] @ relevance)[:, 0]
        heat = 1 - patch_logits.softmax(1)[:, ok]
        # The tokens after the patches are registers, which have no place in the picture and are read by no head.
        patches = heat[0].numel()
        found = {
            "rollout": rolled[:, :patches, :patches].mean(1),
            "gradient": gradient_map[:, :patches],
            "patches": heat.flatten(1),
        }
        return {name: shares(flat.detach().unflatten(1, grid)).cpu() for name, flat in found.items()}
