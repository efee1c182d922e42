"""Pictures of the attention: sheets of probe pictures with their maps, an animation, curves of the scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from generator.io.drawing import QUIET, Box, Cell, draw_boxes, enlargement, grid, under_title
from generator.io.palette import hue, rgb
from trainer.core.plots import save_figure
from trainer.core.run_folder import replace_file
from trainer.core.split import IGNORED, Split
from trainer.vit.attention_maps import METHODS
from trainer.vit.network.model import ViTConfig

CELL_PX = 256
FRAME_MS = 1200
TITLES = {"rollout": "rollout", "gradient": "gradient rollout", "patches": "1 - P(OK) of patches"}


def overlay(pixels: Tensor, one: Tensor, patch: int, boxes: Tensor) -> Image.Image:
    """Draw a map in red over its picture in grey, with the defects' boxes; the highest value is the strongest red.

    Args:
        pixels: (C, H, W) uint8; the first three channels are shown.
        one, patch: The map (h, w), one value per patch, and patch size in px.
        boxes: Boxes of the defects (M, 4), xyxy in px.
    """
    grey = Image.fromarray(pixels[:3].permute(1, 2, 0).numpy()).convert("L").convert("RGB")
    above = one - one.min()  # a flat map shows no red
    heat = (above / above.max().clamp(min=1e-6) * 255).numpy().astype(np.uint8)
    size = (one.shape[1] * patch, one.shape[0] * patch)
    strength = Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR).crop((0, 0, *grey.size))
    shown = Image.composite(Image.new("RGB", grey.size, (255, 40, 0)), grey, strength.point(lambda v: int(v * 0.8)))
    return draw_boxes(shown, [Box(box, "defect") for box in boxes.tolist()], enlargement(shown.size, CELL_PX))


def sheet(
    title: str, split: Split, rows: Sequence[int], maps: Mapping[str, Tensor], probabilities: Tensor, config: ViTConfig
) -> Image.Image:
    """Draw a sheet with a row for each of n pictures: the picture with true and predicted class, then its three maps.

    Args:
        title: Title above the sheet.
        split: The split with one picture per example, see `Split.by_picture`.
        rows: Indices of the n pictures.
        maps, probabilities: Maps (N, h, w) by kind, class probabilities (N, K); the first n are the n pictures'.
        config: The network's configuration.
    """
    lines = []
    for index, row in enumerate(rows):
        pixels = split.pictures.batch([row])[0, :3]  # RGB only: NSOART channels may follow
        wrong = (split.categories[row] != config.ok_index) & (split.categories[row] != IGNORED)
        boxes = split.boxes[row][wrong]
        said = int(probabilities[index].argmax())
        verdict = hue("OK" if int(split.labels[row]) == said else "NG")
        # With several views both classes are those of the part.
        camera = f" {split.rows[row]['camera']}" if config.views else ""
        truth = f"{config.classes[int(split.labels[row])]}{camera}"
        words = f"predicted {config.classes[said]} {float(probabilities[index].max()):.2f}"
        flat = overlay(pixels, maps[METHODS[0]][index] * 0, config.patch_size, boxes[:0])
        drawn = [overlay(pixels, maps[name][index], config.patch_size, boxes) for name in METHODS]
        titles = [(TITLES[name], QUIET) for name in METHODS]
        lines.append(
            [
                Cell(flat, [truth, (words, rgb(verdict.on_white))]),
                *(Cell(picture, ["", caption]) for picture, caption in zip(drawn, titles, strict=True)),
            ]
        )
    return under_title(grid(lines), title)


def animation(sheets: Sequence[Image.Image], path: Path) -> None:
    """Write the sheets, all of one size, as an endless GIF animation."""
    first, *others = sheets
    replace_file(
        path, lambda t: first.save(t, format="GIF", save_all=True, append_images=others, duration=FRAME_MS, loop=0)
    )


def curves(stages: Mapping[str, Mapping[str, Any]], base: Mapping[str, Any], path: Path) -> None:
    """Plot the mean scores: a panel for each score, a line for each kind of map.

    Args:
        stages: By name of the weights (such as an epoch or `best`), then by kind of map: the mean scores.
        base: Scores of `attention.baselines`, drawn as horizontal lines.
        path: PNG file to write.
    """
    figure = Figure(figsize=(18, 8), layout="constrained")
    shares = ("hit", "energy_ratio", "on_pins", "on_housing")
    *axes_of, free = figure.subplots(2, 3).flat
    panels = dict(zip(("hit", "energy_ratio", "entropy", "on_pins", "on_housing"), axes_of, strict=True))
    free.set_axis_off()
    x = np.arange(len(stages))

    def values(method: str, key: str) -> list[float]:
        return [float("nan") if s[method][key] is None else s[method][key] for s in stages.values()]

    for index, method in enumerate(METHODS):
        color = f"C{index}"
        for key in shares:
            panels[key].plot(x, values(method, key), "o-", color=color, label=TITLES[method])
            level = base[f"random weights, {method}"][key]
            if level is not None:
                panels[key].axhline(level, color=color, linestyle=":")
        spread = panels["entropy"]
        spread.plot(x, values(method, "entropy_ng"), "o-", color=color, label=f"{TITLES[method]}, NG")
        spread.plot(x, values(method, "entropy_ok"), "o--", color=color, label=f"{TITLES[method]}, OK")
    for key in shares:
        for name, style in (("uniform", "--"), ("centre", "-.")):
            if base[name][key] is not None:
                panels[key].axhline(base[name][key], color="grey", linestyle=style, label=f"{name} map")
    panels["hit"].set(title="Share of maps that peak on the defect (dotted: random weights)", ylim=(-0.02, 1.05))
    panels["energy_ratio"].set(title="Energy ratio: mean of the map in NG boxes / in the picture")
    if any(v == v and v > 0 for method in METHODS for v in values(method, "energy_ratio")):
        panels["energy_ratio"].set_yscale("log")
    panels["on_pins"].set(title="Share of the map around all pins (dotted: random weights)", ylim=(-0.02, 1.05))
    panels["on_housing"].set(title="Share of the map on the housing outside the pins", ylim=(-0.02, 1.05))
    panels["entropy"].set(title="Entropy of the map, 1 = flat map", ylim=(-0.02, 1.05))
    labelled: dict[str, Artist] = {}
    for axes in panels.values():
        labelled |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        axes.set_xticks(x, list(stages), rotation=20, ha="right")
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    free.legend(labelled.values(), labelled.keys(), loc="center", fontsize=10)  # where it covers no curve
    save_figure(figure, path)
