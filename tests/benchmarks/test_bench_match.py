"""Hidden stations of every connector are scene files that can be read; the table of a benchmark says what was found."""

from pathlib import Path

import pytest

from benchmarks.bench_match import SCENES, hidden, ratio_errors, shown_part, summary
from blender_scripts.contract.connector import read_connector
from generator.matching.scene_text import with_values


@pytest.mark.parametrize("scene", sorted(path.stem for path in SCENES.glob("*.toml")))
def test_hidden_stations_are_valid_scenes_of_the_connector(scene: str, tmp_path: Path) -> None:
    _, housing, terminal = shown_part(scene)
    for seed in range(1, 13):
        values, view, lighting = hidden(seed, 256, scene)
        path = tmp_path / f"hidden_{seed}.toml"
        path.write_text(with_values((SCENES / f"{scene}.toml").read_text("utf-8"), values, path.name), "utf-8")
        connector = read_connector(path)
        assert connector.cameras[view].focal_mm == pytest.approx(values[("camera", "focal_mm")], rel=1e-5)
        assert connector.width == 256 and connector.lightings[lighting].power == pytest.approx(1.0, abs=0.21)
        assert housing in connector.housings and terminal in connector.terminals


def test_a_station_of_a_seed_and_the_study_s_foreign_stations_stay_as_they_are() -> None:
    values, view, lighting = hidden(1, 256)
    assert (view, lighting) == ("center", "dome")
    assert values[("camera", "distance_mm")] == pytest.approx(138.0288, abs=1e-4)


def test_the_table_has_a_row_for_each_station_and_says_which_was_not_matched() -> None:
    lens = {"f_number": {"found": None, "true": 2.5}, "motion_mm": {"found": 0.21, "true": 0.2}}
    found = {"station": 1, "scene": "connector_3x9", "camera": "top", "lighting": "ring", "pins_px": 0.123}
    found |= ratio_errors({"value": 0.2994, "u": 0.0003, "interval": [0.2991, 0.2997]}, 0.3)
    found |= {"noise_percent": "not determined", "edge_spread_percent": 12.4}
    found |= {"focal_mm": "35.1 +- 0.4, true 35.0: holds", "distance_mm": "not determined", "minutes": 3.21, **lens}
    failed = {"station": 2, "scene": "dsub_9", "camera": "left", "lighting": "dome", "failed": True}
    rows = [line.strip("| ").split(" | ") for line in summary([found, failed]).splitlines()]
    assert rows[2] == [
        *("connector_3x9 1", "top", "ring", "-0.20", "0.10", "MISSES", "0.12"),
        *("not determined", "+12", "holds", "not determined", "none for 2.50", "0.21 for 0.20", "3.2"),
    ]
    assert rows[3][:4] == ["dsub_9 2", "left", "dome", "not matched"]


def test_an_interval_that_has_the_true_value_holds() -> None:
    assert (
        ratio_errors({"value": 0.2994, "u": 0.0007, "interval": [0.2987, 0.3001]}, 0.3)["focal_over_distance"]
        == "holds"
    )
