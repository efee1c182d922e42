"""What the page says of each question: which measures, as which table and figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study import figures
from benchmarks.study.findings import Answers, Difference, Found, Value, difference, over_seeds
from benchmarks.study.plan import CENTRE, FEW, FIVE, INPUTS, LADDER, METHODS, SUPERVISED, TOGETHER
from benchmarks.study.tables import CHANGE, by_variant, differences, table

Share = Mapping[str, Any] | None
GUESSING = 1 / 3
TESTS = {
    "test_shifted": "held-out pins of step 1",
    "test_allpins": "all pins",
    "test_mixed": "mixed terminals",
    "test_housings": "changed housings",
    "test_latched": "housing never trained",
}


def accuracy(split: str) -> Callable[[Mapping[str, Any]], Share]:
    """Reads a split's balanced accuracy."""
    return lambda result: result["splits"].get(split, {}).get("balanced_accuracy")


def answered(split: str) -> Callable[[Mapping[str, Any]], Answers | None]:
    """Reads the answers to a split's pictures."""
    return lambda result: result["splits"].get(split, {}).get("answers")


def collapsed(found: Found) -> list[str]:
    """A warning where a model of a variant says one class for nearly everything."""
    lines = []
    for variant, documents in found.variants.items():
        count = sum(bool(d["result"].get("collapsed")) for d in documents)
        if count:
            lines.append(
                f"{variant}: {count} of {len(documents)} runs say one class for nearly every picture."
            )
    return ["Collapsed: " + " ".join(lines)] if lines else []


def ladder(found: Found, picture: Path) -> list[str]:
    """1: balanced accuracy of each step on each test."""
    columns = {title: found.values(accuracy(split)) for split, title in TESTS.items()}
    figure, (axes,) = figures.panels(1)
    series = {v: {t: c[v] for t, c in columns.items() if v in c} for v in found.variants}
    figures.dots(
        axes, list(columns), series, "Balanced accuracy on each test, by what was trained on", GUESSING
    )
    figures.save(figure, picture)
    parts = [by_variant(columns)]
    groups = {}
    for group in ("seen", "held-out"):
        values = found.values(
            lambda r, g=group: _position(r["splits"].get("test_allpins", {}), g)  # type: ignore[misc]
        )
        if values:
            groups[f"{group} positions"] = values
    if groups:
        parts.append(
            "Share of right classes among the defects of the *all pins* test, by whether training had shown a defect "
            "at that position:\n\n" + by_variant(groups)
        )
    pairs = [*pairwise(LADDER), (LADDER[0], LADDER[-1])]
    parts += differences(found, pairs, {title: answered(split) for split, title in TESTS.items()})
    return parts + collapsed(found)


def _position(split: Mapping[str, Any], group: str) -> Share:
    level = split.get("factors", {}).get("position", {}).get(group)
    return level and {"share": level["accuracy"], "interval": level["interval"], "of": level["pictures"]}


def _curves(
    found: Found, x: Callable[[dict[str, Any]], float], y: str
) -> dict[str, list[list[tuple[float, float]]]]:
    """By variant each seed's curve, without the epochs that have no value; `x` reads a line with its progress."""
    curves: dict[str, list[list[tuple[float, float]]]] = {}
    for variant, documents in found.variants.items():
        quiet = quiet_seconds([document["result"]["curve"] for document in documents])
        for document in documents:
            rows = document["result"]["curve"]
            spent = np.cumsum([quiet[row["stage"]] for row in rows]) / 60
            line = [
                (x({**row, "minutes": minutes, "share": row["epoch"] / rows[-1]["epoch"]}), float(row[y]))
                for row, minutes in zip(rows, spent, strict=True)
                if isinstance(row.get(y), int | float)
            ]
            if line:
                curves.setdefault(variant, []).append(line)
    return curves


