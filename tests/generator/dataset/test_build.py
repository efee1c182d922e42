"""Building a dataset from a render folder: what is written, what is refused, and that no partial dataset is left."""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import DatasetCard
from PIL import Image

from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.reader import stream_runs
from blender_scripts.manifest.record import read_record
from generator.bbox_str import decode
from generator.dataset import build_command, writer
from generator.dataset.build import Options, build
from generator.dataset.folder import read_features, read_rows, split_files
from generator.dataset.labels import CLASSES
from generator.soart.nsoart import nsoart_picture
from tests.conftest import faults_of
from tests.generator.made_renders import SCENES, make_record, read_json, row, write_picture, write_record, write_renders
from tests.other_python import other_python

ROOT = Path(__file__).resolve().parents[3]
ROWS = [
    row("t1"),
    row("t2", defects="bent@r1c2:tilt_deg=12", world="wide"),
    row("t3", defects="retracted@r2c3:depth_mm=1.5", camera="left"),
    row("t4", "validation", "missing@r3c4"),
    row("t5", "validation"),
    row("t6", "test_housing", housing="ribbed"),
    row("t7", "test_housing", "bent@r1c1:tilt_deg=7;missing@r2c2", housing="ribbed"),
]


@pytest.fixture
def renders(tmp_path: Path) -> Path:
    return write_renders(tmp_path / "out", ROWS)


def age(folder: Path, run: str) -> None:
    """Change a record to one of renderer 4."""
    record = read_json(folder, run)
    del record["row"]["fixture"]
    if record["row"]["world"] == "scene":  # then there was no other
        del record["row"]["world"]
    record["camera"].pop("model", None)
    write_record(folder, {**record, "renderer": "4", "scene_sha256": scene_of(record).file_sha256})


def scene_of(record: dict[str, Any]) -> Connector:
    return read_connector(SCENES / f"{record['row']['scene']}.toml")


def test_records_of_the_version_before_are_built_but_not_mixed(renders: Path, tmp_path: Path) -> None:
    for each in ROWS[:-1]:
        age(renders, each["run"])
    assert faults_of(build, renders, tmp_path / "data", SCENES, Options({})) == [
        f"{renders}: expected records of one version of the renderer, got versions 1 and 4: repeat "
        f"`render --out {renders}` with every manifest, which renders the older rows again"
    ]
    age(renders, ROWS[-1]["run"])
    facts = build(renders, tmp_path / "data", SCENES, Options({}))
    assert facts.renderers == ["4"] and facts.connectors > 0
    rows = list(read_rows(split_files(tmp_path / "data")["train"]))
    assert all(row["fixture"] == row["seed"] for row in rows)
    assert {json.loads(row["camera_json"])["model"] for row in rows} == {"pinhole"}


def rows_of(dataset: Path) -> dict[str, dict[str, Any]]:
    return {found["run"]: found for paths in split_files(dataset).values() for found in read_rows(paths)}


