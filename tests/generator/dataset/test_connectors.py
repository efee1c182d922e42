"""connectors.json, compared with the scene file and with the records rendered from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.errors import InputError
from generator.dataset.build import Options, build
from generator.dataset.connectors import nominal_connector, read_connectors
from tests.generator.made_renders import SCENES, row, write_renders


def nominal(scene: str, housing: str, terminal: str):
    return nominal_connector(read_connector(SCENES / f"{scene}.toml"), housing, terminal)


def test_a_connector_has_the_numbers_of_its_scene() -> None:
    found = nominal("connector_3x9", "ribbed", "blade")
    assert found.key == ("connector_3x9", "ribbed", "blade")
    assert len(found.positions) == 27
    first, last = found.positions[0], found.positions[-1]
    assert (first.address, first.cavity, last.address, last.cavity) == ("r1c1", "1", "r3c9", "27")
    assert (first.x_mm, first.y_mm, first.z_mm) == (-16.0, 4.6, -1.2)  # on the floor at -7.5, 6.3 long
    assert (first.standing_mm, first.width_mm, first.thickness_mm) == (6.3, 1.8, 0.7)
    assert found.outline_mm is not None
    xs, ys = zip(*found.outline_mm, strict=True)
    assert (max(xs), min(xs), max(ys), min(ys)) == pytest.approx((22.2, -22.2, 10.8, -10.8))


def test_cameras_are_those_of_a_station_without_placing_errors() -> None:
    found = nominal("connector_3x9", "plain", "round")
    assert found.opening_mm is not None and found.cameras is not None and found.placing is not None
    assert max(x for x, _ in found.opening_mm) == pytest.approx(19.2)
    assert set(found.cameras) == {"center", "left", "right", "top", "bottom"}
    # 118 mm above the target at z = -2.5, looking along -Z; 35 mm focal length on a sensor 14.8 mm wide.
    assert [line[3] for line in found.cameras["center"]["matrix"]] == [0.0, 0.0, 115.5, 1.0]
    assert found.cameras["center"]["fx_per_width"] == pytest.approx(35.0 / 14.8)
    assert found.placing["shift_mm"] == 0.5


def test_what_a_mixture_leaves_to_the_part_is_none() -> None:
    found = nominal("connector_3x9", "plain", "mixed").positions[0]
    assert (found.z_mm, found.standing_mm, found.width_mm) == (-1.2, 6.3, None)


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        ("connector_3x9", ("half_turn", "mirror_x", "mirror_y")),
        ("dsub_9", ("mirror_x",)),
        ("circular_5", ("mirror_x",)),
        ("wire_to_board_1x6", ("half_turn", "mirror_x", "mirror_y")),
    ],
)
def test_symmetries(scene: str, expected: tuple[str, ...]) -> None:
    connector = read_connector(SCENES / f"{scene}.toml")
    housing, terminal = next(iter(connector.housings)), next(iter(connector.terminals))
    assert nominal_connector(connector, housing, terminal).symmetries == expected


def test_build_writes_those_of_the_rows_and_reading_gives_them_back(tmp_path: Path) -> None:
    rows = [row("t1"), row("t2", housing="ribbed"), row("t3", terminal="mixed"), row("t4")]
    build(write_renders(tmp_path / "out", rows), tmp_path / "set", SCENES, Options({}))
    keys = [("plain", "mixed"), ("plain", "round"), ("ribbed", "round")]
    assert read_connectors(tmp_path / "set") == tuple(nominal("connector_3x9", *key) for key in keys)
    (tmp_path / "set" / "connectors.json").unlink()
    assert read_connectors(tmp_path / "set") is None


def test_a_scene_that_changed_since_says_nothing_of_the_pictures(tmp_path: Path, capsys) -> None:
    out, scenes = write_renders(tmp_path / "out", [row("t1")]), tmp_path / "scenes"
    scenes.mkdir()
    for path in SCENES.glob("*.toml"):
        shutil.copy(path, scenes)
    text = (scenes / "connector_3x9.toml").read_text("utf-8")
    (scenes / "connector_3x9.toml").write_text(text.replace("pitch_mm = [4.0, 4.6]", "pitch_mm = [4.0, 4.5]"), "utf-8")
    build(out, tmp_path / "set", scenes, Options({}))
    assert "connector_3x9.toml has changed since these pictures were rendered" in capsys.readouterr().err
    assert not (tmp_path / "set" / "connectors.json").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected a file that `generator build` wrote"),
        ("[]", "expected a file that `generator build` wrote"),
        ('{"schema": 2}', r"expected a file of format version \(schema\) 1, got 2"),
        ('{"schema": 1}', "got: one without the key 'connectors'"),
        (json.dumps({"schema": 1, "connectors": [{"scene": "a"}]}), "got: one without the key 'outline_mm'"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "connectors.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_connectors(tmp_path)
