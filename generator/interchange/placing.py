"""Assign a run name, a split and, for parts with several views, a part number to imported pictures."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from generator.dataset.labels import worst_class
from generator.interchange.labelled import ReadLabels, is_utf8
from generator.interchange.photo_rows import Photo
from generator.interchange.same_pictures import same_files
from generator.io.view_names import parts_of


def placed(
    found: ReadLabels, shares: Mapping[str, float], seed: int, others: Mapping[str, int], views: Sequence[str] = ()
) -> list[Photo]:
    """Return imported pictures with their run name, split and, with `views`, part number and camera.

    A run name is a picture's unique name in the dataset, made from its path.

    Args:
        found: the reader's result; messages on pictures that are left out are added to its `problems`.
        shares: share of each split, drawn class by class; pictures of a part stay together. Empty: splits as in the
            source, else `train`.
        seed: seed of the random draw.
        others: part number of each row in the dataset to mix with, by run name. These names are not given again, and
            new part numbers begin above the largest.
            The same holds for part numbers that Pinsight's own export states, which are kept without such a dataset.
        views: cameras that took a picture of every part; empty: pictures are not grouped by part. Parts without all
            views are left out, and the views of a part get the same split.
    """
    photos = _named(found, set(others))
    first = max(others.values(), default=0) + 1
    if views:
        photos = _of_parts(photos, views, first, found.problems)
    else:
        photos = _of_stated_parts(photos, first if others else None)
    return _drawn(photos, shares, seed) if shares else photos


def _named(found: ReadLabels, taken: set[str]) -> list[Photo]:
    """Make a Photo of each picture, with a unique run name made from its path; `taken`: names in use."""
    photos = []
    times = Counter(labelled.path.resolve() for labelled in found.pictures)
    # A picture that is labelled twice is left out, since it is not known which labels are right.
    repeated = {labelled.path.resolve(): labelled.name for labelled in found.pictures}
    found.problems += [
        f"{name}: expected labels of each picture once, got them {times[path]} times"
        for path, name in repeated.items()
        if times[path] > 1
    ]
    for labelled in found.pictures:
        if times[labelled.path.resolve()] > 1:
            continue
        if not is_utf8(labelled.name):
            found.problems.append(f"{labelled.name!r}: expected a file name in UTF-8, got other bytes: rename the file")
            continue
        stem = (
            re.sub(r"[^\w-]+", "_", unicodedata.normalize("NFC", str(Path(labelled.name).with_suffix("")))).strip("_")
            or "picture"
        )
        run, number = stem, 1
        while run in taken:
            number += 1
            run = f"{stem}_{number}"
        taken.add(run)
        photos.append(Photo(labelled, run, labelled.split or "train"))
    return photos


def _of_stated_parts(photos: list[Photo], first: int | None) -> list[Photo]:
    """Give pictures the part that their labels state; `first`: count parts from this number on; None: keep numbers."""
    numbers: dict[tuple[str, int], int] = {}
    found = []
    for photo in photos:
        stated = photo.labelled.columns
        if (part := stated.get("part")) is not None:
            key = stated.get("scene", ""), part
            part = part if first is None else numbers.setdefault(key, first + len(numbers))
        found.append(replace(photo, part=part))
    return found


def _drawn(photos: list[Photo], shares: Mapping[str, float], seed: int) -> list[Photo]:
    """Assign splits at random by their shares, class by class; views of a part and copies of a file stay together."""
    units: dict[str | tuple[str, int], list[int]] = {}
    copies = same_files(photo.labelled.path for photo in photos if photo.part is None)
    for at, photo in enumerate(photos):
        scene = photo.labelled.columns.get("scene", "")
        name = copies.get(photo.labelled.path, photo.run) if photo.part is None else (scene, photo.part)
        units.setdefault(name, []).append(at)
    rng = np.random.default_rng(seed)
    by_class: dict[str, list[list[int]]] = {}
    for unit in units.values():
        by_class.setdefault(worst_class(photos[at].label for at in unit), []).append(unit)
    found = list(photos)
    for label in sorted(by_class):
        drawn = rng.permutation(len(by_class[label]))
        bounds = np.round(np.cumsum([0.0, *shares.values()]) * len(drawn)).astype(int)
        for split, first, last in zip(shares, bounds[:-1], bounds[1:], strict=True):
            for at in (at for number in drawn[first:last] for at in by_class[label][number]):
                found[at] = replace(found[at], split=split)
    return found


def _of_parts(photos: list[Photo], views: Sequence[str], first: int, problems: list[str]) -> list[Photo]:
    """Return the pictures of parts that have all views, with camera and part number; numbers start at `first`."""
    paths = [photo.labelled.path.resolve() for photo in photos]
    root = os.path.commonpath([path.parent for path in paths]) if paths else ""
    by_path = {path.relative_to(root): photo for path, photo in zip(paths, photos, strict=True)}
    parts, wrong = parts_of(list(by_path), views)
    problems += wrong
    found: list[Photo] = []
    for number, (part, pictures) in enumerate(parts.items(), first):
        own = [replace(by_path[path], part=number, camera=camera) for camera, path in pictures.items()]
        if len(splits := list(dict.fromkeys(photo.split for photo in own))) > 1:
            problems.append(f"{part}: expected all views of the part in one split, got {', '.join(splits)}")
        else:
            found += own
    return found
