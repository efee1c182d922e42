"""The defect `print`: print on the housing that is missing, wrong, misplaced or mirrored."""

from __future__ import annotations

import math
from dataclasses import replace

from blender_scripts.contract import draws, lettering
from blender_scripts.contract.defect import PRINT, Choice, Defect, Parameter
from blender_scripts.contract.errors import InputError, shown
from blender_scripts.geometry.part import Flaw, Letters, Part
from blender_scripts.kinds.kind import Kind

_DIGITS = "0123456789"
_LETTERS = "ABCDEFGHKLMNPRSTUXYZ"


def _misprint(part: Part, defect: Defect) -> Flaw:
    if not part.letters:
        raise InputError(f"expected a print (column `marking`) on the housing for {defect.text}, got none")
    item = defect["item"]
    if item % 1 or item > len(part.letters):
        raise InputError(
            f"expected item as an integer from 0 (all items) to {len(part.letters)}, got {item:g} in {defect.text}"
        )
    meant = part.letters if item == 0 else (part.letters[int(item) - 1],)
    how = defect.word("type")
    if how == "missing":
        return Flaw(defect, meant=meant)
    if how == "mirrored":
        marking, texts = part.connector.marking, " ".join(letters.text for letters in meant)
        size = marking.height_mm, marking.stroke_mm
        meant = tuple(letters for letters in meant if not lettering.is_symmetric(letters.text, *size))
        if not meant:
            raise InputError(f"expected print that differs from its mirror image, got {shown(texts)} in {defect.text}")
    return Flaw(defect, meant=meant, printed=tuple(_printed(part, defect, how, letters) for letters in meant))


def _printed(part: Part, defect: Defect, how: str, letters: Letters) -> Letters:
    if how == "mirrored":
        return replace(letters, mirrored=True)
    if how == "misplaced":
        shift, azimuth = defect["shift_mm"], math.radians(defect["azimuth_deg"])
        return replace(
            letters, x_mm=letters.x_mm + shift * math.cos(azimuth), y_mm=letters.y_mm + shift * math.sin(azimuth)
        )
    # `wrong`: another digit replaces a digit, another letter a letter.
    source = draws.generator(part.seed, "misprint", letters.text)
    places = [i for i, character in enumerate(letters.text) if character != " "]
    place = places[min(int(source.random() * len(places)), len(places) - 1)]
    sort = _DIGITS if letters.text[place] in _DIGITS else _LETTERS
    others = [character for character in sort if character != letters.text[place].upper()]
    other = others[min(int(source.random() * len(others)), len(others) - 1)]
    if letters.text[place].islower():
        other = other.lower()
    return replace(letters, text=letters.text[:place] + other + letters.text[place + 1 :])


KIND = Kind(
    "print",
    1,
    "print on the housing is missing, wrong, misplaced or mirrored",
    (
        Choice("type", ("missing", "wrong", "misplaced", "mirrored"), "missing", "what is wrong with the print"),
        Parameter(
            "item",
            0.0,
            4000.0,
            1.0,
            "number of the printed item: 0 = all items, 1 = the text or the first number, and so on",
        ),
        Parameter("shift_mm", 0.05, 50.0, 0.8, "distance, mm, by which the print is misplaced"),
        Parameter("azimuth_deg", 0.0, 360.0, 0.0, "direction in which the print is misplaced: 0° = +X, 90° = +Y"),
    ),
    targets=(PRINT,),
    add=_misprint,
)
