"""The end of a gauge's training: calibrate the uncertainty of the best weights, measure all splits but `train`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from generator.locating.factors import Factors
from trainer.core import run_folder
from trainer.core.console import say, stage
from trainer.core.default_paths import dataset_facts
from trainer.core.frozen_threshold import sha256_of_weights
from trainer.core.loop import Outcome
from trainer.core.run_folder import BEST, SUMMARY, load_weights
from trainer.gauge.figures import figures, grouped, line
from trainer.gauge.finder import TorchFinder
from trainer.gauge.gates import learn_gates
from trainer.gauge.likeness import learn_likeness
from trainer.gauge.measuring import captures_of, measure_captures, table_of
from trainer.gauge.network import GaugeNetwork
from trainer.gauge.picture import GaugeData, Picture
from trainer.gauge.run import factors_of, save_uncertainty, tie
from trainer.gauge.uncertainty import learn_uncertainty

# A position counts as displaced in training where tips lie at least this far from their nominal place, mm, in as many
# parts as this share.
_DISPLACED_MM, _DISPLACED_SHARE = 0.2, 0.1
DISPLACED = "displaced"


def finish(run: Path, data: GaugeData, folder: Path, network: GaugeNetwork, outcome: Outcome) -> None:
    """Calibrate a gauge's uncertainty, learn which pictures and parts can be judged, and measure its errors.

    Writes uncertainty.json, errors.npz, gates/, likeness.npz and summary.json.

    Args:
        run: the run's folder, which contains the best weights.
        data, folder: the training's data, of which all splits but `train` are measured; the dataset's folder.
        network: the network; the best weights are loaded into it.
        outcome: how the training ended.
    """
    tensors, _ = run_folder.read_tensors(run / BEST)
    load_weights(network, tensors, str(run / BEST))
    network.eval()
    stage("calibrating the uncertainty on the split validation")
    uncertainty, errors = learn_uncertainty(network, data)
    learn_gates(run, data.splits)
    stage("learning how the parts of the splits train and validation look")
    finder, factors = TorchFinder(network, uncertainty.scales), factors_of(uncertainty, errors)
    learn_likeness(data, finder).save(run)
    save_uncertainty(run, uncertainty, errors)
    tie(run)
    summary: dict[str, Any] = {
        "data": dataset_facts(folder),
        "training_pictures": len(data.splits["train"]),
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "best_by": "loss of points and presence on crops of validation",
        "stopped": outcome.stopped,
        "weights_sha256": sha256_of_weights(run / BEST),
        DISPLACED: displaced(data.splits["train"], data),
        "splits": {},
    }
    for name, pictures in data.splits.items():
        if name == "train" or not pictures:
            continue
        stage(f"measuring the gauge's errors on the split {name}")
        found = {}
        for cameras, table in tables_of(pictures, data, finder, factors).items():
            limit = limit_of(pictures)
            found[cameras] = grouped(table, limit, summary[DISPLACED])
            say(line(f"{name}, {cameras}", figures(table)))
        summary["splits"][name] = found
    run_folder.write_json(run / SUMMARY, summary)


def tables_of(
    pictures: Sequence[Picture], data: GaugeData, finder: TorchFinder, factors: Factors
) -> dict[str, pd.DataFrame]:
    """Measure the parts of a split by each camera alone and, if there are several, by all together.

    Returns tables of pins (`table_of`) by names of cameras, such as `center` and `center+top`. `finder` is the network,
    `factors` are those by which standard deviations in mm are multiplied.
    """
    names = sorted({str(each.row["camera"]) for each in pictures})
    sets = [(name,) for name in names] + ([tuple(names)] if len(names) > 1 else [])
    return {
        "+".join(cameras): table_of(measure_captures(captures_of(pictures, cameras), data, finder, factors), data)
        for cameras in sets
    }


def limit_of(pictures: Sequence[Picture]) -> float:
    """Return the smallest limit of true position, mm, that the pictures' dataset rows state; infinite if none does."""
    stated = {str(each.row["tolerance_json"]) for each in pictures if each.row.get("tolerance_json")}
    return min((float(json.loads(each)["true_position_mm"]) for each in stated), default=np.inf)


def displaced(pictures: Sequence[Picture], data: GaugeData) -> list[str]:
    """Return the positions whose pins were displaced in the training pictures, as `scene/address`, sorted.

    They are those whose tip is over 0.2 mm off its nominal place in at least a tenth of the `pictures` that show it.
    """
    shown: dict[str, list[bool]] = {}
    for picture in pictures:
        for position, each in zip(data.connectors[picture.key].positions, picture.objects, strict=True):
            if each is not None and each.true_position_mm is not None:
                name = f"{picture.key[0]}/{position.address}"
                shown.setdefault(name, []).append(each.true_position_mm > 2 * _DISPLACED_MM)
    return sorted(name for name, moved in shown.items() if np.mean(moved) >= _DISPLACED_SHARE)
