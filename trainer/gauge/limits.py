"""The limits in mm by which a gauge's run judges: those of the run, replaced by those of --tolerance."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from blender_scripts.contract.tolerance import MEASURES, Tolerance
from generator.locating.drawings import StatedDrawing
from generator.locating.judge import HEIGHT, TRUE_POSITION
from trainer.core.errors import InputError

# Limits of each characteristic that has some, and the number of limits that a line names at most.
_LIMITS = {TRUE_POSITION: ("true_position_mm",), HEIGHT: ("retraction_mm", "protrusion_mm")}
_MOST = 6


def connector_tolerance(
    stated: Mapping[str, Any], drawing: StatedDrawing, asked: Mapping[str, float], place: str = "config.json tolerance"
) -> Tolerance:
    """Return a connector's limits in mm: the run's (`stated`, by scene), replaced by those of --tolerance (`asked`).

    `place` names file and key of `stated` in messages.

    Raises:
        InputError: A limit is for an address that the connector does not have, or a necessary limit is not stated.
    """
    addresses = {each.address for each in drawing.positions}
    unknown = [name for name in asked if "." in name and name.rpartition(".")[0] not in addresses]
    if unknown:
        raise InputError(f"--tolerance: expected a pin address of {drawing.key[0]}, such as r1c1, got {unknown[0]}")
    own = stated.get(drawing.key[0])
    if own is None:
        if missing := [name for name in MEASURES[:2] if name not in asked]:
            raise InputError(
                f"--tolerance: expected {' and '.join(missing)}, as the run states no tolerance for {drawing.key[0]}"
            )
        own = {name: asked[name] for name in MEASURES if name in asked}
    if alien := sorted(set(own.get("at", {})) - addresses):
        raise InputError(
            f"{place}.{drawing.key[0]}.at: expected addresses of {drawing.key[0]}, such as r1c1, got {', '.join(alien)}"
        )
    return Tolerance(**own).with_limits(asked)


def replaced(now: Tolerance, usual: Tolerance | None, judged: Collection[str]) -> str:
    """Name the limits by which a verdict judges, if they are not the run's: "true_position_mm 1.2 in place of 0.8".

    Args:
        now: limits in mm by which parts are judged.
        usual: the run's limits in mm; None: it states none.
        judged: characteristics that the verdict covers; limits of others are not named.

    Returns:
        At most six limits, separated by commas, and the number of others; empty if all are the run's.
    """
    names = [name for each, own in _LIMITS.items() if each in judged for name in own]
    addresses = (None, *dict.fromkeys((*now.at, *(usual.at if usual else ()))))
    pairs = {at: (asdict(now.limits(at)), asdict(usual.limits(at)) if usual else {}) for at in addresses}
    said = []
    for at, (new, old) in pairs.items():
        for name in names:
            every = tuple(limits.get(name) for limits in pairs[None])
            if new[name] == old.get(name) or (at is not None and (new[name], old.get(name)) == every):
                continue
            before = f" in place of {old[name]:g}" if old else ""
            said.append(f"{f'{at}.' if at else ''}{name} {new[name]:g}{before}")
    more = [f"and {len(said) - _MOST} more"] if len(said) > _MOST else []
    return ", ".join([*said[:_MOST], *more])
