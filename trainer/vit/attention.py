"""Where a ViT looks, as pictures and as scores: `trainer.attention`'s work, and that of `trainer.vit --stages`.

OUT then holds attention.json (scores of rollout, gradient rollout and patches against a flat map, a bell in the centre
and random weights) and a sheet attention_NAME.png of the same probe pictures for each of the weights; with several
weights also curves.png and attention.gif.

The pictures are the first rows of each class in turn, of the rows that the run was measured on: the dataset decides
which they are, so they are the same at every stage. Of a run on several views they are all pictures of the first parts,
each with its own maps of what the part's answer comes from.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from trainer.core import results_folder, row_facts, run_folder, views
from trainer.core.console import say
from trainer.core.data import housing_box, load_frozen_classes
from trainer.core.errors import InputError
from trainer.core.split import Split
from trainer.vit import run as vit_run
from trainer.vit.attention_maps import METHODS, maps_of
from trainer.vit.attention_scores import centre_map, scores, summary
from trainer.vit.attention_sheets import animation, curves, sheet
from trainer.vit.network.model import ViT
from trainer.vit.results import (
    ANIMATION,
    ATTENTION_DOCUMENT,
    CURVES,
    STAGES,
    attention_files,
    attention_sheet,
)

SPLIT, PICTURES, PROBES = "validation", 200, 9


RANDOM_SEEDS = (0, 1, 2)


# Told of so many pictures that one network has been asked.
Done = Callable[[int], object]


# Most numbers of one block's attention at a time: 2 GB with its gradient, in float32.
LARGEST_BATCH = 2**28


STAGE_SHEET = "attention.png"


def by_turns(split: Split, classes: int, count: int) -> list[int]:
    """The first examples of each class in turn, at most `count`: the same for every model."""
    queues = [torch.nonzero(split.labels == label).flatten().tolist() for label in range(classes)]
    found: list[int] = []
    while len(found) < count and any(queues):
        found += [queue.pop(0) for queue in queues if queue]
    return found[:count]


@dataclass(frozen=True)
class Probes:
    """The pictures that all weights of a run are asked.

    Args:
        name: Of the split.
        split: The split.
        rows: Examples that are scored; the first ones are also shown.
        shown: How many of them a sheet shows.
    """

    name: str
    split: Split
    rows: list[int]
    shown: int

    def pictures(self, count: int | None = None) -> list[int]:
        """Indices of the pictures of the first `count` examples, of all without."""
        return self.split.picture_indices(self.rows[:count]).tolist()


def probes_of(
    splits: Mapping[str, Split], name: str, classes: int, pictures: int = PICTURES, shown: int = PROBES
) -> Probes:
    """The probes of a dataset: decided by its rows alone.

    Raises:
        InputError: No such split, or no row in it.
    """
    if name not in splits:
        raise InputError(f"--split: expected one of {sorted(splits)}, got {name!r}")
    each = splits[name].views
    rows = by_turns(splits[name], classes, max(1, pictures // each))
    if not rows:
        raise InputError(f"--split {name}: expected rows to look at, got none")
    return Probes(name, splits[name], rows, min(max(1, shown // each), len(rows)))


@dataclass(frozen=True)
class Look:
    """Where some weights look: the summary of scores by method, and the sheet of the shown probes."""

    scores: dict[str, Any]
    sheet: Image.Image


def all_maps(model: ViT, split: Split, rows: Sequence[int], done: Done = lambda count: None) -> dict[str, Tensor]:
    """(N, h, w) by method, of the pictures of the split's examples `rows`."""
    device = next(model.parameters()).device
    tokens = model.config.grid[0] * model.config.grid[1]
    batch_size = max(1, min(8, LARGEST_BATCH // (tokens**2 * model.config.heads)) // split.views)
    found: dict[str, list[Tensor]] = {name: [] for name in METHODS}
    for start in range(0, len(rows), batch_size):
        pixels = split.pixels(rows[start : start + batch_size]).to(device).float() / 255
        for name, maps in maps_of(model, pixels).items():
            found[name].append(maps)
        done(len(rows[start : start + batch_size]) * split.views)
    return {name: torch.cat(maps) for name, maps in found.items()}


def scored(maps: Mapping[str, Tensor], probes: Probes, model: ViT) -> dict[str, Any]:
    """Summary of each map's scores; of an NG part only the views that can show its defect count."""
    at, split, config = torch.tensor(probes.pictures()), probes.split.by_picture(), model.config
    seen = torch.arange(len(at))
    if probes.split.views > 1:
        seen = seen[[split.rows[i].get("observable") is not False for i in at.tolist()]]
        at = at[seen]
    boxes, categories, labels = split.boxes[at], split.categories[at], split.labels[at]
    housings = torch.tensor([housing_box(split.rows[i], (config.width, config.height)) for i in at.tolist()])
    return {
        name: summary(scores(one[seen], boxes, categories, labels, config.ok_index, config.patch_size, housings))
        for name, one in maps.items()
    }


def baselines(model: ViT, probes: Probes, done: Done = lambda count: None) -> dict[str, Any]:
    """Scores of a flat map, of a bell in the centre, and the mean of three networks with random weights."""
    grid, count = model.config.grid, len(probes.pictures())
    flat = torch.full((count, *grid), 1 / (grid[0] * grid[1]))
    found = scored({"uniform": flat, "centre": centre_map(grid).expand(count, *grid)}, probes, model)
    drawn = []
    for seed in RANDOM_SEEDS:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            other = ViT(model.config).to(next(model.parameters()).device).eval()
        drawn.append(scored(all_maps(other, probes.split, probes.rows, done), probes, other))
    for method in METHODS:
        columns = {key: [one[method][key] for one in drawn] for key in drawn[0][method]}
        found[f"random weights, {method}"] = {
            key: None if None in values else float(np.mean(values)) for key, values in columns.items()
        }
    return found


def look(model: ViT, probes: Probes, title: str, done: Done = lambda count: None) -> Look:
    """Ask one network, in evaluation mode, all probes."""
    maps = all_maps(model, probes.split, probes.rows, done)
    split = probes.split
    pixels = split.pixels(probes.rows[: probes.shown]).to(next(model.parameters()).device).float() / 255
    with torch.inference_mode():
        said = torch.cat([model(one[None]).logits.softmax(1).cpu() for one in pixels])
    said = said.repeat_interleave(split.views, 0)
    picture = sheet(title, split.by_picture(), probes.pictures(probes.shown), maps, said, model.config)
    return Look(scored(maps, probes, model), picture)


def write(out: Path, looks: Mapping[str, Look], base: Mapping[str, Any], probes: Probes) -> None:
    """Write attention.json and the sheets into OUT; of several weights curves and animation too."""
    scores_by_weights = {name: one.scores for name, one in looks.items()}
    document = {
        "split": probes.name,
        "pictures": len(probes.pictures()),
        "probes": [probes.split.runs[row] for row in probes.pictures(probes.shown)],
        "weights": scores_by_weights,
        "baselines": base,
    }
    with results_folder.replaced(out, ATTENTION_DOCUMENT, attention_files) as stage:
        for name, one in looks.items():
            _save_sheet(one.sheet, stage / attention_sheet(name))
        if len(looks) > 1:
            curves(scores_by_weights, base, stage / CURVES)
            animation([one.sheet for one in looks.values()], stage / ANIMATION)
        run_folder.write_text(stage / ATTENTION_DOCUMENT, json.dumps(document, indent=2) + "\n")


def _save_sheet(picture: Image.Image, path: Path) -> None:
    run_folder.replace_file(path, lambda t: picture.save(t, format="PNG"))


def stages_of(run: Path) -> list[Path]:
    """The folders of a run's stages, in the order of their epochs.

    Raises:
        InputError: There is none.
    """
    folders = sorted(path for path in (run / STAGES).glob("*") if path.name.isdecimal())
    if not folders:
        raise InputError(f"--stages: expected stages in {run / STAGES}, as trainer.vit --stages keeps, got none")
    return folders


class StageLooks:
    """The attention of a run's stages, each looked at once, with the same probes.

    Args:
        run: The run's folder.
        probes: What is asked.
        device: Where.
        done: Told of each picture.
    """

    def __init__(self, run: Path, probes: Probes, device: torch.device, done: Done = lambda count: None) -> None:
        self._run, self._probes, self._device, self._done = run, probes, device, done
        self._looks: dict[str, Look] = {}

    def _look(self, folder: Path, title: str) -> Look:
        model = vit_run.load_model(folder).to(self._device)
        return look(model, self._probes, f"{self._run.resolve().name}, {title}", self._done)

    def update(self) -> None:
        """Look at the stages that are new; each gets its sheet and scores beside its weights.

        Raises:
            InputError: There is no stage.
        """
        for folder in stages_of(self._run):
            name = str(int(folder.name))
            if name in self._looks:
                continue
            found = self._looks[name] = self._look(folder, f"epoch {name}")
            _save_sheet(found.sheet, folder / STAGE_SHEET)
            run_folder.write_text(folder / ATTENTION_DOCUMENT, json.dumps(found.scores, indent=2) + "\n")

    def finish(self) -> tuple[dict[str, Look], dict[str, Any]]:
        """All stages, then the best weights, in the order of their epochs; and the baselines."""
        self.update()
        best = {"best": self._look(self._run, "best epoch")}
        base = baselines(vit_run.load_model(self._run).to(self._device), self._probes, self._done)
        return self._looks | best, base


def _networks(run: Path, wanted: Sequence[str], device: torch.device) -> dict[str, ViT]:
    """The run's network with each of the weights, by the name it gets in the results."""
    config, _ = vit_run.load_config(run)
    found = {}
    for given in wanted:
        kept = {"best": run / run_folder.BEST, "last": run / run_folder.LAST}
        path = kept.get(given, Path(given))
        name = given if given in kept else path.stem
        if name in found:
            raise InputError(f"--weights: expected names that differ, got {name} twice")
        model = ViT(config)
        tensors, _ = run_folder.read_tensors(path)
        vit_run.load_weights(model, tensors, str(path))
        found[name] = model.to(device).eval()
    return found


def say_scores(looks: Mapping[str, Look], base: Mapping[str, Any]) -> None:
    """Hits and energy of each, one line each."""
    for name, methods in [*((n, one.scores) for n, one in looks.items()), ("baseline", base)]:
        for method, found in methods.items():
            if found["hit"] is not None:
                say(f"{name:<9} {method:<25} hit {found['hit']:.2f}  energy ratio {found['energy_ratio']:.1f}")
    if not any(found["ng_pictures"] for found in base.values()):
        say("no NG boxes in these pictures: hits and energy cannot be scored")


@dataclass(frozen=True)
class Asked:
    """What is to be looked at.

    Args:
        run: The run's folder.
        data: The dataset's folder.
        device: What the network runs on.
        split: Whose pictures.
        weights: `best`, `last`, or files of the same network's weights in the order of their epochs.
        stages: Whether to look at the run's stages, then at the best weights, in place of `weights`.
        rows: Which rows count, see `row_facts.kept_rows`; None: those that the run was measured on.
        pictures: Most pictures that are scored.
        shown: Pictures on a sheet.
    """

    run: Path
    data: Path
    device: torch.device
    split: str = SPLIT
    weights: Sequence[str] = ("best",)
    stages: bool = False
    rows: str | None = None
    pictures: int = PICTURES
    shown: int = PROBES


def _probes(asked: Asked) -> Probes:
    """The pictures that are asked, as the run's network takes them."""
    config, settings = vit_run.load_config(asked.run)
    size = (config.width, config.height)
    splits = load_frozen_classes(asked.data, settings.input, size, config.classes, (asked.split,))
    if config.views:
        splits = views.by_part(splits, config.views, config.classes, f"--data {asked.data}")
    kept = {
        name: split.subset(np.flatnonzero(row_facts.kept_rows(split, asked.rows or settings.rows)).tolist())
        for name, split in splits.items()
    }
    return probes_of(kept, asked.split, len(config.classes), asked.pictures, asked.shown)


def show(asked: Asked, out: Path, own_folder: bool) -> None:
    """Show and score the attention of a run, and write what is named above into `out`.

    Args:
        asked: What is to be looked at.
        out: Folder of the results.
        own_folder: Whether `out` is the run's own folder for it, where all is ours.

    Raises:
        InputError: The run or the dataset cannot be used, or `out` has files of the same names that are not of an
            earlier call.
    """
    models = {} if asked.stages else _networks(asked.run, asked.weights, asked.device)
    stages = [str(int(folder.name)) for folder in stages_of(asked.run)] if asked.stages else []
    names = [*models] or [*stages, "best"]
    if not own_folder:
        new = attention_files({"weights": names})
        results_folder.check(out, asked.run, ATTENTION_DOCUMENT, attention_files, new)
    probes = _probes(asked)
    total = len(probes.pictures()) * (len(names) + len(RANDOM_SEEDS))
    with tqdm(total=total, unit="picture", disable=None) as bar:
        if asked.stages:
            looks, base = StageLooks(asked.run, probes, asked.device, bar.update).finish()
        else:
            title = asked.run.resolve().name
            looks = {
                name: look(model, probes, f"{title}, weights {name}", bar.update) for name, model in models.items()
            }
            base = baselines(next(iter(models.values())), probes, bar.update)
    write(out, looks, base, probes)
    say_scores(looks, base)
    say(f"results: {out}")
