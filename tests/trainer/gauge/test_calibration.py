from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from generator.locating.landmarks import queries
from tests.generator.locating.exact_finder import PITCH_PX, POSE, SIGMA_PX, ExactFinder, drawing_of
from trainer.gauge import uncertainty
from trainer.gauge.gates import learn_gates, load_gates
from trainer.gauge.likeness import learn_likeness
from trainer.gauge.measuring import captures_of, measure_captures, table_of
from trainer.gauge.picture import GaugeData, Picture
from trainer.gauge.run import Uncertainty, factors_of, save_uncertainty

VIEWS = ("center", "top")


def picture(finder, part: int, number: int) -> Picture:
    """A picture of one grey value, by which `ExactFinder` tells the view, with good pins."""
    camera, sought = finder.cameras[number], finder.queries
    places = np.stack([sought.marks, sought.besides], axis=1)[: sought.pins]
    true = SimpleNamespace(dx_mm=0.0, dy_mm=0.0, retraction_mm=0.0, visible=1.0, tilt_deg=None)
    return Picture(
        row={"camera": VIEWS[number], "part": str(part)},
        objects=(true,) * sought.pins,
        key=("connector_3x9", "plain", "round"),
        pixels=np.full((128, 256, 3), number, np.uint8),
        camera=camera,
        pose=POSE,
        points=camera.project(places @ POSE[:3, :3].T + POSE[:3, 3]),
        present=np.ones(sought.pins, bool),
    )


def test_calibration_learns_factors_and_when_a_part_counts_as_located(monkeypatch, tmp_path):
    drawing = drawing_of()
    finder = ExactFinder(drawing, VIEWS)
    shown = [picture(finder, part, number) for part in range(3) for number in (0, 1)]
    data = GaugeData({"validation": shown}, {drawing.key: drawing}, {drawing.key: queries(drawing)}, PITCH_PX, ())
    monkeypatch.setattr(uncertainty, "TorchFinder", lambda network, scales=None: finder)
    found, errors = uncertainty.learn_uncertainty(None, data)
    # Exact points: errors are far smaller than stated, so all factors are the least.
    assert (found.tip, found.edge, found.together) == (0.3, 0.3, (0.3, 0.3, 0.3))
    assert found.inliers == pytest.approx(0.85) and 0.0 < found.residual < Uncertainty().residual
    assert SIGMA_PX < found.sigma_px < 2.0 * SIGMA_PX
    assert found.fit_limits.sigma_px == found.sigma_px and not errors.features  # this finder gives none
    assert not errors.biases
    assert set(found.alone) == {"", "center", "top"} and found.widening == (1.0, 1.0, 1.0)
    factors = factors_of(replace(found, alone={"": (2.0, 2.5, 3.0), "top": (1.0, 1.5, 2.0)}), None)
    assert factors.for_part({"top": None}).tolist() == [1.0, 1.5, 2.0]
    assert factors.for_part({"left": None}).tolist() == [2.0, 2.5, 3.0]
    assert factors.for_part({"top": None, "center": None}).tolist() == [0.3, 0.3, 0.3]
    save_uncertainty(tmp_path, found, errors)
    assert "sigma_px" in (tmp_path / "uncertainty.json").read_text()


def test_errors_of_parts_measured_by_all_views_are_kept_with_their_looks(monkeypatch):
    drawing = drawing_of()
    finder = ExactFinder(drawing, VIEWS)
    shown = [picture(finder, part, number) for part in range(4) for number in (0, 1)]
    shown = shown[:-1]  # the last part lacks its second view
    data = GaugeData({"validation": shown}, {drawing.key: drawing}, {drawing.key: queries(drawing)}, PITCH_PX, ())
    monkeypatch.setattr(uncertainty, "TorchFinder", lambda network, scales=None: WithFeatures(finder))
    _, errors = uncertainty.learn_uncertainty(None, data)
    assert {view: each.shape for view, each in errors.features.items()} == {"center": (3, 5), "top": (3, 5)}
    assert (errors.features["center"] == 0).all() and (errors.features["top"] == 1).all()
    assert errors.sizes.shape == (3, finder.queries.pins, 3) and errors.sizes.max() < 0.1


