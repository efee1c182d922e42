"""`python -m generator import`: make a dataset from labelled photographs, alone or mixed with renders.

    python -m generator import photos/coco --format coco --to out/photos --splits train=0.7,validation=0.3
    python -m generator import photos/yolo --format yolo --to out/mixed --with out/dataset --share 0.3
    python -m generator import station --format imagefolder --to out/parts --splits test=1 --views center,left,top

Values that the labels do not contain are null: no measure, address or view of a photograph is guessed. The column
`synthetic` is false for photographs. All pictures are checked before the dataset is written; every fault is reported.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.rig import CAMERAS
from generator.dataset.derived_card import make_derived_card
from generator.dataset.folder import BATCH_ROWS, copy_references, ordered_splits
from generator.dataset.labels import ANSWER_LABELS, CLASSES, OK, OTHERNG
from generator.dataset.rows import features, missing_note
from generator.dataset.writer import DatasetWriter
from generator.interchange.coco import read_coco
from generator.interchange.image_folder import read_image_folder
from generator.interchange.labelled import (
    ClassNames,
    Found,
    note_others,
    numbers,
    split_of,
    with_defects_unknown,
    without_repeats,
)
from generator.interchange.mixing import Other, chosen
from generator.interchange.photo_rows import Examined, Photo, Rules, attach_images, examine, opened, without_reference
from generator.interchange.placing import placed
from generator.interchange.same_pictures import checked_copies
from generator.interchange.voc import read_voc
from generator.interchange.yolo import read_yolo
from generator.io.given_once import GivenOnce
from generator.io.processes import InOrder, processes
from generator.soart import nsoart

Reader = Callable[[argparse.Namespace, ClassNames, list[str]], Found]
# To add a format, write a function that reads it and list it here; it gets the options that it needs.
READERS: dict[str, Reader] = {
    "coco": lambda args, names, views: read_coco(args.source, args.images, names),
    "yolo": lambda args, names, views: read_yolo(args.source, names),
    "voc": lambda args, names, views: read_voc(args.source, args.images, names, args.zero_based),
    "imagefolder": lambda args, names, views: read_image_folder(args.source, names, views),
}
KNOWN = ("scene", "housing", "terminal", "camera", "lighting", "marking")
LAST_PART = 2**63 - 1
Statistics = dict[tuple[str, ...], nsoart.MapStatistics]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator import`."""
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder or file with the labels")
    parser.add_argument("--format", choices=tuple(READERS), required=True, help="format of SOURCE")
    parser.add_argument("--to", type=Path, required=True, metavar="DATASET", help="folder of the dataset to make")
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="coco, voc: folder of the pictures (default: beside the labels, or in images or JPEGImages there)",
    )
    parser.add_argument(
        "--classes",
        action=GivenOnce,
        metavar="WORD=CLASS,...",
        help="Pinsight's class for each label in SOURCE that is not a class's name, e.g. scratch=OTHERNG,good=OK",
    )
    parser.add_argument(
        "--known",
        action=GivenOnce,
        metavar="NAME=VALUE,...",
        help="values that are known and the same for all pictures, such as camera=center; "
        f"NAME is one of {', '.join(KNOWN)}",
    )
    parser.add_argument(
        "--views",
        action=GivenOnce,
        metavar="CAMERA,...",
        help="cameras that each took one picture of every part; file names end in the camera's name: part7_left.png",
    )
    parser.add_argument(
        "--splits",
        action=GivenOnce,
        metavar="SPLIT=SHARE,...",
        help="share of each split; pictures are drawn at random, class by class, e.g. train=0.7,validation=0.3 "
        "(default: splits as in SOURCE, else all train)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of all random choices (default: 0)")
    renders = "dataset whose rows are added to those of SOURCE in the new dataset"
    parser.add_argument("--with", dest="renders", type=Path, metavar="DATASET", help=renders)
    parser.add_argument(
        "--share",
        type=float,
        metavar="S",
        help="only if --with is given: how large a part of the training split shall be imported pictures, above 0 and "
        "below 1; surplus pictures of SOURCE or DATASET are left out at random (default: none is left out)",
    )
    parser.add_argument("--synthetic", action="store_true", help="the pictures are renders (column synthetic: true)")
    parser.add_argument(
        "--zero-based",
        action="store_true",
        help="format voc: pixels are counted from 0, and xmax and ymax are the box's right and lower edge (default: "
        "pixels are counted from 1, and xmax and ymax are the last ones in the box)",
    )
    parser.add_argument(
        "--skip-broken",
        action="store_true",
        help="leave out faulty pictures instead of stopping with an error; labels without a class still stop it",
    )
    licence = "licence stated in the card, such as mit (default: other)"
    parser.add_argument("--license", default="other", metavar="ID", help=licence)
    parser.add_argument("--workers", type=int, metavar="N", help="number of processes (default: one per core)")


