"""Regions: each is read for itself, as the plain model reads one; what it contains rates the box that was found."""

import csv
import json
import math
import re

import pytest
import torch

pytest.importorskip("transformers")
pytest.importorskip("peft")
pytest.importorskip("pycocotools")

from transformers.modeling_outputs import BaseModelOutput

from generator.bbox_str import encode
from tests.trainer.florence2.florence2_rows import answered_dataset, detection_of, with_answers
from trainer.florence2 import command
from trainer.florence2.answers import IGNORED, Found, PinsGrammar, Vocabulary, parse
from trainer.florence2.batches import Collator
from trainer.florence2.detect import Inspector, Question, generate
from trainer.florence2.examples import NO_GOOD_BOXES, Examples
from trainer.florence2.regions import JITTER, RegionReader, bins_of, drawn_regions, encoded, region_loss
from trainer.florence2.run import DetectionConfig, load_config
from trainer.florence2.samples import Sample
from trainer.florence2.tiny import TinyShape, tiny_model, tiny_processor

# Of these classes the tokenizer writes OK with one token, "bent pin" with several.
CLASSES = ("OK", "bent pin", "NUKENG")
SIZE = (64, 32)


@pytest.fixture(scope="module")
def processor():
    return tiny_processor(CLASSES[1:], SIZE)


@pytest.fixture(scope="module")
def model(processor):
    return tiny_model(processor, SIZE, TinyShape(widths=(16, 32, 64), decoder_layers=2, heads=2)).eval()


@pytest.fixture(scope="module")
def collator(processor):
    return Collator(processor, Vocabulary(processor.tokenizer, CLASSES[1:]), CLASSES, SIZE)


@pytest.fixture(scope="module")
def seen(model, collator):
    """Encoded tokens and mask of two pictures."""
    inputs = collator.inputs(torch.rand((2, 3, SIZE[1], SIZE[0]), generator=torch.Generator().manual_seed(0)))
    with torch.no_grad(), encoded(model) as states:
        model(**inputs, labels=torch.zeros(2, 2, dtype=torch.long))
    return states[0], inputs["attention_mask"]


