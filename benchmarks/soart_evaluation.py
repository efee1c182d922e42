"""Evaluate SOARTC and plain image comparisons on renders that no setting was chosen on (soart_detection.md).

    python -m benchmarks.soart_plan --to M
    python -m generator render M/soart_ok.csv --out R --mask-scale 1                 and M/soart_defects.csv too
    python -m benchmarks.soart_evaluation detect R --to results                      AUROC by kind, size and disturbance
    python -m benchmarks.soart_evaluation thresholds R --to results                  do the stated intervals hold?
    python -m benchmarks.soart_evaluation tables results --to docs/explanation/soart_detection.md

Every method gets the same pictures: aligned with the unit space's mean, brightness matched. Plain methods compare with
that mean only; `deviation` also uses each pixel's spread over the members, as SOARTC does. A picture's score is the
maximum of its map, a pin's the maximum in its box widened by 30 %. Intervals are Wilson's at 95 %, conservatively with
the number of defective pictures as the number of trials.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage
from tqdm import tqdm

from benchmarks.soart_plan import EACH, manifest_text
from generator.io.pin_boxes import read_pin_boxes
from generator.soart.anomaly_degree import distance
from generator.soart.estimator import SoartC
from generator.soart.inspection import Station, pins_in_unit_space
from generator.soart.limits import threshold
from generator.soart.pins import PRINT, Pin, PinTable
from generator.soart.registration import Pose, warp

ROOT = Path(__file__).resolve().parent.parent
CONDITIONS = ("as rendered", "shift up to 3 px", "gain 0.5", "gain 1.5", "noise 5/255")
NEGATIVES = 60
UNIT = 100
# Box x1, y1, x2, y2, in px, of the printed word on the first picture of the OK pool.
PRINT_BOX = (111.0, 105.0, 148.0, 119.0)
EDGE: dict[str, Any] = {"window": 5, "grid": 100}
SOARTC: dict[str, dict[str, Any]] = {
    "SOARTC": {"window": 5, "similarity": "pixels"},
    "SOARTC gram": {"window": 5, "similarity": "gram"},
}


SHOWN = ("difference", "1-SSIM", "1-ZNCC", "tolerance", "deviation", "SOARTC", "inspect")
LEVELS = {"picture": "Whole picture", "pin": "Pin by pin"}
KEYS = ["level", "condition", "defect"]
PAGE = """# What SOARTC finds, beside plain image comparisons

Written by `python -m benchmarks.soart_evaluation tables`. [soart.md](soart.md) explains SOARTC;
[soart_detection.csv](soart_detection.csv) has the values under all conditions: {conditions}.

*Data.* Renders of one station, not used to choose settings: {each} pictures of each defect, {negatives} of
good parts (OK), and {unit} other OK pictures, to whose mean every picture is aligned and matched in brightness.
*Measured before version 0.2*, with windows of 8 px and plain means and covariances; not repeated with the robust ones.

*Methods.* `difference`: blurred absolute difference to the mean OK picture. `1-SSIM`, `1-ZNCC`: structural similarity
and normalised cross-correlation with it. `tolerance`: distance from its values within one pixel.
`deviation`: difference divided by each pixel's spread over OK pictures. `inspect`: SOARTC
plus the RT method for each pin and the print.

*Measure.* AUROC, the probability that a defective picture scores higher than an OK one (0.5 is chance), by the maximum
of the method's map in the picture or the pin's box. **Bold** is the best of the row, ↓ lies below its
95 % interval (for 0.90: {interval})."""


def rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(manifest_text(name).splitlines()))


def picture(folder: Path, run: str) -> np.ndarray:
    with Image.open(folder / "images" / f"{run}.png") as opened:
        grey: np.ndarray = np.asarray(opened.convert("L"), dtype=np.float32) / np.float32(255)
    return grey


def disturbed(image: np.ndarray, condition: str, seed: int) -> np.ndarray:
    """The picture (grey, 0 to 1) changed by `condition`, one of CONDITIONS; `seed` draws shift and noise."""
    draws = np.random.default_rng(seed)
    if condition == "shift up to 3 px":
        dx, dy = draws.uniform(-3, 3, 2)
        return warp(image, Pose(0, -dx, -dy), image.shape)
    if condition.startswith("gain"):
        image = np.clip(image * np.float32(condition.split()[1]), 0, 1)
    if condition.startswith("noise"):
        image = np.clip(image + draws.normal(0, 5 / 255, image.shape).astype(np.float32), 0, 1)
    return image


def blurred_difference(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    blurred: np.ndarray = ndimage.gaussian_filter(np.abs(y - x), 1.5)
    return blurred


def _moments(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, ...]:
    def mean(v: np.ndarray) -> np.ndarray:
        blurred: np.ndarray = ndimage.gaussian_filter(v.astype(np.float64), 1.5, truncate=3.5)
        return blurred

    my, mx = mean(y), mean(x)
    return my, mx, mean(y * y) - my * my, mean(x * x) - mx * mx, mean(x * y) - mx * my


def dissimilarity(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Map of 1 - SSIM (Wang et al. 2004) of two pictures, grey 0 to 1; Gaussian weights with sigma 1.5 px."""
    my, mx, vy, vx, c = _moments(y, x)
    top = (2 * mx * my + 1e-4) * (2 * c + 9e-4)
    unlike: np.ndarray = 1 - top / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4))
    return unlike


