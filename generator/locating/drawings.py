"""Read the drawings of a gauge's connectors (pin positions, walls and cameras) from the text of its connectors.json.

Lengths are in mm in the housing's axes: mating face z = 0, X right, Y up, Z towards the centre camera.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.nominal_position import NominalPosition

SCHEMA = 1
Key = tuple[str, str, str]


@dataclass(frozen=True)
class StatedDrawing:
    """The drawing of one housing of a scene with one terminal or mixture of terminals.

    Attributes:
        key: names of scene, housing and terminal.
        positions: all positions, in the drawing's order.
        outline_mm, opening_mm: points (x, y) along the outer and the inner edge of the walls at the mating face; None
            for a housing from CAD.
        symmetries: names of the half turns and mirrorings after which the positions look alike, such as `half_turn`.
        cameras: entries of the station's nominal cameras, by name, for `StationCamera.nominal`.
        placing: largest shifts and turns of a part either way, by name, such as `shift_mm`, `tilt_deg`; None: not
            stated.
    """

    key: Key
    positions: tuple[NominalPosition, ...]
    outline_mm: Sequence[tuple[float, float]] | None
    opening_mm: Sequence[tuple[float, float]] | None
    symmetries: tuple[str, ...]
    cameras: Mapping[str, Mapping[str, Any]]
    placing: Mapping[str, float] | None

    @property
    def measured(self) -> tuple[Any, ...]:
        """The values from which a gauge measures, and the scene, which has the limits. Drawings with equal values give
        equal measures, but for what validation showed of each terminal (`generator.locating.factors.Factors.differ`).
        """
        places = [(each.address, each.x_mm, each.y_mm, each.z_mm, each.standing_mm) for each in self.positions]
        return self.key[0], places, self.outline_mm, self.opening_mm, self.cameras, self.placing


def parse_drawings(text: str, place: str) -> dict[Key, StatedDrawing]:
    """Return the drawings in the text of a connectors.json that have cameras, by (scene, housing, terminal).

    Raises:
        InputError: the text has another schema or is damaged, or has no drawing with cameras. The message begins with
            `place`, the name of the file.
    """
    try:
        content = json.loads(text)
        if content["schema"] != SCHEMA:
            raise InputError(f"{place}: expected a connectors.json of schema {SCHEMA}, got {content['schema']!r}")
        found = {each.key: each for each in map(_drawing, content["connectors"]) if each.cameras}
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"{place}: expected a connectors.json, got damaged content ({error!r})") from None
    if not found:
        got = f"{len(content['connectors'])} connectors without" if content["connectors"] else "no connectors"
        raise InputError(f"{place}: expected at least one connector with `cameras`, got {got}")
    return found


def choose(
    drawings: Mapping[Key, StatedDrawing],
    scene: str | None,
    housing: str | None,
    terminal: str | None,
    trained: Collection[Key] | None = None,
) -> StatedDrawing:
    """Return the drawing with the given names; if several fit and differ in no measured value, the first of them.

    Args:
        drawings: the gauge's drawings, by (scene, housing, terminal).
        scene, housing, terminal: names of the part's scene, housing and terminal; None: any.
        trained: names of the connectors that the training showed, which are preferred (see `Likeness.trained` in
            `generator.locating.likeness`); None: not known.

    Raises:
        InputError: no drawing fits, or several fit that would give different measures; the message lists them.
    """
    asked = {"scene": scene, "housing": housing, "terminal": terminal}
    left = fitting(drawings, scene, housing, terminal, trained)
    given = " ".join(f"--{name} {value}" for name, value in asked.items() if value is not None) or "the pictures"
    if not left:
        listed = "; ".join(" ".join(key) for key in sorted(drawings))
        raise InputError(
            f"{given}: expected a connector of the gauge (scene, housing, terminal: {listed}), got one that it lacks"
        )
    if any(one.measured != left[0].measured for one in left):
        listed = "; ".join(" ".join(one.key) for one in sorted(left, key=lambda one: one.key))
        raise InputError(
            f"{given}: expected --scene, --housing and --terminal that name one connector, got several that differ in "
            f"positions, walls or cameras: {listed}"
        )
    return next((one for one in left if one.key in (trained or ())), left[0])


def fitting(
    drawings: Mapping[Key, StatedDrawing],
    scene: str | None,
    housing: str | None,
    terminal: str | None,
    trained: Collection[Key] | None = None,
) -> list[StatedDrawing]:
    """Return the drawings with the given names, in their order; the arguments are those of `choose`.

    For a name that is not given, drawings with a name that the training showed replace the others: a dataset may list
    housings and terminals of its test splits alone, of which a gauge calls every part INVALID.
    """
    asked = (scene, housing, terminal)
    left = [
        one for key, one in drawings.items() if all(name in (None, own) for name, own in zip(asked, key, strict=True))
    ]
    for place, name in enumerate(asked):
        if name is None and trained is not None:
            # Housing and terminal are shown if the training showed them in the drawing's scene.
            shown = {(key[0], key[place]) for key in trained}
            left = [one for one in left if (one.key[0], one.key[place]) in shown] or left
    return left


def _drawing(entry: Mapping[str, Any]) -> StatedDrawing:
    edges = [
        None if entry.get(name) is None else tuple((float(x), float(y)) for x, y in entry[name])
        for name in ("outline_mm", "opening_mm")
    ]
    return StatedDrawing(
        key=(entry["scene"], entry["housing"], entry["terminal"]),
        positions=tuple(NominalPosition(**each) for each in entry["positions"]),
        outline_mm=edges[0],
        opening_mm=edges[1],
        symmetries=tuple(entry["symmetries"]),
        cameras=dict(entry.get("cameras") or {}),
        placing=entry.get("placing"),
    )
