"""Checks of the options of `generator inspect`, before anything is read or written."""

from __future__ import annotations

import argparse
import math
import zipfile
from collections.abc import Iterator

from blender_scripts.contract.errors import InputError
from generator.io.output_file import check_file, check_folder
from generator.io.pictures import is_picture
from generator.soart.estimator import FEWEST
from generator.soart.learning import DEFAULTS
from generator.soart.straighteners import OF_MODEL
from generator.soart.verdict_log import other_pictures


def check_options(options: argparse.Namespace, has_views: bool) -> None:
    """Check the options of `generator inspect`; InputError with all mistakes. `has_views`: parts have several views."""
    problems = [*_wrong_inputs(options), *_wrong_places(options, has_views), *_wrong_settings(options, has_views)]
    if problems:
        raise InputError(problems)


def _wrong_inputs(options: argparse.Namespace) -> Iterator[str]:
    if options.watch and (len(options.images) != 1 or not options.images[0].is_dir()):
        yield f"--watch: expected one folder, got {', '.join(map(str, options.images))}"
    if not options.golden.is_dir() and not zipfile.is_zipfile(options.golden):
        is_other, is_unit = options.golden.exists(), options.golden.suffix.lower() == ".npz"
        what = "a damaged file" if is_unit else "a picture" if is_picture(options.golden) else "another file"
        yield (
            "--golden: expected a folder of OK pictures or a unit space saved by --save (.npz), got "
            f"{what if is_other else 'no such path'}: {options.golden}"
        )
    if options.positions_of and not options.positions:
        yield "--positions-of: expected --positions with the boxes of the pins, got none"
    given = [f"--{name}" for name in OF_MODEL if getattr(options, name) is not None]
    if given and not options.model:
        yield f"--model: expected a gauge's ONNX file together with {', '.join(given)}, got none"
    if options.model and options.positions:
        yield f"--positions: expected no file together with --model, which knows the pins, got {options.positions}"
    if options.views and options.positions and not options.positions.is_dir():
        yield f"--positions: expected, with --views, a folder with a file for each view, got {options.positions}"


def _wrong_places(options: argparse.Namespace, has_views: bool) -> Iterator[str]:
    """List problems of --out and --save: files that cannot be written, or would overwrite inputs."""
    sources = {p.resolve() if p.is_dir() else p.resolve().parent for p in options.images}
    if options.golden.is_dir():
        sources.add(options.golden.resolve())
    if options.positions and options.positions.suffix.lower() == ".json":  # it has the form of a verdict's file name
        sources.add(options.positions.resolve().parent)
    if options.positions and has_views and options.positions.is_dir():
        sources.add(options.positions.resolve())
    if options.positions_of:
        sources.add(options.positions_of.resolve().parent)
    if options.out.resolve() in sources:
        yield (
            f"--out: expected a folder without input pictures and records, got {options.out}, whose files the "
            "verdicts could overwrite"
        )
    elif len(others := other_pictures(options.out, FEWEST)) == FEWEST:  # as many as a unit space needs
        yield (
            f"--out: expected a folder for verdicts, got {options.out}, a folder of other pictures, such as "
            f"{others[0]}: a later command on this folder would take marked pictures for pictures of parts"
        )
    searched = [p for p in (options.golden, *(options.images if has_views else ())) if p.is_dir()]
    for folder in searched:
        if options.out.resolve().is_relative_to(folder.resolve()) and options.out.resolve() not in sources:
            yield f"--out: expected a folder outside of {folder}, which holds input pictures, got {options.out}"
    try:
        check_folder(options.out, "--out")
        if options.save:
            check_file(options.save, "--save", (".npz",))
    except InputError as error:
        yield from error.problems


def _wrong_settings(options: argparse.Namespace, has_views: bool) -> Iterator[str]:
    if options.camera and has_views:
        yield f"--camera: expected no camera for parts of several views, whose cameras are named, got {options.camera}"
    if options.edge and options.grid is not None:
        yield "--edge: expected --edge or --grid, got both"
    if options.wait is not None and not (options.watch and has_views):
        yield "--wait: expected --watch, and parts of several views, got --wait without them"
    elif options.wait is not None and not (options.wait >= 0 and math.isfinite(options.wait)):
        yield f"--wait: expected a number of seconds >= 0, got {options.wait}"
    of_unit_space = ("positions", "save", *DEFAULTS, "edge", "colour", "keep_outliers", "views")
    # Compared by identity, as a rotation of 0 equals False.
    given = [n for n in of_unit_space if not any(getattr(options, n) is none for none in (None, False))]
    if options.golden.is_file() and given:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        yield (
            f"--golden: expected a folder of OK pictures together with {named}, got {options.golden}, a saved unit "
            "space, which has its own settings"
        )
    of_soart3 = [f"--{name}" for name in ("similarity", "reference") if getattr(options, name) is not None]
    if options.features and of_soart3:
        said = " and ".join(of_soart3)
        yield f"--features: expected no {said}, which would not change how features are compared, got both"
    for name, low in (("window", 1), ("grid", 1), ("above", 0)):
        value = getattr(options, name)
        if value is not None and value < low:
            yield f"--{name}: expected a number >= {low}, got {value}"
    if options.rotation is not None and not 0 <= options.rotation <= 180:
        yield f"--rotation: expected 0 to 180 degrees, got {options.rotation}"
