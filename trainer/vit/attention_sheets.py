"""Attention as pictures for people: sheets of probe pictures under their maps, an animation, curves of the scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from trainer.core.plots import save_figure
from trainer.core.run_folder import replace_file
from trainer.core.split import IGNORED, Split
from trainer.vit.attention_maps import METHODS
from trainer.vit.network.model import ViTConfig

CELL_PX = 256
FRAME_MS = 1200
TITLES = {"rollout": "rollout", "gradient": "gradient rollout", "patches": "1 - P(OK) of patches"}


def overlay(pixels: Tensor, one: Tensor, patch: int, boxes: Tensor) -> Image.Image:
    """A picture under its map, from the map's lowest value to its peak, with the NG boxes in green.

    Args:
        pixels: (C, H, W) uint8; the first three channels are shown.
        one: (h, w).
        patch: Patch size in px.
        boxes: (M, 4) xyxy in px.
    """
    grey = Image.fromarray(pixels[:3].permute(1, 2, 0).numpy()).convert("L").convert("RGB")
    above = one - one.min()  # a flat map says nothing, and shows nothing
    heat = (above / above.max().clamp(min=1e-6) * 255).numpy().astype(np.uint8)
    size = (one.shape[1] * patch, one.shape[0] * patch)
    strength = Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR).crop((0, 0, *grey.size))
    shown = Image.composite(Image.new("RGB", grey.size, (255, 40, 0)), grey, strength.point(lambda v: int(v * 0.8)))
    factor = max(1, round(CELL_PX / grey.width))
    shown = shown.resize((grey.width * factor, grey.height * factor), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(shown)
    for x1, y1, x2, y2 in (boxes * factor).tolist():
        draw.rectangle((x1 - 2, y1 - 2, x2 + 2, y2 + 2), outline=(0, 220, 90), width=2)
    return shown


def sheet(
    title: str,
    split: Split,
    rows: Sequence[int],
    maps: Mapping[str, Tensor],
    probabilities: Tensor,
    config: ViTConfig,
) -> Image.Image:
    """One line per probe picture: truth and what was said, the picture, its three maps, each scaled to its own range.

    Args:
        title: Stands above.
        split: Where the pictures are.
        rows: Which ones, n of them.
        maps: (N, h, w) by method, the first n of these pictures.
        probabilities: (N, K) of these pictures.
        config: The network's.
    """
    cells: list[list[Image.Image]] = []
    for index, row in enumerate(rows):
        pixels = split.pictures.batch([row])[0, :3]  # the picture, where NSOART's channels follow
        wrong = (split.categories[row] != config.ok_index) & (split.categories[row] != IGNORED)
        boxes = split.boxes[row][wrong]
        flat = maps[METHODS[0]][index] * 0
        cells.append(
            [
                overlay(pixels, flat, config.patch_size, boxes[:0]),
                *(overlay(pixels, maps[name][index], config.patch_size, boxes) for name in METHODS),
            ]
        )
    width, height = cells[0][0].size
    font = ImageFont.load_default(size=14)
    lines = {
        row: (
            config.classes[int(split.labels[row])],
            f"says {config.classes[int(probabilities[i].argmax())]} {float(probabilities[i].max()):.2f}",
            # Of several views of a part both words are the part's.
            str(split.rows[row]["camera"]) if config.views else "",
        )
        for i, row in enumerate(rows)
    }
    label = 16 + int(max(font.getlength(line) for texts in lines.values() for line in texts))
    top = 44
    whole = Image.new("RGB", (label + 4 * (width + 6), top + len(cells) * (height + 6)), "white")
    draw = ImageDraw.Draw(whole)
    draw.text((6, 4), title, fill="black", font=font)
    for column, text in enumerate(["picture", *(TITLES[name] for name in METHODS)]):
        draw.text((label + column * (width + 6), 24), text, fill="black", font=font)
    for line, (row, pictures) in enumerate(zip(rows, cells, strict=True)):
        y = top + line * (height + 6)
        right = split.labels[row] == probabilities[line].argmax()
        draw.text((6, y + 4), lines[row][0], fill="black", font=font)
        draw.text((6, y + 24), lines[row][1], fill=(0, 110, 40) if right else (190, 0, 0), font=font)
        draw.text((6, y + 44), lines[row][2], fill="black", font=font)
        for column, picture in enumerate(pictures):
            whole.paste(picture, (label + column * (width + 6), y))
    return whole


def animation(sheets: Sequence[Image.Image], path: Path) -> None:
    """The sheets one after the other as a GIF that runs for ever."""
    width = max(one.width for one in sheets)  # the words beside the pictures may be wider in one of them
    frames = []
    for one in sheets:
        frame = Image.new("RGB", (width, one.height), "white")
        frame.paste(one, (width - one.width, 0))
        frames.append(frame)
    replace_file(
        path,
        lambda t: frames[0].save(t, format="GIF", save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0),
    )


def curves(stages: Mapping[str, Mapping[str, Any]], base: Mapping[str, Any], path: Path) -> None:
    """Hits, energy ratio, entropy of OK against NG, shares on pins and housing, over the stages, with the baselines."""
    figure = Figure(figsize=(18, 8), layout="constrained")
    shares = ("hit", "energy_ratio", "on_pins", "on_housing")
    axes_of = figure.subplots(2, 3).flat
    panels = dict(zip(("hit", "energy_ratio", "entropy", "on_pins", "on_housing"), axes_of, strict=False))
    axes_of[5].set_axis_off()
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
    panels["hit"].set(title="Peak on the defect (dotted: random weights)", ylim=(-0.02, 1.05))
    panels["energy_ratio"].set(title="Energy in the defect's box over its area share")
    if any(v == v and v > 0 for method in METHODS for v in values(method, "energy_ratio")):
        panels["energy_ratio"].set_yscale("log")
    panels["on_pins"].set(title="Share on the field of positions (dotted: random weights)", ylim=(-0.02, 1.05))
    panels["on_housing"].set(title="Share on the housing round it", ylim=(-0.02, 1.05))
    panels["entropy"].set(title="Entropy, 1 = flat", ylim=(-0.02, 1.05))
    for axes in panels.values():
        axes.set_xticks(x, list(stages), rotation=20, ha="right")
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    save_figure(figure, path)