def decorrelation(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Map of 1 - ZNCC of two pictures in 8 x 8 px windows; variances get 1e-4 added, so that noise does not count."""
    y, x = y.astype(np.float64), x.astype(np.float64)
    my, mx = ndimage.uniform_filter(y, 8), ndimage.uniform_filter(x, 8)
    vy = np.maximum(ndimage.uniform_filter(y * y, 8) - my * my, 0) + 1e-4
    vx = np.maximum(ndimage.uniform_filter(x * x, 8) - mx * mx, 0) + 1e-4
    unlike: np.ndarray = 1 - (ndimage.uniform_filter(x * y, 8) - mx * my + 1e-4) / np.sqrt(vx * vy)
    return unlike


def tolerance_difference(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """How far each pixel of picture `y` lies outside reference `x`'s range within one pixel around it; smoothed."""
    over = np.maximum(y - ndimage.maximum_filter(x, 3), ndimage.minimum_filter(x, 3) - y)
    outside: np.ndarray = ndimage.gaussian_filter(np.maximum(over, 0), 1.0)
    return outside


PLAIN: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "difference": blurred_difference,
    "1-SSIM": dissimilarity,
    "1-ZNCC": decorrelation,
    "tolerance": tolerance_difference,
}


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """AUROC: share of (positive, negative) pairs in the right order; ties count half (Mann and Whitney)."""
    return float(in_order(positive, negative).mean())


