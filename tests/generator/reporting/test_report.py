"""The report page: complete, self-contained, and true to the dataset."""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.dataset.build import Options, build
from generator.reporting import report
from generator.reporting.contact_sheets import FILTERS
from generator.reporting.overview import overview, spread
from tests.generator.made_renders import SCENES, read_json, row, write_record, write_renders
from tests.generator.older_dataset import older_dataset
from tests.generator.reporting.page_reader import Page, read_page

HOSTILE = "</script><b>&x"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    rows = [row(f"t{n}", operator=HOSTILE if n else "B") for n in range(6)]
    rows += [
        row(f"u{n}", "validation", f"bent@r1c{n - 5}:tilt_deg=12", camera="left", operator="B") for n in range(6, 9)
    ]
    rows += [row("v9", "test_housing", "missing@r3c9;bent@r1c1:tilt_deg=9", housing="ribbed", operator="B")]
    write_renders(folder / "out", rows)
    build(folder / "out", folder / "set", SCENES, Options({}))
    return folder / "set"


def write_report(dataset: Path, output: Path, *words: str) -> Page:
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    assert report.run(parser.parse_args([str(dataset), "-o", str(output), *words])) == 0
    return read_page(output)


def test_one_file_is_written(dataset: Path, tmp_path: Path) -> None:
    write_report(dataset, tmp_path / "deep" / "report.html")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.html"]


def test_counts_are_the_datasets(dataset: Path, tmp_path: Path) -> None:
    numbers = json.loads(write_report(dataset, tmp_path / "report.html").script)
    assert numbers["by_split"] == {"train": {"OK": 6}, "validation": {"BENDNG": 3}, "test_housing": {"NUKENG": 1}}
    assert numbers["verdicts"] == {"train": {"OK": 6}, "validation": {"NG": 3}, "test_housing": {"NG": 1}}
    assert numbers["factors"]["camera"] == {"center": {"OK": 6, "NUKENG": 1}, "left": {"BENDNG": 3}}
    assert numbers["factors"]["defect kind"] == {
        "none": {"OK": 6},
        "bent": {"BENDNG": 3, "NUKENG": 1},
        "missing": {"NUKENG": 1},
    }
    assert numbers["factors"]["operator"][HOSTILE] == {"OK": 5}
    assert numbers["tolerance"] == {
        "connector_3x9": {"true_position_mm": 0.8, "retraction_mm": 0.6, "protrusion_mm": 0.6}
    }
    assert numbers["defective_positions"]["connector_3x9"] == {
        "validation": {"r1c1": 1, "r1c2": 1, "r1c3": 1},
        "test_housing": {"r3c9": 1, "r1c1": 1},
    }


def test_a_folder_named_dataset_is_told_from_others_in_the_title(tmp_path: Path) -> None:
    build(write_renders(tmp_path / "out", [row("t0")]), tmp_path / "demo" / "dataset", SCENES, Options({}))
    page = write_report(tmp_path / "demo" / "dataset", tmp_path / "report.html")
    assert "Dataset demo/dataset" in page.text and "Dataset dataset" not in page.text


def test_what_a_user_wrote_is_text_not_markup(dataset: Path, tmp_path: Path) -> None:
    column, folder = "<script>alert(1)</script>", "<script>alert(2)"
    rows = [row(f"t{n}", **{column: HOSTILE if n else "$x_$"}) for n in range(2)]
    build(write_renders(tmp_path / "out", rows), tmp_path / folder, SCENES, Options({}))
    page = write_report(tmp_path / folder, tmp_path / "report.html")
    assert {HOSTILE, "$x_$", column, f"Dataset {folder}"} <= set(page.text)
    assert sum(tag == "script" for tag, _ in page.tags) == 2
    assert json.loads(page.script)["factors"][column][HOSTILE] == {"OK": 1}


