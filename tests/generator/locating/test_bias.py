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
    return PartBiases.of(features, [ROUND if each else SQUARE for each in kind], np.arange(parts), means)


def test_a_part_gets_the_bias_of_its_terminal_under_its_light():
    known = biases()
    assert known.applied[1]
    looks = {"center": SIDE, "top": SIDE}
    assert known.bias(looks, ROUND)[1] == pytest.approx(0.03, abs=0.003)
    assert known.bias(looks, SQUARE)[1] == pytest.approx(0.0, abs=0.003)
    assert known.bias({"center": RING, "top": RING}, ROUND)[1] == pytest.approx(0.0, abs=0.003)


def test_no_bias_is_known_of_what_validation_did_not_show():
    known, looks = biases(), {"center": SIDE, "top": SIDE}
    assert known.applied.tolist() == [False, True, False]
    for scene, terminal in (("connector_3x9", "gold"), ("header_2x8", "round")):
        assert known.bias(looks, (scene, terminal)) == pytest.approx([0.0, np.nan, 0.0], nan_ok=True)
    for unlike in ({"center": SIDE, "top": None}, {"center": SIDE}, {"center": 9.0 * SIDE, "top": SIDE}):
        assert np.isnan(known.bias(unlike, ROUND)[1])


@pytest.mark.parametrize(("square", "is_known"), [(2 * NEAREST, True), (2 * NEAREST - 1, False)])
def test_fewer_than_ten_parts_of_a_terminal_show_no_bias(square, is_known):
    known = biases()
    kept = np.array([each == ROUND for each in known.terminals])
    kept[np.flatnonzero(~kept)[:square]] = True
    features = {view: each[kept] for view, each in known.features.items()}
    terminals = [each for each, keep in zip(known.terminals, kept, strict=True) if keep]
    some = PartBiases.of(features, terminals, known.parts[kept], known.means[kept] + [0.0, 0.02, 0.0])
    looks, own = {"center": SIDE, "top": SIDE}, np.array([each == SQUARE for each in terminals])
    assert np.isfinite(some.bias(looks, SQUARE)[1]) == is_known
    assert some.left_out()[own, 1].any() == is_known and some.left_out()[~own, 1].all()


def test_a_bias_is_left_where_subtracting_it_makes_other_parts_worse():
    source = np.random.default_rng(2)
    features = {"top": source.normal(0, 1, (60, 4))}
    means = source.normal(0, 0.01, (60, 3))  # by chance alone: the mean of others makes errors larger
    means[:, 2] += 0.05
    known = PartBiases.of(features, [ROUND] * 60, np.arange(60), means)
    assert known.applied.tolist() == [False, False, True]
    assert known.bias({"top": RING}, ROUND)[:2].tolist() == [0.0, 0.0]
    left = known.left_out()
    assert left[:, 2] == pytest.approx(0.05, abs=0.02) and not left[:, :2].any()


def test_captures_of_one_part_do_not_correct_each_other():
    # 15 parts, each captured four times: their errors differ by chance, but are the same in all captures of a part.
    source = np.random.default_rng(3)
    parts = np.repeat(np.arange(15), 4)
    features = {"top": source.normal(0, 1, (15, 4))[parts] + source.normal(0, 0.01, (60, 4))}
    means = source.normal(0, 0.02, (15, 3))[parts]
    known = PartBiases.of(features, [ROUND] * 60, parts, means)
    assert not known.applied.any()
    nine = parts < 9
    few = PartBiases.of({"top": features["top"][nine]}, [ROUND] * 36, parts[nine], means[nine] + 1.0)
    assert not few.left_out().any()


def test_a_validation_part_s_own_error_does_not_correct_it():
    known = biases()
    alone = known.means.copy()
    alone[3] += 1.0  # round, under side light
    changed = PartBiases.of(known.features, known.terminals, known.parts, alone)
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
    known = PartBiases.of(parts.features, parts.terminals, parts.parts, open_height)
    assert not known.applied[2] and known.bias({"center": SIDE, "top": SIDE}, ROUND)[2] == 0.0


def test_a_part_whose_bias_is_not_known_gets_a_larger_uncertainty():
    known = replace(biases(), enlarged=np.array([1.1, 1.5, 1.2]))
    errors = ValidationErrors({}, np.zeros((0, 0, 3)), {"center+top": known})
    factors, key = Factors((2.0, 2.0, 2.0), {"": (3.0, 3.0, 3.0)}, errors), ("connector_3x9", "any housing", "round")
    found = factors.correction({"top": SIDE, "center": SIDE}, key)
    assert found.bias == pytest.approx([0.0, 0.03, 0.0], abs=0.003) and found.factors.tolist() == [2.0, 2.0, 2.0]
    for looks, larger in (
        ({"center": SIDE}, [3.3, 4.5, 3.6]),
        ({"top": SIDE, "center": SIDE, "left": SIDE}, [2.2, 3.0, 2.4]),
        ({"top": SIDE, "center": None}, [2.0, 3.0, 2.0]),  # of dx and height no bias is subtracted from such parts
    ):
        open_one = factors.correction(looks, key)
        assert open_one.factors == pytest.approx(larger) and not open_one.bias.any()


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
        replace(known, parts=known.parts[1:]),
        replace(known, enlarged=0.5 * known.enlarged),
        replace(known, features={"top": known.features["top"][1:]}),
        replace(known, features={"top": known.features["top"] * np.nan}),
    ):
        content = ValidationErrors({}, np.zeros((0, 0, 3)), {"center+top": damaged}).to_bytes()
        with pytest.raises(InputError, match=r"errors.npz: expected a gauge's validation errors, got damaged"):
            ValidationErrors.of_bytes(io.BytesIO(content), "errors.npz")
