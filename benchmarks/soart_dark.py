"""Measure SOARTC on dark, noisy, displaced pictures with bent pins among the good pictures (soart_dark.md).

    python -m benchmarks.soart_dark_plan --to M
    python -m generator render M/soart_dark.csv --scenes M/scenes --out R
    python -m benchmarks.soart_dark measure R --to new.json       --pools tuning: parts on which options were chosen
    python -m benchmarks.soart_dark page new.json --to docs/explanation/soart_dark.md    --before old.json: a column

Each render becomes a capture: cut out with a shift of up to 5 % of the width either way, so that two pictures differ by
up to 10 %, exposed less, with shot and read noise, coded to 8 bits. A unit space is fitted with the default settings of
`generator inspect`, but to all its pictures: outliers and copies are not set aside, and no gate refuses a picture.
Every method gets the same registered pictures. A pin's score is the largest value in its box widened by 30 %. AUROC is
the mean over SETS random unit spaces; intervals are from SAMPLES bootstrap samples of the judged parts, those of
differences from the same samples.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from benchmarks.soart_dark_plan import rows
from benchmarks.soart_evaluation import picture
from generator.io.pin_boxes import read_pin_boxes
from generator.io.srgb import coded, linear
from generator.soart.inspection import InspectionModel
from generator.soart.learning import model_with
from generator.soart.missing_pins import score_of
from generator.soart.pin_places import align_on_pins
from generator.soart.pins import Pin, as_box

WIDTH, HEIGHT, SHIFT = 320, 176, 16
FULL_WELL, READ_NOISE = 1000.0, 5.0  # electrons, of a small sensor at high gain
SETS, SAMPLES = 2, 500
METHODS = ("SOARTC", "inspect", "RT method", "difference", "difference over spread", "deviation")


@dataclass(frozen=True)
class Cell:
    """One line of the table: the unit space is `count` parts of the pool `golden`, the pool `judged` is judged."""

    golden: str
    count: int
    judged: str
    exposure: float
    most_bent: float = 1.0  # largest share of the unit space in which one pin may be bent


CELLS = {
    "judged": (
        Cell("bent", 5, "bent", 1 / 6),
        Cell("ok", 5, "bent", 1 / 6),
        Cell("bent", 12, "bent", 1 / 6),
        Cell("weak", 8, "weak", 1 / 6, 0.25),
        Cell("bent", 5, "bent", 1),
        Cell("ok", 5, "bent", 1),
        Cell("ok", 20, "bent", 1 / 6),
        Cell("dome", 5, "dome", 1 / 6),
    ),
    "tuning": (
        Cell("tuning_ok", 5, "tuning", 1),
        Cell("tuning", 5, "tuning", 1),
        Cell("tuning_ok", 12, "tuning", 1 / 6),
        Cell("tuning_ok", 5, "tuning", 1 / 6),
        Cell("tuning", 5, "tuning", 1 / 6),
        Cell("tuning", 12, "tuning", 1 / 6),
    ),
}
NAMES = {
    "ok": "good parts",
    "bent": "parts with 1–3 bent pins",
    "weak": "such parts, 6 pins bent in up to 25 %",
    "dome": "such parts, other housing and light",
}
PAGE = """# Inspection of dark, noisy pictures, with bent pins among the good ones

Written by `python -m benchmarks.soart_dark`. The page [SOART](soart.md) explains the method SOARTC.

*Data.* All pictures are renders of connectors with 27 pins, about 8 px wide. In the judged parts one to three pins
are bent by 0.3 to 1.2 mm. The unit space is the pictures from which a method learns; in some rows its parts have bent
pins, too. No setting of a method was chosen on these parts. The pictures are displaced against each other by up to 10
% of their width. The exposure is a share of the light of the render. The noise is that of a small sensor at high gain
(full well 1000 electrons, read noise 5 electrons).

*Methods.* All methods get the same pictures, aligned with the unit space. All pictures of a unit space are used:
outliers and copies are not set aside, as `generator inspect` does, and no picture is INVALID.

- `SOARTC`: the largest anomaly degree in the box of a pin.
- `inspect`: the largest of the scores of SOARTC and of the RT method, each divided by its limit, and of `fading`
  above 1.
- `RT method`: the `degree` of a pin.
- `difference`: blurred absolute difference from the median picture of the unit space.
- `difference over spread`: the same, divided by its median over the unit space.
- `deviation`: absolute value of the blurred difference, divided by its median over the unit space.

*Measure.* AUROC is the probability that a bent pin scores above another pin (0.5 is chance). Each value is the mean
of {sets} random unit spaces, with its 95 % interval (bootstrap over the parts). The last column is SOARTC minus the
best of the four other methods (RT method to deviation).

