"""Factors on standard deviations: from the validation parts that look most alike, and kept in a file."""

import io

import numpy as np
import pytest

from blender_scripts.contract.errors import InputError
from generator.locating.factors import NEAREST, Factors, ValidationErrors, factor

VIEWS = ("center", "top")


def errors(parts: int = 40, pins: int = 27) -> ValidationErrors:
    """Two lights: in the second half of the parts, errors of dy are three times those of the first half."""
    source = np.random.default_rng(1)
    second = np.arange(parts) >= parts // 2
    features = {view: source.normal(0, 0.1, (parts, 6)) + 5.0 * second[:, None] for view in VIEWS}
    sizes = np.abs(source.normal(0, 1, (parts, pins, 3)))
    sizes[second, :, 1] *= 3.0
    sizes[0, 0] = np.nan  # a missing pin
    return ValidationErrors(features, sizes)


def test_the_factor_covers_95_percent_of_the_errors():
    sizes = np.abs(np.random.default_rng(2).normal(0, 1.5, 20_000))
    assert factor(sizes) == pytest.approx(1.5 * 1.96 / 2, rel=0.03)
    assert np.mean(sizes <= 2.0 * factor(sizes)) == pytest.approx(0.95, abs=0.001)
    assert factor(np.full(5, np.nan)) == 1.0 and factor(np.zeros(9)) == 0.3


TOGETHER, ALONE = (2.0, 2.1, 2.5), {"": (3.0, 3.1, 3.5), "top": (4.0, 4.1, 4.5)}


def test_a_part_gets_the_factors_of_the_parts_that_look_like_it():
    known = errors()
    factors = Factors(TOGETHER, ALONE, known)
    first, second = (factors.for_part(dict.fromkeys(VIEWS, np.full(6, 5.0 * light))) for light in (0, 1))
    assert first == pytest.approx([0.98, 0.98, 0.98], rel=0.12) and second[1] == pytest.approx(2.94, rel=0.12)
    assert second[[0, 2]] == pytest.approx([0.98, 0.98], rel=0.12)
    one_known_view = factors.for_part({"top": np.full(6, 5.0), "left": np.zeros(6)})
    assert one_known_view[1] == pytest.approx(2.94, rel=0.12)
    wider = Factors(TOGETHER, ALONE, known, (1.0, 1.1, 1.2)).for_part({"top": np.full(6, 5.0), "left": np.zeros(6)})
    assert wider == pytest.approx(one_known_view * [1.0, 1.1, 1.2])


def test_factors_of_few_parts_are_widened_to_cover_95_percent_of_another_part_s_errors():
    # Parts differ in the size of their errors, and no part's looks tell it.
    source = np.random.default_rng(3)
    sizes = np.abs(source.normal(0, 1, (60, 27, 3))) * source.lognormal(0, [0.0, 0.5, 0.5], (60, 1, 3))
    known = ValidationErrors({"top": source.normal(0, 1, (60, 6))}, sizes)
    widening = known.widening()
    assert (widening >= 1.0).all() and 1.05 < widening.max() < 1.5
    others = np.abs(source.normal(0, 1, (400, 27, 3))) * source.lognormal(0, [0.0, 0.5, 0.5], (400, 1, 3))
    factors = Factors(errors=known, widening=widening)
    stated = [2.0 * factors.for_part({"top": source.normal(0, 1, 6), "left": None}) for _ in others]
    covered = np.mean(others <= np.array(stated)[:, None], axis=(0, 1))
    assert (covered > 0.94).all() and (covered < 0.97).all()
    assert errors(2 * NEAREST).widening().tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "looks", [dict.fromkeys(VIEWS), {"left": np.zeros(6), "right": np.zeros(6)}, {"top": None, "left": np.zeros(6)}]
)
def test_unknown_looks_get_the_factors_of_all_parts(looks):
    assert Factors(TOGETHER, ALONE, errors()).for_part(looks).tolist() == [2.0, 2.1, 2.5]


def test_one_view_and_few_parts_get_the_factors_of_all_parts():
    looks = dict.fromkeys(VIEWS, np.zeros(6))
    assert Factors(TOGETHER, ALONE, errors()).for_part({"top": np.zeros(6)}).tolist() == [4.0, 4.1, 4.5]
    assert Factors(TOGETHER, ALONE, errors()).for_part({"left": np.zeros(6)}).tolist() == [3.0, 3.1, 3.5]
    assert Factors(TOGETHER, errors=errors()).for_part({"left": None}).tolist() == [1.0, 1.0, 1.0]
    assert Factors(TOGETHER, errors=errors(2 * NEAREST - 1)).for_part(looks).tolist() == [2.0, 2.1, 2.5]
    # One pin a part: 12 errors are too few for a quantile of 95 %.
    assert Factors(TOGETHER, errors=errors(pins=1)).for_part(looks).tolist() == [2.0, 2.1, 2.5]


def test_the_file_gives_the_same_factors_and_damage_is_named(tmp_path):
    known = errors()
    known.save(tmp_path)
    read = ValidationErrors.of_bytes(tmp_path / "errors.npz", "errors.npz")
    looks = dict.fromkeys(VIEWS, np.full(6, 5.0))
    assert Factors(errors=read).for_part(looks) == pytest.approx(Factors(errors=known).for_part(looks), rel=1e-5)
    assert (tmp_path / "errors.npz").read_bytes() == known.to_bytes()
    short = ValidationErrors({"top": known.features["top"][1:]}, known.sizes).to_bytes()
    infinite = ValidationErrors({"top": known.features["top"] * np.inf}, known.sizes).to_bytes()
    for content in (b"", known.to_bytes()[:-30], short, infinite):
        with pytest.raises(InputError, match=r"errors.npz: expected a gauge's validation errors, got damaged"):
            ValidationErrors.of_bytes(io.BytesIO(content), "errors.npz")
