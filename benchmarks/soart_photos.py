"""Evaluate SOARTC on real photographs: missing screws, and repeated photos of a circuit board without defects.

    python -m benchmarks.soart_photos screws FOLDER      42 photos NN_abcd.jpg; a to d: 1 = screw present
    python -m benchmarks.soart_photos board FOLDER       photos P1-P-L1_n (light on), -NL1_n (off), P1-UP-L1_n (moved)

The photographs are not part of this repository. Screws: SOARTC learns from the photos with all four screws; each screw
of the others is judged by the largest degree of anomaly in its box, each screw of the photos learned from by the other
photos (leave-one-out). Board: there are no defects, so every alarm is false; SOARTC learns from all photos of a kind,
from all but the judged one, or from a random half.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soart_evaluation import PLAIN, auroc, pins_of, wilson
from generator.io.pictures import pictures_in
from generator.soart.anomaly_degree import distance
from generator.soart.estimator import SoartC
from generator.soart.inspection import InspectionModel, read_picture
from generator.soart.pin_places import pins_in_unit_space
from generator.soart.pins import Pin, PinTable
from generator.soart.unit_space import UnitSpace

# Centres (x, y), in px, of the screws on the first photo that has all of them.
SCREWS = ((126, 250), (431, 230), (147, 600), (467, 573))
RADIUS = 56
SETTINGS: dict[str, Any] = {"window": 5, "rotation_deg": 15.0, "scaling": 0.05}
BOARD = {"light on": "P1-P-L1", "light off": "P1-P-NL1", "moved": "P1-UP-L1"}
DRAWS = 40


def screws(folder: Path) -> None:
    """Print how well each method finds the missing screws in the photos of a folder."""
    paths = pictures_in(folder)
    good = [path for path in paths if path.stem.endswith("1111")]
    judged = [path for path in paths if path not in good]
    images = [read_picture(path) for path in good]
    model = SoartC(**SETTINGS).fit(images)
    boxes = [Pin(str(n + 1), (x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS)) for n, (x, y) in enumerate(SCREWS)]
    inspection = InspectionModel(model, pins_in_unit_space(model, boxes, images[0]))
    table = pins_of(inspection)
    missing: list[bool] = []
    scores: dict[str, list[float]] = {}
    above = [0, 0]

    def judge(seen: np.ndarray, degrees: np.ndarray, others: PinTable, reference: np.ndarray) -> float:
        pins = others.measure(seen, degrees)
        for name, compare in PLAIN.items():
            drawn = compare(seen, reference)
            scores.setdefault(name, []).extend(float(drawn[part].max()) for part in table.parts)
        scores.setdefault("SOARTC", []).extend(pin.anomaly for pin in pins)
        scores.setdefault("RT method", []).extend(pin.degree for pin in pins)
        return max(pin.degree for pin in pins)

    for path in judged:
        look = model.look(read_picture(path))
        missing += [letter == "0" for letter in path.stem[-4:]]
        degree = judge(look.seen, look.degrees, table, model.reference_)
        worst = float(look.degrees.max())
        above[0] += worst > model.threshold.value
        above[1] += worst > inspection.picture_limit or degree > inspection.pin_limit
    for number, seen in enumerate(model.members_):
        rest = np.delete(model.members_, number, axis=0)
        space = UnitSpace(rest, model._maps, model.settings)
        degrees = model._at_pixels(distance(model._maps(seen, space.reference), space.mean, space.precision))
        missing += [False] * len(boxes)
        judge(seen, degrees, PinTable(table.pins, rest, space.reference), space.reference)
    gone = np.array(missing)
    print(f"learned from {len(good)} photos; screws in all photos: {gone.sum()} missing, {(~gone).sum()} present\n")
    print("| method | AUROC |\n|---|---|")
    for name, values in scores.items():
        value = auroc(np.array(values)[gone], np.array(values)[~gone])
        low, high = wilson(value, int(gone.sum()))
        print(f"| {name} | {value:.3f} ({low:.2f}–{high:.2f}) |")
    print(f"\nSOARTC finds a defect in {above[0]} of {len(judged)} photos lacking a screw ({model.threshold.promise})")
    print(f"SOARTC and the RT method, given the screws' positions, find a defect in {above[1]} of {len(judged)}")


def board(folder: Path) -> None:
    """Print how many false alarms SOARTC gives on the photos of the circuit board in a folder."""
    photos = {
        kind: [read_picture(path) for path in pictures_in(folder) if path.stem.startswith(f"{start}_")]
        for kind, start in BOARD.items()
    }
    print("| learned from | judged | false alarms | stated rate | score divided by its limit, median (largest) |")
    print("|---|---|---|---|---|")
    sets = {**photos, "light on and moved": photos["light on"] + photos["moved"]}
    sets["all three"] = sets["light on and moved"] + photos["light off"]
    for name, images in sets.items():
        if name in photos:
            others = {kind: list(photos[kind]) for kind in photos if kind != name}
            _row(name, "the photo left out", [(images[:n] + images[n + 1 :], [images[n]]) for n in range(len(images))])
            for kind, judged in others.items():
                _row(name, kind, [(images, judged)])
        else:
            _row(name, "the other half", list(_halves(images)))


def _halves(images: list[np.ndarray]) -> list[tuple[list[np.ndarray], list[np.ndarray]]]:
    """Split the photos into two random halves, several times: (photos of the unit space, photos to judge)."""
    draws = random.Random(0)
    ways = list(itertools.combinations(range(len(images)), len(images) // 2))
    return [
        ([images[n] for n in way], [image for n, image in enumerate(images) if n not in way])
        for way in draws.sample(ways, min(DRAWS // 4, len(ways)))
    ]


def _row(name: str, judged_name: str, splits: list[tuple[list[np.ndarray], list[np.ndarray]]]) -> None:
    scores, rates = [], []
    for unit, judged in splits:
        model = SoartC(window=5).fit(unit)
        scores += [model.score(image) / model.threshold.value for image in judged]
        rates.append(model.threshold.interval[1])
    alarms = sum(score > 1 for score in scores)
    print(
        f"| {name}, {len(splits[0][0])} | {judged_name} | {alarms} of {len(scores)} "
        f"| {100 * model.threshold.rate:.0f} %, at most {100 * max(rates):.0f} % "
        f"| {np.median(scores):.2f} ({max(scores):.2f}) |",
        flush=True,
    )


def main() -> int:
    """Run the evaluation that the first argument names; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("screws", "board"))
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    (screws if options.what == "screws" else board)(options.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
