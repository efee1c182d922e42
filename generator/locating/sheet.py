"""Draw the sheet of a measured part: the verdict, its views with every pin's offset, and a table of the worst pins."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from PIL import Image

from blender_scripts.contract.tolerance import Limits, Tolerance
from generator.io.drawing import INK, QUIET, Cell, Mark, draw_marks, enlargement, grid, scaled, table, under_verdict
from generator.io.palette import hue, rgb
from generator.locating.drawings import StatedDrawing
from generator.locating.gauge import Inspected
from generator.locating.judge import CHARACTERISTICS, HEIGHT, PRESENCE, TRUE_POSITION
from generator.locating.landmarks import pitch_mm
from generator.locating.locate import View
from generator.verdict.envelope import Verdict

_SIDE_PX = 900
# Largest radius of an enlarged tolerance zone, divided by the distance of neighbouring pins.
_RING_SHARE = 0.34
_CAPTION_LETTERS = 64
_COLOURS = {"nonconform": "NG", "conform": "OK", "undecided": "UNSURE", "undetermined": "UNSURE", "not_seen": "UNSURE"}
_OPEN = ("undetermined", "not_seen")
# Largest factor by which offsets are enlarged; radius of the ring round a pin whose true position is not judged, as a
# share of the distance of neighbouring pins.
_MOST_TIMES, _UNJUDGED_SHARE = 100.0, 0.2


def sentence(found: Inspected, tolerance: Tolerance, replaced: str = "") -> str:
    """Return a part's verdict and worst pin, such as "NG: r2c5 bent, true position 0.91 ± 0.06 mm (limit 0.8)".

    With the verdict INVALID, the first reason takes the place of the pin.

    Args:
        found: the result of measuring the part.
        tolerance: limits in mm.
        replaced: limits that are not the usual ones, which an OK states, such as "true_position_mm 1.2"; empty: none.
    """
    if found.verdict is Verdict.INVALID:
        return f"INVALID: {found.reasons[0]}"
    worst = _worst_first(found, tolerance)
    left = [text for text in found.reasons if text.startswith("not inspected")]
    more = f"; {'; '.join(left)}" if left else ""
    concerned = [pin for pin in worst if _COLOURS[pin["decision"]] == found.verdict]
    if found.verdict is Verdict.OK:
        limits = f" ({replaced})" if replaced else ""
        return f"OK: all {len(found.pins)} pins are {_fine(found.judged)}{limits}{more}"
    others = f", and {len(concerned) - 1} more" if len(concerned) > 1 else ""
    said = _said(concerned[0], tolerance.limits(concerned[0]["address"]), found.judged)
    return f"{found.verdict}: {said}{others}{more}"


def _fine(judged: Collection[str]) -> str:
    """What an OK says of the pins by the characteristics that it covers, such as "present"."""
    if set(judged) == set(CHARACTERISTICS):
        return "within their limits"
    limited = " and ".join(_words(name) for name in (TRUE_POSITION, HEIGHT) if name in judged)
    said = ["present"] if PRESENCE in judged else []
    return " and ".join([*said, *([f"within their limits of {limited}"] if limited else [])])


def draw_sheet(
    found: Inspected,
    drawing: StatedDrawing,
    pictures: Mapping[str, Image.Image],
    tolerance: Tolerance,
    replaced: str = "",
) -> Image.Image:
    """Draw the sheet of a part: verdict, views with each pin's offset, table of the worst pins; returns an RGB picture.

    Args:
        found: the result of measuring the part.
        drawing: drawing of the part's connector.
        pictures: the pictures in which the part was measured, by view.
        tolerance: limits in mm.
        replaced: limits that are not the usual ones, as in `sentence`.
    """
    times = _times(drawing, tolerance)
    cells = []
    for view in found.views:
        picture = Image.fromarray(view.pixels)
        factor = enlargement(picture.size, _SIDE_PX)
        if not found.pins:
            cells.append(Cell(scaled(pictures[view.name].resize(picture.size), factor), [view.name]))
            continue
        marks = _marks(found, drawing, view, tolerance, times)
        said = f"ring: limit of true position, line: offset of the tip, both {times:g} times enlarged"
        if TRUE_POSITION not in found.judged:
            said = f"ring: decision on {' and '.join(map(_words, found.judged))}; true position is not judged"
        cells.append(Cell(draw_marks(picture, marks, factor), [f"view {view.name}; {said}"]))
    if found.pins:
        cells.append(_table(found, tolerance, cells[0].picture.size))
    across = math.ceil(math.sqrt(len(cells)))
    lines = [cells[first : first + across] for first in range(0, len(cells), across)]
    # The bar has the verdict in letters of its own.
    said = sentence(found, tolerance, replaced).removeprefix(f"{found.verdict}: ")
    return under_verdict(grid(lines), found.verdict, said)


def _times(drawing: StatedDrawing, tolerance: Tolerance) -> float:
    """The whole factor by which offsets are enlarged so that the tolerance zones of neighbours do not touch."""
    times = _RING_SHARE * pitch_mm(drawing) / (0.5 * tolerance.limits().true_position_mm)
    return max(1.0, math.floor(min(times, _MOST_TIMES)))


def _marks(found: Inspected, drawing: StatedDrawing, view: View, tolerance: Tolerance, times: float) -> list[Mark]:
    assert found.pose is not None
    angles = np.linspace(0.0, 2.0 * math.pi, 36, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles), np.zeros(36)], axis=1)
    is_judged, marks = TRUE_POSITION in found.judged, []
    for pin, position in zip(found.pins, drawing.positions, strict=True):
        limits = tolerance.limits(position.address)
        tip = np.array([position.x_mm, position.y_mm, position.z_mm or 0.0])
        off = None
        if is_judged and pin.get("dx_mm") is not None and pin.get("dy_mm") is not None:
            off = np.array([pin["dx_mm"], pin["dy_mm"], 0.0])
        places = np.stack([tip, tip if off is None else tip + times * off])
        radius = 0.5 * times * limits.true_position_mm if is_judged else _UNJUDGED_SHARE * pitch_mm(drawing)
        places = np.concatenate([places, tip + radius * circle])
        (start, end, *ring) = view.camera.project(found.pose.to_station(places)).tolist()
        colour = _COLOURS[pin["decision"]]
        text = _short(pin) if colour == "NG" else ""
        is_open = any(decision in _OPEN for name, decision in pin["decisions"].items() if name in found.judged)
        marks.append(Mark(ring, start, None if off is None else end, colour, text, is_open))
    return marks


def _table(found: Inspected, tolerance: Tolerance, size: tuple[int, int]) -> Cell:
    px = size[0] / 34
    judged, worst = found.judged, _worst_first(found, tolerance)[: max(3, int((size[1] - px) / (1.4 * px)) - 1)]
    height_name = "height" if HEIGHT in judged else "height (not judged)"
    lines = [["pin", "dx", "dy", "true position", "limit", height_name, "decision"]]
    inks = [QUIET]
    for pin in worst:
        limits = tolerance.limits(pin["address"])
        height = None if pin.get("retraction_mm") is None else -pin["retraction_mm"]
        lines.append(
            [
                pin["address"],
                _number(pin.get("dx_mm"), None, "+"),
                _number(pin.get("dy_mm"), None, "+"),
                _number(pin.get("true_position_mm"), pin.get("u_true_position_mm")),
                f"{limits.true_position_mm:g}" if TRUE_POSITION in judged else "not judged",
                _number(height, pin.get("u_retraction_mm"), "+"),
                pin["kind"] if pin["decision"] == "nonconform" else pin["decision"],
            ]
        )
        colour = _COLOURS[pin["decision"]]
        inks.append(INK if colour == "OK" else rgb(hue(colour).on_white))
    limits = tolerance.limits()
    captions = [f"the {len(worst)} worst of {len(found.pins)} pins; mm ± expanded uncertainty (k = 2)"]
    if HEIGHT in judged:
        captions[0] += f"; limits: height -{limits.retraction_mm:g} to +{limits.protrusion_mm:g} mm"
    if left := [_words(name) for name in CHARACTERISTICS if name not in judged]:
        captions.append(f"decision on {' and '.join(map(_words, judged))} only; not judged: {', '.join(left)}")
    return Cell(table(lines, inks, size, px), [*captions, *textwrap.wrap(found.scale, _CAPTION_LETTERS)])


def _number(value: float | None, u: float | None, sign: str = "") -> str:
    if value is None:
        return "-"
    value = round(value, 2) + 0.0  # no -0.00
    return f"{value:{sign}.2f}" + (f" ± {u:.2f}" if u is not None else "")


def _words(characteristic: str) -> str:
    return characteristic.replace("_", " ")


def _worst_first(found: Inspected, tolerance: Tolerance) -> list[Mapping[str, Any]]:
    """Sort a part's pins: NG first, then by how much is open of an UNSURE one, then by the largest share of a limit."""
    order = {"NG": 0, "UNSURE": 1, "OK": 2}

    def key(pin: Mapping[str, Any]) -> tuple[int, int, float]:
        colour = _COLOURS[pin["decision"]]
        grade = _open_grade(pin, found.judged) if colour == "UNSURE" else 0
        return order[colour], -grade, -_share(pin, tolerance.limits(pin["address"]), found.judged)

    return sorted(found.pins, key=key)