def in_order(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Compare each positive with each negative: (P, N), 1 if the positive scores higher, 0 if lower, 0.5 if equal."""
    order: np.ndarray = np.sign(np.asarray(positive)[:, None] - np.asarray(negative)[None]) / 2 + 0.5
    return order


def wilson(share: float, trials: int) -> tuple[float, float]:
    z2 = 1.96**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = math.sqrt(share * (1 - share) / trials * z2 + z2 * z2 / (4 * trials**2)) / (1 + z2 / trials)
    return max(0.0, middle - half), min(1.0, middle + half)


def pins_of(station: Station) -> PinTable:
    """The pin table of a station, which must have been made with pins."""
    assert station.table is not None
    return station.table


def regions(renders: Path, model: SoartC, first: np.ndarray) -> list[Pin]:
    """Boxes of the pins and the print, read for `first`, the OK pool's first picture; in px of the unit space."""
    pins = read_pin_boxes(renders / "records" / f"{rows('soart_ok')[0]['run']}.json")[0]
    return pins_in_unit_space(model, [*pins, Pin(PRINT, PRINT_BOX)], first)


def detect(renders: Path, to: Path) -> None:
    """Write detect.json: scores of picture and pins by method, for every picture and condition; hint on the defect."""
    good = rows("soart_ok")
    unit = [picture(renders, r["run"]) for r in good if r["role"] == "pool"][:UNIT]
    base = SoartC(**SOARTC["SOARTC"]).fit(unit)
    station = Station(base, regions(renders, base, unit[0]))
    table = pins_of(station)
    models = {name: SoartC(**settings) for name, settings in SOARTC.items()}
    for model in models.values():
        model._fit_members(base.members_)
    mean = base.reference_
    smooth = np.stack([ndimage.gaussian_filter(member - mean, 1.0) for member in base.members_])
    spread = np.sqrt((smooth**2).mean(axis=0) + 1e-5)
    judged = [(r, "") for r in good if r["role"] == "fresh"][:NEGATIVES]
    judged += [(r, r["cell"]) for r in rows("soart_defects")]
    addresses = [pin.address for pin in table.pins]
    found: list[dict[str, Any]] = []
    for condition in CONDITIONS:
        hinted = condition == CONDITIONS[0]
        for number, (row, cell) in enumerate(tqdm(judged, desc=condition, disable=None)):
            seen = base.registered(disturbed(picture(renders, row["run"]), condition, number))
            maps = {name: compare(seen, mean) for name, compare in PLAIN.items()}
            maps["deviation"] = np.abs(ndimage.gaussian_filter(seen - mean, 1.0)) / spread
            for name, model in models.items():
                degrees = distance(model._maps(seen, model.reference_), model.mean_, model.precision_)
                maps[name] = model._at_pixels(degrees)
            pins: dict[str, list[float]] = {
                name: [float(one[part].max()) for part in table.parts] for name, one in maps.items()
            }
            image = {name: float(one.max()) for name, one in maps.items()}
            # `inspect` with positions: the larger of a pin's scores by SOARTC and the RT method, each over its limit.
            rt = table.degrees(seen) / station.pin_limit
            pins["inspect"] = np.maximum(rt, np.array(pins["SOARTC"]) / station.picture_limit).tolist()
            image["inspect"] = max(float(rt.max()), image["SOARTC"] / station.picture_limit)
            target = row["defects"].partition("@")[2].partition(":")[0]
            at = addresses.index(target) if target else None
            found.append(
                {
                    "run": row["run"],
                    "cell": cell,
                    "condition": condition,
                    "image": image,
                    "pin": None if at is None or target == PRINT else {name: p[at] for name, p in pins.items()},
                    # The last one, the print, is left out.
                    "pins": None if cell else {name: sorted(p[:-1]) for name, p in pins.items()},
                    "hint": table.hint(seen, at) if at is not None and hinted else None,
                }
            )
        (to / "detect.json").write_text(json.dumps(found), "utf-8")


def thresholds(renders: Path, to: Path, redraws: int = 50) -> None:
    """Write thresholds.json: the stated and true rates of false alarms of `redraws` random unit spaces of each size.

    The stated one is an interval; the true one is counted on fresh OK pictures, with EDGE's settings, for SOARTC's
    score alone and with pins. All pictures are aligned once, with one mean of the OK pool, not each unit space's own.
    """
    good = rows("soart_ok")
    pool = [picture(renders, r["run"]) for r in good if r["role"] == "pool"]
    base = SoartC(**EDGE).fit(pool[:30])
    pins = regions(renders, base, pool[0])
    laid = {
        role: np.stack([base.registered(picture(renders, r["run"])) for r in good if r["role"] == role])
        for role in ("pool", "fresh")
    }
    found = []
    for count in (5, 20, 100):
        for redraw in tqdm(range(redraws), desc=f"{count} OK pictures", disable=None):
            draws = np.random.default_rng([count, redraw])
            model = SoartC(**EDGE)
            model.members_ = laid["pool"][draws.permutation(len(laid["pool"]))[:count]]
            model.scores_ = model._leave_one_out(model.members_, model._fit_members(model.members_))
            station = Station(model, pins)
            scores = np.array(
                [
                    distance(model._maps(image, model.reference_), model.mean_, model.precision_).max()
                    for image in laid["fresh"]
                ]
            )
            worst = pins_of(station).degrees(laid["fresh"]).max(axis=1)
            joint = np.maximum(scores / station.picture_limit, worst / station.pin_limit)
            alone = threshold(model.scores_.tolist())
            for by, limit, rate in (
                ("SOARTC", alone, float((scores > alone.value).mean())),
                ("SOARTC and pins", station.limit, float((joint > 1).mean())),
            ):
                found.append({"by": by, "count": count, "redraw": redraw, "interval": limit.interval, "rate": rate})
        (to / "thresholds.json").write_text(json.dumps(found), "utf-8")


def areas(results: Path) -> pd.DataFrame:
    """Compute AUROC from detect.json: rows are level (picture or pin), condition and defect; columns are methods."""
    found = json.loads((results / "detect.json").read_text("utf-8"))
    lines = []
    for level, condition in product(LEVELS, CONDITIONS):
        here = [one for one in found if one["condition"] == condition]
        part = "image" if level == "picture" else "pin"
        for cell in dict.fromkeys(one["cell"] for one in here if one["cell"] and one[part]):
            values = {name: round(_auroc_of(here, cell, part, name), 3) for name in found[0]["image"]}
            lines.append(dict(zip(KEYS, (level, condition, cell), strict=True)) | values)
    return pd.DataFrame(lines).set_index(KEYS)


def area_tables(found: pd.DataFrame) -> str:
    """Markdown tables of AUROC, one for whole pictures and one for pins."""
    limits = found.max(axis=1).map(lambda best: wilson(best, EACH)[0])
    parts = []
    for level, title in LEVELS.items():
        now = found.xs(level).xs(CONDITIONS[0])
        lines = [f"\n## {title}\n", f"| defect | {' | '.join(SHOWN)} |", "|---" * (len(SHOWN) + 1) + "|"]
        for cell, values in now.iterrows():
            best, limit, shown = values.max(), limits[level, CONDITIONS[0], cell], []
            for name in SHOWN:
                value = f"{values[name]:.3f}"
                shown.append(f"**{value}**" if values[name] == best else value + "↓" * bool(values[name] < limit))
            lines.append(f"| {cell} | {' | '.join(shown)} |")
        parts.append("\n".join(lines))
    return "\n".join(parts)


def tables(results: Path, to: Path) -> None:
    """Write the Markdown page `to`, and all AUROC values as a CSV file of the same name."""
    found = areas(results)
    found.to_csv(to.with_suffix(".csv"), float_format="%.3f", lineterminator="\n")
    judged = json.loads((results / "detect.json").read_text("utf-8"))
    kept = results / "thresholds.json"
    parts = [head(), area_tables(found), _hints(judged)]
    parts += [_intervals(json.loads(kept.read_text("utf-8")))] if kept.exists() else []
    to.write_text("\n".join(parts) + "\n", "utf-8")


def head() -> str:
    """The text of the page above its tables."""
    low, high = wilson(0.9, EACH)
    return PAGE.format(
        unit=UNIT,
        negatives=NEGATIVES,
        each=EACH,
        conditions=", ".join(CONDITIONS),
        interval=f"{low:.2f}–{high:.2f}",
    ).rstrip("\n")


def _hints(found: list[dict[str, Any]]) -> str:
    lines = [
        f"\n## Hints, {CONDITIONS[0]}\n",
        f"What `inspect` says of the defective pin or print, in {EACH} pictures; the two most frequent hints:\n",
        "| defect | hint |",
        "|---|---|",
    ]
    hints: dict[str, Counter[str]] = {}
    for one in found:
        if one["cell"] and one["hint"] and one["condition"] == CONDITIONS[0]:
            hints.setdefault(one["cell"], Counter())[one["hint"].split(": ")[-1]] += 1
    for cell, counts in hints.items():
        lines.append(f"| {cell} | {'; '.join(f'{n} {hint}' for hint, n in counts.most_common(2))} |")
    return "\n".join(lines)


def _intervals(drawn: list[dict[str, Any]]) -> str:
    lines = [
        "\n## Does the stated rate of false alarms hold?\n",
        "`inspect` promises an upper limit for the share of OK parts that it calls NG, not good: 50 sets of each "
        "number of OK pictures, false alarms among 500 others (`--edge`).\n",
        "| OK pictures | judged by | promised at most | false alarms, median (largest) | promise held |",
        "|---|---|---|---|---|",
    ]
    for count, by in dict.fromkeys((one["count"], one["by"]) for one in drawn):
        here = [one for one in drawn if (one["count"], one["by"]) == (count, by)]
        rates, upper = [one["rate"] for one in here], here[0]["interval"][1]
        lines.append(
            f"| {count} | {by} | {100 * upper:.1f} % | {100 * np.median(rates):.1f} % ({100 * max(rates):.1f} %) "
            f"| {sum(rate <= upper for rate in rates)} of {len(rates)} |"
        )
    return "\n".join(lines)


def _auroc_of(found: list[dict[str, Any]], cell: str, level: str, name: str) -> float:
    positive = [one[level][name] for one in found if one["cell"] == cell]
    good = [one for one in found if not one["cell"]]
    if level == "image":
        return auroc(np.array(positive), np.array([one["image"][name] for one in good]))
    return auroc(np.array(positive), np.concatenate([one["pins"][name] for one in good]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("detect", "thresholds"):
        command = commands.add_parser(name)
        command.add_argument("renders", type=Path)
        command.add_argument("--to", type=Path, required=True)
    command = commands.add_parser("tables")
    command.add_argument("results", type=Path)
    command.add_argument(
        "--to", type=Path, required=True, help="the page (.md); its numbers go into a .csv of the same name"
    )
    options = parser.parse_args()
    if options.command == "tables":
        tables(options.results, options.to)
    else:
        options.to.mkdir(parents=True, exist_ok=True)
        (detect if options.command == "detect" else thresholds)(options.renders, options.to)
    return 0


if __name__ == "__main__":
    sys.exit(main())
