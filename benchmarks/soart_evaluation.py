"""Evaluate SOARTC and plain image comparisons on renders on which no setting was chosen (soart_detection.md).

    python -m benchmarks.soart_plan --to M
    python -m generator render M/soart_ok.csv --out R --mask-scale 1                 the same for M/soart_defects.csv
    python -m benchmarks.soart_evaluation detect R --to results                      scores of all pictures
    python -m benchmarks.soart_evaluation thresholds R --to results                  rates of false alarms
    python -m benchmarks.soart_evaluation tables results --to docs/explanation/soart_detection.md

Every method gets the same pictures, aligned with the mean of the OK pictures from which SOARTC learns, on the pins as
by `inspect --positions`, and brought to its brightness. Plain methods compare with that mean only; `deviation` uses
each pixel's spread over these pictures too, as SOARTC does. A picture's score is the maximum of its map. A pin's score
is the maximum in its box, widened by 30 %.
Intervals are Wilson's at 95 %, with the number of defective pictures as the number of trials: wider than necessary.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
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
from generator.soart.inspection import InspectionModel
from generator.soart.limits import score_limit
from generator.soart.pin_places import align_on_pins
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
PAGE = """# What SOARTC finds, compared with plain image comparisons

[SOARTC](soart.md) finds defects by comparing each window (small square) of a picture with pictures of good parts
(*OK*). `python -m benchmarks.soart_evaluation tables` writes this page. The tables below are of pictures as rendered;
[soart_detection.csv](soart_detection.csv) has all conditions: {conditions}.
Gain is a factor on the brightness. Noise is added; its standard deviation is stated for grey values from 0 to 1.

