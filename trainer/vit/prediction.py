"""Verdicts of a ViT's run on picture files, or on parts with a picture from each camera, for `trainer.predict`.

Pictures are letterboxed to the network's size as in training (one scale for both directions, centred, the border
repeated). The heat map is the patch head's 1 - P(OK), scaled to the picture. A run trained with `--input nsoart` needs
NSOART pictures. A run trained with `--views` judges parts: part and view are read from the pictures' names
(`generator.io.view_names`).
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
    """A run's network with its threshold and temperature.

    Args:
        model: The network in evaluation mode.
        threshold: Least P(NG) = 1 - P(OK) that is NG; None: the most probable class is the label.
        temperature: Divides the logits, above 0.
    """

    model: ViT
    threshold: float | None
    temperature: float


def load_classifier(run: Path, weights: str | None, threshold: float | None) -> Classifier:
    """Load a ViT's run with its threshold and temperature, which belong to the best weights.

    Args:
        run: The run's folder.
        weights: `best` or `last`; None: best.
        threshold: In [0, 1]; used in place of the run's own. None: the run's own.

    Raises:
        InputError: The run cannot be read, or needs picture and NSOART picture together.
    """
    _, settings = vit_run.load_config(run)
    if "+" in settings.input:
        raise InputError(
            f"--model {run}: expected a run trained on one kind of picture, got one trained on {settings.input}; "
            "`python -m trainer.evaluate` measures it on a dataset that has both"
        )
    model = vit_run.load_model(run, weights or "best")
    held = frozen_threshold.load(run) if weights in (None, "best") else None
    if threshold is None and held is not None:
        threshold = held.threshold
    return Classifier(model, threshold, held.temperature if held else 1.0)


def judging(run: Path, files: Sequence[Path], weights: str | None, threshold: float | None, sheets: bool) -> Judging:
    """Prepare the prediction of picture files.

    Args:
        run: The run's folder.
        files: The pictures.
        weights, threshold: See `load_classifier`.
        sheets: Whether to draw sheets.

    Raises:
        InputError: The run cannot be read. The first outcome may raise the errors of `load_classifier`.
    """
    views = vit_run.load_config(run)[0].views
    if not views:
        return Judging(_of_pictures(run, files, weights, threshold, sheets), list(files))
    found, problems = parts_of(files, views)
    # The suffix is added so that `with_suffix` below does not cut a part's name at a dot.
    parts = {Path(f"{part}.png"): pictures for part, pictures in found.items()}
    return Judging(_of_parts(run, parts, weights, threshold, sheets), list(parts), problems)


def _of_pictures(
    run: Path, files: Sequence[Path], weights: str | None, threshold: float | None, sheets: bool
) -> Iterator[Judged]:
    """Judge each picture file: yield its verdict, or the problems with it."""
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
    """Judge each part, whose files are given by view: yield its verdict, or the problems with its files."""
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
        where = f"  most suspicious in view {verdict.peak_view}" if verdict.verdict == "NG" else ""
        line = f"{verdict.verdict}  {verdict.label:<8} {verdict.confidence:.3f}  {part}{where}"
        sheet = annotate_part(pictures, verdict, heats, by.model) if sheets else None
        yield Judged(place, asdict(verdict), line, sheet)
