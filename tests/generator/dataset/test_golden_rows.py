"""`build --nsoart golden`: references, leave-one-out in the rows, same bytes in any order, and what is refused."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.dataset.build import Options, build, source_sha256
from generator.dataset.folder import is_whole, read_rows, split_files
from generator.dataset.push import check_folder
from generator.soart.nsoart import nsoart_picture
from tests.conftest import faults_of
from tests.generator.made_renders import SCENES, row, write_renders

GOLDEN = Options({}, nsoart="golden", workers=1)
ROWS = [
    *(row(f"t{number}") for number in range(1, 6)),
    row("t6", defects="missing@r2c3"),
    row("t7", "test_housing", housing="ribbed"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    write_renders(folder / "out", ROWS)
    build(folder / "out", folder / "set", SCENES, GOLDEN)
    return folder


def rows_of(dataset: Path) -> dict[str, dict[str, Any]]:
    return {found["run"]: found for paths in split_files(dataset).values() for found in read_rows(paths)}


def test_rows_can_be_made_again_from_the_stored_references(built: Path) -> None:
    parameters = json.loads((built / "set/nsoart.json").read_text())
    assert [group["unit_space"] for group in parameters["groups"]] == ["train", "housing"]
    assert parameters["groups"][0]["file"] == parameters["groups"][1]["file"] == "nsoart/reference-000.npz"
    for run, columns in rows_of(built / "set").items():
        picture = Image.open(io.BytesIO(columns["image"]["bytes"]))
        stored = np.asarray(Image.open(io.BytesIO(columns["nsoart"]["bytes"])))
        again = np.asarray(nsoart_picture(picture, parameters, columns, built / "set", run))
        assert (again == stored).all()
        alone = np.asarray(nsoart_picture(picture, parameters, columns, built / "set"))
        assert (alone == stored).all() == (run not in parameters["groups"][0]["rows"])
    assert "the same window of\nthe golden reference" in (built / "set/README.md").read_text()
    assert "nsoart/reference-000.npz" in check_folder(built / "set").files


def test_a_lost_reference_is_noticed(built: Path, tmp_path: Path) -> None:
    shutil.copytree(built / "set", tmp_path / "set")
    (tmp_path / "set/nsoart/reference-000.npz").unlink()
    splits = ["train", "test_housing"]
    assert is_whole(built / "set", splits) and not is_whole(tmp_path / "set", splits)
    with pytest.raises(InputError, match=r"got no nsoart/reference-000\.npz$"):
        check_folder(tmp_path / "set")


def test_any_order_gives_the_same_pictures(built: Path, tmp_path: Path) -> None:
    write_renders(tmp_path / "out", ROWS[::-1])
    build(tmp_path / "out", tmp_path / "set", SCENES, GOLDEN)
    for name in ("reference-000.npz", "reference-000.png"):
        assert (tmp_path / "set/nsoart" / name).read_bytes() == (built / "set/nsoart" / name).read_bytes()
    known, found = rows_of(built / "set"), rows_of(tmp_path / "set")
    assert {run: each["nsoart"] for run, each in found.items()} == {run: each["nsoart"] for run, each in known.items()}
    build(tmp_path / "out", tmp_path / "set", SCENES, Options({}, workers=1))  # no reference is left behind
    assert not (tmp_path / "set/nsoart").exists()
    assert json.loads((tmp_path / "set/nsoart.json").read_text())["reference"] == "self"
    assert source_sha256(tmp_path / "out", SCENES, GOLDEN) != source_sha256(tmp_path / "out", SCENES, Options({}))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            [row("t8", camera="left")],
            "--nsoart golden: expected at least 2 OK rows of the same scene, terminal and cam",
        ),
        ([row("t8", "validation", height=96)], "the picture of run t8: expected a picture with the ratio of sides"),
        (
            [row("t8", height=96)],
            "--nsoart golden: run t8: expected a picture with the ratio of sides of its golden reference, 96",
        ),
    ],
    ids=["no good parts of a camera", "a row of another shape", "a member of another shape"],
)
def test_what_no_reference_fits_is_refused_by_name(tmp_path: Path, more: list[dict[str, Any]], message: str) -> None:
    write_renders(tmp_path / "out", [*ROWS[:5], *more])
    [problem] = faults_of(build, tmp_path / "out", tmp_path / "set", SCENES, GOLDEN)
    assert problem.startswith(message) and not (tmp_path / "set").exists()
