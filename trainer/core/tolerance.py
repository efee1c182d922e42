"""The tolerance under which a run was trained, and the pins that another tolerance would judge otherwise.

A pin is NG by the user's tolerance (generator/dataset/labels.py): limits in mm by name, for the whole connector and,
under `at`, for single addresses. A dataset states its tolerance in the column `tolerance_json` of each row. A run
states the tolerance of its training rows, by scene, in config.json. A network cannot follow any other tolerance.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blender_scripts.contract.tolerance import MEASURES, Limits, Tolerance
from trainer.core.dataset_columns import part_name

if TYPE_CHECKING:
    from generator.dataset.rows import ObjectRow

# Limits in mm as a JSON document states them, see `Tolerance.stated`.
StatedLimits = Mapping[str, Any]
NOT_RECORDED = "not recorded"


def tolerances_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return by scene the tolerance, limits in mm by name, of a dataset's rows; rows without one are left out.

    If a scene's rows have several tolerances, as after merging datasets, the second is named `SCENE (2)`, and so on.

    Args:
        rows: Rows with the columns `scene` and `tolerance_json`, if the dataset has these columns.
    """
    found: dict[tuple[str, str], None] = {}
    for row in rows:
        if row.get("tolerance_json"):
            found[(str(row.get("scene") or ""), str(row["tolerance_json"]))] = None
    named: dict[str, dict[str, Any]] = {}
    for scene, text in found:
        names = [scene, *(f"{scene} ({number})" for number in range(2, len(found) + 1))]
        named[next(name for name in names if name not in named)] = json.loads(text)
    return named


def words(tolerance: Mapping[str, StatedLimits] | None) -> str:
    """Return a tolerance by scene as one line of text; `not recorded` for None."""
    if not tolerance:
        return NOT_RECORDED
    return "; ".join(f"{scene}: {_limits(limits)}" if scene else _limits(limits) for scene, limits in tolerance.items())


def _limits(limits: StatedLimits) -> str:
    """Write limits as `build --tolerance` takes them."""
    everywhere = [f"{name}={value:g}" for name, value in limits.items() if isinstance(value, int | float)]
    at = [f"{address}.{name}={value:g}" for address, own in limits.get("at", {}).items() for name, value in own.items()]
    return ",".join((*everywhere, *at))


def limits_at(stated: StatedLimits, address: str | None) -> Limits:
    """Return the limits of a stated tolerance for the pin at an address.

    None: the limits of all pins without limits of their own.
    """
    return Tolerance(**stated).limits(address)


def is_between(each: "ObjectRow", first: StatedLimits, second: StatedLimits) -> bool:
    """Return whether a measure of the pin `each` is within one of two tolerances and outside the other."""
    one, other = limits_at(first, each.address), limits_at(second, each.address)
    for name in MEASURES:
        measure = getattr(each, name)
        low, high = sorted((getattr(one, name), getattr(other, name)))
        if measure is not None and low < measure <= high:
            return True
    return False


@dataclass
class Comparison:
    """Comparison of a dataset's tolerance with the one under which a run was trained.

    Args:
        trained: The run's tolerance by scene; None: not recorded.
        data: The dataset's tolerance by scene.
        other: The scenes whose tolerance in the dataset differs from the run's; scenes that only one of them has, or
            states no tolerance for, are not compared.
        pins: Number of pins with measures in the scenes `other`; each pin of a part counts once.
        between: Number of these pins that have a measure between the two limits.
    """

    trained: Mapping[str, StatedLimits] | None
    data: Mapping[str, StatedLimits]
    other: list[str]
    pins: int = 0
    between: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as the JSON object `tolerance` of evaluation.json."""
        return dict(vars(self))

    def sentence(self) -> str:
        """Return one line, without full stop, on how the dataset's tolerance compares with the run's."""
        if self.trained is None:
            return f"tolerance of the training: {NOT_RECORDED}; tolerance of the dataset: {words(self.data)}"
        if not self.other:
            return f"tolerance: {words(self.trained)}, as in training"
        return (
            f"WARNING: the dataset's tolerance is {words(self.data)}, but the run was trained under the tolerance "
            f"{words(self.trained)} and cannot follow another: {self.between} of {self.pins} pins have a measure "
            "between the limits of the two tolerances"
        )


def compare(
    trained: Mapping[str, StatedLimits] | None, rows: Iterable[tuple[Mapping[str, Any], "Iterable[ObjectRow] | None"]]
) -> Comparison:
    """Compare the tolerance of a dataset's rows with that of a run, and count the pins with a measure between the two.

    Args:
        trained: The run's tolerance by scene; None: not recorded.
        rows: Rows with the columns `scene`, `part` and `tolerance_json`, each with its objects, if known.
    """
    held = list(rows)
    found = Comparison(trained, tolerances_of(row for row, _ in held), [])
    pins: dict[tuple[str, str], bool] = {}
    for row, objects in held:
        scene, own = str(row.get("scene") or ""), row.get("tolerance_json")
        known = (trained or {}).get(scene)
        if not own or known is None or _complete(theirs := json.loads(str(own))) == _complete(known):
            continue
        if scene not in found.other:
            found.other.append(scene)
        for each in objects or ():
            if each.address and each.true_position_mm is not None:
                key = part_name(row, str(row.get("run", ""))), each.address
                pins[key] = pins.get(key, False) or is_between(each, known, theirs)
    found.pins, found.between = len(pins), sum(pins.values())
    return found


def _complete(stated: StatedLimits) -> dict[str, Any]:
    """Return all limits that a tolerance implies, so that two can be compared."""
    return Tolerance(**stated).complete()


def cannot_follow(run: Path, trained: Mapping[str, StatedLimits] | None, asked: Mapping[str, float]) -> str | None:
    """Return a warning if the limits of `--tolerance` are not those under which a run was trained; otherwise None.

    Args:
        run: The run's folder.
        trained: The run's tolerance by scene; None: not recorded.
        asked: Limits in mm by name, or by address and name such as `r1c2.retraction_mm`.
    """
    given = ",".join(f"{name}={value:g}" for name, value in asked.items())
    if trained is None:
        return (
            f"--tolerance {given} has no effect: a network follows the tolerance of its training only, and {run} has "
            "not recorded it"
        )
    for limits in trained.values():
        for name, value in asked.items():
            address, _, measure = name.rpartition(".")
            places = [address] if address else ["", *limits.get("at", {})]
            if any(getattr(limits_at(limits, place), measure) != value for place in places):
                return (
                    f"--tolerance {given} has no effect: {run} was trained under the tolerance {words(trained)} and "
                    "cannot follow another; `python -m trainer.evaluate` with a dataset of the other tolerance counts "
                    "the pins that have a measure between the limits of the two tolerances"
                )
    return None
