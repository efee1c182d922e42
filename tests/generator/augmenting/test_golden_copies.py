"""Copies and photographs beside a dataset with golden references: compared with these, or refused."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.__main__ import main
from generator.dataset.build import Options, build
from generator.dataset.folder import read_rows, split_files
from tests.generator.made_renders import SCENES, row, write_renders

KNOWN = "scene=connector_3x9,housing=plain,terminal=round,camera=center"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    write_renders(folder / "out", [row(f"t{number}") for number in range(1, 7)] + [row("t7", width=192, height=96)])
    build(folder / "out", folder / "set", SCENES, Options({}, nsoart="golden"))
    return folder / "set"


def charts_of(dataset: Path) -> dict[str, np.ndarray]:
    rows = (found for paths in split_files(dataset).values() for found in read_rows(paths, ["run", "nsoart"]))
    return {each["run"]: np.asarray(Image.open(io.BytesIO(each["nsoart"]["bytes"]))).astype(int) for each in rows}


def test_copies_are_compared_with_the_reference_moved_like_them(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.csv"
    assert main(["augment", "plan", str(dataset), "-o", str(plan), "--warp"]) == 0
    with plan.open(newline="", encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    with plan.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(line | {"cut": "yes", "reverse": "yes", "warp": "yes"} for line in lines)
    words = ["augment", "apply", str(plan), "--to", str(tmp_path / "more"), "--no-trim", "--workers", "1"]
    assert main(words) == 0
    charts = charts_of(tmp_path / "more")
    # A window of 16 px has no pixel in its middle: mirrored, its place is the next pixel.
    original, mirrored = charts["t3"], charts["t3_reverse"]
    assert np.abs(mirrored[:, 9:-8] - original[:, ::-1][:, 8:-9]).max() <= 1
    assert np.abs(charts["t3_left"][8:-8, 8:32] - original[8:-8, 8:32]).max() <= 1
    assert np.abs(charts["t3_warp"][8:-8, 8:-8] - 128).mean() < 90
    assert "the original's size is not that of its golden reference" in capsys.readouterr().err
    assert not any(name.startswith("t7_") for name in charts)
    for path in (dataset / "nsoart").iterdir():
        assert (tmp_path / "more/nsoart" / path.name).read_bytes() == path.read_bytes()


def test_photographs_are_compared_with_the_references_of_the_renders(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos/OK").mkdir(parents=True)
    [shard] = split_files(dataset)["train"]
    stored = next(read_rows([shard]))
    picture = Image.open(io.BytesIO(stored["image"]["bytes"]))
    # Shifted by two pixels: not the render itself.
    Image.fromarray(np.roll(np.asarray(picture), 2, axis=1)).save(tmp_path / "photos/OK/photo.png")
    words = ["import", str(tmp_path / "photos"), "--format", "imagefolder", "--with", str(dataset), "--workers", "1"]
    assert main([*words, "--to", str(tmp_path / "mixed"), "--known", KNOWN]) == 0
    charts = charts_of(tmp_path / "mixed")
    [photo] = [chart for run, chart in charts.items() if run not in charts_of(dataset)]
    assert np.abs(photo[8:-8, 12:-12] - 128).mean() < 60
    assert json.loads((tmp_path / "mixed/nsoart.json").read_text())["reference"] == "golden"
    assert (tmp_path / "mixed/nsoart/reference-000.npz").is_file()
    assert main([*words, "--to", str(tmp_path / "no"), "--known", KNOWN.replace("plain", "ribbed")]) == 2
    told = capsys.readouterr().err
    assert "photo.png: no golden reference for NSOART of scene connector_3x9, housing ribbed" in told
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("nsoart.json", b'{"schema": 9}', "set: parameters of nsoart.json: expected schema 1, got 9"),
        ("README.md", b"\xff", "README.md:1 file: expected UTF-8 text, got byte 0xff"),
    ],
)
def test_copies_of_a_damaged_dataset_are_refused(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, problem: str
) -> None:
    shutil.copytree(dataset, tmp_path / "set")
    assert main(["augment", "plan", str(tmp_path / "set"), "-o", str(tmp_path / "plan.csv"), "--warp"]) == 0
    (tmp_path / "set" / name).write_bytes(content)
    assert main(["augment", "apply", str(tmp_path / "plan.csv"), "--to", str(tmp_path / "more"), "--workers", "1"]) == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "more").exists()
