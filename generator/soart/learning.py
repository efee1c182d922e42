"""Learn a unit space from pictures of OK parts, or from parts shown by several views, or load a saved one.

The functions take the options of `generator inspect`, and print what the user has to know about the OK pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from generator.io.checksum import sha256_of
from generator.io.pictures import find_pictures, open_picture, passed_over, pictures_in
from generator.io.pin_boxes import PinBox, read_pin_boxes
from generator.io.png_mark import has_mark
from generator.io.view_names import parts_of, view_of
from generator.io.wording import MOST_NAMED
from generator.locating.straightening import NotFoundError, Straightener
from generator.soart.estimator import FEWEST, SoartC
from generator.soart.feature_file import FeatureNetwork, read_feature_file
from generator.soart.feature_stage import FeatureStage
from generator.soart.golden import Golden, choose, choose_by_features, read_golden, warn_of_doubtful
from generator.soart.inspection import STRAIGHTENED, InspectionModel, as_values, read_picture
from generator.soart.part_model import PartInspectionModel
from generator.soart.pin_places import align_on_pins, large_boxes, unusable_boxes
from generator.soart.pins import Pin
from generator.soart.straighteners import check_agreement, straightener_of, straighteners_of
from generator.verdict.gates import PictureGates

EDGE_GRID = 100
# Settings of a new unit space; a saved one keeps its own.
DEFAULTS: dict[str, Any] = {
    "window": 5,
    "grid": 250,
    "similarity": "pixels",
    "reference": "golden",
    "rotation": 3.0,
    "above": 0,
}
# Largest share of OK photographs in which a gauge does not find the part.
MOST_LOST = 0.25


def inspection_model_of(options: argparse.Namespace) -> tuple[InspectionModel, bool, Straightener | None]:
    """Load the inspection model, or make it from the OK pictures.

    Returns:
        The inspection model, whether it compares colours, and what straightens its pictures.

    Raises:
        InputError: the file, the pictures, the gauge or the boxes of pins cannot be used.
    """
    straightener, network = straightener_of(options), _network(options)
    if options.golden.is_file():
        try:
            inspection = InspectionModel.load(options.golden)
            FeatureStage.load(inspection.model, network)
        except ValueError as error:
            raise _in(options.golden, error) from None
        check_agreement(options.golden, inspection.model.notes, straightener)
        return inspection, inspection.model.reference_.ndim == 3, straightener
    paths = pictures_in(options.golden)
    if note := passed_over(options.golden, below=False):
        print(note)
    model = _model(options)
    golden = _chosen(options, model, {path.name: path for path in paths}, straightener, network)
    _print_lines(golden.lines())
    positions = options.positions, options.positions_of, paths[0]
    return _inspection_model(options, model, golden, positions, straightener, network), options.colour, straightener


def part_model_of(options: argparse.Namespace) -> tuple[PartInspectionModel, bool, dict[str, Straightener]]:
    """Load the inspection model for parts of several views, or make it from OK parts.

    Returns:
        The inspection model, whether it compares colours, and what straightens the pictures of each view.

    Raises:
        InputError: the file, the pictures, their names, the gauge or the boxes of pins cannot be used.
    """
    network = _network(options)
    if options.golden.is_file():
        try:
            inspection = PartInspectionModel.load(options.golden)
            for one in inspection.by_view.values():
                FeatureStage.load(one.model, network)
        except ValueError as error:
            raise _in(options.golden, error) from None
        straighteners = straighteners_of(options, tuple(inspection.by_view))
        for view, one in inspection.by_view.items():
            check_agreement(options.golden, one.model.notes, straighteners.get(view), view)
        return inspection, next(iter(inspection.by_view.values())).model.reference_.ndim == 3, straighteners
    straighteners = straighteners_of(options, options.views)
    parts = _golden_parts(options.golden, options.views)
    positions = _positions(options, parts)
    models = {view: _model(options) for view in options.views}
    chosen = {}
    for view, model in models.items():
        paths = {_name(options.golden, of[view]): of[view] for of in parts.values()}
        chosen[view] = _chosen(options, model, paths, straighteners.get(view), network, f"view {view}: ")
        _print_lines(chosen[view].lines(), f"view {view}: ")
    part_of = {of[view]: part for part, of in parts.items() for view in of}
    _keep_whole_parts(options.golden, models, chosen, part_of, network)
    inspections = {}
    for view, model in models.items():
        model.notes["parts"] = [_name(options.golden, Path(part_of[one.path])) for one in chosen[view].kept]
        inspections[view] = _inspection_model(
            options, model, chosen[view], positions[view], straighteners.get(view), network, f"view {view}: "
        )
    return PartInspectionModel(inspections), options.colour, straighteners


def _print_lines(lines: Sequence[str], begin: str = "") -> None:
    """Print lines for the user, each after `begin`, which names the view, if there are several."""
    for line in lines:
        print(f"{begin}{line}")


def _network(options: argparse.Namespace) -> FeatureNetwork | None:
    return read_feature_file(options.features) if options.features else None


def _in(place: Path, error: ValueError) -> InputError:
    return InputError(str(error) if str(place) in str(error) else f"{place}: {error}")


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _model(options: argparse.Namespace) -> SoartC:
    chosen = {name: value for name in DEFAULTS if (value := getattr(options, name)) is not None}
    return model_with(({"grid": EDGE_GRID} if options.edge else {}) | chosen)


def model_with(changed: Mapping[str, Any]) -> SoartC:
    """Return a model, not fitted, with the default settings of `inspect` but for those that are `changed`, by name."""
    settings = {**DEFAULTS, **changed}
    return SoartC(rotation_deg=settings.pop("rotation"), **settings)


def _chosen(
    options: argparse.Namespace,
    model: SoartC,
    paths: Mapping[str, Path],
    straightener: Straightener | None,
    network: FeatureNetwork | None,
    begin: str = "",
) -> Golden:
    """Choose among the OK pictures, given by their names in messages, and fit the model to those that are used.

    Messages on the pictures together say `begin`, which names the view, if there are several.
    """
    read = open_picture if straightener is None else straightener.read
    pictures, lost, small, problems = [], dict[str, str](), dict[str, str](), list[str]()
    for name, path in tqdm(paths.items(), disable=None if straightener else True, unit="OK picture"):
        if has_mark(path):
            problems.append(f"{path}: expected a picture of an OK part, got the marked picture of a verdict")
            continue
        try:
            pictures.append(read_golden(path, model, options.colour, name, read))
        except NotFoundError as error:
            lost[name] = "; ".join(error.reasons)
        except InputError as error:
            problems += error.problems
        except ValueError as error:  # too small to be aligned
            small[name] = str(error)
    if problems:
        raise InputError(few_of(problems))
    if len(lost) > MOST_LOST * len(paths):
        name, reason = next(iter(lost.items()))
        raise InputError(
            f"{options.golden}: {begin}expected photographs in which the gauge finds the part, got {len(lost)} of "
            f"{len(paths)} in which it does not, such as {name}: {reason}"
        )
    try:
        golden = choose(pictures, model, options.keep_outliers)
        if network:
            choose_by_features(golden, model, options.keep_outliers, lambda: FeatureStage.fit(model, network))
        else:
            warn_of_doubtful(golden, model.scores_)
        InspectionModel(model)  # refuses pictures that are equal
    except ValueError as error:
        raise InputError(f"{options.golden}: {begin}{error}") from None
    golden.set_aside |= lost | small
    return golden


def _inspection_model(
    options: argparse.Namespace,
    model: SoartC,
    golden: Golden,
    positions: tuple[Path | None, Path | None, Path],
    straightener: Straightener | None,
    network: FeatureNetwork | None,
    begin: str = "",
) -> InspectionModel:
    """Make the inspection model; `positions`: file of the pins' boxes, --positions-of, first OK picture.

    Lines for the user begin with `begin`, which names the view, if there are several.
    """
    model.notes["golden"] = golden.to_json()
    if straightener is not None:
        return _straightened_model(options, model, golden, straightener, network, begin)
    gates = PictureGates.of(open_picture(one.path, str(one.path)) for one in golden.kept)
    file, of, first = positions
    if not file:
        return InspectionModel(model, (), gates)
    boxes, picture = read_pin_boxes(file)
    if not boxes:
        raise InputError(f"{file}: expected the box of at least one pin, got none")
    if of is None and picture is None and file.suffix.lower() == ".json":
        raise InputError(f"{file}: expected a record with the key `run`, or --positions-of PICTURE, got neither")
    picture = of or picture or first
    if _name(options.golden, picture) in golden.set_aside and of is None:
        raise InputError(
            f"{file}: expected --positions-of with the picture in which these boxes lie, got none; the "
            f"default, {picture.name}, is unlike the other OK pictures and was left out: if they lie in it, name it"
        )
    image = _image_of_boxes(InspectionModel(model, (), gates), picture, options)
    if problems := unusable_boxes(model, boxes, image, picture.name):
        raise InputError(few_of(problems))
    for line in large_boxes(boxes, image.shape[:2], picture.name):
        print(line)
    try:
        return InspectionModel(model, _aligned_on_pins(model, golden, boxes, image, network, begin), gates)
    except ValueError as error:
        raise InputError(f"{file}: {error}") from None


def _image_of_boxes(inspection: InspectionModel, picture: Path, options: argparse.Namespace) -> np.ndarray:
    """Read the picture in which the pins' boxes lie; it must show the part as OK pictures do."""
    image = read_picture(picture, options.colour)
    try:
        unlike = inspection.reasons_unlike(image)
    except ValueError as error:
        raise InputError(f"{picture}: {error}") from None
    if unlike:
        raise InputError(
            f"{picture}: expected a picture that shows the part as the OK pictures do, as the boxes of "
            f"{options.positions} lie in it, got: {'; '.join(unlike)}; name another with --positions-of"
        )
    return image


