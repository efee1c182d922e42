"""`python -m studies.detector_beside`: the tiny Florence-2 beside a RetinaNet, on equal pictures in equal CPU time.

    python -m studies.detector_beside --only small --seeds 3 --write

docs/explanation/florence2.md describes what is compared; --write puts the table there. A repeated command continues.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from studies.execution import SPENT, CommandFailed, Execution, Meter
from studies.locks import locked
from studies.measures import detections
from studies.page import NOT_RUN, marked, rows_of
from studies.plan import all_runs
from studies.questions.shares import ranged
from studies.results import TABLE
from studies.run import ROOT, Data, Design, Run, Take
from studies.tables import table
from trainer.core.augmentation import mirror
from trainer.core.data import read_dataset
from trainer.core.errors import InputError
from trainer.core.options import main_of, number, repeatable
from trainer.core.run_folder import write_text
from trainer.florence2 import metrics
from trainer.florence2.answers import Found, without_duplicates
from trainer.florence2.data import DetectionData, DetectionSplit, detection_data, sample_of
from trainer.florence2.samples import Sample, moved, shown
from trainer.vit.network.model import OK_CLASS

TITLES = {"small": "720 of 96 x 96 px, 5 pins", "detection": "1,440 of 256 x 128 px, 27 pins"}
PAGE, PART = ROOT / "docs" / "explanation" / "florence2.md", "detector beside"
# Augmentation of RetinaNet: torchvision's default for detection, or that of trainer.florence2 without its close-ups.
FLIPS, MOVES = "mirrored left-right", "augmented as Florence-2"
DETECTORS = ("Florence-2 tiny", f"RetinaNet, {FLIPS}", f"RetinaNet, {MOVES}")
BATCH, RATE, CHANNELS, MOST_BOXES = 8, 1e-3, 64, 40
# Pixels between neighbouring anchors of each level of features, and the side of its smallest anchor in strides: pins
# have 7 to 24 px.
STRIDES, SIDE = (4, 8, 16, 32), 1.75
# Steps of the trial that measures the time of an epoch: those before, and those that are measured.
_WARM, _TIMED = 2, 8


def florence2(task: str) -> Run:
    """Return the training of Florence-2 on a task of `TITLES`: study question 7's, or that of its page.

    The study pins the defaults of its time; here the tiny model is trained as it is by default today.
    """
    today = ("--region-weight", "0.5")
    known = next(run for run in all_runs(seeds=1) if run.question == 7)
    if task == "small":
        data = Data("boxes", tuple(pair for pair in known.data.splits if pair[0] != "test_new"))
        return replace(known, data=data, options=(*known.options, *today))
    design, splits = Design(task, ("manifests/detection.csv",)), ("train", "validation", "test_seen", "test_held")
    options = "--model tiny --lr 2e-3 --batch-size 4 --epochs 20 --close-ups 0.4 --evaluate-every 4"
    data = Data(task, tuple((split, (Take(design, split),)) for split in splits))
    return Run(7, task, 0, data, "florence2", (*options.split(), *today))


def network(classes: int, size: tuple[int, int]) -> Any:
    """Make a RetinaNet with random weights: the first three stages of a ResNet-18, features of strides 4 to 32 px.

    Args:
        classes: Number of classes, that of good pins included.
        size: Width and height of the pictures in px, which are not scaled.
    """
    from torchvision.models import resnet18
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import BackboneWithFPN
    from torchvision.models.detection.retinanet import RetinaNet, RetinaNetHead

    layers = {f"layer{number}": str(number) for number in (1, 2, 3)}
    backbone = BackboneWithFPN(resnet18(weights=None), layers, [64, 128, 256], CHANNELS)
    sides = tuple(tuple(SIDE * stride * 2 ** (third / 3) for third in range(3)) for stride in STRIDES)
    anchors = AnchorGenerator(sides, ((0.5, 1.0, 2.0),) * len(sides))
    head = RetinaNetHead(CHANNELS, anchors.num_anchors_per_location()[0], classes, partial(nn.GroupNorm, 8))
    head.regression_head._loss_type = "giou"
    more = {"anchor_generator": anchors, "head": head, "score_thresh": 0.01, "detections_per_img": 300}
    return RetinaNet(backbone, classes, min_size=min(size), max_size=max(size), **more)


def epochs_in(budget_s: float, epoch_s: float) -> int:
    """Return the number of whole epochs of `epoch_s` seconds nearest to a budget of `budget_s` seconds, at least 1."""
    return max(1, round(budget_s / epoch_s))


def example(data: DetectionData, index: int, augmentation: str, generator: torch.Generator) -> Sample:
    """Return the training picture `index`, augmented at random, with its good pins and the defects of its answer."""
    split = data.splits["train"]
    sample = sample_of(split, index, data.size, data.classes)
    sample = sample.kept((sample.categories == data.classes.index(OK_CLASS)) | sample.in_answer)
    if augmentation == MOVES:
        return shown(moved(sample, split.truths[index].may_flip, generator))
    pixels, boxes = mirror(sample.pixels, sample.boxes, bool(torch.rand(1, generator=generator) < 0.5), False)
    return sample._replace(pixels=pixels, boxes=boxes)


def target_of(sample: Sample) -> dict[str, Tensor]:
    """Make RetinaNet's target: `boxes` (P, 4), xyxy in px, cut at the picture's edges; `labels` (P,), class indices."""
    height, width = sample.pixels.shape[1:]
    boxes = sample.boxes.clamp(min=torch.zeros(4), max=torch.tensor([width, height] * 2))
    held = (boxes[:, 2:] > boxes[:, :2]).all(1)  # a box without area is an error for torchvision
    return {"boxes": boxes[held], "labels": sample.categories[held]}


def found_of(output: Mapping[str, Tensor], classes: Sequence[str]) -> list[Found]:
    """Convert RetinaNet's boxes (N, 4) of a picture, xyxy in px, without those of good pins and without duplicates."""
    values = zip(*(output[key].tolist() for key in ("boxes", "labels", "scores")), strict=True)
    found = [Found(tuple(box), classes[label], score) for box, label, score in values]
    kept = without_duplicates([one for one in found if one.label != OK_CLASS])
    return sorted(kept, key=lambda one: -one.confidence)[:MOST_BOXES]


