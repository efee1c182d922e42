import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from blender_scripts.contract.errors import InputError
from generator.io.certificate import read_certificate, to_rig
from tests.generator.locating.certificates import complete, write_certificate

CAMERAS = {
    "center": {"matrix": np.eye(4).tolist(), "fx_per_width": 2.0, "distortion": [0.0] * 5},
    "left": {"matrix": np.diag([-1.0, 1.0, -1.0, 1.0]).tolist(), "fx_per_width": 2.0, "distortion": [0.1] * 5},
}


def test_a_certificate_is_read_with_its_checksum(tmp_path):
    file = write_certificate(tmp_path / "rig.json", CAMERAS, {"center.f": 0.5, "left.rx_rad": 0.01})
    found = read_certificate(file)
    assert found.path == file and len(found.sha256) == 64 and not found.is_expired()
    assert found.parameters[:2] == ("center.f", "left.rx_rad")
    assert found.covariance[:2, :2].tolist() == [[0.25, 0.0], [0.0, 1e-4]]
    assert found.cameras["left"].fx == 1024.0 and found.cameras["left"].distortion == (0.1,) * 5
    assert np.array_equal(to_rig(np.array(to_rig(found.cameras["left"].matrix_rig))), found.cameras["left"].matrix_rig)


def lens(**other):
    return {"width": 8, "height": 4, "fx": 9, "fy": 9, "cx": 4, "cy": 2, "distortion": [0] * 5, **other}


ONE = {"parameters": ["center.f"]}
TWO = {"parameters": ["center.f", "center.cx"]}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"schema": "pinsight-camera/2"}, "expected a calibration certificate of schema pinsight-camera/1"),
        ({"cameras": {}}, "no cameras"),
        ({"parameters": [], "covariance": []}, "got no parameters, so that the cameras' uncertainty is not stated"),
        ({"cameras": {"center": {}}}, "no key 'width'"),
        ({"cameras": {"center": lens(matrix_rig=[0.0] * 3)}}, "not a rotation and a shift"),
        ({"cameras": {"center": lens(matrix_rig=np.diag([1.0, 1.0, -1.0, 1.0]).tolist())}}, "not a rotation and a"),
        ({"cameras": {"center": lens(fx=0.0)}}, "focal length 0"),
        ({"cameras": {"center": lens(width=float("inf"))}}, "not finite"),
        ({"parameters": ["top.f"], "covariance": [[1.0]]}, "unknown or listed twice: ['top.f']"),
        ({**ONE, "covariance": [[1.0], [1.0]]}, "a covariance of 2 x 1 numbers, not of 1 x 1"),
        ({**ONE, "covariance": [[float("nan")]]}, "finite ones"),
        ({**ONE, "covariance": [[-1.0]]}, "negative variance"),
        ({**TWO, "covariance": [[1.0, 2.0], [2.0, 1.0]]}, "negative variance"),
        ({**TWO, "covariance": [[1.0, 0.5], [0.0, 1.0]]}, "not symmetric"),
        ({"made": "2026-01-02"}, "a date that lacks its time zone"),
        ({"expires": 3}, "expected a complete calibration certificate"),
    ],
)
def test_damaged_certificates_are_refused_in_one_line(tmp_path, other, said):
    file = write_certificate(tmp_path / "rig.json", CAMERAS, **other)
    with pytest.raises(InputError) as caught:
        read_certificate(file)
    assert str(caught.value).startswith(f"{file}: expected ") and said in str(caught.value)
    assert "\n" not in str(caught.value)


def without(name):
    """The certificate's keys of a rig of two cameras, without one parameter."""
    whole = complete(list(CAMERAS))
    at = whole["parameters"].index(name)
    covariance = np.delete(np.delete(np.array(whole["covariance"]), at, 0), at, 1)
    return {"parameters": [each for each in whole["parameters"] if each != name], "covariance": covariance.tolist()}


def certain(name):
    """The certificate's keys of a rig of two cameras, one parameter of which has no variance."""
    whole = complete(list(CAMERAS))
    covariance = np.array(whole["covariance"])
    covariance[whole["parameters"].index(name)] = 0.0
    return {**whole, "covariance": covariance.tolist()}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (without("center.f"), "parameters: expected f, cx, cy of every camera and rx_rad, "),
        (without("left.cy"), "but the first, got a list without left.cy"),
        (without("left.z_mm"), "but the first, got a list without left.z_mm"),
        (complete(["center"]), "without left.f, left.cx, left.cy, left.rx_rad, left.ry_rad and 4 more"),
        (certain("left.cx"), "covariance: expected a variance above 0 of every parameter, got none for left.cx"),
        ({"made": "2999-01-01T00:00:00Z"}, "made: expected a date that is not in the future, got 2999-01-01T00:00:00Z"),
        (
            {"expires": "2026-01-01T00:00:00Z"},
            "expires: expected a date after 2026-01-02T03:04:05Z (made), got 2026",
        ),
        ({"temperature_c": float("nan")}, "temperature_c: expected a finite number or null, got nan"),
    ],
)
def test_values_that_no_calibration_has_are_refused_with_their_key(tmp_path, other, said):
    file = write_certificate(tmp_path / "rig.json", CAMERAS, **other)
    with pytest.raises(InputError) as caught:
        read_certificate(file)
    [problem] = caught.value.problems
    assert problem.startswith(f"{file} ") and said in problem


def test_one_camera_needs_no_place_and_a_clock_may_be_ahead_by_hours(tmp_path):
    made = datetime.now(UTC) + timedelta(hours=20)
    file = write_certificate(tmp_path / "one.json", {"top": CAMERAS["left"]}, made=made.isoformat())
    assert read_certificate(file).parameters == ("top.f", "top.cx", "top.cy")


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000])
def test_files_that_are_no_certificate_are_refused(tmp_path, content):
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(InputError, match="expected a calibration certificate"):
        read_certificate(tmp_path / "c.json")


def test_a_missing_key_is_named(tmp_path):
    file = write_certificate(tmp_path / "rig.json", CAMERAS)
    file.write_text(json.dumps({key: value for key, value in json.loads(file.read_text()).items() if key != "made"}))
    with pytest.raises(InputError, match="no key 'made'"):
        read_certificate(file)
    with pytest.raises(InputError, match=r"none\.json: expected a calibration certificate, got No such file"):
        read_certificate(tmp_path / "none.json")
