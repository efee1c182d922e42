"""Answers as tokens: what is encoded comes back, whatever the labels, and generation cannot break the grammar."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.bbox_str import BINS, decode, encode

pytest.importorskip("transformers")

import torch

from tests.soak import times
from trainer.core.errors import InputError
from trainer.florence2.answers import AnswerGrammar, Found, Vocabulary, parse, without_duplicates
from trainer.florence2.tiny import tiny_tokenizer

LABELS = ("BENDNG", "NUKENG", "NUKENG-DEEP")
SIZE = (256, 128)


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer(["BENDNG", "NUKENG"])


@pytest.fixture(scope="module")
def vocabulary(tokenizer) -> Vocabulary:
    return Vocabulary(tokenizer, LABELS)


def box_strategy():
    edge = st.floats(-20, 300, allow_nan=False, width=32)
    return st.tuples(edge, edge, edge, edge).map(
        lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
    )


OBJECTS = st.lists(st.tuples(box_strategy(), st.sampled_from(LABELS)), max_size=27)


@given(OBJECTS)
@settings(max_examples=times(60))
def test_tokens_are_those_of_the_text_and_come_back_as_boxes(objects):
    tokenizer = tiny_tokenizer_once()
    vocabulary = Vocabulary(tokenizer, LABELS)
    boxes, labels = [list(b) for b, _ in objects], [label for _, label in objects]
    text = encode(boxes, labels, *SIZE)
    ids = vocabulary.tokens(boxes, labels, SIZE)
    assert ids == [0, *tokenizer(text, add_special_tokens=False).input_ids, 2]
    found = parse(ids, vocabulary, SIZE)
    again_boxes, again_labels = decode(text, *SIZE)
    assert [f.label for f in found] == again_labels
    for one, box in zip(found, again_boxes, strict=True):
        assert one.box == pytest.approx(box)
        assert one.confidence == 1.0


@given(OBJECTS)
@settings(max_examples=times(60))
def test_every_true_answer_is_one_that_may_be_generated(objects):
    vocabulary = Vocabulary(tiny_tokenizer_once(), LABELS)
    grammar = AnswerGrammar(vocabulary)
    ids = vocabulary.tokens([list(b) for b, _ in objects], [label for _, label in objects], SIZE)
    for step, token in enumerate(ids):
        assert token in grammar.allowed(ids[:step])


@given(st.integers(0, 2**32), st.integers(0, 9))
@settings(max_examples=times(60))
def test_whatever_is_generated_is_well_formed_and_ends(seed, most):
    """The model chooses at random among the allowed tokens."""
    vocabulary = Vocabulary(tiny_tokenizer_once(), LABELS)
    grammar = AnswerGrammar(vocabulary, most_boxes=most)
    rng = random.Random(seed)
    ids: list[int] = []
    for _ in range(grammar.max_new_tokens):
        allowed = grammar.allowed(ids)
        assert grammar(0, torch.tensor([vocabulary.eos, *ids])).tolist() == allowed
        ids.append(rng.choice(allowed))
        if ids[-1] == vocabulary.eos:
            break
    assert ids[-1] == vocabulary.eos
    found = parse(ids, vocabulary, SIZE)
    assert len(found) <= most
    assert grammar.allowed(ids) == [vocabulary.pad]
    labels = [f.label for f in found]
    assert len({*labels}) == sum(a != b for a, b in zip(labels, [None, *labels], strict=False))


_KEPT: dict[str, object] = {}


def tiny_tokenizer_once():
    return _KEPT.setdefault("tokenizer", tiny_tokenizer(["BENDNG", "NUKENG"]))


def test_an_empty_answer_is_legal(vocabulary):
    assert vocabulary.tokens([], [], SIZE) == [0, 2]
    assert parse([0, 2, 1, 1], vocabulary, SIZE) == []


@pytest.mark.parametrize(
    "cut, message",
    [
        (slice(0, 3), "ends within a box"),
        (slice(0, 2), "ends within a label"),
        (slice(2, 6), "expected a label before"),
    ],
)
def test_what_breaks_the_grammar_is_refused(vocabulary, cut, message):
    ids = [0, *vocabulary.label_ids[0], *vocabulary.location_ids[10:14]]
    with pytest.raises(ValueError, match=message):
        parse(ids[cut], vocabulary, SIZE)


def test_hyphens_are_removed_from_what_the_model_writes_and_come_back(tokenizer):
    vocabulary = Vocabulary(tokenizer, ["BEND-NG", "NUKE-NG"], remove_hyphens=True)
    ids = vocabulary.tokens([[1, 2, 3, 4]], ["NUKE-NG"], SIZE)
    assert "-" not in tokenizer.decode(ids)
    assert parse(ids, vocabulary, SIZE)[0].label == "NUKE-NG"


def test_labels_that_are_alike_without_hyphens_are_refused(tokenizer):
    with pytest.raises(InputError, match="differ from each other"):
        Vocabulary(tokenizer, ["BEND-NG", "BENDNG"], remove_hyphens=True)


def test_confidence_is_presence_times_sharpness(vocabulary):
    bins = [100, 200, 300, 400]
    ids = [0, *vocabulary.label_ids[0], *(vocabulary.location_ids[b] for b in bins), 2]
    probabilities = torch.zeros(len(ids), 2000)
    for step, token in enumerate(ids):
        probabilities[step, token] = 1.0
    label = ids.index(vocabulary.label_ids[0][0])
    probabilities[label, ids[label]] = 0.8
    # Half of the first edge's probability lies far away.
    first = ids.index(vocabulary.location_ids[100])
    probabilities[first, vocabulary.location_ids[100]] = 0.5
    probabilities[first, vocabulary.location_ids[900]] = 0.5
    (found,) = parse(ids, vocabulary, SIZE, probabilities)
    assert found.confidence == pytest.approx(0.8 * 0.5**0.25)


def test_duplicates_go_and_neighbours_stay():
    found = [
        Found((10, 10, 20, 20), "BENDNG", 0.6),
        Found((10.5, 10, 20.5, 20), "NUKENG", 0.9),
        Found((22, 10, 32, 20), "BENDNG", 0.3),
    ]
    assert without_duplicates(found) == found[1:]
    assert without_duplicates([]) == []


def test_a_picture_s_edge_is_the_last_bin(vocabulary):
    (found,) = parse(vocabulary.tokens([[250, 120, 256, 128]], ["BENDNG"], SIZE), vocabulary, SIZE)
    assert found.box[2] == pytest.approx((BINS - 0.5) * 256 / BINS)