"""


@dataclass(frozen=True)
class Capture:
    """A capture: run of the render, (H, W) grey 0 to 1, the shift (x, y) in px, and the addresses of its bent pins."""

    run: str
    image: np.ndarray
    shift: tuple[int, int]
    bent: frozenset[str]


def exposed(image: np.ndarray, exposure: float, draws: np.random.Generator) -> np.ndarray:
    """Expose a picture less, with the noise of a sensor; grey values are coded as in sRGB, to 8 bits.

    Args:
        image: (H, W) in [0, 1].
        exposure: 0 to 1, share of the light.
        draws: source of the noise.
    """
    light = linear(255.0 * image) * exposure
    electrons = draws.poisson(light * FULL_WELL) + draws.normal(0, READ_NOISE, image.shape)
    grey: np.ndarray = (np.round(coded(np.clip(electrons / FULL_WELL, 0, 1))) / 255).astype(np.float32)
    return grey


def captures(renders: Path, role: str, exposure: float) -> list[Capture]:
    """Read the renders of a pool as captures; the same shift and noise in every call."""
    made = []
    for row in rows():
        if row["role"] == role:
            draws = np.random.default_rng([int(str(row["part"])), round(100 * exposure)])
            whole = picture(renders, str(row["run"]))
            dx, dy = (int(v) for v in draws.integers(-SHIFT, SHIFT + 1, 2))
            left, top = (whole.shape[1] - WIDTH) // 2 + dx, (whole.shape[0] - HEIGHT) // 2 + dy
            cut = whole[top : top + HEIGHT, left : left + WIDTH]
            bent = frozenset(one.split(":")[0].removeprefix("bent@") for one in str(row["defects"]).split(";") if one)
            made.append(Capture(str(row["run"]), exposed(cut, exposure, draws), (left, top), bent))
    return made


def unit_spaces(cell: Cell, pool: list[Capture]) -> Iterator[list[Capture]]:
    """Draw SETS unit spaces."""
    draws = np.random.default_rng(1)
    found = 0
    while found < SETS:
        chosen = [pool[n] for n in draws.permutation(len(pool))[: cell.count]]
        counts = [sum(pin in one.bent for one in chosen) for pin in {pin for one in chosen for pin in one.bent}]
        if max(counts, default=0) <= cell.most_bent * cell.count:
            found += 1
            yield chosen


def inspection_model_of(renders: Path, chosen: list[Capture]) -> InspectionModel:
    """Make the unit space of all chosen pictures by the default settings, with the pins of the first picture."""
    model = model_with({}).fit([one.image for one in chosen])
    first = chosen[0]
    boxes = read_pin_boxes(renders / "records" / f"{first.run}.json")[0]
    x, y = first.shift
    moved = [
        Pin(pin.address, as_box((pin.box[0] - x, pin.box[1] - y, pin.box[2] - x, pin.box[3] - y))) for pin in boxes
    ]
    return InspectionModel(model, align_on_pins(model, [one.image for one in chosen], moved, first.image))


def plain_maps(members: np.ndarray) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Make the plain methods: functions from a registered picture to a map; `members`: registered good pictures."""
    middle = np.median(members, axis=0)

    def difference(seen: np.ndarray) -> np.ndarray:
        blurred: np.ndarray = ndimage.gaussian_filter(np.abs(seen - middle), 1.5)
        return blurred

    def deviation(seen: np.ndarray) -> np.ndarray:
        blurred: np.ndarray = np.abs(ndimage.gaussian_filter(seen - middle, 1.5))
        return blurred

    def spread(method: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        usual = np.median(np.stack([method(one) for one in members]), axis=0)
        robust = 1.4826 * usual
        found: np.ndarray = robust + np.median(robust) + 1e-4
        return found

    away, off = spread(difference), spread(deviation)
    return {
        "difference": difference,
        "difference over spread": lambda seen: difference(seen) / away,
        "deviation": lambda seen: deviation(seen) / off,
    }


def scores_of(inspection: InspectionModel, judged: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Score every pin of every picture (H, W) by every method: (pictures, pins) by method."""
    table, model = inspection.table, inspection.model
    assert table is not None
    plain = plain_maps(model.members_)
    found: dict[str, list[list[float]]] = {name: [] for name in METHODS}
    for image in judged:
        look = model.look(image)
        pins = table.measure(look.seen, look.degrees)
        found["SOARTC"].append([pin.anomaly for pin in pins])
        found["RT method"].append([pin.degree for pin in pins])
        found["inspect"].append([score_of(pin, inspection.picture_limit, inspection.pin_limit) for pin in pins])
        for name, method in plain.items():
            drawn = method(look.seen)
            found[name].append([float(drawn[part].max()) for part in table.parts])
    return {name: np.array(values) for name, values in found.items()}


def measure(renders: Path, cell: Cell) -> dict[str, np.ndarray]:
    """Compute AUROC of every method: (1 + SAMPLES,), the value itself and those of bootstrap samples of the parts."""
    pool = captures(renders, cell.golden, cell.exposure)
    parts = captures(renders, cell.judged, cell.exposure)
    sets = []
    for chosen in unit_spaces(cell, pool):
        taken = {one.run for one in chosen}
        inspection = inspection_model_of(renders, chosen)
        scores = scores_of(inspection, [one.image for one in parts if one.run not in taken])
        kept = np.array([n for n, one in enumerate(parts) if one.run not in taken])
        assert inspection.table is not None
        truth = np.array([[pin.address in parts[n].bent for pin in inspection.table.pins] for n in kept])
        sets.append((kept, truth, scores))
    return {name: _areas(sets, name, len(parts)) for name in METHODS}


def _areas(sets: list[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]], name: str, count: int) -> np.ndarray:
    draws = np.random.default_rng(2)
    times = np.stack(
        [np.ones(count), *(np.bincount(draws.integers(0, count, count), minlength=count) for _ in range(SAMPLES))]
    )
    total = np.zeros(len(times))
    for kept, truth, scores in sets:
        order = np.argsort(scores[name], axis=None, kind="stable")
        is_bad, part = truth.ravel()[order], np.repeat(kept, truth.shape[1])[order]
        for sample, weight in enumerate(times):
            bad, good = weight[part] * is_bad, weight[part] * ~is_bad
            total[sample] += float(bad @ (np.cumsum(good) - good / 2)) / (bad.sum() * good.sum())
    return total / len(sets)


def summary(found: dict[str, np.ndarray]) -> dict[str, Any]:
    """Summarise AUROC values: [value, low, high] by method, the best plain method, and SOARTC minus that method."""

    def with_ends(values: np.ndarray) -> list[float]:
        return [round(float(v), 4) for v in (values[0], *np.quantile(values[1:], (0.025, 0.975)))]

    best = max(METHODS[2:], key=lambda name: float(found[name][0]))
    areas = {name: with_ends(values) for name, values in found.items()}
    return {"areas": areas, "best": best, "change": with_ends(found["SOARTC"] - found[best])}


def page(new: list[dict[str, Any]], old: list[dict[str, Any]]) -> str:
    """Make the page from the results of `measure`; `old`: those of an older version for one more column, or empty."""
    names = ["SOARTC, plain statistics" for _ in old[:1]] + list(METHODS)
    lines = [f"| unit space | exposure | {' | '.join(names)} | SOARTC − best |", "|---" * (len(names) + 3) + "|"]
    for number, one in enumerate(new):
        values = [result["areas"]["SOARTC"] for result in old[number : number + 1]] + list(one["areas"].values())
        cells = [f"{value:.3f} ({low:.3f}–{high:.3f})" for value, low, high in values]
        shown = " | ".join(["–"] * (len(names) - len(cells)) + cells)  # not measured before
        value, low, high = one["change"]
        lines.append(
            f"| {one['unit space']} | {one['exposure']} | {shown} | {value:+.3f} ({low:+.3f} to {high:+.3f}) |"
        )
    return PAGE.format(sets=SETS) + "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("measure")
    command.add_argument("renders", type=Path)
    command.add_argument("--pools", choices=tuple(CELLS), default="judged")
    command.add_argument("--to", type=Path, required=True, help="the results, JSON")
    command = commands.add_parser("page")
    command.add_argument("results", type=Path)
    command.add_argument("--before", type=Path, help="results of an older version")
    command.add_argument("--to", type=Path, required=True, help="the page (.md)")
    options = parser.parse_args()
    if options.command == "page":
        new, old = (json.loads(one.read_text("utf-8")) if one else [] for one in (options.results, options.before))
        options.to.write_text(page(new, old), "utf-8")
        return 0
    found = []
    for cell in CELLS[options.pools]:
        unit = f"{cell.count} {NAMES.get(cell.golden, cell.golden)}"
        found.append(
            {"unit space": unit, "exposure": f"1/{round(1 / cell.exposure)}", **summary(measure(options.renders, cell))}
        )
        print(found[-1], flush=True)
        options.to.write_text(json.dumps(found, indent=1), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
