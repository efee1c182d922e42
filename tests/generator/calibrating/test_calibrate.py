"""Pictures of targets are made by tracing each pixel's ray to the target's plane, apart from the code under test."""

import json
import math
import shutil
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import pytest
from PIL import Image

cv2 = pytest.importorskip("cv2")

from blender_scripts.contract.errors import InputError  # noqa: E402
from blender_scripts.geometry.lens import undistort  # noqa: E402
from generator.__main__ import main  # noqa: E402
from generator.calibrating.target import Target  # noqa: E402
from generator.io.certificate import read_certificate  # noqa: E402
from tests.other_python import other_python  # noqa: E402

CHARUCO, DOTS = "charuco:11x8:5:3.7", "dots:11x9:4"
WIDTH, HEIGHT, FOCAL, CENTRE = 480, 360, 900.0, (246.0, 175.5)
DISTORTION = (-0.15, 0.0, 0.0, 0.0, 0.0)
SUPER = 3


def rotation(vector):
    return cv2.Rodrigues(np.array(vector, float))[0]


def pose_of(turn, shift):
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation(turn), shift
    return matrix


@lru_cache
def camera_rays() -> np.ndarray:
    """Directions (SUPER * HEIGHT, SUPER * WIDTH, 3) through the pixels' parts, z = 1."""
    x, y = ((np.arange(SUPER * size) + 0.5) / SUPER for size in (WIDTH, HEIGHT))
    rays = undistort((np.stack(np.meshgrid(x, y, indexing="xy"), axis=-1) - CENTRE) / FOCAL, DISTORTION)
    return np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=-1)


def photograph(target: Target, pose: np.ndarray, px_per_mm: float = 12.0, seed: int = 0) -> Image.Image:
    """What a camera at the origin (OpenCV's axes) sees of the target at `pose`, with a little noise."""
    drawn = target.picture(px_per_mm)
    scale = max(round(target.pitch_mm * px_per_mm), 8) / target.pitch_mm
    # Where the first point of `points_mm` is drawn: the border of one pitch, for dots half a pitch more.
    origin = target.pitch_mm * (1.0 if target.kind == "charuco" else 1.5)
    rays = camera_rays()
    normal = pose[:3, 2]
    points = rays * (normal @ pose[:3, 3] / (rays @ normal))[..., None]
    flat = (points - pose[:3, 3]) @ pose[:3, :2]
    places = ((flat + origin) * scale - 0.5).astype(np.float32)
    seen = cv2.remap(drawn, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderValue=200)
    picture = seen.reshape(HEIGHT, SUPER, WIDTH, SUPER).mean(axis=(1, 3)) * 0.8 + 20.0
    noise = np.random.default_rng(seed).normal(0.0, 1.0, picture.shape)
    return Image.fromarray(np.clip(picture + noise, 0, 255).astype(np.uint8))


def placings(target: Target, number: int, seed: int = 1):
    """Poses of the target: tilted by up to 35 degrees in all directions, its middle near the optical axis."""
    random = np.random.default_rng(seed)
    middle = np.ptp(target.points_mm, axis=0) / 2 + target.points_mm[0]
    for i in range(number):
        angle, tilt = 2 * math.pi * i / number, math.radians(random.uniform(15, 35))
        turn = [tilt * math.cos(angle), tilt * math.sin(angle), random.uniform(-0.2, 0.2)]
        # Near enough to fill the picture, far enough that dots stay wholly in view.
        near = (
            random.uniform(0.95, 1.1)
            * FOCAL
            * target.diagonal_mm
            / HEIGHT
            * (0.85 if target.kind == "charuco" else 1.2)
        )
        shift = np.array([random.uniform(-3, 3), random.uniform(-3, 3), near]) - rotation(turn) @ middle
        yield pose_of(turn, shift)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    target = Target.of_text(CHARUCO)
    for i, pose in enumerate(placings(target, 12)):
        photograph(target, pose, seed=i).save(folder / f"p{i:02d}.png")
    Image.new("L", (WIDTH, HEIGHT)).save(folder / "p00.bmp")  # without the target, beside p00.png
    return folder


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "camera.json"
    options = ["calibrate", str(photos), "--target", CHARUCO, "-o", str(path), "--temperature", "21.5"]
    assert main(options) == 0
    return path


def test_points_are_found_where_they_are():
    for text in (CHARUCO, DOTS):
        target = Target.of_text(text)
        pose = next(placings(target, 1))
        numbers, pixels = target.find(np.asarray(photograph(target, pose)))
        assert len(numbers) > 0.6 * len(target.points_mm)
        seen = target.points_mm[numbers] @ pose[:3, :3].T + pose[:3, 3]
        normal = seen[:, :2] / seen[:, 2:]
        radial = 1.0 + DISTORTION[0] * (normal**2).sum(axis=1, keepdims=True)
        errors = pixels - (FOCAL * normal * radial + CENTRE)
        assert np.abs(errors).max() < 0.25
        assert np.abs(errors.mean(axis=0)).max() < 0.05


