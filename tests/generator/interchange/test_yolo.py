from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.interchange.labelled import ClassNames
from generator.interchange.yolo import read_yolo


def write(folder: Path, *names: str) -> None:
    """Write a picture for each name; below `images`, also a label file with one box."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((48, 64), 90, np.uint8)).save(path)
        labels = Path(str(path.parent).replace("images", "labels"))
        labels.mkdir(parents=True, exist_ok=True)
        (labels / f"{path.stem}.txt").write_text("0 0.5 0.5 0.2 0.2\n")


def read(folder: Path, text: str):
    (folder / "data.yaml").write_text(text)
    found = read_yolo(folder, ClassNames({"bent": "BENDNG"}))
    return {(one.name, one.split) for one in found.pictures if not one.problems}, found


ELSEWHERE = {
    "above": "train: ../train/images\nval: ../valid/images\n",
    "Windows, above": "train: ..\\train\\images\nval: ..\\valid\\images\n",
    "another computer": "train: /content/plugs/train/images\nval: /content/plugs/valid/images\n",
    "Windows": "train: C:\\plugs\\train\\images\nval: C:\\plugs\\valid\\images\n",
    "path of another computer": "path: /content/plugs\ntrain: train/images\nval: valid/images\n",
    "path above": "path: ../datasets/plugs\ntrain: train/images\nval: valid/images\n",
    "here": "path: .\ntrain: ./train/images\nval: [valid/images]\ntest:\n",
}


@pytest.mark.parametrize("case", ELSEWHERE)
def test_folders_that_other_tools_write_are_found(tmp_path, case):
    write(tmp_path, "train/images/a.png", "valid/images/b.png")
    pictures, found = read(tmp_path, f"{ELSEWHERE[case]}nc: 1\nnames: [bent]\n")
    assert pictures == {("train/images/a.png", "train"), ("valid/images/b.png", "validation")}
    assert not found.problems and all("is read in its place" in note for note in found.notes)
    assert bool(found.notes) == (case not in ("above", "Windows, above", "here"))


def test_a_folder_that_is_there_comes_before_one_of_the_same_end(tmp_path):
    write(tmp_path, "train/images/near.png", "set/train/images/a.png")
    (tmp_path / "set").mkdir(exist_ok=True)
    assert read(tmp_path / "set", "train: ../train/images\nnames: [bent]\n")[1].pictures[0].path.name == "near.png"
    assert "no such folder" in read(tmp_path, "train: ../nowhere/images\nnames: [bent]\n")[1].problems[0]


def test_a_list_of_pictures_may_be_another_computers(tmp_path):
    write(tmp_path, *(f"images/train/{name}.png" for name in "abcd"))
    lines = ["./images/train/a.png", "images\\train\\b.png", "/content/plugs/images/train/c.png", "images/train/no.png"]
    (tmp_path / "train.txt").write_text("\n".join([*lines, "../../d.png", lines[0]]))
    pictures, found = read(tmp_path, "train: train.txt\nnames: [bent]\n")
    assert {Path(name).stem for name, _ in pictures} == {*"abc"}
    assert [one.name for one in found.pictures if one.problems] == ["images/train/no.png"]
    assert found.problems == [f"train.txt:5: expected a picture inside the folder {tmp_path}, got '../../d.png'"]


@pytest.mark.parametrize("word", ["NO", "1e3", "07", "3:30", "null", "~", "on", "yes", "0x1F", "2024-01-02"])
def test_class_names_are_those_that_the_file_shows(tmp_path, word):
    write(tmp_path, "images/train/a.png")
    for text in (f"names:\n  0: {word}\n", f"names: [{word}]\n", f"names: ['{word}']\n"):
        (tmp_path / "data.yaml").write_text(f"train: images/train\n{text}")
        names = ClassNames({word: "BENDNG"})
        (one,) = read_yolo(tmp_path, names).pictures
        assert [(each.word, each.category) for each in one.objects or ()] == [(word, "BENDNG")]
        assert not names.problems()


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("names: {0: bent, 0: OK}", "the key '0' twice"),
        ("names: {0: bent, 00: OK}", "the class number 0 twice in names"),
        ("names: [bent]\ntrain: images/train", "the key 'train' twice"),
        ("names: {bent: 0}", "names with the key 'bent' instead of a class number"),
        ("names: {-1: bent}", "names with the key '-1' instead of a class number"),
        ("names: [bent, '']", "'', which is no text, as the name of class 1"),
        ("names: [[bent]]", "['bent'], which is no text, as the name of class 0"),
        ("names: [bent]\nnc: 2", "nc (number of classes) 2, but 1 names"),
        ("names: [bent]\nkpt_shape: [x, 3]", "kpt_shape"),
        ("names: bent", "names 'bent', neither a list"),
    ],
)
def test_a_data_yaml_that_says_two_things_is_refused(tmp_path, text, got):
    write(tmp_path, "images/train/a.png")
    pictures, found = read(tmp_path, f"train: images/train\n{text}\n")
    assert not pictures and len(found.problems) == 1
    assert "expected YOLO's data.yaml with class names, got: " in found.problems[0] and got in found.problems[0]


NO_YAML = {
    "Label Studio": {"classes.txt": "bent\n", "notes.json": "{}"},
    "CVAT": {
        "obj.names": "bent\n",
        "obj.data": "classes = 1\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n",
        "train.txt": "data/images/train/a.png\n",
        "valid.txt": "data/images/valid/b.png\n",
    },
    "obj.names": {"OBJ.names": "bent", "train.txt": "images/train/a.png", "valid.txt": "images/valid/b.png"},
    "another name": {"plugs.yml": "train: images/train\nval: images/valid\nnames: [bent]\n"},
}


@pytest.mark.parametrize("case", NO_YAML)
def test_files_in_place_of_data_yaml(tmp_path, case):
    write(tmp_path, "images/train/a.png", "images/valid/b.png")
    for name, text in NO_YAML[case].items():
        (tmp_path / name).write_text(text)
    first = tmp_path / next(iter(NO_YAML[case]))
    for source in (tmp_path, first):
        found = read_yolo(source, ClassNames({"bent": "BENDNG"}))
        pictures = {(one.name, one.split, one.objects[0].word) for one in found.pictures}
        assert pictures == {("images/train/a.png", "train", "bent"), ("images/valid/b.png", "validation", "bent")}
        assert not found.problems


def test_pictures_beside_their_labels_and_names_in_classes_txt(tmp_path):
    write(tmp_path, "a.PNG")
    (tmp_path / "classes.txt").write_text("good\nbent\n\n")
    (tmp_path / "a.txt").rename(tmp_path / "A.TXT")
    (one,) = read_yolo(tmp_path, ClassNames({})).pictures
    assert (one.split, one.objects[0].category) == ("train", "OTHERNG") and one.objects[0].word == "good"


def test_one_folder_is_not_two_splits(tmp_path):
    write(tmp_path, "images/train/a.png")
    pictures, found = read(tmp_path, "path: /content/x\ntrain: images/train\nval: images/train\nnames: [bent]\n")
    assert pictures == {("images/train/a.png", "train")}
    assert not found.problems and found.notes[1] == (
        "warning: data.yaml: expected different pictures for val and train, got images/train for both: "
        "images/train is read for train only"
    )


def test_a_label_file_belongs_to_one_picture(tmp_path):
    write(tmp_path, "images/train/a.png", "images/train/a.jpg", "images/train/b.png")
    pictures, found = read(tmp_path, "train: images/train\nnames: [bent]\n")
    assert pictures == {("images/train/b.png", "train")}
    wrong = [problem for one in found.pictures for problem in one.problems]
    assert len(wrong) == 2 and all(
        "got labels/train/a.txt, which images/train/a.jpg and images" in text for text in wrong
    )


def test_files_of_the_system_are_no_pictures_and_others_are_named(tmp_path):
    write(tmp_path, "images/train/a.png")
    for name in ("images/train/._a.png", "images/train/Thumbs.db", "labels/train/._a.txt", "images/train/b.npy"):
        (tmp_path / name).write_text("0")
    pictures, found = read(tmp_path, "train: images/train\nnames: [bent]\n")
    assert pictures == {("images/train/a.png", "train")} and not found.problems
    assert len(found.notes) == 1 and "1 .npy (first: b.npy)" in found.notes[0]
