"""What a ViT's run says of picture files, or of the files of parts seen from several cameras: `trainer.predict`'s work.

The picture is fitted into the network's size as in training (one scale both ways, centred, the border repeated). The
heat map is the patch head's 1 - P(OK), laid back onto the picture. A run trained with `--input nsoart` judges NSOART
pictures: give it those. A run trained with `--views` judges parts: the pictures' names say which view of which part
each is (`generator.io.view_names`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from generator.io.view_names import parts_of
from trainer.core import frozen_threshold
from trainer.core.errors import InputError
from trainer.core.prediction import Judged, Judging
from trainer.core.split import open_picture
from trainer.vit import run as vit_run
from trainer.vit.network.model import ViT
from trainer.vit.verdicts import annotate, annotate_part, judge, judge_part


@dataclass(frozen=True)
class Classifier:
    """A run's network with what decides.

    Args:
        model: In evaluation mode.
        threshold: NG from so much 1 - P(OK) on; None: the most likely class decides.
        temperature: Divides the logits.
    """

    model: ViT
    threshold: float | None
    temperature: float


def load_classifier(run: Path, weights: str | None, threshold: float | None) -> Classifier:
    """The network of a ViT's run with its threshold and temperature, which belong to the best weights.

    Args:
        run: The run's folder.
        weights: `best` or `last`; None: best.
        threshold: In [0, 1]; replaces the run's own.

    Raises:
        InputError: The run cannot be read, or judges no picture alone.
    """
    _, settings = vit_run.load_config(run)
    if "+" in settings.input:
        raise InputError(
            f"--model {run}: was trained on {settings.input}, and a picture alone is not both; "
            "`python -m trainer.evaluate` measures it on a dataset that holds both"
        )
    model = vit_run.load_model(run, weights or "best")
    held = frozen_threshold.load(run) if weights in (None, "best") else None
    if threshold is None and held is not None:
        threshold = held.threshold
    return Classifier(model, threshold, held.temperature if held else 1.0)


def judging(run: Path, files: Sequence[Path], weights: str | None, threshold: float | None, sheets: bool) -> Judging:
    """Outcomes of files.

    Args:
        run: The run's folder.
        files: Pictures.
        weights, threshold: See `load_classifier`.
        sheets: Whether sheets are asked for.

    Raises:
        InputError: The run cannot be read; as the outcomes are asked for, also what `load_classifier` says.
    """
    views = vit_run.load_config(run)[0].views
    if not views:
        return Judging(_of_pictures(run, files, weights, threshold, sheets), list(files))
    found, problems = parts_of(files, views)
    # A name with a dot keeps what follows it.
    parts = {Path(f"{part}.png"): pictures for part, pictures in found.items()}
    return Judging(_of_parts(run, parts, weights, threshold, sheets), list(parts), problems)


def _of_pictures(
    run: Path, files: Sequence[Path], weights: str | None, threshold: float | None, sheets: bool
) -> Iterator[Judged]:
    """Verdict, line and sheet of each picture."""
    by = load_classifier(run, weights, threshold)
    for file in files:
        try:
            picture = open_picture(file, str(file))
        except InputError as e:
            yield Judged(file, problems=e.problems)
            continue
        verdict, heat = judge(by.model, picture, str(file), by.threshold, by.temperature)
        line = f"{verdict.verdict}  {verdict.label:<8} {verdict.confidence:.3f}  {file}"
        sheet = annotate(picture, verdict, heat, by.model) if sheets else None
        yield Judged(file, asdict(verdict), line, sheet)


def _of_parts(
    run: Path,
    parts: Mapping[Path, Mapping[str, Path]],
    weights: str | None,
    threshold: float | None,
    sheets: bool,
) -> Iterator[Judged]:
    """Verdict, line and sheet of each part, whose files are given by view."""
    by = load_classifier(run, weights, threshold)
    for place, files in parts.items():
        pictures: dict[str, Image.Image] = {}
        problems: list[str] = []
        for view, file in files.items():
            try:
                pictures[view] = open_picture(file, str(file))
            except InputError as e:
                problems += e.problems
        if problems:
            yield Judged(place, problems=problems)
            continue
        part = str(place.with_suffix(""))
        named = {view: str(file) for view, file in files.items()}
        verdict, heats = judge_part(by.model, pictures, part, named, by.threshold, by.temperature)
        where = f"  most suspicious from {verdict.peak_view}" if verdict.verdict == "NG" else ""
        line = f"{verdict.verdict}  {verdict.label:<8} {verdict.confidence:.3f}  {part}{where}"
        sheet = annotate_part(pictures, verdict, heats, by.model) if sheets else None
        yield Judged(place, asdict(verdict), line, sheet)
