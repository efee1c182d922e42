"""Check that a scene has the housing, terminal, lighting and addresses that a row of a manifest names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Defect
from blender_scripts.contract.errors import shown


def not_offered(
    cells: Mapping[str, str], defects: Iterable[Defect], connector: Connector
) -> Iterator[tuple[str, str, str]]:
    """Yield column, what was expected and what was found, for each name that the scene does not have.

    Args:
        cells: the row's cells by column.
        defects: the row's defects.
        connector: the row's scene.
    """
    for column, offered in (
        ("housing", connector.housings),
        ("terminal", connector.terminal_names),
        ("lighting", connector.lightings),
    ):
        if cells[column] not in offered:
            yield column, f"one of {', '.join(offered)} (scene {connector.name})", shown(cells[column])
    addresses = {position.address for position in connector.positions}
    blanks = {position.address for position in connector.blanks}
    for target in dict.fromkeys(a for d in defects for a in d.addresses if a not in addresses):
        first, last = connector.positions[0].address, connector.positions[-1].address
        expected = f"an address of scene {connector.name} ({first} to {last})"
        yield "defects", expected, f"{target}, a blank, which has no pin" if target in blanks else shown(target)