def quiet_seconds(curves: list[list[dict[str, Any]]]) -> dict[str, float]:
    """By stage the seconds of its fastest epoch in any curve: a busy machine must not look like a slow method."""
    seconds: dict[str, list[float]] = {}
    for rows in curves:
        before = 0.0
        for row in rows:
            seconds.setdefault(row["stage"], []).append(row["seconds_so_far"] - before)
            before = row["seconds_so_far"]
    return {stage: min(some) for stage, some in seconds.items()}


def supervision(found: Found, picture: Path) -> list[str]:
    """2: curves by epochs and by minutes, the test, and when a level is reached."""
    figure, (left, right) = figures.panels(2)
    name = "val_balanced_accuracy"
    epochs = _curves(found, lambda row: row["epoch"], name)
    minutes = _curves(found, lambda row: row["minutes"], name)
    figures.lines_over(left, epochs, "Validation, by epochs", "epoch", "balanced accuracy", GUESSING)
    figures.lines_over(right, minutes, "Validation, by minutes of one core", "minutes", "", GUESSING)
    figures.save(figure, picture)
    test = found.values(accuracy("test"))
    levels = (0.5, 0.7, 0.9)
    rows = [
        [variant, *(_reached(epochs.get(variant, []), minutes.get(variant, []), level) for level in levels)]
        for variant in found.variants
    ]
    parts = [by_variant({"balanced accuracy, test": test})]
    parts.append(
        "First epoch (minutes of one core) at which a validation of that balanced accuracy was reached, median over "
        "the seeds that reached it; in brackets how many did:\n\n"
        + table(["trained with", *(f"{level:.1f}" for level in levels)], rows)
    )
    pairs = [
        *((f"{way}, RGB", f"{way}, {name}") for way in SUPERVISED for name in ("NSOART", "both")),
        *((f"{SUPERVISED[1]}, {name}", f"{SUPERVISED[0]}, {name}") for name in INPUTS),
    ]
    parts += differences(found, pairs, {"test": answered("test")})
    return parts + collapsed(found)


def _reached(
    epochs: list[list[tuple[float, float]]], minutes: list[list[tuple[float, float]]], level: float
) -> str:
    first = []
    for by_epoch, by_minute in zip(epochs, minutes, strict=True):
        at = next((i for i, (_, value) in enumerate(by_epoch) if value >= level), None)
        if at is not None:
            first.append((by_epoch[at][0], by_minute[at][0]))
    if not first:
        return f"not reached (0 of {len(epochs)})"
    epoch, minute = np.median(first, axis=0)
    return f"{epoch:g} ({minute:.1f} min; {len(first)} of {len(epochs)})"


def gaps(found: Found) -> dict[str, list[float]]:
    """By variant each seed's accuracy in training minus that in validation, at the last epoch."""
    last = {v: [d["result"]["curve"][-1] for d in documents] for v, documents in found.variants.items()}
    return {v: [row["train_accuracy"] - row["val_accuracy"] for row in rows] for v, rows in last.items()}


def improvement(found: Found, picture: Path) -> list[str]:
    """3: accuracy and the gap between training and validation."""
    test, overfit = found.values(accuracy("test")), gaps(found)
    figure, (left, right) = figures.panels(2)
    figures.named(left, test, "Test: balanced accuracy", GUESSING)
    for index, values in enumerate(overfit.values()):
        right.plot([index] * len(values), values, "o", color=f"C{index}")
    right.axhline(0, color="grey", linewidth=0.8)
    right.set_xticks(range(len(overfit)), list(overfit), rotation=20, ha="right")
    figures.finish(right, "Overfitting: training minus validation")
    right.set_ylim(-0.1, 1.04)
    figures.save(figure, picture)
    rows = [
        [v, test[v].seeds, test[v], f"{np.mean(apart):.3f} ({min(apart):.3f} to {max(apart):.3f})"]
        for v, apart in overfit.items()
        if v in test
    ]
    header = ["training pictures", "seeds", "balanced accuracy, test", "training minus validation (seeds)"]
    parts = [table(header, rows)]
    first, *others = found.variants
    parts += differences(found, [(first, other) for other in others], {"test": answered("test")})
    return parts + collapsed(found)