def answers(model: Any, split: DetectionSplit, data: DetectionData) -> list[list[Found]]:
    """Find the boxes of defects in each picture of a split, in px of the picture as it trains."""
    model.eval()
    found: list[list[Found]] = []
    with torch.no_grad():
        for start in range(0, len(split), 16):
            pixels = split.pictures.batch(range(start, min(start + 16, len(split)))).float() / 255
            found += [found_of(each, data.classes) for each in model(list(pixels))]
    return found


class Training:
    """A training of RetinaNet by AdamW with one cycle of the learning rate, planned for `steps` steps."""

    def __init__(self, data: DetectionData, augmentation: str, seed: int, steps: int) -> None:
        torch.manual_seed(seed)
        self.data, self.augmentation = data, augmentation
        self.model = network(len(data.classes), data.size).train()
        self.generator = torch.Generator().manual_seed(seed)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), RATE, weight_decay=1e-2)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, RATE, max(10, steps), pct_start=0.15)

    def step(self, rows: Sequence[int]) -> float:
        """Train on the pictures of `rows`; returns the loss."""
        examples = [example(self.data, row, self.augmentation, self.generator) for row in rows]
        losses = self.model([each.pixels for each in examples], [target_of(each) for each in examples])
        loss: Tensor = sum(losses.values())
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return float(loss.detach())

    def epoch(self) -> float:
        """Train on every picture once, in random order; returns the mean loss."""
        order = torch.randperm(len(self.data.splits["train"]), generator=self.generator).tolist()
        return float(np.mean([self.step(order[at : at + BATCH]) for at in range(0, len(order), BATCH)]))


def epoch_seconds(data: DetectionData, augmentation: str) -> float:
    """Measure the CPU seconds of an epoch by the steps of a training that is then thrown away."""
    trial, times, count = Training(data, augmentation, 0, 0), [], len(data.splits["train"])
    for _ in range(_WARM + _TIMED):
        times.append(time.process_time())
        trial.step(range(min(BATCH, count)))
    return (time.process_time() - times[_WARM]) / _TIMED * count / BATCH


