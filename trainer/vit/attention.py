"""Attention of a ViT, as pictures and as scores, for `trainer.attention` and `trainer.vit --stages`.

    OUT/attention.json        scores of three kinds of map (rollout, gradient rollout, patches) and of three baselines
                              (a flat map, a Gaussian in the centre, networks with random weights)
    OUT/attention_NAME.png    sheet of the probe pictures and their maps, for each set of weights
    OUT/curves.png            scores over the sets of weights, if there are several
    OUT/attention.gif         the sheets one after the other, if there are several

The probe pictures are the first rows of each class in turn, so they are the same for all weights and stages. Only rows
that --rows keeps are used. For a run on several views the probes are all pictures of the first parts; each picture has
its own maps.
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
from trainer.vit.results import ANIMATION, ATTENTION_DOCUMENT, CURVES, STAGES, attention_files, attention_sheet

SPLIT, PICTURES, PROBES = "validation", 200, 9
RANDOM_SEEDS = (0, 1, 2)
# Called with the number of pictures that were processed, for progress bars.
Done = Callable[[int], object]
# Most attention weights of one block in a batch: 2 GB with their gradients, in float32.
LARGEST_BATCH = 2**28
STAGE_SHEET = "attention.png"


def by_turns(split: Split, classes: int, count: int) -> list[int]:
    """Return the indices of at most `count` examples: the first of each of the `classes`, then the second of each, …"""
    queues = [torch.nonzero(split.labels == label).flatten().tolist() for label in range(classes)]
    found: list[int] = []
    while len(found) < count and any(queues):
        found += [queue.pop(0) for queue in queues if queue]
    return found[:count]


@dataclass(frozen=True)
class Probes:
    """The pictures whose attention maps are scored and drawn, the same for all weights of a run.

    Args:
        name, split: The split's name, and the split.
        rows: Indices in the split of the examples (pictures, or with --views parts) that are scored.
        shown: Number of examples that are drawn on a sheet: the first of `rows`.
    """

    name: str
    split: Split
    rows: list[int]
    shown: int

    def pictures(self, count: int | None = None) -> list[int]:
        """Return the indices of the pictures of the first `count` examples; None: of all examples."""
        return self.split.picture_indices(self.rows[:count]).tolist()


def probes_of(
    splits: Mapping[str, Split], name: str, classes: int, pictures: int = PICTURES, shown: int = PROBES
) -> Probes:
    """Choose the pictures of split `name` whose attention maps are scored and, of these, those that are drawn.

    `classes` is the number of classes, `pictures` and `shown` the largest numbers of pictures scored and drawn.

    Raises:
        InputError: There is no such split, or it has no rows.
    """
    if name not in splits:
        raise InputError(f"--split: expected one of {sorted(splits)}, got {name!r}")
    each = splits[name].views
    rows = by_turns(splits[name], classes, max(1, pictures // each))
    if not rows:
        raise InputError(f"split {name}: expected rows to score, got none that --rows keeps")
    return Probes(name, splits[name], rows, min(max(1, shown // each), len(rows)))


@dataclass(frozen=True)
class Look:
    """Attention maps of a network with one set of weights; all sets are given the same pictures, `Probes`.

    Args:
        scores: By kind of map, mean scores over the pictures, from `attention_scores.summary`.
        sheet: Contact sheet of the first pictures and their maps.
    """

    scores: dict[str, Any]
    sheet: Image.Image


def all_maps(model: ViT, split: Split, rows: Sequence[int], done: Done = lambda count: None) -> dict[str, Tensor]:
    """Compute the attention maps (N, h, w), by kind, of the N pictures of the examples `rows` of a split.

    The maps are on the CPU; `done` is called after each batch with its number of pictures.
    """
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
    """Return the mean scores of attention `maps` of the pictures `probes`, by kind of map.

    Of a part with several views, views that cannot show its defect are left out.
    """
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
    """Compute the mean scores of three baselines: a flat map, a Gaussian in the centre, networks of random weights.

    Returns scores by `uniform`, `centre` and, for each kind of map, `random weights, KIND`; `done`: see `StageLooks`.
    """
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
    """Compute the attention maps of the pictures `probes` for a network in evaluation mode; returns scores and sheet.

    `title` stands on the sheet; `done` is called, after each batch, with its number of pictures.
    """
    maps = all_maps(model, probes.split, probes.rows, done)
    split = probes.split
    pixels = split.pixels(probes.rows[: probes.shown]).to(next(model.parameters()).device).float() / 255
    with torch.inference_mode():
        said = torch.cat([model.judged(one[None]).logits.softmax(1).cpu() for one in pixels])
    said = said.repeat_interleave(split.views, 0)
    picture = sheet(title, split.by_picture(), probes.pictures(probes.shown), maps, said, model.config)
    return Look(scored(maps, probes, model), picture)


def write(out: Path, looks: Mapping[str, Look], base: Mapping[str, Any], probes: Probes) -> None:
    """Write attention.json and the sheets into the folder `out`; with several weights curves.png and attention.gif too.

    `looks` has the attention by name of the weights, `base` the scores of `baselines`.
    """
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
    """List the folders of a run's stages (copies of the run after the epochs of --stages), in the order of epochs.

    Raises:
        InputError: The run has no stage.
    """
    folders = sorted(path for path in (run / STAGES).glob("*") if path.name.isdecimal())
    if not folders:
        raise InputError(
            f"--stages: expected copies of the run in {run / STAGES}, which a training with --stages saves, got none"
        )
    return folders


class StageLooks:
    """The attention of a run's stages (copies of the run after some epochs) on some pictures; each is computed once.

    Args:
        run, probes, device: The run's folder, the pictures, and the device of the network.
        done: Called, after each batch, with its number of pictures.
    """

    def __init__(self, run: Path, probes: Probes, device: torch.device, done: Done = lambda count: None) -> None:
        self._run, self._probes, self._device, self._done = run, probes, device, done
        self._looks: dict[str, Look] = {}

    def _look(self, folder: Path, title: str) -> Look:
        model = vit_run.load_model(folder).to(self._device)
        return look(model, self._probes, f"{self._run.resolve().name}, {title}", self._done)

    def update(self) -> None:
        """Compute the attention of new stages, and write sheet and scores into each stage's folder.

        Raises:
            InputError: The run has no stage.
        """
        for folder in stages_of(self._run):
            name = str(int(folder.name))
            if name in self._looks:
                continue
            found = self._looks[name] = self._look(folder, f"epoch {name}")
            _save_sheet(found.sheet, folder / STAGE_SHEET)
            run_folder.write_text(folder / ATTENTION_DOCUMENT, json.dumps(found.scores, indent=2) + "\n")

    def finish(self) -> tuple[dict[str, Look], dict[str, Any]]:
        """Return a `Look` by name of the weights (each stage's epoch, last `best`), and the result of `baselines`."""
        self.update()
        best = {"best": self._look(self._run, "best epoch")}
        base = baselines(vit_run.load_model(self._run).to(self._device), self._probes, self._done)
        return self._looks | best, base


def _networks(run: Path, wanted: Sequence[str], device: torch.device) -> dict[str, ViT]:
    """Load the run's network once with each of the `wanted` weights, by the weights' names in the results."""
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
        run_folder.load_weights(model, tensors, str(path))
        found[name] = model.to(device).eval()
    return found


def say_scores(looks: Mapping[str, Look], base: Mapping[str, Any]) -> None:
    """Print two scores of each kind of map, for each set of weights and for the baselines: hit rate and energy ratio.

    Two lines that say what these are follow.
    """
    for name, methods in [*((n, one.scores) for n, one in looks.items()), ("baseline", base)]:
        for method, found in methods.items():
            if found["hit"] is not None:
                ratio = f"energy ratio (mean in NG boxes / in picture) {found['energy_ratio']:.1f}"
                say(f"{name:<9} {method:<25} hit rate {found['hit']:.2f}  {ratio}")
    if any(found["ng_pictures"] for found in base.values()):
        say("hit rate: share of the NG pictures in which the patch with the highest value touches an NG box")
        say("energy ratio: mean of the map in the NG boxes, divided by its mean over the picture")
    else:
        say("no NG boxes in these pictures: no hit rate or energy ratio")


@dataclass(frozen=True)
class AttentionOptions:
    """Options of an attention analysis.

    Args:
        run, data: Folders of the run and of the dataset.
        device: Device of the network.
        split: Name of the split whose pictures are used.
        weights: Any of `best`, `last` and files with weights of the same network, in the order of the results.
        stages: Whether to use the run's stages and best weights in place of `weights`.
        rows: Which rows are used, see `row_facts.kept_rows`; None: as in the training.
        pictures: Largest number of pictures to score.
        shown: Largest number of pictures on a sheet; with --views only whole parts are drawn, at least one.
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


def _probes(asked: AttentionOptions) -> Probes:
    """Read the dataset for the run's network, and choose the probe pictures."""
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


def show(asked: AttentionOptions, out: Path, own_folder: bool) -> None:
    """Compute the attention of a run, write the results into `out` and print the scores.

    Args:
        asked, out: The options; the folder of the results.
        own_folder: Whether `out` is RUN/attention, whose files may be replaced without a check.

    Raises:
        InputError: The run or the dataset cannot be used, or `out` has files of the same names that do not belong to
            earlier results of this command.
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
