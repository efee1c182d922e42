"""Tell the masks of an anomaly data set from its photographs.

Such data sets (MVTec AD, VisA, BTAD, KolektorSDD, DAGM and others) keep, for each photograph of a bad part, a picture
that marks the defect's pixels: in a folder such as ground_truth/bent/000_mask.png or Masks/Anomaly/000.png, or beside
the photograph as a_label.bmp or, with the photograph's own name, a.png beside a.jpg.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from blender_scripts.contract.errors import InputError
from generator.io.pictures import open_upright

_WORDS = "ground_?truths?|gts?|(anomaly_?|segmentation_?|defect_?)?masks?|labels?|annotations?|segmentations?"
_FOLDER = re.compile(f"({_WORDS}|segmentation(class|object)(png|raw|aug)?)|.+_(ground_?truth|gt|masks?)", re.IGNORECASE)
_STEM = re.compile(
    f"(?P<photo>.*[^_. -])[_. -]+({_WORDS}|seg)([_. -]*[0-9]+)?|({_WORDS}|seg)[_. -]+(?P<rest>.+)", re.IGNORECASE
)
# A picture counts as a mask if its most frequent colours (at most so many) cover this share of it.
MASK_COLOURS = 8
MASK_SHARE = 0.9


def split_masks(
    paths: Sequence[Path], source: Path, is_class: Callable[[str], bool] = lambda name: False
) -> tuple[list[Path], list[Path]]:
    """Split the pictures of an image folder into photographs and masks.

    A picture is a mask in each of these cases:

    - its folder is named as for masks, such as ground_truth, and it has few colours or is named after a photograph;
    - its own name is that of a mask, such as a_mask.png, and it has few colours;
    - it has few colours, and beside it is a picture of more colours that differs in name by the suffix only.

    Args:
        paths: pictures below `source`.
        source: the image folder.
        is_class: whether the user gave a class for a folder of this name; such a folder holds photographs.

    Returns:
        Photographs and masks, each in the order given.
    """
    named = {path: _is_in_mask_folder(path, source, is_class) for path in paths}
    photographs = {(path.parent.name, path.stem) for path in paths if not named[path]}
    beside: dict[Path, list[Path]] = {}
    for path in paths:
        beside.setdefault(path.with_suffix(""), []).append(path)
    masks = []
    for path in paths:
        match = _STEM.fullmatch(path.stem)
        photo = match["photo"] or match["rest"] if match else path.stem
        # MVTec LOCO keeps the masks of photograph 000 in a folder 000.
        partners = {(path.parent.name, photo), (path.parent.parent.name, path.parent.name)}
        if named[path]:
            is_mask = bool(partners & photographs) or has_few_colours(path)
        elif match:
            is_mask = has_few_colours(path)
        else:
            others = [each for each in beside[path.with_suffix("")] if each != path]
            is_mask = bool(others) and has_few_colours(path) and not all(map(has_few_colours, others))
        if is_mask:
            masks.append(path)
    return [path for path in paths if path not in set(masks)], masks


def note_on_masks(masks: Sequence[Path], source: Path) -> list[str]:
    """Return a list with a note for the user that `masks`, below the folder `source`, are passed over; [] if none."""
    if not masks:
        return []
    some = ", ".join(mask.relative_to(source).as_posix() for mask in masks[:3]) + (", ..." if len(masks) > 3 else "")
    return [f"{source}: passed over {len(masks)} pictures that are masks, not photographs: {some}"]


def has_few_colours(path: Path) -> bool:
    """Whether MASK_COLOURS (8) colours cover 90 % of a picture, as in a mask (even a JPEG); False if unreadable."""
    try:
        pixels = np.asarray(open_upright(path, path.name))
    except InputError:
        return False
    colours = pixels.reshape(len(pixels) * len(pixels[0]), -1)
    counts = np.unique(colours, axis=0, return_counts=True)[1]
    return bool(np.sort(counts)[-MASK_COLOURS:].sum() >= MASK_SHARE * len(colours))


def _is_in_mask_folder(path: Path, source: Path, is_class: Callable[[str], bool]) -> bool:
    return any(
        _FOLDER.fullmatch(re.sub(r"[\s-]+", "_", part)) is not None and not is_class(part)
        for part in path.relative_to(source).parts[:-1]
    )
