"""A ViT that transformers saved goes into ours tensor by tensor, and says what does not fit."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from trainer.core import run_folder
from trainer.core.errors import InputError
from trainer.vit import pretrained
from trainer.vit import run as vit_run
from trainer.vit.command import main
from trainer.vit.network.model import ViT

CLASSES = ("NG", "OK")
STATISTICS = ((0.4, 0.5, 0.6), (0.2, 0.2, 0.2))
SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "patch_size": 8,
    "image_size": 32,
    # As large as trained ones: all of the picture counts.
    "initializer_range": 0.3,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A ViT with a head, one without, and a distilled DeiT, by name."""
    from transformers import (
        DeiTConfig,
        DeiTForImageClassificationWithTeacher,
        ViTConfig,
        ViTForImageClassification,
        ViTModel,
    )

    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    ViTForImageClassification(ViTConfig(**SHAPE | {"num_labels": 5})).save_pretrained(folder / "vit")
    ViTModel(ViTConfig(**SHAPE, qkv_bias=False)).save_pretrained(folder / "plain")
    DeiTForImageClassificationWithTeacher(DeiTConfig(**SHAPE)).save_pretrained(folder / "deit")
    return folder


def network(folder, size=(32, 32), statistics=STATISTICS, **given):
    source = pretrained.read(str(folder))
    torch.manual_seed(1)
    model = ViT(source.network(CLASSES, size, statistics, given))
    return model.eval(), pretrained.load(model, source)


def tokens_of(model, pixels):
    """What the last norm says of each patch: (B, N, dim)."""
    found = []
    hook = model.norm.register_forward_hook(lambda module, given, out: found.append(out))
    with torch.inference_mode():
        model(pixels)
    hook.remove()
    return found[0]


@pytest.mark.parametrize(("name", "special"), [("vit", 1), ("plain", 1), ("deit", 2)])
def test_tokens_are_those_of_transformers(folders, name, special):
    from transformers import AutoModel

    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    reference = AutoModel.from_pretrained(folders / name).eval()
    with torch.inference_mode():
        expected = reference((pixels - 0.5) / 0.5).last_hidden_state
    model, _ = network(folders / name)
    assert model.config.registers == special
    found = tokens_of(model, pixels)
    torch.testing.assert_close(found[:, :16], expected[:, special:], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[:, 16:], expected[:, :special], rtol=1e-3, atol=1e-3)


def test_names_in_memory_are_known_too(folders, tmp_path):
    """What `save_file(model.state_dict())` writes."""
    from transformers import ViTForImageClassification

    folder = shutil.copytree(folders / "vit", tmp_path / "vit")
    held = ViTForImageClassification.from_pretrained(folder).state_dict()
    assert "vit.layers.1.attention.q_proj.weight" in held
    save_file(held, folder / "model.safetensors")
    first, second = pretrained.read(str(folders / "vit")), pretrained.read(str(folder))
    assert all(torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items())


def test_another_grid_more_registers_fewer_blocks_more_channels(folders):
    statistics = ((0.4, 0.5, 0.6) * 2, (0.2,) * 6)
    model, lines = network(folders / "vit", (64, 16), statistics, registers=3, depth=1)
    assert model.positions.shape == (16, 32) and model.registers.shape == (3, 32)
    assert model.config.mean == (0.5, 0.5, 0.5, 0.4, 0.5, 0.6)
    assert not model.stem.projection.weight[:, 3:].any()
    said = "\n".join(lines)
    for part in ("1 of 2 blocks", "4x4 patches interpolated to 2x8", "2 more registers", "random: the heads for 2"):
        assert part in said
    # A cut-out has the middle's positions.
    cut = model._positions((1, 2))
    assert torch.equal(cut, model.positions.view(2, 8, 32)[0:1, 3:5].flatten(0, 1))
    assert model(torch.rand(1, 6, 16, 64)).patch_logits.shape == (1, 2, 2, 8)


