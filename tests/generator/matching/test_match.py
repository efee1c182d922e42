"""`python -m generator match`: one small photograph from start to end, and what a user may get wrong."""

import json
import tomllib

import pytest
from PIL import Image, ImageOps

from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.errors import InputError
from generator.__main__ import main
from generator.dataset.connectors import nominal_connector
from generator.io.checksum import sha256_of
from generator.matching.blur_kinds import Blur
from tests.conftest import SCENES
from tests.generator.locating.certificates import write_certificate
from tests.generator.reporting.page_reader import read_page


def test_one_photograph(rendered, tmp_path, capsys):
    photograph, output = rendered / "images" / "plain_bent.png", tmp_path / "matched.toml"
    words = ["match", str(photograph), "--scene", "connector_3x9", "--lighting", "ring", "--marking", "numbers"]
    assert main([*words, "--workers", "1", "-o", str(output)]) == 0
    document = json.loads(output.with_suffix(".json").read_text("utf-8"))
    assert document["scene_file_sha256"] == sha256_of(output)
    low, high = document["focal_over_distance"]["interval"]
    assert low < 35.0 / 118.0 < high < 1.04 * 35.0 / 118.0
    told = {each["key"]: each for each in document["quantities"]}
    assert not told["nuisance.exposure"]["determined"]
    focal = told["camera.center.focal_mm"]
    assert not focal["determined"] or focal["interval"][0] < 35.0 < focal["interval"][1]
    assert told["sensor.full_well_e"]["value"] == pytest.approx(12000.0, rel=0.4)
    matched, before = read_connector(output), read_connector(SCENES / "connector_3x9.toml")
    assert matched.cameras["center"] != before.cameras["center"] and matched.cameras["left"] == before.cameras["left"]
    assert matched.nuisance.exposure == before.nuisance.exposure
    changed = tomllib.loads(output.read_text("utf-8"))
    assert changed["shell"] == tomllib.loads((SCENES / "connector_3x9.toml").read_text("utf-8"))["shell"]
    page = read_page(output.with_suffix(".html"))
    assert "Not determined" in page.text and len([tag for tag, _ in page.tags if tag == "img"]) == 1
    assert "nuisance.exposure: not determined" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (ImageOps.invert, ["--scene", "connector_3x9", "--marking", "numbers"]),
        (Image.Image.copy, ["--scene", "auto_2x11"]),
        (Image.Image.copy, ["--scene", "connector_3x9", "--marking", "numbers", "--camera", "top"]),
    ],
    ids=["inverted", "another connector", "another camera"],
)
def test_a_photograph_of_something_else_is_refused(change, words, rendered, tmp_path, capsys):
    with Image.open(rendered / "images" / "plain_bent.png") as picture:
        change(picture.convert("RGB")).save(tmp_path / "a.png")
    words = ["match", str(tmp_path / "a.png"), *words, "--lighting", "ring", "--workers", "1"]
    assert main([*words, "-o", str(tmp_path / "matched.toml")]) == 2
    assert "PHOTO: expected photographs of plain " in capsys.readouterr().err
    assert not (tmp_path / "matched.toml").exists()


def test_an_unlike_photograph_and_a_copy_are_named_and_left_out(rendered, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("generator.matching.fitting.choose", lambda *_: Blur("none"))  # the blur is not the subject
    with Image.open(rendered / "images" / "plain_bent.png") as picture:
        picture.save(tmp_path / "good.png")
        picture.convert("RGB").save(tmp_path / "good_copy.bmp")
        ImageOps.invert(picture.convert("RGB")).save(tmp_path / "other.png")
    words = ["--scene", "connector_3x9", "--lighting", "ring", "--marking", "numbers", "--workers", "1"]
    assert main(["match", str(tmp_path), *words, "-o", str(tmp_path / "matched.toml")]) == 0
    told = capsys.readouterr().out
    assert "other.png: not used: it has only " in told
    assert "good_copy.bmp: not used: it has the same pixels as good.png" in told
    listed = json.loads((tmp_path / "matched.json").read_text("utf-8"))["photographs"]
    assert [(each["file"], each["camera_matrix"] is None, each["not_used"] is None) for each in listed] == [
        ("good.png", False, True),
        ("good_copy.bmp", True, False),
        ("other.png", True, False),
    ]


def test_copies_are_not_fitted_and_photographs_of_one_name_are_told_apart(tmp_path, capsys, monkeypatch):
    """A copy has the original's noise: as a repeat of its place it would say that the sensor has none."""
    given = []

    def fit(photos, *_):
        given.extend(photo.name for photo in photos)
        raise InputError("PHOTO: expected nothing more")

    monkeypatch.setattr("generator.matching.match.match_photographs", fit)
    for name, grey in (("a/p.png", 20), ("b/p.png", 30), ("a/q.png", 20), ("b/r.tif", 30)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (64, 32), grey).save(tmp_path / name)
    words = ["--scene", "connector_3x9", "-o", str(tmp_path / "matched.toml")]
    assert main(["match", str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "a" / "p.png"), *words]) == 2
    assert given == [str(tmp_path / "a" / "p.png"), str(tmp_path / "b" / "p.png")]
    assert f"given before, so that they count once: {tmp_path / 'a' / 'p.png'}\n" in capsys.readouterr().err


