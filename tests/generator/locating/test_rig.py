from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.tolerance import Tolerance
from generator.io.certificate import PLACE, read_certificate, to_rig
from generator.locating.fit import FitLimits
from generator.locating.gauge import inspect_part
from generator.locating.locate import View, located, placing_deviations
from generator.locating.measure import Correction, measure
from generator.locating.rig import check_views, expiry_warning, scale_note, station_cameras, with_camera_errors
from tests.generator.locating.certificates import SIZE, complete, write_certificate
from tests.generator.locating.exact_finder import ExactFinder, drawing_of, gauge_of, pictures_of

THREE = ("center", "top", "left")
TOLERANCE = Tolerance(0.8, 0.6)
DISPLACED = {"r1c2": (0.3, -0.1, 0.0), "r2c5": (0.0, 0.0, 0.4)}
MEASURES = ("dx_mm", "dy_mm", "retraction_mm", "u_dx_mm", "u_dy_mm", "u_retraction_mm")
DRAWING = drawing_of()
WIDTH_PX = 256


def certified(folder, views=THREE, deviations=None, **other):
    cameras = {view: DRAWING.cameras[view] for view in views}
    return read_certificate(write_certificate(folder / "rig.json", cameras, deviations, **other))


def measures(certificate, finder=None, views=THREE):
    """Measures (pins, 6) in mm of `MEASURES` by a gauge with this certificate."""
    gauge = gauge_of(finder or ExactFinder(DRAWING, views, DISPLACED), FitLimits())
    gauge = replace(gauge, certificate=certificate)
    found = inspect_part(gauge, DRAWING, pictures_of(views), TOLERANCE)
    assert found.pins, found.reasons
    return np.array([[pin[name] for name in MEASURES] for pin in found.pins])


@pytest.mark.parametrize("first", ["center", "left"])
def test_nominal_cameras_with_zero_covariance_change_nothing(tmp_path, first):
    certificate = certified(tmp_path, sorted(THREE, key=lambda view: view != first))
    assert measures(certificate) == pytest.approx(measures(None), abs=2e-4)


def moved(finder: ExactFinder, parameter: str, deviation: float) -> None:
    """Move a finder's true cameras away from the nominal ones in one parameter of a certificate of `SIZE`."""
    view, _, name = parameter.partition(".")
    index = THREE.index(view)
    camera = finder.cameras[index]
    scale = finder.cameras[0].cx / (0.5 * SIZE[0])
    if name == "f":
        camera = replace(camera, fx=camera.fx + scale * deviation, fy=camera.fy + scale * deviation)
    elif name == "cx":
        camera = replace(camera, cx=camera.cx + scale * deviation)
    elif name == "k1":
        camera = replace(camera, distortion=(camera.distortion[0] + deviation, *camera.distortion[1:]))
    else:
        first = np.array(DRAWING.cameras["center"]["matrix"])
        pose = np.array(to_rig(np.linalg.inv(first) @ camera.matrix))
        vector = np.concatenate([Rotation.from_matrix(pose[:3, :3]).as_rotvec(), pose[:3, 3]])
        vector[PLACE.index(name)] += deviation
        pose[:3, :3], pose[:3, 3] = Rotation.from_rotvec(vector[:3]).as_matrix(), vector[3:]
        camera = replace(camera, matrix=first @ np.array(to_rig(pose)))
    finder.cameras[index] = camera


