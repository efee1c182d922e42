"""transformers loads a run as it is, says what `trainer.predict` says, and executes nothing of it unasked."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.other_python import other_python
from trainer.core import frozen_threshold, run_folder
from trainer.vit import hub_files
from trainer.vit import run as vit_run
from trainer.vit.network.model import ViT, ViTConfig
from trainer.vit.run import TrainingConfig
from trainer.vit.verdicts import judge

CLASSES = ("BENDNG", "NUKENG", "OK")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Files of the network's size, wider, taller, and grey."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    shapes = ((32, 64, 3), (40, 200, 3), (90, 31, 3), (50, 50))
    for index, shape in enumerate(shapes):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{index}.png")
    return sorted(folder.iterdir())


def by_label(found):
    return {one["label"]: one["score"] for one in found}


def said_by_predict(run, file):
    held = frozen_threshold.load(run)
    verdict, _ = judge(vit_run.load_model(run), Image.open(file), temperature=held.temperature)
    return verdict.probabilities


def test_the_pipeline_says_what_predict_says(trained_run, pictures):
    from transformers import pipeline

    import trainer.hub  # noqa: F401

    assert frozen_threshold.load(trained_run).temperature != 1
    classify = pipeline("image-classification", model=str(trained_run))
    assert classify.model.__module__ == "trainer.vit.network.modeling_pinsight_vit"
    for file in pictures:
        expected = said_by_predict(trained_run, file)
        assert by_label(classify(str(file))) == pytest.approx(expected, abs=1e-5)
        assert by_label(classify(Image.open(file))) == pytest.approx(expected, abs=1e-5)


# A process of its own, in an empty folder, that finds transformers and nothing of the project.
ALONE = """
import json, sys
from transformers import pipeline
try:
    pipeline("image-classification", model=sys.argv[1], trust_remote_code=False)
except ValueError as error:
    refused = str(error)
classify = pipeline("image-classification", model=sys.argv[1], trust_remote_code=True)
assert not [name for name in sys.modules if name.split(".")[0] == "trainer"]
print(json.dumps({"refused": refused, "said": [classify(file) for file in sys.argv[2:]]}))
"""


def test_transformers_alone_asks_for_trust_and_then_says_the_same(trained_run, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (tmp_path / "elsewhere").mkdir()
    document = json.loads(other_python("-c", ALONE, trained_run, *pictures, cwd=tmp_path / "elsewhere").stdout)
    assert "trust_remote_code" in document["refused"]
    for file, found in zip(pictures, document["said"], strict=True):
        assert by_label(found) == pytest.approx(said_by_predict(trained_run, file), abs=1e-5)


def test_saved_and_loaded_again(trained_run, pictures, tmp_path):
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    import trainer.hub  # noqa: F401

    model = AutoModelForImageClassification.from_pretrained(trained_run)
    processor = AutoImageProcessor.from_pretrained(trained_run)
    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    held = {path.name for path in (tmp_path / "saved").iterdir()}
    assert held == {*hub_files.CODE, hub_files.PROCESSOR, "config.json", "model.safetensors"}
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "saved")
    pixels = AutoImageProcessor.from_pretrained(tmp_path / "saved")(Image.open(pictures[1]))["pixel_values"]
    with torch.inference_mode():
        first, second = model(pixels, labels=torch.tensor([1])), again(pixels)
    assert torch.equal(first.logits, second.logits) and torch.equal(first.patch_logits, second.patch_logits)
    assert float(first.loss) > 0
    # Our side of the file is untouched.
    kept, _ = vit_run.read_config(tmp_path / "saved" / "config.json")
    assert kept == vit_run.load_config(trained_run)[0]


def test_the_processor_takes_arrays_and_lists(trained_run):
    from trainer.vit.network.modeling_pinsight_vit import PinsightViTImageProcessor

    processor = PinsightViTImageProcessor.from_pretrained(trained_run)
    picture = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    batch = processor([picture, Image.fromarray(picture)])["pixel_values"]
    assert batch.shape == (2, 3, 32, 64) and torch.equal(batch[0], batch[1])
    assert torch.equal(batch[0], torch.from_numpy(picture.transpose(2, 0, 1)) / 255)


def test_a_network_of_six_channels_loads_and_has_no_processor(tmp_path):
    from trainer.vit.network.modeling_pinsight_vit import PinsightViTForImageClassification

    torch.manual_seed(0)
    statistics = {"mean": (0.4,) * 6, "std": (0.2,) * 6}
    config = ViTConfig(CLASSES, 64, 32, 6, **statistics, dim=32, depth=1, heads=2, registers=2)
    model = ViT(config).eval()
    vit_run.save_config(tmp_path, config, TrainingConfig(input="image+nsoart"))
    run_folder.save_tensors(tmp_path / run_folder.BEST, model.state_dict(), {"epoch": "1"})
    assert not (tmp_path / hub_files.PROCESSOR).exists()
    pixels = torch.rand(2, 6, 32, 64)
    loaded = PinsightViTForImageClassification.from_pretrained(tmp_path)
    with torch.inference_mode():
        assert torch.equal(loaded(pixels).logits, model.judged(pixels).logits)
