"""`python -m trainer.predict --model RUN IMAGE...`: a verdict for each picture, as JSON and as a picture.

RUN may be a ViT's or a Florence-2's; the latter's pictures get boxes (`trainer.detect`).

For a ViT the picture is fitted into the network's size as in training (one scale both ways, centred, the border
repeated). The heat map is the patch head's 1 - P(OK), laid back onto the picture. A run trained with `--input
nsoart` judges NSOART pictures: give it those.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from trainer import checkpoint, frozen
from trainer.data import open_picture
from trainer.errors import InputError
from trainer.fitting import fit_of, pixels_of, rgb
from trainer.florence2_run import FORMAT as DETECTION_FORMAT
from trainer.florence2_run import kind_of
from trainer.frozen import decide
from trainer.model import OK_CLASS, ViT
from trainer.options import exit_code

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
GREEN, RED = (40, 167, 69), (214, 48, 49)
SMALLEST_SIDE = 512


@dataclass(frozen=True)
class Verdict:
    """What the network says of one picture.

    Args:
        file: The picture's path as given or found.
        verdict: `OK` or `NG`.
        label: `OK` below the threshold, else the most likely other class; without a threshold the most likely class.
        confidence: Its probability.
        probabilities: Probability by class name.
        peak_px: (x, y) of the most suspicious patch's centre, in px of the picture.
        peak_class: Most likely NG class there.
        peak_probability: 1 - P(OK) there.
    """

    file: str
    verdict: str
    label: str
    confidence: float
    probabilities: dict[str, float]
    peak_px: tuple[float, float]
    peak_class: str
    peak_probability: float


@dataclass(frozen=True)
class Judged:
    """One picture's outcome: verdict for the JSON, line for the terminal, sheet for the folder; or problems."""

    file: Path
    verdict: dict[str, Any] | None = None
    line: str = ""
    sheet: Image.Image | None = None
    problems: Sequence[str] = ()


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """Files as given; of folders all pictures below them, by name.

    Raises:
        InputError: A path does not exist, or a folder holds no picture.
    """
    found, problems = [], []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            if not inside:
                problems.append(
                    f"{path}: expected pictures ({', '.join(sorted(SUFFIXES))}) in the folder, got none"
                )
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            problems.append(f"{path}: expected a picture or a folder, got nothing there")
    if problems:
        raise InputError(problems)
    return list(dict.fromkeys(found))


def judge(
    model: ViT, picture: Image.Image, file: str, threshold: float | None = None, temperature: float = 1.0
) -> tuple[Verdict, np.ndarray]:
    """Judge one picture.

    Args:
        model: A trained network in evaluation mode.
        picture: Any size and mode.
        file: Name in the verdict.
        threshold: NG from so much 1 - P(OK) on; without, the most likely class decides.
        temperature: Divides the logits.

    Returns:
        The verdict and the heat map (h, w) in [0, 1] over the network's patches.
    """
    config = model.config
    size = (config.width, config.height)
    pixels = torch.from_numpy(pixels_of(picture, size).copy())[None].float() / 255
    with torch.inference_mode():
        prediction = model(pixels)
    probabilities = (prediction.logits[0].double() / temperature).softmax(0)
    label = int(probabilities.argmax())
    if threshold is not None:
        label = int(decide(probabilities[None].numpy(), config.ok_index, threshold)[0])
    patches = prediction.patch_logits[0].double().softmax(0)  # (K, h, w)
    heat = 1 - patches[config.ok_index]
    fit = fit_of(rgb(picture).size, size)
    # The repeated border is no part of the picture: a peak there would point outside.
    patch = config.patch_size
    y, x = ((torch.arange(count) + 0.5) * patch for count in heat.shape)
    inside = (
        ((y >= fit.top) & (y <= fit.top + fit.height))[:, None]
        & (x >= fit.left)
        & (x <= fit.left + fit.width)
    )
    row, column = divmod(int(torch.where(inside, heat, -1.0).argmax()), heat.shape[1])
    at_peak = patches[:, row, column].clone()
    at_peak[config.ok_index] = -1
    verdict = Verdict(
        file=file,
        verdict="OK" if label == config.ok_index else "NG",
        label=config.classes[label],
        confidence=float(probabilities[label]),
        probabilities={name: float(p) for name, p in zip(config.classes, probabilities, strict=True)},
        peak_px=(
            (float(x[column]) - fit.left) / fit.scale,
            (float(y[row]) - fit.top) / fit.scale,
        ),
        peak_class=config.classes[int(at_peak.argmax())],
        peak_probability=float(heat[row, column]),
    )
    return verdict, heat.numpy()