# By an SVM on metrics with three cameras, in the author's earlier work.
EARLIER = (0.926, 0.943)
AIM = 0.99


ONE_VIEW, ALL_VIEWS = "centre", "all five"
JUDGED_BY = (ONE_VIEW, "centre, top, bottom", ALL_VIEWS)
PART_MEASURES: dict[str, Callable[[Mapping[str, Any]], Share]] = {
    "right class": lambda one: one["class"],
    "right verdict": lambda one: one["verdict"],
    "retracted or missing found": lambda one: one["recall"].get("NUKENG"),
}


def parts_judged(found: Found, read: Callable[[Mapping[str, Any]], Share]) -> dict[str, dict[str, Value]]:
    """A measure of whole parts by variant and by the views that judge; trained on all together, one has no other."""
    values = {
        variant: {
            name: value
            for name in JUDGED_BY
            if (value := over_seeds(s for d in documents if (s := read(d["result"]["views"][name]))))
        }
        for variant, documents in found.variants.items()
    }
    return {variant: some for variant, some in values.items() if some}


def views(found: Found, picture: Path) -> list[str]:
    """4: whole parts by one, three and five views."""
    series = {title: parts_judged(found, read) for title, read in PART_MEASURES.items()}
    figure, panels = figures.panels(len(series))
    for axes, (title, values) in zip(panels, series.items(), strict=True):
        figures.dots(axes, JUDGED_BY, values, title)
    panels[0].axhspan(*EARLIER, color="grey", alpha=0.3)
    panels[0].axhline(AIM, color="grey", linestyle="--")
    figures.save(figure, picture)
    rights = series["right class"]
    rows = [
        [variant, name, *(values.get(variant, {}).get(name, "–") for values in series.values())]
        for variant, judged in rights.items()
        for name in judged
    ]
    parts = [table(["trained", "judged by", *series], rows)]
    reached = [
        f"{variant}, {name}"
        for variant, judged in rights.items()
        for name, value in judged.items()
        if value.mean >= AIM
    ]
    parts.append(
        f"The earlier work reached {EARLIER[0]} and {EARLIER[1]} with three cameras (grey band) on other parts; "
        f"the aim is {AIM} (dashed): "
        + ("reached by " + "; ".join(reached) if reached else "not reached")
        + "."
    )
    parts += _more_views(found)
    return parts + collapsed(found)


STEPS = (
    ((CENTRE, ONE_VIEW), (FIVE, ONE_VIEW)),
    ((FIVE, ONE_VIEW), (FIVE, JUDGED_BY[1])),
    ((FIVE, ONE_VIEW), (FIVE, ALL_VIEWS)),
    ((CENTRE, ONE_VIEW), (FIVE, ALL_VIEWS)),
    ((FIVE, ALL_VIEWS), (TOGETHER, ALL_VIEWS)),
)


def views_change(found: Found, one: tuple[str, str], other: tuple[str, str]) -> Difference | None:
    """The change from one side to another, each a variant and the views that judge its parts."""
    sides = [
        [d["result"]["views"][views]["answers"] for d in found.variants.get(variant, [])]
        for variant, views in (one, other)
    ]
    return difference(*sides, same_models=one[0] == other[0])


def _more_views(found: Found) -> list[str]:
    """The change part by part from fewer views to more, and from one training to another."""
    rows = []
    for one, other in STEPS:
        if change := views_change(found, one, other):
            rows.append([", judged by ".join(one), ", judged by ".join(other), change.seeds, change])
    if not rows:
        return []
    return [CHANGE.format("part by part") + table(["from", "to", "seeds", "all parts"], rows)]


NEW = ("a new connector", "new modes")


