"""Designs with a table [measurement]: displacements of every pin, what they share, and what `check` says of them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from blender_scripts.contract.connector import read_connector
from blender_scripts.manifest.reader import Run, read_manifest
from generator.__main__ import main
from generator.doe.check import summary
from generator.doe.design import design
from generator.doe.pin_table import pin_tables
from generator.doe.spec_reader import read_spec
from tests.conftest import ROOT, SCENES, faults_of
from tests.generator.doe.test_design import made

SPEC = """
schema = 1
seed = 3

[design]
kind = "inner_outer"
inner = "full"
noise = ["camera"]

[factors]
scene = "connector_3x9"
housing = ["plain", "keyed"]
terminal = ["round", "square"]
camera = ["center", "top", "left"]
lighting = "ring"
marking = "none"
fixture = 1

[measurement]
"""
SPLITS = """
[positions]
held_out = 9

[splits.train]
rows = 60

[splits.test]
rows = 30
positions = "all"
"""


def moved(run: Run) -> dict[str, tuple[float, float, float]]:
    """Each displaced pin's displacement in X, Y and Z, mm; not a number where it is missing."""
    found: dict[str, tuple[float, float, float]] = {}
    for defect in run.defects:
        x, y, z = found.get(defect.target, (0.0, 0.0, 0.0))
        if defect.kind == "bent":
            angle = math.radians(defect["azimuth_deg"])
            x, y = defect["tip_offset_mm"] * math.cos(angle), defect["tip_offset_mm"] * math.sin(angle)
        elif defect.kind == "missing":
            x = y = z = math.nan
        else:
            z = -defect["depth_mm"] if defect.kind == "retracted" else defect["height_mm"]
        found[defect.target] = (x, y, z)
    return found


def test_every_pin_is_displaced_but_those_held_out_in_training(tmp_path: Path):
    manifest = made(tmp_path, SPEC + SPLITS)
    connector = manifest.connectors["connector_3x9"]
    displaced = {split: Counter() for split in ("train", "test")}
    for run in manifest.runs:
        displaced[run.split].update(moved(run).keys())
    assert len(displaced["train"]) == 18 and len(displaced["test"]) == len(connector.positions) == 27
    # Few are left with less than the manifest writes, or drawn to have none.
    assert sum(displaced["train"].values()) > 0.9 * 60 * 18 and sum(displaced["test"].values()) > 0.9 * 30 * 27


def test_views_of_a_part_share_displacements_and_placing(tmp_path: Path):
    text = SPEC.replace('["camera"]', '["camera", "fixture"]').replace("fixture = 1", "fixture = [1, 2]")
    runs = made(tmp_path, text + SPLITS).runs
    by_part: dict[int, list[Run]] = {}
    for run in runs:
        by_part.setdefault(run.part, []).append(run)
    assert len(by_part) == 15
    for views in by_part.values():
        assert len({run.defects for run in views}) == 1 and len({run.seed for run in views}) == 6
        assert Counter(Counter(run.fixture for run in views).values()) == {3: 2}
        assert {run.camera for run in views} == {"center", "top", "left"}


def test_tips_are_spread_evenly_up_to_the_largest_size_and_kinds_as_asked(tmp_path: Path):
    kinds = "near_limit = 0\n[measurement.kinds]\nbent = 3\nmissing = 1\n[measurement.patterns]\npins = 1\n"
    runs = made(tmp_path, SPEC + kinds + "[splits.train]\nrows = 240\n").runs
    defects = [defect for run in runs if run.camera == "center" for defect in run.defects]
    assert Counter(defect.kind for defect in defects)["missing"] == pytest.approx(0.25 * 27 * 80, rel=0.15)
    sizes = [defect["tip_offset_mm"] / 0.4 for defect in defects if defect.kind == "bent"]
    assert max(sizes) <= 3.0
    thirds = Counter(min(int(size), 2) for size in sizes)
    assert all(count == pytest.approx(len(sizes) / 3, rel=0.12) for count in thirds.values())
    assert {defect.word("shape") for defect in defects if defect.kind == "bent"} == {"arc", "kink", "s_bend"}


