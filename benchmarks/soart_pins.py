"""Evaluate SOARTC on real photographs of a connector whose good pictures have bent pins, too.

    python -m benchmarks.soart_pins FOLDER
    python -m benchmarks.soart_pins FOLDER --features lite0.onnx     also by features (trainer.export), and by PatchCore

The folder is `data` of the public repository visionrd-ai/Pins-Defect-Detection, without a licence: photos imgs/N.png,
and masks/N.png of the same size, in which spots mark the pins: 1 a bent pin, 2 a good one. Photos of one size show one
kind of connector. Each is judged by all others of its size (leave-one-out), whose bent pins nobody sorts out. Boxes of
pins are squares of 2 HALF_PX around the places that good pins have in most photos; photos are matched by the marks of
their pins (an affine map), so that boxes and labels belong together. Equal photos count once.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from benchmarks.soart_dark import METHODS, scores_of
from benchmarks.soart_evaluation import auroc, pins_of
from benchmarks.soart_features import maps_of
from blender_scripts.contract.errors import InputError
from generator.io.pictures import open_picture
from generator.soart.feature_file import FeatureNetwork, read_feature_file
from generator.soart.inspection import InspectionModel, read_picture
from generator.soart.learning import model_with
from generator.soart.pin_places import align_on_pins, pins_in_unit_space
from generator.soart.pins import Pin, as_box
from generator.verdict.gates import PictureGates

NOT_MARKED, BENT, GOOD = range(3)
HALF_PX = 7.0
ROUNDS, SAMPLES = 8, 1000


@dataclass(frozen=True)
class Photo:
    """A photo.

    Attributes:
        path: its file.
        image: (H, W) grey floats in [0, 1].
        marks: (n, 2) x and y, px, of the marked pins.
        labels: (n,) BENT or GOOD.
    """

    path: Path
    image: np.ndarray
    marks: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Pins:
    """The connector's pins in one photo.

    Attributes:
        places: (pins, 2) x and y, px, where good pins would be.
        labels: (pins,) NOT_MARKED, BENT or GOOD.
        marks: (pins, 2) x and y, px, of the marks; NaN where a pin is not marked.
    """

    places: np.ndarray
    labels: np.ndarray
    marks: np.ndarray


def read(image: Path, mask: Path) -> Photo:
    """Read a photo and its marks."""
    marked = np.asarray(Image.open(mask))
    spots, count = ndimage.label(marked, structure=np.ones((3, 3)))
    numbers = range(1, count + 1)
    centres = np.array(ndimage.center_of_mass(marked > 0, spots, numbers)).reshape(-1, 2)
    labels = np.array([np.bincount(marked[spots == number]).argmax() for number in numbers])
    return Photo(image, read_picture(image), centres[:, ::-1], labels)


def photos_by_size(folder: Path) -> list[list[Photo]]:
    """Read the photos of a folder, grouped by their size, without copies."""
    found: dict[tuple[int, ...], list[Photo]] = {}
    for path in sorted((folder / "imgs").glob("*.png"), key=lambda one: int(one.stem)):
        photo = read(path, folder / "masks" / path.name)
        same = found.setdefault(photo.image.shape, [])
        if not any((photo.image == one.image).all() for one in same):
            same.append(photo)
    if not found:
        raise InputError(f"{folder}: expected photos imgs/N.png with masks/N.png, got none")
    return list(found.values())


def matched(photos: Sequence[Photo]) -> list[Pins]:
    """Find which marks are those of the same pin in photos of one kind of connector."""
    whole = [photo for photo in photos if len(photo.marks) == max(len(one.marks) for one in photos)]
    first = min(whole, key=lambda photo: int((photo.labels == BENT).sum()))
    layout = first.marks
    for _ in range(2):
        found = [_pins(photo, layout) for photo in photos]
        # A pin's place is the median, over the photos, of its good marks, in px of the first photo.
        back = []
        for pins in found:
            to_layout = _affine(pins.places, layout)
            back.append(np.where((pins.labels == GOOD)[:, None], to_layout(pins.marks), np.nan))
        layout = np.nanmedian(np.stack(back), axis=0)
    return found


def _pins(photo: Photo, layout: np.ndarray) -> Pins:
    """Match a photo's marks with the layout (pins, 2), px."""
    places = layout + np.median(photo.marks, axis=0) - np.median(layout, axis=0)
    for _ in range(ROUNDS):
        apart = np.linalg.norm(places[:, None] - photo.marks, axis=2)
        numbers, marks = linear_sum_assignment(apart * np.where(photo.labels == BENT, 0.6, 1.0))
        good = photo.labels[marks] == GOOD
        places = _affine(layout[numbers[good]], photo.marks[marks[good]])(layout)
    labels, at = np.full(len(layout), NOT_MARKED), np.full(layout.shape, np.nan)
    labels[numbers], at[numbers] = photo.labels[marks], photo.marks[marks]
    return Pins(places, labels, at)


