"""The trainers take photographs, whose unknown truth is null, also in a dataset with renders."""

import numpy as np
import pytest
from PIL import Image

from generator.__main__ import main
from generator.dataset.build import Options, build
from tests.generator.made_renders import SCENES, row, write_renders
from tests.trainer.florence2.florence2_rows import detection_of
from trainer.core.data import load_data
from trainer.core.row_facts import factor_levels, facts
from trainer.vit.network.model import OK_CLASS


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Renders, photographs with a class only, and photographs with boxes."""
    folder = tmp_path_factory.mktemp("mixed")
    defects = ["", "bent@r2c5:tilt_deg=12,azimuth_deg=30"]
    rows = [row(f"t{n}", "train" if n < 4 else "validation", defects[n % 2]) for n in range(6)]
    write_renders(folder / "renders", rows)
    build(folder / "renders", folder / "dataset", SCENES, Options({}))
    rng = np.random.default_rng(0)
    for split in ("train", "validation"):
        for label in ("OK", "NUKENG"):
            (folder / "photos" / split / label).mkdir(parents=True)
            pixels = rng.integers(0, 255, (48, 96, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / split / label / f"{split}_{label}.png")
    words = ["import", str(folder / "photos"), "--format", "imagefolder", "--with", str(folder / "dataset")]
    assert main([*words, "--to", str(folder / "mixed")]) == 0
    words = ["import", str(folder / "photos"), "--format", "imagefolder"]
    assert main([*words, "--to", str(folder / "alone")]) == 0
    return folder


def test_the_classifier_s_reader_takes_them(mixed):
    for name, count in (("mixed", 6), ("alone", 2)):
        data = load_data(mixed / name)
        split = data.splits["train"]
        assert len(split) == count
        ok = data.classes.index(OK_CLASS)
        for index, row_ in enumerate(facts(split, ok)):
            if "NUKENG" in split.runs[index] or "_OK" in split.runs[index]:
                assert not split.boxes_known[index] and not split.may_flip[index].any()
                assert row_.kinds == ("OK" if split.labels[index] == ok else "unknown")
                assert row_.factors["synthetic"] == "False" and row_.factors["camera"] == ""
        found = factor_levels(facts(split, ok), {})
        assert ("synthetic" in found) == (name == "mixed")


def test_florence_s_reader_leaves_out_pictures_without_an_answer(mixed):
    data = detection_of(mixed / "mixed", (96, 48))
    runs = [truth.run for truth in data.splits["train"].truths]
    assert len(runs) == 5 and not [run for run in runs if "NUKENG" in run]
    assert len(data.splits["train"].pictures.batch(range(5))) == 5
    row_ = next(t for t in data.splits["train"].truths if "_OK" in t.run)
    assert not row_.targets and row_.may_flip == (False, False)
