"""The tiny model: which of its parameters train, the self-test of its loss, and answers that it learned by heart."""

import json

import pytest
import torch

pytest.importorskip("transformers")

from trainer.core.ema import Average
from trainer.core.errors import InputError
from trainer.core.loop import learning_rate
from trainer.core.pin_measures import places
from trainer.florence2 import auxiliary_loss, network
from trainer.florence2.answers import IGNORED, AnswerGrammar, Vocabulary
from trainer.florence2.batches import Collator
from trainer.florence2.detect import Question, generate
from trainer.florence2.losses import DetectionLosses, parameter_groups
from trainer.florence2.network import answer_loss, check_loss, check_version, choose_parameters, units
from trainer.florence2.regions import NO_REGIONS, drawn_regions
from trainer.florence2.run import DetectionConfig
from trainer.florence2.samples import Sample
from trainer.florence2.tiny import TinyShape, place_code, tiny_model, tiny_processor
from trainer.florence2.training import schedule_of

LABELS = ("BENDNG", "NUKENG")
CLASSES = (*LABELS, "OK")
SIZE = (64, 32)
SMALL = TinyShape(widths=(16, 32, 64), depths=(1, 1, 1), encoder_layers=1, decoder_layers=2, heads=2)


@pytest.fixture(scope="module")
def processor():
    return tiny_processor(LABELS, SIZE)


@pytest.fixture
def model(processor):
    return tiny_model(processor, SIZE, SMALL, seed=0)


@pytest.fixture(scope="module")
def collator(processor):
    return Collator(processor, Vocabulary(processor.tokenizer, LABELS), CLASSES, SIZE)


def sample(boxes, labels, seed=0) -> Sample:
    pixels = torch.rand((3, SIZE[1], SIZE[0]), generator=torch.Generator().manual_seed(seed))
    categories = torch.tensor([CLASSES.index(label) for label in labels], dtype=torch.long)
    in_answer = categories != CLASSES.index("OK")
    return Sample(pixels, torch.tensor(boxes).reshape(-1, 4), categories, in_answer, torch.zeros_like(categories))