@dataclass(frozen=True)
class ImportOptions:
    """The checked options of `generator import`.

    Attributes:
        classes: Pinsight's class of each label in the source, from --classes.
        known: values that the user gave for all pictures, by manifest column.
        shares: share of each split, 0 to 1; empty: splits as in the source.
        views: cameras that took a picture of every part; empty: pictures are not grouped by part.
        seed: seed of all random choices.
        share: share of imported pictures in the mixed training split, 0 to 1; None: no picture is left out.
        synthetic: whether the pictures are rendered.
        skip_broken: leave out faulty pictures, instead of raising an error.
        workers: number of processes; None: one per core.
    """

    classes: Mapping[str, str]
    known: Mapping[str, str]
    shares: Mapping[str, float]
    views: list[str]
    seed: int
    share: float | None
    synthetic: bool
    skip_broken: bool
    workers: int | None


def run(args: argparse.Namespace) -> int:
    """Import the pictures and print the number of rows in each split; returns the exit code."""
    options = _import_options(args)
    names = ClassNames(options.classes)
    found = READERS[args.format](args, names, options.views)
    found.pictures = [with_defects_unknown(without_repeats(one, found.notes)) for one in found.pictures]
    found.problems += names.problems()
    found.notes += names.notes()
    if args.source.is_dir() or args.format == "yolo":
        note_others(found, args.source if args.source.is_dir() else args.source.parent)
    sys.stderr.write("".join(f"{note}\n" for note in found.notes))
    other = Other.opened(args.renders) if args.renders is not None else None
    if other is not None and (note := missing_note(other.folder, other.columns)):
        sys.stderr.write(f"{note}\n")
    parts = other.parts if other is not None else {}
    if options.views and (last := max(parts.values(), default=0)) > LAST_PART - len(found.pictures):
        expected = f"part numbers of at most {LAST_PART - len(found.pictures)}, as imported parts get higher ones"
        raise InputError(f"{args.renders} column part: expected {expected}, got {last}")
    photos = placed(found, options.shares, options.seed, parts, options.views)
    source = args.source if args.source.is_dir() else args.source.parent
    with DatasetWriter(args.to, source) as writer:
        rules = _rules(photos, other, options)
        _write(photos, found.problems, other, rules, options, args, writer)
    for split, counts in writer.origins.items():
        sys.stdout.write(f"{split}: {', '.join(f'{count} {kind}' for kind, count in counts.items())}\n")
    sys.stdout.write(f"{args.to}: {sum(counts.total() for counts in writer.counts.values())} rows\n")
    return 0