def test_a_region_is_read_as_the_plain_model_reads_it_whatever_else_is_asked(model, collator, seen):
    states, mask = seen
    reader = RegionReader(collator.all_words)
    bins = torch.randint(0, 1000, (2, 5, 4), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together = reader.logits(model, states, mask, bins)
        for k in range(5):
            start = torch.tensor([[2, 0]] * 2)  # decoder start token and <s>
            ids = torch.cat([start, torch.tensor(collator.vocabulary.location_ids)[bins[:, k]]], 1)
            alone = model(
                encoder_outputs=BaseModelOutput(last_hidden_state=states), attention_mask=mask, decoder_input_ids=ids
            ).logits[:, -1]
            expected = torch.stack([alone[:, list(one)].mean(-1) for one in collator.all_words.label_ids], -1)
            assert torch.allclose(together[:, k], expected, atol=1e-4)
    assert float(together.std(1).min()) > 1e-3  # the boxes make a difference


def sample(boxes, classes, in_answer) -> Sample:
    categories = torch.tensor([CLASSES.index(name) for name in classes])
    pixels = torch.zeros((3, SIZE[1], SIZE[0]))
    rows = torch.zeros(len(boxes), dtype=torch.long)
    return Sample(pixels, torch.tensor(boxes), categories, torch.tensor(in_answer), rows)


def test_regions_are_the_defects_and_some_good_pins_moved_a_little():
    boxes = [[4.0 + 6 * k, 8.0, 8.0 + 6 * k, 14.0] for k in range(9)]
    classes = ["OK", "NUKENG", "OK", "OK", "bent pin", "OK", "OK", "OK", "OK"]
    # The missing pin's cavity is hidden: the answer does not name it.
    shown = sample(boxes, classes, [False] * 4 + [True] + [False] * 4)
    bare = sample(boxes[:1], ["OK"], [False])
    found = drawn_regions([shown, bare], 0, SIZE, torch.Generator().manual_seed(0))
    assert found.classes.tolist() == [[1, *[0] * 6], [0, *[IGNORED] * 6]]
    exact = bins_of(torch.tensor(boxes), SIZE)
    assert bins_of(torch.zeros((0, 4)), SIZE).shape == (0, 4)
    assert exact[0].tolist() == [62, 250, 125, 437]
    reach = torch.tensor([4.0, 6.0] * 2) * JITTER * 1000 / torch.tensor([*SIZE, *SIZE]) + 1
    for row in range(2):
        for bins, name in zip(found.bins[row], found.classes[row].tolist(), strict=True):
            near = ((bins - exact).abs() <= reach).all(1).nonzero()[:, 0].tolist()
            assert name == IGNORED or classes[near[0]] == CLASSES[name]
    many = sample(boxes, ["NUKENG"] * 8 + ["OK"], [True] * 8 + [False])
    generator, drawn = torch.Generator().manual_seed(0), set()
    for _ in range(12):
        found = drawn_regions([many], 0, SIZE, generator)
        assert found.classes.tolist() == [[2] * 6 + [0]]
        drawn |= {int((bins - exact).abs().sum(1).argmin()) for bins in found.bins[0, :6]}
    assert drawn == set(range(8))


def test_good_pins_are_drawn_as_often_as_their_shares_allow():
    boxes = [[4.0 + 6 * k, 8.0, 8.0 + 6 * k, 14.0] for k in range(4)]
    shown = sample(boxes, ["OK", "OK", "OK", "NUKENG"], [False] * 3 + [True])
    shown = shown._replace(shares=torch.tensor([0.0, 0.25, 1.0, 0.0]))  # a defect's share does not count
    exact, counts = bins_of(torch.tensor(boxes), SIZE), torch.zeros(4)
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        found = drawn_regions([shown], 0, SIZE, generator)
        for bins in found.bins[0, found.classes[0] != IGNORED]:
            counts[int((bins - exact).abs().sum(1).argmin())] += 1
    assert counts[0] == 0 and 30 <= counts[1] <= 70 and counts[2:].tolist() == [200, 200]


def test_a_list_holds_every_pin_row_by_row_and_no_other_object(collator):
    boxes = [[40.0, 20.0, 44.0, 26.0], [4.0, 6.0, 8.0, 12.0], [22.0, 4.0, 26.0, 10.0], [1.0, 1.0, 60.0, 30.0]]
    shown = sample(boxes, ["OK", "OK", "NUKENG", "bent pin"], [False, False, True, True])
    shown = shown._replace(rows=torch.tensor([2, 1, 1, 0]))  # the last is no pin: it has no address

    def listed(which, of=shown):
        ids = collator([of], which).listed[0].tolist()
        assert ids[-1] == collator.vocabulary.eos
        return [box.box for box in parse(ids, collator.all_words, SIZE)]

    assert listed("all") == pytest.approx([pytest.approx(boxes[k], abs=0.07) for k in (1, 2, 0)])
    assert listed("good") == pytest.approx([pytest.approx(boxes[k], abs=0.07) for k in (1, 0)])
    assert len(listed("all", shown._replace(rows=torch.zeros(4, dtype=torch.long)))) == 4
    assert collator([shown]).listed is None


def test_the_grammar_of_lists_ends_after_whole_boxes(collator):
    v = collator.all_words
    grammar = PinsGrammar(v, "OK", 2)
    ids = v.listed([[4.0, 4.0, 8.0, 8.0], [20.0, 4.0, 24.0, 8.0]], "OK", SIZE)
    for step, token in enumerate(ids):
        assert token in grammar.allowed(ids[:step])
    begin = 1 + len(v.label_ids[0])
    assert v.eos not in grammar.allowed(ids[:begin]) and grammar.allowed(ids[:-1]) == [v.eos]
    assert set(grammar.allowed(ids[: begin + 4])) == {*v.location_ids, v.eos}
    assert grammar.allowed(ids[: begin + 2]) == v.location_ids[v.bin_of[ids[begin]] :]
    assert grammar.allowed(ids) == [v.pad] and len(ids) + 1 <= grammar.max_new_tokens


def test_the_boxes_of_answer_and_list_are_rated_and_the_picture_is_encoded_once(model, collator):
    inputs = collator.inputs(torch.rand((2, 3, SIZE[1], SIZE[0]), generator=torch.Generator().manual_seed(0)))
    looked = []
    handle = model.model.vision_tower.register_forward_hook(lambda *_: looked.append(1))
    found = generate(model, inputs, Question.of(collator, 3), [SIZE] * 2)
    handle.remove()
    assert len(looked) == 1
    assert all(some and {one.label for one in some} <= set(CLASSES[1:]) for some in found)
    assert all(0 <= one.confidence <= 1 for some in found for one in some)
    assert Question.of(collator, 0).pins is None


def test_the_loss_weighs_good_and_bad_regions_alike():
    logits = torch.zeros((1, 4, 3))
    logits[0, 3, 1] = math.log(2)
    classes = torch.tensor([[0, 0, IGNORED, 1]])
    assert float(region_loss(logits, classes, 0)) == pytest.approx(math.log(3) + math.log(2))
    assert float(region_loss(logits[:, :1], classes[:, :1], 0)) == pytest.approx(math.log(3))


class Stated(RegionReader):
    """States the logits it was given."""

    def __init__(self, collator, shares):
        super().__init__(collator.all_words)
        self.shares = torch.tensor(shares)

    def logits(self, model, states, mask, bins):
        assert bins.tolist() == [[[125, 250, 250, 500], [0] * 4], [[0, 0, 999, 999], [500, 500, 750, 750]]]
        return self.shares.log()


def test_a_region_has_the_bins_of_the_answer():
    """Edges on the border of two bins: in single precision, every second one came into the other bin."""
    edges = torch.arange(1000) * 128 / 1000
    boxes = torch.stack([edges, edges / 2, edges, edges / 2], -1)
    answers = [encode([box], ["x"], 128, 64) for box in boxes.tolist()]
    assert bins_of(boxes, (128, 64)).tolist() == [[int(n) for n in re.findall(r"[0-9]+", text)] for text in answers]


def test_a_box_gets_the_likeliest_defect_and_its_probability(collator):
    shares = [[[0.9, 0.02, 0.08], [1.0, 0.0, 0.0]], [[0.2, 0.7, 0.1], [0.0, 0.0, 1.0]]]
    found = [
        [Found((8.0, 8.0, 16.0, 16.0), "bent pin", 0.5)],
        [Found((0.0, 0.0, 128.0, 64.0), "bent pin", 1.0), Found((64.0, 32.0, 96.0, 48.0), "NUKENG", 0.8)],
    ]
    sizes = [SIZE, (128, 64)]
    rated = Stated(collator, shares).rated(None, torch.zeros(0), torch.zeros(0), found, sizes)
    # The first is OK by nine chances in ten: it stays a box, of little confidence.
    assert [(f.label, f.box) for f in rated[0]] == [("NUKENG", found[0][0].box)]
    assert [f.label for f in rated[1]] == ["bent pin", "NUKENG"]
    confidences = [f.confidence for some in rated for f in some]
    assert confidences == pytest.approx([0.04, 0.7, 0.8])
    assert [f.is_good for some in rated for f in some] == [True, False, False]
    assert Stated(collator, shares).rated(None, torch.zeros(0), torch.zeros(0), [[], []], sizes) == [[], []]


@pytest.fixture(scope="module")
def dataset(make_rows, make_dataset, tmp_path_factory):
    return answered_dataset(make_rows, make_dataset, tmp_path_factory.mktemp("regions") / "dataset", 8, 4)


def test_regions_of_a_close_up_lie_in_its_picture(dataset):
    data = detection_of(dataset)
    processor = tiny_processor(list(data.labels), SIZE)
    collator = Collator(processor, Vocabulary(processor.tokenizer, data.labels), data.classes, SIZE)
    examples = Examples(data, collator, DetectionConfig(augment=False), (8, 4), torch.device("cpu"))
    batch, targets = examples.batch(range(8), torch.Generator().manual_seed(0), close_ups=True)
    kept = targets.classes != IGNORED
    assert kept.any()
    middle = (targets.bins[..., :2] + targets.bins[..., 2:]) / 2 * torch.tensor(SIZE) / 1000
    inside = middle - batch.corners[:, None]
    assert (inside[kept] > -1).all() and (inside[kept] < 33).all()


def test_without_boxes_of_good_pins_no_regions_are_learned(make_rows, make_dataset, tmp_path, capsys):
    splits = {name: with_answers(make_rows(name, 4, seed)) for seed, name in enumerate(("train", "validation"))}
    for row in (row for rows in splits.values() for row in rows):
        kept = [k for k, category in enumerate(row["objects"]["category"]) if category != 2]
        row["objects"] = {key: [values[k] for k in kept] for key, values in row["objects"].items()}
    data = make_dataset(tmp_path / "data", splits)
    words = ["--data", str(data), "--out", str(tmp_path / "run"), "--model", "tiny", "--epochs", "1", "--device", "cpu"]
    assert command.main([*words, "--batch-size", "1", "--threads", "1", "--region-weight", "0.5"]) == 0
    assert NO_GOOD_BOXES in capsys.readouterr().out
    assert load_config(tmp_path / "run")[1].pins == 0
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        assert all(math.isfinite(float(row["train_loss"])) for row in csv.DictReader(file))


def test_a_trained_model_rates_defects_above_good_pins(dataset, tmp_path):
    words = ["--data", str(dataset), "--out", str(tmp_path / "run"), "--model", "tiny", "--batch-size", "4"]
    words += ["--threads", "1", "--device", "cpu", "--lr", "3e-3", "--evaluate-every", "99", "--close-ups", "0"]
    assert command.main([*words, "--no-augment", "--epochs", "24"]) == 0
    inspector, split = Inspector.load(tmp_path / "run"), detection_of(dataset).splits["train"]
    inputs = inspector.collator.inputs(split.pictures.batch(range(len(split))).float() / 255)
    reader = inspector.question.pins[1]
    good, bad = [], []
    for row, truth in enumerate(split.truths):
        one = {name: each[row : row + 1] for name, each in inputs.items()}
        with torch.no_grad(), encoded(inspector.model) as states:
            inspector.model(**one, labels=torch.zeros(1, 2, dtype=torch.long))
        found = [Found(pin.box, "BENDNG", 1.0) for pin in truth.pins]
        (rated,) = reader.rated(inspector.model, states[0], one["attention_mask"], [found], [truth.size])
        for index, each in enumerate(rated):
            (bad if index in truth.answer else good).append(each.confidence)
    assert sum(bad) / len(bad) > sum(good) / len(good) + 0.2


def test_a_run_reads_regions_unless_it_did_not_learn_them(dataset, tmp_path, capsys):
    words = ["--data", str(dataset), "--model", "tiny", "--batch-size", "4", "--threads", "1", "--device", "cpu"]
    words += ["--epochs", "1", "--out"]
    assert command.main([*words, str(tmp_path / "with")]) == 0
    assert load_config(tmp_path / "with")[1].pins == 8  # boxes of a picture
    assert Inspector.load(tmp_path / "with").question.pins is not None
    for name, more in (("without", ["--region-weight", "0"]), ("bare", ["--scaffold", "0", "--close-ups", "0"])):
        assert command.main([*words, str(tmp_path / name), *more]) == 0
        assert load_config(tmp_path / name)[1].pins == 0
    # Runs of earlier versions do not state it.
    path = tmp_path / "without" / "config.json"
    document = json.loads(path.read_text())
    del document["detector"]["pins"], document["training"]["region_weight"]
    path.write_text(json.dumps(document))
    assert Inspector.load(tmp_path / "without").question.pins is None
    for option in (["--region-weight", "1"], ["--balanced-positions"]):
        assert command.main([*words, str(tmp_path / "wrong"), "--scaffold", "0", *option]) == 2
        assert f"{option[0]}: expected --scaffold above 0, got 0" in capsys.readouterr().err
