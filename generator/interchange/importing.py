"""`python -m generator import`: make a dataset from labelled photographs, alone or mixed with renders.

    python -m generator import photos/coco --format coco --to out/photos --splits train=0.7,validation=0.3
    python -m generator import photos/yolo --format yolo --to out/mixed --with out/dataset --share 0.3
    python -m generator import station --format imagefolder --to out/parts --splits test=1 --views center,left,top
    python -m generator import photos/coco --format coco --to out/photos --locate gauge.onnx --housing plain

Values that the labels do not contain are null: no measure, address or view of a photograph is guessed. The column
`synthetic` is false for photographs. All pictures are checked before the dataset is written; every fault is reported.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from generator.dataset.derived_card import make_derived_card
from generator.dataset.folder import BATCH_ROWS, copy_references, ordered_splits
from generator.dataset.labels import ANSWER_LABELS, OK, OTHERNG
from generator.dataset.rows import features, missing_note
from generator.dataset.writer import DatasetWriter, Spool
from generator.interchange.coco import read_coco
from generator.interchange.image_folder import read_image_folder
from generator.interchange.import_options import KNOWN, ImportOptions, import_options
from generator.interchange.labelled import (
    ClassNames,
    ReadLabels,
    note_others,
    with_defects_unknown,
    without_repeats,
)
from generator.interchange.locating_parts import NAMES, Located, Locating, locating_of
from generator.interchange.mixing import Other, chosen
from generator.interchange.own_columns import columns_note
from generator.interchange.photo_rows import Examined, Photo, Rules, attach_images, examine, shown, without_reference
from generator.interchange.placing import placed
from generator.interchange.same_pictures import checked_copies
from generator.interchange.voc import read_voc
from generator.interchange.yolo import read_yolo
from generator.io.file_names import dataset_name
from generator.io.given_once import GivenOnce
from generator.io.number_option import number, whole_number
from generator.io.processes import InOrder, processes
from generator.io.wording import counted
from generator.soart import nsoart

Reader = Callable[[argparse.Namespace, ClassNames, list[str]], ReadLabels]
# To add a format, write a function that reads it and list it here; it gets the options that it needs.
READERS: dict[str, Reader] = {
    "coco": lambda args, names, views: read_coco(args.source, args.images, names),
    "yolo": lambda args, names, views: read_yolo(args.source, names),
    "voc": lambda args, names, views: read_voc(args.source, args.images, names, args.zero_based),
    "imagefolder": lambda args, names, views: read_image_folder(args.source, names, views),
}
LAST_PART = 2**63 - 1
ONE_OF = {"renders": "render", "photographs": "photograph", "copies": "copy"}
# Photographs in a chunk of work if the part is searched in them, which takes about a second each.
LOCATED_ROWS = 8
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
    parser.add_argument(
        "--seed", type=whole_number, default=0, metavar="N", help="seed of all random choices (default: 0)"
    )
    _add_mixing(parser)
    _add_locate(parser)
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
    parser.add_argument("--workers", type=whole_number, metavar="N", help="number of processes (default: one per core)")


def _add_mixing(parser: argparse.ArgumentParser) -> None:
    """Add the options on a dataset that the pictures are mixed with."""
    renders = "dataset whose rows are added to those of SOURCE in the new dataset"
    parser.add_argument("--with", dest="renders", type=Path, metavar="DATASET", help=renders)
    parser.add_argument(
        "--share",
        type=number,
        metavar="S",
        help="only if --with is given: how large a part of the training split shall be imported pictures, above 0 and "
        "below 1; surplus pictures of SOURCE or DATASET are left out at random (default: none is left out)",
    )


def _add_locate(parser: argparse.ArgumentParser) -> None:
    """Add the options on how the part is found in the pictures."""
    parser.add_argument(
        "--locate",
        type=Path,
        metavar="FILE.onnx",
        help="a gauge's ONNX file (see trainer.export), which finds the part in each picture, at any place, turn and "
        "0.5 to 2 times its scale; the dataset gets the pictures as if the part lay still, with their boxes, and boxes "
        "of defects get the addresses of the pins where they lie",
    )
    for name in NAMES:
        of_part = f"with --locate, {name} of the part; needed if the gauge knows several that differ"
        parser.add_argument(f"--{name}", metavar="NAME", help=of_part)


def run(args: argparse.Namespace) -> int:
    """Import the pictures and print the number of rows in each split; returns the exit code."""
    options = import_options(args)
    locating, columns = _locating(options)
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
    stated = [one.columns for one in found.pictures]
    has_parts = bool(options.views) or any("part" in each for each in stated)
    if has_parts and (last := max(parts.values(), default=0)) > LAST_PART - len(found.pictures):
        expected = f"part numbers of at most {LAST_PART - len(found.pictures)}, as imported parts get higher ones"
        raise InputError(f"{args.renders} column part: expected {expected}, got {last}")
    photos = placed(found, options.shares, options.seed, parts, options.views)
    source = args.source if args.source.is_dir() else args.source.parent
    with DatasetWriter(args.to, source) as writer:
        writer.keeps_spool = locating is not None  # a search takes about a second of each photograph
        rules = _rules(photos, other, options, {**options.known, **columns}, locating)
        _write(photos, found.problems, other, rules, options, args, writer)
    if note := columns_note(stated):
        sys.stderr.write(f"{args.source}: {note}\n")
    for split, counts in writer.origins.items():
        origins = (counted(count, ONE_OF[kind], kind) for kind, count in counts.items())
        sys.stdout.write(f"{split}: {', '.join(origins)}\n")
    rows = sum(counts.total() for counts in writer.counts.values())
    sys.stdout.write(f"{args.to}: {counted(rows, 'row')}\n")
    return 0


def _locating(options: ImportOptions) -> tuple[Locating | None, dict[str, str]]:
    """Return how the part is found in the pictures, None without --locate, and the columns that follow for all rows."""
    if options.locate is None:
        return None, {}
    locating, columns, notes = locating_of(options.locate, options.named, options.known.get("camera"), options.views)
    sys.stderr.write("".join(f"{note}\n" for note in notes))
    return locating, columns


def _rules(
    photos: list[Photo],
    other: Other | None,
    options: ImportOptions,
    known: Mapping[str, str],
    locating: Locating | None,
) -> Rules:
    answer, window, stride = "short", nsoart.WINDOW, nsoart.STRIDE
    extras: tuple[str, ...] = ("file",)
    if other is not None:
        extras = (*other.extras, *(name for name in extras if name not in other.extras))
        answer = str(other.card.get("answer"))
        window, stride = other.parameters["window"], other.parameters["stride"]
    golden = other.folder if other is not None and nsoart.is_golden(other.parameters) else None
    has_masks = any(each.segmentation for p in photos for each in p.labelled.objects or ())
    return Rules(
        known,
        options.synthetic,
        answer if answer in ANSWER_LABELS else "short",
        extras,
        has_masks or (other is not None and other.masks),
        window,
        stride,
        golden,
        locating,
        compared=other is not None,
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
    step = BATCH_ROWS if rules.locating is None else LOCATED_ROWS
    chunks = [photos[at : at + step] for at in range(0, len(photos), step)]
    with processes(options.workers, len(chunks) > 2) as in_order:
        rows, statistics = _examine(in_order, chunks, problems, rules, options, other, writer.spool)
        if not rows:
            raise InputError(f"{args.source}: expected labelled pictures, got none")
        parameters = other.parameters if other is not None else _parameters(rows, statistics, rules)
        writer.begin(features(has_other, rules.extras, rules.masks))
        _write_splits(in_order, rows, other, rules, parameters, options, writer)
    title = f"Imported: {dataset_name(args.source)}"
    how = [f"{len(photos)} labelled pictures, imported from {args.format}. What the labels do not contain is null."]
    if rules.locating is not None:
        how.append(_how_located(rules.locating))
    if other is not None:
        by = "no row is left out" if options.share is None else f"imported share of split train: {options.share:g}"
        title += f", with {dataset_name(other.folder)}"
        how.append(f"Mixed with the dataset `{dataset_name(other.folder)}`: {by}.")
    settings = {**(other.card if other is not None else {}), "answer": rules.answer}
    text = make_derived_card(
        title, how, writer.counts, writer.origins, writer.classes, settings, args.license, writer.content_sha256
    )
    if other is not None:
        copy_references(other.folder, writer.building)
    writer.finish(text, parameters, other.connectors if other is not None else None)


def _how_located(locating: Locating) -> str:
    """Return the card's sentences on located photographs."""
    gauge = f"`{locating.file.name}`, SHA-256 {locating.sha256}"
    return (
        f"A gauge ({gauge}) found the part in each photograph, by the drawing of {' '.join(locating.connector)}. "
        "Photographs were resampled so that the part lies upright, in one size and at one place; what is not the part "
        "is grey. Boxes were moved with them. Boxes of defects whose labels state no address have that of the pin "
        "where they lie, if it is certain; otherwise null."
    )


