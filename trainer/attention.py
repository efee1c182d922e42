"""`python -m trainer.attention --model RUN --data DATASET -o OUT`: where a ViT looks, as pictures and as scores.

OUT then holds attention.json (scores of rollout, gradient rollout and patches against a flat map, a bell in the centre
and random weights) and a sheet attention_NAME.png of the same probe pictures for each of the weights; with several
weights also curves.png and attention.gif.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from trainer import checkpoint
from trainer.attention_maps import METHODS, maps_of
from trainer.attention_scores import centre_map, scores, summary
from trainer.data import IGNORED, Data, Split, load_data
from trainer.errors import InputError
from trainer.florence2_run import FORMAT as DETECTION_FORMAT
from trainer.florence2_run import kind_of
from trainer.model import ViT
from trainer.options import device_of, exit_code, number, say
from trainer.plots import save_figure

RANDOM_SEEDS = (0, 1, 2)
CELL_PX = 256
TITLES = {"rollout": "rollout", "gradient": "gradient rollout", "patches": "1 - P(OK) of patches"}


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(
        prog="python -m trainer.attention",
        description="Show where a trained ViT looks, and score it against the truth's boxes.",
        allow_abbrev=False,
    )
    p.add_argument("--model", type=Path, required=True, metavar="RUN", help="folder of a ViT's run")
    p.add_argument("--data", type=Path, required=True, metavar="DATASET", help="folder of the dataset")
    p.add_argument("-o", "--out", type=Path, metavar="OUT", help="folder for the results (RUN/attention)")
    p.add_argument("--split", default="validation", help="(validation)")
    p.add_argument(
        "--weights",
        nargs="+",
        default=["best"],
        metavar="W",
        help="best, last, or files of the same network's weights in the order of their epochs (best)",
    )
    p.add_argument(
        "--pictures", type=number(int, 1, 100_000), default=200, help="most pictures that are scored (200)"
    )
    p.add_argument("--probes", type=number(int, 1, 48), default=9, help="pictures on a sheet (9)")
    p.add_argument(
        "--threads", type=number(int, 1, 1024), help="CPU threads (as many as PyTorch finds cores)"
    )
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(auto)")
    return p


def by_turns(split: Split, classes: int, count: int) -> list[int]:
    """The first rows of each class in turn, at most `count`: the same for every model."""
    queues = [torch.nonzero(split.labels == label).flatten().tolist() for label in range(classes)]
    found: list[int] = []
    while len(found) < count and any(queues):
        found += [queue.pop(0) for queue in queues if queue]
    return found[:count]


def all_maps(model: ViT, split: Split, rows: Sequence[int], batch_size: int = 8) -> dict[str, Tensor]:
    """(N, h, w) by method, of the split's `rows`."""
    device = next(model.parameters()).device
    found: dict[str, list[Tensor]] = {name: [] for name in METHODS}
    for start in range(0, len(rows), batch_size):
        pixels = split.pictures.batch(rows[start : start + batch_size]).to(device).float() / 255
        for name, maps in maps_of(model, pixels).items():
            found[name].append(maps)
    return {name: torch.cat(maps) for name, maps in found.items()}


def scored(maps: Mapping[str, Tensor], split: Split, rows: Sequence[int], model: ViT) -> dict[str, Any]:
    """Summary of each map's scores."""
    at = torch.as_tensor(rows)
    boxes, categories = split.boxes[at], split.categories[at]
    config = model.config
    return {
        name: summary(scores(one, boxes, categories, config.ok_index, config.patch_size))
        for name, one in maps.items()
    }