BY_HEART = {
    "a label three times": ([[4.0, 4.0, 8.0, 8.0], [20.0, 4.0, 24.0, 8.0], [40.0, 12.0, 44.0, 16.0]], ["NUKENG"] * 3),
    "an empty answer": ([], []),
    "27 boxes": (
        [[2.0 + 7 * (i % 9), 2.0 + 10 * (i // 9), 6.0 + 7 * (i % 9), 8.0 + 10 * (i // 9)] for i in range(27)],
        [LABELS[i % 2] for i in range(27)],
    ),
    "a box at the border": ([[58.0, 26.0, 64.0, 32.0]], ["BENDNG"]),
}


def test_what_was_learned_by_heart_survives_encode_model_decode(model, collator):
    torch.manual_seed(0)
    samples = [sample(*of, seed=i) for i, of in enumerate(BY_HEART.values())]
    batch = collator(samples)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    model.train()
    for step in range(400):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 20)
        loss = model(**batch.inputs, labels=batch.labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if float(loss.detach()) < 0.01:
            break
    model.eval()
    # Published checkpoints set 3, which would corrupt an answer that repeats a label.
    model.generation_config.no_repeat_ngram_size = 3
    found = generate(model, batch.inputs, Question(AnswerGrammar(collator.vocabulary)), [SIZE] * 4)
    for (boxes, labels), answer in zip(BY_HEART.values(), found, strict=True):
        true = sorted(zip(labels, [tuple(b) for b in boxes], strict=True))
        said = sorted((f.label, f.box) for f in answer)
        assert [label for label, _ in said] == [label for label, _ in true]
        for (_, box), (_, expected) in zip(said, true, strict=True):
            assert box == pytest.approx(expected, abs=0.07)  # a bin is 0.064 px wide
        assert all(f.confidence > 0.5 for f in answer)


def test_the_model_is_plain_florence_2_and_loads_again(model, processor, tmp_path):
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, _ = network.load(str(tmp_path), LABELS, SIZE, seed=5)
    assert type(again).__name__ == "Florence2ForConditionalGeneration"
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])
    assert again.lm_head.weight is again.model.language_model.shared.weight


def test_pixels_are_those_of_the_processor(processor, collator):
    from PIL import Image

    from trainer.florence2.data import stretched

    rng = torch.Generator().manual_seed(3)
    array = (torch.rand((50, 70, 3), generator=rng) * 255).byte().numpy()
    picture = Image.fromarray(array)
    expected = processor(text="<OD>", images=picture, return_tensors="pt")
    ours = collator.inputs(torch.from_numpy(stretched(picture, SIZE).copy())[None].float() / 255)
    assert torch.equal(ours["input_ids"], expected["input_ids"])
    assert (ours["pixel_values"] - expected["pixel_values"]).abs().max() < 1e-5


def test_the_self_test_passes_the_native_loss_with_masked_labels(model, collator):
    batch = collator([sample(*of) for of in BY_HEART.values()])
    assert (batch.labels == IGNORED).any()
    out = model(**batch.inputs, labels=batch.labels)
    check_loss(out.loss, out.logits, batch.labels)


def test_the_self_test_catches_the_double_shift_and_names_the_fix(model, collator):
    """transformers 4.56.0 to 5.12.0 shift the labels once for the decoder and once more in the loss."""
    batch = collator([sample(*of) for of in BY_HEART.values()])
    logits = model(**batch.inputs, labels=batch.labels).logits
    shifted = answer_loss(logits[:, :-1], batch.labels[:, 1:])
    with pytest.raises(InputError, match=r"shifts the labels once more.*transformers >= 5\.13"):
        check_loss(shifted, logits, batch.labels)


def test_the_self_test_catches_unmasked_padding(model, collator):
    batch = collator([sample(*of) for of in BY_HEART.values()])
    logits = model(**batch.inputs, labels=batch.labels).logits
    unmasked = answer_loss(logits, batch.labels.where(batch.labels != IGNORED, torch.tensor(1)))
    with pytest.raises(InputError, match="not the answer's cross-entropy"):
        check_loss(unmasked, logits, batch.labels)


@pytest.mark.parametrize("installed, fits", [("4.55.4", False), ("5.12.0", False), ("5.13.0", True), ("6.0", True)])
def test_versions_that_learn_nothing_are_refused(installed, fits):
    if fits:
        check_version(installed)
    else:
        with pytest.raises(InputError, match=r"5\.13 or newer, got|expected 5\.13"):
            check_version(installed)


def test_another_kind_of_checkpoint_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bart"}')
    with pytest.raises(InputError, match="expected Florence-2 in the format of the transformers library"):
        network.load(str(tmp_path), LABELS, SIZE, 0)
    with pytest.raises(InputError, match="no such folder"):
        network.load(str(tmp_path / "nothing"), LABELS, SIZE, 0)


@pytest.mark.parametrize(
    "file, change",
    [
        ("config.json", {"model_type": "other", "auto_map": {"AutoConfig": "other.Other"}}),
        (
            "processor_config.json",
            {"image_processor": {"image_processor_type": "Other", "auto_map": {"AutoImageProcessor": "other.Other"}}},
        ),
    ],
)
def test_python_in_a_checkpoint_is_not_run(model, processor, tmp_path, monkeypatch, file, change):
    ran = tmp_path / "ran"
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "other.py").write_text(f"open({str(ran)!r}, 'w')\nclass Other: pass\n")
    document = json.loads((tmp_path / "model" / file).read_text())
    (tmp_path / "model" / file).write_text(json.dumps({**document, **change}))
    monkeypatch.setattr("builtins.input", lambda _: "y")
    with pytest.raises(InputError, match="contains custom code"):
        network.load(str(tmp_path / "model"), LABELS, SIZE, 0)
    assert not ran.exists()


def test_blocks_go_from_the_answer_back_to_the_picture(model):
    names = [name for name, _ in units(model)]
    order = [
        "language_model.shared",
        "language_model.decoder.layers.1",
        "language_model.decoder.layers.0",
        "language_model.encoder.layers.0",
        "multi_modal_projector",
        "vision_tower.blocks.2.0",
        "vision_tower.blocks.0.0",
    ]
    places = [names.index(name) for name in order]
    assert places == sorted(places)
    held = [id(p) for _, group in units(model) for _, p in group]
    assert sorted(held) == sorted(id(p) for p in model.parameters())


def test_modes_train_what_they_say(model):
    def trained(part: str) -> set[bool]:
        return {p.requires_grad for n, p in model.named_parameters() if part in n}

    choose_parameters(model, "full")
    assert {p.requires_grad for p in model.parameters()} == {True}
    choose_parameters(model, "language")
    assert trained("vision_tower") == {False} and trained("language_model") == {True}
    assert trained("multi_modal_projector") == {True}
    choose_parameters(model, "decoder")
    assert trained("language_model.encoder.") == {False} and trained("language_model.decoder.") == {True}


@pytest.mark.parametrize("share", [1.0, 25.0, 50.0, 80.0])
def test_a_share_is_not_exceeded_but_by_one_block(model, share):
    chosen = choose_parameters(model, "full", share)
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    every = sum(p.numel() for p in model.parameters())
    assert len(chosen) == 1 or count <= share / 100 * every
    assert share < 50 or count > (share - 30) / 100 * every