def _examine(
    in_order: InOrder,
    chunks: list[list[Photo]],
    problems: list[str],
    rules: Rules,
    options: ImportOptions,
    other: Other | None,
    spool: Spool,
) -> tuple[list[Examined], Statistics]:
    """Check all photographs; return their rows and statistics of good parts. Raises one InputError with every fault."""
    rows: list[Examined] = []
    statistics: Statistics = {}
    broken: list[str] = []
    digests: dict[str, tuple[str, ...]] = {}
    located = Located()
    hidden: list[str] = []
    photos = [photo for chunk in chunks for photo in chunk]
    with tqdm(total=len(photos), desc="pictures", unit="picture", disable=None) as bar:
        for chunk, found in in_order(examine, ((chunk, rules, spool) for chunk in chunks)):
            rows += found.examined
            broken += found.problems
            digests |= found.digests
            located.add(found.located)
            hidden += found.hidden
            for note in found.notes:
                tqdm.write(note, file=sys.stderr)
            for group, numbers in found.statistics:
                merged = statistics.setdefault(group, nsoart.MapStatistics())
                merged.merge(nsoart.MapStatistics.from_numbers(numbers))
            bar.update(len(chunk))
    if rules.locating is not None:
        sys.stderr.write("".join(f"{note}\n" for note in located.notes(rules.locating.file)))
    if hidden:
        sys.stderr.write(
            f"masks: {counted(len(hidden), 'object')} without a pixel, covered by smaller objects or with an empty "
            f"segmentation (first: {hidden[0]}); boxes are kept\n"
        )
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
    every = Counter(photo.part for photo in photos if photo.camera is not None)
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
    by_run = {photo.run: photo for photo, _ in rows}
    found = spaces.found()
    for space in found:
        if space.source in ("few", "all"):
            sums = nsoart.MapStatistics()
            for name in space.rows:
                sums.add(nsoart.nsoart_maps(shown(by_run[name], rules)[0], rules.window, rules.stride))
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
        imported = "imported pictures" if rules.synthetic else "photographs"
        counts = ((len(photos_kept), len(own), imported), (len(renders_kept), renders.get(split, 0), "rows of --with"))
        for kept_rows, every, what in counts:
            if kept_rows < every:
                sys.stderr.write(f"{split}: {every - kept_rows} of {every} {what} are left out for --share {share:g}\n")
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
