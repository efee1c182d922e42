"""Auxiliary losses (`--scaffold`): they teach a Florence-2 with random weights where pins lie.

An answer lists only a few boxes, so its loss teaches little about the places of pins. Five losses are added. A cell is
the square of the picture that one picture token represents.

- *cells*: from each picture token after the language model's encoder, a head predicts whether a pin (good or NG) lies
  in the token's cell, and the pin's class and edges. The head is removed after training.
- *attention*: while the decoder writes a location of a box, its last two layers should attend to the box's cells.
- *measure*: each pin's cell should state the pin's displacement and presence: see `trainer.core.pin_measures`.
- *regions*: the decoder names what a given box contains: see `trainer.florence2.regions`.
- *good* (list of pins): a second, forced text lists the boxes of all pins, or with --region-weight 0 of the OK pins:
  about 100 locations; the usual answer has 8.

The trained model is a plain Florence-2.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.bbox_str import BINS
from trainer.florence2.answers import IGNORED
from trainer.florence2.samples import Sample
from trainer.florence2.tiny import HARMONICS

BACKGROUND = 0
# A cell whose pin teaches its edges, but not its class: see `samples.Sample.shares`.
UNNAMED = IGNORED


class Targets(NamedTuple):
    """What the auxiliary losses of a batch of B pictures or close-ups learn, each of N cells.

    Args:
        categories, boxes: (B, N) and (B, N, 4) from `cell_targets`.
        pictures, cells, pins: (K,), (K,) and (K, 6) from `pin_measures.places`: K pins whose measures are stated.
        bins, classes: (B, R, 4) and (B, R) from `regions.drawn_regions`, or `regions.NO_REGIONS`.
    """

    categories: Tensor
    boxes: Tensor
    pictures: Tensor
    cells: Tensor
    pins: Tensor
    bins: Tensor
    classes: Tensor


@contextmanager
def placed(model: Any, corners: Tensor | None) -> Iterator[None]:
    """In a `with` block, give close-ups' tokens the position embeddings of the same cells in the whole picture.

    Args:
        model: Florence-2.
        corners: (B, 2) column and row of each close-up's first cell in the whole picture; None: change nothing.
    """
    if corners is None:
        yield
        return

    def moved(module: Any, args: tuple[Any, ...], output: Tensor) -> Tensor:
        height, width = output.shape[-2:]
        columns = torch.arange(width, device=output.device) + corners[:, :1]  # (B, w)
        rows = torch.arange(height, device=output.device) + corners[:, 1:]
        x = module.column_embeddings(columns)[:, None].expand(-1, height, -1, -1)
        y = module.row_embeddings(rows)[:, :, None].expand(-1, -1, width, -1)
        return torch.cat([x, y], -1).permute(0, 3, 1, 2)

    handle = model.model.multi_modal_projector.image_position_embed.register_forward_hook(moved)
    try:
        yield
    finally:
        handle.remove()


def edge_code(edges: Tensor) -> Tensor:
    """Encode the four edges of boxes, (…, 4), as (…, 28) numbers: the edges, then their sines and cosines.

    An edge is stated as its distance from the centre of the cell that predicts it; the unit is the width of a cell.

    The embeddings of location tokens start as such sines. If a picture token contains the same sines, the decoder can
    copy them into a location; from plain edges it would have to learn the sines, which takes far longer.
    """
    # The sines start at the cell's edge, half a cell before its centre.
    angles = torch.cat([2 * math.pi * k * (edges + 0.5) for k in HARMONICS], -1)
    return torch.cat([edges, angles.sin(), angles.cos()], -1)


class CellHead(nn.Module):
    """Predicts from each cell's token (width D) the class (background or one of K) and the edges of the cell's pin."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.category = nn.Linear(width, classes + 1)
        self.box = nn.Linear(width, 4 + 8 * len(HARMONICS))
        nn.init.normal_(self.category.weight, std=0.02)
        nn.init.normal_(self.box.weight, std=0.02)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits (B, N, 1 + K), first no pin, and `edge_code` (B, N, 28) of its box, from tokens (B, N, D)."""
        tokens = self.norm(tokens)
        return self.category(tokens), self.box(tokens)


def grid_of(model: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Return the numbers of cells (gw, gh), across and down, of a model's picture of `size` (W, H) px."""
    gw, gh = size
    for stride in model.config.vision_config.patch_stride:
        gw, gh = -(-gw // stride), -(-gh // stride)
    return gw, gh


def cell_targets(
    samples: Sequence[Sample], ok: int, grid: tuple[int, int], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Choose class and box for each cell, the square of the picture that one picture token represents.

    A cell belongs to a box if it contains the box's centre or the box contains the cell's centre. If several boxes
    claim a cell, a defective pin's box gets it. Defects that the answer does not name are left out.

    Args:
        samples: B pictures or close-ups of one size.
        ok: Index of class OK.
        grid: Numbers of cells (gw, gh), across and down, of these pictures or close-ups.
        size: Size (W, H) of the pictures or close-ups in px.

    Returns:
        Classes (B, gh*gw): `BACKGROUND`, `UNNAMED`, or the class's index + 1; boxes (B, gh*gw, 4), xyxy in cells from
        the cell's centre, 0 for background.
    """
    gw, gh = grid
    cell = torch.tensor([size[0] / gw, size[1] / gh])
    y, x = torch.meshgrid(torch.arange(gh) + 0.5, torch.arange(gw) + 0.5, indexing="ij")
    centres = torch.stack([x, y], -1).reshape(-1, 2)  # (N, 2), in cells
    categories = torch.zeros((len(samples), gw * gh), dtype=torch.long)
    boxes = torch.zeros((len(samples), gw * gh, 4))
    for row, sample in enumerate(samples):
        # A defect that is not visible enough for the answer is no target here either.
        taught = (sample.categories == ok) | sample.in_answer
        in_cells = ((sample.boxes - torch.tensor(sample.offset * 2)) / torch.cat([cell, cell]))[taught]
        if not len(in_cells):
            continue
        inside = ((centres >= in_cells[:, None, :2]) & (centres <= in_cells[:, None, 2:])).all(2)  # (P, N)
        middle = ((in_cells[:, :2] + in_cells[:, 2:]) / 2).floor().long()
        held = ((middle >= 0) & (middle < torch.tensor(grid))).all(1)
        inside[held.nonzero()[:, 0], middle[held, 1] * gw + middle[held, 0]] = True
        rank = inside * (1.0 + sample.in_answer[taught, None])  # defects before good pins
        best, owner = rank.max(0)
        named = sample.categories[taught] + 1
        if sample.shares is not None:
            named[(named == ok + 1) & (sample.shares[taught] == 0)] = UNNAMED
        categories[row] = torch.where(best > 0, named[owner], BACKGROUND)
        edges = in_cells[owner] - torch.cat([centres, centres], 1)
        boxes[row] = torch.where((best > 0)[:, None], edges, 0.0)
    return categories, boxes


def cell_loss(logits: Tensor, edges: Tensor, categories: Tensor, boxes: Tensor, ok: int) -> Tensor:
    """Compute the sum of the mean cross-entropies of background, OK and NG cells, plus twice the edges' smooth L1 loss.

    Args:
        logits: (B, N, K + 1) of background and the K classes, for each of N cells.
        edges: (B, N, 28) predicted `edge_code`.
        categories, boxes: Targets from `cell_targets`.
        ok: Index of class OK.
    """
    flat = categories.flatten()
    entropy = F.cross_entropy(logits.float().flatten(0, 1), flat, reduction="none", ignore_index=UNNAMED)
    total = entropy.new_zeros(())
    for kind in (flat == BACKGROUND, flat == ok + 1, (flat > BACKGROUND) & (flat != ok + 1)):
        if kind.any():
            total = total + entropy[kind].mean()
    held = categories != BACKGROUND
    if held.any():
        total = total + 2 * F.smooth_l1_loss(edges.float()[held], edge_code(boxes[held]), beta=0.2)
    return total


class AttentionGuide:
    """Records how the last two of the language model's `decoder_layers` attend to the encoder's tokens."""

    def __init__(self, decoder_layers: Sequence[Any]) -> None:
        self.modules = [layer.encoder_attn for layer in decoder_layers[-2:]]
        self.maps: list[Tensor] = []  # (B, T, S), mean over heads

    def _record(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # Computed again: the fast attention kernels do not return their weights.
        hidden = args[0] if args else kwargs["hidden_states"]
        others = kwargs["key_value_states"]
        heads = module.num_heads
        query = module.q_proj(hidden).unflatten(-1, (heads, -1)).transpose(1, 2)
        key = module.k_proj(others).unflatten(-1, (heads, -1)).transpose(1, 2)
        weights = (query @ key.transpose(-1, -2) * module.scaling).float().softmax(-1)
        self.maps.append(weights.mean(1))

    @contextmanager
    def watching(self, wanted: bool = True) -> Iterator[list[Tensor]]:
        """Yield a list; in the `with` block each of the last two decoder layers adds an attention map (B, T, S) to it.

        T is the number of decoder steps, S that of encoder tokens. If not `wanted`, the list stays empty.
        """
        self.maps = []
        modules = self.modules if wanted else []
        handles = [m.register_forward_pre_hook(self._record, with_kwargs=True) for m in modules]
        try:
            yield self.maps
        finally:
            for handle in handles:
                handle.remove()


def looked_at(
    labels: Tensor,
    bin_of: Tensor,
    grid: tuple[int, int],
    shown: tuple[int, int] | None = None,
    corners: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Find, for each location token of an answer, the cells that its box covers.

    Args:
        labels: (B, T) token ids of answers; negative ones are left out.
        bin_of: (V,) bin of each token id, -1 if it is no location.
        grid: Numbers of cells (gw, gh), across and down, of the whole picture.
        shown: Numbers of cells (gw, gh) of a close-up; None: the whole picture is shown.
        corners: (B, 2) column and row of each close-up's first cell in the whole picture; None: whole pictures.

    Returns:
        (B, T) bool: whether a token is a location; and for the K location tokens in order (K, number of cells shown)
        bool: whether a cell overlaps the token's box.
    """
    bins = torch.where(labels >= 0, bin_of[labels.clamp(min=0)], -1)
    places = bins >= 0
    boxes = bins[places].reshape(-1, 4).float()  # four locations per box, box after box
    gw, gh = grid
    cell = boxes.new_tensor([BINS / gw, BINS / gh])
    low, high = (boxes[:, :2] / cell).floor(), (boxes[:, 2:] / cell).floor()
    x, y = (torch.arange(n, device=labels.device)[None] for n in shown or grid)
    if corners is not None:
        of_box = places.nonzero()[::4, 0]
        x, y = x + corners[of_box, :1], y + corners[of_box, 1:]
    across = (x >= low[:, :1]) & (x <= high[:, :1])  # (boxes, gw)
    down = (y >= low[:, 1:]) & (y <= high[:, 1:])
    cells = (down[:, :, None] & across[:, None, :]).flatten(1)
    return places, cells.repeat_interleave(4, dim=0)


def guide_loss(maps: Sequence[Tensor], places: Tensor, cells: Tensor) -> Tensor:
    """Compute the mean, over the location tokens of answers, of -log of the attention on the cells of the token's box.

    Args:
        maps: Attention (B, T, S) of decoder steps on encoder tokens, from `AttentionGuide`; the first encoder token is
            the mean of the picture's, the cells follow.
        places, cells: Which steps are locations, (B, T), and the cells in each one's box, (K, cells); from `looked_at`.
    """
    count = cells.shape[1]
    losses = [-(m[places][:, 1 : 1 + count] * cells).sum(-1).clamp(min=1e-6).log().mean() for m in maps]
    return torch.stack(losses).mean()
