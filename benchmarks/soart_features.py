"""Compare `inspect --features` with PatchCore on the same features, and with SOARTC without features.

    python -m trainer.export --imagenet --to lite0.onnx
    python -m trainer.export --model RUN --features --to vit.onnx
    python -m benchmarks.soart_features screws FOLDER --features lite0.onnx vit.onnx      photographs (soart_photos.py)
    python -m benchmarks.soart_features renders R --features lite0.onnx vit.onnx          renders (soart_plan.py)

Every method gets the same aligned pictures. *Screws*: the unit space is the photos with all screws. Each of these
is judged by the others. *Renders*: the unit space is MEMBERS pictures of the pool of `soart_ok`; other OK pictures, as
many as JUDGED, and all pictures of `soart_defects` are judged. A picture's score is the largest degree of its pixels,
that of a screw or pin the largest in its box. Alarms are pictures above the largest score of the unit space
(leave-one-out). Intervals are Wilson's at 95 %, with the number of defective pictures or boxes as number of trials.

The numbers of the screws are no blind test: blocks, covariance and scale of `inspect --features` were chosen on them
(and on renders other than those judged), and so were the scaling, the missing average over neighbours and the 2000
places of `benchmarks.patchcore`. On renders, a ViT of this project has the advantage that it was trained with labelled
defects of the same connector; SOARTC and EfficientNet-Lite0 were not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.patchcore import PatchCore
from benchmarks.soart_evaluation import auroc, picture, pins_of, regions, rows, wilson
from benchmarks.soart_photos import RADIUS, SCREWS
from benchmarks.soart_photos import SETTINGS as OF_SCREWS
from generator.io.pictures import pictures_in
from generator.soart.anomaly_degree import distance
from generator.soart.estimator import SoartC
from generator.soart.feature_file import FeatureNetwork, read_feature_file
from generator.soart.feature_space import FeatureSpace
from generator.soart.feature_stage import FeatureStage
from generator.soart.inspection import InspectionModel, read_picture
from generator.soart.pin_places import pins_in_unit_space
from generator.soart.pins import PRINT, Pin
from generator.soart.unit_space import UnitSpace

MEMBERS, JUDGED = 40, 40
# PatchCore is made again without each member only if there are at most this many: it takes long.
REMADE = 12


@dataclass(frozen=True)
class Maps:
    """Degrees of one method: of the judged pictures (m, h, w), and of members by the others (n, h, w); n may be 0."""

    judged: np.ndarray
    members: np.ndarray


def maps_of(model: SoartC, seen: np.ndarray, networks: list[FeatureNetwork]) -> Iterator[tuple[str, Maps]]:
    """Compute the degrees of all methods, by their names.

    Args:
        model: a fitted model.
        seen: (m, h, w) aligned pictures to judge.
        networks: feature networks.
    """
    members = model.members_

    def soartc(one: np.ndarray, space: Any) -> np.ndarray:
        return model._at_pixels(distance(model._maps(one, space.reference), space.mean, space.precision))

    whole = UnitSpace(members, model._maps, model.settings)
    others = (
        UnitSpace(np.delete(members, n, axis=0), model._maps, model.settings, whole)
        for n in range(len(members) if len(members) <= REMADE else 0)
    )
    own = [soartc(one, space) for one, space in zip(members, others, strict=False)]
    yield "SOARTC", Maps(np.stack([soartc(one, whole) for one in seen]), np.array(own))
    for network in networks:
        of_members, of_seen = (np.stack([network.features(one) for one in part]) for part in (members, seen))
        space, degrees = FeatureSpace.fit(of_members)
        stage = FeatureStage(network, space)

        def large(found: list[np.ndarray] | np.ndarray, stage: FeatureStage = stage) -> np.ndarray:
            shape = (seen.shape[1], seen.shape[2])
            return np.array([stage.at_pixels(one, shape) for one in found])

        name = f"{network.name} {network.kind}"
        yield f"{name}: inspect --features", Maps(large([space.degrees(one) for one in of_seen]), large(degrees))
        bank = PatchCore(of_members)
        alone = [
            PatchCore(np.delete(of_members, n, axis=0)).degrees(one)
            for n, one in enumerate(of_members if len(members) <= REMADE else [])
        ]
        yield f"{name}: PatchCore", Maps(large([bank.degrees(one) for one in of_seen]), large(alone))


def area(positive: np.ndarray, negative: np.ndarray) -> str:
    """Return the AUROC with its interval as text."""
    value = auroc(positive, negative)
    low, high = wilson(value, len(positive))
    return f"{value:.3f} ({low:.2f}–{high:.2f})"


def screws(folder: Path, networks: list[FeatureNetwork]) -> None:
    """Print how well each method finds the missing screws in the photos of a folder."""
    paths = pictures_in(folder)
    good = [path for path in paths if path.stem.endswith("1111")]
    judged = [path for path in paths if path not in good]
    images = [read_picture(path) for path in good]
    model = SoartC(**OF_SCREWS).fit(images)
    boxes = [Pin(str(n + 1), (x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS)) for n, (x, y) in enumerate(SCREWS)]
    parts = pins_of(InspectionModel(model, pins_in_unit_space(model, boxes, images[0]))).parts
    gone = np.array([[letter == "0" for letter in path.stem[-4:]] for path in judged])
    seen = np.stack([model.look(read_picture(path)).seen for path in judged])
    total = f"{gone.sum()} screws missing, {(~gone).sum()} present"
    print(f"unit space: {len(good)} photos; {len(judged)} others: {total}\n")
    print("| method | AUROC, screws | AUROC, photos | photos above the limit | missing screws above | present above |")
    print("|---|---|---|---|---|---|")
    for name, maps in maps_of(model, seen, networks):
        at, own = (np.array([[one[part].max() for part in parts] for one in m]) for m in (maps.judged, maps.members))
        worst, usual = maps.judged.max(axis=(1, 2)), maps.members.max(axis=(1, 2))
        limit = usual.max()
        print(
            f"| {name} | {area(at[gone], np.concatenate([at[~gone], own.ravel()]))} | {area(worst, usual)} "
            f"| {(worst > limit).sum()} of {len(worst)} | {(at[gone] > limit).sum()} of {gone.sum()} "
            f"| {(at[~gone] > limit).sum()} of {(~gone).sum()} |",
            flush=True,
        )


def renders(folder: Path, networks: list[FeatureNetwork]) -> None:
    """Print the AUROC of each method for each kind of defect, for whole pictures and for pins."""
    good, bad = rows("soart_ok"), rows("soart_defects")
    unit = [picture(folder, row["run"]) for row in good if row["role"] == "pool"][:MEMBERS]
    model = SoartC(window=5).fit(unit)
    table = pins_of(InspectionModel(model, regions(folder, model, unit)))
    fresh = [row for row in good if row["role"] == "fresh"][:JUDGED]
    seen = np.stack([model.registered(picture(folder, row["run"])) for row in [*fresh, *bad]])
    addresses = [pin.address for pin in table.pins]
    found = {name: maps.judged for name, maps in maps_of(model, seen, networks)}
    print(f"unit space: {MEMBERS} renders; {len(fresh)} OK renders judged. AUROC of whole pictures / of pins\n")
    print(f"| defect | {' | '.join(found)} |")
    print("|---" * (len(found) + 1) + "|")
    for cell in dict.fromkeys(row["cell"] for row in bad):
        numbers = [len(fresh) + n for n, row in enumerate(bad) if row["cell"] == cell]
        targets = [bad[n - len(fresh)]["defects"].partition("@")[2].partition(":")[0] for n in numbers]
        line = []
        for degrees in found.values():
            ok, ng = degrees[: len(fresh)], degrees[numbers]
            kinds = [
                part
                for part, address in zip(table.parts, addresses, strict=True)
                if (address == PRINT) == (targets[0] == PRINT)
            ]
            usual = np.array([one[part].max() for one in ok for part in kinds])
            at = [one[table.parts[addresses.index(t)]].max() for one, t in zip(ng, targets, strict=True)]
            line.append(f"{area(ng.max(axis=(1, 2)), ok.max(axis=(1, 2)))} / {area(np.array(at), usual)}")
        print(f"| {cell} | {' | '.join(line)} |", flush=True)


def main() -> int:
    """Run the comparison that the first argument names; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("screws", "renders"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--features", type=Path, nargs="+", required=True, metavar="FILE.onnx")
    options = parser.parse_args()
    networks = [read_feature_file(path) for path in options.features]
    (screws if options.what == "screws" else renders)(options.folder, networks)
    return 0


if __name__ == "__main__":
    sys.exit(main())
