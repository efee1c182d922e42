"""Seen and held-out positions: a pin position is seen if its pin is defective in a training picture, else held out."""

from collections.abc import Iterable, Mapping, Sequence

# Key of positions that a run of an earlier version kept without their scene: they count in every scene.
ANY_SCENE = "*"


def _pins(addresses: Iterable[str]) -> set[str]:
    """Split addresses into those of single pins: `r1c1-r1c2` of a bridge gives two, an empty address none."""
    return {pin for address in addresses for pin in address.split("-") if pin}


def positions_by_scene(defects: Iterable[tuple[str, Iterable[str]]]) -> dict[str, list[str]]:
    """Return by scene the sorted addresses (such as `r1c2`) of all pins that are defective in any picture.

    Args:
        defects: For each picture its scene and the addresses of its defects.
    """
    found: dict[str, set[str]] = {}
    for scene, addresses in defects:
        found.setdefault(scene, set()).update(_pins(addresses))
    return {scene: sorted(pins) for scene, pins in sorted(found.items())}


def group_of(scene: str, addresses: Iterable[str], positions: Mapping[str, Sequence[str]]) -> str:
    """Return whether a picture's defects are on pins that were defective in training.

    Args:
        scene, addresses: The picture's scene, and the addresses of its defects.
        positions: From `positions_by_scene`, of the training pictures.

    Returns:
        `seen` (all pins were), `held-out` (none was), `both` (some were), or `no position` if no address is given.
    """
    seen = _pins([*positions.get(scene, ()), *positions.get(ANY_SCENE, ())])
    groups = {pin in seen for pin in _pins(addresses)}
    if not groups:
        return "no position"
    return "both" if len(groups) == 2 else "seen" if groups == {True} else "held-out"