@pytest.mark.parametrize(
    ("parameters", "deviation"),
    [
        (("center.f",), 2.0),
        (("top.f",), 2.0),
        (("left.cx",), 0.3),
        (("top.k1",), 0.05),
        (("left.rx_rad",), 5e-4),
        (("top.z_mm",), 0.2),
        (("center.f", "top.f", "left.f"), 2.0),
    ],
)
def test_cameras_off_by_one_standard_deviation_shift_measures_within_the_stated_u(tmp_path, parameters, deviation):
    """Several parameters are fully correlated."""
    covariance = np.full((len(parameters),) * 2, deviation**2).tolist()
    certificate = certified(tmp_path, **complete(THREE, parameters, covariance))
    finder = ExactFinder(DRAWING, THREE, DISPLACED)
    for parameter in parameters:
        moved(finder, parameter, deviation)
    true, found = measures(certificate), measures(certificate, finder)
    shift, u = np.abs(found - true)[:, :3], found[:, 3:]
    assert shift.max() > 0.005 and (shift < u).all()
    # One component adds exactly its shift: U^2 - U0^2 is (2 d)^2. Entries are rounded to 0.0001 mm.
    added = np.sqrt(np.maximum(true[:, 3:] ** 2 - measures(None)[:, 3:] ** 2, 0.0)) / 2.0
    assert added == pytest.approx(shift, rel=0.1, abs=2.5e-3)


def test_a_bias_is_subtracted_and_leaves_the_uncertainty_of_the_cameras_as_it_is(tmp_path):
    certificate = certified(tmp_path, **complete(THREE, ["center.f"], [[4.0]]))
    finder, deviations = ExactFinder(DRAWING, THREE, DISPLACED), placing_deviations(DRAWING.placing)
    views = [View(name, np.full((128, 256, 3), at, np.uint8), finder.cameras[at]) for at, name in enumerate(THREE)]
    part = located(views, finder.queries, finder, deviations)
    bias = np.array([0.01, -0.02, 0.03])
    found = [
        with_camera_errors(
            measure(part.pins, finder.queries, part.pose, each),
            part, finder.queries, certificate, DRAWING.cameras, deviations, each,
        )
        for each in (Correction(), Correction(bias=bias))
    ]  # fmt: skip
    for plain, corrected in zip(*found, strict=True):
        assert plain.offsets_mm - corrected.offsets_mm == pytest.approx(bias)
        assert corrected.covariance == pytest.approx(plain.covariance, abs=1e-12)


def test_pictures_of_another_size_have_the_same_camera(tmp_path):
    certificate = certified(tmp_path)
    small = station_cameras(certificate, DRAWING.cameras, {"top": (WIDTH_PX, WIDTH_PX // 2)})["top"]
    assert (small.fx, small.cx, small.cy) == pytest.approx(
        (DRAWING.cameras["top"]["fx_per_width"] * WIDTH_PX, 0.5 * WIDTH_PX, 0.25 * WIDTH_PX)
    )
    check_views(certificate, DRAWING.cameras, {"top": (WIDTH_PX, WIDTH_PX // 2), "left": None})


def test_views_without_a_camera_and_pictures_of_another_shape_are_refused(tmp_path):
    certificate = certified(tmp_path, ("center", "top"))
    gauge = replace(gauge_of(ExactFinder(DRAWING, THREE)), certificate=certificate)
    with pytest.raises(
        InputError, match=r"rig\.json camera left: expected this camera in the certificate.* only cameras center, top$"
    ):
        inspect_part(gauge, DRAWING, pictures_of(THREE), TOLERANCE)
    with pytest.raises(InputError, match=r"camera top: .*512 x 256 px, got 256 x 192 px"):
        inspect_part(gauge, DRAWING, {"top": Image.new("RGB", (256, 192))}, TOLERANCE)
    telecentric = {"top": {**DRAWING.cameras["top"], "model": "telecentric"}}
    with pytest.raises(InputError, match="camera top: expected a pinhole camera"):
        check_views(certificate, telecentric, {"top": None})


def test_the_note_names_the_certificate_until_it_expires(tmp_path):
    valid = certified(tmp_path)
    assert scale_note(valid).startswith(f"calibration certificate rig.json, SHA-256 {valid.sha256}, made 2026-01-02")
    assert "conformity" not in scale_note(valid)
    expired = certified(tmp_path, expires="2026-01-03T03:04:05Z")
    assert expiry_warning(valid) == expiry_warning(None) == ""
    assert expiry_warning(expired).endswith("certificate rig.json expired on 2026-01-03, so no conformity is stated")
    assert scale_note(expired).endswith("expired 2026-01-03: no conformity is stated")
    assert measures(expired) == pytest.approx(measures(valid))