def _import_options(args: argparse.Namespace) -> ImportOptions:
    """Return the checked options. Raises one InputError that lists every fault."""
    problems: list[str] = []
    options = ImportOptions(
        classes=_words(args.classes, problems),
        known=_pairs(args.known, "--known", problems),
        shares=_shares(args.splits, problems),
        views=_views(args, problems),
        seed=args.seed,
        share=args.share,
        synthetic=args.synthetic,
        skip_broken=args.skip_broken,
        workers=args.workers,
    )
    if options.views and ("camera" in options.known or args.share is not None):
        given = "--share" if args.share is not None else "--known camera"
        problems.append(f"--views: expected neither --known camera nor --share beside it, got {given}")
    problems += [
        f"--known: expected columns among {', '.join(KNOWN)}, got {name!r}"
        for name in options.known
        if name not in KNOWN
    ]
    if (camera := options.known.get("camera", CAMERAS[0])) not in CAMERAS:
        problems.append(f"--known camera: expected one of {', '.join(CAMERAS)}, got {camera!r}")
    if args.share is not None and not 0 < args.share < 1:
        problems.append(f"--share: expected a number above 0 and below 1, got {args.share:g}")
    if args.share is not None and args.renders is None:
        problems.append("--share: expected a dataset to mix with (--with DATASET), got none")
    if args.seed < 0:
        problems.append(f"--seed: expected a whole number of at least 0, got {args.seed}")
    if args.workers is not None and not 1 <= args.workers <= 1024:
        problems.append(f"--workers: expected 1 to 1024 processes, got {args.workers}")
    problems += _place_problems(args)
    if not args.source.exists():
        problems.append(f"{args.source}: expected labelled pictures, got no such file or folder")
    if args.images is not None and not args.images.is_dir():
        got = "a file" if args.images.exists() else "no such folder"
        problems.append(f"--images {args.images}: expected the folder of the pictures, got {got}")
    if problems:
        raise InputError(problems)
    return options


def _place_problems(args: argparse.Namespace) -> Iterator[str]:
    """List why the dataset may not be written into --to: it would lie among the pictures or renders that are read."""
    to = f"--to {args.to}: expected a folder"
    if args.renders is not None and _overlap(args.to.resolve(), args.renders.resolve()):
        yield f"{to} apart from {args.renders} (--with), got one that lies in it or contains it"
    # The next import would read a dataset among the labelled pictures as some of them.
    for folder, given in ((args.source, "SOURCE"), (args.images, "--images")):
        if folder is not None and folder.is_dir() and args.to.resolve().is_relative_to(folder.resolve()):
            yield f"{to} outside of {folder} ({given}), got one that lies in it"


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _rules(photos: list[Photo], other: Other | None, options: ImportOptions) -> Rules:
    answer, window, stride = "short", nsoart.WINDOW, nsoart.STRIDE
    extras: tuple[str, ...] = ("file",)
    if other is not None:
        extras = (*other.extras, *(name for name in extras if name not in other.extras))
        answer = str(other.card.get("answer"))
        window, stride = other.parameters["window"], other.parameters["stride"]
    golden = other.folder if other is not None and nsoart.is_golden(other.parameters) else None
    has_masks = any(each.segmentation for p in photos for each in p.labelled.objects or ())
    return Rules(
        options.known,
        options.synthetic,
        answer if answer in ANSWER_LABELS else "short",
        extras,
        has_masks or (other is not None and other.masks),
        window,
        stride,
        golden,
    )


def _write(
    photos: list[Photo],
    problems: list[str],
    other: Other | None,
    rules: Rules,
    options: ImportOptions,
    args: argparse.Namespace,
    writer: DatasetWriter,
) -> None:
    """Check all pictures and write the dataset."""
    has_other = (other is not None and other.other) or any(
        p.label == OTHERNG or any(each.category == OTHERNG for each in p.labelled.objects or ()) for p in photos
    )
    chunks = [photos[at : at + BATCH_ROWS] for at in range(0, len(photos), BATCH_ROWS)]
    with processes(options.workers, len(chunks) > 2) as in_order:
        rows, statistics = _examine(in_order, chunks, problems, rules, options, other)
        if not rows:
            raise InputError(f"{args.source}: expected labelled pictures, got none")
        parameters = other.parameters if other is not None else _parameters(rows, statistics, rules)
        writer.begin(features(has_other, rules.extras, rules.masks))
        _write_splits(in_order, rows, other, rules, parameters, options, writer)
    title = f"Imported: {args.source.resolve().name}"
    how = [f"{len(photos)} labelled pictures, imported from {args.format}. What the labels do not contain is null."]
    if other is not None:
        by = "no row is left out" if options.share is None else f"imported share of split train: {options.share:g}"
        title += f", with {other.folder.resolve().name}"
        how.append(f"Mixed with the dataset `{other.folder.resolve().name}`: {by}.")
    settings = {**(other.card if other is not None else {}), "answer": rules.answer}
    text = make_derived_card(
        title, how, writer.counts, writer.origins, writer.classes, settings, args.license, writer.content_sha256
    )
    if other is not None:
        copy_references(other.folder, writer.building)
    writer.finish(text, parameters, other.connectors if other is not None else None)


