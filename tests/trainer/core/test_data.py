"""Pictures of any kind and boxes, as the network gets them."""

import io
import shutil
import struct

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from trainer.core import split as split_module
from trainer.core.data import load_data
from trainer.core.errors import InputError
from trainer.core.split import IGNORED, channel_statistics
from trainer.vit.network.letterbox import fit_of, pixels_of, rgb


def test_tiny_dataset_as_loaded(tiny_dataset):
    data = load_data(tiny_dataset)
    split = data.splits["train"]
    assert (data.size, data.classes, len(split)) == ((64, 32), ("BENDNG", "NUKENG", "OK"), 12)
    assert split.pictures.batch([0, 3]).shape == (2, 3, 32, 64)
    assert split.labels.tolist() == [0, 1, 2] * 4
    assert split.boxes.shape == (12, 8, 4)
    assert split.categories[0].tolist() == [0] + [2] * 7
    assert split.boxes_known.all() and split.may_flip.all()
    x1, y1, x2, y2 = split.boxes[2, 0].tolist()
    assert (x1, y1, x2, y2) == (5, 5, 11, 11)  # xyxy


def test_pictures_beyond_memory_are_decoded_each_time_and_said_so(tiny_dataset):
    held, decoded = load_data(tiny_dataset), load_data(tiny_dataset, memory=10)
    assert not decoded.splits["train"].pictures.in_memory
    assert any("do not fit in memory" in warning for warning in decoded.warnings)
    assert not held.warnings
    a, b = (data.splits["train"].pictures.batch([5, 1]) for data in (held, decoded))
    assert torch.equal(a, b)


def test_boxes_are_fitted_like_the_pixels(tiny_dataset):
    split = load_data(tiny_dataset, size=(96, 96)).splits["train"]
    picture = split.pictures.batch([2])[0].float()
    for x1, y1, x2, y2 in split.boxes[2].round().int().tolist():
        assert picture[:, y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].min() > 150
    assert torch.equal(picture[:, :24], picture[:, 24:25].expand(3, 24, 96))
    assert torch.equal(picture[:, 72:], picture[:, 71:72].expand(3, 24, 96))


def test_hidden_objects_and_unknown_boxes(make_dataset, make_rows, tmp_path):
    rows = make_rows("train", 6, 0)
    rows[0]["objects"]["visible"][0] = 0.05  # the bent pin of row 0 cannot be seen
    rows[2]["camera"] = "left"
    rows[3]["camera"] = "top"
    rows[4]["objects"] = None
    rows[5]["marking"] = "numbers"
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": rows[:3]})
    split = load_data(data).splits["train"]
    assert split.categories[0, 0] == IGNORED
    assert split.boxes_known.tolist() == [False, True, True, True, False, True]
    both, neither = [True, True], [False, False]
    assert split.may_flip.tolist() == [both, both, [False, True], [True, False], both, neither]


def test_foreign_data_without_marking_and_camera_is_never_mirrored(make_dataset, make_rows, tmp_path):
    rows = [{k: row[k] for k in ("image", "label")} for row in make_rows("train", 3, 0)]
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": rows})
    split = load_data(data).splits["train"]
    assert not split.may_flip.any() and not split.boxes_known.any()


def test_fit_keeps_proportions_and_centres():
    fit = fit_of((400, 100), (256, 128))
    assert (fit.width, fit.height, fit.left, fit.top) == (256, 64, 0, 32)
    assert fit.scale == pytest.approx(0.64)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK", "P", "1", "I;16", "LA"])
def test_every_mode_becomes_rgb(mode):
    if mode == "I;16":
        picture = Image.fromarray(np.full((10, 20), 65535, dtype=np.uint16))
    else:
        picture = Image.new("RGB", (20, 10), "white").convert(mode)
    assert np.asarray(rgb(picture)).tolist() == np.full((10, 20, 3), 255).tolist()
    assert pixels_of(picture, (20, 10)).shape == (3, 10, 20)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_with_other_exif_data_damaged_is_upright(kind, orientation):
    pixels = np.kron(np.arange(6).reshape(2, 3) * 40, np.ones((16, 16)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x011A] = 72.0  # a fraction
    sound = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).convert("RGB").save(sound, kind, exif=exif)
    # Now the picture's width is one.
    damaged = io.BytesIO(sound.getvalue().replace(b"\x01\x1a\x00\x05", b"\x01\x00\x00\x05"))
    assert damaged.getvalue() != sound.getvalue()
    expected = np.asarray(ImageOps.exif_transpose(Image.open(sound)))
    if orientation > 1:
        with pytest.raises(struct.error):
            ImageOps.exif_transpose(Image.open(damaged))
    found = rgb(Image.open(damaged))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(rgb(found), expected)


