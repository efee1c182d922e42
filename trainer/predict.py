"""`python -m trainer.predict --model RUN IMAGE...`: a verdict for each picture, as JSON and as a picture.

RUN may be a ViT's or a Florence-2's; the latter's pictures get boxes (`trainer.florence2.detect`).

For a ViT the picture is fitted into the network's size as in training (one scale both ways, centred, the border
repeated). The heat map is the patch head's 1 - P(OK), laid back onto the picture. A run trained with `--input
nsoart` judges NSOART pictures: give it those. A run trained with `--views` judges parts: the pictures' names say which
view of which part each is (`trainer.core.views`).
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tqdm import tqdm

from generator.io import pictures as decoder
from generator.io.view_names import parts_of
from trainer.core import checkpoint, frozen_threshold
from trainer.core.data import open_picture
from trainer.core.errors import InputError, as_input_error
from trainer.core.options import check_place, exit_code
from trainer.florence2.run import FORMAT as DETECTION_FORMAT
from trainer.florence2.run import kind_of
from trainer.vit.network.letterbox import rgb
from trainer.vit.network.model import ViT
from trainer.vit.verdicts import annotate, annotate_part, judge, judge_part

PREDICTIONS = "predictions.json"
MARK = ("Software", "Pinsight trainer.predict")  # in every sheet


@dataclass(frozen=True)
class Judged:
    """One picture's outcome: verdict for the JSON, line for the terminal, sheet for the folder; or problems.

    Of a part `file` is what its sheet is named after.
    """

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
        if path.is_file():
            found.append(path)
        elif not path.is_dir():
            problems.append(f"{path}: expected a picture or a folder, got nothing there")
        else:
            try:
                with as_input_error():
                    found += decoder.find_pictures(path)
            except InputError as e:
                problems += e.problems
    if problems:
        raise InputError(problems)
    return list(dict.fromkeys(found))


def sheet_names(files: Sequence[Path]) -> list[str]:
    """One PNG name per file: its stem, numbered where stems repeat."""
    names: dict[str, None] = {}
    following: dict[str, int] = {}  # numbers below are taken
    for file in files:
        number = following.get(file.stem, 1)
        while (name := f"{file.stem}_{number}.png" if number > 1 else f"{file.stem}.png") in names:
            number += 1
        following[file.stem] = number + 1
        names[name] = None
    return list(names)


def _earlier(out: Path) -> list[str]:
    """Names in `out` that belong to an earlier call: what OUT/predictions.json names, and that file.

    Raises:
        InputError: It is not one of ours.
    """
    path = out / PREDICTIONS
    if not path.exists():
        return []
    try:
        verdicts = json.loads(path.read_text(encoding="utf-8"))
        places = [Path(one["file"]) if "file" in one else Path(f"{one['part']}.png") for one in verdicts]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise InputError(
            f"--out {out}: expected none or our own {PREDICTIONS}, got {type(e).__name__}: {e}"
        ) from e
    return [PREDICTIONS, *sheet_names(places)]


def _mark() -> PngInfo:
    found = PngInfo()
    found.add_text(*MARK)
    return found


def _is_sheet(path: Path) -> bool:
    """Whether a file bears the mark of our sheets: an interrupted call has named none of them yet."""
    try:
        with Image.open(path) as picture:
            return picture.info.get(MARK[0]) == MARK[1]
    except Exception:  # decoders raise what a strange byte leads them to
        return False


def check_targets(args: argparse.Namespace, files: Sequence[Path], names: Sequence[str]) -> None:
    """Whether everything can be written without harm: nothing that is read, or that somebody else made, is replaced.

    Args:
        args: The command's: where sheets and verdicts go, and what is read beside the pictures.
        files: The pictures.
        names: Of the sheets.

    Raises:
        InputError: Which file is in the way.
    """
    out, json_file = args.out, args.json
    sources = {file.resolve() for file in files}
    if json_file is not None:
        if json_file.is_dir() or not json_file.parent.is_dir():
            got = "a folder" if json_file.is_dir() else f"no folder {json_file.parent}"
            raise InputError(f"--json {json_file}: expected a file in a folder that exists, got {got}")
        if json_file.resolve() in sources or (
            args.positions and json_file.resolve() == args.positions.resolve()
        ):
            raise InputError(f"--json {json_file}: expected another file than those that are read")
    if out is None:
        return
    check_place(out)
    if out.resolve() in {source.parent for source in sources}:
        raise InputError(
            f"--out {out}: expected a folder apart from the pictures: a sheet has its picture's name"
        )
    ours = set(_earlier(out))
    foreign = [
        name for name in names if name not in ours and (out / name).exists() and not _is_sheet(out / name)
    ]
    if foreign:
        more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
        raise InputError(
            f"--out {out}: expected a folder without files of the sheets' names that an earlier call has not written, "
            f"got {', '.join(foreign[:5])}{more}"
        )


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
    from trainer.florence2 import detect

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


def _classifier(args: argparse.Namespace) -> tuple[ViT, float | None, float]:
    """A ViT run's network, threshold and temperature."""
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise InputError(f"--threshold: expected 0 to 1, got {args.threshold}")
    _, settings = checkpoint.load_config(args.model)
    if "+" in settings.input:
        raise InputError(
            f"--model {args.model}: was trained on {settings.input}, and a picture alone is not both; "
            "`python -m trainer.evaluate` measures it on a dataset that holds both"
        )
    model = checkpoint.load_model(args.model, args.weights or "best")
    held = frozen_threshold.load(args.model) if args.weights in (None, "best") else None
    threshold = args.threshold if args.threshold is not None else held.threshold if held else None
    return model, threshold, held.temperature if held else 1.0


