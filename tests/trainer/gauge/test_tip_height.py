"""U of a tip's height does not cover the shape of the bend, which neither camera nor reference measures."""

import math

import numpy as np
import pytest

from blender_scripts.contract.tolerance import Tolerance
from generator.locating.measure import MeasuredPin
from trainer.gauge import tip_height
from trainer.gauge.reference import Reference
from trainer.gauge.reference_figures import figures
from trainer.gauge.reference_pins import pins_of

LENGTH, SIGMA, SAG = 5.0, 0.02, 0.4
LIMITS = Tolerance(0.8, 0.6, 0.6)


def far_bent(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Bends (N,), 1 to 2 mm, and true depths (N,) of the tips, which depend on the shapes of the bends, mm."""
    source = np.random.default_rng(0)
    bends = source.uniform(1.0, 2.0, count)
    return bends, source.normal(0.65, SAG, count) * bends**2 / LENGTH + source.normal(0.0, 0.05, count)


def measured(bends: np.ndarray, depths: np.ndarray) -> list[MeasuredPin]:
    """Pins as `generator.locating.measure` states them, with a camera's error of `SIGMA` in the height of the tip."""
    seen = depths + np.random.default_rng(1).normal(0.0, SIGMA, len(depths))
    return [
        MeasuredPin(
            *(1.0, 0.1, np.array([bend, 0.0, depth - 0.65 * bend**2 / LENGTH])),
            np.diag([SIGMA**2, SIGMA**2, SIGMA**2 + (SAG * bend**2 / LENGTH) ** 2]),
            *(np.ones(3, bool), float(bend)),
        )
        for bend, depth in zip(bends, seen, strict=True)
    ]


def test_the_depth_of_a_tip_and_its_variance_follow_from_the_retraction():
    (pin,) = measured(np.array([2.0]), np.array([0.7]))
    found = tip_height.of_pin(pin, LENGTH, SAG)
    assert found.covariance[2, 2] == pytest.approx(SIGMA**2) and found.covariance[:2, :2] == pytest.approx(
        pin.covariance[:2, :2]
    )
    assert found.offsets_mm == pytest.approx([2.0, 0.0, pin.offsets_mm[2] + 0.65 * 4.0 / LENGTH])
    assert pin.covariance[2, 2] > SIGMA**2  # the pin itself stays


def test_a_height_that_is_not_known_is_nan_and_rounding_leaves_an_uncertainty():
    open_entry = {"retraction_mm": None, "u_retraction_mm": None, "bend_mm": 0.1}
    assert np.isnan(tip_height.of_entry(open_entry, LENGTH, SAG)).all()
    entry = {"retraction_mm": 0.1, "u_retraction_mm": 0.1, "bend_mm": None}
    assert np.isnan(tip_height.of_entry(entry, LENGTH, SAG)).all()
    height, u = tip_height.of_entry({**entry, "bend_mm": 3.0}, LENGTH, SAG)
    assert height == pytest.approx(-0.1 - 0.65 * 9.0 / LENGTH) and u == tip_height.LEAST_MM


def test_the_share_within_u_of_far_bent_tips_is_95_percent():
    bends, depths = far_bent()
    pins = measured(bends, depths)
    entries = [
        {
            "address": f"r1c{index}",
            "decisions": {"presence": "conform"},
            "present": 1.0,
            "bend_mm": pin.bend_mm,
            "dx_mm": None,
            "dy_mm": None,
            "retraction_mm": pin.offsets_mm[2],
            "u_retraction_mm": 2.0 * math.sqrt(pin.covariance[2, 2]),
        }
        for index, pin in enumerate(pins)
    ]
    reference = Reference(
        {
            "p1": {
                entry["address"]: np.array([bend, 0.0, depth])
                for entry, bend, depth in zip(entries, bends, depths, strict=True)
            }
        }
    )
    document = {"part": "p1", "verdict": "NG", "pins": entries}
    lengths = {entry["address"]: LENGTH for entry in entries}
    table = pins_of([document], reference, LIMITS, lengths, ("height",), SAG)
    assert table.u_height.to_numpy() == pytest.approx(2.0 * SIGMA)
    assert figures(table, "height")["within"]["share"] == pytest.approx(0.95, abs=0.03)