def _aligned_on_pins(
    model: SoartC,
    golden: Golden,
    boxes: Sequence[PinBox],
    image: np.ndarray,
    network: FeatureNetwork | None,
    begin: str,
) -> list[Pin]:
    """Align the OK pictures on the pins whose boxes lie in `image`; return the pins, in px of the mean picture."""
    pins = align_on_pins(model, (one.small for one in golden.kept), boxes, image)
    if network:
        FeatureStage.fit(model, network)
        return pins
    if not golden.warnings:
        warn_of_doubtful(golden, model.scores_)  # scores may be lower now, and reveal what they hid before
        _print_lines(golden.warnings, begin)
    return pins


def _straightened_model(
    options: argparse.Namespace,
    model: SoartC,
    golden: Golden,
    straightener: Straightener,
    network: FeatureNetwork | None,
    begin: str,
) -> InspectionModel:
    """Make the inspection model for straightened pictures; its pins are those of the drawing."""
    model.notes[STRAIGHTENED] = straightener.key
    pictures = [straightener.read(one.path.read_bytes(), one.name) for one in golden.kept]
    straightener.forget()
    try:
        image = as_values(pictures[0], options.colour)
        pins = _aligned_on_pins(model, golden, straightener.boxes(), image, network, begin)
        return InspectionModel(model, pins, PictureGates.of(pictures))
    except ValueError as error:
        raise InputError(f"--model {options.model}, --grid {model.settings['grid']}: {begin}{error}") from None


