"""Compare several views of a part, judged together, with single views, on renders (soart.md, *Several views*).

    python -m benchmarks.soart_views plan M/soart_views.csv
    python -m generator render M/soart_views.csv --out R --mask-scale 1
    python -m benchmarks.soart_views judge R --to scores.json
    python -m benchmarks.soart_views report scores.json

A part has one picture from each view, all of one placing. Every view's unit space is learned from the same good parts.
The score of a part is the largest of its views' scores, each divided by the limit that `inspect --views` gives it; the
score of a single view is divided by the limit that `inspect` gives it alone. Intervals are of 2000 bootstrap samples of
the parts: defective parts within their defect, good parts, but not the parts from which the unit space was learned.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.soart_evaluation import auroc, picture
from benchmarks.soart_plan import STATION, rows_defects
from generator.soart.estimator import SoartC
from generator.soart.inspection import InspectionModel
from generator.soart.part_model import PartInspectionModel

VIEWS = ("center", "left", "top")
UNIT, FRESH, EACH = 100, 100, 12
# Defects that `center` alone does not always find, a small bend and a missing pin; chosen before anything was measured.
CELLS = (
    *("bent_0.5mm", "retracted_0.8mm", "retracted_1.6mm", "retracted_3mm", "missing", "print_wrong"),
    *("foreign_ball_0.5mm", "foreign_ball_0.9mm", "foreign_fibre_3mm"),
)
COLUMNS = ("run", "split", "part", "seed", "fixture", *STATION, "defects", "cell", "role")
TOGETHER = "together"
# Shares of false alarms at which the shares of parts found are compared.
FALSE_ALARMS = (0.02, 0.05, 0.1)


def parts() -> Iterator[dict[str, object]]:
    """Yield each part's number, name, role (unit, fresh or judged), defects and cell."""
    for role, count, first in (("unit", UNIT, 600_000), ("fresh", FRESH, 700_000)):
        for n in range(count):
            yield {"part": first + n, "name": f"{role}{n:03d}", "role": role, "defects": "", "cell": ""}
    taken = dict.fromkeys(CELLS, 0)
    for n, row in enumerate(rows_defects(20, "judged", "d", 800_000)):
        cell = str(row["cell"])
        if taken.get(cell, EACH) < EACH:
            taken[cell] += 1
            yield {**row, "name": f"judged{n:03d}"}


def plan(to: Path) -> None:
    """Write the manifest: a row for each view of each part, of one placing, each with noise of its own."""
    with to.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for part in parts():
            for number, view in enumerate(VIEWS):
                seed, fixture = 10 * int(str(part["part"])) + number, part["part"]
                names = {"run": f"{part['name']}_{view}", "split": "test", "seed": seed, "fixture": fixture}
                writer.writerow({**part, **STATION, **names, "camera": view})


def judge(renders: Path, to: Path) -> None:
    """Score all parts, and write for each its cell and its score by each view and by the views together."""
    known = list(parts())
    inspections, alone = {}, {}
    for view in VIEWS:
        unit = [str(one["name"]) for one in known if one["role"] == "unit"]
        model = SoartC(window=5).fit(picture(renders, f"{name}_{view}") for name in unit)
        model.notes["parts"] = unit
        inspections[view] = InspectionModel(model)
        alone[view] = inspections[view].picture_limit
    limit = PartInspectionModel(inspections).limit
    found = []
    for one in tqdm([one for one in known if one["role"] != "unit"], disable=None):
        scores = {view: inspections[view].model.score(picture(renders, f"{one['name']}_{view}")) for view in VIEWS}
        together = max(scores[view] / inspections[view].picture_limit for view in VIEWS)
        relative = {view: scores[view] / alone[view] for view in VIEWS}
        found.append({"name": one["name"], "cell": one["cell"], **relative, TOGETHER: together})
    raised = {view: inspections[view].picture_limit / alone[view] for view in VIEWS}
    to.write_text(json.dumps({"limit": limit.to_json(), "raised": raised, "parts": found}), "utf-8")


def figures(scores: Mapping[str, np.ndarray], cells: np.ndarray) -> dict[str, float]:
    """Return, by name, the figures of each way to judge, given the parts' scores and cells (empty: good)."""
    good, found = cells == "", {}
    for way, score in scores.items():
        bad = score[~good]
        found[f"{way}: false alarms at the limit"] = float((score[good] > 1).mean())
        found[f"{way}: found at the limit"] = float((bad > 1).mean())
        for share in FALSE_ALARMS:
            found[f"{way}: found at {share:.0%} false alarms"] = float(
                (bad > np.quantile(score[good], 1 - share)).mean()
            )
        found[f"{way}: AUROC"] = auroc(bad, score[good])
    for what in [name.partition(": ")[2] for name in found if name.startswith(TOGETHER)]:
        best = max(VIEWS, key=lambda view: found[f"{view}: {what}"])
        found[f"gain over the best view: {what}"] = found[f"{TOGETHER}: {what}"] - found[f"{best}: {what}"]
    return found


def report(file: Path, draws: int = 2000) -> None:
    """Print the figures of all defects together with their intervals, then the shares found of each defect."""
    document = json.loads(file.read_text("utf-8"))
    one_by_one = document["parts"]
    cells = np.array([one["cell"] for one in one_by_one])
    scores = {way: np.array([one[way] for one in one_by_one]) for way in (*VIEWS, TOGETHER)}
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(draws):
        groups = [np.flatnonzero(cells == cell) for cell in dict.fromkeys(cells)]
        index = np.concatenate([random.choice(group, len(group)) for group in groups])
        drawn.append(figures({way: score[index] for way, score in scores.items()}, cells[index]))
    print(
        f"{(cells == '').sum()} good parts, {(cells != '').sum()} defective; limits, times those of a view alone: ",
        end="",
    )
    print({view: round(value, 3) for view, value in document["raised"].items()})
    for name, value in figures(scores, cells).items():
        low, high = np.quantile([one[name] for one in drawn], [0.025, 0.975])
        print(f"{name}: {value:.3f} ({low:.3f} to {high:.3f})")
    for cell in dict.fromkeys(cells[cells != ""]):
        chosen = cells == cell
        shares = {way: int((score[chosen] > 1).sum()) for way, score in scores.items()}
        areas = {way: round(auroc(score[chosen], score[cells == ""]), 3) for way, score in scores.items()}
        print(f"{cell}: of {chosen.sum()} found {shares}; AUROC {areas}")


def main() -> int:
    """Run the command `plan`, `judge` or `report`; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("plan", "judge", "report"):
        command = commands.add_parser(name)
        command.add_argument("place", type=Path)
        if name == "judge":
            command.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    if options.command == "plan":
        plan(options.place)
    elif options.command == "judge":
        judge(options.place, options.to)
    else:
        report(options.place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