def _open_grade(pin: Mapping[str, Any], judged: Collection[str]) -> int:
    """How bad an UNSURE pin may be: 3 perhaps missing, 2 not seen, 1 near to a limit, 0 only undetermined."""
    decisions = {name: decision for name, decision in pin["decisions"].items() if name in judged}
    if pin["kind"] == "missing" or decisions.get(PRESENCE, "conform") != "conform":
        return 3
    grades = {"not_seen": 2, "undecided": 1}
    return max((grades.get(decision, 0) for decision in decisions.values()), default=0)


def _share(pin: Mapping[str, Any], limits: Limits, judged: Collection[str]) -> float:
    """The largest judged measure of a pin as a share of its limit; a missing pin is worse than any."""
    if pin["kind"] == "missing":
        return math.inf
    retraction = pin.get("retraction_mm") or 0.0
    height = retraction / limits.retraction_mm if retraction > 0 else -retraction / limits.protrusion_mm
    place = float(pin.get("true_position_mm") or 0.0) / limits.true_position_mm
    return max(place if TRUE_POSITION in judged else 0.0, float(height) if HEIGHT in judged else 0.0)


def _short(pin: Mapping[str, Any]) -> str:
    """The text beside an NG pin: its address, and where that is measured how far off it is."""
    if pin["kind"] == "bent":
        return f"{pin['address']} {pin['true_position_mm']:.2f}"
    if pin["kind"] in ("retracted", "protruding"):
        return f"{pin['address']} {-pin['retraction_mm']:+.2f}"
    return f"{pin['address']} {pin['kind']}"