def _examine(
    in_order: InOrder,
    chunks: list[list[Photo]],
    problems: list[str],
    rules: Rules,
    options: ImportOptions,
    other: Other | None,
) -> tuple[list[Examined], Statistics]:
    """Check all photographs; return their rows and statistics of good parts. Raises one InputError with every fault."""
    rows: list[Examined] = []
    statistics: Statistics = {}
    broken: list[str] = []
    digests: dict[str, tuple[str, str]] = {}
    photos = [photo for chunk in chunks for photo in chunk]
    with tqdm(total=len(photos), desc="pictures", unit="picture", disable=None) as bar:
        for chunk, found in in_order(examine, ((chunk, rules) for chunk in chunks)):
            rows += found.examined
            broken += found.problems
            digests |= found.digests
            for note in found.notes:
                tqdm.write(note, file=sys.stderr)
            for group, numbers in found.statistics:
                merged = statistics.setdefault(group, nsoart.MapStatistics())
                merged.merge(nsoart.MapStatistics.from_numbers(numbers))
            bar.update(len(chunk))
    copied, notes, wrong = checked_copies(rows, digests, other.pictures if other is not None else {})
    sys.stderr.write("".join(f"{note}\n" for note in notes))
    rows = [one for one in rows if one.photo.run not in wrong]
    if other is not None and rules.golden is not None:
        strange = without_reference(rows, other.parameters, other.folder)
        rows = [one for one in rows if one.photo.run not in strange]
        copied = [*copied, *strange.values()]
    problems = [*problems, *broken, *copied]
    unclear = any(problem.startswith("classes:") for problem in problems)
    if problems and (not options.skip_broken or unclear or not rows):
        left = ": correct them, or give --skip-broken"
        left = ", and no picture without a fault" if options.skip_broken else left
        hint = "" if unclear else left
        count = "1 fault" if len(problems) == 1 else f"{len(problems)} faults"
        raise InputError([*problems, count + hint])
    whole = _of_whole_parts(rows, photos, problems)
    for problem in problems:
        sys.stderr.write(f"left out: {problem}\n")
    return whole, statistics


def _of_whole_parts(rows: list[Examined], photos: list[Photo], problems: list[str]) -> list[Examined]:
    """Return the rows of those parts of which no view has a fault."""
    read = Counter(photo.part for photo, _ in rows)
    every = Counter(photo.part for photo in photos if photo.part is not None)
    short = {part for part, count in every.items() if read[part] < count}
    problems += [
        f"{photo.labelled.name}: expected all views of the part, got one with a fault (see above)"
        for photo, _ in rows
        if photo.part in short
    ]
    return [one for one in rows if one.photo.part not in short]


def _parameters(rows: list[Examined], statistics: Statistics, rules: Rules) -> dict[str, Any]:
    """Return the contents of nsoart.json, with statistics of the imported photographs themselves."""
    spaces = nsoart.UnitSpaces()
    for one in rows:
        spaces.add(one.photo.run, one.group, one.photo.label == OK, one.photo.split)
    by_run = {photo.run: photo.labelled for photo, _ in rows}
    found = spaces.found()
    for space in found:
        if space.source in ("few", "all"):
            sums = nsoart.MapStatistics()
            for name in space.rows:
                sums.add(nsoart.nsoart_maps(opened(by_run[name])[0], rules.window, rules.stride))
            statistics[space.group] = sums
    return nsoart.make_parameters(found, statistics, rules.window, rules.stride)


