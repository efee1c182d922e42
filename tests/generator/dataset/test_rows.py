"""The row types: their columns, their stored form, and reading it back, also from an older dataset."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from blender_scripts.manifest.reader import OPTIONAL, REQUIRED, RESERVED, read_manifest
from generator.dataset.build import Options, build
from generator.dataset.folder import read_features, read_rows, split_files
from generator.dataset.record_rows import Labelling, picture_row
from generator.dataset.rows import (
    PICTURES,
    CameraRow,
    ObjectRow,
    PictureRow,
    answer,
    columns_of,
    features,
    missing_columns,
    objects_of,
    row_of,
)
from tests.generator.made_renders import SCENES, read_json, row, write_renders
from tests.generator.older_dataset import OBJECT_COLUMNS, PICTURE_COLUMNS, older_dataset

ROWS = [row("t1", shift="night"), row("t2", defects="bent@r1c2:tilt_deg=12;missing@r3c4", shift="day")]


@pytest.fixture
def renders(tmp_path: Path) -> Path:
    return write_renders(tmp_path / "out", ROWS)


def picture_rows(renders: Path) -> list[PictureRow]:
    runs = read_manifest(renders / "manifests" / "design.csv", SCENES).runs
    return [picture_row(run, read_json(renders, run.run), Labelling({}), ["shift"]) for run in runs]


def stored(each: PictureRow) -> dict:
    """As it comes out of Arrow."""
    columns = columns_of(each)
    schema = pa.schema([field for field in features(True, ["shift"]).arrow_schema if field.name in columns])
    return pa.Table.from_pylist([columns], schema=schema).to_pylist()[0]


def rounded(each: PictureRow) -> PictureRow:
    """Points and boxes as single precision has them."""

    def near(values):
        return values and tuple(round(value, 4) for value in values)

    objects = each.objects and tuple(
        replace(o, box=near(o.box), tip_px=near(o.tip_px), base_px=near(o.base_px), visible=round(o.visible, 6))
        for o in each.objects
    )
    return replace(each, objects=objects, housing_box=near(each.housing_box))


def test_a_row_comes_back_as_it_was_stored(renders: Path) -> None:
    for each in picture_rows(renders):
        assert each.extras["shift"] in ("night", "day") and each.camera and each.tolerance
        assert rounded(row_of(stored(each), ["shift"])) == rounded(each)
    photograph = replace(
        each, kinds=None, observable=None, grey=None, bbox_str=None, objects=None, camera=None,
        tolerance=None, housing_box=None, synthetic=False,
    )  # fmt: skip
    assert row_of(stored(photograph), ["shift"]) == photograph


def test_every_column_but_the_pictures_has_a_value_of_the_row(renders: Path) -> None:
    declared = features(True, ["shift"], masks=True)
    for each in picture_rows(renders):
        columns = columns_of(each)
        assert set(columns) | set(PICTURES) == set(declared)
        assert set(columns["objects"]) == set(declared["objects"])


def test_of_an_older_dataset_what_it_lacks_is_named_and_none(renders: Path, tmp_path: Path) -> None:
    build(renders, tmp_path / "set", SCENES, Options({}))
    older = older_dataset(tmp_path / "set", tmp_path / "older")
    assert missing_columns(read_features(tmp_path / "set")) == []
    lacking = [*PICTURE_COLUMNS, *(f"objects.{name}" for name in OBJECT_COLUMNS)]
    assert sorted(missing_columns(read_features(older))) == sorted(lacking)
    unknown = {"kinds": None, "in_answer": None, "dx_mm": None, "dy_mm": None, "tilt_deg": None}
    unknown |= {"tip_px": None, "base_px": None, "moved_px": None}
    pairs = zip(read_rows(split_files(tmp_path / "set")["train"]), read_rows(split_files(older)["train"]), strict=True)
    for new, old in pairs:
        now, before = row_of(new, ["shift"]), row_of(old, ["shift"])
        objects = tuple(replace(each, **unknown) for each in now.objects or ())
        assert before == replace(now, camera=None, tolerance=None, objects=objects)


def test_what_is_a_position() -> None:
    box = (1.0, 2.0, 3.0, 5.0)
    pin = ObjectRow(1, box, "BENDNG", address="r1c1", true_position_mm=0.9)
    assert pin.is_position and pin.area == 6.0
    assert ObjectRow(2, box, "NUKENG", ("missing",), address="r1c2").is_position
    assert ObjectRow(3, box, "OTHERNG", ("broken",), address="r1c3", true_position_mm=0.1).is_position
    # A foreign body may lie at a position.
    assert not ObjectRow(4, box, "OTHERNG", ("foreign",), address="r1c3").is_position
    assert not ObjectRow(5, box, "OTHERNG", ("cracked",), address="").is_position


def test_the_answer_is_that_of_the_objects_in_it() -> None:
    named = ObjectRow(1, (10.0, 10.0, 20.0, 20.0), "BENDNG", in_answer=True)
    others = [replace(named, in_answer=False), replace(named, in_answer=None)]
    assert answer([*others, named], (100, 50)) == "BENDNG<loc_100><loc_200><loc_200><loc_400>"
    assert answer([named], (100, 50), "words").startswith("bent pin<loc_100>")
    assert answer(others, (100, 50)) == ""


def test_a_camera_is_read_from_a_record_and_from_its_own_json(renders: Path) -> None:
    record = read_json(renders, "t1")["camera"]
    camera = CameraRow.of(record)
    assert (camera.fx, camera.cx, len(camera.matrix_world)) == (100.0, 48.0, 4)
    assert CameraRow.of(json.loads(camera.as_json())) == camera


def test_a_user_s_column_cannot_take_the_place_of_one_of_ours() -> None:
    """Every column that is neither the manifest's own nor the user's is refused in a manifest."""
    assert set(features(True, masks=True)) - {*RESERVED, *REQUIRED, *OPTIONAL} == set()


@pytest.mark.parametrize("category", [-1, 3])
def test_a_category_without_a_class_is_not_known(category: int) -> None:
    stored = {"objects": {"bbox": [[0, 0, 2, 2], [4, 4, 2, 2]], "category": [0, category]}}
    assert objects_of(stored, ("BENDNG", "NUKENG", "OK")) is None
