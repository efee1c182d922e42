"""The tolerance under which a run was trained, and the pins that another tolerance would judge otherwise.

A pin is NG by the user's tolerance (generator/dataset/labels.py): limits in mm by name, for the whole connector and,
under `at`, for single addresses. A dataset states its tolerance in the column `tolerance_json` of each row. A run
states the tolerance of its training rows, by scene, in config.json. A network cannot follow any other tolerance.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blender_scripts.contract.tolerance import MEASURES, Limits, Tolerance, stated_tolerance
from trainer.core.dataset_columns import part_name
from trainer.core.errors import InputError

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
    return _tolerance(stated).limits(address)


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
        other: The scenes whose tolerance in the dataset differs from the run's.
        pins: Number of pins with measures in the scenes `other`; each pin of a part counts once.
        between: Number of these pins that have a measure between the two limits.
        same: The scenes whose tolerance is the run's.
        unknown: The scenes of the dataset that have a tolerance there, but not in the run: they are not compared.
        unstated: The scenes of the dataset with rows that state no tolerance.
    """

    trained: Mapping[str, StatedLimits] | None
    data: Mapping[str, StatedLimits]
    other: list[str]
    pins: int = 0
    between: int = 0
    same: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unstated: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as the JSON object `tolerance` of evaluation.json."""
        return dict(vars(self))

    def sentence(self) -> str:
        """Return one line, without full stop, on how the dataset's tolerance compares with the run's."""
        if not self.data:
            return f"the dataset states no tolerance; tolerance of the training: {words(self.trained)}"
        if not self.trained:
            return f"tolerance of the training: {NOT_RECORDED}; tolerance of the dataset: {words(self.data)}"
        parts = []
        if self.other:
            parts.append(
                f"WARNING: the dataset's tolerance is {words(self.data)}, but the run was trained under the tolerance "
                f"{words(self.trained)} and cannot follow another: {self.between} of {self.pins} pins have a measure "
                "between the limits of the two tolerances"
            )
        elif self.same or not self.unknown:
            same = {scene: limits for scene, limits in self.trained.items() if scene in self.same}
            parts.append(f"tolerance: {words(same or self.trained)}, as in training")
        if self.unknown:
            parts.append(f"not compared: the run knows no scene {_scenes(self.unknown)}")
        if self.unstated:
            parts.append(f"the dataset states no tolerance for pictures of the scene {_scenes(self.unstated)}")
        return "; ".join(parts)


def _scenes(names: Iterable[str]) -> str:
    return ", ".join(name or "(none stated)" for name in names)


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
        theirs = (json.loads(str(own)) if own else None) or None
        kind = found.unstated if theirs is None else found.unknown if known is None else found.other
        if known is not None and theirs is not None and _complete(theirs) == _complete(known):
            kind = found.same
        if scene not in kind:
            kind.append(scene)
        if kind is not found.other or known is None or theirs is None:
            continue
        for each in objects or ():
            if each.address and each.true_position_mm is not None:
                key = part_name(row, str(row.get("run", ""))), each.address
                pins[key] = pins.get(key, False) or is_between(each, known, theirs)
    found.pins, found.between = len(pins), sum(pins.values())
    return found


def _complete(stated: StatedLimits) -> dict[str, Any]:
    """Return all limits that a tolerance implies, so that two can be compared."""
    return _tolerance(stated).complete()


def _tolerance(stated: StatedLimits) -> Tolerance:
    """Return a stated tolerance; raises InputError if it is none, as a dataset of another program may state."""
    try:
        return stated_tolerance(stated, "tolerance_json")
    except ValueError as error:
        raise InputError(str(error)) from None


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
