"""The ONNX file gives the network's results without torch, and is not written if its results differ."""

import json

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from tests.other_python import ROOT, other_python
from trainer.core import frozen_threshold, onnx_file
from trainer.export import main
from trainer.vit import onnx_export as export
from trainer.vit import run as vit_run
from trainer.vit.network.model import ViT, ViTConfig
from trainer.vit.run import TrainingConfig
from trainer.vit.verdicts import judge


@pytest.fixture(scope="module")
def exported(trained_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    assert main(["--model", str(trained_run), "--to", str(path)]) == 0
    return path


# In its own process, which imports neither torch nor the project.
ALONE = """
import json, sys
import numpy as np, onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
pixels = np.stack([np.asarray(Image.open(p).convert("RGB"), np.float32).transpose(2, 0, 1) / 255 for p in sys.argv[2:]])
probabilities, patches = session.run(None, {"pixels": pixels})
assert not {"torch", "trainer"} & set(sys.modules)
meta = session.get_modelmeta().custom_metadata_map
print(json.dumps({"p": probabilities.tolist(), "patches": patches.tolist(), "meta": meta}))
"""


def test_onnxruntime_alone_says_what_predict_says(exported, trained_run, make_rows, tmp_path):
    files = []
    for row in make_rows("test", 3, 5):
        files.append(tmp_path / f"{row['run']}.png")
        files[-1].write_bytes(row["image"]["bytes"])
    said = json.loads(other_python("-c", ALONE, exported, *files, cwd=tmp_path).stdout)
    model, held = vit_run.load_model(trained_run), frozen_threshold.load(trained_run)
    assert (float(said["meta"]["temperature"]), float(said["meta"]["threshold_ng"])) == (
        held.temperature,
        held.threshold,
    )
    assert said["meta"]["fit"] == "fit" and float(said["meta"]["balanced_accuracy_lower_bound"]) > 0.5
    assert held.temperature != pytest.approx(1, abs=0.1)
    assert json.loads(said["meta"]["classes"]) == list(model.config.classes)
    assert (said["meta"]["width"], said["meta"]["height"], said["meta"]["input"]) == ("64", "32", "image")
    for file, p, patches in zip(files, said["p"], said["patches"], strict=True):
        with Image.open(file) as picture:
            verdict, heat = judge(model, picture, held.limits, held.temperature)
        p_ng = 1 - p[model.config.ok_index]
        assert ("NG" if p_ng >= float(said["meta"]["threshold_ng"]) else "OK") == verdict.verdict
        assert p == pytest.approx(list(verdict.probabilities.values()), abs=export.TOLERANCE)
        assert 1 - np.array(patches)[model.config.ok_index] == pytest.approx(heat, abs=export.TOLERANCE)


def test_the_program_of_the_how_to_judges_and_refuses_an_unfit_run(exported, trained_run, make_rows, tmp_path):
    page = (ROOT / "docs" / "how_to" / "train_vit.md").read_text("utf-8")
    program = page.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "picture.png").write_bytes(make_rows("test", 1, 5)[0]["image"]["bytes"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "vit").symlink_to(trained_run)
    network = onnx.load(exported)
    onnx.save(network, tmp_path / "model.onnx")
    done = other_python("-c", program, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.stdout.split()[0] in ("OK", "NG", "UNSURE", "INVALID")
    next(prop for prop in network.metadata_props if prop.key == "fit").value = "unfit"
    onnx.save(network, tmp_path / "model.onnx")
    done = other_python("-c", program, cwd=tmp_path, check=False, PYTHONPATH=str(ROOT))
    assert done.returncode == 1 and done.stderr == "INVALID: the run is unfit or untested\n" and not done.stdout


OTHER = {"registers": 2, "stem": "linear", "positions": "learned"}


@pytest.mark.parametrize(
    ("width", "height", "patch", "shape"), [(61, 30, 8, {}), (250, 250, 16, {}), (33, 47, 4, {}), (61, 30, 8, OTHER)]
)
def test_sizes_that_are_no_multiple_of_a_patch(tmp_path, width, height, patch, shape):
    torch.manual_seed(0)
    config = ViTConfig(("NG", "OK"), width, height, patch_size=patch, dim=32, depth=2, heads=2, **shape)
    assert export.export(ViT(config).eval(), TrainingConfig(), tmp_path / "model.onnx") <= export.TOLERANCE


def test_of_the_last_weights_nothing_is_frozen(trained_run, tmp_path):
    path = tmp_path / "model.onnx"
    assert main(["--model", str(trained_run), "--to", str(path), "--weights", "last"]) == 0
    meta = {prop.key: prop.value for prop in onnx.load(path).metadata_props}
    assert float(meta["temperature"]) == 1 and "threshold_ng" not in meta


def test_a_file_that_answers_otherwise_is_not_written(trained_run, tmp_path, monkeypatch):
    model = vit_run.load_model(trained_run)
    other = vit_run.load_model(trained_run)
    with torch.no_grad():
        other.class_head.bias[0] += 1
    real = onnx_file.largest_difference
    wrong = export.Probabilities(other).eval()
    monkeypatch.setattr(onnx_file, "largest_difference", lambda path, _, inputs: real(path, wrong, inputs))
    _, settings = vit_run.load_config(trained_run)
    with pytest.raises(RuntimeError, match="expected outputs that differ"):
        export.export(model, settings, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_results_that_differ_end_the_command_with_1_and_no_traceback(trained_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(onnx_file, "largest_difference", lambda *_: 0.5)
    path = tmp_path / "model.onnx"
    assert main(["--model", str(trained_run), "--to", str(path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path}: expected outputs that differ") and "got up to 0.5" in said
    assert not list(tmp_path.iterdir())


def test_outputs_that_are_no_numbers_differ_without_bound(exported, trained_run):
    model = vit_run.load_model(trained_run)
    with torch.no_grad():
        model.class_head.bias[0] = float("nan")
    inputs = [(pixels,) for pixels in export.probes(model)]
    assert onnx_file.largest_difference(exported, export.Probabilities(model).eval(), inputs) == float("inf")


def test_wrong_requests_are_refused(exported, trained_run, tmp_path, capsys):
    run = str(trained_run)
    for options, said in (
        (["--model", run, "--to", str(exported)], "--overwrite"),
        (["--model", run, "--to", str(tmp_path / "model.bin")], ".onnx"),
        (["--model", run, "--to", str(tmp_path / "none" / "model.onnx")], "expected a file in a folder that exists"),
        (["--model", str(tmp_path), "--to", str(tmp_path / "model.onnx")], "config.json"),
    ):
        assert main(options) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "model.onnx").exists()