def _golden_parts(folder: Path, views: Sequence[str]) -> dict[str, dict[str, Path]]:
    """Find the OK parts that every view shows, and print which others there are: files by part and view."""
    if note := passed_over(folder):
        print(note)
    found, problems = parts_of(find_pictures(folder), views, all_views=False)
    if problems:
        raise InputError(few_of(problems))
    whole = {part: of for part, of in found.items() if len(of) == len(views)}
    for part, of in found.items():
        if part not in whole:
            lacks = ", ".join(view for view in views if view not in of)
            print(f"OK part {_name(folder, Path(part))} is set aside: it has no picture of the view {lacks}")
    if len(whole) < FEWEST:
        raise InputError(
            f"{folder}: expected at least {FEWEST} OK parts with a picture of every view ({', '.join(views)}), "
            f"got {len(whole)}"
        )
    return whole


def few_of(problems: Sequence[str]) -> list[str]:
    """Return the first problems, and how many more there are."""
    more = [f"and {len(problems) - MOST_NAMED} more"] if len(problems) > MOST_NAMED else []
    return [*problems[:MOST_NAMED], *more]


def _keep_whole_parts(
    folder: Path,
    models: Mapping[str, SoartC],
    chosen: Mapping[str, Golden],
    part_of: Mapping[Path, str],
    network: FeatureNetwork | None,
) -> None:
    """Keep the parts whose pictures are used in every view; fit the models of the views that lose a picture."""
    kept = [{part_of[one.path] for one in golden.kept} for golden in chosen.values()]
    whole = set.intersection(*kept)
    for part in sorted(set.union(*kept) - whole):
        name = _name(folder, Path(part))
        print(f"OK part {name} is set aside in all views, as one of its pictures is set aside or a copy")
        for golden in chosen.values():
            golden.set_aside.setdefault(name, "another picture of this part is set aside or a copy")
    for view, golden in chosen.items():
        used = [one for one in golden.kept if part_of[one.path] in whole]
        if len(used) == len(golden.kept):
            continue
        golden.kept = used
        try:
            models[view].fit(one.small for one in used)
            if network:
                FeatureStage.fit(models[view], network)
        except ValueError as error:
            raise InputError(f"{folder}: view {view}: {error}") from None


