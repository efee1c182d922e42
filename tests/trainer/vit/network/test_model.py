"""The network: shapes, sizes, and what its verdict may depend on."""

import numpy as np
import pytest
import torch

from trainer.core.errors import InputError
from trainer.vit.gates import watch
from trainer.vit.network.blocks import rotary_tables, rotate
from trainer.vit.network.model import SIZES, EvidencePooling, ViT, ViTConfig, moved

CLASSES = ("BENDNG", "NUKENG", "OK")


def small(**changes) -> ViT:
    torch.manual_seed(0)
    return ViT(ViTConfig(CLASSES, **{"width": 64, "height": 32, "dim": 32, "depth": 1, "heads": 2, **changes})).eval()


@pytest.mark.parametrize(
    ("width", "height", "patch_size", "grid"),
    [(64, 32, 8, (4, 8)), (50, 37, 8, (5, 7)), (64, 32, 4, (8, 16)), (64, 48, 16, (3, 4))],
)
def test_any_picture_size_gives_one_logit_per_class_and_patch(width, height, patch_size, grid):
    model = small(width=width, height=height, patch_size=patch_size)
    prediction = model(torch.rand(2, 3, height, width))
    assert prediction.logits.shape == (2, 3)
    assert prediction.patch_logits.shape == (2, 3, *grid)
    assert torch.isfinite(prediction.logits).all()


def test_default_network_has_about_a_million_parameters():
    count = sum(p.numel() for p in ViT(ViTConfig(CLASSES, 256, 128)).parameters())
    assert 0.5e6 < count < 2e6


def test_registers_and_positions_count_and_do_not_decay():
    model = small(registers=3, positions="learned", stem="linear")
    pixels = torch.rand(1, 3, 32, 64)
    before = model(pixels).logits
    for tokens, shape in ((model.registers, (3, 32)), (model.positions, (32, 32))):
        assert tokens.shape == shape
        assert any(p is tokens for p in model.parameter_groups(0.1)[1]["params"])
        with torch.no_grad():
            tokens += 1 + torch.arange(32)
        after = model(pixels).logits
        assert not torch.allclose(before, after, atol=1e-6)
        before = after
    # Larger than what was learned, and a cut-out.
    assert model(torch.rand(1, 3, 48, 64)).patch_logits.shape == (1, 3, 6, 8)
    assert model(torch.rand(1, 3, 16, 16)).patch_logits.shape == (1, 3, 2, 2)


def test_what_is_off_changes_nothing():
    own = small().state_dict()
    assert not {"registers", "positions"} & set(own)
    torch.manual_seed(0)
    more = small(registers=2).state_dict()
    assert all(torch.equal(tensor, more[name]) for name, tensor in own.items())


def test_the_usual_sizes_are_those_of_the_literature():
    counts = {"tiny": 5.7e6, "small": 22e6, "base": 86e6}
    for name, shape in SIZES.items():
        with torch.device("meta"):
            count = sum(p.numel() for p in ViT(ViTConfig(CLASSES, 256, 128, **shape)).parameters())
        assert count == pytest.approx(counts[name], rel=0.05)


def test_a_verdict_does_not_depend_on_the_pictures_beside_it():
    model = small()
    pictures = torch.rand(4, 3, 32, 64, generator=torch.Generator().manual_seed(1))
    model.train()
    together = model(pictures).logits
    alone = torch.cat([model(pictures[i : i + 1]).logits for i in range(4)])
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("patch_size", [4, 8, 16])
@pytest.mark.parametrize("views", [(), ("center", "top")])
def test_a_picture_is_judged_by_the_mean_of_its_places_on_the_grid(patch_size, views):
    pixels = torch.rand((2, *((2,) if views else ()), 3, 32, 64), generator=torch.Generator().manual_seed(1))
    half = patch_size // 2
    places = {1: [(0, 0)], 2: [(0, 0), (half, half)], 4: [(0, 0), (half, half), (half, 0), (0, half)]}
    with torch.inference_mode():
        for shifts, asked in places.items():
            model = small(patch_size=patch_size, views=views, shifts=shifts)
            found, plain = model.judged(pixels), model(pixels)
            expected = torch.stack([model(moved(pixels, *place)).logits for place in asked]).mean(0)
            assert torch.allclose(found.logits, expected, atol=1e-6)
            assert torch.equal(found.patch_logits, plain.patch_logits)
            assert torch.equal(found.logits, plain.logits) == (shifts == 1)


@pytest.mark.parametrize("shifts", [1, 2, 4])
def test_the_gates_see_the_features_of_the_pictures_as_they_are(shifts):
    model = small(shifts=shifts)
    pixels = torch.rand(5, 3, 32, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        with watch(model) as plain:
            model(pixels)
        expected = plain.features
        with watch(model) as seen:
            for some in (pixels[:3], pixels[3:]):
                model.judged(some)
    assert seen.features.shape == expected.shape and np.allclose(seen.features, expected, atol=1e-5)


def test_moved_pictures_keep_their_size_and_repeat_their_border():
    pixels = torch.arange(12.0).view(1, 1, 3, 4)
    assert moved(pixels, 1, 2)[0, 0].tolist() == [[0, 0, 1, 2], [0, 0, 1, 2], [0, 0, 1, 2]]
    assert torch.equal(moved(pixels, 0, 0), pixels)


def test_rotary_products_depend_on_distance_only():
    cos, sin = rotary_tables((5, 6), 16)
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(16, generator=generator), torch.randn(16, generator=generator)
    turned_q, turned_k = rotate(q.expand(30, 16), cos, sin), rotate(k.expand(30, 16), cos, sin)
    products = (turned_q @ turned_k.T).view(5, 6, 5, 6)
    assert products[0, 0, 1, 2] == pytest.approx(products[3, 2, 4, 4].item(), abs=1e-4)
    assert products[0, 0, 1, 2] != pytest.approx(products[0, 0, 2, 1].item(), abs=1e-2)


def test_pooling_hears_one_patch_and_leaves_ok_at_zero():
    pooling = EvidencePooling(3, ok_index=2)
    quiet = torch.zeros(1, 3, 4, 8)
    quiet[:, 2] = 6
    loud = quiet.clone()
    loud[0, 0, 1, 1] = 12
    before, after = pooling(quiet)[0], pooling(loud)[0]
    assert after[0] - before[0] > 8
    assert after[1] == before[1]
    assert after[2] == before[2] == 0


def test_norms_biases_and_scales_do_not_decay():
    model = small()
    decayed = {id(p) for p in model.parameter_groups(0.1)[0]["params"]}
    for name, parameter in model.named_parameters():
        is_weight = name.endswith("weight") and "norm" not in name and parameter.ndim > 1
        assert (id(parameter) in decayed) == is_weight, name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": ("A", "B")}, "OK"),
        ({"patch_size": 7}, "patch size"),
        ({"dim": 30}, "multiple"),
        ({"width": 8}, "8x32"),
        ({"channels": 4}, "4 numbers"),
        ({"width": 100_000}, "from 1 to 4096, got 100000"),
        ({"std": (0.2, 0.0, 0.2)}, "std: expected numbers above 0"),
        ({"shifts": 3}, "expected 1, 2 or 4, got 3"),
    ],
)
def test_impossible_networks_are_refused(changes, said):
    with pytest.raises(InputError, match=said):
        ViTConfig(**{"classes": CLASSES, "width": 64, "height": 32, "dim": 32, "heads": 2, **changes})
