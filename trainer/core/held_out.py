"""Which pins carried a defect in training: is a defect where the network has seen one, or at a held-out position?"""

from collections.abc import Iterable, Mapping, Sequence

# Where runs of earlier versions kept positions without their scenes, these count in every one.
ANY_SCENE = "*"


def _pins(addresses: Iterable[str]) -> set[str]:
    """Single addresses: a bridge's `r1c1-r1c2` is two; what has none is none."""
    return {pin for address in addresses for pin in address.split("-") if pin}


def positions_by_scene(defects: Iterable[tuple[str, Iterable[str]]]) -> dict[str, list[str]]:
    """Pins that carry a defect somewhere, by scene.

    Args:
        defects: Scene and addresses of the defects of each picture.
    """
    found: dict[str, set[str]] = {}
    for scene, addresses in defects:
        found.setdefault(scene, set()).update(_pins(addresses))
    return {scene: sorted(pins) for scene, pins in sorted(found.items())}


def group_of(scene: str, addresses: Iterable[str], positions: Mapping[str, Sequence[str]]) -> str:
    """`seen`, `held-out` or `both`: where defects sit against those of training; `no position` without an address.

    Args:
        scene: The picture's.
        addresses: Of its defects.
        positions: From `positions_by_scene`, of the training's pictures.
    """
    seen = _pins([*positions.get(scene, ()), *positions.get(ANY_SCENE, ())])
    groups = {pin in seen for pin in _pins(addresses)}
    if not groups:
        return "no position"
    return "both" if len(groups) == 2 else "seen" if groups == {True} else "held-out"