def pretraining(found: Found, picture: Path) -> list[str]:
    """5: accuracy over the number of pictures, from scratch and tuned."""
    test = found.values(accuracy("test"))
    figure, panels = figures.panels(2)
    rows, pairs = [], []
    for axes, target in zip(panels, NEW, strict=True):
        series: dict[str, dict[int, Value]] = {}
        for start in ("scratch", "own pre-training"):
            for count in FEW:
                if value := test.get(f"{target}, {count}, {start}"):
                    series.setdefault(start, {})[count] = value
        if series:
            chance = GUESSING if target == NEW[0] else 1 / 4
            figures.growing(axes, series, target, "pictures", "balanced accuracy, test", chance)
        else:
            axes.set_title(f"{target}: not run yet")
            axes.set_axis_off()
        for count in FEW:
            cells = [series.get(start, {}).get(count) for start in ("scratch", "own pre-training")]
            pairs.append((f"{target}, {count}, scratch", f"{target}, {count}, own pre-training"))
            if any(cells):
                seeds = max(cell.seeds for cell in cells if cell)
                rows.append([target, count, seeds, *(cell or "–" for cell in cells)])
    figures.save(figure, picture)
    parts = [table(["new", "pictures", "seeds", "from scratch", "own pre-training"], rows)] if rows else []
    return parts + differences(found, pairs, {"test": answered("test")}) + collapsed(found)


ATTENTION = {
    "hit": "hit",
    "energy_ratio": "energy ratio",
    "entropy_ng": "entropy NG",
    "entropy_ok": "entropy OK",
    "on_pins": "on the pins",
    "on_housing": "on the housing",
}
LOOKED_AT = "test_housings"


def stage_means(documents: list[dict[str, Any]]) -> dict[int, dict[str, float]]:
    """By stage's epoch the scores of gradient rollout, mean over the seeds; nan where no picture has one."""
    seeds = [document["result"]["attention"][LOOKED_AT]["weights"] for document in documents]
    found = {}
    for stage in sorted(seeds[0]):
        scores = [next(one for way, one in seed[stage].items() if "gradient" in way) for seed in seeds]
        values = {key: [one[key] for one in scores if one[key] is not None] for key in ATTENTION}
        found[int(stage)] = {key: float(np.mean(v)) if v else float("nan") for key, v in values.items()}
    return found


def attention(found: Found, picture: Path) -> list[str]:
    """6: hits, entropy and the share on the housing over the stages."""
    figure, panels = figures.panels(3)
    titles = ("Peak on the defect (NG)", "Entropy: NG full, OK dashed", "Share on the housing")
    rows = []
    for index, (variant, documents) in enumerate(found.variants.items()):
        stages = stage_means(documents)
        lines = (("hit", "o-", 0), ("entropy_ng", "o-", 1), ("entropy_ok", "o--", 1), ("on_housing", "o-", 2))
        for key, style, panel in lines:
            label = None if key == "entropy_ok" else variant
            values = [means[key] for means in stages.values()]
            panels[panel].plot(list(stages), values, style, color=f"C{index}", label=label)
        for epoch in (min(stages), max(stages)):
            rows.append([variant, len(documents), epoch, *(f"{v:.3f}" for v in stages[epoch].values())])
    base = next(iter(found.variants.values()))[0]["result"]["attention"][LOOKED_AT]["baselines"]
    for name, numbers in base.items():
        if name == "uniform" or ("gradient" in name and name.startswith("random")):
            cells = [numbers[k] for k in ATTENTION]
            rows.append([f"*{name}*", "", "", *("–" if cell is None else f"{cell:.3f}" for cell in cells)])
    for axes, title in zip(panels, titles, strict=True):
        axes.set_xlabel("epoch")
        figures.finish(axes, title)
    figures.save(figure, picture)
    return [
        "Gradient rollout on the test of changed housings, mean over seeds; no interval, as one picture's map is "
        "no trial:\n\n" + table(["trained on", "seeds", "epoch", *ATTENTION.values()], rows)
    ]