def test_a_terminal_is_shown_how_far_reading_is(tiny_dataset, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(split_module, "SHOWN_AFTER_S", 0)
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stderr", stream)
        load_data(tiny_dataset)
        assert ("reading" in stream.getvalue() and "/12" in stream.getvalue()) == shown


@pytest.mark.parametrize("name", ["a[1]", "a*", "a?", "a::b"])
def test_a_folder_whose_name_reads_like_a_pattern(tiny_dataset, make_dataset, make_rows, tmp_path, name):
    shutil.copytree(tiny_dataset, tmp_path / name / "data set")
    splits = {split: make_rows(split, 3, 0) for split in ("train", "validation")}
    make_dataset(tmp_path / "ab" / "data set", splits)  # what the pattern would find too
    assert len(load_data(tmp_path / name / "data set").splits["train"]) == 12


def test_a_picture_whose_exif_data_say_nothing_is_as_it_is_stored():
    picture = Image.new("RGB", (4, 2))
    picture.info["exif"] = b"Exif\0\0nothing"
    assert rgb(picture).size == (4, 2)


def test_exif_rotation_is_applied():
    picture = Image.new("RGB", (20, 10))
    picture.getexif()[0x0112] = 6
    assert rgb(picture).size == (10, 20)


def test_channel_statistics_by_hand(tiny_dataset):
    pictures = load_data(tiny_dataset).splits["train"].pictures
    mean, std = channel_statistics(pictures, 12)
    values = pictures.batch(range(12)).double() / 255
    assert mean == pytest.approx(values.mean((0, 2, 3)).tolist())
    assert std == pytest.approx(values.std((0, 2, 3), correction=0).tolist())


def test_a_dataset_without_ok_is_refused(make_dataset, make_rows, tmp_path):
    rows = [{k: row[k] for k in ("image", "label")} for row in make_rows("train", 3, 0)]
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": rows}, ["A", "B", "C"])
    with pytest.raises(InputError, match="expected a class OK"):
        load_data(data)


@pytest.mark.parametrize("names", [["OK", "NUKENG", "BENDNG"], None])
def test_boxes_of_other_classes_or_of_another_form_are_refused(make_rows, tmp_path, names):
    from datasets import ClassLabel, Dataset, Features, Image, List, Value

    box = List(Value("float32"), length=4)
    if names is None:
        form, value = List({"bbox": box}), [{"bbox": [1, 1, 2, 2]}]
    else:
        form = {"bbox": List(box), "category": List(ClassLabel(names=names))}
        value = {"bbox": [[1, 1, 2, 2]], "category": [0]}
    features = Features({"image": Image(), "label": ClassLabel(names=["BENDNG", "NUKENG", "OK"]), "objects": form})
    rows = [{"image": row["image"], "label": row["label"], "objects": value} for row in make_rows("train", 3, 0)]
    (tmp_path / "data" / "data").mkdir(parents=True)
    for split in ("train", "validation"):
        path = tmp_path / "data" / "data" / f"{split}-00000-of-00001.parquet"
        Dataset.from_list(rows, features=features).to_parquet(path)
    with pytest.raises(InputError, match="column objects: expected a dict of lists"):
        load_data(tmp_path / "data")


def test_a_dataset_that_was_built_again_is_read_again(make_dataset, make_rows, tmp_path):
    card = "---\nconfigs:\n- config_name: default\n  data_files:\n"
    card += "".join(f"  - split: {name}\n    path: data/{name}-*.parquet\n" for name in ("train", "validation"))
    folder, seen = tmp_path / "dataset", []
    for seed in (1, 2):
        shutil.rmtree(folder, ignore_errors=True)
        make_dataset(
            folder, {"train": make_rows("train", 6, seed), "validation": make_rows("validation", 3, seed + 10)}
        )
        (folder / "README.md").write_text(card + "---\n", "utf-8")
        seen.append(load_data(folder).splits["train"].pictures.batch(range(6)))
    assert not torch.equal(*seen)
