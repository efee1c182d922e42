from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.io.mask_files import has_few_colours, note_on_masks, split_masks


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(4).integers(60, 200, (48, 64, 3), np.uint8)).save(path)
    return path


def mask(path: Path, kind: str = "L") -> Path:
    pixels = np.zeros((48, 64), np.uint8)
    pixels[20:29, 30:41] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(kind).save(path)
    return path


def heat(path: Path) -> Path:
    """Write a map of grey levels, which some data sets have in place of masks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(4).integers(0, 256, (48, 64), np.uint8)).save(path)
    return path


LAYOUTS = {
    "MVTec AD": (["train/good/000.png", "test/bent/000.png"], ["ground_truth/bent/000_mask.png"]),
    "MVTec LOCO": (["test/logical/000.png"], ["ground_truth/logical/000/000.png", "ground_truth/logical/000/001.png"]),
    "VisA": (["Data/Images/Anomaly/000.JPG", "Data/Images/Normal/000.JPG"], ["Data/Masks/Anomaly/000.png"]),
    "BTAD": (["test/ko/0003.bmp"], ["ground_truth/ko/0003.png"]),
    "KolektorSDD": (["scratch/Part0.jpg", "OK/Part1.jpg"], ["scratch/Part0_label.bmp", "OK/Part1_label.bmp"]),
    "KolektorSDD2": (["train/10000.png"], ["train/10000_GT.png"]),
    "DAGM": (["Class1/Train/0576.png"], ["Class1/Train/Label/0576_label.png"]),
    "magnetic tiles": (["MT_Crack/Imgs/exp1.jpg"], ["MT_Crack/Imgs/exp1.png"]),
    "blurred by JPEG": (["bent/a.png"], ["bent/a_mask.jpg"]),
    "named by hand": (["bent/part 1.png"], ["bent masks/part 1 - mask.png"]),
    "named before": (["bent/7.png"], ["bent/mask_7.png", "bent/GT-7.bmp"]),
    "VOC": (["JPEGImages/a.jpg"], ["SegmentationClass/a.png"]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["L", "1", "RGB"])
def test_the_masks_of_data_sets_are_no_photographs(tmp_path, layout, kind):
    photos, masks = LAYOUTS[layout]
    given = [photo(tmp_path / name) for name in photos], [mask(tmp_path / name, kind) for name in masks]
    assert split_masks([*given[0], *given[1]], tmp_path) == given
    (note,) = note_on_masks(given[1], tmp_path)
    assert f"passed over {len(masks)} pictures that are masks" in note and masks[0] in note


def test_a_map_of_a_photograph_in_a_mask_folder_is_none_either(tmp_path):
    given = photo(tmp_path / "test/bent/000.png"), heat(tmp_path / "ground_truth/bent/000.png")
    assert split_masks(given, tmp_path) == ([given[0]], [given[1]])


def test_photographs_stay_photographs_whatever_their_names(tmp_path):
    names = ["label/000.png", "OK/000.png", "OK/part1_label.png", "OK/a.png", "OK/a.jpg", "masks/new.png", "gt.png"]
    paths = [photo(tmp_path / name) for name in names]
    binary = [mask(tmp_path / name) for name in ("OK/b.png", "OK/c.png", "OK/c.bmp", "mask/1.png", "OK/mask.png")]
    assert split_masks([*paths, *binary], tmp_path, lambda name: name == "mask") == ([*paths, *binary], [])
    assert note_on_masks([], tmp_path) == []


def test_a_damaged_picture_is_no_mask(tmp_path):
    (tmp_path / "a_mask.png").write_bytes(b"no picture")
    assert not has_few_colours(tmp_path / "a_mask.png")
    assert split_masks([tmp_path / "a_mask.png"], tmp_path) == ([tmp_path / "a_mask.png"], [])
