"""A run's files are read strictly, and never as code."""

import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import edited
from trainer.core.errors import InputError
from trainer.core.run_folder import write_text
from trainer.vit.run import load_config, load_model


def test_what_was_saved_is_what_is_loaded(run):
    model = load_model(run, "last")
    kept = load_file(run / "last.safetensors")
    assert all(torch.equal(kept[name], tensor) for name, tensor in model.state_dict().items())
    assert not model.training


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(owner="me"), "owner"),
        (lambda d: d["model"].update(windows=4), "windows"),
        (lambda d: d["training"].update(momentum=0.9), "momentum"),
        (lambda d: d["model"].pop("dim"), "'dim' is missing"),
        (lambda d: d["model"].update(dim="wide"), "'dim'"),
        (lambda d: d["training"].update(augment="yes"), "'augment'"),
        (lambda d: d["model"].update(mean=["a", "b", "c"]), "'mean'"),
        (lambda d: d["training"].update(stages=[True]), "'stages'"),
        (lambda d: d["model"].update(depth=60), "'depth': expected a whole number from 0 to 48, got 60"),
        (lambda d: d["model"].update(dim=8192), "'dim': expected a whole number from 8 to 4096, got 8192"),
        (lambda d: d.update(version=99), r"expected format and version \['pinsight-vit', 1\]"),
        (lambda d: d.update(model=[]), "expected a JSON object"),
    ],
)
def test_config_with_other_keys_is_refused(run, change, said):
    with edited(run / "config.json") as document:
        change(document)
    with pytest.raises(InputError, match=said):
        load_config(run)


def test_a_run_of_an_earlier_version_judges_at_one_place_as_before(run):
    with edited(run / "config.json") as document:
        document["model"]["shifts"] = 2
    model = load_model(run)
    pixels = torch.rand(1, 3, model.config.height, model.config.width)
    assert not torch.equal(model.judged(pixels).logits, model(pixels).logits)
    with edited(run / "config.json") as document:
        del document["model"]["shifts"]
    model = load_model(run)
    assert torch.equal(model.judged(pixels).logits, model(pixels).logits)


def test_config_that_is_no_json(run):
    (run / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json: expected JSON"):
        load_config(run)


class Bomb:
    fired = False

    def __reduce__(self):
        return (setattr, (Bomb, "fired", True))


def test_pickles_are_refused_unopened(run):
    (run / "best.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="expected a safetensors file"):
        load_model(run)
    torch.save(Bomb(), run / "best.safetensors")
    with pytest.raises(InputError, match="expected a safetensors file"):
        load_model(run)
    assert not Bomb.fired


def test_truncated_and_missing_weights(run):
    data = (run / "best.safetensors").read_bytes()
    (run / "best.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="expected a safetensors file"):
        load_model(run)
    (run / "best.safetensors").unlink()
    with pytest.raises(InputError, match="a training that has saved none yet"):
        load_model(run)


def test_weights_of_another_network(run):
    tensors = load_file(run / "best.safetensors")
    tensors["extra"] = torch.zeros(1)
    tensors["norm.bias"] = torch.zeros(3)
    del tensors["norm.weight"]
    save_file(tensors, run / "best.safetensors")
    with pytest.raises(InputError) as error:
        load_model(run)
    assert len(error.value.problems) == 3
    for said in ("unknown tensor 'extra'", "'norm.weight' is missing", r"expected shape (32,), got (3,)"):
        assert said in str(error.value)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(target, "\ud800")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
