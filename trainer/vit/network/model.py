"""A small vision transformer for connectors: fine patches, convolutional stem, class logits per patch and per picture.

Design, and reasons:

- A pin is 7 to 12 px wide, so a patch is 8 px. The stem is convolutional (stride 2 each): a linear patch embedding
  learns too slowly from a hundred pictures; two residual convolutions per stride were better than one. Its norm works
  on the channels of one pixel: with batch statistics a verdict would depend on the other pictures of the batch, with
  statistics over the picture on the brightness of the background. With GroupNorm, training on close-ups helped less on
  whole pictures.
- The stem also gets the local contrast: the inside of a housing is dark, its surroundings are bright, and the important
  differences inside are small.
- Position enters by rotating queries and keys (2-D rotary embedding): attention depends only on the distance between
  two patches. With absolute embeddings a network could learn from a design with held-out positions that some position
  is never NG, and miss a defect there. Any picture size works, square or not.
- The patch head gives class logits for each patch. It is trained on the true boxes.
- The class logits pool the patch logits: for each NG class the soft maximum over the patches of the log-odds against
  OK, with a learned scale and offset, plus a linear head on the mean token. A defect covers 1 % of the patches: with a
  class token alone the network stays at chance for long, while the soft maximum uses the patch head from the first
  epoch. Boxes are not needed at inference.
- A picture is judged by the mean of its class logits at two places on the grid of patches, half a patch apart
  (`shifts`): an answer that depends on where the grid happens to lie is unsure.
- With several views of a part each view goes through the same stem and blocks, and the patches of all views are pooled
  together. So one view that shows a defect is enough, and no weights are added: a run on parts can start with the
  weights of a run on single pictures. There is no attention between views, because the offset between patches of two
  cameras is no distance on the part.

For published weights (`trainer.vit.pretrained`) there are also a linear stem (one convolution with the patch's stride)
and learned absolute positions. Registers are additional tokens without a position, such as a checkpoint's class token.

Registers: Darcet et al. 2024, Vision transformers need registers.

This file is copied into every run, so that transformers alone can build the network: hence the relative imports.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import Block, resized_positions, rotary_tables
from .errors import InputError

OK_CLASS = "OK"
Stem = Literal["conv", "linear"]
Positions = Literal["rotary", "learned"]
STEMS, POSITIONS = get_args(Stem), get_args(Positions)
MOST_PX = 4096
# The usual shapes of vision transformers (Touvron et al. 2021, DeiT, table 1).
SIZES = {
    "tiny": {"dim": 192, "depth": 12, "heads": 3, "mlp_ratio": 4.0},
    "small": {"dim": 384, "depth": 12, "heads": 6, "mlp_ratio": 4.0},
    "base": {"dim": 768, "depth": 12, "heads": 12, "mlp_ratio": 4.0},
}


def _said(description: str, **asked: Any) -> dict[str, Any]:
    """Make the metadata of a field: description, range from `ge` to `le`, and keys for the trainer's options."""
    return {"description": description, **asked}


def _setting(default: Any, description: str, **asked: Any) -> Any:
    """Make a field with a default and metadata."""
    return field(default=default, metadata=_said(description, **asked))