def _heat_on(picture: Image.Image, heat: np.ndarray, model: ViT) -> Image.Image:
    """The picture with its heat map in red, both in the picture's size."""
    config = model.config
    fit = fit_of(picture.size, (config.width, config.height))
    whole = Image.fromarray((heat * 255).astype(np.uint8)).resize(
        (heat.shape[1] * config.patch_size, heat.shape[0] * config.patch_size), Image.Resampling.BILINEAR
    )
    inside = whole.crop((fit.left, fit.top, fit.left + fit.width, fit.top + fit.height))
    strength = inside.resize(picture.size, Image.Resampling.BILINEAR).point(lambda v: v * 0.75)
    return Image.composite(Image.new("RGB", picture.size, (255, 40, 0)), picture, strength)


def annotate(picture: Image.Image, verdict: Verdict, heat: np.ndarray, model: ViT) -> Image.Image:
    """The picture and its heat map, one above the other, under a bar with verdict, class and confidence.

    Args:
        picture: As opened.
        verdict: From `judge`.
        heat: (h, w) from `judge`.
        model: The network that judged.
    """
    picture = rgb(picture)
    overlay = _heat_on(picture, heat, model)
    factor = max(1, -(-SMALLEST_SIDE // picture.width))
    size = (picture.width * factor, picture.height * factor)
    bar = max(28, size[0] // 22)
    sheet = Image.new("RGB", (size[0], bar + 2 * size[1] + 4), "white")
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((0, 0, size[0], bar), fill=GREEN if verdict.verdict == "OK" else RED)
    text = verdict.verdict if verdict.label == OK_CLASS else f"{verdict.verdict}  {verdict.label}"
    font = ImageFont.load_default(size=bar * 0.6)
    draw.text((bar // 3, bar // 2), f"{text}  {verdict.confidence:.0%}", fill="white", font=font, anchor="lm")
    sheet.paste(picture.resize(size, Image.Resampling.NEAREST), (0, bar))
    sheet.paste(overlay.resize(size, Image.Resampling.NEAREST), (0, bar + size[1] + 4))
    if verdict.verdict == "NG":
        x, y = verdict.peak_px[0] * factor, verdict.peak_px[1] * factor + bar
        radius = 1.5 * model.config.patch_size * size[0] / model.config.width
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=RED, width=max(2, factor))
    return sheet


def sheet_names(files: Sequence[Path]) -> list[str]:
    """One PNG name per file: its stem, numbered where stems repeat."""
    names: list[str] = []
    for file in files:
        name, number = f"{file.stem}.png", 2
        while name in names:
            name, number = f"{file.stem}_{number}.png", number + 1
        names.append(name)
    return names


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(
        prog="python -m trainer.predict",
        description="Judge pictures with a trained run. ViT: OK or NG, class, confidence, where the patches see it. "
        "Florence-2: OK or NG, and a box with class and confidence round each defect.",
        epilog="exit codes: 0 done, whatever the verdicts; 2 a picture or the run cannot be read; 1 anything else",
        allow_abbrev=False,
    )
    p.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="RUN",
        help="folder of `python -m trainer.vit --out` or of `python -m trainer.florence2 --out`",
    )
    p.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="pictures, or folders of pictures")
    p.add_argument("--json", type=Path, metavar="FILE", help="write all verdicts to this file")
    p.add_argument(
        "-o", "--out", type=Path, metavar="OUT", help="folder for predictions.json and a picture for each"
    )
    p.add_argument(
        "--weights", choices=("best", "last"), default=None, help="ViT: which epoch's weights (best)"
    )
    p.add_argument(
        "--positions",
        type=Path,
        metavar="FILE",
        help="Florence-2: CSV with address, cavity, x1, y1, x2, y2 (px), or a record; names the pin of each box",
    )
    p.add_argument(
        "--threshold",
        type=float,
        metavar="P",
        help="ViT: least P(NG) of an NG; Florence-2: least confidence of a box (the run's own)",
    )
    p.add_argument(
        "--batch-size", type=int, metavar="N", help="Florence-2: pictures that are answered together (8)"
    )
    p.add_argument("--threads", type=int, default=None, help="CPU threads (as many as PyTorch finds cores)")
    return p


def _options_of_the_other_kind(args: argparse.Namespace, detects: bool) -> list[str]:
    """Options that this run's kind of model does not have."""
    names = ("weights",) if detects else ("positions", "batch_size")
    kind = "Florence-2" if detects else "ViT"
    return [
        f"--{name.replace('_', '-')}: expected only with the other kind of run, got one of {kind}"
        for name in names
        if getattr(args, name) is not None
    ]


def _detect(args: argparse.Namespace, files: Sequence[Path]) -> Iterator[Judged]:
    """Verdict, line and sheet of each picture by a Florence-2 run, a batch at a time."""
    # Imported here: transformers takes seconds, and a ViT does without.
    from trainer import detect

    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise InputError(f"--threshold: expected 0 to 1, got {args.threshold}")
    if args.batch_size is not None and args.batch_size < 1:
        raise InputError(f"--batch-size: expected 1 or more, got {args.batch_size}")
    pins = detect.read_positions(args.positions) if args.positions else []
    inspector = detect.Inspector.load(args.model)
    threshold = inspector.detector.threshold if args.threshold is None else args.threshold
    size = args.batch_size or 8
    for start in range(0, len(files), size):
        pictures: list[tuple[Path, Image.Image]] = []
        for file in files[start : start + size]:
            try:
                pictures.append((file, rgb(open_picture(file, str(file)))))
            except InputError as e:
                yield Judged(file, problems=e.problems)
        found = inspector.find([picture for _, picture in pictures]) if pictures else []
        for (file, picture), boxes in zip(pictures, found, strict=True):
            verdict = detect.verdict_of(boxes, picture.size, str(file), threshold, pins)
            said = ", ".join(f"{b.address or '?'} {b.label} {b.confidence:.2f}" for b in verdict.boxes)
            line = f"{verdict.verdict}  {file}  {said}".rstrip()
            yield Judged(file, asdict(verdict), line, detect.annotate(picture, verdict) if args.out else None)


def _classify(args: argparse.Namespace, files: Sequence[Path]) -> Iterator[Judged]:
    """Verdict, line and sheet of each picture by a ViT run."""
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise InputError(f"--threshold: expected 0 to 1, got {args.threshold}")
    _, settings = checkpoint.load_config(args.model)
    if "+" in settings.input:
        raise InputError(
            f"--model {args.model}: was trained on {settings.input}, and a picture alone is not both; "
            "`python -m trainer.evaluate` measures it on a dataset that holds both"
        )
    model = checkpoint.load_model(args.model, args.weights or "best")
    held = frozen.load(args.model) if args.weights in (None, "best") else None
    threshold = args.threshold if args.threshold is not None else held.threshold if held else None
    temperature = held.temperature if held else 1.0
    for file in files:
        try:
            picture = open_picture(file, str(file))
        except InputError as e:
            yield Judged(file, problems=e.problems)
            continue
        verdict, heat = judge(model, picture, str(file), threshold, temperature)
        line = f"{verdict.verdict}  {verdict.label:<8} {verdict.confidence:.3f}  {file}"
        yield Judged(
            file, asdict(verdict), line, annotate(picture, verdict, heat, model) if args.out else None
        )


def run(args: argparse.Namespace) -> int:
    """Judge as the options say; returns the exit code."""
    files = find_pictures(args.images)
    detects = kind_of(args.model) == DETECTION_FORMAT
    if wrong := _options_of_the_other_kind(args, detects):
        raise InputError(wrong)
    if args.threads is not None:
        if args.threads < 1:
            raise InputError(f"--threads: expected 1 or more, got {args.threads}")
        torch.set_num_threads(args.threads)
    if args.out is not None:
        if args.out.exists() and not args.out.is_dir():
            raise InputError(f"--out {args.out}: expected a folder, got a file")
        args.out.mkdir(parents=True, exist_ok=True)
    names = dict(zip(files, sheet_names(files), strict=True))
    verdicts, problems = [], []
    judged = (_detect if detects else _classify)(args, files)
    for one in tqdm(judged, total=len(files), unit="picture", disable=None):
        problems += one.problems
        if one.verdict is None:
            continue
        verdicts.append(one.verdict)
        tqdm.write(one.line, file=sys.stdout)
        if args.out is not None and one.sheet is not None:
            checkpoint.replace_file(
                args.out / names[one.file], lambda t, sheet=one.sheet: sheet.save(t, format="PNG")
            )
    text = json.dumps(verdicts, indent=2, ensure_ascii=False) + "\n"
    for target in (args.json, args.out / "predictions.json" if args.out else None):
        if target is not None:
            checkpoint.write_text(target, text)
    if problems:
        raise InputError(problems)
    return 0


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parser().parse_args(argv)
    return exit_code(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
