"""Values in the text of a scene file change; comments and other values stay."""

import tomllib

import pytest

from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.errors import InputError
from generator.matching.scene_text import with_values, written
from tests.conftest import SCENES


def test_values_change_and_comments_stay(tmp_path):
    text = (SCENES / "connector_3x9.toml").read_text("utf-8")
    values = {
        ("camera", "f_number"): 5.6,
        ("camera", "center", "focal_mm"): 34.21,
        ("lighting", "ring", "power"): 2.0,
        ("fixture", "color"): [0.1, 0.2, 0.3],
        ("shell", "depth_mm"): 7.25,
    }
    changed = with_values(text, values, "a.toml")
    assert "f_number = 5.6              # 0 = everything is sharp" in changed
    assert changed.count("#") == text.count("#")
    path = tmp_path / "a.toml"
    path.write_text(changed, encoding="utf-8")
    connector = read_connector(path)
    assert connector.cameras["center"].focal_mm == 34.21 and connector.cameras["left"].focal_mm == 35.0
    assert connector.cameras["left"].f_number == 5.6
    assert connector.lightings["ring"].power == 2.0 and connector.lightings["side"].power == 1.0
    assert connector.fixture_color == (0.1, 0.2, 0.3)
    assert connector.shell.depth_mm == 7.25


def test_a_value_over_several_lines_is_refused():
    with pytest.raises(InputError, match=r"a\.toml fixture\.color: expected a key on one line"):
        with_values("[fixture]\ncolor = [\n 1,\n 2]\n", {("fixture", "color"): [1.0]}, "a.toml")


@pytest.mark.parametrize("value", [1.0, 0.0, 1e-7, 123456.0, 3, [0.5, 1.0], "ring"])
def test_a_written_value_is_read_back(value):
    assert tomllib.loads(f"x = {written(value)}")["x"] == value
    assert isinstance(tomllib.loads(f"x = {written(value)}")["x"], type(value))