def baselines(model: ViT, split: Split, rows: Sequence[int]) -> dict[str, Any]:
    """Scores of a flat map, of a bell in the centre, and the mean of three networks with random weights."""
    grid = model.config.grid
    flat = torch.full((len(rows), *grid), 1 / (grid[0] * grid[1]))
    found = scored({"uniform": flat, "centre": centre_map(grid).expand(len(rows), *grid)}, split, rows, model)
    drawn = []
    for seed in RANDOM_SEEDS:
        torch.manual_seed(seed)
        other = ViT(model.config).to(next(model.parameters()).device).eval()
        drawn.append(scored(all_maps(other, split, rows), split, rows, other))
    for method in METHODS:
        columns = {key: [one[method][key] for one in drawn] for key in drawn[0][method]}
        found[f"random weights, {method}"] = {
            key: None if None in values else float(np.mean(values)) for key, values in columns.items()
        }
    return found


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
    shown = Image.composite(
        Image.new("RGB", grey.size, (255, 40, 0)), grey, strength.point(lambda v: int(v * 0.8))
    )
    factor = max(1, round(CELL_PX / grey.width))
    shown = shown.resize((grey.width * factor, grey.height * factor), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(shown)
    for x1, y1, x2, y2 in (boxes * factor).tolist():
        draw.rectangle((x1 - 2, y1 - 2, x2 + 2, y2 + 2), outline=(0, 220, 90), width=2)
    return shown


def sheet(
    title: str, split: Split, rows: Sequence[int], maps: Mapping[str, Tensor], model: ViT, data: Data
) -> Image.Image:
    """One line per probe picture: the picture, then its three maps, each from its own lowest value to its own peak."""
    cells: list[list[Image.Image]] = []
    ok, patch = model.config.ok_index, model.config.patch_size
    for index, row in enumerate(rows):
        pixels = split.pictures.batch([row])[0, :3]  # the picture, where NSOART's channels follow
        wrong = (split.categories[row] != ok) & (split.categories[row] != IGNORED)
        boxes = split.boxes[row][wrong]
        plain = overlay(pixels, torch.zeros(model.config.grid), patch, boxes[:0])
        cells.append([plain, *(overlay(pixels, maps[name][index], patch, boxes) for name in METHODS)])
    width, height = cells[0][0].size
    font = ImageFont.load_default(size=14)
    top, label = 44, 90
    whole = Image.new("RGB", (label + 4 * (width + 6), top + len(cells) * (height + 6)), "white")
    draw = ImageDraw.Draw(whole)
    draw.text((6, 4), title, fill="black", font=font)
    for column, text in enumerate(["picture", *(TITLES[name] for name in METHODS)]):
        draw.text((label + column * (width + 6), 24), text, fill="black", font=font)
    for line, (row, pictures) in enumerate(zip(rows, cells, strict=True)):
        y = top + line * (height + 6)
        draw.text((6, y + 4), data.classes[int(split.labels[row])], fill="black", font=font)
        for column, picture in enumerate(pictures):
            whole.paste(picture, (label + column * (width + 6), y))
    return whole


def curves(stages: Mapping[str, Mapping[str, Any]], base: Mapping[str, Any], path: Path) -> None:
    """Hits, energy ratio, and entropy of OK against NG, over the stages."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    hit, energy, spread = figure.subplots(1, 3)
    x = np.arange(len(stages))

    def values(method: str, key: str) -> list[float]:
        return [float("nan") if s[method][key] is None else s[method][key] for s in stages.values()]

    for index, method in enumerate(METHODS):
        color = f"C{index}"
        for axes, key in ((hit, "hit"), (energy, "energy_ratio")):
            axes.plot(x, values(method, key), "o-", color=color, label=TITLES[method])
            level = base[f"random weights, {method}"][key]
            if level is not None:
                axes.axhline(level, color=color, linestyle=":")
        spread.plot(x, values(method, "entropy_ng"), "o-", color=color, label=f"{TITLES[method]}, NG")
        spread.plot(x, values(method, "entropy_ok"), "o--", color=color, label=f"{TITLES[method]}, OK")
    hit.set(title="Peak on the defect (dotted: random weights)", ylim=(-0.02, 1.05))
    energy.set(title="Energy in the box over its area share", yscale="log")
    spread.set(title="Entropy, 1 = flat", ylim=(-0.02, 1.05))
    for axes in (hit, energy, spread):
        axes.set_xticks(x, list(stages), rotation=20, ha="right")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    save_figure(figure, path)


def _networks(run: Path, wanted: Sequence[str], device: torch.device) -> dict[str, ViT]:
    """The run's network with each of the weights, by the name it gets in the results."""
    config, _ = checkpoint.load_config(run)
    found = {}
    for given in wanted:
        kept = {"best": run / checkpoint.BEST, "last": run / checkpoint.LAST}
        path = kept.get(given, Path(given))
        name = given if given in kept else path.stem
        if name in found:
            raise InputError(f"--weights: expected names that differ, got {name} twice")
        model = ViT(config)
        tensors, _ = checkpoint.read_tensors(path)
        checkpoint.load_weights(model, tensors, str(path))
        found[name] = model.to(device).eval()
    return found


def run(args: argparse.Namespace) -> int:
    """Show and score as the options say; returns the exit code."""
    if kind_of(args.model) == DETECTION_FORMAT:
        raise InputError(f"--model {args.model}: expected a ViT's run, got one of Florence-2")
    config, settings = checkpoint.load_config(args.model)
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    models = _networks(args.model, args.weights, device_of(args.device))
    data = load_data(args.data, settings.input, (config.width, config.height))
    if data.classes != config.classes:
        raise InputError(
            f"--data {args.data}: {args.model} knows {config.classes}, the dataset has {data.classes}"
        )
    if args.split not in data.splits:
        raise InputError(f"--split: expected one of {sorted(data.splits)}, got {args.split!r}")
    split = data.splits[args.split]
    rows = by_turns(split, len(data.classes), args.pictures)
    probes = rows[: args.probes]
    out = args.out or args.model / "attention"
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: expected a folder, got a file")
    out.mkdir(parents=True, exist_ok=True)
    stages, sheets = {}, []
    for name, model in models.items():
        maps = all_maps(model, split, rows)
        stages[name] = scored(maps, split, rows, model)
        picture = sheet(f"{args.model.name}, weights {name}", split, probes, maps, model, data)
        checkpoint.replace_file(out / f"attention_{name}.png", lambda t, p=picture: p.save(t, format="PNG"))
        sheets.append(picture)
    base = baselines(next(iter(models.values())), split, rows)
    document = {"split": args.split, "pictures": len(rows), "weights": stages, "baselines": base}
    checkpoint.write_text(out / "attention.json", json.dumps(document, indent=2) + "\n")
    if len(sheets) > 1:
        curves(stages, base, out / "curves.png")
        checkpoint.replace_file(
            out / "attention.gif",
            lambda t: sheets[0].save(
                t, format="GIF", save_all=True, append_images=sheets[1:], duration=1200, loop=0
            ),
        )
    for name, methods in [*stages.items(), ("baseline", base)]:
        for method, found in methods.items():
            if found["hit"] is not None:
                say(
                    f"{name:<9} {method:<25} hit {found['hit']:.2f}  energy ratio {found['energy_ratio']:.1f}"
                )
    if not any(found["ng_pictures"] for found in base.values()):
        say("no NG boxes in these pictures: hits and energy cannot be scored")
    say(f"results: {out}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parser().parse_args(argv)
    return exit_code(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
