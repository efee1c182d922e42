"""`python -m studies.gates`: how many unsuitable and how many regular pictures the judges call INVALID.

    python -m studies.gates --model RUN --golden FOLDER --data DATASET --other DATASET --write vit

--data holds regular renders, OK and NG, whose seeds and positions differ from those that RUN was trained on. --other
holds renders of another scene. Unsuitable pictures are changed copies of some regular ones. All pictures are judged:

- by a ViT, with `python -m trainer.predict --model RUN --allow-unfit`;
- by a Florence-2, with its gates only: its answers take most of the time and make no picture INVALID;
- by SOARTC, with `python -m generator inspect --golden FOLDER`.

The table has the share of INVALID with its 95 % interval (Clopper and Pearson), and for `inspect` the numbers of the
other verdicts. --write puts it into docs/explanation/gates.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from scipy.stats import binomtest

from generator.io.pictures import open_picture
from studies.page import marked
from studies.tables import table
from trainer.core.errors import InputError
from trainer.core.gates import Gates
from trainer.core.options import main_of, number
from trainer.run_kinds import RunKind, run_kind

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "gates.md"
REGULAR = "regular"
SOARTC, VIT, FLORENCE2 = "SOARTC", "ViT", "Florence-2"
HALF_TURN = "turned by 180° (keyed, latched or printed)"
OTHER = "another scene"
BATCH = 8  # pictures that a Florence-2 reads at once
# Housings that a turn by 180° maps onto themselves, by scene; the others have a key, a latch or a slot.
SYMMETRIC = {"connector_3x9": ("plain", "ribbed", "bossed", "chamfered"), "auto_2x11": ("plain", "keyed")}
# A judge returns the verdicts on picture files, by file name.
Judge = Callable[[Sequence[Path]], Mapping[str, str]]


def unsuitable(picture: Image.Image, random: np.random.Generator) -> dict[str, Image.Image]:
    """Change a regular RGB picture in ways that make judging impossible; returns the pictures by kind of change."""
    width, height = size = picture.size
    pixels = np.asarray(picture)
    across = np.tile(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, 1, 3))
    down = np.tile(np.linspace(0, 255, height).astype(np.uint8)[:, None, None], (1, width, 3))
    movement = np.mean([np.roll(pixels, shift, axis=1) for shift in range(-2, 3)], axis=0).round().astype(np.uint8)
    halves = [(0, 0, width // 2, height), (width // 2, 0, width, height), (0, 0, width, height // 2)]
    shifts = [(width // 2, 0), (-(width // 2), 0), (0, height // 2), (0, -(height // 2))]
    quarter = {
        angle: picture.transpose(turn)
        for angle, turn in (("90°", Image.Transpose.ROTATE_90), ("270°", Image.Transpose.ROTATE_270))
    }
    return {
        "black": Image.new("RGB", size),
        "white": Image.new("RGB", size, (255, 255, 255)),
        "noise": Image.fromarray(random.integers(0, 256, pixels.shape, dtype=np.uint8)),
        "gradient across": Image.fromarray(across),
        "gradient down": Image.fromarray(down),
        **{f"turned by {angle}": one for angle, one in quarter.items()},
        "turned by 90°, stretched to the old size": quarter["90°"].resize(size, Image.Resampling.BICUBIC),
        HALF_TURN: picture.transpose(Image.Transpose.ROTATE_180),
        **{f"half out of the frame, {where}": _shifted(pixels, *by) for where, by in zip(SIDES, shifts, strict=True)},
        **{
            f"cropped to the {name} half, enlarged": picture.crop(box).resize(size, Image.Resampling.BICUBIC)
            for name, box in zip(("left", "right", "upper"), halves, strict=True)
        },
        "blur, Gaussian of 5 px": picture.filter(ImageFilter.GaussianBlur(5)),
        "blur, mean of 5 x 5 px": picture.filter(ImageFilter.BoxBlur(2)),
        "blur, movement of 5 px": Image.fromarray(movement),
        "exposure, an eighth": picture.point(lambda value: value / 8),
        "exposure, fourfold": picture.point(lambda value: min(255, 4 * value)),
    }


SIDES = ("right", "left", "below", "above")


def _shifted(pixels: np.ndarray, across: int, down: int) -> Image.Image:
    """Shift a picture (H, W, 3); the mean colour of its border fills the rest."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    moved = np.roll(pixels, (down, across), axis=(0, 1))
    rows, columns = (slice(0, by) if by >= 0 else slice(by, None) for by in (down, across))
    moved[rows] = border.mean(0)
    moved[:, columns] = border.mean(0)
    return Image.fromarray(moved)


