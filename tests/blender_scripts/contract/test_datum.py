"""The datum: its features' places, what is refused, and measures that count from it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.contract.datum import Datum
from blender_scripts.geometry.optics import Camera, set_up_station
from blender_scripts.geometry.whole_boxes import pin_boxes_of
from blender_scripts.manifest.placement import PartScatter, place_pins
from tests.conftest import SCENES, faults_of

TEXT = (SCENES / "connector_3x9.toml").read_text("utf-8")


def scene(folder: Path, datum: str = "", shrinkage: str = "0.01") -> Connector:
    """The 3 x 9 scene with mouldings that shrink, pins without scatter of their own, and a datum."""
    text = TEXT.replace("[scatter]", f"{datum}\n[scatter]\nshrinkage = {shrinkage}", 1)
    for key in ("position_mm = 0.03", "tilt_deg = 0.4", "height_mm = 0.08"):
        assert key in text
        text = text.replace(key, f"{key.split(' ')[0]} = 0.0", 1)
    path = folder / "s.toml"
    path.write_text(text, encoding="utf-8")
    return read_connector(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Datum()),
        ('[datum]\nx = "left"', Datum("left", "origin", -22.2, 0.0)),
        ('[datum]\nx = "right"\ny = "top"', Datum("right", "top", 22.2, 10.8)),
        ('[datum]\nsurface = "opening"\nx = "left"\ny = "bottom"', Datum("left", "bottom", -19.2, -7.8)),
        ('[datum]\nx = "middle"\ny = 4.5', Datum("middle", "feature", 0.0, 4.5)),
    ],
)
def test_the_features_lie_where_the_shell_has_them(tmp_path: Path, text: str, expected: Datum) -> None:
    found = scene(tmp_path, text)
    assert (found.datum.x, found.datum.y) == (expected.x, expected.y)
    assert (found.datum.x_mm, found.datum.y_mm) == pytest.approx((expected.x_mm, expected.y_mm))
    assert found.sha256 == scene(tmp_path).sha256


@pytest.mark.parametrize("value", ['"top"', "true", "501", "[1.0]"])
def test_an_unknown_feature_is_refused(tmp_path: Path, value: str) -> None:
    (problem,) = faults_of(scene, tmp_path, f"[datum]\nx = {value}")
    assert "datum.x: expected origin, left, right, middle or a number: the X of another feature on the" in problem


def test_measures_count_from_the_datum_of_the_shrunk_part(tmp_path: Path) -> None:
    scale = PartScatter.draw(scene(tmp_path), 5).scale
    assert abs(scale - 1.0) > 5e-4
    for text, at in (("", (0.0, 0.0)), ('[datum]\nx = "left"\ny = "top"', (-22.2, 10.8))):
        for pin in place_pins(scene(tmp_path, text), "round", 5, ()):
            measures = pin.measures()
            # Only the distance from the datum feature, as moulded, differs from the drawing's.
            assert measures["dx_mm"] == pytest.approx((scale - 1.0) * (pin.position.x_mm - at[0]))
            assert measures["dy_mm"] == pytest.approx((scale - 1.0) * (pin.position.y_mm - at[1]))


def test_without_shrinkage_the_datum_changes_nothing(tmp_path: Path) -> None:
    pins = [place_pins(scene(tmp_path, text, "0.0"), "round", 5, ()) for text in ("", '[datum]\nx = "left"')]
    assert [pin.measures() for pin in pins[0]] == [pin.measures() for pin in pins[1]]


def test_nominal_places_and_measures_project_to_the_tips_in_the_frame_of_the_datum(tmp_path: Path) -> None:
    connector = scene(tmp_path, '[datum]\nx = "left"\ny = "top"')
    view = set_up_station(connector, "left", 3, 256, 128).camera
    pins = place_pins(connector, "round", 5, ())
    in_datum = np.array(view.matrix_world)
    in_datum[:2, 3] -= pins[0].datum_shift_mm
    moved = Camera(view.name, in_datum, view.lens)
    for pin, whole in zip(pins, pin_boxes_of(pins, view), strict=True):
        drawn = np.array([pin.position.x_mm, pin.position.y_mm, pin.nominal_tip_mm[2]])
        x, y, up = (pin.measures()[name] or 0.0 for name in ("dx_mm", "dy_mm", "retraction_mm"))
        assert moved.project(drawn + np.array([x, y, -up])) == pytest.approx(view.project(np.array(pin.tip_mm)))
        # The box of the intact pin at true position holds the tip that its drawing and the datum give.
        x1, y1, x2, y2 = whole.expected
        tip = moved.project(drawn)
        assert x1 <= tip[0] <= x2 and y1 <= tip[1] <= y2
    aside = pin_boxes_of(tuple(replace(pin, datum_shift_mm=(0.0, 0.0)) for pin in pins), view)
    assert aside[0].expected != pin_boxes_of(pins, view)[0].expected
