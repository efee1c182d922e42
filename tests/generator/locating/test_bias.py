"""Biases: from validation parts of the same terminal that look most alike, subtracted only where that helps."""

import io
from dataclasses import replace

import numpy as np
import pytest

from blender_scripts.contract.errors import InputError
from generator.locating.bias import NEAREST, PartBiases, mean_errors
from generator.locating.factors import Factors, ValidationErrors

ROUND, SQUARE = ("connector_3x9", "round"), ("connector_3x9", "square")
SIDE, RING = np.full(4, 5.0), np.zeros(4)


def biases(parts: int = 40) -> PartBiases:
    """Under side light, dy of round pins errs by 0.03 mm; nothing else errs but by chance. Half of the parts each."""
    source = np.random.default_rng(1)
    light, kind = np.arange(parts) % 2, np.arange(parts) // 2 % 2
    features = {view: source.normal(0, 0.1, (parts, 4)) + 5.0 * light[:, None] for view in ("center", "top")}
    means = source.normal(0, 0.002, (parts, 3))
    means[:, 1] += 0.03 * (light == 1) * (kind == 1)
    return PartBiases.of(features, [ROUND if each else SQUARE for each in kind], means)


def test_a_part_gets_the_bias_of_its_terminal_under_its_light():
    known = biases()
    assert known.applied[1]
    looks = {"center": SIDE, "top": SIDE}
    assert known.bias(looks, ROUND)[1] == pytest.approx(0.03, abs=0.003)
    assert known.bias(looks, SQUARE)[1] == pytest.approx(0.0, abs=0.003)
    assert known.bias({"center": RING, "top": RING}, ROUND)[1] == pytest.approx(0.0, abs=0.003)


def test_no_bias_is_stated_for_what_validation_did_not_show():
    known, looks = biases(), {"center": SIDE, "top": SIDE}
    for scene, terminal in (("connector_3x9", "gold"), ("header_2x8", "round")):
        assert known.bias(looks, (scene, terminal)).tolist() == [0.0, 0.0, 0.0]
    assert known.bias({"center": SIDE, "top": None}, ROUND).tolist() == [0.0, 0.0, 0.0]
    few = biases(4 * NEAREST)  # 2 * NEAREST of each terminal
    assert few.bias(looks, ROUND)[1] > 0.01 and np.any(few.left_out())
    fewer = biases(4 * NEAREST - 4)
    assert not fewer.bias(looks, ROUND).any() and not fewer.left_out().any()


def test_a_bias_is_left_where_subtracting_it_makes_other_parts_worse():
    source = np.random.default_rng(2)
    features = {"top": source.normal(0, 1, (60, 4))}
    means = source.normal(0, 0.01, (60, 3))  # by chance alone: the mean of others makes errors larger
    means[:, 2] += 0.05
    known = PartBiases.of(features, [ROUND] * 60, means)
    assert known.applied.tolist() == [False, False, True]
    assert known.bias({"top": RING}, ROUND)[:2].tolist() == [0.0, 0.0]
    left = known.left_out()
    assert left[:, 2] == pytest.approx(0.05, abs=0.02) and not left[:, :2].any()


def test_a_validation_part_s_own_error_does_not_correct_it():
    known = biases()
    alone = known.means.copy()
    alone[3] += 1.0  # round, under side light
    changed = PartBiases.of(known.features, known.terminals, alone)
    assert changed.terminals[3] == ROUND
    assert changed.left_out()[3, 1] == pytest.approx(known.left_out()[3, 1]) == pytest.approx(0.03, abs=0.003)
    assert changed.bias({"center": SIDE, "top": SIDE}, ROUND)[1] == pytest.approx(0.03, abs=0.003)  # a median


def test_axes_that_few_pins_show_have_no_mean_error():
    errors = np.full((27, 3), 0.01)
    errors[2:, 2] = np.nan
    errors[0, 0] = np.nan
    assert mean_errors(errors, np.ones((27, 3))) == pytest.approx([0.01, 0.01, np.nan], nan_ok=True)
    errors[5:, :2] = 0.04  # pins that are uncertain, with ten times the standard deviation, hardly count
    uncertain = np.where(np.arange(27)[:, None] < 5, 0.02, 0.2) * np.ones(3)
    assert mean_errors(errors, uncertain)[1] == pytest.approx(0.01, abs=0.002)
    parts = biases()
    open_height = parts.means.copy()
    open_height[:, 2] = np.nan
    known = PartBiases.of(parts.features, parts.terminals, open_height)
    assert not known.applied[2] and known.bias({"center": SIDE, "top": SIDE}, ROUND)[2] == 0.0


def test_only_a_part_measured_by_the_same_views_is_corrected():
    errors = ValidationErrors({}, np.zeros((0, 0, 3)), {"center+top": biases()})
    factors, key = Factors(errors=errors), ("connector_3x9", "any housing", "round")
    found = factors.correction({"top": SIDE, "center": SIDE}, key)
    assert found.bias[1] == pytest.approx(0.03, abs=0.003) and found.factors.tolist() == [1.0, 1.0, 1.0]
    assert not factors.correction({"center": SIDE}, key).bias.any()
    assert not factors.correction({"top": SIDE, "center": SIDE, "left": SIDE}, key).bias.any()


def test_the_file_keeps_biases_and_damage_is_named(tmp_path):
    known = biases()
    errors = ValidationErrors({}, np.zeros((0, 0, 3)), {"center+top": known, "center": replace(known, features={})})
    errors.save(tmp_path)
    read = ValidationErrors.of_bytes(tmp_path / "errors.npz", "errors.npz").biases
    assert list(read) == list(errors.biases) and read["center+top"].terminals == known.terminals
    looks = {"center": SIDE, "top": SIDE}
    assert read["center+top"].bias(looks, ROUND) == pytest.approx(known.bias(looks, ROUND), abs=1e-6)
    for damaged in (
        replace(known, means=known.means[1:]),
        replace(known, applied=known.applied[1:]),
        replace(known, features={"top": known.features["top"][1:]}),
        replace(known, features={"top": known.features["top"] * np.nan}),
    ):
        content = ValidationErrors({}, np.zeros((0, 0, 3)), {"center+top": damaged}).to_bytes()
        with pytest.raises(InputError, match=r"errors.npz: expected a gauge's validation errors, got damaged"):
            ValidationErrors.of_bytes(io.BytesIO(content), "errors.npz")