def precision(split: str, *group: str) -> Callable[[Mapping[str, Any]], Share]:
    """Reads mAP50 of a split, or of a group in it."""

    def share(result: Mapping[str, Any]) -> Share:
        part = result["splits"].get(split, {})
        for name in group:
            part = part.get(name, {})
        value = part.get("map50")
        interval = part.get("map50_interval") or (value, value)
        return None if value is None else {"share": value, "interval": interval}

    return share


GROUPS = {
    "seen positions": ("positions", "seen"),
    "held-out positions": ("positions", "held-out"),
    "with print": ("digits", "with"),
    "without print": ("digits", "without"),
}


def florence2(found: Found, picture: Path) -> list[str]:
    """7: mAP50 by epochs and pictures; what tuning brings on the new housing and leaves of what was known."""
    scratch, tuned = (
        replace(found, variants={v: d for v, d in found.variants.items() if v.startswith("tuned") == told})
        for told in (False, True)
    )
    figure, (left, right) = figures.panels(2)
    parts = []
    if scratch.variants:
        curves = _curves(scratch, lambda row: row["share"], "val_map50")
        figures.lines_over(left, curves, "Validation mAP50, from random weights", "share of the training", "")
        parts += _from_random_weights(scratch)
    if tuned.variants:
        columns = {
            "new housing": tuned.values(precision("test")),
            "known pictures": tuned.values(precision("test_known")),
        }
        for title, split in (("new housing", "test_new"), ("known pictures", "test")):
            if before := scratch.values(precision(split)).get("RGB"):
                columns[title]["before tuning"] = before
        order = ("before tuning", *tuned.variants)
        series = {v: {t: c[v] for t, c in columns.items() if v in c} for v in order}
        figures.dots(right, list(columns), series, "Test mAP50, tuned to a new housing")
        parts += _tuned(tuned, columns, order)
    else:
        right.set_axis_off()
    figures.save(figure, picture)
    return parts


def _from_random_weights(scratch: Found) -> list[str]:
    columns = {"mAP50, test": scratch.values(precision("test"))}
    columns |= {title: scratch.values(precision("test", *way)) for title, way in GROUPS.items()}
    rows = [[v, *_false_boxes(documents)] for v, documents in scratch.variants.items()]
    return [
        "From random weights, equal steps:\n\n" + by_variant(columns),
        "Boxes on good parts, per picture, at the threshold that validation chose:\n\n"
        + table(["trained with", "with print", "without print"], rows),
    ]


def _tuned(tuned: Found, columns: Mapping[str, Mapping[str, Value]], order: Sequence[str]) -> list[str]:
    told = {v: _changes(documents) for v, documents in tuned.variants.items()}
    rows = [[v, *(c.get(v, "–") for c in columns.values()), *told.get(v, ("–", "–", "–"))] for v in order]
    header = ["tuned", *(f"mAP50, {title}" for title in columns), "trained", "changed", "answers kept"]
    on_the_way = []
    for variant, documents in tuned.variants.items():
        lines = [{row["epoch"]: row.get("val_map50") for row in d["result"]["curve"]} for d in documents]
        values = [[line.get(epoch) for line in lines] for epoch in (1.0, 4.0, 12.0)]
        on_the_way.append([variant, *("–" if None in v else f"{np.mean(v):.3f}" for v in values)])
    return [
        "Tuned to another housing with 160 pictures, 12 epochs:\n\n" + table(header, rows),
        "Validation mAP50 of the new housing on the way, mean over seeds:\n\n"
        + table(["tuned", "epoch 1", "epoch 4", "epoch 12"], on_the_way),
    ]