def bytes_of(dataset: Path) -> dict[str, str]:
    return {
        str(path.relative_to(dataset)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(dataset.rglob("*"))
        if path.is_file()
    }


def problems_of(directory: Path, to: Path, **options: Any) -> list[str]:
    problems = faults_of(build, directory, to, SCENES, Options(**{"limits": {}, **options}))
    assert not to.exists()
    assert list(to.parent.glob(".*")) == []
    return problems


FRESH = """
import json, sys
from datasets import load_dataset
data = load_dataset(sys.argv[1], cache_dir=sys.argv[2])
rows = {}
for split, part in data.items():
    for row in part:
        rows[row["run"]] = [split, part.features["label"].int2str(row["label"]), row["bbox_str"], row["kinds"],
            row["image"].size, row["nsoart"].size, row["nsoart"].mode, len(row["objects"]["id"])]
print(json.dumps({"rows": rows, "names": data["train"].features["label"].names, "splits": list(data)}))
"""


def loaded(code: str, folder: Path) -> str:
    """What a process of its own prints that loads `set` in the folder with a cache in there."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home")}
    return other_python("-c", code, folder / "set", folder / "cache", **offline).stdout


def test_loads_in_a_fresh_process(renders: Path, tmp_path: Path) -> None:
    build(renders, tmp_path / "set", SCENES, Options({}))
    said = json.loads(loaded(FRESH, tmp_path))
    assert said["names"] == ["BENDNG", "NUKENG", "OK"]
    assert said["splits"] == ["train", "validation", "test_housing"]
    assert {run: (split, label, kinds) for run, (split, label, _, kinds, *_) in said["rows"].items()} == {
        "t1": ("train", "OK", []),
        "t2": ("train", "BENDNG", ["bent"]),
        "t3": ("train", "NUKENG", ["retracted"]),
        "t4": ("validation", "NUKENG", ["missing"]),
        "t5": ("validation", "OK", []),
        "t6": ("test_housing", "OK", []),
        "t7": ("test_housing", "NUKENG", ["missing"]),
    }
    for _, label, answer, _, size, nsoart_size, mode, count in said["rows"].values():
        assert (answer == "") == (label == "OK")
        assert size == nsoart_size == [96, 48]
        assert (mode, count) == ("RGB", 27)


def test_rows_hold_the_truth_of_their_records(renders: Path, tmp_path: Path) -> None:
    build(renders, tmp_path / "set", SCENES, Options({}))
    found = rows_of(tmp_path / "set")
    assert list(found) == [cells["run"] for cells in ROWS]
    for run, columns in found.items():
        record = read_json(renders, run)
        assert columns["image"] == {"bytes": (renders / "images" / f"{run}.png").read_bytes(), "path": f"{run}.png"}
        for name, value in record["row"].items():
            assert columns[name] == value
        for number, position in enumerate(record["positions"]):
            things = columns["objects"]
            assert things["id"][number] == position["index"]
            assert things["address"][number] == position["address"]
            assert things["true_position_mm"][number] == position["true_position_mm"]
            for name in ("dx_mm", "dy_mm", "retraction_mm", "tilt_deg"):
                assert things[name][number] == position[name], name
            for name in ("tip_px", "base_px"):  # stored in single precision
                assert things[name][number] == (position[name] and pytest.approx(position[name], abs=1e-5))
            defective = things["category"][number] != CLASSES.index("OK")
            assert things["kinds"][number] == ([position["kind"]] if defective else [])
            assert things["in_answer"][number] is defective
            moves = defective and position["kind"] in ("bent", "retracted", "protruding")
            assert (things["moved_px"][number] is not None) is moves
        assert columns["verdict"] == int(columns["label"] != CLASSES.index("OK"))
        camera = json.loads(columns["camera_json"])
        assert camera == {name: record["camera"][name] for name in camera}
        assert json.loads(columns["tolerance_json"]) == record["tolerance"] | {"protrusion_mm": 0.6}
        # The drawn housing reaches beyond the picture.
        assert columns["housing_bbox"] == [0, 0, columns["width"], columns["height"]]
    x, y, width, height = found["t2"]["objects"]["bbox"][1]
    assert (x, y, width, height) == pytest.approx([16 - 1.5 + 3, 5, 3, 6])
    # Bent by 0.6 mm, 2.99 mm from a camera of 100 px focal length.
    assert found["t2"]["objects"]["moved_px"][1] == pytest.approx(100 * 0.6 / 2.99)
    [box], [label] = decode(found["t2"]["bbox_str"], 96, 48)
    assert label == "BENDNG"
    assert box == pytest.approx((x, y, x + width, y + height), abs=0.05)


def test_nsoart_can_be_made_again_from_the_stored_parameters(renders: Path, tmp_path: Path) -> None:
    build(renders, tmp_path / "set", SCENES, Options({}))
    parameters = json.loads((tmp_path / "set" / "nsoart.json").read_text())
    sources = {(group["housing"], group["camera"]): group for group in parameters["groups"]}
    assert sources["plain", "center"]["unit_space"] == "train"
    assert sources["plain", "center"]["rows"] == ["t1"]
    assert sources["ribbed", "center"]["unit_space"] == "few"
    assert sources["ribbed", "center"]["rows"] == ["t6"]
    assert sources["plain", "left"]["unit_space"] == "pooled"
    for run, columns in rows_of(tmp_path / "set").items():
        again = nsoart_picture(Image.open(renders / "images" / f"{run}.png"), parameters, columns)
        stored = Image.open(io.BytesIO(columns["nsoart"]["bytes"]))
        assert (np.asarray(again) == np.asarray(stored)).all()


def test_same_renders_give_the_same_bytes_anywhere(renders: Path, tmp_path: Path) -> None:
    build(renders, tmp_path / "first", SCENES, Options({}))
    code = "import sys; from pathlib import Path; from generator.dataset.build import *"
    code += "; a = [Path(p) for p in sys.argv[1:]]"
    code += "; build(*a, Options({}))"
    target = tmp_path / "elsewhere" / "second"
    other_python("-c", code, renders, target, SCENES)
    assert bytes_of(target) == bytes_of(tmp_path / "first")


def test_another_tolerance_changes_exactly_the_rows_that_truth_says(renders: Path, tmp_path: Path) -> None:
    # t7's bend of 0.7 mm is inside 0.8 and outside 0.6; all good pins are below 0.11.
    build(renders, tmp_path / "a", SCENES, Options({}))
    build(renders, tmp_path / "b", SCENES, Options({"true_position_mm": 0.6}))
    build(renders, tmp_path / "c", SCENES, Options({"true_position_mm": 1.3, "retraction_mm": 2.0}))
    build(renders, tmp_path / "d", SCENES, Options({"true_position_mm": 0.101}))
    a, b, c, d = (rows_of(tmp_path / name) for name in "abcd")
    same = ("image", "width", "height", *ROWS[0])
    for run in a:
        truth = read_json(renders, run)["positions"]
        for rows, true_position, retraction in ((a, 0.8, 0.6), (b, 0.6, 0.6), (c, 1.3, 2.0), (d, 0.101, 0.6)):
            bent = any(p["kind"] != "missing" and p["true_position_mm"] > true_position for p in truth)
            low = any(p["kind"] == "missing" or p["retraction_mm"] > retraction for p in truth)
            assert rows[run]["label"] == (1 if low else 0 if bent else 2), run
            assert rows[run]["verdict"] == int(bent or low)
            assert rows[run]["kinds"].count("bent") == int(bent)
            assert all(rows[run][name] == a[run][name] for name in same)
    assert [run for run in a if a[run]["bbox_str"] != b[run]["bbox_str"]] == ["t7"]
    assert [run for run in a if a[run]["label"] != c[run]["label"]] == ["t2", "t3"]
    card = DatasetCard.load(tmp_path / "b" / "README.md")
    assert card.data.to_dict()["pinsight"]["tolerance"] == {
        "connector_3x9": {"true_position_mm": 0.6, "retraction_mm": 0.6, "protrusion_mm": 0.6}
    }
    assert "`true_position_mm=0.6`" in card.content


def test_grey_rows_are_flagged(renders: Path, tmp_path: Path) -> None:
    build(renders, tmp_path / "set", SCENES, Options({}, grey=0.13))
    assert [run for run, columns in rows_of(tmp_path / "set").items() if columns["grey"]] == ["t7"]
    assert "within 13% of its limit (1 pictures)" in (tmp_path / "set" / "README.md").read_text()


def test_other_defects_declare_the_fourth_class(renders: Path, tmp_path: Path) -> None:
    boxes = {"visible": [3.0, 3.0, 9.0, 9.0], "amodal": [3.0, 3.0, 9.0, 9.0], "expected": None}
    write_record(renders, {**read_json(renders, "t5"), "other": [{"kind": "foreign", "boxes": boxes}]})
    build(renders, tmp_path / "set", SCENES, Options({}))
    assert read_features(tmp_path / "set")["label"].names == ["BENDNG", "NUKENG", "OK", "OTHERNG"]
    found = rows_of(tmp_path / "set")["t5"]
    assert (found["label"], found["kinds"], found["objects"]["id"][-1]) == (3, ["foreign"], 28)
    assert found["objects"]["true_position_mm"][-1] is None
    assert found["bbox_str"] == "OTHERNG<loc_31><loc_62><loc_93><loc_187>"
    assert "OTHERNG" in (tmp_path / "set" / "README.md").read_text()


def test_the_users_own_columns_are_carried_as_text(tmp_path: Path) -> None:
    out = write_renders(tmp_path / "out", [row("t1", operator="Ahn, 박"), row("t2", operator="7")], "a.csv")
    write_renders(out, [row("t3", "test", batch="x")], "b.csv")
    build(out, tmp_path / "set", SCENES, Options({}))
    found = rows_of(tmp_path / "set")
    assert [(columns["operator"], columns["batch"]) for columns in found.values()] == [
        ("Ahn, 박", ""),
        ("7", ""),
        ("", "x"),
    ]


def test_the_users_own_columns_may_have_any_name(tmp_path: Path) -> None:
    names = ("image_sha256", "mask_sha256", "index", "__index_level_0__")
    own = dict.fromkeys(names, "mine")
    out = write_renders(tmp_path / "out", [row("t1", **own), row("t2", "test", **own)])
    build(out, tmp_path / "set", SCENES, Options({}, masks=True))
    for found in rows_of(tmp_path / "set").values():
        assert {name: found[name] for name in names} == own


def test_card_says_what_it_is(renders: Path, tmp_path: Path) -> None:
    facts = build(renders, tmp_path / "set", SCENES, Options({}, license="cc-by-4.0"))
    card = DatasetCard.load(tmp_path / "set" / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert [entry["split"] for entry in card.data.configs[0]["data_files"]] == ["train", "validation", "test_housing"]
    assert "| train | 1 | 1 | 1 | 3 |" in card.content
    assert "| test_housing | 0 | 1 | 1 | 2 |" in card.content
    for phrase in ("Synthetic", "NSOART", "design.csv", "Blender 5.2.0", "| connector_3x9 | 0.8 | 0.6 |"):
        assert phrase in card.content
    assert str(tmp_path) not in card.content
    assert facts.rows == 7


def test_records_that_no_manifest_names_are_reported_and_left_out(
    renders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(renders, {**read_json(renders, "t1"), "run": "stray"})
    build(renders, tmp_path / "set", SCENES, Options({}))
    assert capsys.readouterr().err.endswith(
        "records/stray.json: left out, since no manifest has a row with this run name\n"
    )
    assert "stray" not in rows_of(tmp_path / "set")


def test_missing_rows_are_all_named_or_left_out_on_request(
    renders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run in ("t2", "t6"):
        (renders / "records" / f"{run}.json").unlink()
    problems = problems_of(renders, tmp_path / "set")
    assert problems == [
        "records/t2.json: expected the record of run t2 (design.csv), got no file",
        "records/t6.json: expected the record of run t6 (design.csv), got no file",
        f"{renders}: expected every row of its manifests rendered, got 2 of 7 without a record: render them, or give "
        "--partial to leave them out",
    ]
    facts = build(renders, tmp_path / "set", SCENES, Options({}, partial=True))
    assert facts.rows == 5
    assert "2 of 7 rows" in capsys.readouterr().err
    assert "2 rows of the manifests had not been rendered" in (tmp_path / "set" / "README.md").read_text()


def test_pictures_of_two_versions_of_a_scene_are_not_mixed(renders: Path, tmp_path: Path) -> None:
    for run in ("t1", "t5"):
        write_record(renders, {**read_json(renders, run), "scene_sha256": 64 * "0"})
    (problem,) = problems_of(renders, tmp_path / "set")
    scene = read_json(renders, "t1")["row"]["scene"]
    assert problem.startswith(
        f"{renders}: expected pictures of one version of the scene {scene}, got rows rendered with 2"
    )
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(("level", "noise"), [(0, 0), (255, 0), (1, 2)])
def test_pictures_that_show_nothing_are_observable_for_no_one(
    level: int, noise: int, renders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for run in ("t1", "t2", "t4"):
        pixels = level + rng.integers(-noise, noise + 1, (48, 96, 3))
        write_picture(renders, read_json(renders, run), pixels.clip(0, 255).astype(np.uint8))
    facts = build(renders, tmp_path / "set", SCENES, Options({}))
    found = rows_of(tmp_path / "set")
    assert {run for run, each in found.items() if not each["observable"]} == {"t1", "t2", "t4"}
    assert (facts.blank_rows, facts.hidden_rows) == (3, 0)
    assert "for 3 pictures that show nothing" in (tmp_path / "set" / "README.md").read_text()
    build_command.print_facts(facts, tmp_path / "set")
    assert "WARNING: 3 pictures show nothing" in capsys.readouterr().err


def test_good_pictures_that_hide_pins_are_counted(renders: Path, tmp_path: Path) -> None:
    one, all_pins = read_json(renders, "t1"), read_json(renders, "t5")
    one["positions"][0]["visible_fraction"] = 0.0
    for position in all_pins["positions"]:
        position["visible_fraction"] = 0.0
    write_record(renders, one)
    write_record(renders, all_pins)
    facts = build(renders, tmp_path / "set", SCENES, Options({}))
    found = rows_of(tmp_path / "set")
    assert (found["t1"]["observable"], found["t5"]["observable"]) == (True, False)
    assert (facts.blank_rows, facts.unseen_rows, facts.hidden_rows) == (1, 1, 0)


def test_every_broken_picture_is_named(renders: Path, tmp_path: Path) -> None:
    images = renders / "images"
    content = (images / "t1.png").read_bytes()
    (images / "t1.png").write_bytes(content[:-40])  # truncated by a crash
    (images / "t2.png").unlink()
    vouched = {**read_json(renders, "t3"), "image_sha256": hashlib.sha256(content[:200]).hexdigest()}
    (images / "t3.png").write_bytes(content[:200])  # the record vouches for a file that does not decode
    write_record(renders, vouched)
    write_picture(renders, read_json(renders, "t4"), np.zeros((48, 95, 3), np.uint8))
    write_picture(renders, read_json(renders, "t5"), np.zeros((48, 96), np.uint16))
    problems = problems_of(renders, tmp_path / "set")
    assert [problem.split(":")[0] for problem in problems] == [f"images/t{n}.png" for n in (1, 2, 3, 4, 5)]
    for problem, reason in zip(
        problems,
        [
            "expected the file as it was rendered",
            "got no such file",
            "decoded",
            "expected 96 x 48 px, as its record states, got 95 x 48",
            "8-bit",
        ],
        strict=True,
    ):
        assert reason in problem


def test_records_that_do_not_fit_their_rows_are_named(renders: Path, tmp_path: Path) -> None:
    record = read_json(renders, "t2")
    write_record(renders, {**record, "row": {**record["row"], "camera": "top", "samples": 9}})
    write_record(renders, {**read_json(renders, "t3"), "tolerance": {"true_position_mm": 0.7, "retraction_mm": 0.6}})
    (renders / "records" / "t4.json").write_text('{"schema": 1, "run"')
    broken = read_json(renders, "t5")
    del broken["positions"][3]["visible_fraction"]
    write_record(renders, broken)
    problems = faults_of(build, renders, tmp_path / "set", None, Options({}))
    assert problems[0].startswith("records/t2.json: expected camera 'center' as in design.csv, got 'top'")
    assert problems[1].startswith("records/t2.json: expected samples 4 as in design.csv, got 9")
    assert problems[2].startswith(
        "records/t3.json: expected the tolerance that the other records state for scene connector_3x9"
    )
    assert "t4.json" in problems[3]
    assert "t5.json" in problems[4]
    assert "visible_fraction" in problems[4]
    assert len(problems) == 5


def test_manifests_must_agree(renders: Path, tmp_path: Path) -> None:
    manifest = renders / "manifests" / "design.csv"
    with manifest.open(newline="") as file:
        header, *lines = list(csv.reader(file))
    changed = dict(zip(header, lines[1], strict=True)) | {"lighting": "side"}
    for name, cells in (("same", dict(zip(header, lines[0], strict=True))), ("zother", changed)):
        with (renders / "manifests" / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, header)
            writer.writeheader()
            writer.writerow(cells)
    assert problems_of(renders, tmp_path / "set") == [
        "zother.csv: expected a run name that no other row has, got t2, which a different row of design.csv has: "
        "rename one"
    ]
    (renders / "manifests" / "zother.csv").unlink()
    assert build(renders, tmp_path / "set", SCENES, Options({})).rows == 7


def test_one_part_stands_in_one_split_across_manifests(renders: Path, tmp_path: Path) -> None:
    write_renders(renders, [row("u1", "test", part=1)], "more.csv")
    [problem] = problems_of(renders, tmp_path / "set")
    assert problem == (
        "more.csv: expected all rows of part 1 in one split, got test (run u1) and train (run t1, design.csv)"
    )


def test_a_folder_without_manifests_or_with_a_broken_one_is_refused(renders: Path, tmp_path: Path) -> None:
    (renders / "manifests" / "bad.csv").write_text("run,split\na,b\n")
    assert any("bad.csv" in problem for problem in problems_of(renders, tmp_path / "set"))
    [problem] = problems_of(tmp_path, tmp_path / "set")
    assert "expected the manifests that `generator render` keeps there" in problem
    (tmp_path / "file").touch()
    for name, got in (("absent", "no such folder"), ("file", "a file")):
        [problem] = problems_of(tmp_path / name, tmp_path / "set")
        assert problem == f"{tmp_path / name}: expected a render folder, got {got}"


def test_a_dataset_without_good_parts_says_so(tmp_path: Path) -> None:
    out = write_renders(tmp_path / "out", [row("t1", "test", "missing@r1c1")])
    build(out, tmp_path / "set", SCENES, Options({}))
    assert "the dataset has no OK row" in (tmp_path / "set" / "README.md").read_text()


def test_target_folders(renders: Path, tmp_path: Path) -> None:
    target = tmp_path / "set"
    target.mkdir()
    build(renders, target, SCENES, Options({}))  # an empty folder is taken
    first = bytes_of(target)
    (target / "data" / "train-00001-of-00002.parquet").write_bytes(b"an old shard")
    build(renders, target, SCENES, Options({}))  # a dataset is replaced, whole
    assert bytes_of(target) == first
    (target / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"got one with other files in it \(notes\.txt\): choose another folder"):
        build(renders, target, SCENES, Options({}))
    assert (target / "notes.txt").exists()
    build(renders, target, SCENES, Options({}, overwrite=True))
    assert bytes_of(target) == first
    for place in (renders, tmp_path, Path.cwd()):
        with pytest.raises(InputError, match="expected a folder for the dataset alone, got one that contains the "):
            build(renders, place, SCENES, Options({}, overwrite=True))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="got a file"):
        build(renders, tmp_path / "file", SCENES, Options({}))
    assert (renders / "images" / "t1.png").exists()


@pytest.mark.parametrize("name", ["my_results.parquet", "train.parquet", "notes/a.txt"])
def test_a_file_of_ones_own_beside_the_rows_is_not_replaced(name: str, renders: Path, tmp_path: Path) -> None:
    build(renders, tmp_path / "set", SCENES, Options({}))
    mine = tmp_path / "set" / "data" / name
    mine.parent.mkdir(exist_ok=True)
    mine.touch()
    with pytest.raises(InputError, match=rf"other files in it \(data/{name.split('/')[0]}\): choose another"):
        build(renders, tmp_path / "set", SCENES, Options({}))
    assert mine.is_file()


def test_a_target_holds_no_input_and_lies_in_none(renders: Path, tmp_path: Path) -> None:
    scenes = Path(shutil.copytree(SCENES, tmp_path / "scenes"))
    before = bytes_of(tmp_path)
    for target in (renders / "masks", renders / "images" / "new", scenes, scenes / "new", tmp_path):
        with pytest.raises(
            InputError, match=r"^--to .*: expected a folder (for the dataset alone|outside of .*), got one "
        ):
            build(renders, target, scenes, Options({}, overwrite=True))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"expected a folder, got the file .*/file$"):
        build(renders, tmp_path / "file" / "below" / "set", scenes, Options({}))
    (tmp_path / "file").unlink()
    assert bytes_of(tmp_path) == before


def test_a_mask_that_is_not_the_rendered_one_is_named(renders: Path, tmp_path: Path) -> None:
    (renders / "masks" / "t2.png").write_bytes(b"another")
    (renders / "masks" / "t3.png").unlink()
    problems = problems_of(renders, tmp_path / "set")
    assert [problem.split(", got")[0].split(" (SHA")[0] for problem in problems] == [
        "masks/t2.png: expected the file as it was rendered",
        "masks/t3.png: expected the mask of run t3",
    ]


@pytest.mark.parametrize(
    ("name", "box", "expected"),
    [
        (
            "visible",
            [10, 10, 97, 9],
            "records/t1.json: r1c1: expected the box 'visible' with x1 <= x2 and y1 <= y2, got [10",
        ),
        ("expected", [10, 10, 5, 20], "records/t1.json: r1c1: expected the box 'expected' with x1 <= x2 and y1 <= y2"),
        (
            "amodal",
            [10, 10, 20, float("inf")],
            "records/t1.json: r1c1: expected the box 'amodal' as four finite numbers",
        ),
    ],
)
def test_a_box_that_no_picture_holds_is_named(
    renders: Path, tmp_path: Path, name: str, box: list[float], expected: str
) -> None:
    record = read_json(renders, "t1")
    record["positions"][0]["boxes"][name] = box
    write_record(renders, record)
    [problem] = problems_of(renders, tmp_path / "set")
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("at", "value", "expected"),
    [
        (("positions", 0, "boxes"), [], "r1c1: expected boxes as a JSON object, got []"),
        (("positions",), [], "expected positions with index 1, 2, 3, …, got []"),
        (("positions", 3, "index"), 9, "expected positions with index 1, 2, 3, …, got [1, 2, 3, 9, 5, 6, ...]"),
        (("positions", 0, "true_position_mm"), math.nan, "expected positions[0].true_position_mm as a finite number, "),
        (("positions", 0, "tip_px"), [0.0, -math.inf], "expected positions[0].tip_px[1] as a finite number, got -inf"),
        (("camera", "fx"), math.nan, "expected camera.fx as a finite number, got nan"),
        (("tolerance", "retraction_mm"), math.nan, "expected tolerance.retraction_mm as a finite number, got nan"),
        (("camera", "matrix_world"), [], "expected a complete record, got: camera.matrix_world must be 4 x 4 numbers"),
        (("positions", 0), [], "expected a complete record, got: "),
        (("positions", 0, "visible_fraction"), 10**400, "expected a complete record, got: "),
        (("positions", 0, "boxes", "visible", 0), 10**400, "expected a complete record, got: "),
        (("housing", "boxes"), [], "expected a complete record, got: "),
    ],
    ids=lambda case: str(case)[:40],
)
def test_a_damaged_record_is_one_line(
    renders: Path, tmp_path: Path, at: tuple[str | int, ...], value: object, expected: str
) -> None:
    record = read_json(renders, "t1")
    *way, last = at
    place: Any = record
    for step in way:
        place = place[step]
    place[last] = value
    write_record(renders, record)
    [problem] = problems_of(renders, tmp_path / "set")
    assert problem.startswith(f"records/t1.json: {expected}")


def test_a_folder_without_records_is_named(renders: Path, tmp_path: Path) -> None:
    shutil.rmtree(renders / "records")
    problems = problems_of(renders, tmp_path / "set")
    assert problems[0].startswith("records/t1.json: expected the record of run t1 (design.csv), got no file")


def test_a_crack_may_reach_out_of_the_picture(renders: Path, tmp_path: Path) -> None:
    record = read_json(renders, "t1")
    box = [10.0, -16.0, 20.0, 4.0]
    record["other"].append(
        {
            "kind": "cracked",
            "address": "",
            "cavity": "",
            "visible_fraction": 1.0,
            "boxes": {"visible": box, "amodal": box, "expected": None},
        }
    )
    write_record(renders, record)
    build(renders, tmp_path / "set", SCENES, Options({}))
    found = rows_of(tmp_path / "set")["t1"]
    assert found["kinds"] == ["cracked"] and found["objects"]["bbox"][-1] == [10, 0, 10, 4]
    assert found["objects"]["visible"][-1] == pytest.approx(0.2)


def test_pins_that_the_edge_of_the_picture_cuts_off_are_built_clipped(renders: Path, tmp_path: Path) -> None:
    record = read_json(renders, "t2")
    for index, box in ((1, [-6.0, 10.0, 2.0, 20.0]), (2, [96.0, 10.0, 104.0, 20.0])):
        record["positions"][index]["boxes"] |= {"visible": box, "amodal": box}
    write_record(renders, record)
    build(renders, tmp_path / "set", SCENES, Options({}))
    found = rows_of(tmp_path / "set")["t2"]
    assert (found["label"], found["observable"]) == (CLASSES.index("BENDNG"), True)  # r1c2 is the bent one
    assert found["objects"]["bbox"][1:3] == [[0, 10, 2, 10], [96, 10, 0, 10]]
    assert found["objects"]["visible"][1:3] == pytest.approx([0.9 * 0.25, 0.0])
    assert decode(found["bbox_str"], 96, 48)[0] == [pytest.approx((0, 10, 2, 20), abs=0.2)]


def many(folder: Path, count: int = 500) -> Path:
    defects = ("", "bent@r1c2:tilt_deg=12", "missing@r3c4")
    splits = ("train", "train", "train", "validation", "test_more")
    return write_renders(
        folder, [row(f"m{n}", splits[n % 5], defects[n % 3], camera=("center", "top")[n % 2]) for n in range(count)]
    )


def test_any_number_of_processes_gives_the_same_bytes(tmp_path: Path) -> None:
    out = many(tmp_path / "out")
    for workers in (1, 2, 3):
        facts = build(out, tmp_path / f"set{workers}", SCENES, Options({}, workers=workers))
        assert facts.rows == 500
    assert bytes_of(tmp_path / "set1") == bytes_of(tmp_path / "set2") == bytes_of(tmp_path / "set3")
    assert [found["run"] for found in read_rows(split_files(tmp_path / "set2")["validation"])] == [
        f"m{n}" for n in range(500) if n % 5 == 3
    ]


def test_a_split_of_several_files_is_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = many(tmp_path / "out", 200)
    build(out, tmp_path / "one", SCENES, Options({}, workers=1))
    monkeypatch.setattr(writer, "SHARD_GROUPS", 1)
    build(out, tmp_path / "several", SCENES, Options({}, workers=1))
    assert len(split_files(tmp_path / "several")["train"]) > len(split_files(tmp_path / "one")["train"])
    assert rows_of(tmp_path / "several") == rows_of(tmp_path / "one")


def test_a_build_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, target = many(tmp_path / "out"), tmp_path / "set"
    read: list[str] = []

    def counted(path: Path) -> dict[str, Any]:
        read.append(path.stem)
        if len(read) == 300:
            raise KeyboardInterrupt
        return read_record(path)

    monkeypatch.setattr("generator.dataset.render_folder.read_record", counted)
    with pytest.raises(KeyboardInterrupt):
        build(out, target, SCENES, Options({}, workers=1))
    assert not target.exists() and (tmp_path / ".set.building").is_dir()
    before = len(read)
    assert before == 300
    # What was examined is not read again, unless a file of it has changed.
    record, picture = make_record(next(stream_runs(out / "manifests" / "design.csv", SCENES)))
    write_picture(out, record, picture // 2)
    build(out, target, SCENES, Options({}, workers=1))
    again = read[before:]
    assert len(again) == len(set(again)) and 200 < len(again) < 350
    assert "m0" in again
    build(out, tmp_path / "fresh", SCENES, Options({}, workers=1))
    assert bytes_of(target) == bytes_of(tmp_path / "fresh")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "out", "set"]


def test_every_record_is_read_once(renders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[str] = Counter()

    def counted(path: Path) -> dict[str, Any]:
        read[path.stem] += 1
        return read_record(path)

    monkeypatch.setattr("generator.dataset.render_folder.read_record", counted)
    build(renders, tmp_path / "set", SCENES, Options({}))
    assert read == dict.fromkeys((cells["run"] for cells in ROWS), 1)


REBUILT = """
import sys
from datasets import load_dataset
row = load_dataset(sys.argv[1], split="train", cache_dir=sys.argv[2])[0]
print(row["image"].getpixel((0, 0)), row["label"])
"""


def test_a_rebuilt_folder_is_not_served_from_the_cache(renders: Path, tmp_path: Path) -> None:
    build(renders, tmp_path / "set", SCENES, Options({}))
    before = loaded(REBUILT, tmp_path)
    record = read_json(renders, "t1")
    write_picture(renders, record, np.full((48, 96, 3), 7, np.uint8))
    build(renders, tmp_path / "set", SCENES, Options({}))
    assert loaded(REBUILT, tmp_path) == "(7, 7, 7) 2\n" != before
    build(renders, tmp_path / "set", SCENES, Options({"true_position_mm": 0.01}))
    assert loaded(REBUILT, tmp_path) == "(7, 7, 7) 0\n"


def test_answers_in_words_and_with_hyphens(renders: Path, tmp_path: Path) -> None:
    for answer, label in (("words", "bent pin"), ("hyphenated", "BEND-NG"), ("short", "BENDNG")):
        build(renders, tmp_path / answer, SCENES, Options({}, answer=answer))
        assert rows_of(tmp_path / answer)["t2"]["bbox_str"].startswith(f"{label}<loc_")
    assert "`bent pin` for BENDNG" in (tmp_path / "words" / "README.md").read_text()
    short, hyphens = (rows_of(tmp_path / name) for name in ("short", "hyphenated"))
    assert all(hyphens[run]["bbox_str"].replace("-", "") == short[run]["bbox_str"] for run in short)


# The reader of QEUR23_VIVLM35, as published.
OD_DATASET = """
import sys
from datasets import load_dataset

class ODDataset:
    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, idx):
        example = self.data[idx]
        question = "<OD>"
        answer = example["bbox_str"].replace("-", "")
        image = example["image"].convert("RGB")
        return question, answer, image

