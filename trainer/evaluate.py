"""`python -m trainer.evaluate --model RUN --data DATASET`: a trained run on any dataset; nothing is left to choose.

The threshold was frozen on validation when the run was trained (RUN/frozen.json); for a run without one it is chosen on
DATASET's validation split, once, and kept. OUT then holds evaluation.json, predictions.csv, report.html and the
pictures that the page shows. A run on several views judges parts: every count is then one of parts. What follows is of
a ViT; a Florence-2 run is measured by `trainer.florence2.evaluation`.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainer.core import checkpoint, frozen_threshold, page, results_folder, row_facts, views
from trainer.core.checkpoint import TrainingConfig
from trainer.core.data import Split, load_frozen_classes
from trainer.core.decision import decide, softmax
from trainer.core.errors import InputError
from trainer.core.frozen_threshold import Frozen
from trainer.core.options import check_place, device_of, exit_code, number, say
from trainer.core.results_folder import EVALUATION, PREDICTIONS, REPORT, evaluation_files
from trainer.core.row_facts import Facts
from trainer.florence2.run import FORMAT as DETECTION_FORMAT
from trainer.florence2.run import kind_of
from trainer.vit.answers import answer
from trainer.vit.network.model import ViT, ViTConfig

EXAMPLE = """example:
  python -m trainer.evaluate --model out/run --data out/dataset --split test --out out/evaluation

exit codes: 0 done, whatever the numbers; 2 the run or the dataset cannot be used; 1 anything else"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(
        prog="python -m trainer.evaluate",
        description="Measure a trained ViT or Florence-2 on a dataset, with the threshold that validation froze.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    p.add_argument(
        "--model", type=Path, required=True, metavar="RUN", help="folder of a ViT's or a Florence-2's run"
    )
    p.add_argument("--data", type=Path, required=True, metavar="DATASET", help="folder of the dataset")
    p.add_argument("--out", type=Path, metavar="OUT", help="folder for the results (RUN/evaluation)")
    p.add_argument(
        "--split", action="append", metavar="NAME", help="a split to measure, may be repeated (all but train)"
    )
    p.add_argument(
        "--rows",
        choices=row_facts.ROWS,
        help="of a ViT: all; those whose defects can be seen; of these, those outside the grey zone (observable)",
    )
    p.add_argument("--batch-size", type=number(int, 1, 65_536), default=16, help="(16)")
    p.add_argument(
        "--threads", type=number(int, 1, 1024), help="CPU threads (as many as PyTorch finds cores)"
    )
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(auto)")
    return p


def kept(split: Split, which: str) -> Split:
    """The examples of a split that count: see `row_facts.kept_rows`."""
    return split.subset(np.flatnonzero(row_facts.kept_rows(split, which)).tolist())


def _splits(folder: Path, column: str, config: ViTConfig, only: tuple[str, ...] = ()) -> dict[str, Split]:
    """A dataset's splits, all but train where none is named, as the network takes them; of several views by part.

    Raises:
        InputError: See `load_frozen_classes`.
    """
    size = (config.width, config.height)
    found = load_frozen_classes(folder, column, size, config.classes, only, but=("train",))
    if not config.views:
        return found
    return views.by_part(found, config.views, config.classes, f"--data {folder}")


