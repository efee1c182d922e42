"""Make one physical part: its pins, its print, and what defects add to it or remove from it."""

from __future__ import annotations

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Defect
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.part import Letters, Part
from blender_scripts.kinds import KINDS
from blender_scripts.manifest.placement import place_pins


def make_part(
    connector: Connector, housing: str, terminal: str, marking: str, seed: int, defects: tuple[Defect, ...]
) -> Part:
    """Make the part that a manifest row describes.

    Args:
        connector: the row's scene.
        housing, terminal, marking, defects: the row's columns of these names.
        seed: the row's column `part`.

    Raises:
        InputError: defects that the geometry does not allow, each as ``expected …, got …``.
    """
    own = tuple(defect for defect in defects if KINDS[defect.kind].shape)
    problems: list[str] = []
    try:
        pins = place_pins(connector, terminal, seed, own)
    except InputError as error:
        problems += error.problems
        pins = place_pins(connector, terminal, seed, ())
    bare = Part(connector, housing, seed, pins, print_items(connector, marking))
    flaws = []
    for defect in defects:
        add = KINDS[defect.kind].add
        if add is not None:
            try:
                flaws.append(add(bare, defect))
            except InputError as error:
                problems += error.problems
    if problems:
        raise InputError(problems)
    misprinted = {letters for flaw in flaws for letters in flaw.meant}
    right = tuple(letters for letters in bare.letters if letters not in misprinted)
    return Part(connector, housing, seed, pins, right, tuple(flaws))


def print_items(connector: Connector, marking: str) -> tuple[Letters, ...]:
    """Return the items printed on a good part.

    Args:
        connector: the scene.
        marking: the manifest's column `marking`: `text=…` gives one item; `numbers` one for each row and one for each
            position of row 1, or one per cavity label if the scene's `numbers_at` is `around`; `none` no item.
    """
    where = connector.marking
    if marking.startswith("text="):
        return (Letters(marking.removeprefix("text="), *where.text_at_mm),)
    if marking != "numbers":
        return ()
    if where.numbers_at == "around":
        middle = connector.shell.opening.middle
        items = []
        for position in (*connector.positions, *connector.blanks):
            x, y = position.x_mm - middle[0], position.y_mm - middle[1]
            scale = where.around_mm / max((x * x + y * y) ** 0.5, 1e-9)
            items.append(Letters(position.cavity, middle[0] + scale * x, middle[1] + scale * y))
        return tuple(items)
    # Blanks are numbered like any position: the print is the housing's, whatever terminals it is loaded with.
    places = (*connector.positions, *connector.blanks)
    rows = {p.row: p.y_mm for p in places}
    columns = {p.position: p.x_mm for p in places if p.row == 1}
    items = [Letters(str(row), where.row_numbers_x_mm, y) for row, y in rows.items()]
    return (*items, *(Letters(str(column), x, where.position_numbers_y_mm) for column, x in columns.items()))
