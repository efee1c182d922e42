"""Power, colours and white balance are found from light that adds up as renders do, without renders."""

import numpy as np
import pytest

from blender_scripts.contract.connector import read_connector
from generator.matching.light import _REFERENCE, LightFit, _fit, _Parts, light_quantities
from generator.matching.regions import COUNT, QUADRANTS, TABLE
from generator.matching.renders import Shot
from tests.conftest import SCENES

PATH = SCENES / "connector_3x9.toml"


def made(random, spread):
    """Light of lamp and surroundings in the regions, and that of two photographs of another station."""
    lamp, room = (np.repeat(random.uniform(0.05, 0.4, (COUNT, 1)), 3, axis=1) for _ in range(2))
    colour = [np.repeat(random.uniform(0.05, 0.2, (COUNT, 1)), 3, axis=1) for _ in range(2)]
    parts = _Parts(lamp, room, *colour)
    surface = np.arange(COUNT) // QUADRANTS
    housing, table = np.isin(surface, (1, 2, 3))[:, None], (surface == TABLE)[:, None]
    share = np.array([0.02, 0.03, 0.01]) / _REFERENCE * housing
    light = 1.4 * (lamp + share * colour[0]) + 0.8 * (room + share * colour[1])
    light = light * np.where(table, [0.8, 1.0, 1.2], 1.0) * (0.9, 1.0, 1.1)
    return parts, [light * np.exp(random.normal(0.0, spread, light.shape)) for _ in range(2)]


def test_the_light_of_a_station(tmp_path):
    connector = read_connector(PATH)
    shot = Shot(PATH, PATH.read_text("utf-8"), "plain", "round", "center", "ring", "none", tmp_path, 1)
    parts, photographs = made(np.random.default_rng(4), 0.01)
    found = _fit(connector, shot, "ring", photographs, [parts, parts])
    assert found.misfit < 1.0
    quantities, notes = light_quantities([found, LightFit("side", 5.0, found.logs, found.u)], connector, shot)
    told = {each.key[-1]: each for each in quantities if each.key[0] != "housings"}
    assert notes == []
    assert told["power"].value == pytest.approx(1.4, rel=0.1)
    assert told["ambient"].value == pytest.approx(0.8 * 0.34, rel=0.1)
    assert told["white_balance"].value == pytest.approx([0.9, 1.0, 1.1], rel=0.05)
    assert told["color"].value == pytest.approx([0.32 * 0.8, 0.33, 0.35 * 1.2], rel=0.1)
    housing = next(each for each in quantities if each.key[0] == "housings")
    assert housing.value == pytest.approx([0.02, 0.03, 0.01], rel=0.25)


def test_two_set_ups_that_fit_alike_are_named(tmp_path):
    connector = read_connector(PATH)
    shot = Shot(PATH, PATH.read_text("utf-8"), "plain", "round", "center", "", "none", tmp_path, 1)
    fits = [LightFit(name, misfit, np.zeros(10), np.full(10, 2.0)) for name, misfit in (("ring", 1.0), ("dome", 1.1))]
    quantities, notes = light_quantities(fits, connector, shot)
    assert "ring fits best (misfit 1.00), dome nearly as well (1.10)" in notes[0]
    told = {each.key[-1]: each for each in quantities}
    assert told["ambient"].reason.startswith("cannot be told from the lamp")
    assert told["color"].value is None
