"""Make the augmented copies of one dataset row.

A picture with print, or of which it is not known whether it has print, is mirrored only with --mirror-text, since
mirrored print is wrong. An NG picture without boxes is not cut, trimmed or warped, since its defect might be cut away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.errors import InputError
from blender_scripts.contract.nominal_position import NominalPosition
from generator.augmenting.camera import moved_camera
from generator.augmenting.copies import Copy, copies
from generator.augmenting.orientation import Naming, Place, naming
from generator.augmenting.plan import Options
from generator.augmenting.relabel import Settings, moved_housing, moved_objects, relabelled, renamed
from generator.dataset.labels import OK
from generator.dataset.rows import ObjectRow, PictureRow, columns_of, row_of
from generator.dataset.writer import encoded_png
from generator.io.pictures import open_picture, open_upright
from generator.soart import nsoart
from generator.soart.golden_reference import fitted, maps_against

Columns = dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """Settings that are equal for all copies of a dataset's rows.

    Attributes:
        scenes: folder of the scene files, for scenes that connectors.json lacks.
        drawings: nominal pin positions from the dataset's connectors.json, by scene.
        options: options of the command.
        settings: labelling settings in the dataset's card.
        parameters: contents of the dataset's nsoart.json.
        extras: names of the user's own columns.
        masks: whether the dataset has instance masks.
        folder: folder of the dataset, with its golden references if it has them.
    """

    scenes: Path
    drawings: Mapping[str, Sequence[NominalPosition]]
    options: Options
    settings: Settings
    parameters: Mapping[str, Any]
    extras: tuple[str, ...]
    masks: bool
    folder: Path


def copies_of(stored: Mapping[str, Any], asked: Sequence[str], rules: Rules, skipped: Counter[str]) -> list[Columns]:
    """Make the copies of a dataset row; returns the columns of each, in the form that Arrow stores, with its pictures.

    Args:
        stored: the row with its pictures, as stored.
        asked: operations that the plan has for this row.
        rules: settings for all copies.
        skipped: number of copies that are not made, by reason; this function adds to it (a whole `cut` as one).

    Raises:
        InputError: a picture, mask or golden reference (mean picture of good parts) cannot be read, or does not fit.
    """
    if not asked:
        return []
    row = _known(row_of(stored, rules.extras), rules.settings)
    operations, trim = _allowed(row, asked, rules.options, skipped)
    run = row.manifest["run"]
    picture = open_picture(stored["image"]["bytes"], f"row {run}, column image")
    mask = None
    if rules.masks and stored.get("mask") is not None:
        mask = np.asarray(open_upright(stored["mask"]["bytes"], f"row {run}, column mask"))
    laid = _laid(picture, row, rules)
    found = []
    for copy in copies(operations, picture.size, rules.options.seed, run, trim):
        if rules.parameters and min(copy.move.out) < rules.parameters["window"]:
            skipped[f"{copy.name}: the copy would be smaller than the windows of NSOART"] += 1
            continue
        if laid is not None and laid.shape != (picture.height, picture.width):
            skipped[f"{copy.name}: the original's size is not that of its golden reference"] += 1
            continue
        moved_mask = None if mask is None else copy.move.pixels(mask, nearest=True)
        made = copied_row(row, copy, mask, moved_mask, rules)
        moved = None if laid is None else copy.move.pixels(laid)
        found.append(
            columns_of(made) | _pictures(row, made, copy.pixels(np.asarray(picture)), moved_mask, moved, rules)
        )
    return found


def _known(row: PictureRow, settings: Settings) -> PictureRow:
    """Complete the row of an older dataset: number its objects, and take a render's tolerance from the card."""
    tolerance = row.tolerance
    if tolerance is None and row.synthetic:
        tolerance = settings.tolerance.get(row.manifest["scene"] or "")
    if row.objects is None:
        return replace(row, tolerance=tolerance)
    numbered = (each if each.id is not None else replace(each, id=number) for number, each in enumerate(row.objects, 1))
    return replace(row, tolerance=tolerance, objects=tuple(numbered))