def test_a_share_of_the_sizes_lies_near_the_limit(tmp_path: Path):
    text = SPEC + "near_limit = 1\n[measurement.kinds]\nbent_retracted = 1\n[measurement.patterns]\npins = 1\n"
    for run in made(tmp_path, text + SPLITS).runs:
        for x, y, z in moved(run).values():
            assert 0.74 < math.hypot(x, y) / 0.4 < 1.26 and 0.74 < -z / 0.6 < 1.26


@pytest.mark.parametrize("pattern", ["row", "column", "field"])
def test_pins_of_a_row_a_column_or_the_field_are_displaced_alike(tmp_path: Path, pattern: str):
    text = f"own = 0\n[measurement.kinds]\nbent_protruding = 1\nretracted = 1\n[measurement.patterns]\n{pattern} = 1\n"
    manifest = made(tmp_path, SPEC + text + "[splits.train]\nrows = 24\n")
    connector = manifest.connectors["connector_3x9"]
    for run in manifest.runs:
        assert run.extra["pattern"] == pattern
        groups: dict[object, set[tuple[float, ...]]] = {}
        for address, displacement in moved(run).items():
            place = connector.position(address)
            key = {"row": place.row, "column": place.position, "field": 0}[pattern]
            groups.setdefault(key, set()).add(displacement)
        assert all(len(found) == 1 for found in groups.values())
        assert len(set().union(*groups.values())) == {"row": 3, "column": 9, "field": 1}[pattern]


def test_a_tilted_field_sinks_where_its_tips_move_to(tmp_path: Path):
    text = "own = 0\nretraction = [2.0, 3.0]\n[measurement.patterns]\ntilt = 1\n"
    manifest = made(tmp_path, SPEC + text + "[splits.train]\nrows = 12\n")
    for run in manifest.runs:
        found = {address: each for address, each in moved(run).items() if not math.isnan(each[0])}
        x, y = next((x, y) for x, y, _ in found.values())
        slope = math.hypot(x, y) / 6.3
        for address, (_, _, z) in found.items():
            place = manifest.connectors["connector_3x9"].position(address)
            along = (place.x_mm * x + place.y_mm * y) / math.hypot(x, y)
            assert z == pytest.approx(-slope * along, abs=0.021)
        # A field of this width sinks to the size before the tips travel as far.
        assert 0.6 * 1.5 < max(abs(z) for _, _, z in found.values()) <= 1.81 and math.hypot(x, y) < 1.2


def test_single_pins_have_sizes_by_their_own_limits_and_groups_by_the_connectors(tmp_path: Path):
    scene = (SCENES / "connector_3x9.toml").read_text("utf-8")
    own = "[tolerance.at]\nr1c1 = { true_position_mm = 0.2, protrusion_mm = 0.1 }\n\n[scatter]"
    (tmp_path / "connector_3x9.toml").write_text(scene.replace("[scatter]", own), "utf-8")
    text = "own = 0\ntrue_position = [2, 2]\nprotrusion = [2, 2]\nnear_limit = 0\n"
    text += "[measurement.kinds]\nbent_protruding = 1\n[measurement.patterns]\nPATTERN = 1\n[splits.train]\nrows = 3\n"
    for pattern, first in (("pins", (0.2, 0.2)), ("field", (0.8, 1.2))):
        found = moved(made(tmp_path, SPEC + text.replace("PATTERN", pattern), scenes=tmp_path).runs[0])
        for address, expected in (("r1c1", first), ("r1c2", (0.8, 1.2))):
            x, y, z = found[address]
            assert (math.hypot(x, y), z) == pytest.approx(expected, abs=1e-3)


def test_pins_that_would_touch_are_displaced_less_or_left_in_place(tmp_path: Path, capsys):
    header = SPEC.replace("connector_3x9", "header_2x8").replace("keyed", "latched").replace('"round"', '"tin"')
    wide = header + "[measurement.kinds]\nbent = 1\n[measurement.patterns]\npins = 1\n[splits.train]\nrows = 12\n"
    for low, high in ((0, 12), (20, 20)):
        text = wide.replace("[measurement.kinds]", f"true_position = [{low}, {high}]\n[measurement.kinds]")
        spec = tmp_path / "wide.toml"
        spec.write_text(text, "utf-8")
        assert main(["design", str(spec), "-o", str(tmp_path / "wide.csv"), "--scenes", str(SCENES)]) == 0
        line = capsys.readouterr().out.splitlines()[-1]
        assert line.startswith("pins to displace: 64; ")
        again, left = (int(part.rpartition(": ")[2]) for part in line.split("; ")[1:])
        runs = read_manifest(tmp_path / "wide.csv", SCENES).runs
        displaced = len({(run.part, defect.target) for run in runs for defect in run.defects})
        assert len(runs) == 12 and again > 10
        # A few are drawn with less than the manifest writes.
        assert left == 0 and displaced >= 60 if low == 0 else left == 64 - displaced > 0


