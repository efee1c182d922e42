"""The options of `python -m generator import`: the parsed arguments, checked and in the form in which they are used."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.station import CAMERAS
from generator.dataset.labels import CLASSES
from generator.interchange.labelled import numbers, split_of
from generator.interchange.locating_parts import NAMES
from generator.io.number_option import worker_problems

KNOWN = ("scene", "housing", "terminal", "camera", "lighting", "marking")


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
        locate: ONNX file of the gauge that finds the part in the pictures; None: they are taken as they are.
        named: scene, housing and terminal of the part, from their options or `known`; None: not stated.
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
    locate: Path | None
    named: Mapping[str, str | None]
    skip_broken: bool
    workers: int | None


def import_options(args: argparse.Namespace) -> ImportOptions:
    """Return the checked options. Raises one InputError that lists every fault."""
    problems: list[str] = []
    known = _pairs(args.known, "--known", problems)
    options = ImportOptions(
        classes=_words(args.classes, problems),
        known=known,
        shares=_shares(args.splits, problems),
        views=_views(args, problems),
        seed=args.seed,
        share=args.share,
        synthetic=args.synthetic,
        locate=args.locate,
        named={name: getattr(args, name) or known.get(name) for name in NAMES},
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
    problems += worker_problems(args.workers)
    problems += _locate_problems(args, known)
    problems += _place_problems(args)
    if not args.source.exists():
        problems.append(f"{args.source}: expected labelled pictures, got no such file or folder")
    if args.images is not None and not args.images.is_dir():
        got = "a file" if args.images.exists() else "no such folder"
        problems.append(f"--images {args.images}: expected the folder of the pictures, got {got}")
    if problems:
        raise InputError(problems)
    return options


def _locate_problems(args: argparse.Namespace, known: Mapping[str, str]) -> Iterator[str]:
    """List why --locate, or the options that name the part for it, cannot be used."""
    given = [name for name in NAMES if getattr(args, name) is not None]
    if given and args.locate is None:
        listed = ", ".join(f"--{name}" for name in given)
        yield f"--locate: expected a gauge's ONNX file together with {listed}, got none"
    for name in given:
        if known.get(name, stated := getattr(args, name)) != stated:
            yield f"--known {name}: expected {stated}, as --{name} states, got {known[name]}"
    if args.locate is not None and not args.locate.is_file():
        got = "a folder" if args.locate.exists() else "no such file"
        yield f"--locate {args.locate}: expected a gauge's ONNX file, got {got}"


def _place_problems(args: argparse.Namespace) -> Iterator[str]:
    """List why the dataset may not be written into --to: it would lie among the pictures or renders that are read."""
    to = f"--to {args.to}: expected a folder"
    if args.renders is not None and _overlap(args.to.resolve(), args.renders.resolve()):
        yield f"{to} apart from {args.renders} (--with), got one that lies in it or contains it"
    if args.locate is not None and args.locate.resolve().is_relative_to(args.to.resolve()):
        yield f"{to} without {args.locate} (--locate), got one that contains it and would be replaced"
    # The next import would read a dataset among the labelled pictures as some of them.
    for folder, given in ((args.source, "SOURCE"), (args.images, "--images")):
        if folder is not None and folder.is_dir() and args.to.resolve().is_relative_to(folder.resolve()):
            yield f"{to} outside of {folder} ({given}), got one that lies in it"


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


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