def test_frozen_parameters_do_not_move_and_the_head_is_not_kept(model, collator):
    config = DetectionConfig(scaffold=1.0, measure_weight=1.0)
    choose_parameters(model, "decoder")
    trainee = DetectionLosses(model, config, collator, scale=torch.tensor([0.1, 0.1, 0.2])).eval()
    before = {n: p.detach().clone() for n, p in trainee.named_parameters()}
    batch = collator([sample(*BY_HEART["27 boxes"])], "good")
    assert (batch.listed != IGNORED).sum() == 2  # no good pin: an empty list
    samples = [sample([[4.0, 4.0, 8.0, 8.0], [20.0, 4.0, 24.0, 8.0]], ["NUKENG", "OK"])]
    batch = collator(samples, "good")
    pins = torch.tensor([[[6.0, 6.0, 1, 0.3, 0, 0], [22.0, 6.0, 0, 0, 0, 0], [99.0, 6.0, 1, 5, 5, 5]]])
    targets = auxiliary_loss.Targets(
        *auxiliary_loss.cell_targets(samples, 2, trainee.grid, SIZE),
        *places(pins, SIZE, trainee.cell),
        *drawn_regions(samples, 2, SIZE, torch.Generator().manual_seed(0)),
    )
    assert targets.cells.tolist() == [0, 2] and targets.pins[:, 2].tolist() == [1, 0]  # the third lies outside
    losses = trainee(batch, targets)
    assert set(losses) == {"own", "logits", "answer", "loss", "cells", "guide", "good", "measure", "region"}
    for name in ("measure", "region"):
        weight = getattr(trainee, f"{name}_weight")
        setattr(trainee, f"{name}_weight", weight + 1)
        more = trainee(batch, targets)["loss"] - losses["loss"]
        setattr(trainee, f"{name}_weight", weight)
        assert float(more.detach()) == pytest.approx(float(losses[name].detach()), rel=1e-4)
    nothing = trainee(batch, targets._replace(bins=NO_REGIONS.bins, classes=NO_REGIONS.classes))
    assert "region" not in nothing
    losses["loss"].backward()
    optimizer = torch.optim.AdamW(parameter_groups(trainee, 0.1), lr=1e-2)
    optimizer.step()
    for name, parameter in trainee.named_parameters():
        assert torch.equal(before[name], parameter) != parameter.requires_grad, name
    assert not any("head" in name for name in model.state_dict() if "lm_head" not in name)


def test_cells_are_where_the_pins_are():
    samples = [sample([[0.0, 0.0, 16.0, 8.0], [8.0, 0.0, 16.0, 8.0], [57.0, 25.0, 60.0, 27.0]], ["OK", "BENDNG", "OK"])]
    categories, boxes = auxiliary_loss.cell_targets(samples, 2, (8, 4), SIZE)
    grid = categories.reshape(4, 8)
    assert grid[0].tolist() == [3, 1, 0, 0, 0, 0, 0, 0]  # OK is class 2, so its target is 3; the defect wins over it
    assert grid[3, 7] == 3 and int((grid != 0).sum()) == 3
    assert boxes.reshape(4, 8, 4)[3, 7].tolist() == pytest.approx([-0.375, -0.375, 0.0, -0.125])


def test_a_cell_without_a_name_teaches_edges_but_no_class():
    pins = sample([[0.0, 0.0, 8.0, 8.0], [16.0, 0.0, 24.0, 8.0], [32.0, 0.0, 40.0, 8.0]], ["BENDNG", "OK", "OK"])
    shares = torch.tensor([0.0, 0.0, 0.4])
    categories, boxes = auxiliary_loss.cell_targets([pins._replace(shares=shares)], 2, (8, 4), SIZE)
    assert categories[0, [0, 2, 4]].tolist() == [1, auxiliary_loss.UNNAMED, 3]
    generator = torch.Generator().manual_seed(0)
    logits, edges = (torch.randn(1, 32, n, generator=generator) for n in (4, 28))
    loss = [auxiliary_loss.cell_loss(logits, edges, categories, boxes, 2)]
    for which, tensor in ((2, logits), (4, logits), (2, edges)):
        changed = tensor.clone()
        changed[0, which] = changed[0, which].flip(0)
        now = (changed, edges) if tensor is logits else (logits, changed)
        loss.append(auxiliary_loss.cell_loss(*now, categories, boxes, 2))
    assert loss[1] == loss[0] and loss[2] != loss[0] and loss[3] != loss[0]
    plain = auxiliary_loss.cell_targets([pins], 2, (8, 4), SIZE)[0]
    assert plain[0, 2] == 3 and torch.equal(auxiliary_loss.cell_targets([pins], 2, (8, 4), SIZE)[1], boxes)


