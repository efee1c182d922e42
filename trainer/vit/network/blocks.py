"""Transformer blocks whose attention depends on the distance of patches: rotary positions.

Rotary embedding: Su et al. 2021, RoFormer, section 3.4.2, applied to each axis on half of a head's channels.

This file is copied into every run, so that transformers alone can build the network.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rotary_tables(grid: tuple[int, int], head_dim: int) -> tuple[Tensor, Tensor]:
    """Compute cosine and sine of each patch's rotation angles; returns two (h * w, head_dim / 2) tensors.

    Args:
        grid: Numbers of patches (h, w), down and across.
        head_dim: Channels of a head; half of the channel pairs turn with the row, half with the column.
    """
    quarter = head_dim // 4
    # Wavelengths from 2 patches to about 60: from a pin's neighbour to the whole housing.
    frequency = math.pi * torch.logspace(0, -1.5, quarter)
    rows = torch.arange(grid[0]).repeat_interleave(grid[1])
    columns = torch.arange(grid[1]).repeat(grid[0])
    angle = torch.cat([rows[:, None] * frequency, columns[:, None] * frequency], dim=1)
    return angle.cos(), angle.sin()


def resized_positions(whole: Tensor, grid: tuple[int, int]) -> Tensor:
    """Interpolate position embeddings (h, w, dim) to another grid (h', w'): (h' * w', dim)."""
    if whole.shape[:2] == grid:
        return whole.flatten(0, 1)
    planes = whole.permute(2, 0, 1)[None]  # (1, dim, h, w)
    return F.interpolate(planes, size=grid, mode="bicubic", align_corners=False)[0].flatten(1).T


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate channel pairs of `x` by their token's angles (`rotary_tables`): (B, heads, N, head_dim) -> same shape."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions: (B, N, dim) -> the same shape."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)  # (B, heads, N, head_dim)
        out = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v)
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(batch, tokens, dim))
        return projected


class Block(nn.Module):
    """Pre-norm transformer block: (B, N, dim) -> the same shape."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float, dropout: float) -> None:
        super().__init__()
        hidden = int(dim * mlp_ratio)
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), cos, sin))
        out: Tensor = x + self.dropout(self.mlp(self.norm2(x)))
        return out
