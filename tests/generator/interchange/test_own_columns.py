"""What Pinsight's own exports state of a picture comes back when they are imported."""

import json

import pytest

from generator.__main__ import main
from generator.dataset.build import Options, build
from tests.generator.augmenting.test_augment import made_rows, masked_renders, rows_of
from tests.generator.made_renders import SCENES

OF_COCO = (
    *("observable", "grey", "synthetic", "part", "seed", "fixture", "scene", "housing", "terminal", "defects"),
    *("camera", "lighting", "marking", "samples", "world"),
)
OF_FOLDERS = ("observable", "synthetic", "camera", "scene", "part")


def generator(*words):
    return main([*map(str, words), "--workers", "1"])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A dataset in which two pictures each show a part, one of which is stated to be not observable, and its exports.

    Parts with two pictures are 0 to 4: pictures t000 and t005 show part 0.
    """
    folder = tmp_path_factory.mktemp("built")
    rows = [{**row, "part": int(row["run"][1:]) % 5, "split": "train"} for row in made_rows(10)]
    rows = [{**row, "defects": rows[int(row["part"])]["defects"]} for row in rows]
    masked_renders(folder / "renders", rows)
    build(folder / "renders", folder / "dataset", SCENES, Options({}, masks=True))
    for kind in ("coco", "yolo", "imagefolder"):
        assert generator("export", folder / "dataset", "--format", kind, "--to", folder / kind) == 0
    return folder


def entries_of(folder):
    return json.loads((folder / "annotations/instances_train.json").read_text("utf-8"))


def edited(built, to, change):
    """The exported COCO file, beside its pictures, with another statement on each picture."""
    content = entries_of(built / "coco")
    for entry in content["images"]:
        change(entry)
    (to / "images").mkdir(parents=True)
    for path in (built / "coco/images").iterdir():
        (to / "images" / path.name).write_bytes(path.read_bytes())
    (to / "instances_train.json").write_text(json.dumps(content), encoding="utf-8")
    return to


@pytest.mark.parametrize(("kind", "names"), [("coco", OF_COCO), ("imagefolder", OF_FOLDERS)])
def test_columns_survive_export_and_import(built, tmp_path, capsys, kind, names):
    assert generator("import", built / kind, "--format", kind, "--to", tmp_path / "back") == 0
    before = rows_of(built / "dataset")
    after = {row["file"].rpartition("/")[2].removesuffix(".png"): row for row in rows_of(tmp_path / "back").values()}
    assert after.keys() == before.keys()
    for name, row in before.items():
        assert {each: after[name][each] for each in names} == {each: row[each] for each in names}
    said = capsys.readouterr().err
    assert f"{built / kind}: an export of Pinsight: taken from it are the columns observable, " in said
    assert "tolerance_json" in said.partition("null, or as an option states, are ")[2]


def test_a_format_without_columns_says_so(built, tmp_path, capsys):
    assert generator("export", built / "dataset", "--format", "yolo", "--to", tmp_path / "yolo") == 0
    assert "has no place for them: the columns observable, grey, synthetic, " in capsys.readouterr().err


def test_a_part_that_cannot_be_seen_stays_not_observable(built, tmp_path):
    for entry in entries_of(built / "coco")["images"]:
        assert entry["observable"] is rows_of(built / "dataset")[entry["run"]]["observable"]
    source = edited(built, tmp_path / "in", lambda entry: entry.update(observable=entry["run"] != "t001"))
    assert generator("import", source, "--format", "coco", "--to", tmp_path / "back") == 0
    found = {name: row["observable"] for name, row in rows_of(tmp_path / "back").items()}
    assert found.pop("images_t001", found.pop("t001", None)) is False and set(found.values()) == {True}


def test_options_count_more_than_what_an_export_states(built, tmp_path):
    words = ("--format", "coco", "--known", "camera=bottom", "--synthetic")
    source = edited(built, tmp_path / "in", lambda entry: entry.update(synthetic=False))
    assert generator("import", source, *words, "--to", tmp_path / "back") == 0
    rows = rows_of(tmp_path / "back").values()
    assert {(row["camera"], row["synthetic"], row["scene"]) for row in rows} == {("bottom", True, "connector_3x9")}


def test_pictures_of_a_part_get_one_split_and_numbers_that_no_other_part_has(built, tmp_path):
    words = ("--format", "coco", "--splits", "train=0.5,test=0.5")
    assert generator("import", built / "coco", *words, "--to", tmp_path / "alone") == 0
    places = {(row["part"], row["_split"]) for row in rows_of(tmp_path / "alone").values()}
    assert sorted(part for part, _ in places) == [0, 1, 2, 3, 4] and len({split for _, split in places}) == 2
    other = masked_renders_of_others(tmp_path)
    assert generator("import", built / "coco", "--format", "coco", "--with", other, "--to", tmp_path / "mixed") == 0
    parts = [row["part"] for row in rows_of(tmp_path / "mixed").values()]
    assert sorted(parts) == sorted([20, 21, 22, *2 * [23, 24, 25, 26, 27]])


def masked_renders_of_others(folder):
    rows = [{**row, "run": f"o{n}", "part": 20 + n, "seed": 90 + n} for n, row in enumerate(made_rows(3))]
    masked_renders(folder / "others", rows)
    build(folder / "others", folder / "other", SCENES, Options({}, masks=True))
    return folder / "other"


@pytest.mark.parametrize("name", ["run", "label", "synthetic"])
def test_other_tools_entries_are_not_taken_for_pinsight_s(built, tmp_path, name):
    source = edited(built, tmp_path / "in", lambda entry: entry.pop(name))
    assert generator("import", source, "--format", "coco", "--to", tmp_path / "back") == 0
    for row in rows_of(tmp_path / "back").values():
        assert row["synthetic"] is False and row["part"] is None and row["scene"] is None


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("part", "7", "a whole number from 0 to 9223372036854775807, got '7'"),
        ("part", True, "a whole number from 0 to 9223372036854775807, got True"),
        ("seed", 2**63, "a whole number from 0 to 9223372036854775807, got 9223372036854775808"),
        ("observable", 1, "true or false, got 1"),
        ("scene", 3, "text, got 3"),
        ("camera", "above", "one of center, left, right, top, bottom, got 'above'"),
    ],
)
def test_values_of_a_wrong_type_are_refused(built, tmp_path, capsys, name, value, expected):
    source = edited(built, tmp_path / "in", lambda entry: entry.update({name: value}))
    assert generator("import", source, "--format", "coco", "--to", tmp_path / "back") == 2
    assert f"instances_train.json image t000.png {name}: expected {expected}" in capsys.readouterr().err
