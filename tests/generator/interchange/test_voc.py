from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.interchange.labelled import ClassNames
from generator.interchange.voc import read_voc


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((48, 64), 90, np.uint8)).save(path)


def annotation(path: Path, filename: str, word: str = "bent") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    box = "<bndbox><xmin>31</xmin><ymin>21</ymin><xmax>40</xmax><ymax>30</ymax></bndbox>"
    written = f"<object><name>{word}</name>{box}</object>"
    path.write_text(f"<annotation><filename>{filename}</filename>{written}</annotation>")


def read(folder: Path, images: Path | None = None):
    found = read_voc(folder, images, ClassNames({}))
    good = {
        (one.name, one.split): one.path.relative_to(folder).as_posix() for one in found.pictures if not one.problems
    }
    return good, [*found.problems, *(problem for one in found.pictures for problem in one.problems)], found.notes


@pytest.mark.parametrize(
    ("words", "more", "twice"),
    [("bent</name><name>good", "", "name"), ("bent", "<bndbox/>", "bndbox"), ("bent", "", None)],
)
def test_an_object_that_states_something_twice_is_refused(tmp_path, words, more, twice):
    picture(tmp_path / "a.png")
    annotation(tmp_path / "a.xml", "a.png", words)
    text = (tmp_path / "a.xml").read_text()
    (tmp_path / "a.xml").write_text(text.replace("</object>", f"{more}</object>"))
    problems = read(tmp_path)[1]
    assert [each.partition("object 1: ")[2] for each in problems] == (
        [f"expected {twice} once, got it twice"] if twice else []
    )


@pytest.mark.parametrize("filename", ["{split}_a.png", "C:\\x\\{split}_a.png", "", "/data/{split}/{split}_a.png"])
def test_xml_beside_its_picture_in_folders_of_splits(tmp_path, filename):
    for split in ("train", "valid", "test"):
        picture(tmp_path / split / f"{split}_a.png")
        annotation(tmp_path / split / f"{split}_a.xml", filename.format(split=split))
    good, problems, notes = read(tmp_path)
    assert not problems and not notes
    assert good == {
        ("train/train_a.png", "train"): "train/train_a.png",
        ("valid/valid_a.png", "validation"): "valid/valid_a.png",
        ("test/test_a.png", "test"): "test/test_a.png",
    }


@pytest.mark.parametrize("folders", [("Annotations", "JPEGImages"), ("annotations", "images")])
def test_a_folder_of_xml_beside_a_folder_of_pictures_in_each_split(tmp_path, folders):
    for split in ("train", "val"):
        picture(tmp_path / split / folders[1] / "a.png")
        annotation(tmp_path / split / folders[0] / "a.xml", "a.png")
    good, problems, _ = read(tmp_path)
    assert not problems
    assert good == {
        (f"{split}/{folders[1]}/a.png", name): f"{split}/{folders[1]}/a.png"
        for split, name in (("train", "train"), ("val", "validation"))
    }


@pytest.mark.parametrize("images", ["JPEGImages", "images", "elsewhere"])
def test_folders_below_annotations_are_those_of_the_pictures(tmp_path, images):
    for camera in ("cam1", "cam2"):
        picture(tmp_path / images / camera / "0001.png")
        annotation(tmp_path / "Annotations" / camera / "0001.xml", "0001.png")
    good, problems, _ = read(tmp_path, tmp_path / images if images == "elsewhere" else None)
    assert not problems
    assert good == {(f"{cam}/0001.png", None): f"{images}/{cam}/0001.png" for cam in ("cam1", "cam2")}


def test_a_stale_filename_does_not_move_a_box_to_another_picture(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    annotation(tmp_path / "a.xml", "a.png", "OK")
    annotation(tmp_path / "b.xml", "a.png")
    good, problems, _ = read(tmp_path)
    assert good == {("a.png", None): "a.png"}
    assert problems == ["b.xml: expected filename to be the picture with this XML file's name, b.png, got a.png"]


def test_a_filename_of_no_picture_gives_way_to_the_files_own_name(tmp_path):
    for name in ("b.png", "c.JPG", "d.png"):
        picture(tmp_path / "JPEGImages" / name)
    annotation(tmp_path / "Annotations/b.xml", "before renaming.png")
    annotation(tmp_path / "Annotations/c.xml", "c.png")
    annotation(tmp_path / "Annotations/other name.xml", "d.png")
    good, problems, _ = read(tmp_path)
    assert not problems and {name for name, _ in good} == {"b.png", "c.JPG", "d.png"}


def test_two_pictures_of_one_name_are_told_apart_by_filename_alone(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "a.jpg")
    annotation(tmp_path / "a.xml", "a.jpg")
    good, problems, _ = read(tmp_path)
    assert good == {("a.jpg", None): "a.jpg"} and len(problems) == 1 and problems[0].startswith("a.png: ")
    annotation(tmp_path / "a.xml", "a")
    good, problems, _ = read(tmp_path)
    assert not good and len(problems) == 1 and problems[0].endswith("got a")


def test_every_picture_is_read_or_named_once(tmp_path):
    for name in ("bad", "good", "broken", "._bad"):
        picture(tmp_path / "JPEGImages" / f"{name}.png")
    annotation(tmp_path / "Annotations/bad.xml", "bad.png")
    (tmp_path / "Annotations/broken.xml").write_text("<annotation>")
    (tmp_path / "Annotations/._bad.xml").write_text("x")
    (tmp_path / "JPEGImages/notes.txt").touch()
    good, problems, notes = read(tmp_path)
    assert list(good) == [("bad.png", None)] and len(problems) == 2 and len(notes) == 1
    assert problems[0].startswith("Annotations/broken.xml: expected an XML file of Pascal VOC, got: ")
    assert problems[1].startswith("JPEGImages/good.png: expected labels in good.xml (")
    assert "1 .txt (first: notes.txt)" in notes[0]


def test_a_picture_is_in_one_split_and_unlisted_ones_are_named(tmp_path):
    for name in ("a", "b", "cam1/c", "d"):
        picture(tmp_path / f"JPEGImages/{name}.png")
        annotation(tmp_path / f"Annotations/{name}.xml", f"{Path(name).name}.png")
    lists = tmp_path / "ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a 1\nb -1\n")
    (lists / "val.txt").write_text("b\ncam1/c\n")
    (lists / "trainval.txt").write_text("a\nb\ncam1/c\n")
    good, problems, notes = read(tmp_path)
    assert {split for name, split in good if name != "b.png"} == {"train", "validation", None}
    assert problems == ["ImageSets/Main: expected b in the lists of one split, got train and validation"]
    assert notes == [
        "ImageSets/Main: expected the name of every XML file in a list, got 1 that no list names (first: "
        "Annotations/d.xml): their pictures are put into train"
    ]