*Data.* All pictures are renders of one connector from the camera `center`. No setting of a method was chosen with
them. Each defect is shown by {each} pictures. {negatives} pictures show good parts. The methods learn from {unit}
pictures of other good parts. Every picture is aligned [on the pins](soart.md#aligned-on-pins) with the mean of these
{unit} pictures, the *mean OK picture*, and brought to the brightness of that mean. The name of a defect states its
size: sideways offset of the tip (bent), depth (retracted), shift (print), diameter (ball) or length (fibre).

*Methods.* Each method computes a map of how a picture differs from the mean OK picture:

- `difference`: absolute difference, blurred.
- `1-SSIM`, `1-ZNCC`: 1 minus structural similarity, 1 minus normalised cross-correlation.
- `tolerance`: distance of a grey value from the range that the mean OK picture has at this pixel and its neighbours.
- `deviation`: difference divided by the standard deviation of the same pixel over the OK pictures.
- `SOARTC`: [anomaly degree](soart.md#method) of each window.
- `inspect`: the larger of two scores, each divided by its own limit: the score of SOARTC, and the score of
  [Taguchi's RT method](soart.md#method) for the box of a pin or of the print.

*Measure.* The score of a picture is the largest value of its map, that of a pin the largest value in the pin's box.
The tables show AUROC: the probability that a defective picture or pin scores higher than an OK one (0.5 is chance).
**Bold**: the best of the row. ↓: below the 95 % interval of the best (for 0.90, this interval is {interval})."""


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of the manifest `name` of `benchmarks.soart_plan`, each as text by column."""
    return list(csv.DictReader(manifest_text(name).splitlines()))


def picture(folder: Path, run: str) -> np.ndarray:
    """Read the picture of the row `run` from a render folder, in grey, values from 0 to 1."""
    with Image.open(folder / "images" / f"{run}.png") as opened:
        grey: np.ndarray = np.asarray(opened.convert("L"), dtype=np.float32) / np.float32(255)
    return grey


def disturbed(image: np.ndarray, condition: str, seed: int) -> np.ndarray:
    """Return the picture (grey, 0 to 1) changed by `condition`, one of CONDITIONS; `seed` draws shift and noise."""
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
    """Return the map of absolute differences of two grey pictures, blurred by a Gaussian of sigma 1.5 px."""
    blurred: np.ndarray = ndimage.gaussian_filter(np.abs(y - x), 1.5)
    return blurred


def _moments(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, ...]:
    def mean(v: np.ndarray) -> np.ndarray:
        blurred: np.ndarray = ndimage.gaussian_filter(v.astype(np.float64), 1.5, truncate=3.5)
        return blurred

    my, mx = mean(y), mean(x)
    return my, mx, mean(y * y) - my * my, mean(x * x) - mx * mx, mean(x * y) - mx * my


def dissimilarity(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the map of 1 - SSIM (Wang et al. 2004) of grey pictures, values 0 to 1; Gaussian window, sigma 1.5 px."""
    my, mx, vy, vx, c = _moments(y, x)
    top = (2 * mx * my + 1e-4) * (2 * c + 9e-4)
    unlike: np.ndarray = 1 - top / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4))
    return unlike


def decorrelation(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the map of 1 - ZNCC, in windows of 8 x 8 px, of two grey pictures with values from 0 to 1.

    Both variances and the covariance get 1e-4 added, so that noise in flat windows does not count.
    """
    y, x = y.astype(np.float64), x.astype(np.float64)
    my, mx = ndimage.uniform_filter(y, 8), ndimage.uniform_filter(x, 8)
    vy = np.maximum(ndimage.uniform_filter(y * y, 8) - my * my, 0) + 1e-4
    vx = np.maximum(ndimage.uniform_filter(x * x, 8) - mx * mx, 0) + 1e-4
    unlike: np.ndarray = 1 - (ndimage.uniform_filter(x * y, 8) - mx * my + 1e-4) / np.sqrt(vx * vy)
    return unlike


def tolerance_difference(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return how far each pixel of `y` lies outside the range of reference `x` in the 3 x 3 px around it, smoothed."""
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
    """Return the AUROC: the share of (positive, negative) pairs of scores in the right order; ties count half."""
    return float(in_order(positive, negative).mean())


def in_order(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Compare P positive scores with N negative ones: (P, N), 1 where the positive is higher, 0.5 equal, 0 lower."""
    order: np.ndarray = np.sign(np.asarray(positive)[:, None] - np.asarray(negative)[None]) / 2 + 0.5
    return order


def wilson(share: float, trials: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval (low, high) of a share, 0 to 1, observed in `trials` trials."""
    z2 = 1.96**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = math.sqrt(share * (1 - share) / trials * z2 + z2 * z2 / (4 * trials**2)) / (1 + z2 / trials)
    return max(0.0, middle - half), min(1.0, middle + half)


def pins_of(inspection: InspectionModel) -> PinTable:
    """Return the pin table of a SOARTC inspection; raises an error if the inspection was made without pins."""
    assert inspection.table is not None
    return inspection.table


def regions(renders: Path, model: SoartC, images: Sequence[np.ndarray]) -> list[Pin]:
    """Align a model on pins; return the boxes of pins and print, px of its mean picture.

    `images` are those of the model, beginning with the first of the OK pool.
    """
    pins = read_pin_boxes(renders / "records" / f"{rows('soart_ok')[0]['run']}.json")[0]
    return align_on_pins(model, images, [*pins, Pin(PRINT, PRINT_BOX)], images[0])


def detect(renders: Path, to: Path) -> None:
    """Score every picture under every condition, and write detect.json into the folder `to`.

    The file has the scores of each picture and its pins by each method, and the hint of `inspect` on the defective pin.
    """
    good = rows("soart_ok")
    unit = [picture(renders, r["run"]) for r in good if r["role"] == "pool"][:UNIT]
    base = SoartC(**SOARTC["SOARTC"]).fit(unit)
    inspection = InspectionModel(base, regions(renders, base, unit))
    table = pins_of(inspection)
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
            rt = table.degrees(seen) / inspection.pin_limit
            pins["inspect"] = np.maximum(rt, np.array(pins["SOARTC"]) / inspection.picture_limit).tolist()
            image["inspect"] = max(float(rt.max()), image["SOARTC"] / inspection.picture_limit)
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
    """Compare stated with true rates of false alarms, and write thresholds.json into the folder `to`.

    The stated rate is an interval. The true rate is counted on fresh OK pictures, with the settings EDGE: first if
    only the picture's SOARTC score can give an alarm, then if either this score or a pin's score can give one. All
    pictures are aligned with one mean of OK pictures.

    Args:
        renders: Render folder.
        to: Folder of the results.
        redraws: Number of random unit spaces (sets of OK pictures from which SOARTC learns) of each size.
    """
    good = rows("soart_ok")
    pool = [picture(renders, r["run"]) for r in good if r["role"] == "pool"]
    base = SoartC(**EDGE).fit(pool[:30])
    pins = regions(renders, base, pool[:30])
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
            inspection = InspectionModel(model, pins)
            scores = np.array(
                [
                    distance(model._maps(image, model.reference_), model.mean_, model.precision_).max()
                    for image in laid["fresh"]
                ]
            )
            worst = pins_of(inspection).degrees(laid["fresh"]).max(axis=1)
            joint = np.maximum(scores / inspection.picture_limit, worst / inspection.pin_limit)
            alone = score_limit(model.scores_.tolist())
            for by, limit, rate in (
                ("SOARTC", alone, float((scores > alone.value).mean())),
                ("SOARTC and pins", inspection.limit, float((joint > 1).mean())),
            ):
                drawn = {"by": by, "count": count, "redraw": redraw, "fresh": len(scores)}
                found.append({**drawn, "interval": limit.interval, "rate": rate})
        (to / "thresholds.json").write_text(json.dumps(found), "utf-8")


def areas(results: Path) -> pd.DataFrame:
    """Compute AUROC from the detect.json in `results`: a row per level (picture, pin), condition and defect.

    Returns:
        The table; its columns are the methods.
    """
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
    """Return two Markdown tables of AUROC, for whole pictures and for pins; `found`: the table from `areas`."""
    found = found[list(SHOWN)]
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
    """Write the Markdown page `to` from the folder `results`, and all AUROC values into a CSV file of the same name."""
    found = areas(results)
    found.to_csv(to.with_suffix(".csv"), float_format="%.3f", lineterminator="\n")
    judged = json.loads((results / "detect.json").read_text("utf-8"))
    kept = results / "thresholds.json"
    parts = [head(), area_tables(found), _hints(judged)]
    parts += [_intervals(json.loads(kept.read_text("utf-8")))] if kept.exists() else []
    to.write_text("\n".join(parts) + "\n", "utf-8")


def head() -> str:
    """Return the page's text above its tables."""
    low, high = wilson(0.9, EACH)
    return PAGE.format(
        unit=UNIT, negatives=NEGATIVES, each=EACH, conditions=", ".join(CONDITIONS), interval=f"{low:.2f}–{high:.2f}"
    ).rstrip("\n")


def _hints(found: list[dict[str, Any]]) -> str:
    lines = [
        f"\n## Hints, {CONDITIONS[0]}\n",
        "A hint is the guess of `inspect` at the kind of defect. The table has the two most frequent hints at the "
        f"defective pin or print, and in how many of {EACH} pictures `inspect` gave each. The hint *missing, or "
        "another one* at the print means that the print is missing or is another print.\n",
        "| defect | hints |",
        "|---|---|",
    ]
    hints: dict[str, Counter[str]] = {}
    for one in found:
        if one["cell"] and one["hint"] and one["condition"] == CONDITIONS[0]:
            hints.setdefault(one["cell"], Counter())[one["hint"].split(": ")[-1]] += 1
    for cell, counts in hints.items():
        lines.append(f"| {cell} | {'; '.join(f'{n} × *{hint}*' for hint, n in counts.most_common(2))} |")
    return "\n".join(lines)


def _intervals(drawn: list[dict[str, Any]]) -> str:
    lines = [
        "\n## Does the stated rate of false alarms hold?\n",
        "`inspect` states the largest share of OK parts that score above its limit (false alarms), [with 95 % "
        "confidence](soart.md#the-limit-and-its-promise). To test this promise, the limit was set 50 times each from "
        f"5, 20 and 100 OK pictures, drawn at random. Each time {drawn[0]['fresh']} other OK pictures were judged. All "
        "this was done with the settings of `inspect --edge`. *SOARTC and pins*: a picture is also a false alarm if "
        "the score of a pin is above the limit for pins.\n",
        "| OK pictures | judged by | promised at most | false alarms, median (largest) of 50 | promise held |",
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
    """Run the command `detect`, `thresholds` or `tables`; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("detect", "thresholds"):
        command = commands.add_parser(name)
        command.add_argument("renders", type=Path)
        command.add_argument("--to", type=Path, required=True)
    command = commands.add_parser("tables")
    command.add_argument("results", type=Path)
    command.add_argument(
        "--to", type=Path, required=True, help="Markdown page; all AUROC values are written into a .csv of this name"
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
