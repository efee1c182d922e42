"""The gate on a network's features."""

import pytest

from generator.verdict.feature_gate import FeatureGate
from tests.generator.verdict.drawn_features import features, features_gate


@pytest.fixture(scope="module")
def gate() -> FeatureGate:
    return features_gate()


def test_features_like_those_of_training_pass_and_others_are_refused(gate):
    assert gate.reasons(features(300, 3)) == [[]] * 300
    refused = gate.reasons(features(20, 4, shift=6.0))
    assert all(len(one) == 1 and one[0].startswith("features: ") for one in refused)


def test_the_limit_comes_from_validation_not_from_training():
    training = features(100, 1)
    narrow = FeatureGate.of(training, features(60, 2))
    wide = FeatureGate.of(training, features(60, 2, shift=1.0))
    assert wide.limit > 1.5 * narrow.limit


def test_a_limit_follows_further_pictures_up_to_a_factor(gate):
    assert gate.limit < gate.widened(features(60, 5, shift=0.7), 1.5).limit <= 1.5 * gate.limit
    assert gate.widened(features(60, 5, shift=6.0), 1.5).limit == pytest.approx(1.5 * gate.limit)
    for accepted in (features(60, 2), features(8, 2)):
        assert gate.widened(accepted, 1.5).limit == gate.limit