@pytest.mark.parametrize(
    ("leaning", "parts", "expected"), [(True, 4, 0.96), (True, 3, 1.0), (False, 4, 1.0)], ids=["arcs", "few", "S-bends"]
)
def test_displacements_that_are_found_too_small_are_stretched(monkeypatch, leaning, parts, expected):
    drawing = drawing_of()
    addresses = [each.address for each in drawing.positions]
    true = {address: (0.3, -0.1 * (index % 5), 0.0) for index, address in enumerate(addresses)}
    finder = ExactFinder(drawing, VIEWS, {address: (0.96 * x, 0.96 * y, z) for address, (x, y, z) in true.items()})
    objects = tuple(
        SimpleNamespace(
            dx_mm=x, dy_mm=y, retraction_mm=z, visible=1.0, true_position_mm=2 * np.hypot(x, y), tilt_deg=tilt
        )
        for (x, y, z), tilt in zip(true.values(), np.full(27, 3.5 if leaning else 0.3), strict=True)
    )
    shown = [replace(picture(finder, part, number), objects=objects) for part in range(parts) for number in (0, 1)]
    data = GaugeData({"validation": shown}, {drawing.key: drawing}, {drawing.key: queries(drawing)}, PITCH_PX, ())
    monkeypatch.setattr(uncertainty, "TorchFinder", lambda network, scales=None: finder)
    found, errors = uncertainty.learn_uncertainty(None, data)
    factors = factors_of(found, errors)
    for terminal in ("round", "a terminal not in validation"):
        found_slope = factors.correction({}, ("connector_3x9", "plain", terminal)).slope
        assert found_slope == pytest.approx(expected, abs=0.003)
    table = table_of(measure_captures(captures_of(shown), data, finder, factors), data)
    assert (table.found_dx / table.true_dx).mean() == pytest.approx(0.96 / expected, abs=0.003)


def test_a_bias_of_all_parts_is_subtracted_and_u_is_that_of_what_is_left(monkeypatch):
    drawing = drawing_of()
    addresses = [each.address for each in drawing.positions]
    finder = WithFeatures(ExactFinder(drawing, VIEWS, dict.fromkeys(addresses, (0.0, 0.05, 0.0))))
    shown = [picture(finder.finder, part, number) for part in range(12) for number in (0, 1)]
    data = GaugeData({"validation": shown}, {drawing.key: drawing}, {drawing.key: queries(drawing)}, PITCH_PX, ())
    monkeypatch.setattr(uncertainty, "TorchFinder", lambda network, scales=None: finder)
    found, errors = uncertainty.learn_uncertainty(None, data)
    factors = factors_of(found, errors)
    assert set(errors.biases) == {"center", "top", "center+top"} and errors.biases["center+top"].enlarged[1] > 2.0
    for cameras in (VIEWS, ("center",)):
        captures = captures_of(shown, cameras)
        plain, corrected = (table_of(measure_captures(captures, data, finder, each), data) for each in (None, factors))
        assert plain.found_dy.mean() == pytest.approx(0.05, abs=0.005)
        assert corrected.found_dy.mean() == pytest.approx(0.0, abs=0.002)
        assert (corrected.sigma_dy < plain.sigma_dy).all()
        assert corrected.found_dx.to_numpy() == pytest.approx(plain.found_dx.to_numpy(), abs=1e-3)
    unknown = table_of(measure_captures(captures_of(shown), data, finder.finder, factors), data)  # without features
    assert unknown.found_dy.mean() == pytest.approx(0.05, abs=0.005)
    together = factors.correction({"center": np.zeros(5), "top": np.ones(5)}, drawing.key)
    assert factors.correction(dict.fromkeys(VIEWS), drawing.key).factors[1] > 2.0 * together.factors[1]


