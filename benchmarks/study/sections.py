"""What the page says of each question: which measures, as which table and figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study import figures
from benchmarks.study.findings import Answers, Found, Value, difference, over_seeds
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
    """By variant each seed's curve, without the epochs that have no value."""
    curves: dict[str, list[list[tuple[float, float]]]] = {}
    for variant, documents in found.variants.items():
        for document in documents:
            scale = _cpu_share(document)
            rows = document["result"]["curve"]
            line = [
                (x({**row, **_progress(row, rows, scale)}), float(row[y]))
                for row in rows
                if isinstance(row.get(y), int | float)
            ]
            if line:
                curves.setdefault(variant, []).append(line)
    return curves


def _progress(row: Mapping[str, Any], rows: list[dict[str, Any]], scale: float) -> dict[str, float]:
    """How far a training is at a line of its curve: minutes of one core, and share of the epochs."""
    return {"cpu_minutes": row["seconds_so_far"] * scale / 60, "share": row["epoch"] / rows[-1]["epoch"]}


def _cpu_share(document: Mapping[str, Any]) -> float:
    """Processor seconds of a training's wall second: a busy machine must not look like a slow method."""
    spent = document["seconds"]
    if document["device"] != "cpu" or not spent.get("training_wall"):
        return 1.0
    return float(spent["training_cpu"] / spent["training_wall"])


def supervision(found: Found, picture: Path) -> list[str]:
    """2: curves by epochs and by minutes, the test, and when a level is reached."""
    figure, (left, right) = figures.panels(2)
    name = "val_balanced_accuracy"
    epochs = _curves(found, lambda row: row["epoch"], name)
    minutes = _curves(found, lambda row: row["cpu_minutes"], name)
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