def is_symmetric(row: Mapping[str, Any]) -> bool:
    """Return whether the part of a dataset's row looks the same after a turn by 180°: no key, latch, slot or print."""
    return row["marking"] == "none" and row["housing"] in SYMMETRIC.get(str(row["scene"]), ())


def rows_of(folder: Path, splits: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a dataset's splits (empty: all), each with its picture as undecoded bytes."""
    from datasets import Image as Undecoded
    from datasets import load_dataset

    dataset = load_dataset(str(folder))
    for name in splits or dataset:
        yield from dataset[name].cast_column("image", Undecoded(decode=False))


def write_pictures(to: Path, data: Path, splits: Sequence[str], others: Sequence[Path], most: int) -> None:
    """Write regular and unsuitable pictures as PNG files into numbered folders, one for each kind of picture.

    Args:
        to: Folder to write into; its kinds.json lists the names of the kinds by number.
        data: Dataset of the regular pictures.
        splits: The splits of `data` to use; empty: all.
        others: Datasets of other scenes; their pictures get the size of the last regular picture.
        most: Largest number of regular pictures that are changed.
    """
    kinds: list[str] = []

    def save(kind: str, name: str, picture: Image.Image) -> None:
        if kind not in kinds:
            kinds.append(kind)
            (to / str(kinds.index(kind))).mkdir()
        picture.save(to / str(kinds.index(kind)) / f"{kinds.index(kind)}_{name}.png", compress_level=1)

    rows = list(rows_of(data, splits))
    changed = {int(i) for i in np.linspace(0, len(rows) - 1, min(most, len(rows))).round()}
    size = (0, 0)
    for index, row in enumerate(rows):
        picture = open_picture(row["image"]["bytes"], row["run"]).convert("RGB")
        size = picture.size
        save(REGULAR, row["run"], picture)
        if index in changed:
            for kind, one in unsuitable(picture, np.random.default_rng(index)).items():
                if kind != HALF_TURN or not is_symmetric(row):
                    save(kind, row["run"], one)
    for other in others:
        for row in rows_of(other, ()):
            picture = open_picture(row["image"]["bytes"], row["run"]).convert("RGB")
            save(f"{OTHER}: {row['scene']}", row["run"], picture.resize(size, Image.Resampling.BICUBIC))
    (to / "kinds.json").write_text(json.dumps(kinds), "utf-8")


def _run(*arguments: object) -> None:
    done = subprocess.run([sys.executable, "-m", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"python -m {arguments[0]}: expected exit code 0, got {done.returncode}: {done.stderr[-500:]}")


def judge_of_run(run: Path) -> Judge:
    """Make a `Judge`, a function from picture files to verdicts, that calls `trainer.predict` with a run's folder."""

    def judge(files: Sequence[Path]) -> dict[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            verdicts = Path(folder) / "verdicts.json"
            _run("trainer.predict", "--model", run, "--allow-unfit", "--json", verdicts, *files)
            return {Path(one["file"]).name: one["verdict"] for one in json.loads(verdicts.read_text("utf-8"))}

    return judge


def judge_of_gates(run: Path) -> Judge:
    """Make a `Judge`, a function from picture files to verdicts: INVALID if a Florence-2's gates refuse it, else OK."""
    import torch

    from trainer.florence2.data import stretched
    from trainer.florence2.detect import Inspector
    from trainer.florence2.gates import watch

    by, gates = Inspector.load(run), Gates.load(run)

    def judge(files: Sequence[Path]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(files), BATCH):
            some = files[start : start + BATCH]
            pictures = [open_picture(file, str(file)).convert("RGB") for file in some]
            pixels = np.stack([stretched(one, by.detector.size) for one in pictures])
            with watch(by.model) as seen, torch.no_grad():
                by.model.model.vision_tower(by.collator.inputs(torch.from_numpy(pixels).float() / 255)["pixel_values"])
            reasons = gates.reasons(pictures, seen.features)
            found |= {file.name: "INVALID" if any_ else "OK" for file, any_ in zip(some, reasons, strict=True)}
        return found

    return judge


def judge_of_golden(golden: Path) -> Judge:
    """Make a `Judge`, a function from picture files to verdicts, that calls `generator inspect --golden FOLDER`."""

    def judge(files: Sequence[Path]) -> dict[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            _run("generator", "inspect", *files, "--golden", golden, "-o", folder)
            found = {one: Path(folder) / f"{one.stem}.json" for one in files}
            return {one.name: json.loads(file.read_text("utf-8"))["verdict"] for one, file in found.items()}

    return judge


def share(verdicts: Sequence[str]) -> str:
    """Write how many verdicts are INVALID: count, total and 95 % interval of the share in %."""
    count = sum(verdict == "INVALID" for verdict in verdicts)
    low, high = binomtest(count, len(verdicts)).proportion_ci(0.95)
    return f"{count} of {len(verdicts)} ({100 * low:.1f}–{100 * high:.1f} %)"


def others(verdicts: Sequence[str]) -> str:
    """Write how often each verdict other than INVALID was given."""
    counts = Counter(verdict for verdict in verdicts if verdict != "INVALID")
    return ", ".join(f"{verdict} {count}" for verdict, count in sorted(counts.items()))


def measured(pictures: Path, judges: Mapping[str, Judge]) -> str:
    """Judge the pictures of `write_pictures`; returns a Markdown table: a row per kind of picture, columns by judge."""
    kinds = json.loads((pictures / "kinds.json").read_text("utf-8"))
    files = {kind: sorted((pictures / str(number)).glob("*.png")) for number, kind in enumerate(kinds)}
    every = [file for some in files.values() for file in some]
    verdicts = {name: judge(every) for name, judge in judges.items()}
    found = {kind: [[of[file.name] for file in some] for of in verdicts.values()] for kind, some in files.items()}
    by_golden = [index for index, name in enumerate(judges) if name == SOARTC]
    rows = [
        [kind, *(share(each) for each in some), *(others(some[index]) for index in by_golden)]
        for kind, some in found.items()
    ]
    return table(["pictures", *judges, *("other verdicts" for _ in by_golden)], rows)


def judges_of(runs: Sequence[Path]) -> dict[str, Judge]:
    """Return the judge of each run, headed ViT or Florence-2, with the run's path if several runs are of one kind."""
    kinds = [FLORENCE2 if run_kind(run) is RunKind.FLORENCE2 else VIT for run in runs]
    heads = [kind if kinds.count(kind) == 1 else f"{kind} `{run}`" for run, kind in zip(runs, kinds, strict=True)]
    makers = {VIT: judge_of_run, FLORENCE2: judge_of_gates}
    return {head: makers[kind](run) for head, run, kind in zip(heads, runs, kinds, strict=True)}


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    p = argparse.ArgumentParser(
        prog="python -m studies.gates",
        description="Measure how often trained networks and `generator inspect` call a picture INVALID. Two kinds of "
        "pictures are judged: regular renders, where INVALID is a false alarm, and pictures that cannot be judged.",
        allow_abbrev=False,
    )
    model = "run folder of a ViT or Florence-2 that judges the pictures; may be repeated"
    p.add_argument("--model", type=Path, action="append", default=[], metavar="RUN", help=model)
    golden = "folder of pictures of good parts, with which `generator inspect` compares (default: it does not judge)"
    p.add_argument("--golden", type=Path, metavar="FOLDER", help=golden)
    regular = "dataset of regular renders, which are not to be called INVALID; parts both OK and NG"
    p.add_argument("--data", type=Path, required=True, metavar="DATASET", help=regular)
    split = "split of --data to use; may be repeated (default: all splits)"
    p.add_argument("--split", action="append", default=[], metavar="NAME", help=split)
    p.add_argument(
        "--other",
        type=Path,
        action="append",
        default=[],
        metavar="DATASET",
        help="dataset of renders of another scene; all its pictures should be INVALID; may be repeated",
    )
    pictures = "number of regular renders of which unsuitable copies are made (default: 100)"
    p.add_argument("--pictures", type=number(int, 1, 100_000), default=100, metavar="N", help=pictures)
    write = "write the table into docs/explanation/gates.md, between the two markers that contain NAME"
    p.add_argument("--write", metavar="NAME", help=write)
    return p


def run(args: argparse.Namespace) -> int:
    """Judge the pictures and print the table, with --write also into gates.md; returns the exit code."""
    judges = judges_of(args.model)
    if args.golden:
        judges[SOARTC] = judge_of_golden(args.golden)
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), args.data, args.split, args.other, args.pictures)
        found = measured(Path(folder), judges)
    print(found)
    if args.write:
        PAGE.write_text(marked(PAGE.read_text("utf-8"), f"gates {args.write}", found), "utf-8")
    return 0


main = main_of(parser, run)

if __name__ == "__main__":
    sys.exit(main())