data = ODDataset(load_dataset(sys.argv[1], split="train"))
print([data[i][1] for i in range(len(data))], data[0][2].size)
"""


def test_the_sources_reader_runs_on_it_unchanged(renders: Path, tmp_path: Path) -> None:
    build(renders, tmp_path / "set", SCENES, Options({}))
    rows = rows_of(tmp_path / "set")
    assert loaded(OD_DATASET, tmp_path) == f"{[rows[run]['bbox_str'] for run in ('t1', 't2', 't3')]} (96, 48)\n"


STREAMED = """
import sys
from datasets import load_dataset
rows = list(load_dataset(sys.argv[1], split="train", streaming=True))
print([row["run"] for row in rows], rows[0]["image"].size, rows[0]["objects"]["address"][26])
"""


def test_streams_in_a_fresh_process(renders: Path, tmp_path: Path) -> None:
    build(renders, tmp_path / "set", SCENES, Options({}))
    assert loaded(STREAMED, tmp_path) == "['t1', 't2', 't3'] (96, 48) r3c9\n"


def test_the_card_shows_some_rows(renders: Path, tmp_path: Path) -> None:
    build(renders, tmp_path / "set", SCENES, Options({}))
    card = (tmp_path / "set" / "README.md").read_text()
    assert "](contact_sheet.jpg)" in card
    sheet = Image.open(tmp_path / "set" / "contact_sheet.jpg")
    assert sheet.width >= 2 * 96 and sheet.height >= 3 * 48


def test_killed_while_writing_leaves_the_old_dataset(tmp_path: Path) -> None:
    out = write_renders(tmp_path / "out", [row(f"t{n}", width=256, height=128) for n in range(40)])
    target, building = tmp_path / "set", tmp_path / ".set.building"
    build(out, target, SCENES, Options({}))
    before = bytes_of(target)
    code = "import sys; from pathlib import Path; from generator.dataset.build import *"
    code += "; a = [Path(p) for p in sys.argv[1:]]"
    code += "; build(*a, Options({'retraction_mm': 0.001}))"
    process = subprocess.Popen([sys.executable, "-c", code, str(out), str(target), str(SCENES)], cwd=ROOT)
    while process.poll() is None and not building.exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert bytes_of(target) == before
    build(out, target, SCENES, Options({}))
    assert bytes_of(target) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]


def test_stopped_between_the_two_renames_the_old_dataset_comes_back(renders: Path, tmp_path: Path) -> None:
    target = tmp_path / "set"
    build(renders, target, SCENES, Options({}))
    before = bytes_of(target)
    target.rename(tmp_path / ".set.replaced")
    (renders / "records" / "t1.json").unlink()
    with pytest.raises(InputError):
        build(renders, target, SCENES, Options({}))
    assert bytes_of(target) == before


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    build_command.add_arguments(parser)
    return build_command.run(parser.parse_args(words))


def test_command(renders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(renders), "--to", str(tmp_path / "set")]
    assert command(*words, "--tolerance", "retraction_mm=2", "--grey", "0.1") == 0
    output, said = capsys.readouterr()
    assert "WARNING" not in said
    assert "| train | 1 | 0 | 2 | 3 |" in output
    assert output.startswith(
        "bbox_str: 3 boxes; their edges are rounded to a thousandth of the picture, so that a perfect answer has an "
        "IoU of 0."
    )
    assert command(*words, "--tolerance", "true_position_mm=31.5") == 0
    wide = "WARNING: --tolerance, scene connector_3x9: true_position_mm=31.5 is more than the pitch, 4 mm, so that"
    assert wide in capsys.readouterr().err
    scenes = shutil.copytree(SCENES, tmp_path / "scenes")
    text = (scenes / "connector_3x9.toml").read_text("utf-8").replace("_mm = 0.8", "_mm = 31.5", 1)
    (scenes / "connector_3x9.toml").write_text(text, "utf-8")
    assert command(*words, "--scenes", str(scenes)) == 0
    own = "WARNING: [tolerance] of scene connector_3x9: true_position_mm=31.5 is more than the pitch, 4 mm, so that"
    assert own in capsys.readouterr().err
    assert command(*words, "--scenes", str(scenes), "--tolerance", "true_position_mm=0.8") == 0
    assert "WARNING" not in capsys.readouterr().err  # the scene's limit does not apply
    problems = faults_of(command, *words, "--tolerance", "tilt=2", "--grey", "1.5")
    assert [problem.split(":")[0] for problem in problems] == ["--tolerance", "--grey"]


def test_picture_of_a_made_record_has_the_recorded_size() -> None:
    from blender_scripts.manifest.reader import Run

    run = Run(**{**row("t1"), "defects": (), "fixture": 1})
    record, picture = make_record(run)
    assert picture.shape == (record["height"], record["width"], 3)
