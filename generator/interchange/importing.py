"""`python -m generator import`: labelled photographs to a dataset of ours, alone or mixed with renders.

    python -m generator import photos/coco --format coco --to out/photos --splits train=0.7,validation=0.3
    python -m generator import photos/yolo --format yolo --to out/mixed --with out/dataset --share 0.3
    python -m generator import station --format imagefolder --to out/parts --splits test=1 --views center,left,top

What the labels do not say is null: no photograph gets a measure, an address or a view that nobody gave it. The column
`synthetic` tells photographs from renders. Everything is checked before anything is written, and every fault is named.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from tqdm import tqdm

from blender_scripts.contract.errors import InputError, shown
from generator.dataset.contact_sheet import SheetRows, write_sheet
from generator.dataset.derived_card import make_derived_card, read_card
from generator.dataset.features import class_names, features
from generator.dataset.folder import (
    BATCH_ROWS,
    CARD,
    DATA,
    NSOART,
    SPOOL,
    ShardWriter,
    Target,
    count_rows,
    dataset_columns,
    ordered_splits,
    read_parameters,
    read_rows,
    split_files,
)
from generator.dataset.labels import ANSWER_LABELS, CLASSES, OK, OTHERNG, worst_class
from generator.interchange.coco import read_coco
from generator.interchange.image_folder import read_image_folder
from generator.interchange.labelled import ClassNames, Found, is_utf8, split_of
from generator.interchange.photo_rows import Photo, Rules, examine, illustrate, opened
from generator.interchange.voc import read_voc
from generator.interchange.yolo import read_yolo
from generator.io.processes import processes
from generator.io.view_names import parts_of
from generator.soart import nsoart

FORMATS = ("coco", "yolo", "voc", "imagefolder")
KNOWN = ("scene", "housing", "terminal", "camera", "lighting", "marking")
WINDOW, STRIDE = 16, 1
WIDEST = 4096
LAST_PART = 2**63 - 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder or file with the labels")
    parser.add_argument("--format", choices=FORMATS, required=True, help="what SOURCE is")
    parser.add_argument("--to", type=Path, required=True, metavar="DATASET", help="dataset to make")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="where the pictures are (coco, voc)")
    parser.add_argument(
        "--classes", metavar="WORD=CLASS,...", help="what the labels' words are, e.g. scratch=OTHERNG,good=OK"
    )
    parser.add_argument(
        "--known", metavar="NAME=VALUE,...", help=f"what holds for all pictures, of {', '.join(KNOWN)}"
    )
    parser.add_argument(
        "--views",
        metavar="CAMERA,...",
        help="every part has a picture from each, and its name says which: part7_left.png",
    )
    parser.add_argument(
        "--splits",
        metavar="SPLIT=SHARE,...",
        help="split at random by class, e.g. train=0.7,validation=0.3 (default: as the files say, else train)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all draws (default: 0)")
    parser.add_argument("--with", dest="renders", type=Path, metavar="DATASET", help="mix with this dataset")
    parser.add_argument(
        "--share",
        type=float,
        metavar="S",
        help="share of the imported pictures in the mixed training split; the rest is left out at random",
    )
    parser.add_argument("--synthetic", action="store_true", help="the pictures are no photographs")
    parser.add_argument("--zero-based", action="store_true", help="VOC boxes count from 0, xmax is an edge")
    parser.add_argument(
        "--skip-broken", action="store_true", help="leave out pictures with a fault, in place of refusing"
    )
    parser.add_argument(
        "--license", default="other", metavar="ID", help="licence for the card (default: other)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")


@dataclass(frozen=True)
class Mixing:
    """With what an import is mixed, and which share of training its pictures shall be; None: all of both."""

    dataset: Path | None = None
    share: float | None = None


def run(args: argparse.Namespace) -> int:
    """Import, and print what came of it."""
    problems: list[str] = []
    classes = _words(args.classes, problems)
    known = _pairs(args.known, "--known", problems)
    shares = _shares(args.splits, problems)
    views = args.views.split(",") if args.views is not None else []
    if args.views is not None and (len(set(views)) < max(2, len(views)) or "" in views):
        problems.append(
            f"--views: expected two different cameras or more, such as center,left, got {args.views!r}"
        )
    if views and ("camera" in known or args.share is not None):
        problems.append("--views: expected neither --known camera nor --share beside it")
    problems += [
        f"--classes: expected one of {', '.join(CLASSES)} for {word!r}, got {name!r}"
        for word, name in classes.items()
        if name not in CLASSES
    ]
    problems += [
        f"--known: expected one of {', '.join(KNOWN)}, got {name!r}" for name in known if name not in KNOWN
    ]
    if args.share is not None and not 0 < args.share < 1:
        problems.append(f"--share: expected a number between 0 and 1, got {args.share:g}")
    if args.share is not None and args.renders is None:
        problems.append("--share: expected --with DATASET to mix with, got none")
    if args.seed < 0:
        problems.append(f"--seed: expected at least 0, got {args.seed}")
    if args.workers is not None and not 1 <= args.workers <= 1024:
        problems.append(f"--workers: expected 1 to 1024, got {args.workers}")
    if args.renders is not None and _overlap(args.to.resolve(), args.renders.resolve()):
        problems.append(
            f"--to {args.to}: expected a folder apart from --with, got one that overlaps {args.renders}"
        )
    if not args.source.exists():
        problems.append(f"{args.source}: expected labelled pictures, got nothing there")
    if problems:
        raise InputError(problems)
    names = ClassNames(classes)
    found = {
        "coco": lambda: read_coco(args.source, args.images, names),
        "yolo": lambda: read_yolo(args.source, names),
        "voc": lambda: read_voc(args.source, args.images, names, args.zero_based),
        "imagefolder": lambda: read_image_folder(args.source, names, views),
    }[args.format]()
    found.problems += names.problems()
    others = _runs(args.renders) if args.renders is not None else {}
    if views and (last := max(others.values(), default=0)) > LAST_PART - len(found.pictures):
        expected = f"part numbers with room for {len(found.pictures)} more below 2^63"
        raise InputError(f"{args.renders} column part: expected {expected}, got {last}")
    photos = placed(found, shares, args.seed, others, views)
    job = _Import(
        args.source, photos, found.problems, known, Mixing(args.renders, args.share), args.synthetic, args
    )
    with _folder(args) as folder:
        job.write(folder)
    for split, counts in job.origins.items():
        told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        sys.stdout.write(f"{split}: {told}\n")
    sys.stdout.write(f"{sum(sum(c.values()) for c in job.counts.values())} rows in {args.to}\n")
    return 0


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


@contextmanager
def _folder(args: argparse.Namespace) -> Iterator[Path]:
    """The folder to fill: see `Target`."""
    source = args.source if args.source.is_dir() else args.source.parent
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(Target(source, args.to, False))
        except OSError as error:
            raise InputError(f"--to {args.to}: expected a place to write to, got: {error.strerror}") from None
        yield folder


def placed(
    found: Found,
    shares: Mapping[str, float],
    seed: int,
    others: Mapping[str, int],
    views: Sequence[str] = (),
) -> list[Photo]:
    """Each picture with a name of its own and its split; of parts with several views those that are whole.

    Args:
        found: by a reader.
        shares: of the splits; empty: as the files say, training where they say nothing.
        seed: of the draw, which is made class by class, of parts where there are views.
        others: names that are taken, with their parts.
        views: cameras of which every part has a picture.
    """
    taken = set(others)
    photos = []
    times = Counter(labelled.path.resolve() for labelled in found.pictures)
    # Which of its labels count, nobody can tell: such a picture is left out altogether.
    repeated = {labelled.path.resolve(): labelled.name for labelled in found.pictures}
    found.problems += [
        f"{name}: expected each picture once, got it {times[path]} times"
        for path, name in repeated.items()
        if times[path] > 1
    ]
    for labelled in found.pictures:
        if times[labelled.path.resolve()] > 1:
            continue
        if not is_utf8(labelled.name):
            found.problems.append(f"{labelled.name!r}: expected a name in UTF-8, got other bytes")
            continue
        stem = re.sub(r"[^\w-]+", "_", str(Path(labelled.name).with_suffix(""))).strip("_") or "picture"
        run, number = stem, 1
        while run in taken:
            number += 1
            run = f"{stem}_{number}"
        taken.add(run)
        photos.append(Photo(labelled, run, labelled.split or "train"))
    if views:
        photos = _of_parts(photos, views, max(others.values(), default=0) + 1, found.problems)
    if not shares:
        return photos
    units: dict[Any, list[int]] = {}
    for at, photo in enumerate(photos):
        units.setdefault(photo.run if photo.part is None else photo.part, []).append(at)
    rng = np.random.default_rng(seed)
    by_class: dict[str, list[list[int]]] = {}
    for unit in units.values():
        by_class.setdefault(worst_class(photos[at].label for at in unit), []).append(unit)
    for label in sorted(by_class):
        drawn = rng.permutation(len(by_class[label]))
        bounds = np.round(np.cumsum([0.0, *shares.values()]) * len(drawn)).astype(int)
        for split, first, last in zip(shares, bounds[:-1], bounds[1:], strict=True):
            for at in (at for number in drawn[first:last] for at in by_class[label][number]):
                photos[at] = replace(photos[at], split=split)
    return photos


def _of_parts(photos: list[Photo], views: Sequence[str], first: int, problems: list[str]) -> list[Photo]:
    """The pictures of whole parts, which are numbered from `first`, each with its camera."""
    paths = [photo.labelled.path.resolve() for photo in photos]
    root = os.path.commonpath([path.parent for path in paths]) if paths else ""
    by_path = {path.relative_to(root): photo for path, photo in zip(paths, photos, strict=True)}
    parts, wrong = parts_of(list(by_path), views)
    problems += wrong
    found: list[Photo] = []
    for number, (part, pictures) in enumerate(parts.items(), first):
        own = [replace(by_path[path], part=number, camera=camera) for camera, path in pictures.items()]
        if len(splits := list(dict.fromkeys(photo.split for photo in own))) > 1:
            problems.append(f"{part}: expected its views in one split, got {', '.join(splits)}")
        else:
            found += own
    return found


class _Import:
    def __init__(
        self,
        source: Path,
        photos: list[Photo],
        problems: list[str],
        known: Mapping[str, str],
        mixing: Mixing,
        synthetic: bool,
        args: argparse.Namespace,
    ) -> None:
        self.source, self.photos, self.problems = source, photos, problems
        self.known, self.mixing, self.synthetic, self.args = known, mixing, synthetic, args
        self.counts: dict[str, Counter[str]] = {}
        self.origins: dict[str, Counter[str]] = {}
        self.sheet = SheetRows()

    def write(self, folder: Path) -> None:
        extras, masks, other = ("file",), False, False
        card: dict[str, Any] = {}
        parameters: dict[str, Any] | None = None
        if self.mixing.dataset is not None:
            _, own, other, masks = dataset_columns(self.mixing.dataset)
            extras = (*own, *(name for name in extras if name not in own))
            card = _card_of(self.mixing.dataset)
            parameters = _parameters_of(self.mixing.dataset)
        masks |= any(t.segmentation for p in self.photos for t in p.labelled.things or ())
        other |= any(
            p.label == OTHERNG or any(t.category == OTHERNG for t in p.labelled.things or ())
            for p in self.photos
        )
        answer = str(card.get("answer"))
        window, stride = (parameters["window"], parameters["stride"]) if parameters else (WINDOW, STRIDE)
        rules = Rules(
            self.known,
            self.synthetic,
            answer if answer in ANSWER_LABELS else "short",
            extras,
            masks,
            window,
            stride,
        )
        chunks = [self.photos[at : at + BATCH_ROWS] for at in range(0, len(self.photos), BATCH_ROWS)]
        with processes(self.args.workers, len(chunks) > 2) as in_order:
            rows, statistics = self._examine(in_order, chunks, rules)
            if parameters is None:
                parameters = self._parameters(rows, statistics, rules)
            spool = folder / SPOOL
            spool.mkdir(exist_ok=True)
            columns = features(other, extras, masks)
            content = self._write_splits(in_order, folder, rows, rules, parameters, columns)
        for path in spool.iterdir():
            path.unlink()
        spool.rmdir()
        (folder / NSOART).write_text(json.dumps(parameters, indent=1) + "\n", encoding="utf-8")
        write_sheet(folder, self.sheet, class_names(other))
        text = make_derived_card(
            self._title(),
            self._how(),
            self.counts,
            self.origins,
            class_names(other),
            {**card, "answer": rules.answer},
            self.args.license,
            content,
        )
        (folder / CARD).write_text(text, encoding="utf-8")

    def _examine(self, in_order: Any, chunks: list[list[Photo]], rules: Rules) -> Any:
        """Rows without pictures, with their photos; raises with everything that is wrong."""
        rows: list[tuple[Photo, dict[str, Any]]] = []
        statistics: dict[tuple[str, ...], nsoart.MapStatistics] = {}
        broken: list[str] = []
        with tqdm(total=len(self.photos), desc="pictures", unit="picture", disable=None) as bar:
            for chunk, found in in_order(examine, ((chunk, rules) for chunk in chunks)):
                rows += [(p, row) for p, row in zip(chunk, found.rows, strict=True) if row is not None]
                broken += found.problems
                for note in found.notes:
                    tqdm.write(note, file=sys.stderr)
                for group, numbers in found.statistics:
                    merged = statistics.setdefault(group, nsoart.MapStatistics())
                    merged.merge(nsoart.MapStatistics.from_numbers(numbers))
                bar.update(len(chunk))
        problems = [*self.problems, *broken]
        unclear = any(problem.startswith("classes:") for problem in problems)
        if problems and (not self.args.skip_broken or unclear or not rows):
            hint = "" if unclear else ": mend them, or give --skip-broken"
            raise InputError([*problems, f"{len(problems)} faults{hint}"])
        read = Counter(photo.part for photo, _ in rows)
        short = {part for part, count in Counter(p.part for p in self.photos).items() if read[part] < count}
        problems += [
            f"{p.labelled.name}: another view of its part is left out"
            for p, _ in rows
            if p.part is not None and p.part in short
        ]
        rows = [(p, row) for p, row in rows if p.part is None or p.part not in short]
        for problem in problems:
            sys.stderr.write(f"left out: {problem}\n")
        if not rows:
            raise InputError(f"{self.source}: expected labelled pictures, got none")
        return rows, statistics

    def _parameters(self, rows: Any, statistics: Any, rules: Rules) -> dict[str, Any]:
        """Contents of nsoart.json: the unit space of the photographs themselves."""
        spaces = nsoart.UnitSpaces()
        paths = {}
        for photo, row in rows:
            paths[photo.run] = photo
            spaces.add(photo.run, nsoart.group_of(row), photo.label == OK, photo.split)
        found = spaces.found()
        for space in found:
            if space.source in ("few", "all"):
                sums = nsoart.MapStatistics()
                for run in space.rows:
                    sums.add(nsoart.nsoart_maps(opened(paths[run].labelled)[0], rules.window, rules.stride))
                statistics[space.group] = sums
        return nsoart.make_parameters(found, statistics, rules.window, rules.stride)

    def _write_splits(
        self, in_order: Any, folder: Path, rows: Any, rules: Rules, parameters: Any, columns: Any
    ) -> str:
        (folder / DATA).mkdir()
        digest = hashlib.sha256(str(columns).encode())
        renders = split_files(self.mixing.dataset) if self.mixing.dataset is not None else {}
        by_split: dict[str, list[Any]] = {}
        for photo, row in rows:
            by_split.setdefault(photo.split, []).append((photo, row))
        for split in ordered_splits({*renders, *by_split}):
            own = by_split.get(split, [])
            total = count_rows(renders.get(split, []))
            photos_kept, renders_kept = self._chosen(split, len(own), total)
            own = [own[at] for at in photos_kept]
            writer = ShardWriter(folder / DATA, split, columns)
            for table in _tables(renders.get(split, []), renders_kept, rules):
                self._add(writer, table, split, digest)
            parts = [own[at : at + BATCH_ROWS] for at in range(0, len(own), BATCH_ROWS)]
            calls = (
                (
                    [p for p, _ in part],
                    [r for _, r in part],
                    rules,
                    parameters,
                    folder / SPOOL / f"{split}-{n}",
                )
                for n, part in enumerate(parts)
            )
            with tqdm(total=len(own), desc=split, unit="row", disable=None) as bar:
                for photos, path in in_order(illustrate, calls):
                    with pa.memory_map(str(path)) as file:
                        self._add(writer, pa.ipc.open_file(file).read_all(), split, digest)
                    bar.update(len(photos))
            writer.finish()
        return digest.hexdigest()

    def _chosen(self, split: str, photos: int, renders: int) -> tuple[list[int], set[int]]:
        """Which photographs and which renders a split keeps: training by share, all of the others."""
        share = self.mixing.share
        keep_photos, keep_renders = photos, renders
        if share is not None and split == "train" and photos and renders:
            if photos / (photos + renders) < share:
                keep_renders = max(1, round(photos * (1 - share) / share))
            else:
                keep_photos = max(1, round(renders * share / (1 - share)))
        rng = np.random.default_rng([self.args.seed, 1])
        chosen = sorted(rng.permutation(photos)[:keep_photos].tolist())
        return chosen, set(rng.permutation(renders)[:keep_renders].tolist())

    def _add(self, writer: ShardWriter, table: pa.Table, split: str, digest: Any) -> None:
        writer.add(table)
        counts = self.counts.setdefault(split, Counter())
        origins = self.origins.setdefault(split, Counter())
        light = ["run", "label", "synthetic", "original", *nsoart.GROUP_BY]
        for row in table.select(light).to_pylist():
            label = CLASSES[row["label"]]
            self.sheet.offer(split, sum(counts.values()), label, nsoart.group_of(row))
            counts[label] += 1
            kind = "renders" if row["synthetic"] else "photographs"
            origins["copies" if row["original"] is not None else kind] += 1
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table.combine_chunks())
        digest.update(sink.getvalue())

    def _title(self) -> str:
        name = f"Imported: {self.source.resolve().name}"
        return name if self.mixing.dataset is None else f"{name}, with {self.mixing.dataset.resolve().name}"

    def _how(self) -> list[str]:
        paragraphs = [
            f"{len(self.photos)} labelled pictures, imported from {self.args.format}. What their labels do not say is "
            "null."
        ]
        if self.mixing.dataset is not None:
            share = self.mixing.share
            by = "all of both" if share is None else f"training by share, {share:g} of it imported"
            paragraphs.append(f"Mixed with the dataset `{self.mixing.dataset.resolve().name}`: {by}.")
        return paragraphs


def _card_of(dataset: Path) -> dict[str, Any]:
    path = dataset / CARD
    try:
        return read_card(path.read_text("utf-8") if path.is_file() else "")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a card in UTF-8, got: {error}") from None


def _parameters_of(dataset: Path) -> dict[str, Any]:
    """A dataset's nsoart.json, with which a picture of every group has been tried."""
    try:
        parameters = read_parameters(dataset)
        window, stride = parameters["window"], parameters["stride"]
        if not (type(window) is int and type(stride) is int and 1 <= window <= WIDEST and stride >= 1):
            raise ValueError(f"window {shown(window)} and stride {shown(stride)}")
        trial = Image.new("L", (window, window))
        for group in (None, *parameters["groups"]):
            nsoart.nsoart_picture(trial, parameters, group)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        got = f"no {error}" if isinstance(error, KeyError) else error
        raise InputError(f"{dataset / NSOART}: expected what build writes, got: {got}") from None
    return parameters