def trained(folder: Path, augmentation: str, seed: int, budget_s: float) -> dict[str, Any]:
    """Train a RetinaNet on a dataset for `budget_s` CPU seconds, to which reading and measuring come, and measure it.

    Returns:
        `cpu_s`, CPU seconds of the training; `epochs`; `loss`, that of the last epoch; `splits`, from `detections`.
    """
    repeatable(torch.device("cpu"), 1)
    dataset, classes = read_dataset(folder, "image")
    size = (int(dataset["train"][0]["width"]), int(dataset["train"][0]["height"]))
    data = detection_data(dataset, classes, folder, "image", size)
    epochs = epochs_in(budget_s, epoch_seconds(data, augmentation))
    training = Training(data, augmentation, seed, epochs * -(-len(data.splits["train"]) // BATCH))
    began, loss = time.process_time(), 0.0
    for epoch in range(epochs):
        loss = training.epoch()
        print(f"  epoch {epoch + 1} of {epochs}: loss {loss:.3f}", flush=True)
    spent = time.process_time() - began
    found = {name: answers(training.model, split, data) for name, split in data.splits.items() if name != "train"}
    validation = list(zip(data.splits["validation"].truths, found["validation"], strict=True))
    threshold = metrics.best_threshold(validation)
    seen = data.seen_positions(range(len(data.splits["train"])))
    truths = {name: split.truths for name, split in data.splits.items()}
    reports = {name: metrics.report(truths[name], found[name], data.labels, threshold, seen) for name in found}
    return {"cpu_s": spent, "epochs": epochs, "loss": loss, "splits": detections(reports)}


def do(execution: Execution, results: Path, task: str, seed: int) -> None:
    """Train and measure each detector, Florence-2 first, and write the results that are not in the folder `results`."""
    run = replace(florence2(task), seed=seed)
    for number_, detector in enumerate(DETECTORS):
        path = results / f"{task}_{number_}_{seed}.json"
        with locked(path.with_suffix(".lock")):
            if path.is_file():
                continue
            print(f"{task}: {detector}, seed {seed}", flush=True)
            folder = execution.folder(run)
            if folder.exists() and "training_cpu" not in Meter(folder / SPENT).read():
                shutil.rmtree(folder)  # an interrupted command: its CPU time is not known
            out = execution.train(run)
            spent = Meter(folder / SPENT).read()["training_cpu"]
            if number_:
                made = trained(execution.workshop.data(run.data), detector.partition(", ")[2], seed, spent)
            else:
                summary = json.loads((out / "summary.json").read_text("utf-8"))
                made = {"cpu_s": spent, "epochs": summary["epochs"], "splits": detections(summary["splits"])}
            write_text(path, json.dumps({"task": TITLES[task], "detector": detector, "seed": seed, **made}, indent=1))


def written(results: Sequence[Mapping[str, Any]], known: Sequence[Sequence[str]] = ()) -> str:
    """Write the table of results, Markdown; rows of an earlier table (`known`) stay if their task has no result."""
    header = ["training pictures", "positions", "detector", "trainings", "CPU minutes", "epochs", "mAP", "mAP50"]
    header += ["NG pins with right address and class", "false boxes per OK picture"]
    rows: list[list[str]] = [list(row) for row in known if row[0] not in {each["task"] for each in results}]
    for (task, detector), some in groupby(results, key=lambda each: (str(each["task"]), str(each["detector"]))):
        group = list(some)
        minutes = np.mean([each["cpu_s"] for each in group]) / 60
        epochs = "–".join(sorted({str(each["epochs"]) for each in group}, key=int))
        tests = [split["positions"] for each in group for name, split in each["splits"].items() if name != "validation"]
        for positions in ("seen", "held-out"):
            parts = [test[positions] for test in tests if positions in test]
            lows, highs = zip(*(part["map50_interval"] for part in parts), strict=True)
            map50 = f"{np.mean([part['map50'] for part in parts]):.2f} ({min(lows):.2f}–{max(highs):.2f})"
            mean, right, false = (
                ranged([part[key] for part in parts], ".2f") if len(parts) > 1 else f"{parts[0][key]:.2f}"
                for key in ("map", "right_address_and_mode", "false_boxes_per_ok_picture")
            )
            rows.append([task, positions.replace("-", " "), detector, str(len(parts)), f"{minutes:.1f}", epochs])
            rows[-1] += [mean, map50, right, false]
    order = [*TITLES.values()]
    rows.sort(key=lambda row: (order.index(row[0]), row[1] != "seen", DETECTORS.index(row[2])))
    return table(header, rows) if rows else NOT_RUN


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    p = argparse.ArgumentParser(
        prog="python -m studies.detector_beside",
        description="Train the tiny Florence-2 and a RetinaNet on equal pictures in equal CPU time, and measure both.",
        allow_abbrev=False,
    )
    only = "task: small takes 13 minutes for each seed, detection 3.5 hours (default: small)"
    p.add_argument("--only", choices=[*TITLES], default="small", help=only)
    seeds = "number of trainings of each detector, with the seeds 0, 1, …; 0: only the table of results (default: 1)"
    p.add_argument("--seeds", type=number(int, 0, 100), default=1, metavar="N", help=seeds)
    work = "folder of renders, datasets, runs and results (default: out/detector_beside)"
    p.add_argument("--work", type=Path, default=ROOT / "out" / "detector_beside", metavar="DIR", help=work)
    write = "write the table into docs/explanation/florence2.md; rows of a task without a result in the folder stay"
    p.add_argument("--write", action="store_true", help=write)
    return p


def run(args: argparse.Namespace) -> int:
    """Do the trainings that have no result yet, and print the table of all results; returns the exit code."""
    execution, results = Execution(args.work, TABLE, workers=1, device="cpu"), args.work.resolve() / "beside"
    try:
        for seed in range(args.seeds):
            do(execution, results, args.only, seed)
    except CommandFailed as error:
        raise InputError(str(error)) from None
    page = PAGE.read_text("utf-8")
    found = [json.loads(path.read_text("utf-8")) for path in sorted(results.glob("*.json"))]
    text = written(found, rows_of(page, PART))
    print(text)
    if args.write:
        PAGE.write_text(marked(page, PART, text), "utf-8")
    return 0


main = main_of(parser, run)

if __name__ == "__main__":
    sys.exit(main())
