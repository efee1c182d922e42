"""Addresses, cavities, views and azimuths of mirrored and turned pictures, on every kept scene."""

from dataclasses import replace

import pytest

from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.positions import Position
from generator.augmenting.orientation import REVERSE, TURN, naming
from tests.conftest import SCENES

NAMES = sorted(path.stem for path in SCENES.glob("*.toml"))


def names_of(operation, scene):
    connector = read_connector(SCENES / f"{scene}.toml")
    addresses = [p.address for p in connector.positions]
    return connector, naming(operation, addresses, [p.cavity for p in connector.positions], connector.positions)


@pytest.mark.parametrize("scene", NAMES)
def test_mirroring_twice_gives_back_addresses_and_cavities(scene):
    connector, names = names_of(REVERSE, scene)
    for place in connector.positions:
        there = names.address(place.address)
        assert there is not None and names.address(there) == place.address
        label = names.cavity(place.address, place.cavity)
        assert label == next(p.cavity for p in connector.positions if p.address == there)


@pytest.mark.parametrize("scene", NAMES)
def test_a_mirrored_pin_has_the_address_of_the_place_across(scene):
    connector, names = names_of(REVERSE, scene)
    places = {p.address: p for p in connector.positions}
    for place in connector.positions:
        there = places[names.address(place.address)]
        assert (there.x_mm, there.y_mm) == pytest.approx((-place.x_mm, place.y_mm), abs=0.02)


@pytest.mark.parametrize("scene", [name for name in NAMES if name != "circular_5"])
def test_a_turned_part_is_read_from_the_top_and_the_left(scene):
    connector, names = names_of(TURN, scene)
    turned = {p.address: (-p.y_mm, p.x_mm) for p in connector.positions}
    seen = {}
    for old, (x, y) in turned.items():
        row, position = map(int, names.address(old)[1:].split("c"))
        seen[row, position] = (x, y)
    for (row, position), (x, y) in seen.items():
        if (row, position + 1) in seen:
            assert seen[row, position + 1][0] > x and seen[row, position + 1][1] == pytest.approx(y, abs=0.03)
        if (row + 1, 1) in seen:
            assert seen[row + 1, 1][1] < y
    assert all(names.cavity(p.address, p.cavity) == p.cavity for p in connector.positions)


def test_round_a_circle_the_key_turns_with_the_part():
    connector, names = names_of(TURN, "circular_5")
    assert all(names.address(p.address) == p.address for p in connector.positions)


def test_without_a_scene_rows_are_counted():
    grid = [f"r{r}c{c}" for r in (1, 2) for c in (1, 2, 3)]
    cavities = list("ABCDEF")
    assert naming(REVERSE, grid, cavities, None).address("r1c1") == "r1c3"
    assert naming(REVERSE, grid, cavities, None).cavity("r1c1", "A") == "C"
    assert naming(TURN, grid, cavities, None).address("r1c3") == "r1c1"
    assert naming(TURN, grid, cavities, None).address("r2c1") == "r3c2"
    staggered = ["r1c1", "r1c2", "r1c3", "r2c1", "r2c2"]
    assert naming(REVERSE, staggered, staggered, None).address("r2c1") == "r2c2"
    assert naming(TURN, staggered, staggered, None).address("r2c1") is None
    assert naming(TURN, [None, ""], [None, ""], None).address("") == ""


@pytest.mark.parametrize(
    ("operation", "addresses"),
    [
        (TURN, [f"r1c{n}" for n in range(1, 6)]),  # a row, or a circle
        (TURN, ["r1c1", "r1c3"]),
        (REVERSE, ["r1c3", "r2c5"]),  # of a photograph on which only defects are boxed
        (REVERSE, ["r2c1", "r2c2"]),
    ],
)
def test_without_a_scene_what_cannot_be_told_is_null(operation, addresses):
    names = naming(operation, addresses, addresses, None)
    assert [names.address(address) for address in addresses] == [None] * len(addresses)
    assert names.defects(f"bent@{addresses[0]}:tilt_deg=9") is None


@pytest.mark.parametrize(("operation", "times"), [(REVERSE, 2), (TURN, 4)])
@pytest.mark.parametrize("camera", ["center", "left", "right", "top", "bottom", None])
def test_views_come_back(operation, times, camera):
    _, names = names_of(operation, "connector_3x9")
    found = camera
    for _ in range(times):
        found = names.camera(found)
    assert found == camera


def test_views_are_those_of_the_new_picture():
    _, mirror = names_of(REVERSE, "connector_3x9")
    _, turn = names_of(TURN, "connector_3x9")
    assert [mirror.camera(c) for c in ("left", "top", "center")] == ["right", "top", "center"]
    assert [turn.camera(c) for c in ("right", "top", "left", "bottom")] == ["top", "left", "bottom", "right"]


def test_defects_are_renamed_with_their_azimuths():
    text = "bent@r2c2:tilt_deg=12,azimuth_deg=30;foreign@r2c4-r2c5:type=bridge;print@print:azimuth_deg=90"
    _, mirror = names_of(REVERSE, "connector_3x9")
    _, turn = names_of(TURN, "connector_3x9")
    expected = "bent@r2c8:tilt_deg=12,azimuth_deg=150;foreign@r2c6-r2c5:type=bridge;print@print:azimuth_deg=90"
    assert mirror.defects(text) == expected
    assert turn.defects(text).startswith("bent@r8c2:tilt_deg=12,azimuth_deg=120;foreign@r6c2-r5c2")
    assert mirror.defects(mirror.defects(text)) == text
    body = "foreign@housing:type=ball,azimuth_deg=0,x_mm=3,y_mm=1"
    assert mirror.defects(body) == "foreign@housing:type=ball,azimuth_deg=180,x_mm=-3,y_mm=1"
    assert turn.defects(body) == "foreign@housing:type=ball,azimuth_deg=90,x_mm=-1,y_mm=3"
    assert turn.defects("foreign@housing:x_mm=0,y_mm=0") == "foreign@housing:x_mm=0,y_mm=0"
    assert mirror.defects("") == "" and mirror.defects(None) is None


def test_a_mirrored_part_with_blanks():
    pins = {"r1c1": -3.0, "r1c2": -1.0, "r1c4": 3.0}
    drawing = [Position(n, 1, int(name[-1]), name[-1], x, 0.0) for n, (name, x) in enumerate(pins.items(), 1)]
    names = naming(REVERSE, list(pins), ["1", "2", "4"], drawing)
    # The part's mirror image has its pins elsewhere: there is no drawing of it, and so no camera.
    assert names.addresses == {"r1c1": "r1c4", "r1c2": "r1c3", "r1c4": "r1c1"} and names.world is None
    both_ends = [replace(place, position=place.position + 1) for place in drawing[:2]]  # of 4, the first and last blank
    names = naming(REVERSE, ["r1c2", "r1c3"], ["1", "2"], both_ends)
    assert names.addresses == {"r1c2": "r1c3", "r1c3": "r1c2"}


def test_limits_of_single_pins_go_with_them():
    names = naming(REVERSE, [], [], read_connector(SCENES / "connector_3x9.toml").positions)
    own = {"retraction_mm": 0.1}
    assert names.tolerance({"retraction_mm": 0.6, "at": {"r1c2": own}}) == {"retraction_mm": 0.6, "at": {"r1c8": own}}
    assert names.tolerance(None) is None