def _runs(dataset: Path) -> dict[str, int]:
    """The part of each row, 0 where it has none."""
    dataset_columns(dataset)
    rows = (row for paths in split_files(dataset).values() for row in read_rows(paths, ["run", "part"]))
    return {row["run"]: row["part"] or 0 for row in rows}


def _tables(paths: list[Path], kept: set[int], rules: Rules) -> Iterator[pa.Table]:
    """Rows of another dataset with all columns of the mixed one; datasets without `synthetic` are renders."""
    schema = features(True, rules.extras, rules.masks).arrow_schema.remove_metadata()
    rows: list[dict[str, Any]] = []
    for row in read_rows(paths, only=kept):
        rows.append({"synthetic": True, **row})
        if len(rows) == BATCH_ROWS:
            yield pa.Table.from_pylist(rows, schema=schema)
            rows = []
    if rows:
        yield pa.Table.from_pylist(rows, schema=schema)


def _words(text: str | None, problems: list[str]) -> dict[str, str]:
    """Classes by word, which may hold commas: a pair ends at the first one after an `=`, its word at the last `=`."""
    found: dict[str, str] = {}
    for pair in re.findall(r"[^=]*=[^,]*,?|[^=]+$", text or ""):
        word, equals, name = (part.strip() for part in pair.removesuffix(",").rpartition("="))
        if not equals or not name:
            problems.append(f"--classes: expected WORD=CLASS, got {pair!r}")
        elif word in found:
            problems.append(f"--classes: expected {word!r} once, got it twice")
        found[word] = name
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
    found: dict[str, float] = {}
    for name, value in _pairs(text, "--splits", problems).items():
        try:
            found[split_of(name) or ""] = float(value)
        except ValueError:
            problems.append(f"--splits: expected a share of {name}, got {value!r}")
    is_whole = abs(sum(found.values()) - 1) <= 1e-6 and all(share > 0 for share in found.values())
    if found and ("" in found or not is_whole):
        problems.append(f"--splits: expected shares of train, validation, test that sum to 1, got {text!r}")
    return found