def _positions(
    options: argparse.Namespace, parts: Mapping[str, Mapping[str, Path]]
) -> dict[str, tuple[Path | None, Path | None, Path]]:
    """Return, for each view, the file of its pins' boxes, the picture of --positions-of, and the first OK picture."""
    first = next(iter(parts.values()))
    files: Mapping[str, Path] = {}
    if options.positions:
        listed = sorted(path for path in options.positions.iterdir() if path.suffix.lower() in (".csv", ".json"))
        wrong = [
            f"{path}: expected a name that ends in one of the views ({', '.join(options.views)}), such as "
            f"{options.views[0]}.csv"
            for path in listed
            if view_of(path, options.views) is None
        ]
        found = [(said[1], path) for path in listed if (said := view_of(path, options.views))]
        files = dict(found)
        wrong += [f"{path}: expected one file of view {v}, got {files[v]} too" for v, path in found if files[v] != path]
        if wrong or not files:
            expected = (
                f"{options.positions}: expected files with boxes of pins, such as {options.views[0]}.csv, got none"
            )
            raise InputError(few_of(wrong) or expected)
        for view in options.views:
            if view not in files:
                print(f"view {view}: judged without boxes of pins, as {options.positions} has no file of this view")
    of: Mapping[str, Path] = {}
    if options.positions_of:
        folder, part = options.positions_of.parent, options.positions_of
        near = [*pictures_in(folder), *(pictures_in(part) if part.is_dir() else [])] if folder.is_dir() else []
        of = {said[1]: path for path in near if (said := view_of(path, options.views)) and Path(said[0]) == part}
        if missing := [view for view in files if view not in of]:
            raise InputError(
                f"--positions-of {part}: expected a part with a picture of the view {missing[0]}, such as "
                f"{part}_{missing[0]}.png, got none"
            )
    return {view: (files.get(view), of.get(view), first[view]) for view in options.views}


def warn_of_members(paths: Sequence[Path], golden: Sequence[Path]) -> None:
    """Warn of pictures to inspect whose bytes are those of an OK picture, one of `golden`.

    Such a picture helped to set its own limit.
    """
    sizes = {_size(path) for path in paths} & {_size(each) for each in golden}
    known = {_digest(each) for each in golden if _size(each) in sizes} - {None}
    members = [path for path in paths if _size(path) in sizes and _digest(path) in known]
    if members:
        print(
            f"warning: {len(members)} of {len(paths)} pictures to inspect are OK pictures of --golden (first: "
            f"{members[0]}): a verdict on them proves nothing"
        )


def _size(path: Path) -> int | None:
    """Size of a file in bytes; None if it is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _digest(path: Path) -> str | None:
    """SHA-256 of a file; None if it cannot be read, which is said where it is judged or learned from."""
    try:
        return sha256_of(path)
    except OSError:
        return None
