"""The model card: what a stranger must know before using a trained model, and the YAML that a hub reads.

Numbers come from `trainer.evaluate` where it measured these weights, with their intervals; else from the end of the
training, which knows none.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.core import checkpoint, frozen_threshold, results_folder
from trainer.core.errors import InputError
from trainer.core.page import shown
from trainer.vit import hub_files

EVALUATION = Path("evaluation") / "evaluation.json"
PINSIGHT = "pinsight"  # the key by which a card is known as one of ours
LIMITS = """## Limits

Trained and measured on the dataset named above. If those pictures were rendered, the numbers say what it can do on
renders like them, not on your parts. It must not release or reject a part before a trial at the station has shown,
with known good and known defective parts under that camera and light, what it misses. It knows the defects it was
shown, seen from where they were seen; it does not look for the connector in a wider picture."""


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; cells as on the reports."""
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(shown(cell) for cell in row)} |" for row in rows)])


def dataset_facts(folder: Path) -> dict[str, str]:
    """Name of a dataset's folder, and the digest of its content where its card has one."""
    from huggingface_hub import DatasetCard

    facts = {"name": folder.resolve().name}
    try:
        written = DatasetCard((folder / "README.md").read_text(encoding="utf-8")).data.to_dict()
        facts["content_sha256"] = str(written[PINSIGHT]["content_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # somebody else's dataset, or one without a card
    return facts


def header(
    name: str,
    task: str,
    library: str,
    tags: Sequence[str],
    results: Sequence[tuple[str, str, str, str, float]],
    *,
    datasets: Sequence[str] = (),
    data_name: str = "",
    measured_on: str = "",
    base_model: str = "",
    license: str = "",
    about: Mapping[str, Any],
) -> str:
    """The YAML of a card, between its lines of hyphens.

    Args:
        name: Of the model.
        task: The Hub's name of the task.
        library: What loads it.
        tags: The Hub's tags, beside our own.
        results: Split, kind of metric, its name in words, task's name in words and value, each.
        datasets: Names on the Hub of what it was trained on.
        data_name: What the results' dataset is called.
        measured_on: Its name on the Hub, where that is known.
        base_model: Its name on the Hub.
        license: The Hub's id of one.
        about: What stands under `pinsight`.
    """
    from huggingface_hub import EvalResult, ModelCardData

    measured = [
        EvalResult(
            task_type=task,
            task_name=task_name,
            dataset_type=measured_on or "pinsight",
            dataset_name=data_name or "dataset",
            dataset_split=split,
            metric_type=kind,
            metric_name=words,
            metric_value=value,
        )
        for split, kind, words, task_name, value in results
    ]
    data = ModelCardData(
        model_name=name,
        pipeline_tag=task,
        library_name=library,
        tags=[*tags, "industrial-inspection", "synthetic-data", "pinsight"],
        datasets=list(datasets) or None,
        base_model=base_model or None,
        license=license or None,
        metrics=sorted({kind for _, kind, _, _, _ in results}) or None,
        eval_results=measured or None,
        **{PINSIGHT: dict(about)},
    )
    return f"---\n{data.to_yaml()}\n---\n"


def is_ours(text: str) -> bool:
    """Whether a card is one that was made here."""
    from huggingface_hub import ModelCard

    if not text.startswith("---"):
        return False
    try:
        return PINSIGHT in ModelCard(text, ignore_metadata_errors=True).data.to_dict()
    except (ValueError, TypeError, AttributeError):
        return False


def summary_of(run: Path) -> dict[str, Any]:
    """RUN/summary.json of a ViT's run.

    Raises:
        InputError: The run was not finished, or its best weights are others by now.
    """
    path = run / "summary.json"
    found = results_folder.read(
        path,
        "the summary of a finished run",
        epochs=int,
        best_epoch=int,
        best_by=str,
        stopped=str,
        splits=dict,
        warnings=list,
    )
    # Earlier versions kept no hash.
    if "weights_sha256" in found and found["weights_sha256"] != frozen_threshold.digest(
        run / checkpoint.BEST
    ):
        raise InputError(
            f"{path}: is of other weights than {checkpoint.BEST}: finish the training with `python -m trainer.vit "
            "--resume`"
        )
    return found


def evaluation_of(run: Path) -> dict[str, Any] | None:
    """What RUN/evaluation/evaluation.json says of the run's best weights; None where it is of others, or missing."""
    if not (run / EVALUATION).is_file():
        return None
    found = results_folder.read(run / EVALUATION, "what trainer.evaluate wrote", splits=dict)
    held = found.get("frozen")
    if not isinstance(held, dict) or held.get("weights_sha256") != frozen_threshold.digest(
        run / checkpoint.BEST
    ):
        return None
    return found


def _measured(
    run: Path, summary: Mapping[str, Any]
) -> tuple[list[tuple[str, str, str, str, float]], str, list[str]]:
    """Results for the header, the tables, and notes."""
    task = "Image classification"
    document = evaluation_of(run)
    if document is None:
        splits = summary["splits"]
        results = [(n, "accuracy", "Accuracy", task, float(s["accuracy"])) for n, s in splits.items()]
        table = markdown(
            ("split", "parts" if summary.get("views") else "pictures", "accuracy", "balanced accuracy"),
            [[n, s["pictures"], s["accuracy"], s["balanced_accuracy"]] for n, s in splits.items()],
        )
        note = "Measured at the end of the training, without intervals; `python -m trainer.evaluate` measures them."
        return results, table, [note]
    results, lines, classes = [], [], []
    for name, m in document["splits"].items():
        for key, kind, words in (
            ("accuracy", "accuracy", "Accuracy"),
            ("balanced_accuracy", "balanced_accuracy", "Balanced accuracy"),
        ):
            low, high = m[key]["interval"]
            text = f"{words} (95 % interval {low:.3f} to {high:.3f})"
            results.append((name, kind, text, task, float(m[key]["share"])))
        lines.append(
            [
                name,
                m["pictures"],
                m["parts"],
                m["accuracy"]["share"],
                m["accuracy"]["interval"],
                *(
                    f"{m[k]['count']} of {m[k]['of']} ({shown(m[k]['interval'])})"
                    for k in ("escapes", "overkill")
                ),
            ]
        )
        classes += [
            [name, label, *(c[k][v] for k in ("recall", "precision") for v in ("share", "interval"))]
            for label, c in m["classes"].items()
        ]
    head = ("split", "pictures", "parts", "accuracy", "95 % interval", "escapes", "overkill")
    table = markdown(head, lines)
    table += "\n\n" + markdown(
        ("split", "class", "recall", "95 % interval", "precision", "95 % interval"), classes
    )
    note = (
        f"Measured on `{document['data']}`, rows: {document['rows']}. Escapes: NG said OK; overkill: OK said NG. "
        "Intervals: bootstrap over parts; of escapes and overkill Clopper-Pearson over pictures."
    )
    if summary.get("views"):
        note += " Judged are parts, not pictures: every count is of parts."
    return results, table, [note]


def vit_card(
    run: Path, name: str, pictures: Sequence[tuple[str, str]], datasets: Sequence[str] = (), license: str = ""
) -> str:
    """README.md of a ViT.

    Args:
        run: A finished run.
        name: owner/name there.
        pictures: Path there and caption of each.
        datasets: Names on the Hub of what it was trained on.
        license: The Hub's id of one.

    Raises:
        InputError: See `summary_of`.
    """
    config, settings = checkpoint.load_config(run)
    summary = summary_of(run)
    held = frozen_threshold.load(run)
    document = checkpoint.read_json(run / checkpoint.CONFIG, "a run's configuration")
    by_transformers = "auto_map" in document and hub_files.takes_one_picture(config)
    results, tables, notes = _measured(run, summary)
    data = summary.get("data", {})
    measured = (evaluation_of(run) or {}).get("data", data.get("name", ""))
    known = ", ".join(f"`{one}`" for one in datasets) or f"`{data.get('name', 'not recorded')}`"
    digest = f" (content {data['content_sha256'][:16]})" if "content_sha256" in data else ""
    counted = f"{summary['training_pictures']} pictures, " if "training_pictures" in summary else ""
    kind = {"image": "RGB pictures", "nsoart": "NSOART pictures"}.get(
        settings.input, "pictures and their NSOART pictures, six channels"
    )
    shown_from = (
        f"{len(config.views)} pictures ({', '.join(config.views)})" if config.views else "one picture"
    )
    parts = [
        header(
            name.rpartition("/")[2],
            "image-classification",
            "transformers" if by_transformers else "pinsight",
            ["image-classification", "vision-transformer"],
            results,
            datasets=datasets,
            data_name=measured,
            # The Hub's name is that of the training's dataset; another one may have been measured.
            measured_on=datasets[0] if datasets and measured == data.get("name") else "",
            license=license,
            about={
                "input": settings.input,
                "classes": list(config.classes),
                **({"views": list(config.views)} if config.views else {}),
                **({"threshold_ng": held.threshold, "temperature": held.temperature} if held else {}),
            },
        ),
        f"# {name.rpartition('/')[2]}",
        f"A small vision transformer that tells {', '.join(f'`{c}`' for c in config.classes)} from {shown_from} of a "
        f"connector: {kind}, {config.width} x {config.height} px, patches of {config.patch_size} px. Trained with "
        "Pinsight.",
        f"## Trained on\n\nDataset {known}{digest}, {counted}rows: {settings.rows}; {summary['epochs']} epochs, best "
        f"{summary['best_epoch']}, seed {settings.seed}"
        + (f", beginning with `{Path(settings.init).name}`" if settings.init else ", from random weights")
        + ".",
        _use(name, by_transformers, settings.input, held.threshold if held else None, config.views),
        f"## Measured\n\n{tables}\n\n{' '.join(notes)} "
        "The best epoch and the threshold were chosen on `validation`: its numbers are optimistic.",
    ]
    parts += [f"![{caption}]({path})\n\n{caption}" for path, caption in pictures]
    return "\n\n".join([*parts, LIMITS]) + "\n"


def _use(name: str, by_transformers: bool, input_: str, threshold: float | None, views: Sequence[str]) -> str:
    said = f" NG is said from P(NG) = {threshold:.4f} on, frozen on validation." if threshold else ""
    text = "## Use\n\n"
    if by_transformers:
        text += (
            "```python\nfrom transformers import pipeline\n\n"
            f'judge = pipeline("image-classification", model="{name}", trust_remote_code=True)\n'
            'print(judge("picture.png"))\n```\n\n'
            "`trust_remote_code=True` runs the Python files of this repository: read them first. "
        )
    given = " ".join(f"part7_{view}.png" for view in views) or "picture.png"
    text += (
        "With Pinsight, on a downloaded copy, with a heat map and the frozen threshold:\n\n"
        f"    python -m trainer.predict --model FOLDER {given} --out predictions\n\n"
        f"Pictures must be taken as those it was trained on: same view, same framing.{said}"
    )
    if input_ != "image":
        text += " NSOART pictures are made with the training dataset's `nsoart.json`; those of other parameters differ."
    return text