def _classify(args: argparse.Namespace, files: Sequence[Path]) -> Iterator[Judged]:
    """Verdict, line and sheet of each picture by a ViT run."""
    model, threshold, temperature = _classifier(args)
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


def _classify_parts(args: argparse.Namespace, parts: Mapping[Path, Mapping[str, Path]]) -> Iterator[Judged]:
    """Verdict, line and sheet of each part by a ViT run on several views."""
    model, threshold, temperature = _classifier(args)
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
        verdict, heats = judge_part(model, pictures, part, named, threshold, temperature)
        where = f"  most suspicious from {verdict.peak_view}" if verdict.verdict == "NG" else ""
        line = f"{verdict.verdict}  {verdict.label:<8} {verdict.confidence:.3f}  {part}{where}"
        sheet = annotate_part(pictures, verdict, heats, model) if args.out else None
        yield Judged(place, asdict(verdict), line, sheet)


def _judged(
    args: argparse.Namespace, files: Sequence[Path], detects: bool
) -> tuple[Iterator[Judged], list[Path], list[str]]:
    """The outcomes as they come, what their sheets are named after, and what is wrong with the files' names."""
    if detects:
        return _detect(args, files), list(files), []
    seen_from = checkpoint.load_config(args.model)[0].views
    if not seen_from:
        return _classify(args, files), list(files), []
    found, problems = parts_of(files, seen_from)
    # A name with a dot keeps what follows it.
    parts = {Path(f"{part}.png"): pictures for part, pictures in found.items()}
    return _classify_parts(args, parts), list(parts), problems


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
    judged, places, problems = _judged(args, files, detects)
    names = dict(zip(places, sheet_names(places), strict=True))
    check_targets(args, files, list(names.values()))
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
    verdicts = []
    for one in tqdm(judged, total=len(places), unit="picture", disable=None):
        problems += one.problems
        if one.verdict is None:
            continue
        verdicts.append(one.verdict)
        tqdm.write(one.line, file=sys.stdout)
        if args.out is not None and one.sheet is not None:
            checkpoint.replace_file(
                args.out / names[one.file],
                lambda t, sheet=one.sheet: sheet.save(t, format="PNG", pnginfo=_mark()),
            )
    text = json.dumps(verdicts, indent=2, ensure_ascii=False) + "\n"
    for target in (args.json, args.out / PREDICTIONS if args.out else None):
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