def _false_boxes(documents: list[dict[str, Any]]) -> list[str]:
    cells = []
    for group in ("with", "without"):
        parts = [d["result"]["splits"]["test"].get("digits", {}).get(group, {}) for d in documents]
        values = [v for part in parts if (v := part.get("false_boxes_per_ok_picture")) is not None]
        cells.append(f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "–")
    return cells


def _changes(documents: list[dict[str, Any]]) -> tuple[str, str, str]:
    """Shares of the parameters that trained and that changed, and how like the answers on other pictures are."""
    results = [document["result"] for document in documents]
    shares = [
        float(np.mean([r[key] / r["parameters"] for r in results]))
        for key in ("trained_parameters", "changed_parameters")
    ]
    kept = float(np.mean([r["forgetting"]["similarity"] for r in results]))
    return f"{shares[0]:.0%}", f"{shares[1]:.0%}", f"{kept:.2f}"


PRODUCT = "inspect"  # of the methods without training the one that a command does


def _by_defect(found: Found) -> dict[str, dict[str, Value]]:
    """AUROC by method, or by the ViT's variant, and by defect."""
    columns: dict[str, dict[str, Value]] = {}
    for variant, documents in found.variants.items():
        if variant == "without training":
            cells = documents[0]["result"]["cells"]
            for method in METHODS:
                columns[method] = {c: v for c, one in cells.items() if (v := over_seeds([one[method]]))}
        else:
            names = dict.fromkeys(cell for d in documents for cell in d["result"]["cells"])
            columns[variant] = {
                cell: value
                for cell in names
                if (value := over_seeds(d["result"]["cells"][cell] for d in documents))
            }
    return {n: {c.replace("_", " "): v for c, v in values.items()} for n, values in columns.items()}


def trained_or_not(found: Found) -> tuple[str, dict[str, list[str]]]:
    """The ViT of most pictures, and the defects by how it does against `PRODUCT`; empty where one is not there."""
    columns = _by_defect(found)
    trained = [name for name in columns if name.startswith("ViT")]
    alone = columns.get(PRODUCT, {})
    if not trained or not alone:
        return "", {}
    most = columns[trained[-1]]
    both = [cell for cell in alone if cell in most]
    worse = [cell for cell in both if most[cell].high < alone[cell].low]
    better = [cell for cell in both if most[cell].low > alone[cell].high]
    rest = [cell for cell in both if cell not in worse + better]
    return trained[-1], {"worse on": worse, "better on": better, "not decided on": rest}


def soart(found: Found, picture: Path) -> list[str]:
    """8: AUROC of each defect by the methods without training and by ViTs."""
    columns = _by_defect(found)
    groups = list(dict.fromkeys(cell for values in columns.values() for cell in values))
    shown = {n: v for n, v in columns.items() if n in ("difference", PRODUCT) or n.startswith("ViT")}
    figure, (axes,) = figures.panels(1)
    figures.dots(axes, groups, shown, "AUROC: defective against good pictures of one station", 0.5)
    figures.save(figure, picture)
    rows = []
    for cell in groups:
        best = max(values[cell].mean for values in columns.values() if cell in values)
        cells = [f"{v[cell].mean:.3f}" if cell in v else "–" for v in columns.values()]
        rows.append([cell, *(f"**{text}**" if text == f"{best:.3f}" else text for text in cells)])
    parts = [table(["defect", *columns], rows)]
    most, outcome = trained_or_not(found)
    if outcome:
        told = (f"{what}: {', '.join(cells) or 'none'}" for what, cells in outcome.items())
        parts.append(
            f"*{most}* against `generator {PRODUCT}` alone, by whether the intervals are apart; "
            + "; ".join(told)
            + ". A dash: the defect cannot be seen in the picture, and a ViT is not asked."
        )
    return parts


SECTIONS: dict[int, Callable[[Found, Path], list[str]]] = {
    1: ladder,
    2: supervision,
    3: improvement,
    4: views,
    5: pretraining,
    6: attention,
    7: florence2,
    8: soart,
}