def test_outputs_beside_the_scene_overwrite_no_input(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 32)).save("a.png")
    camera = nominal_connector(read_connector(SCENES / "connector_3x9.toml"), "plain", "round").cameras["center"]
    before = write_certificate(tmp_path / "camera.json", {"center": camera}).read_bytes()
    words = ["match", "a.png", "--scene", "connector_3x9", "--calibration", "camera.json", "-o", "camera.toml"]
    assert main(words) == 2
    assert "-o: expected an output file outside the input camera.json, got camera.json" in capsys.readouterr().err
    assert (tmp_path / "camera.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scene", "no/scene"], "--scene: expected the name of a scene, without .toml, got 'no/scene'"),
        (["--workers", "-1"], "--workers: expected 1 to 1024 processes, got -1"),
        (["--workers", "1025"], "--workers: expected 1 to 1024 processes, got 1025"),
        (["--housing", "pink"], "--housing: expected one of plain, ribbed"),
        (["--lighting", "sun"], "--lighting: expected one of ring, side"),
        (["--marking", "x"], "--marking: expected none, numbers, or text= and 1 to 32 characters, got 'x'"),
        (["--marking", "text=" + 32 * "W"], "--marking: expected a text at most "),
        (
            ["-o", "my match.toml"],
            "-o: expected a scene's name (1 to 64 letters without accents, digits, _ and -)",
        ),
        (["-o", "matched.json"], "-o: expected a name that ends in .toml, got matched.json"),
        (["--calibration", "none.json"], "none.json: expected a calibration certificate"),
    ],
)
def test_wrong_options(words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 32)).save("a.png")
    assert main(["match", "a.png", "--scene", "connector_3x9", "-o", "matched.toml", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "matched.toml").exists()


@pytest.mark.parametrize(
    ("camera", "size", "message"),
    [
        ("left", (64, 32), "expected a camera left, as --camera states, got center"),
        (
            "center",
            (64, 64),
            "expected pictures with the photographs' ratio of width to height, 64 to 64, got 512 to 256",
        ),
    ],
)
def test_a_certificate_of_another_camera(camera, size, message, tmp_path, capsys):
    connector = nominal_connector(read_connector(SCENES / "connector_3x9.toml"), "plain", "round")
    certificate = write_certificate(tmp_path / "camera.json", {"center": connector.cameras["center"]})
    Image.new("RGB", size).save(tmp_path / "a.png")
    words = ["match", str(tmp_path / "a.png"), "--scene", "connector_3x9", "-o", str(tmp_path / "matched.toml")]
    assert main([*words, "--camera", camera, "--calibration", str(certificate)]) == 2
    assert message in capsys.readouterr().err


def test_a_certificate_for_a_telecentric_camera_is_refused(tmp_path, capsys):
    text = (SCENES / "connector_3x9.toml").read_text("utf-8")
    text = text.replace("[camera]\n", "[camera]\ntelecentric = true\nfield_mm = 50.0\n")
    (tmp_path / "flat.toml").write_text(text, "utf-8")
    camera = nominal_connector(read_connector(SCENES / "connector_3x9.toml"), "plain", "round").cameras["center"]
    certificate = write_certificate(tmp_path / "camera.json", {"center": camera})
    Image.new("RGB", (64, 32)).save(tmp_path / "a.png")
    words = ["match", str(tmp_path / "a.png"), "--scene", "flat", "--scenes", str(tmp_path)]
    assert main([*words, "-o", str(tmp_path / "matched.toml"), "--calibration", str(certificate)]) == 2
    said = capsys.readouterr().err
    assert "expected a pinhole camera center in" in said and "got a telecentric one" in said


def test_photographs_of_two_sizes(tmp_path, capsys):
    for number, width in enumerate((64, 72)):
        Image.new("RGB", (width, 32)).save(tmp_path / f"{number}.png")
    output = str(tmp_path.parent / "matched.toml")
    assert main(["match", str(tmp_path), "--scene", "connector_3x9", "-o", output]) == 2
    assert "1.png: expected 64 x 32 px, as the first photograph has, got 72 x 32 px" in capsys.readouterr().err


@pytest.mark.parametrize("size", [(24, 200), (200, 24), (4100, 40)], ids=str)
def test_a_photograph_too_small_or_large_for_a_scene_is_named(size, tmp_path, capsys):
    Image.new("RGB", size).save(tmp_path / "a.png")
    words = ["match", str(tmp_path), "--scene", "connector_3x9", "-o", str(tmp_path.parent / "matched.toml")]
    assert main(words) == 2
    told = f"{tmp_path / 'a.png'}: expected a photograph of 32 to 4096 px a side, got {size[0]} x {size[1]} px"
    assert told in capsys.readouterr().err
