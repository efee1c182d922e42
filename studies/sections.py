"""What the page says of each question: which measures, as which table and figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soart_evaluation import wilson
from studies import figures
from studies.findings import (
    Answers,
    Difference,
    Found,
    Scores,
    Value,
    areas,
    auroc_difference,
    difference,
    over_seeds,
    scores_of,
)
from studies.plan import (
    CENTRE,
    FEW,
    FIVE,
    INPUTS,
    LADDER,
    METHODS,
    NEW,
    OWN,
    SCRATCH,
    SUPERVISED,
    TOGETHER,
    TOGETHER_OWN,
    begun,
)
from studies.tables import BOLD, CHANGE, by_variant, command, differences, seeds_of, table

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


def learned(result: Mapping[str, Any]) -> Share:
    """Reads the balanced accuracy on the training's own pictures, as rendered."""
    return result["originals"]["balanced_accuracy"]  # type: ignore[no-any-return]


def gaps(found: Found) -> dict[str, list[float]]:
    """By variant each seed's balanced accuracy on its own training pictures minus that on the test."""
    test = accuracy("test")
    found_gaps = {}
    for variant, documents in found.variants.items():
        results = [document["result"] for document in documents]
        found_gaps[variant] = [
            own["share"] - other["share"] for r in results if (own := learned(r)) and (other := test(r))
        ]
    return found_gaps


def ranged(values: Sequence[float], form: str = ".3f") -> str:
    """Mean of the seeds' values with the least and the largest; a dash for none."""
    if not values:
        return "–"
    return f"{np.mean(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def improvement(found: Found, picture: Path) -> list[str]:
    """3: accuracy on the test and on the pictures of the training itself."""
    test, own, overfit = found.values(accuracy("test")), found.values(learned), gaps(found)
    figure, (left, right) = figures.panels(2)
    figures.named(left, test, "Test: balanced accuracy", GUESSING)
    for index, values in enumerate(overfit.values()):
        right.plot([index] * len(values), values, "o", color=f"C{index}")
    right.axhline(0, color="grey", linewidth=0.8)
    right.set_xticks(range(len(overfit)), list(overfit), rotation=20, ha="right")
    figures.finish(right, "Overfitting: own training pictures minus test")
    right.set_ylim(-0.1, 1.04)
    figures.save(figure, picture)
    rows = [
        [v, test[v].seeds, test[v], own[v], ranged(overfit[v])] for v in overfit if v in test and v in own
    ]
    header = ["training pictures", "seeds", "balanced accuracy, test", "on its own training pictures"]
    header.append("difference (seeds)")
    parts = [table(header, rows)]
    parts += differences(found, list(combinations(found.variants, 2)), {"test": answered("test")})
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


def _parts_table(series: Mapping[str, Mapping[str, Mapping[str, Value]]]) -> str:
    rows = []
    for variant, judged in series["right class"].items():
        for name in judged:
            cells = [values.get(variant, {}).get(name) for values in series.values()]
            rows.append([variant, name, seeds_of(cells), *(cell or "–" for cell in cells)])
    return table(["trained", "judged by", "seeds", *series], rows)