def test_s_bends_make_u_of_bent_pins_larger_not_that_of_all(monkeypatch):
    """Each third pin has an S-bend that lowers its tip by 1.4 bend^2 / length; points are found exactly."""
    drawing = drawing_of()
    sought = queries(drawing)
    lengths = (sought.marks - sought.besides)[: sought.pins, 2]
    bends = np.where(np.arange(sought.pins) % 3 == 0, 1.0, 0.0)
    depths = 1.4 * bends**2 / lengths
    addresses = [each.address for each in drawing.positions]
    true = {each: (bend, 0.0, depth) for each, bend, depth in zip(addresses, bends, depths, strict=True)}
    finder = ExactFinder(drawing, VIEWS, true)
    objects = tuple(
        SimpleNamespace(
            dx_mm=bend, dy_mm=0.0, retraction_mm=0.0, visible=1.0, true_position_mm=2.0 * bend, tilt_deg=None
        )
        for bend in bends
    )
    shown = [replace(picture(finder, part, number), objects=objects) for part in range(6) for number in (0, 1)]
    for each in shown:  # the true points, too, of the tips that are bent
        tips = sought.marks[: sought.pins] + np.stack([bends, 0.0 * bends, -depths], axis=1)
        each.points[:, 0] = each.camera.project(tips @ POSE[:3, :3].T + POSE[:3, 3])
    data = GaugeData({"validation": shown}, {drawing.key: drawing}, {drawing.key: sought}, PITCH_PX, ())
    monkeypatch.setattr(uncertainty, "TorchFinder", lambda network, scales=None: finder)
    found, errors = uncertainty.learn_uncertainty(None, data)
    assert found.sag == pytest.approx(0.75 / 2.0, abs=0.01) and found.together[2] == 0.3
    table = table_of(measure_captures(captures_of(shown), data, finder, factors_of(found, errors)), data)
    off = (table.found_retraction - table.true_retraction).abs()
    straight = table.true_dx == 0.0
    assert off[~straight].mean() == pytest.approx(0.75 / lengths[0], abs=0.01)
    assert (off <= 2.05 * table.sigma_retraction).all() and table.sigma_retraction[straight].max() < 0.02


class WithFeatures:
    """A finder that gives five features for each crop: the crop's grey value."""

    def __init__(self, finder):
        self.finder, self.side = finder, finder.side

    def find(self, crops):
        return self.finder.find(crops)._replace(features=np.repeat(crops.pixels.mean(axis=(1, 2, 3))[:, None], 5, 1))


def test_what_training_showed_is_learned_for_each_view():
    drawing = drawing_of()
    finder = ExactFinder(drawing, VIEWS)
    shown = {
        name: [picture(finder, part, number) for part in parts for number in (0, 1)]
        for name, parts in (("train", range(4)), ("validation", range(4, 7)))
    }
    data = GaugeData(shown, {drawing.key: drawing}, {drawing.key: queries(drawing)}, PITCH_PX, ())
    found = learn_likeness(data, finder)
    assert found.trained == {drawing.key} and set(found.views) == set(VIEWS)
    # Grey pictures: the colours are 0, and limits allow the scatter of one metal.
    assert (
        found.views["top"].colours == pytest.approx(np.array([[-0.02, 0.02]] * 2))
        and found.views["top"].features is None
    )


def test_gates_are_learned_for_each_view(tmp_path):
    random = np.random.default_rng(0)
    shown = [
        SimpleNamespace(row={"camera": view, "part": part}, pixels=random.integers(60, 160, (32, 64, 3), np.uint8))
        for part in range(5)
        for view in VIEWS
    ]
    learn_gates(tmp_path, {"train": shown[:6], "validation": shown[6:]})
    found = load_gates(tmp_path)
    assert set(found) == set(VIEWS) and found["top"].limits.pictures == 5