def _write_splits(
    in_order: InOrder,
    rows: list[Examined],
    other: Other | None,
    rules: Rules,
    parameters: dict[str, Any],
    options: ImportOptions,
    writer: DatasetWriter,
) -> None:
    """Write the rows of each split: first those of the other dataset, then the photographs."""
    schema = features(True, rules.extras, rules.masks).arrow_schema.remove_metadata()
    renders = other.splits if other is not None else {}
    by_split: dict[str, list[Examined]] = {}
    for one in rows:
        by_split.setdefault(one.photo.split, []).append(one)
    for split in ordered_splits({*renders, *by_split}):
        own = by_split.get(split, [])
        share = options.share if split == "train" else None
        photos_kept, renders_kept = chosen(len(own), renders.get(split, 0), share, options.seed)
        if other is not None:
            for table in other.tables(split, renders_kept, schema):
                writer.add(split, table)
        own = [own[at] for at in photos_kept]
        parts = [own[at : at + BATCH_ROWS] for at in range(0, len(own), BATCH_ROWS)]
        calls = ((f"{split}-{number:06d}", part, rules, parameters, writer.spool) for number, part in enumerate(parts))
        with tqdm(total=len(own), desc=split, unit="row", disable=None) as bar:
            for name, kept in in_order(attach_images, calls):
                table = writer.spool.table(name)
                writer.add(split, table, kept.sha256)
                bar.update(table.num_rows)


def _views(args: argparse.Namespace, problems: list[str]) -> list[str]:
    views = args.views.split(",") if args.views is not None else []
    if args.views is not None and (len(set(views)) < max(2, len(views)) or "" in views):
        problems.append(f"--views: expected at least two different cameras, such as center,left, got {args.views!r}")
    return views


def _words(text: str | None, problems: list[str]) -> dict[str, str]:
    """Parse WORD=CLASS,... into classes by word.

    Words may hold `,` and `=`: a pair ends at the first comma after an `=`, its word at the pair's last `=`.
    """
    found: dict[str, str] = {}
    for pair in re.findall(r"[^=]*=[^,]*,?|[^=]+$", text or ""):
        word, equals, name = (part.strip() for part in pair.removesuffix(",").rpartition("="))
        if not equals or not name:
            problems.append(f"--classes: expected WORD=CLASS, got {pair!r}")
        elif word in found:
            problems.append(f"--classes: expected {word!r} once, got it twice")
        found[word] = name
    problems += [
        f"--classes: expected one of the classes {', '.join(CLASSES)} for {word!r}, got {name!r}"
        for word, name in found.items()
        if name not in CLASSES
    ]
    return found


def _pairs(text: str | None, option: str, problems: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in (text or "").split(",") if text else []:
        name, equals, value = (part.strip() for part in item.partition("="))
        if not name or not equals or not value:
            problems.append(f"{option}: expected NAME=VALUE, got {item!r}")
        elif name in found:
            problems.append(f"{option}: expected {name} once, got it twice")
        found[name] = value
    return found


def _shares(text: str | None, problems: list[str]) -> dict[str, float]:
    """Parse SPLIT=SHARE,... into shares by split; anything but shares above 0 that sum to 1 is one fault."""
    faults: list[str] = []
    found = {split_of(name): numbers([value], 1) for name, value in _pairs(text, "", faults).items()}
    shares = {split: share[0] for split, share in found.items() if split and share and share[0] > 0}
    if text is not None and (faults or len(shares) < len(found) or abs(sum(shares.values()) - 1) > 1e-6):
        expected = "shares above 0 of train, validation, test that sum to 1, such as train=0.7,validation=0.3"
        problems.append(f"--splits: expected {expected}, got {text!r}")
    return shares