def _allowed(
    row: PictureRow, operations: Sequence[str], options: Options, skipped: Counter[str]
) -> tuple[list[str], bool]:
    """Return the operations that give correct labels for a row, and whether its edges may be trimmed."""
    allowed = list(operations)
    marking = row.manifest["marking"]
    if "reverse" in allowed and marking != "none" and not options.mirror_text:
        allowed.remove("reverse")
        why = "the print would be mirrored" if marking else "it is not known whether the picture has print"
        skipped[f"reverse: {why} (give --mirror-text to make the copy)"] += 1
    if row.objects is not None or row.label == OK:
        return allowed, options.trim
    for name in ("cut", "warp"):
        if name in allowed:
            allowed.remove(name)
            skipped[f"{name}: the defect's box is not known"] += 1
    return allowed, False


def copied_row(
    row: PictureRow, copy: Copy, mask: np.ndarray | None, moved_mask: np.ndarray | None, rules: Rules
) -> PictureRow:
    """Make the row of a copy, without its pictures.

    Args:
        row: row of the original.
        copy: the copy to make.
        mask: instance mask (H, W) of the original; None: none.
        moved_mask: instance mask (H, W) of the copy; None: none.
        rules: settings for all copies.
    """
    manifest = dict(row.manifest)
    world: np.ndarray | None = np.eye(4)
    left: Sequence[ObjectRow] | None = None
    if row.objects is not None:
        left = moved_objects(row.objects, copy.move, mask, moved_mask)
    if copy.naming is not None:
        names = _naming(copy.naming, row, rules)
        manifest |= {"camera": names.camera(manifest["camera"]), "defects": names.defects(manifest["defects"])}
        left = None if left is None else renamed(left, names)
        world = names.world
        row = replace(row, tolerance=names.tolerance(row.tolerance))
    width, height = copy.move.out
    made = replace(
        row,
        original=manifest["run"],
        augmentation=copy.name,
        camera=moved_camera(row.camera, copy.move, world),
        housing_box=moved_housing(row.housing_box, copy.move),
        width=width,
        height=height,
        manifest={**manifest, "run": f"{manifest['run']}_{copy.name}"},
    )
    return made if left is None else relabelled(made, left, rules.settings)


def _laid(picture: Image.Image, row: PictureRow, rules: Rules) -> np.ndarray | None:
    """Return the golden reference on the original's pixels, in grey levels: (h, w) float32; None: it is self."""
    if not nsoart.is_golden(rules.parameters):
        return None
    try:
        reference = nsoart.golden_reference(rules.parameters, row.manifest, rules.folder)
        grey = fitted(picture, reference.anchor.shape)
    except ValueError as error:
        raise InputError(f"row {row.manifest['run']}: {error}") from None
    return 255 * reference.laid(grey, row.manifest["run"])


def _pictures(
    original: PictureRow,
    row: PictureRow,
    pixels: np.ndarray,
    mask: np.ndarray | None,
    laid: np.ndarray | None,
    rules: Rules,
) -> dict[str, dict[str, Any]]:
    """Return the picture columns of a copy; `laid`: (H, W) its golden reference in grey levels; None: it is self."""
    run, picture = row.manifest["run"], Image.fromarray(pixels)
    found = {"image": {"bytes": encoded_png(picture), "path": f"{run}.png"}}
    if rules.parameters:
        if laid is None:
            chart = nsoart.nsoart_picture(picture, rules.parameters, row.manifest)
        else:  # the reference's statistics are those of the original's group: the copy's camera may have no group
            grey, mean = fitted(picture, laid.shape), np.clip(laid / 255, 0, 1).astype(np.float32)
            maps = maps_against(grey, mean, rules.parameters["window"], rules.parameters["stride"])
            chart = nsoart.coded(maps, rules.parameters, original.manifest, laid.shape)
        found["nsoart"] = {"bytes": encoded_png(chart), "path": f"{run}_nsoart.png"}
    if mask is not None:
        found["mask"] = {"bytes": encoded_png(Image.fromarray(mask)), "path": f"{run}_mask.png"}
    return found


def _naming(operation: str, row: PictureRow, rules: Rules) -> Naming:
    objects, scene = row.objects or (), row.manifest["scene"]
    addresses, cavities = [each.address for each in objects], [each.cavity for each in objects]
    drawing = rules.drawings.get(scene) or _drawing(rules.scenes, scene)
    return naming(operation, addresses, cavities, drawing)


@cache
def _drawing(scenes: Path, scene: str | None) -> Sequence[Place] | None:
    path = scenes / f"{scene}.toml"
    return read_connector(path).positions if scene and path.is_file() else None