def _said(pin: Mapping[str, Any], limits: Limits, judged: Collection[str]) -> str:
    address, kind = pin["address"], pin["kind"]
    if kind == "missing":
        return f"{address} missing"
    place = f"true position {_number(pin['true_position_mm'], pin['u_true_position_mm'])} mm"
    if kind == "bent":
        return f"{address} bent, {place} (limit {limits.true_position_mm:g})"
    retraction, u = pin.get("retraction_mm"), pin.get("u_retraction_mm")
    if kind in ("retracted", "protruding"):
        limit = limits.retraction_mm if kind == "retracted" else limits.protrusion_mm
        return f"{address} {kind} {_number(abs(retraction or 0.0), u)} mm (limit {limit:g})"
    near = {
        PRESENCE: "presence undecided",
        TRUE_POSITION: f"{place} is too near to its limit {limits.true_position_mm:g}",
        HEIGHT: f"height {_number(-(retraction or 0.0), u, '+')} mm is too near to its limit",
    }
    decisions = {name: decision for name, decision in pin["decisions"].items() if name in judged}
    said = [near[name] for name in CHARACTERISTICS if decisions.get(name) == "undecided"]
    said += [f"{_words(name)} {_words(decision)}" for name, decision in decisions.items() if decision in _OPEN]
    return f"{address}: {', '.join(said)}"