def test_camera_comes_out_as_it_was(made):
    certificate = read_certificate(made)
    camera = certificate.cameras["center"]
    document = json.loads(made.read_text())
    for name, value, true in (("f", camera.fx, FOCAL), ("cx", camera.cx, CENTRE[0]), ("cy", camera.cy, CENTRE[1])):
        u = document["u"][f"center.{name}"]
        # Half as much again as the expanded uncertainty: one picture set, three parameters.
        assert abs(value - true) < 1.5 * u
        assert u < 8.0
    assert camera.distortion[0] == pytest.approx(DISTORTION[0], abs=0.03)
    assert document["cameras"]["center"]["rms_px"] < 0.1
    assert (camera.width, camera.height, certificate.temperature_c) == (WIDTH, HEIGHT, 21.5)
    assert np.array_equal(camera.matrix_rig, np.eye(4))
    blank, *seen = document["pictures"]
    assert (blank["file"], blank["points"]) == ("p00.bmp", 0) and not blank.keys() & {"rms_px", "tilt_deg"}
    assert len(seen) == 12 and all(picture["points"] > 20 and picture["rms_px"] < 0.2 for picture in seen)


def test_copies_of_pictures_do_not_make_a_camera_more_certain(photos, made, tmp_path, capsys):
    for path in photos.iterdir():
        shutil.copyfile(path, tmp_path / path.name)
    for number in range(8):
        with Image.open(photos / f"p{number:02d}.png") as picture:
            picture.save(tmp_path / f"q{number}.tif")
    path = tmp_path.parent / "with_copies.json"
    assert main(["calibrate", str(tmp_path), "--target", CHARUCO, "-o", str(path)]) == 0
    known, found = (json.loads(each.read_text()) for each in (made, path))
    assert found["u"] == known["u"]
    copies = [picture for picture in found["pictures"] if "copy_of" in picture]
    assert [(each["file"], each["copy_of"]) for each in copies] == [(f"q{i}.tif", f"p{i:02d}.png") for i in range(8)]
    assert "pictures not used, as they are copies: q0.tif (of p00.png), " in capsys.readouterr().out


def test_a_picture_of_two_cameras_is_refused(photos, tmp_path, capsys):
    for name in ("center", "left"):
        (tmp_path / name).mkdir()
        for number in range(3):
            shutil.copyfile(photos / f"p{number:02d}.png", tmp_path / name / f"p{number}.png")
    words = [f"{name}={tmp_path / name}" for name in ("center", "left")]
    assert main(["calibrate", *words, "--target", CHARUCO, "-o", str(tmp_path / "rig.json")]) == 2
    told = f"p0.png: expected a picture of its own by camera left, got a copy of {tmp_path / 'center' / 'p0.png'}"
    assert told in capsys.readouterr().err
    words = [f"{name}={tmp_path / 'center'}" for name in ("center", "left")]
    assert main(["calibrate", *words, "--target", CHARUCO, "-o", str(tmp_path / "rig.json")]) == 2
    assert "by camera left, got a copy of " in capsys.readouterr().err
    assert not (tmp_path / "rig.json").exists()


def test_a_certificate_expires(made):
    certificate = read_certificate(made)
    now = datetime.now(UTC)
    assert not certificate.is_expired(now + timedelta(days=364))
    assert certificate.is_expired(now + timedelta(days=366))


def test_cameras_of_a_rig_come_out_where_they_stand(tmp_path):
    target = Target.of_text(DOTS)
    # The second camera: 40 mm to the right of the first, turned towards its left by 8 degrees.
    first_to_second = pose_of([0.0, math.radians(8), 0.0], [-40.0, 1.0, 3.0])
    for name in ("center", "right"):
        (tmp_path / name).mkdir()
    for i, pose in enumerate(placings(target, 14, seed=4)):
        photograph(target, pose, seed=i).save(tmp_path / "center" / f"p{i}.png")
        photograph(target, first_to_second @ pose, seed=50 + i).save(tmp_path / "right" / f"p{i}.png")
    options = [f"center={tmp_path}/center", f"right={tmp_path}/right", "--target", DOTS, "-o", f"{tmp_path}/rig.json"]
    assert main(["calibrate", *options]) == 0
    camera = read_certificate(tmp_path / "rig.json").cameras["right"]
    flip = np.diag([1.0, -1.0, -1.0, 1.0])
    expected = flip @ np.linalg.inv(first_to_second) @ flip
    u = json.loads((tmp_path / "rig.json").read_text())["u"]
    assert np.abs(camera.matrix_rig[:3, :3] - expected[:3, :3]).max() < 0.004
    assert np.abs(camera.matrix_rig[:2, 3] - expected[:2, 3]).max() < 0.5
    assert 0.0 < u["right.x_mm"] < 1.0


