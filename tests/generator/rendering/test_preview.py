"""`python -m generator preview`: which rows are shown, and the sheet."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_scripts.manifest.output_folder import OutputFolder
from blender_scripts.manifest.reader import read_manifest
from generator.__main__ import main
from generator.rendering.preview import burnt_share, burnt_warnings, contact_sheet, spread
from tests.conftest import ROOT, SCENES
from tests.generator.made_renders import HEIGHT, WIDTH, row, write_renders


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
    assert capsys.readouterr().err == "--pictures: expected a number from 1 to 100, got 0\n"


def test_a_sheet_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("generator.rendering.preview._render", None)
    manifest, other = tmp_path / "m.csv", tmp_path / "m.png"
    shutil.copy(ROOT / "manifests" / "smoke.csv", manifest)
    shutil.copy(manifest, other)
    for given, output, got in (
        (manifest, manifest, f": expected an output file outside the input {manifest}, got {manifest}"),
        (other, other, f": expected an output file outside the input {other}, got {other}"),
        (manifest, tmp_path / "sheet.csv", f": expected a name that ends in .png, got {tmp_path / 'sheet.csv'}"),
        (manifest, other / "a" / "s.png", f" {other / 'a'}: expected a folder, got the file {other}"),
    ):
        assert main(["preview", str(given), "-o", str(output)]) == 2
        assert capsys.readouterr().err == f"-o{got}\n"
    assert manifest.read_bytes() == other.read_bytes() == (ROOT / "manifests" / "smoke.csv").read_bytes()


def test_a_housing_that_is_burnt_out_is_named_with_the_remedy(tmp_path: Path):
    rows = [row("a1"), row("a2", camera="left"), row("b1", housing="ribbed"), row("c1", lighting="dome")]
    output = OutputFolder(write_renders(tmp_path, rows))
    for run, burnt in (("a1", 12), ("a2", 24), ("b1", 1), ("c1", 0)):
        picture = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
        picture[:burnt, :, 0] = 255  # one channel is enough: its shading is lost
        mask = np.zeros((HEIGHT, WIDTH), np.uint16)
        picture[-8:], mask[-8:] = 255, 3  # a pin may shine
        Image.fromarray(picture).save(output.image(run))
        Image.fromarray(mask).save(output.mask(run))
    assert burnt_share(output, "a1") == pytest.approx(12 / 40)
    runs = read_manifest(tmp_path / "manifests" / "design.csv", SCENES)
    [warning] = burnt_warnings(runs.runs, output, runs.connectors)
    power = runs.connectors["connector_3x9"].lightings["ring"].power
    assert warning == (
        "45% of the pixels of housing plain are burnt out (saturated) under lighting ring: "
        f"try power = {0.6 * power:.2g} instead of {power:g} in [lighting.ring] of connector_3x9.toml"
    )