def _frozen(args: argparse.Namespace, model: ViT, settings: TrainingConfig) -> Frozen:
    """What the run froze; chosen now, on the dataset's validation split, where it has nothing.

    The rows are those that the run was trained and measured on, whatever rows are measured now.
    """
    held = frozen_threshold.load(args.model)
    if held is not None:
        return held
    config = model.config
    try:
        splits = _splits(args.data, settings.input, config, ("validation",))
    except InputError as e:
        raise InputError(
            [
                f"{args.model}: has no {frozen_threshold.FROZEN}, so the threshold needs a validation split",
                *e.problems,
            ]
        ) from e
    validation = kept(splits["validation"], settings.rows)
    if not len(validation):
        raise InputError(
            f"--data {args.data} split validation: expected rows to choose the threshold on, got none that --rows "
            f"{settings.rows} keeps, as the run was trained"
        )
    logits = answer(model, validation, args.batch_size, bar=True).logits
    try:
        train = _splits(args.data, settings.input, config, ("train",))["train"]
        positions = row_facts.defect_positions(kept(train, settings.rows), config.ok_index)
    except InputError:
        positions = {}
    say(
        f"{args.model} has no {frozen_threshold.FROZEN}: chosen now on validation of {args.data}, and kept; "
        "positions count as seen where its train split has a defect"
    )
    return frozen_threshold.freeze(args.model, logits, validation.labels.numpy(), config.ok_index, positions)


def _predictions(
    name: str, split: Split, facts: list[Facts], logits: np.ndarray, model: ViT, held: Frozen
) -> list[dict[str, Any]]:
    """One line of predictions.csv per picture, or per part."""
    classes, ok = model.config.classes, model.config.ok_index
    probabilities = softmax(logits, held.temperature)
    said = decide(probabilities, ok, held.threshold)
    return [
        {
            "split": name,
            "run": split.name(i),
            "part": facts[i].part,
            "truth": classes[int(split.labels[i])],
            "said": classes[said[i]],
            "p_ng": f"{1 - probabilities[i, ok]:.6f}",
            **{f"p_{c}": f"{p:.6f}" for c, p in zip(classes, probabilities[i], strict=True)},
            "measure": facts[i].measure,
            "size_mm": "" if facts[i].size_mm is None else f"{facts[i].size_mm:.4f}",
            "addresses": " ".join(facts[i].addresses),
        }
        for i in range(len(split))
    ]