def views(found: Found, picture: Path) -> list[str]:
    """4: whole parts by one, three and five views."""
    series = {title: parts_judged(found, read) for title, read in PART_MEASURES.items()}
    figure, panels = figures.panels(len(series))
    panels[0].axhspan(*EARLIER, color="grey", alpha=0.3, label="earlier work")
    panels[0].axhline(AIM, color="grey", linestyle="--", label="aim")
    more = {
        title: parts_judged(found.other, read) if found.other else {} for title, read in PART_MEASURES.items()
    }
    for axes, (title, values) in zip(panels, series.items(), strict=True):
        shown = values | {f"{v}, size {found.other.size}": judged for v, judged in more[title].items()}
        figures.dots(axes, JUDGED_BY, shown, title)
    figures.one_legend(figure, panels)
    figures.save(figure, picture)
    parts = [_parts_table(series)]
    if found.other:
        parts.append(
            f"The same at size *{found.other.size}*, of which {found.other.done} of {found.other.planned} runs are "
            f"done:\n\n    {command(found.other)}\n\n" + _parts_table(more)
        )
    reached = [
        f"{variant}, {name}" + (f" (size *{one.size}*)" if one is not found else "")
        for one in (found, found.other)
        if one
        for variant, judged in parts_judged(one, PART_MEASURES["right class"]).items()
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
    ((FIVE, JUDGED_BY[1]), (FIVE, ALL_VIEWS)),
    ((FIVE, ONE_VIEW), (FIVE, ALL_VIEWS)),
    ((CENTRE, ONE_VIEW), (FIVE, ALL_VIEWS)),
    ((FIVE, ALL_VIEWS), (TOGETHER, ALL_VIEWS)),
    ((TOGETHER, ALL_VIEWS), (TOGETHER_OWN, ALL_VIEWS)),
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


def pretraining(found: Found, picture: Path) -> list[str]:
    """5: accuracy over the number of pictures, from scratch and tuned."""
    test = found.values(accuracy("test"))
    figure, panels = figures.panels(2)
    rows, pairs = [], []
    for axes, target in zip(panels, NEW, strict=True):
        series: dict[str, dict[int, Value]] = {}
        for start in (SCRATCH, OWN):
            for count in FEW:
                if value := test.get(begun(target, count, start)):
                    series.setdefault(start, {})[count] = value
        if series:
            chance = GUESSING if target == NEW[0] else 1 / 4
            figures.growing(axes, series, target, "pictures", "balanced accuracy, test", chance)
        else:
            axes.set_title(f"{target}: not run yet")
            axes.set_axis_off()
        for count in FEW:
            cells = [series.get(start, {}).get(count) for start in (SCRATCH, OWN)]
            pairs.append((begun(target, count, SCRATCH), begun(target, count, OWN)))
            if any(cells):
                rows.append([target, count, seeds_of(cells), *(cell or "–" for cell in cells)])
    figures.save(figure, picture)
    parts = [table(["new", "pictures", "seeds", "from scratch", OWN], rows)] if rows else []
    # Does the tuned model need fewer pictures for as much?
    pairs += [(begun(target, FEW[2], SCRATCH), begun(target, FEW[1], OWN)) for target in NEW]
    parts += differences(found, pairs, {"test": answered("test")})
    return parts + _new_modes_by_class(found) + collapsed(found)


def recalled(label: str) -> Callable[[Mapping[str, Any]], Share]:
    """Reads the share of a class's test pictures that are named right."""
    return lambda result: result["splits"]["test"].get("recall", {}).get(label)


def _new_modes_by_class(found: Found) -> list[str]:
    """Where the tuned model gains on the new modes: with them, or with the kinds that it knew."""
    variants = {v: d for v, d in found.variants.items() if v.startswith(NEW[1])}
    some = replace(found, variants=variants)
    titles = {"OTHERNG": "new modes", "BENDNG": "bent", "NUKENG": "missing", "OK": "good"}
    columns = {title: some.values(recalled(label)) for label, title in titles.items()}
    columns = {title: values for title, values in columns.items() if values}
    if not columns:
        return []
    return [
        "Share of right classes among the test pictures of the new modes themselves, and of the rest of that test:"
        "\n\n" + by_variant(columns)
    ]


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
    return {stage: _means(scores) for stage, scores in _rollouts(documents).items()}


def _rollouts(documents: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """By stage's epoch the scores of gradient rollout, by seed."""
    seeds = [document["result"]["attention"][LOOKED_AT]["weights"] for document in documents]
    return {
        int(stage): [next(one for way, one in seed[stage].items() if "gradient" in way) for seed in seeds]
        for stage in sorted(seeds[0])
    }


def _means(scores: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean of each score over those that have one; nan where none has."""
    values = {key: [one[key] for one in scores if one[key] is not None] for key in ATTENTION}
    return {key: float(np.mean(v)) if v else float("nan") for key, v in values.items()}


def attention(found: Found, picture: Path) -> list[str]:
    """6: hits, entropy and the share on the housing over the stages."""
    base = _baselines(found)
    figure, panels = figures.panels(3)
    first, whole = _first_epochs(found)
    for axes, key in zip(panels, ("hit", "", "on_housing"), strict=True):
        if first < whole:
            axes.axvspan(first - 0.5, whole - 0.5, color="grey", alpha=0.15, label="close-ups")
        if key and base.get("uniform"):
            axes.axhline(base["uniform"][key], color="grey", linestyle=":", label="flat map")
    titles = ("Peak on the defect (NG)", "Entropy: NG full, OK dashed", "Share on the housing")
    rows = []
    for index, (variant, documents) in enumerate(found.variants.items()):
        stages = stage_means(documents)
        lines = (("hit", "o-", 0), ("entropy_ng", "o-", 1), ("entropy_ok", "o--", 1), ("on_housing", "o-", 2))
        for key, style, panel in lines:
            label = None if key == "entropy_ok" else variant
            values = [means[key] for means in stages.values()]
            panels[panel].plot(list(stages), values, style, color=f"C{index}", label=label)
        for epoch, means in stages.items():
            cells = [f"{value:.3f}" for value in means.values()]
            cells[0] = str(_hits(documents, epoch))
            rows.append([variant, len(documents), epoch, *cells])
    for name, means in base.items():
        rows.append([f"*{name}*", "", "", *(f"{means[key]:.3f}" for key in ATTENTION)])
    for axes, title in zip(panels, titles, strict=True):
        axes.set_xlabel("epoch")
        figures.finish(axes, title)
    panels[1].set_ylim(0.1, 0.6)
    figures.save(figure, picture)
    return [
        "Gradient rollout on the test of changed housings, mean over seeds. The peak on the defect is a share of "
        "pictures and has an interval; the others are means over maps:\n\n"
        + table(["trained on", "seeds", "epoch", *ATTENTION.values()], rows)
    ]


def _baselines(found: Found) -> dict[str, dict[str, float]]:
    """The scores of a flat map and of random weights' gradient rollout, mean over all trainings."""
    all_seeds = [
        document["result"]["attention"][LOOKED_AT]["baselines"]
        for documents in found.variants.values()
        for document in documents
    ]
    return {
        name: _means([one[name] for one in all_seeds])
        for name in all_seeds[0]
        if name == "uniform" or ("gradient" in name and name.startswith("random"))
    }


def _first_epochs(found: Found) -> tuple[int, float]:
    """The first epoch that is looked at, and the first of the training that shows whole pictures."""
    documents = [d for some in found.variants.values() for d in some]
    whole = (r["epoch"] for d in documents for r in d["result"]["curve"] if r["stage"] == "pictures")
    return min(_rollouts(documents)), min(whole, default=0.0)


def _hits(documents: list[dict[str, Any]], epoch: int) -> Value | str:
    """The share of defective pictures whose peak lies on the defect, with Wilson's interval."""
    shares = []
    for one in _rollouts(documents)[epoch]:
        if one["hit"] is not None:
            trials = int(one["ng_pictures"])
            shares.append({"share": one["hit"], "interval": wilson(one["hit"], trials)})
    return over_seeds(shares) or "–"


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


# The splits of a tuned model, and those of the one that it began with, which hold the same pictures.
TUNED_ON = {"new housing": ("test", "test_new"), "known pictures": ("test_known", "test")}
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
        columns = {}
        for title, (after, begin) in TUNED_ON.items():
            columns[title] = tuned.values(precision(after))
            if before := scratch.values(precision(begin)).get("RGB"):
                columns[title]["before tuning"] = before
        order = ("before tuning", *tuned.variants)
        series = {v: {t: c[v] for t, c in columns.items() if v in c} for v in order}
        figures.dots(right, list(columns), series, "Test mAP50, tuned to a new housing", loc="lower left")
        parts += _tuned(tuned, found, columns, order)
    else:
        right.set_axis_off()
    figures.save(figure, picture)
    return parts


def _from_random_weights(scratch: Found) -> list[str]:
    columns = {"mAP50, test": scratch.values(precision("test"))}
    columns |= {title: scratch.values(precision("test", *way)) for title, way in GROUPS.items()}
    rows = []
    for variant, documents in scratch.variants.items():
        loss = ranged([d["result"]["curve"][-1]["train_loss"] for d in documents], ".2f")
        rows.append([variant, len(documents), *_false_boxes(documents), loss])
    return [
        "From random weights, equal steps:\n\n" + by_variant(columns),
        "Boxes on good parts, per picture, at the threshold that validation chose, and the loss on the training "
        "pictures in the last epoch:\n\n"
        + table(["trained with", "seeds", "with print", "without print", "training loss"], rows),
    ]


def gained(found: Found, variant: str) -> dict[str, list[float]]:
    """By test what each seed's tuning changed of the mAP50 of the very model that it began with."""
    before = {document["key"]: document["result"] for document in found.variants.get("RGB", [])}
    changes: dict[str, list[float]] = {}
    for title, (after, begin) in TUNED_ON.items():
        changes[title] = []
        for document in found.variants[variant]:
            first = before.get(document["config"]["init"])
            ends = precision(after)(document["result"]), first and precision(begin)(first)
            if ends[0] and ends[1]:
                changes[title].append(ends[0]["share"] - ends[1]["share"])
    return changes


def _tuned(
    tuned: Found, found: Found, columns: Mapping[str, Mapping[str, Value]], order: Sequence[str]
) -> list[str]:
    told = {v: _changes(documents) for v, documents in tuned.variants.items()}
    rows = [
        [
            v,
            seeds_of(c.get(v) for c in columns.values()),
            *(c.get(v, "–") for c in columns.values()),
            *told.get(v, ("–", "–", "–")),
        ]
        for v in order
    ]
    header = [
        "tuned",
        "seeds",
        *(f"mAP50, {title}" for title in columns),
        "trained",
        "changed",
        "answers kept",
    ]
    changes = [[v, *(ranged(some, "+.3f") for some in gained(found, v).values())] for v in tuned.variants]
    on_the_way = []
    for variant, documents in tuned.variants.items():
        lines = [{row["epoch"]: row.get("val_map50") for row in d["result"]["curve"]} for d in documents]
        values = [[line.get(epoch) for line in lines] for epoch in (1.0, 4.0, 12.0)]
        on_the_way.append([variant, *("–" if None in v else f"{np.mean(v):.3f}" for v in values)])
    return [
        "Tuned to another housing with 160 pictures, 12 epochs:\n\n" + table(header, rows),
        "Change of the mAP50 of the very model that was tuned, mean over seeds (least to largest):\n\n"
        + table(["tuned", *TUNED_ON], changes),
        "Validation mAP50 of the new housing on the way, mean over seeds:\n\n"
        + table(["tuned", "epoch 1", "epoch 4", "epoch 12"], on_the_way),
    ]


def _false_boxes(documents: list[dict[str, Any]]) -> list[str]:
    cells = []
    for group in ("with", "without"):
        parts = [d["result"]["splits"]["test"].get("digits", {}).get(group, {}) for d in documents]
        values = [v for part in parts if (v := part.get("false_boxes_per_ok_picture")) is not None]
        cells.append(ranged(values, ".2f"))
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


def _by_defect(found: Found) -> dict[str, list[dict[str, Scores]]]:
    """By method, or by the ViT's variant, each training's scores by defect; of the same pictures.

    Raises:
        ValueError: They are not of the same pictures.
    """
    pictures = {d["result"]["scores"]["of"] for documents in found.variants.values() for d in documents}
    if len(pictures) > 1:
        raise ValueError("expected runs that judged the same pictures")
    columns = {}
    for variant, documents in found.variants.items():
        for method in METHODS if variant == "without training" else ("ViT",):
            name = variant if method == "ViT" else method
            columns[name] = [scores_of(document["result"], method) for document in documents]
    return columns


def trained_or_not(found: Found) -> dict[str, dict[str, Difference]]:
    """By ViT, and by defect, how much better its AUROC is than that of `PRODUCT`; empty where one is not there."""
    columns = _by_defect(found)
    alone = columns.get(PRODUCT, [])
    changes: dict[str, dict[str, Difference]] = {}
    for name, trained in columns.items():
        for cell in trained[0] if name.startswith("ViT") and alone else ():
            sides = ([scores[cell] for scores in some] for some in (alone, trained))
            if change := auroc_difference(*sides, seeds=len(trained)):
                changes.setdefault(name, {})[cell] = change
    return changes


def soart(found: Found, picture: Path) -> list[str]:
    """8: AUROC of each defect by the methods without training and by ViTs."""
    columns = {name: areas(by_seed) for name, by_seed in _by_defect(found).items()}
    groups = list(dict.fromkeys(cell for values in columns.values() for cell in values))
    shown = {n: v for n, v in columns.items() if n in ("difference", PRODUCT) or n.startswith("ViT")}
    figure, (axes,) = figures.panels(1)
    figures.dots(axes, groups, shown, "AUROC: defective against good pictures of one station", 0.5)
    figures.one_legend(figure, [axes])
    figures.save(figure, picture)
    rows = []
    for cell in groups:
        best = max(values[cell].mean for values in columns.values() if cell in values)
        cells = [f"{v[cell].mean:.3f}" if cell in v else "–" for v in columns.values()]
        rows.append([cell, *(f"**{text}**" if text == f"{best:.3f}" else text for text in cells)])
    seeds = [["seeds", *(values[groups[0]].seeds for values in columns.values())]]
    parts = ["AUROC, mean over seeds; bold is the best:\n\n" + table(["defect", *columns], [*seeds, *rows])]
    if changes := trained_or_not(found):
        lines = [[cell, *(change.get(cell, "–") for change in changes.values())] for cell in groups]
        parts.append(
            f"Change of the AUROC from `generator {PRODUCT}` to a ViT, on the same pictures; "
            + BOLD
            + table(["defect", *changes], lines)
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
