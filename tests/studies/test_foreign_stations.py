"""Stations of the study `reality_gap`: their scenes and manifests can be rendered, and change what they say."""

import math

import numpy as np
import pytest
from PIL import Image

from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.world import Spot
from blender_scripts.manifest.reader import read_manifest
from generator.dataset.connectors import nominal_connector
from studies.foreign_stations import (
    CAMERAS,
    GOLDEN,
    HOUSING,
    SCENES,
    TERMINAL,
    Station,
    foreign,
    manifest,
    scenarios,
    through_window,
    write_scene,
)

STATIONS = [*scenarios(), *(foreign(number, 256) for number in range(1, 6))]


@pytest.mark.parametrize("station", STATIONS, ids=lambda station: station.name)
def test_a_station_can_be_rendered_and_more_parts_only_add_rows(station, tmp_path):
    connector = write_scene(station, tmp_path)
    texts = {parts: manifest(station, connector, parts, 256) for parts in (3, 6)}
    assert set(texts[3].splitlines()) < set(texts[6].splitlines())
    (tmp_path / "m.csv").write_text(texts[3], "utf-8")
    rows = [run.row() for run in read_manifest(tmp_path / "m.csv", tmp_path).runs]
    assert len(rows) == 2 * 3 * len(CAMERAS)
    defects = {row["run"]: row["defects"].partition("@")[0] for row in rows}
    assert {kind for name, kind in defects.items() if name.startswith("bad")} == {"bent", "retracted", "missing"}
    assert {kind for name, kind in defects.items() if name.startswith("good")} == {""}


def test_foreign_stations_are_drawn_by_number_and_their_parts_are_their_own(tmp_path):
    assert foreign(2, 256) == foreign(2, 256) and foreign(2, 256).values != foreign(3, 256).values
    texts = [manifest(each, write_scene(each, tmp_path), 3, 256) for each in (STATIONS[0], *STATIONS[-2:])]
    parts = [{line.split(",")[1] for line in text.splitlines()[1:]} for text in texts]
    assert not parts[0] & parts[1] and not parts[1] & parts[2]
    photographs = manifest(STATIONS[-1], write_scene(STATIONS[-1], tmp_path), 3, 256, photographs=True)
    assert photographs.count("\n") == 1 + 20 * len(CAMERAS) and "@" not in photographs
    assert not {line.split(",")[1] for line in photographs.splitlines()[1:]} & parts[2]
    golden = manifest(Station(GOLDEN, ""), read_connector(SCENES / "connector_3x9.toml"), 3, 256)
    assert golden.count("_center,") == golden.count("\n") - 1 == 20


def test_the_knocked_camera_turns_about_its_own_centre(tmp_path):
    own, knocked = (
        nominal_connector(write_scene(station, tmp_path), HOUSING, TERMINAL).cameras
        for station in scenarios()
        if station.name in ("own", "knock")
    )
    before, after = (np.array(cameras["left"]["matrix"]) for cameras in (own, knocked))
    assert after[:3, 3] == pytest.approx(before[:3, 3], abs=1e-4)
    turned = math.degrees(math.acos((np.trace(before[:3, :3].T @ after[:3, :3]) - 1) / 2))
    assert turned == pytest.approx(0.2, abs=1e-3)
    assert own["top"] == knocked["top"] and own["center"] == knocked["center"]


def test_a_dirty_window_is_darker_at_a_speck_and_lowers_contrast(tmp_path):
    pixels = np.full((40, 80, 3), 60, np.uint8)
    pixels[:, 40:] = 200
    Image.fromarray(pixels).save(tmp_path / "clean.png")
    through_window(tmp_path / "clean.png", tmp_path / "to" / "dirty.png", (0.1, [Spot(0.75, 0.5, 0.05, 0.4)]))
    dirty = np.asarray(Image.open(tmp_path / "to" / "dirty.png")).astype(int)
    assert dirty[20, 60, 0] < dirty[2, 60, 0] - 20
    assert dirty[2, 2, 0] > 60 and dirty[2, 78, 0] < 200