def test_what_a_measurement_refuses(tmp_path: Path):
    text = SPEC.replace('marking = "none"', 'marking = "none"\npattern = ["a", "b"]')
    text += "true_position = [3, 1]\nshape = 'wave'\nwobble = 1\n[measurement.kinds]\nbent = 0\n[classes]\nOK = 1\n"
    text += "[defects.bent]\n[splits.train]\nrows = 3\nper_picture = 2\n"
    spec = tmp_path / "wrong.toml"
    spec.write_text(text, "utf-8")
    problems = faults_of(read_spec, spec)
    found = "\n".join(problems)
    assert "measurement.true_position: expected two numbers, the smaller one first, got 3, 1" in found
    assert "measurement.shape: expected one or more of arc, kink, s_bend, got 'wave'" in found
    assert "measurement.kinds: expected a weight above 0 for at least one of bent, " in found
    assert "measurement.wobble: expected a known key" in found
    assert "factors.pattern: expected another name" in found
    for key in ("classes", "defects", "splits.train.per_picture"):
        assert f"{key}: expected this key only without [measurement]" in found
    assert len(problems) == 8


def test_check_counts_each_pin_of_a_part_once_and_no_classes_of_pictures(tmp_path: Path):
    manifest = made(tmp_path, SPEC + SPLITS)
    tables = pin_tables(manifest)
    total = {"train": 20 * 27, "test": 10 * 27}
    assert tables["pins by kind"].sum().to_dict() == tables["pins by class"].sum().to_dict() == total
    standing = (tables["pins by kind"].sum() - tables["pins by kind"].loc["missing"]).to_dict()
    for title in ("true position / limit", "retraction / limit"):
        assert tables[title].sum().to_dict() == standing
    titles = [line.split("  ")[0] for line in summary(manifest) if line.endswith("train        test")]
    assert titles[6:] == ["pattern", "pins", *tables]


@pytest.mark.parametrize("path", sorted((ROOT / "manifests").glob("gauge_*.toml")), ids=lambda path: path.stem)
def test_shipped_designs_show_their_parts_in_three_views(path: Path, tmp_path: Path):
    spec = read_spec(path)
    few = replace(spec, splits=tuple(replace(split, rows=6) for split in spec.splits))
    (tmp_path / "few.csv").write_text(design(few, SCENES), "utf-8")
    manifest = read_manifest(tmp_path / "few.csv", SCENES)
    assert {(run.split, run.camera) for run in manifest.runs} == {
        (split.name, camera) for split in spec.splits for camera in ("center", "top", "left")
    }
    width = 512 if path.stem.endswith("_512") else read_connector(SCENES / f"{spec.path.stem[6:]}.toml").width
    assert {run.width for run in manifest.runs} == {width}
    held = set(manifest.connectors[manifest.runs[0].scene].positions)
    trained = {defect.target for run in manifest.runs if run.split == "train" for defect in run.defects}
    tested = {defect.target for run in manifest.runs if run.split == "test" for defect in run.defects}
    assert tested - trained and len(tested) <= len(held)


def test_missing_pins_are_not_counted_as_displaced(tmp_path: Path, capsys):
    text = SPEC + "[measurement.kinds]\nbent = 1\nmissing = 1\n[splits.train]\nrows = 12\n"
    spec = tmp_path / "missing.toml"
    spec.write_text(text, "utf-8")
    assert main(["design", str(spec), "-o", str(tmp_path / "missing.csv"), "--scenes", str(SCENES)]) == 0
    pins = int(capsys.readouterr().out.splitlines()[-1].split(";")[0].rpartition(": ")[2])
    runs = read_manifest(tmp_path / "missing.csv", SCENES).runs
    there = {run.part: 27 - sum(defect.kind == "missing" for defect in run.defects) for run in runs}
    assert pins == sum(there.values()) and 0 < pins < 27 * len(there)