def improvement(found: Found, picture: Path) -> list[str]:
    """3: accuracy and the gap between training and validation."""
    test = found.values(accuracy("test"))
    gaps: dict[str, Any] = {}
    for variant, documents in found.variants.items():
        last = [document["result"]["curve"][-1] for document in documents]
        gaps[variant] = [row["train_accuracy"] - row["val_accuracy"] for row in last]
    figure, (left, right) = figures.panels(2)
    figures.named(left, test, "Test: balanced accuracy", GUESSING)
    for index, values in enumerate(gaps.values()):
        right.plot([index] * len(values), values, "o", color=f"C{index}")
    right.axhline(0, color="grey", linewidth=0.8)
    right.set_xticks(range(len(gaps)), list(gaps), rotation=20, ha="right")
    right.set(title="Overfitting: training minus validation", ylim=(-0.1, 1.04))
    right.grid(axis="y", alpha=0.3)
    figures.save(figure, picture)
    rows = [
        [v, test[v].seeds, test[v], f"{np.mean(gaps[v]):.3f} ({min(gaps[v]):.3f} to {max(gaps[v]):.3f})"]
        for v in found.variants
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


def views(found: Found, picture: Path) -> list[str]:
    """4: whole parts by one, three and five views."""
    names = ("centre", "centre, top, bottom", "all five")
    measures = {
        "right class": lambda one: one["class"],
        "right verdict": lambda one: one["verdict"],
        "retracted or missing found": lambda one: one["recall"].get("NUKENG"),
    }
    figure, panels = figures.panels(len(measures))
    rows, series = [], {}
    for title, read in measures.items():
        for variant, documents in found.variants.items():
            for name in names:
                value = over_seeds(s for d in documents if (s := read(d["result"]["views"][name])))
                if value:
                    series.setdefault(title, {}).setdefault(variant, {})[name] = value
    for axes, title in zip(panels, measures, strict=True):
        figures.dots(axes, names, series.get(title, {}), title)
        if title == "right class":
            axes.axhspan(*EARLIER, color="grey", alpha=0.3)
            axes.axhline(AIM, color="grey", linestyle="--")
    figures.save(figure, picture)
    for variant in found.variants:
        for name in names:
            values = [series.get(title, {}).get(variant, {}).get(name, "–") for title in measures]
            if any(
                value != "–" for value in values
            ):  # trained on all views together, it has no answer from fewer
                rows.append([variant, name, *values])
    parts = [table(["trained", "judged by", *measures], rows)]
    reached = [
        f"{variant}, {name}"
        for variant, some in series.get("right class", {}).items()
        for name, value in some.items()
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
    ((CENTRE, "centre"), (FIVE, "centre")),
    ((FIVE, "centre"), (FIVE, "centre, top, bottom")),
    ((FIVE, "centre"), (FIVE, "all five")),
    ((CENTRE, "centre"), (FIVE, "all five")),
    ((FIVE, "all five"), (TOGETHER, "all five")),
)


def _more_views(found: Found) -> list[str]:
    """The change part by part from fewer views to more, and from one training to another."""
    rows = []
    for one, other in STEPS:
        sides = [
            [d["result"]["views"][views]["answers"] for d in found.variants.get(variant, [])]
            for variant, views in (one, other)
        ]
        if change := difference(*sides, same_models=one[0] == other[0]):
            rows.append([", judged by ".join(one), ", judged by ".join(other), change.seeds, change])
    if not rows:
        return []
    return [CHANGE.format("part by part") + table(["from", "to", "seeds", "all parts"], rows)]


def pretraining(found: Found, picture: Path) -> list[str]:
    """5: accuracy over the number of pictures, from scratch and tuned."""
    test = found.values(accuracy("test"))
    figure, panels = figures.panels(2)
    rows, pairs = [], []
    for axes, target in zip(panels, ("a new connector", "new modes"), strict=True):
        series: dict[str, dict[int, Value]] = {}
        for start in ("scratch", "own pre-training"):
            for count in FEW:
                if value := test.get(f"{target}, {count}, {start}"):
                    series.setdefault(start, {})[count] = value
        if series:
            chance = GUESSING if target == "a new connector" else 1 / 4
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


def attention(found: Found, picture: Path) -> list[str]:
    """6: hits, entropy and the share on the housing over the stages."""
    figure, panels = figures.panels(3)
    keys = {
        "hit": "Peak on the defect (NG)",
        "entropy": "Entropy: NG full, OK dashed",
        "on_housing": "Share on the housing",
    }
    told = ("hit", "energy_ratio", "entropy_ng", "entropy_ok", "on_pins", "on_housing")
    split = "test_housings"
    rows = []
    for index, (variant, documents) in enumerate(found.variants.items()):
        stages = [document["result"]["attention"][split]["weights"] for document in documents]
        method = next(name for name in stages[0][min(stages[0])] if "gradient" in name)
        epochs = sorted(stages[0])

        def mean(key: str, epoch: str, some: list[Any] = stages, way: str = method) -> float:
            values = [one[epoch][way][key] for one in some if one[epoch][way][key] is not None]
            return float(np.mean(values)) if values else float("nan")

        color, x = f"C{index}", [int(epoch) for epoch in epochs]
        panels[0].plot(x, [mean("hit", e) for e in epochs], "o-", color=color, label=variant)
        panels[1].plot(x, [mean("entropy_ng", e) for e in epochs], "o-", color=color, label=variant)
        panels[1].plot(x, [mean("entropy_ok", e) for e in epochs], "o--", color=color)
        panels[2].plot(x, [mean("on_housing", e) for e in epochs], "o-", color=color, label=variant)
        for epoch in (epochs[0], epochs[-1]):
            numbers = [f"{mean(k, epoch):.3f}" for k in told]
            rows.append([variant, len(documents), int(epoch), *numbers])
    base = next(iter(found.variants.values()))[0]["result"]["attention"][split]["baselines"]
    for name, numbers in base.items():
        if name == "uniform" or ("gradient" in name and name.startswith("random")):
            cells = [numbers[k] for k in told]
            rows.append([f"*{name}*", "", "", *("–" if cell is None else f"{cell:.3f}" for cell in cells)])
    for axes, title in zip(panels, keys.values(), strict=True):
        axes.set(title=title, xlabel="epoch", ylim=(-0.02, 1.04))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figures.save(figure, picture)
    header = [
        "trained on",
        "seeds",
        "epoch",
        "hit",
        "energy ratio",
        "entropy NG",
        "entropy OK",
        "on the pins",
        "on the housing",
    ]
    return [
        "Gradient rollout on the test of changed housings, mean over seeds; no interval, as one picture's map is "
        "no trial:\n\n" + table(header, rows)
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
    curves = _curves(scratch, lambda row: row["share"], "val_map50")
    parts = []
    if scratch.variants:
        figures.lines_over(left, curves, "Validation mAP50, from random weights", "share of the training", "")
        whole = {"mAP50, test": scratch.values(precision("test"))}
        columns = whole | {title: scratch.values(precision("test", *way)) for title, way in GROUPS.items()}
        parts.append("From random weights, equal steps:\n\n" + by_variant(columns))
        rows = [[v, *_false_boxes(documents)] for v, documents in scratch.variants.items()]
        parts.append(
            "Boxes on good parts, per picture, at the threshold that validation chose:\n\n"
            + table(["trained with", "with print", "without print"], rows)
        )
    if tuned.variants:
        columns = {
            "new housing": tuned.values(precision("test")),
            "known pictures": tuned.values(precision("test_known")),
        }
        before = scratch.values(precision("test")).get("RGB")
        if before:
            columns["known pictures"]["before tuning"] = before
        series = {
            v: {t: c[v] for t, c in columns.items() if v in c} for v in ("before tuning", *tuned.variants)
        }
        figures.dots(right, list(columns), series, "Test mAP50, tuned to a new housing")
        told = {v: _changes(documents) for v, documents in tuned.variants.items()}
        rows = [
            [v, *(c.get(v, "–") for c in columns.values()), *told.get(v, ("–", "–", "–"))] for v in series
        ]
        header = ["tuned", *(f"mAP50, {title}" for title in columns), "trained", "changed", "answers kept"]
        parts.append("Tuned to another housing with 160 pictures, 12 epochs:\n\n" + table(header, rows))
        rows = []
        for variant, documents in tuned.variants.items():
            lines = [{row["epoch"]: row.get("val_map50") for row in d["result"]["curve"]} for d in documents]
            values = [[line.get(epoch) for line in lines] for epoch in (1.0, 4.0, 12.0)]
            rows.append([variant, *("–" if None in v else f"{np.mean(v):.3f}" for v in values)])
        parts.append(
            "Validation mAP50 of the new housing on the way, mean over seeds:\n\n"
            + table(["tuned", "epoch 1", "epoch 4", "epoch 12"], rows)
        )
    else:
        right.set_axis_off()
    figures.save(figure, picture)
    return parts


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


def soart(found: Found, picture: Path) -> list[str]:
    """8: AUROC of each defect by the methods without training and by ViTs."""
    columns: dict[str, dict[str, Value]] = {}
    for variant, documents in found.variants.items():
        if variant == "without training":
            cells = documents[0]["result"]["cells"]
            for method in METHODS:
                columns[method] = {c: v for c, one in cells.items() if (v := over_seeds([one[method]]))}
        else:
            cells = dict.fromkeys(cell for d in documents for cell in d["result"]["cells"])
            columns[variant] = {
                cell: value
                for cell in cells
                if (value := over_seeds(d["result"]["cells"][cell] for d in documents))
            }
    columns = {n: {c.replace("_", " "): v for c, v in values.items()} for n, values in columns.items()}
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
    trained = [n for n in columns if n.startswith("ViT")]
    alone = columns.get(PRODUCT, {})
    if trained and alone:
        most = columns[trained[-1]]
        both = [cell for cell in groups if cell in alone and cell in most]
        worse = [cell for cell in both if most[cell].high < alone[cell].low]
        better = [cell for cell in both if most[cell].low > alone[cell].high]
        rest = [cell for cell in both if cell not in worse + better]
        told = (
            f"{what}: {', '.join(cells) or 'none'}"
            for what, cells in (("worse on", worse), ("better on", better), ("not decided", rest))
        )
        parts.append(
            f"*{trained[-1]}* against `generator {PRODUCT}` alone, by whether the intervals are apart; "
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
