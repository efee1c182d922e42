"""Boxes of pins in pictures: of the mounted station, of a part elsewhere, and of no part."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.locating.cameras import StationCamera
from generator.locating.edges import Similarity
from generator.locating.fit import FitLimits
from generator.locating.pin_places import PinLocator, turns_alike
from generator.locating.pose import motion
from tests.generator.locating.drawn_photographs import EdgeFinder, background, draw_part, drawing_of, tips_of
from tests.generator.locating.exact_finder import POSE, ExactFinder, gauge_of, pictures_of

ROWS = drawing_of("connector_3x9")
CORNER = dataclasses.replace(
    ROWS, positions=tuple(each for each in ROWS.positions if each.y_mm > 1 or each.x_mm < -1), symmetries=()
)
SIZE = (420, 360)
DRAWN = gauge_of(EdgeFinder(), FitLimits(2.0, 0.7, 1.0))


def middles(places) -> np.ndarray:
    boxes = np.array([each.box for each in places.boxes])
    return 0.5 * (boxes[:, :2] + boxes[:, 2:])


def drawn(turn_deg: float, drawing=ROWS) -> tuple[Image.Image, np.ndarray]:
    """A drawn part, and px (n, 2) of its tips."""
    similarity = Similarity(0.9 * np.exp(1j * np.radians(turn_deg)), complex(215.0, 175.0))
    picture = draw_part(background(SIZE, 1), drawing, np.eye(4), similarity)
    return picture, similarity.apply(tips_of(drawing, np.eye(4)))


def test_pins_of_the_station_are_found_in_each_view_and_have_cavities():
    views = ("center", "left")
    locator = PinLocator(gauge_of(ExactFinder(ROWS, views)), ROWS)
    for view, picture in pictures_of(views).items():
        found = locator.find(picture, view)
        camera = StationCamera.nominal(ROWS.cameras[view], *picture.size)
        tips = np.array([(each.x_mm, each.y_mm, each.z_mm) for each in ROWS.positions])
        pixels = camera.project(tips @ POSE[:3, :3].T + POSE[:3, 3])
        assert not found.reasons and found.orientation.startswith("not checked: ")
        for pin, (x, y) in zip(found.boxes, pixels, strict=True):
            x1, y1, x2, y2 = pin.box
            assert x1 - 0.5 < x < x2 + 0.5 and y1 - 0.5 < y < y2 + 0.5
            assert (x2 - x1) * (y2 - y1) < 400
        assert [(pin.address, pin.cavity) for pin in found.boxes[:2]] == [("r1c1", "1"), ("r1c2", "2")]


@pytest.mark.parametrize(("drawing", "turn"), [(ROWS, 6.0), (CORNER, 130.0)])
def test_a_part_elsewhere_is_searched_for(drawing, turn):
    picture, tips = drawn(turn, drawing)
    found = PinLocator(DRAWN, drawing).find(picture, "center")
    assert np.abs(middles(found) - tips).max() < 6.0


def test_a_turned_part_that_looks_alike_after_a_half_turn_has_no_addresses():
    found = PinLocator(DRAWN, ROWS).find(drawn(40.0)[0], "center")
    assert not found.boxes and not found.reasons
    assert found.orientation.startswith("ambiguous: the part is turned by 40°")


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ((), "not located: "),
        ((complex(100, 175),), "view: some of the part lies outside the photograph"),
        ((complex(215, 90), complex(215, 270)), "ambiguous: the part fits nearly as well at 215, 270 px, turned by 0°"),
    ],
    ids=["none", "cut off", "two"],
)
def test_without_one_whole_part_there_are_reasons_and_no_boxes(places, reason):
    picture = background(SIZE, 1)
    for place in places:
        picture = draw_part(picture, ROWS, np.eye(4), Similarity(0.9 + 0j, place))
    found = PinLocator(DRAWN, ROWS).find(picture, "center")
    assert not found.boxes and found.reasons[0].startswith(reason)


def test_a_part_that_is_turned_on_the_station_may_be_alike_after_other_turns():
    """Five pins on a circle look alike after 72 degrees; 26 of 27 nearly so after 180."""
    assert turns_alike(DRAWN, drawing_of("circular_5"), "center") == 5
    nearly = dataclasses.replace(ROWS, positions=ROWS.positions[1:], symmetries=())
    locator = PinLocator(gauge_of(ExactFinder(nearly, ("center",))), nearly)
    found = locator.find(pictures_of(("center",))["center"], "center")
    assert len(found.boxes) == 26
    assert found.orientation == "not checked: the pin positions look alike, or nearly, after a turn of the part by 180°"
    assert PinLocator(DRAWN, CORNER).find(drawn(6.0, CORNER)[0], "center").orientation is None


def test_a_part_elsewhere_in_a_picture_of_another_size_is_searched_at_the_station_s_scale():
    picture, tips = drawn(6.0)
    large = picture.resize((3 * SIZE[0], 3 * SIZE[1]), Image.Resampling.BICUBIC)
    found = PinLocator(DRAWN, ROWS).find(large, "center")
    assert np.abs(middles(found) - 3 * tips).max() < 18.0


def test_a_station_s_part_with_pins_outside_the_picture_is_refused():
    views, anywhere = ("center",), dataclasses.replace(ROWS, placing=None)
    for shift_mm, reasons in ((1.0, ()), (9.0, ("view: some of the pins lie outside the picture",))):
        pose = motion(np.array([0.0, 0.0, 0.0, shift_mm, 0.0, 0.0]))
        finder = ExactFinder(anywhere, views, poses={"center": pose})
        found = PinLocator(gauge_of(finder), anywhere).find(pictures_of(views)["center"], "center")
        assert found.reasons == reasons and bool(found.boxes) == (not reasons)


def test_the_camera_is_that_of_the_name_or_the_option(tmp_path):
    locator = PinLocator(DRAWN, ROWS)
    assert locator.view(tmp_path / "p_top.png", "left") == "top"
    assert (locator.view(tmp_path / "p.png", "left"), locator.view(tmp_path / "p.png", None)) == ("left", "center")
    with pytest.raises(InputError, match="view back: expected a camera of the gauge"):
        locator.view(tmp_path / "p.png", "back")
    only = dataclasses.replace(ROWS, cameras={"top": ROWS.cameras["top"]})
    assert PinLocator(DRAWN, only).view(tmp_path / "p.png", None) == "top"
    two = dataclasses.replace(ROWS, cameras=dict.fromkeys(("top", "left"), ROWS.cameras["top"]))
    expected = r"p.png: --camera: expected one of the gauge's cameras \(left, top\), got none"
    with pytest.raises(InputError, match=expected):
        PinLocator(DRAWN, two).view(tmp_path / "p.png", None)
    with pytest.raises(InputError, match="no nominal height of r1c1"):
        PinLocator(DRAWN, dataclasses.replace(ROWS, positions=(dataclasses.replace(ROWS.positions[0], z_mm=None),)))