def test_contact_sheets_show_pictures_with_their_boxes(dataset: Path, tmp_path: Path) -> None:
    page = write_report(dataset, tmp_path / "report.html", "--per-class", "2")
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 2 * (2 + 1 + 2)  # BENDNG, NUKENG, OK; each RGB and NSOART
    for attributes in pictures:
        content = base64.b64decode((attributes["src"] or "").removeprefix("data:image/jpeg;base64,"))
        assert Image.open(io.BytesIO(content)).size == (96, 48)
    boxes = [attributes for tag, attributes in page.tags if tag == "rect" and attributes.get("class")]
    classes = [(attributes["class"] or "").split()[1] for attributes in boxes]
    assert {name: classes.count(name) for name in set(classes)} == {
        "BENDNG": 2 + 1,
        "NUKENG": 1,
        "OK": 26 + 26 + 25 + 27 + 27,
    }
    [missing] = [attributes for attributes in boxes if attributes["class"] == "bad NUKENG"]
    assert [float(missing[name] or "") for name in ("x", "y", "width", "height")] == pytest.approx(
        [96 / 9 * 8.5 - 1.5, 37, 3, 6], abs=0.01
    )
    words = " ".join(page.text)
    assert "r3c9 missing (90% visible)" in words
    assert "r1c1 bent, true position 0.90 mm" in words


def test_contact_sheets_take_each_kind_of_picture_before_a_second_one() -> None:
    rows: list[tuple[str, int, tuple[Any, ...]]] = [("train", n, ("train", "bent", "center")) for n in range(5)]
    rows += [("train", 5, ("train", "bent", "left")), ("validation", 0, ("validation", "bent", "center"))]
    assert set(spread(rows, 3)) == {("train", 0), ("train", 5), ("validation", 0)}
    assert len(spread(rows, 50)) == 7


