"""`python -m generator preview`: which rows are shown, and the sheet."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from blender_scripts.manifest.reader import read_manifest
from generator.__main__ import main
from generator.rendering.preview import contact_sheet, spread
from tests.conftest import ROOT, SCENES


def test_the_rows_that_are_shown_have_every_level():
    runs = read_manifest(ROOT / "manifests" / "ladder_1_shifted.csv", SCENES).runs
    chosen = spread(runs, 12)
    assert len(chosen) == 12
    assert chosen == sorted(chosen, key=runs.index)
    for column in ("split", "camera", "lighting", "marking"):
        assert {run.row()[column] for run in chosen} == {run.row()[column] for run in runs}
    assert {d.kind for run in chosen for d in run.defects} == {"bent", "retracted", "missing"}
    assert spread(runs[:3], 12) == list(runs[:3])


def test_a_sheet_shows_what_is_missing_too(tmp_path: Path):
    runs = read_manifest(ROOT / "manifests" / "demo.csv", SCENES).runs[:3]
    Image.new("RGB", (256, 128), (200, 0, 0)).save(tmp_path / "a.png")
    sheet = contact_sheet([(run, tmp_path / name) for run, name in zip(runs, ("a.png", "b.png", "a.png"), strict=True)])
    colours = sheet.getcolors(sheet.width * sheet.height)
    assert sum(count for count, colour in colours if colour == (200, 0, 0)) == 2 * 256 * 128


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    manifest = str(ROOT / "manifests" / "demo.csv")
    words = ["preview", manifest, "-o", str(tmp_path / "sheet.png")]
    assert main([*words, "--pictures", "2", "--workers", "1"]) == 0
    assert Image.open(tmp_path / "sheet.png").width > 256
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    assert main([*words, "--pictures", "0"]) == 2
    assert capsys.readouterr().err == "--pictures: expected 1 to 100, got 0\n"


def test_a_sheet_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("generator.rendering.preview._render", None)
    manifest, other = tmp_path / "m.csv", tmp_path / "m.png"
    shutil.copy(ROOT / "manifests" / "smoke.csv", manifest)
    shutil.copy(manifest, other)
    for given, output, got in (
        (manifest, manifest, f" {manifest}: expected a file apart from {manifest}, which stays as it is"),
        (other, other, f" {other}: expected a file apart from {other}, which stays as it is"),
        (
            manifest,
            tmp_path / "sheet.csv",
            f": expected a name that ends in .png, got {tmp_path / 'sheet.csv'}",
        ),
        (manifest, other / "a" / "s.png", f" {other / 'a'}: expected a folder, got the file {other}"),
    ):
        assert main(["preview", str(given), "-o", str(output)]) == 2
        assert capsys.readouterr().err == f"-o{got}\n"
    assert manifest.read_bytes() == other.read_bytes() == (ROOT / "manifests" / "smoke.csv").read_bytes()
