"""What validation decides: threshold, temperature, and that they belong to one set of weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.core import decision, frozen_threshold, run_folder
from trainer.core.errors import InputError
from trainer.vit import run as vit_run
from trainer.vit.network.model import ViTConfig
from trainer.vit.run import TrainingConfig

SCORES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=30)


def quality(scores: np.ndarray, ng: np.ndarray, threshold: float) -> float:
    return float((scores[ng] >= threshold).mean() + (scores[~ng] < threshold).mean())


@given(SCORES)
def test_no_threshold_is_better(rows):
    scores, ng = np.array([s for s, _ in rows]), np.array([n for _, n in rows])
    threshold = decision.choose_threshold(scores, ng)
    if ng.all() or not ng.any():
        assert threshold == 0.5
        return
    best = max(quality(scores, ng, t) for t in [0, *scores, *np.nextafter(scores, 2)])
    assert quality(scores, ng, threshold) == pytest.approx(best)


def test_the_threshold_lies_in_the_middle_of_its_gap():
    assert decision.choose_threshold(
        np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])
    ) == pytest.approx(0.5)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_the_temperature_that_made_the_labels_is_found(temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (4000, 3))
    p = decision.softmax(logits, temperature)
    labels = (rng.random((4000, 1)) > p.cumsum(1)).sum(1).clip(max=2)
    assert decision.fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.15)


@pytest.mark.parametrize("count", [6, 60, 6000])
def test_a_validation_that_is_all_right_is_no_proof_of_certainty(count):
    """Likelihood alone would go on to the coldest temperature that it is allowed."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    logits = rng.normal(size=(count, 3))
    logits[np.arange(count), labels] = logits.max(1) + rng.uniform(0.5, 4, count)
    temperature = decision.fit_temperature(logits, labels)
    assert {6: 0.5, 60: 0.3, 6000: 0.05}[count] < temperature < 1
    # What an escape is said to be: unlikely, not impossible.
    escape = decision.softmax(np.array([[0.0, 0.0, 2.0]]), temperature)
    assert 1 - escape[0, 2] > {6: 1e-2, 60: 1e-3, 6000: 0}[count]


def test_a_network_that_says_one_class_of_all_is_not_sure_of_it():
    logits = np.tile([3.0, 0.0, -1.0], (6, 1)) + np.random.default_rng(0).normal(0, 0.1, (6, 3))
    assert 1.5 < decision.fit_temperature(logits, np.arange(6) % 3) < 4


def test_decisions():
    p = np.array([[0.3, 0.2, 0.5], [0.1, 0.05, 0.85], [0.0, 0.6, 0.4]])
    assert decision.decide(p, 2, 0.5).tolist() == [0, 2, 1]
    assert decision.decide(p, 2, 0.1).tolist() == [0, 0, 1]
    # OK is never the label where P(OK) is not above one half, whatever the threshold.
    assert decision.decide(p, 2, 0.7).tolist() == [0, 2, 1]


def test_what_was_frozen_is_read_back_and_belongs_to_its_weights(tmp_path):
    vit_run.save_config(tmp_path, ViTConfig(("A", "B", "OK"), 64, 32), TrainingConfig())
    (tmp_path / run_folder.BEST).write_bytes(b"weights")
    assert frozen_threshold.load(tmp_path) is None
    logits, labels = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 3
    made = frozen_threshold.freeze(
        tmp_path, logits, labels, ("A", "B", "OK"), 2, {"connector": ["r1c1"]}, [str(n // 2) for n in range(30)]
    )
    assert made.fitness and made.fitness.unfit  # random logits
    assert frozen_threshold.load(tmp_path) == made
    (tmp_path / run_folder.BEST).write_bytes(b"others")
    with pytest.raises(InputError, match="other weights"):
        frozen_threshold.load(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"criterion": "", "threshold": 1}'])
def test_a_broken_file_is_named(tmp_path, text):
    (tmp_path / frozen_threshold.FROZEN).write_text(text)
    with pytest.raises(InputError, match="frozen"):
        frozen_threshold.load(tmp_path)