def test_the_guide_sees_the_cells_of_the_box_that_is_written(collator):
    v = collator.vocabulary
    labels = torch.tensor([v.tokens([[8, 0, 15, 7], [56, 24, 64, 32]], ["BENDNG", "BENDNG"], SIZE)])
    bin_of = torch.full((2000,), -1)
    bin_of[torch.tensor(v.location_ids)] = torch.arange(1000)
    places, cells = auxiliary_loss.looked_at(labels, bin_of, (8, 4))
    assert int(places.sum()) == 8 and cells.shape == (8, 32)
    assert cells[0].nonzero().flatten().tolist() == [1]
    assert cells[7].nonzero().flatten().tolist() == [31]
    on = torch.zeros(1, labels.shape[1], 34)
    on[0, places[0].nonzero().flatten()[:4], 1 + 1] = 1.0
    on[0, places[0].nonzero().flatten()[4:], 1 + 31] = 1.0
    assert float(auxiliary_loss.guide_loss([on], places, cells)) == pytest.approx(0.0, abs=1e-6)


def test_a_close_up_s_guide_and_places_are_those_of_the_whole_picture(model, collator):
    v = collator.vocabulary
    labels = torch.tensor([v.tokens([[40, 8, 48, 16]], ["BENDNG"], SIZE)])
    bin_of = torch.full((2000,), -1)
    bin_of[torch.tensor(v.location_ids)] = torch.arange(1000)
    corners = torch.tensor([[4, 0]])
    _, cells = auxiliary_loss.looked_at(labels, bin_of, (8, 4), (3, 3), corners)
    assert cells[0].reshape(3, 3).nonzero().tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    module = model.model.multi_modal_projector.image_position_embed
    whole = module(torch.zeros(1, 64, 4, 8))
    with auxiliary_loss.placed(model, corners):
        part = module(torch.zeros(1, 64, 3, 3))
    assert torch.equal(part, whole[:, :, 0:3, 4:7])
    assert torch.equal(module(torch.zeros(1, 64, 3, 3)), whole[:, :, :3, :3])


def test_a_spread_target_is_kindest_to_the_nearest_bins(model, collator):
    trainee = DetectionLosses(model, DetectionConfig(scaffold=0.0, location_smoothing=3.0), collator)
    ids = collator.vocabulary.location_ids

    def loss(said: int) -> float:
        logits = torch.zeros(1, 1, model.config.text_config.vocab_size)
        logits[0, 0, ids[said]] = 8.0
        return float(trainee.spread_loss(logits, torch.tensor([[ids[500]]])))

    assert loss(500) < loss(502) < loss(510)
    trainee.spread = 0.0  # --location-smoothing 0
    assert loss(500) < loss(502) == pytest.approx(loss(510))


def test_a_place_is_nearest_to_itself_and_its_fine_band_repeats_in_every_cell():
    places = (torch.arange(1000) + 0.5) / 1000
    rows = place_code(places, 64, (32, 16))
    alike = torch.nn.functional.cosine_similarity(rows[:, None], rows[None], dim=-1)
    assert torch.equal(alike.argmax(1), torch.arange(1000))
    assert alike[500, 501] > alike[500, 504] > alike[500, 516]
    fine = place_code(torch.tensor([0.3, 0.3 + 1 / 16]), 64, (32, 16))[:, -12:]
    assert torch.allclose(fine[0], fine[1], atol=1e-4)


def test_an_edge_s_waves_are_those_of_its_location():
    """The code of a cell's edge holds the same sines as the location token of that edge."""
    gw, edge = 32, 0.2  # of cell 5, counted from its centre
    code = auxiliary_loss.edge_code(torch.full((4,), edge))
    place = torch.tensor([(5.5 + edge) / gw])
    fine = place_code(place, 64, (gw, 16))[0, -6:] / 1.5  # sine and cosine of gw, 2 gw and 4 gw cycles
    sines, cosines = code[4:16:4], code[16:28:4]
    assert torch.allclose(torch.stack([sines, cosines], 1).flatten(), fine, atol=1e-4)


def test_the_average_follows_and_is_put_back(model):
    choose_parameters(model, "full")
    average = Average(model, 0.9)
    _, parameter = next(iter(model.named_parameters()))
    before = parameter.detach().clone()
    with torch.no_grad():
        parameter += 1
    average.update(1000)
    with average.in_place():
        assert torch.allclose(parameter, before + 0.1, atol=1e-6)
    assert torch.allclose(parameter, before + 1)


def test_the_rate_warms_up_and_falls():
    config = DetectionConfig(lr=1.0, warmup=0.1)
    rates = [learning_rate(step, 100, schedule_of(config)) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True) and rates[-1] < 0.02