def evaluate(
    model: ViT, splits: Mapping[str, Split], held: Frozen, batch_size: int = 16
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Measure splits.

    Returns:
        The reports by split, the lines of predictions.csv, and by split and measure the sizes in mm with whether each
        was found.
    """
    from trainer.vit import evaluation

    config = model.config
    reports: dict[str, Any] = {}
    lines: list[dict[str, Any]] = []
    hits: dict[str, dict[str, Any]] = {}
    renamed: dict[str, str] = {}
    for name, split in splits.items():
        facts = row_facts.facts(split, config.ok_index)
        renamed |= {
            column: factor for column, factor in row_facts.column_names(facts).items() if column != factor
        }
        answers = answer(model, split, batch_size, bar=True)
        reports[name] = evaluation.report(
            facts, answers.logits, split.labels.numpy(), config.classes, config.ok_index, held
        )
        for mistake in reports[name]["mistakes"]:
            index = mistake["index"]
            mistake["run"] = f"part {facts[index].part}" if split.views > 1 else split.runs[index]
        said = _predictions(name, split, facts, answers.logits, model, held)
        lines += said
        hits[name] = {
            measure: (
                [f.size_mm for f in facts if f.measure == measure],
                [line["said"] != "OK" for line, f in zip(said, facts, strict=True) if f.measure == measure],
            )
            for measure in reports[name]["detection"]
        }
    for column, factor in renamed.items():
        say(f"column {column}: among the factors it is {factor!r}, for {column!r} is computed from the truth")
    return reports, lines, hits


def write_pictures(
    out: Path, model: ViT, splits: Mapping[str, Split], reports: Mapping[str, Any], hits: Mapping[str, Any]
) -> None:
    """Write the plots and sheets into OUT."""
    from trainer.core import plots
    from trainer.vit import evaluation_plots

    classes = model.config.classes
    plots.confusion(
        {name: np.array(r["confusion"]) for name, r in reports.items()}, classes, out / "confusion.png"
    )
    evaluation_plots.calibration(reports, out / "calibration.png")
    evaluation_plots.detection(reports, hits, out / "detection.png")
    for name, measured in reports.items():
        evaluation_plots.main_effects(measured, name, out / f"effects_{name}.png")
        if measured["mistakes"]:
            evaluation_plots.mistake_sheet(
                splits[name], measured["mistakes"], model.config.ok_index, out / f"mistakes_{name}.png"
            )


def write_page(out: Path, document: Mapping[str, Any]) -> None:
    """Write OUT/report.html from what evaluation.json holds and the pictures in OUT."""
    head = page.head(f"Evaluation: {document['model']} on {document['data']}")
    checkpoint.write_text(out / REPORT, "\n".join([head, *page_parts(out, document)]) + "\n")


def page_parts(out: Path, document: Mapping[str, Any], heading: str = "h2") -> list[str]:
    """The page's pieces below its title: what evaluation.json holds, and the pictures in OUT.

    Args:
        out: Folder of the pictures.
        document: What evaluation.json holds.
        heading: Tag of each split's heading.
    """
    from trainer.vit import evaluation

    held, reports = document["frozen"], document["splits"]
    parts = [
        page.paragraph(
            f"Dataset {document['data']}. NG is said from P(NG) = {held['threshold']:.4f} on: "
            f"{frozen_threshold.CRITERION} ({held['pictures']} pictures), "
            f"frozen with the weights {held['weights_sha256'][:12]}. So the numbers of "
            "validation itself are optimistic. "
            f"Temperature {held['temperature']:.3f}. Rows: {document['rows']}."
            + (
                f" Parts are judged, each from its pictures of {', '.join(document['views'])} together: where it says "
                "pictures, parts are counted."
                if document.get("views")
                else ""
            )
        ),
        page.table(
            [
                *("split", "pictures", "parts", "accuracy", "95 % interval", "balanced accuracy", "AUROC"),
                *("escapes", "95 % bounds", "overkill", "95 % bounds"),
            ],
            [evaluation.summary_row(name, measured) for name, measured in reports.items()],
        ),
        page.paragraph(
            "Intervals of accuracy, recall and precision: bootstrap over parts, 1,000 draws; where all are right, or "
            "all wrong, Clopper and Pearson's with a part as one trial, and of the mean recall Buehler's. Escapes (NG "
            "said OK) and overkill (OK said NG): Clopper and Pearson's over pictures, too narrow where a part has "
            "several.",
            small=True,
        ),
        page.picture(out / "confusion.png", "Confusion matrices; shading by share of the true class"),
        page.picture(out / "calibration.png", "Probability against share right; area by pictures"),
        page.picture(
            out / "detection.png",
            "Pictures with one visible defect of known size: found (top) or missed (bottom), grey: share by fifths",
        ),
    ]
    for name, measured in reports.items():
        parts.append(f"<{heading}>{page.text(name)}</{heading}>")
        if left := document["left_out"].get(name):
            parts.append(page.paragraph(f"{left} rows left out by --rows {document['rows']}.", small=True))
        rows = [
            [
                label,
                m["recall"]["of"],
                *(m[k][v] for k in ("recall", "precision") for v in ("share", "interval")),
            ]
            for label, m in measured["classes"].items()
        ]
        parts.append(
            page.table(["class", "pictures", "recall", "95 % interval", "precision", "95 % interval"], rows)
        )
        fitted = [
            [m, d["defects"], d["found"], d["interval"], d["a90_mm"], d["a90_95_mm"], d["note"]]
            for m, d in measured["detection"].items()
        ]
        if fitted:
            parts.append(
                page.table(
                    [
                        *("size", "defects", "found", "95 % bounds"),
                        *("90 % found from, mm", "90/95 point, mm", "note"),
                    ],
                    fitted,
                )
            )
        rows = [
            [
                factor,
                level,
                m["pictures"],
                m["parts"],
                m["accuracy"],
                m["interval"],
                *(f"{m[k]['count']} of {m[k]['of']}" for k in ("escapes", "overkill")),
            ]
            for factor, levels in measured["factors"].items()
            for level, m in levels.items()
        ]
        if rows:
            parts.append(
                page.table(
                    [
                        *("factor", "level", "pictures", "parts"),
                        *("accuracy", "95 % interval", "escapes", "overkill"),
                    ],
                    rows,
                )
            )
        parts.append(page.picture(out / f"effects_{name}.png", "Main effects"))
        if measured["mistakes"]:
            parts.append(
                page.picture(
                    out / f"mistakes_{name}.png",
                    "The worst mistakes: wrong verdicts first, the surest first; yellow: the true place",
                )
            )
        else:
            parts.append(page.paragraph("No mistakes."))
    return list(filter(None, parts))


def _detector(args: argparse.Namespace, out: Path) -> int:
    """Measure a Florence-2's run."""
    if args.rows:
        raise InputError(
            f"--rows: expected only with a ViT's run; {args.model} is Florence-2's, all rows count"
        )
    from trainer.florence2.evaluation import evaluate

    evaluate(
        args.model,
        args.data,
        out,
        tuple(dict.fromkeys(args.split or ())),
        args.batch_size,
        device_of(args.device),
        own_folder=args.out is None,
    )
    return 0


def run(args: argparse.Namespace) -> int:
    """Measure as the options say; returns the exit code."""
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    out = args.out or args.model / "evaluation"
    check_place(out)
    if kind_of(args.model) == DETECTION_FORMAT:
        return _detector(args, out)
    args.rows = args.rows or "observable"
    _, settings = checkpoint.load_config(args.model)
    model = checkpoint.load_model(args.model).to(device_of(args.device))
    config = model.config
    held = _frozen(args, model, settings)
    wanted = tuple(dict.fromkeys(args.split or ()))
    chosen = _splits(args.data, settings.input, config, wanted)
    splits = {name: kept(split, args.rows) for name, split in chosen.items()}
    left_out = {name: len(chosen[name]) - len(split) for name, split in splits.items()}
    empty = [name for name, split in splits.items() if not len(split)]
    if empty or not splits:
        raise InputError(
            f"--data {args.data}: expected rows to measure in {empty or 'a split other than train'}, got none"
        )
    if args.out:
        new = evaluation_files({"splits": splits, "frozen": held})
        results_folder.check(out, args.model, EVALUATION, evaluation_files, new)
    reports, lines, hits = evaluate(model, splits, held, args.batch_size)
    document = {
        "model": args.model.resolve().name,
        "data": args.data.resolve().name,
        "classes": list(config.classes),
        "rows": args.rows,
        **({"views": list(config.views)} if config.views else {}),
        "left_out": left_out,
        "frozen": {k: v for k, v in vars(held).items() if k != "positions"},
        "splits": reports,
    }
    with results_folder.replaced(out, EVALUATION, evaluation_files) as stage:
        checkpoint.write_table(stage / PREDICTIONS, list(lines[0]), lines)
        write_pictures(stage, model, splits, reports, hits)
        write_page(stage, document)
        checkpoint.write_text(stage / EVALUATION, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    for name, measured in reports.items():
        low, high = measured["accuracy"]["interval"]
        escapes, overkill = measured["escapes"], measured["overkill"]
        on = f"parts from {len(config.views)} views each" if config.views else "pictures"
        of = "" if config.views else f" of {measured['parts']} parts"
        say(
            f"{name}: accuracy {measured['accuracy']['share']:.3f} ({low:.3f} to {high:.3f}) on {measured['pictures']} "
            f"{on}{of}; escapes {escapes['count']} of {escapes['of']}, overkill "
            f"{overkill['count']} of {overkill['of']}"
        )
    say(f"page: {out / REPORT}")
    from trainer import report

    report.refresh(args.model, out, "evaluation")
    return 0


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parser().parse_args(argv)
    return exit_code(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