def test_a_dataset_without_its_card_still_has_a_report(dataset: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    (bare / "data").mkdir(parents=True)
    for path in (dataset / "data").iterdir():
        (bare / "data" / path.name).write_bytes(path.read_bytes())
    page = write_report(bare, tmp_path / "report.html")
    assert "so its tolerance and origin are not known" in " ".join(page.text)


def test_masks_and_tilts_of_an_older_dataset_come_from_the_renders(tmp_path: Path, capsys) -> None:
    renders = write_renders(tmp_path / "out", [row("t1"), row("t2", defects="bent@r1c2:tilt_deg=12")])
    for run in ("t1", "t2"):
        mask = np.zeros((48, 96), np.uint16)
        mask[0:10, 0:20] = 2  # the index of r1c2
        buffer = io.BytesIO()
        Image.fromarray(mask).save(buffer, "PNG")
        (renders / "masks" / f"{run}.png").write_bytes(buffer.getvalue())
        record = read_json(renders, run)
        record["mask_sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
        record["positions"][1]["tilt_deg"] = 11.5
        write_record(renders, record)
    build(renders, tmp_path / "set", SCENES, Options({}))
    page = write_report(tmp_path / "set", tmp_path / "report.html", "--renders", str(renders))
    masks = [attributes for tag, attributes in page.tags if attributes.get("class") == "mask"]
    assert len(masks) == 2
    for attributes in masks:
        content = base64.b64decode((attributes["src"] or "").removeprefix("data:image/png;base64,"))
        picture = Image.open(io.BytesIO(content)).convert("RGBA")
        assert picture.size == (96, 48)
        assert picture.getpixel((5, 5))[3] == 255 and picture.getpixel((60, 40))[3] == 0
    tilts = overview(tmp_path / "set", 0).measures["tilt_deg"]
    assert sorted(tilts["connector_3x9"]["BENDNG"]) == [11.5]
    # A dataset that was built before it had a column of tilts.
    older = older_dataset(tmp_path / "set", tmp_path / "older")
    assert overview(older, 0, renders).measures["tilt_deg"] == tilts
    assert "Tilt of the tip" in write_report(older, tmp_path / "o.html", "--renders", str(renders)).text
    capsys.readouterr()
    plain = write_report(older, tmp_path / "plain.html").text
    assert "Tilt of the tip" not in plain
    assert "This dataset was built by an older version and has no column tilt_deg." in plain
    assert "an older dataset without tilt_deg: the page shows no such values; --renders" in capsys.readouterr().err
    # Masks of a dataset's own need no renders.
    build(renders, tmp_path / "masks", SCENES, Options({}, masks=True))
    page = write_report(tmp_path / "masks", tmp_path / "masks.html")
    assert [attributes for _, attributes in page.tags if attributes.get("class") == "mask"] == masks
    with pytest.raises(InputError, match=r"--renders .*: expected a render folder"):
        write_report(tmp_path / "set", tmp_path / "x.html", "--renders", str(tmp_path / "set"))


@pytest.mark.parametrize("change", ["seed", "picture"])
def test_renders_of_another_dataset_are_refused(tmp_path: Path, change: str) -> None:
    rows = [row("t1", defects="bent@r1c2:tilt_deg=12"), row("t2")]
    build(write_renders(tmp_path / "out", rows), tmp_path / "set", SCENES, Options({}))
    rows[0] |= {"defects": "bent@r1c2:tilt_deg=20"} if change == "seed" else {}
    other = write_renders(tmp_path / "other", rows, grain=6.0 if change == "seed" else 3.0)
    message = (
        r"--renders .*other: expected the render folder from which .* was built, got one in which picture t[12], or "
    )
    with pytest.raises(InputError, match=message):
        write_report(tmp_path / "set", tmp_path / "report.html", "--renders", str(other))
    assert not (tmp_path / "report.html").exists()


def test_a_foreign_body_at_a_pin_is_no_pin(tmp_path: Path) -> None:
    renders = write_renders(tmp_path / "out", [row("t1", defects="bent@r1c2:tilt_deg=12"), row("t2")])
    record = read_json(renders, "t1")
    record["positions"][1]["tilt_deg"] = 12.75
    box = {name: [10.0, 5.0, 20.0, 12.0] for name in ("visible", "amodal", "expected")}
    record["other"] = [{"kind": "foreign", "address": "r1c2", "cavity": "2", "boxes": box}]
    write_record(renders, record)
    build(renders, tmp_path / "set", SCENES, Options({}))
    shown = overview(tmp_path / "set", 1, renders)
    tilts = shown.measures["tilt_deg"]["connector_3x9"]
    assert tilts["BENDNG"] == [12.75] and "OTHERNG" not in tilts
    assert shown.places["connector_3x9"]["train"] == {(1, 2): 1} and not sum(shown.unmeasured.values())


def test_own_columns_have_tables_of_their_own(tmp_path: Path) -> None:
    rows = [row(f"t{n}", **{"origin": f"plant {n}", "defect kind": "x"}) for n in range(2)]
    build(write_renders(tmp_path / "out", rows), tmp_path / "set", SCENES, Options({}))
    factors = overview(tmp_path / "set", 1).factors
    assert factors["origin"] == {"render": {"OK": 2}} and factors["defect kind"] == {"none": {"OK": 2}}
    assert set(factors["origin (own column)"]) == {"plant 0", "plant 1"}


def test_every_card_tells_its_levels_to_the_filters(dataset: Path, tmp_path: Path) -> None:
    page = write_report(dataset, tmp_path / "report.html")
    cards = [json.loads(a["data-levels"] or "") for _, a in page.tags if a.get("class") == "card"]
    assert len(cards) == 10
    assert all(len(levels) == len(FILTERS) for levels in cards)
    assert {tuple(levels[:2]) for levels in cards} == {
        ("OK", "train"),
        ("BENDNG", "validation"),
        ("NUKENG", "test_housing"),
    }
    offered = {FILTERS[int(a["data-n"] or 0)] for _, a in page.tags if "data-n" in a}
    assert offered == {"class", "split", "housing", "camera"}  # what differs


def test_what_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"got no data/\*\.parquet"):
        write_report(tmp_path, tmp_path / "report.html")
    hostile = shutil.copytree(dataset, tmp_path / "hostile")
    for path in (hostile / "data").iterdir():
        table = pq.read_table(path)
        told = {k: v.replace(b'"BENDNG"', b'"B</style><script>"') for k, v in table.schema.metadata.items()}
        assert told != table.schema.metadata
        pq.write_table(table.replace_schema_metadata(told), path)
    with pytest.raises(InputError, match="column label: expected the classes BENDNG"):
        write_report(hostile, tmp_path / "report.html")
    for path in (hostile / "data").iterdir():
        path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"\.parquet: expected an undamaged Parquet file"):
        write_report(hostile, tmp_path / "report.html")
    shutil.rmtree(hostile)
    (tmp_path / "x.html").mkdir()
    with pytest.raises(InputError, match="expected the name of a file"):
        write_report(dataset, tmp_path / "x.html")
    (tmp_path / "x.html").rmdir()
    shard = next((dataset / "data").iterdir())
    for output in (shard, shard / "x.html"):
        with pytest.raises(InputError, match=r"ends in \.html or|expected a folder, got the file"):
            write_report(dataset, output)
    with pytest.raises(InputError, match="--per-class: expected 0 to 200"):
        write_report(dataset, tmp_path / "report.html", "--per-class", "-1")
    assert list(tmp_path.iterdir()) == []
