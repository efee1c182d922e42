"""PatchCore finds features that no OK picture has at any place, and its coreset covers all places."""

import numpy as np
import pytest

from benchmarks.patchcore import PatchCore, coreset


def test_a_feature_that_no_member_has_is_far_and_one_at_another_place_is_not():
    draws = np.random.default_rng(0)
    members = draws.normal(0, 0.1, (6, 4, 5, 7)) + np.arange(7)
    bank = PatchCore(members, share=1.0)
    degrees = bank.degrees(members[0])
    assert degrees.shape == (5, 7) and degrees.max() == pytest.approx(0, abs=1e-2)
    moved = np.roll(members[0], 2, axis=2)
    assert bank.degrees(moved).max() == pytest.approx(0, abs=1e-2)
    moved[:, 2, 3] += 20.0
    degrees = bank.degrees(moved)
    assert np.unravel_index(degrees.argmax(), degrees.shape) == (2, 3) and degrees.max() > 1


def test_the_coreset_takes_one_place_of_each_cluster():
    places = np.repeat(100 * np.eye(5, dtype=np.float32), 20, axis=0)
    assert sorted(coreset(places, 5) // 20) == [0, 1, 2, 3, 4]