def _affine(points: np.ndarray, to: np.ndarray):  # type: ignore[no-untyped-def]
    """Return the affine map, a function, that takes points (n, 2) nearest to others (n, 2)."""
    found = np.linalg.lstsq(np.c_[points, np.ones(len(points))], to, rcond=None)[0]
    return lambda other: np.c_[other, np.ones(len(other))] @ found


def judge(
    photos: Sequence[Photo], pins: Sequence[Pins], on_pins: bool, networks: list[FeatureNetwork]
) -> tuple[list[dict[str, np.ndarray]], str]:
    """Judge each photo by the others.

    Args:
        photos: the photos.
        pins: the pins in each.
        on_pins: whether photos are aligned on the pins, as `inspect` does, or as a whole.
        networks: feature networks, whose unit space and PatchCore judge too.

    Returns:
        The scores (pins,) of each photo by method, and in words how often which verdict was given.
    """
    found, verdicts, decisions = [], Counter[str](), Counter[str]()
    for number, photo in enumerate(photos):
        others = [one for one in range(len(photos)) if one != number]
        images = [photos[one].image for one in others]
        model = model_with({}).fit(images)
        places = pins[others[0]].places
        boxes = [Pin(str(n), as_box((*(at - HALF_PX), *(at + HALF_PX)))) for n, at in enumerate(places)]
        whole = pins_in_unit_space(model, boxes, images[0])
        gates = PictureGates.of(open_picture(photos[one].path, photos[one].path.name) for one in others)
        place = align_on_pins(model, images, boxes, images[0]) if on_pins else whole
        inspection = InspectionModel(model, place, gates)
        scores = {name: values[0] for name, values in scores_of(inspection, [photo.image]).items()}
        seen = model.look(photo.image).seen[None]
        for name, maps in itertools.islice(maps_of(model, seen, networks), 1, None):  # the first is SOARTC's
            scores[name] = np.array([maps.judged[0][part].max() for part in pins_of(inspection).parts])
        found.append(scores)
        finding = inspection.inspect(photo.image)
        verdicts[str(finding.verdict)] += 1
        for label, pin in zip(pins[number].labels, finding.pins, strict=True):
            decisions[f"{('not marked', 'bent', 'good')[label]} pins {pin.decision}"] += 1
    return found, "; ".join(f"{count} {what}" for what, count in [*verdicts.items(), *sorted(decisions.items())])


def print_areas(scores: Sequence[dict[str, np.ndarray]], pins: Sequence[Pins]) -> None:
    """Print the AUROC of each method over all marked pins, and 95 % intervals (bootstrap over photos)."""
    pairs = list(zip(scores, (one.labels for one in pins), strict=True))

    def areas(chosen: Sequence[tuple[dict[str, np.ndarray], np.ndarray]]) -> dict[str, float]:
        labels = np.concatenate([one for _, one in chosen])
        values = {name: np.concatenate([one[name] for one, _ in chosen]) for name in scores[0]}
        return {name: auroc(one[labels == BENT], one[labels == GOOD]) for name, one in values.items()}

    value, draws = areas(pairs), random.Random(0)
    samples = [areas(draws.choices(pairs, k=len(pairs))) for _ in range(SAMPLES)]
    print("| method | AUROC |\n|---|---|")
    for name in scores[0]:
        low, high = np.quantile([one[name] for one in samples], (0.025, 0.975))
        print(f"| {name} | {value[name]:.3f} ({low:.2f}–{high:.2f}) |")
    best = max((name for name in scores[0] if name not in METHODS[:2]), key=lambda name: value[name])
    low, high = np.quantile([one["SOARTC"] - one[best] for one in samples], (0.025, 0.975))
    print(f"SOARTC minus {best}: {value['SOARTC'] - value[best]:+.3f} ({low:+.2f} to {high:+.2f})")


def main() -> int:
    """Run the evaluation; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--features", type=Path, metavar="FILE.onnx", help="feature network (extra `features`)")
    options = parser.parse_args()
    networks = [read_feature_file(options.features)] if options.features else []
    for photos in photos_by_size(options.folder):
        pins = matched(photos)
        height, width = photos[0].image.shape
        bent = [int((one.labels == BENT).sum()) for one in pins]
        print(f"\n{len(photos)} photos of {width} x {height} px, {len(pins[0].labels)} pins, bent in each: {bent}")
        for name, on_pins in (("aligned as a whole", False), ("aligned on pins", True)):
            scores, verdicts = judge(photos, pins, on_pins, networks if any(bent) else [])
            print(f"\n{name}: {verdicts}", flush=True)
            if any(bent):
                print_areas(scores, pins)
    return 0


if __name__ == "__main__":
    sys.exit(main())