def test_mean_and_spread_are_the_checkpoints(folders, tmp_path):
    folder = shutil.copytree(folders / "vit", tmp_path / "vit")
    document = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (folder / "preprocessor_config.json").write_text(json.dumps(document))
    model, _ = network(folder)
    assert model.config.mean == (0.1, 0.2, 0.3) and model.config.std == (0.4, 0.5, 0.6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d, t: d.update(model_type="swin"), "expected model_type 'vit' or 'deit', got 'swin'"),
        (lambda d, t: d.update(hidden_act="relu"), "hidden_act: expected 'gelu', got 'relu'"),
        (lambda d, t: d.update(patch_size=[8, 4]), "expected a square"),
        (lambda d, t: d.update(hidden_size="wide"), "expected numbers for hidden_size and the ViT's other dimensions"),
        (lambda d, t: d.update(intermediate_size=96), r"expected shape \(96, 32\), got \(64, 32\)"),
        (lambda d, t: d.update(image_size=64), r"position_embeddings': expected shape \(1, 65, 32\)"),
        (
            lambda d, t: d.update(num_hidden_layers=3),
            "expected a tensor 'encoder.layer.2.layernorm_before.weight'.*, got none",
        ),
        (lambda d, t: t.pop("vit.layernorm.weight"), "expected a tensor 'layernorm.weight', got none"),
    ],
)
def test_a_checkpoint_that_does_not_fit_says_why(folders, tmp_path, change, said):
    folder = shutil.copytree(folders / "vit", tmp_path / "vit")
    document, tensors = (json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors"))
    change(document, tensors)
    (folder / "config.json").write_text(json.dumps(document))
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(InputError, match=said):
        pretrained.read(str(folder))


def test_only_safetensors_are_read(folders, tmp_path):
    folder = shutil.copytree(folders / "vit", tmp_path / "vit")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"expected the file model\.safetensors .* got .*'pytorch_model\.bin'"):
        pretrained.read(str(folder))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dim": 64}, "--dim: expected 32, as --init .* has, got 64"),
        ({"patch_size": 16}, "--patch-size: expected 8, as --init .* has, got 16"),
        ({"depth": 3}, "--depth: expected 1 to 2, the number of blocks of --init .*, got 3"),
        ({"registers": 0}, "--registers: expected at least 1"),
        ({"stem_width": 16}, "--stem-width: expected no such option, as --init .* has no convolutional stem, got 16"),
    ],
)
def test_options_that_the_checkpoint_has_not(folders, given, said):
    with pytest.raises(InputError, match=said):
        network(folders / "vit", **given)


def test_names_of_the_hub_and_of_runs(folders, trained_run, tmp_path, monkeypatch):
    assert pretrained.is_checkpoint("google/vit-base-patch16-224")
    assert pretrained.is_checkpoint(str(folders / "vit"))
    assert not pretrained.is_checkpoint(str(trained_run))
    assert not pretrained.is_checkpoint("nowhere")
    import huggingface_hub

    def refused(name, **options):
        assert (name, options["revision"]) == ("owner/none", "v1")
        raise OSError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refused)
    with pytest.raises(InputError, match=r"owner/none@v1: expected a run, .* the Hub said: offline"):
        pretrained.read("owner/none@v1")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **options: str(folders / "vit"))
    assert pretrained.read("owner/name").shape["depth"] == 2


def test_sizes_are_options_that_others_win(tiny_dataset, tmp_path, capsys):
    run = tmp_path / "run"
    data = ("--data", str(tiny_dataset), "--out", str(run), "--threads", "1", "--device", "cpu")
    shape = ("--size", "tiny", "--dim", "24", "--depth", "1", "--registers", "2", "--stem-width", "8")
    shown = ("--epochs", "1", "--close-ups", "1", "--close-up-px", "40", "--batch-size", "6")
    assert main([*data, *shape, *shown, "--no-check"]) == 0
    config, settings = vit_run.load_config(run)
    assert (config.dim, config.depth, config.heads, config.mlp_ratio, config.registers) == (24, 1, 3, 4.0, 2)
    assert (config.stem_width, settings.close_up_px) == (8, 40)
    assert main([*data, "--resume", "--size", "base"]) == 2
    assert "--dim" in capsys.readouterr().err


def test_a_training_begins_with_it_and_is_a_run_like_any_other(folders, tiny_dataset, tmp_path, capsys):
    run, options = tmp_path / "run", ("--epochs", "1", "--lr", "1e-9", "--no-check", "--device", "cpu")
    data = ("--data", str(tiny_dataset), "--threads", "1", "--batch-size", "6")
    assert main([*data, "--out", str(run), "--init", str(folders / "vit"), *options]) == 0
    assert "2 of 2 blocks" in capsys.readouterr().out
    kept = vit_run.load_model(run)
    assert (kept.config.stem, kept.config.positions, kept.config.registers) == ("linear", "learned", 1)
    theirs = load_file(folders / "vit" / "model.safetensors")["vit.layernorm.weight"]
    torch.testing.assert_close(kept.norm.weight, theirs, rtol=0, atol=1e-5)
    # Its settings run again, to the bit, and other classes may follow.
    again = tmp_path / "again"
    assert main([*data, "--out", str(again), "--config", str(run / "config.json"), "--no-check"]) == 0
    assert (again / run_folder.BEST).read_bytes() == (run / run_folder.BEST).read_bytes()
    assert main([*data, "--out", str(tmp_path / "next"), "--init", str(run), *options]) == 0
    assert main([*data, "--out", str(tmp_path / "no"), "--init", str(folders / "vit"), "--dim", "64"]) == 2
    assert "--dim" in capsys.readouterr().err