def test_flat_pictures_do_not_determine_the_focal_length(tmp_path):
    target = Target.of_text(CHARUCO)
    for i, shift in enumerate((-1.0, 0.0, 1.0, 2.0)):
        photograph(target, pose_of([0, 0, 0.1 * i], [-27 + shift, -20, 120]), seed=i).save(tmp_path / f"{i}.png")
    out = tmp_path / "camera.json"
    code = main(["calibrate", str(tmp_path), "--target", CHARUCO, "-o", str(out), "--distortion", "none"])
    warnings = " ".join(json.loads(out.read_text())["warnings"]) if code == 0 else "refused"
    assert code == 2 or ("tilt" in warnings and "expanded uncertainty" in warnings)


def test_printed_target_has_its_size(tmp_path, capsys):
    path = tmp_path / "target.png"
    assert main(["calibrate", "--print", str(path), "--target", CHARUCO]) == 0
    with Image.open(path) as drawn:
        width_mm = drawn.width / drawn.info["dpi"][0] * 25.4
    assert width_mm == pytest.approx(13 * 5.0, rel=1e-3)
    assert "print it unscaled" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        *("", "charuco", "charuco:11x8:5", "charuco:11x8:5:6", "dots:2x2:1", "dots:11x9:2:3", "stripes:3x3:1"),
        *("dots:axb:1", "dots:11x9:inf", "charuco:11x8:inf:5", "charuco:11x8:nan:5"),
    ],
)
def test_bad_targets_are_refused(text):
    with pytest.raises(InputError, match="--target: expected"):
        Target.of_text(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("charuco:11x8:500:370", "SQUARE_MM in mm of at most 84.1, got 500: 6500 x 5000 mm"),
        ("charuco:11x8:84.2:60", "at most 84.1, got 84.2"),
        ("dots:8x11:92", "PITCH_MM in mm of at most 84.1, got 92: 920 x 1196 mm"),
        ("charuco:11x8:0.005:0.0037", "SQUARE_MM in mm of at least 0.1, got 0.005"),
        ("dots:11x9:0.099", "PITCH_MM in mm of at least 0.1, got 0.099"),
        ("charuco:11x8:10:0.01", "MARKER_MM in mm of at least 0.255, got 0.01"),
    ],
)
def test_targets_that_no_printer_prints_are_refused(tmp_path, capsys, monkeypatch, text, told):
    monkeypatch.setattr(Target, "picture", lambda *_: pytest.fail("drawn"))
    assert main(["calibrate", "--print", str(tmp_path / "target.png"), "--target", text]) == 2
    found = capsys.readouterr().err
    assert found.startswith("--target: expected") and told in found and found.count("\n") == 1


@pytest.mark.parametrize("text", ["charuco:11x8:84.1:60", "charuco:11x8:10:0.255", "dots:11x9:0.1"])
def test_the_largest_and_smallest_targets_are_printable(text):
    Target.of_text(text).check_printable(600 / 25.4)


def test_unknown_dictionary_and_too_few_markers_are_refused():
    with pytest.raises(InputError, match="dictionary"):
        Target.of_text("charuco:5x4:5:3:DICT_NONE")
    with pytest.raises(InputError, match="expected a marker dictionary with at least 100 markers"):
        Target.of_text("charuco:20x10:5:3:DICT_4X4_50")


def test_pictures_without_the_target_are_refused(tmp_path, capsys):
    for i in range(3):
        Image.new("L", (200, 150), 128).save(tmp_path / f"{i}.png")
    assert main(["calibrate", str(tmp_path), "--target", DOTS, "-o", str(tmp_path / "c.json")]) == 2
    assert "at least 3 pictures that show the target" in capsys.readouterr().err


def test_other_commands_do_not_need_opencv():
    code = (
        "import sys; sys.modules['cv2'] = None; from generator.__main__ import main; sys.exit(main(['calibrate', 'x']))"
    )
    found = other_python("-c", code, check=False)
    assert found.returncode == 2 and "pip install '.[calibrate]' in a clone" in found.stderr


@pytest.mark.parametrize("text", ["nan", "inf", "-300"])
def test_impossible_temperatures_are_refused(text, capsys):
    assert main(["calibrate", "photos", "--target", DOTS, "-o", "c.json", f"--temperature={text}"]) == 2
    assert capsys.readouterr().err.startswith("--temperature: expected -273.15 to 1000 degrees Celsius, got")
