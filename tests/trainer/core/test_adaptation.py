import json

import numpy as np
import pytest
import torch
from PIL import Image

from generator.io.checksum import sha256_of
from trainer.core import adaptation
from trainer.core.adaptation import choose
from trainer.core.adaptation_seal import FILE
from trainer.core.errors import InputError
from trainer.core.picture_transform import NONE, PictureTransform
from trainer.core.run_folder import BEST, read_tensors, save_tensors

CURVES = np.tile(np.arange(256.0), (3, 1))


@pytest.fixture
def runs(tmp_path):
    """A run, and one that was adapted from it."""
    source, out = tmp_path / "run", tmp_path / "adapted"
    for folder in (source, out):
        folder.mkdir()
    save_tensors(source / BEST, {"weight": torch.arange(3.0)}, {"epoch": "4"})
    (source / "config.json").write_text("{}")
    (source / "gates/center").mkdir(parents=True)
    (source / "gates/center/gates.npz").write_bytes(b"limits")
    views = {"center": {"transform": PictureTransform(NONE, CURVES).to_json()}}
    adaptation.copy(source, out, ["config.json", "missing.json", "gates"])
    (out / "frozen.json").write_text(json.dumps({"threshold": 0.5, "weights_sha256": sha256_of(out / BEST)}))
    adaptation.seal(source, out, {"views": views})
    return source, out


def test_an_adapted_run_has_the_weights_of_its_source_and_another_hash(runs):
    source, out = runs
    (old, _), (new, stated) = (read_tensors(folder / BEST) for folder in runs)
    assert torch.equal(old["weight"], new["weight"]) and stated["epoch"] == "4"
    assert sha256_of(source / BEST) != sha256_of(out / BEST)
    assert json.loads((out / FILE).read_text())["from"] == {"run": "run", "sha256": sha256_of(source / BEST)}
    assert sorted(path.name for path in out.iterdir()) == [FILE, BEST, "config.json", "frozen.json", "gates"]
    assert json.loads((out / "frozen.json").read_text())["weights_sha256"] == sha256_of(out / BEST)
    assert adaptation.load(source) is None


def test_pictures_of_views_that_were_not_photographed_are_refused(runs):
    found, picture = adaptation.load(runs[1]), Image.new("RGB", (4, 4))
    assert found.apply(picture, "center") is picture
    with pytest.raises(InputError, match="view top: expected a view that the photographs"):
        found.apply(picture, "top")


def test_an_adapted_run_without_its_changes_or_with_other_ones_is_refused(runs):
    path = runs[1] / FILE
    path.write_text(path.read_text().replace('"none"', '"tone"'))
    with pytest.raises(InputError, match="got another; adapt again"):
        adaptation.load(runs[1])
    path.unlink()
    with pytest.raises(InputError, match="got no such file"):
        adaptation.load(runs[1])


@pytest.mark.parametrize("is_missing", [False, True])
@pytest.mark.parametrize("name", ["frozen.json", "config.json", "gates/center/gates.npz"])
def test_a_changed_or_missing_file_of_an_adapted_run_is_refused(runs, name, is_missing):
    path = runs[1] / name
    path.unlink() if is_missing else path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(InputError, match=f"{name}: expected the file that {FILE} states"):
        adaptation.load(runs[1])


@pytest.mark.parametrize("name", ["errors.npz", "gates.safetensors", "gates/top/gates.npz"])
def test_a_new_file_that_verdicts_follow_from_is_refused(runs, name):
    (runs[1] / name).parent.mkdir(exist_ok=True)
    (runs[1] / name).write_bytes(b"")
    with pytest.raises(InputError, match=f"{name}: expected no file"):
        adaptation.load(runs[1])


def test_commands_that_cannot_change_pictures_refuse_an_adapted_run(runs):
    adaptation.refuse(runs[0], "trainer.export")
    with pytest.raises(InputError, match="an ONNX file does not change pictures"):
        adaptation.refuse(runs[1], "an ONNX file")


@pytest.mark.parametrize(
    ("tried", "best"),
    [
        ([(20, 0.10), (20, 0.095)], 0),  # hardly nearer
        ([(20, 0.10), (20, 0.08)], 1),
        ([(20, 0.10), (19, 0.05)], 0),  # nearer, but fewer parts are accepted
        ([(2, 0.10), (12, 0.10), (13, 0.10)], 1),  # the simplest of those that are as good
        ([(0, 0.119), (0, 0.105), (20, 0.112)], 2),  # not nearer than the second, but accepted
        ([(2, 0.10), (18, 0.20)], 0),  # accepted, but edges are found farther away
        ([(0, float("inf")), (9, 0.2)], 1),
    ],
)
def test_a_change_is_used_only_if_it_clearly_helps(tried, best):
    assert choose(tried, 20) == best