@dataclass(frozen=True)
class ViTConfig:
    """Configuration of the network, on which its weights depend; the metadata of each field describes it."""

    classes: tuple[str, ...] = field(metadata=_said("class names in label order, `OK` among them", no_option="data's"))
    width: int = field(metadata=_said("width of a picture in px", ge=1, le=MOST_PX, no_option="--image-size"))
    height: int = field(metadata=_said("height of a picture in px", ge=1, le=MOST_PX, no_option="--image-size"))
    channels: int = _setting(3, "channels of a picture", ge=1, no_option="those of --input")
    mean: tuple[float, ...] = _setting((0.5,) * 3, "mean of pixels in [0, 1] per channel", no_option="training data's")
    std: tuple[float, ...] = _setting(
        (0.25,) * 3, "standard deviation of pixels in [0, 1] per channel", no_option="training data's"
    )
    patch_size: int = _setting(
        8, "side in px of the square patches that the network works on; at most a pin's width", choices=(4, 8, 16)
    )
    dim: int = _setting(128, "channels of a patch, a multiple of 4 * --heads", ge=8, le=4096)
    depth: int = _setting(2, "number of transformer blocks", ge=0, le=48)
    heads: int = _setting(4, "attention heads per block", ge=1, le=64)
    mlp_ratio: float = _setting(3.0, "width of a block's MLP divided by --dim", ge=0.5, le=16)
    stem_width: int = _setting(
        32,
        "channels of the first convolution; each further convolution has twice as many as the one before, up to --dim",
        ge=1,
        le=1024,
        metavar="N",
    )
    stem_depth: int = _setting(
        2, "residual convolutions after each strided convolution but the first", ge=0, le=64, no_option="fixed"
    )
    dropout: float = _setting(
        0.0, "dropout: share of the residual branches' outputs set to zero in training", ge=0, le=0.9
    )
    registers: int = _setting(
        0, "registers: number of tokens beside those of the patches", ge=0, le=64, metavar="N", earlier=0
    )
    stem: Stem = _setting("conv", "stem of convolutions, or one linear layer", earlier="conv", no_option="--init's")
    positions: Positions = _setting("rotary", "positions: rotary, or learned", earlier="rotary", no_option="--init's")
    views: tuple[str, ...] = _setting((), "cameras per part; empty: single pictures", earlier=(), no_option="--views")
    shifts: int = _setting(
        2,
        "judge a picture by the mean of its scores at so many places on the grid of patches, half a patch apart; each "
        "place takes as long as the first",
        choices=(1, 2, 4),
        earlier=1,
        shown="2; 1 if the training does not move pictures by half a patch",
        metavar="N",
    )

    def __post_init__(self) -> None:
        for name in ("classes", "mean", "std", "views"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        problems = [problem for holds, problem in (*self._ranges(), *self._expectations()) if not holds]
        if problems:
            raise InputError(problems)

    def _ranges(self) -> list[tuple[bool, str]]:
        """Return for each number whether it lies in its field's range, and the message if not."""
        bounded = [(one.name, one.metadata) for one in fields(self) if "ge" in one.metadata]
        limits = [(name, getattr(self, name), said["ge"], said.get("le", math.inf)) for name, said in bounded]
        return [
            (low <= value <= high, f"{name}: expected a number from {low:g} to {high:g}, got {value}")
            for name, value, low, high in limits
        ]

    def _expectations(self) -> list[tuple[bool, str]]:
        """Return for each condition on other or several fields whether it holds, and the message if not."""
        patch_sizes, words = ((4, 8, 16), "4, 8 or 16") if self.stem == "conv" else (range(2, 65), "2 to 64")
        return [
            (
                OK_CLASS in self.classes and len(self.classes) > 1,
                f"classes: expected {OK_CLASS!r} and at least one other, got {list(self.classes)}",
            ),
            (
                self.stem in STEMS and self.positions in POSITIONS,
                f"expected a stem of {', '.join(STEMS)} and positions of {', '.join(POSITIONS)}, got {self.stem!r} and "
                f"{self.positions!r}",
            ),
            (
                self.stem not in STEMS or self.patch_size in patch_sizes,
                f"patch size: expected {words} px, got {self.patch_size}",
            ),
            (
                min(self.width, self.height) >= 2 * self.patch_size,
                f"picture size: expected at least 2 patches of {self.patch_size} px each way, "
                f"got {self.width}x{self.height} px",
            ),
            (
                self.heads > 0 and self.dim > 0 and self.dim % (4 * self.heads) == 0,
                f"dim: expected a multiple of 4 * heads = {4 * self.heads}, got {self.dim}",
            ),
            (
                len(self.mean) == len(self.std) == self.channels,
                f"mean and std: expected {self.channels} numbers each, got {len(self.mean)} and {len(self.std)}",
            ),
            (min(self.std, default=0) > 0, f"std: expected numbers above 0, got {list(self.std)}"),
            (self.shifts in PLACES, f"shifts: expected 1, 2 or 4, got {self.shifts}"),
            (
                len(self.views) != 1 and len(set(self.views)) == len(self.views),
                f"views: expected none, or two and more that differ, got {list(self.views)}",
            ),
        ]

    @property
    def ok_index(self) -> int:
        """Label of the OK class."""
        return self.classes.index(OK_CLASS)

    @property
    def grid(self) -> tuple[int, int]:
        """Numbers of patches (h, w), down and across; the last row and column may be padded."""
        return -(-self.height // self.patch_size), -(-self.width // self.patch_size)


class Prediction(NamedTuple):
    """Output of the network for B pictures, or for B parts with V views each.

    Args:
        logits: (B, K) class logits.
        patch_logits: (B, K, h, w) class logits of each patch; of parts (B, V, K, h, w).
    """

    logits: Tensor
    patch_logits: Tensor


def local_contrast(pixels: Tensor) -> Tensor:
    """Compute the local contrast: grey value minus the mean of about 24 px around, divided by their standard deviation.

    Args:
        pixels: (B, C, H, W) in [0, 1].

    Returns:
        (B, 1, H, W).
    """
    grey = pixels.mean(1, keepdim=True)
    moments = F.avg_pool2d(torch.cat([grey, grey * grey], 1), 8, 8, ceil_mode=True, count_include_pad=False)
    moments = F.avg_pool2d(F.pad(moments, (1, 1, 1, 1), mode="replicate"), 3, 1)
    moments = F.interpolate(moments, size=grey.shape[2:], mode="bilinear", align_corners=False)
    mean, square = moments[:, :1], moments[:, 1:]
    return (grey - mean) / ((square - mean * mean).clamp(min=0).sqrt() + 0.02)


# Places of a picture on the grid of patches: px to the right and down, in halves of a patch.
PLACES = {1: ((0, 0),), 2: ((0, 0), (1, 1)), 4: ((0, 0), (1, 1), (1, 0), (0, 1))}


def moved(pixels: Tensor, right: int, down: int) -> Tensor:
    """Move pictures (..., H, W) by whole px, `right` and `down`, both >= 0; their border is repeated."""
    height, width = int(pixels.shape[-2]), int(pixels.shape[-1])
    rows = (torch.arange(height, device=pixels.device) - down).clamp(min=0)
    columns = (torch.arange(width, device=pixels.device) - right).clamp(min=0)
    return pixels[..., rows, :][..., columns]


class PixelNorm(nn.Module):
    """Root-mean-square norm over the channels of each pixel: (B, C, H, W) -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-4)
        return x * scale * self.weight[:, None, None] + self.bias[:, None, None]


class ResidualConv(nn.Module):
    """Pre-norm 3x3 convolution added to its input: (B, C, H, W) -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = PixelNorm(channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.gelu(self.norm(x)))
        return x + out


class ConvStem(nn.Module):
    """Pixels and their local contrast to tokens: (B, channels + 1, H, W) -> (B, dim, H / patch, W / patch)."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs, width = config.channels + 1, config.stem_width
        steps = int(math.log2(config.patch_size))
        for step in range(steps):
            layers += [nn.Conv2d(inputs, width, 3, stride=2, padding=1), PixelNorm(width), nn.GELU()]
            if step > 0:
                layers += [ResidualConv(width) for _ in range(config.stem_depth)]
            inputs, width = width, min(2 * width, config.dim)
        layers.append(nn.Conv2d(inputs, config.dim, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, pixels: Tensor) -> Tensor:
        tokens: Tensor = self.layers(pixels)
        return tokens


class LinearStem(nn.Module):
    """Pixels and their local contrast to tokens, each patch by itself; same shapes as `ConvStem`."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.projection = nn.Conv2d(config.channels + 1, config.dim, config.patch_size, config.patch_size)

    def forward(self, pixels: Tensor) -> Tensor:
        tokens: Tensor = self.projection(pixels)
        return tokens


class EvidencePooling(nn.Module):
    """Pools patch logits to class logits: the strongest evidence of each NG class against OK.

    Soft maximum over the patches of the log-odds of a class against OK, times a learned scale, plus a learned offset.
    The logit of OK is 0, so the logits are log-odds against OK.
    """

    SHARPNESS = 2.0

    keep: Tensor

    def __init__(self, classes: int, ok_index: int) -> None:
        super().__init__()
        self.ok_index = ok_index
        keep = torch.ones(classes)
        keep[ok_index] = 0
        self.register_buffer("keep", keep, persistent=False)
        self.log_scale = nn.Parameter(torch.zeros(classes))
        self.offset = nn.Parameter(torch.zeros(classes))

    def forward(self, patch_logits: Tensor) -> Tensor:
        """Pool patch logits (B, K, h, w) to class logits (B, K); all dimensions after K are pooled."""
        odds = patch_logits - patch_logits[:, self.ok_index : self.ok_index + 1]
        strongest = torch.logsumexp(self.SHARPNESS * odds.flatten(2), dim=2) / self.SHARPNESS
        return (self.log_scale.exp() * strongest + self.offset) * self.keep


class ViT(nn.Module):
    """The network: makes a `Prediction` from pixels (B, channels, H, W) in [0, 1], whole pictures or close-ups.

    Pixels (B, V, channels, H, W) are V views of each of B parts; each part gets one row of class logits.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        classes = len(config.classes)
        self.register_buffer("mean", torch.tensor(config.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, -1, 1, 1), persistent=False)
        self.stem = ConvStem(config) if config.stem == "conv" else LinearStem(config)
        self.blocks = nn.ModuleList(
            Block(config.dim, config.heads, config.mlp_ratio, config.dropout) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.dim)
        # Whoever watches the features (the gates) hooks this: it gets those of the pictures as they are only.
        self.features = nn.Identity()
        self.patch_head = nn.Linear(config.dim, classes)
        self.class_head = nn.Linear(config.dim, classes)
        self.pooling = EvidencePooling(classes, config.ok_index)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        self.registers = self._tokens(config.registers)
        # (h * w, dim)
        self.positions = self._tokens(config.grid[0] * config.grid[1] if config.positions == "learned" else 0)

    def _tokens(self, count: int) -> nn.Parameter | None:
        """Make learned tokens (count, dim), small random numbers; None for count 0: then none are drawn."""
        if not count:
            return None
        return nn.Parameter(nn.init.trunc_normal_(torch.empty(count, self.config.dim), std=0.02))

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        """Return the learned positions (h * w, dim) of a grid; for a cut-out those in the middle of the picture."""
        assert self.positions is not None
        if grid == self.config.grid:
            return self.positions
        whole: Tensor = self.positions.unflatten(0, self.config.grid)  # type: ignore[no-untyped-call]
        if grid[0] > whole.shape[0] or grid[1] > whole.shape[1]:
            return resized_positions(whole, grid)
        top, left = (whole.shape[0] - grid[0]) // 2, (whole.shape[1] - grid[1]) // 2
        return whole[top : top + grid[0], left : left + grid[1]].flatten(0, 1)

    def _angles(self, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return cosine and sine for `rotate`, (N, head_dim / 2) each; registers and learned positions: no rotation."""
        cos, sin = rotary_tables(grid, self.config.dim // self.config.heads)
        if self.config.positions == "learned":
            cos, sin = torch.ones_like(cos), torch.zeros_like(sin)
        if self.config.registers:
            cos = F.pad(cos, (0, 0, 0, self.config.registers), value=1.0)
            sin = F.pad(sin, (0, 0, 0, self.config.registers), value=0.0)
        return cos, sin

    def forward(self, pixels: Tensor) -> Prediction:
        return self._predicted(pixels, self.features)

    def _predicted(self, pixels: Tensor, features: nn.Module | None = None) -> Prediction:
        """Predict; the features (B, N, dim) of patches and registers after the last norm are shown to `features`."""
        patch = self.config.patch_size
        views = int(pixels.shape[1]) if pixels.dim() == 5 else 0
        if views:
            pixels = pixels.flatten(0, 1)
        # Python integers, none negative: the ONNX exporter would compute -(-61 // 8) as 7.
        height, width = int(pixels.shape[2]), int(pixels.shape[3])
        rows, columns = (height + patch - 1) // patch, (width + patch - 1) // patch
        x = torch.cat([(pixels - self.mean) / self.std, local_contrast(pixels)], 1)
        right, bottom = columns * patch - width, rows * patch - height
        if right or bottom:
            x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        x = self.stem(x).flatten(2).transpose(1, 2)  # (B, h * w, dim)
        if self.positions is not None:
            x = x + self._positions((rows, columns))
        if self.registers is not None:
            x = torch.cat([x, self.registers.expand(x.shape[0], -1, -1)], 1)  # (B, N, dim)
        cos, sin = (t.to(x.device) for t in self._angles((rows, columns)))
        for block in self.blocks:
            x = block(x, cos, sin)
        x = self.norm(x)
        if features is not None:
            x = features(x)
        x = x[:, : rows * columns]
        patch_logits = self.patch_head(x).transpose(1, 2).unflatten(2, (rows, columns))  # (B, K, h, w)
        if not views:
            return Prediction(self.class_head(x.mean(1)) + self.pooling(patch_logits), patch_logits)
        x = x.unflatten(0, (-1, views)).flatten(1, 2)  # (B, V * h * w, dim)
        patch_logits = patch_logits.unflatten(0, (-1, views))  # (B, V, K, h, w)
        logits = self.class_head(x.mean(1)) + self.pooling(patch_logits.transpose(1, 2))
        return Prediction(logits, patch_logits)

    def judged(self, pixels: Tensor) -> Prediction:
        """Predict like `forward`, but with the mean of the class logits at all places that `shifts` asks for.

        A pin that lies on the border of two patches at one place lies inside a patch at another. The patch logits are
        those of the pictures as they are, which the network gets first.
        """
        plain: Prediction = self(pixels)
        half = self.config.patch_size // 2
        logits = [plain.logits]
        logits += [
            self._predicted(moved(pixels, right * half, down * half)).logits
            for right, down in PLACES[self.config.shifts][1:]
        ]
        return Prediction(torch.stack(logits).mean(0), plain.patch_logits)

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Make an optimizer's parameter groups: weight decay for matrices and kernels, none for other parameters."""
        matrices = {name for name, p in self.named_parameters() if p.ndim > 1} - {"registers", "positions"}
        decay = [p for name, p in self.named_parameters() if name in matrices]
        plain = [p for name, p in self.named_parameters() if name not in matrices]
        return [{"params": decay, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
