"""Folders above a picture that do not have the order SPLIT/CLASS or CLASS."""

import pytest

from generator.interchange.image_folder import read_image_folder
from generator.interchange.labelled import ClassNames


def read(folder, *files, classes=None, views=()):
    """Read an image folder, below `folder`, with these files; returns what was found and the names of its classes."""
    folder /= "photos"  # pytest's own folder is named test_...: a split
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    names = ClassNames(classes or {})
    found = read_image_folder(folder, names, views)
    return found, [*found.problems, *names.problems()]


def labels_of(found):
    return {one.name: (one.split, one.label) for one in found.pictures}


@pytest.mark.parametrize("classes", [{}, {"good": "OK"}], ids=str)
def test_a_folder_below_that_of_a_class_gets_no_class(tmp_path, classes):
    top = next(iter(classes), "OK")
    files = (f"train/{top}/day1/a.png", f"train/{top}/day1/b.png", "train/BENDNG/day1/x/c.png", f"train/{top}/d.png")
    found, problems = read(tmp_path, *files, classes=classes)
    assert labels_of(found) == {f"train/{top}/d.png": ("train", "OK")}
    assert len(problems) == 2 and not any("--classes" in problem for problem in problems)
    told = next(problem for problem in problems if problem.startswith(f"train/{top}: expected pictures directly in"))
    assert f"got 2 pictures deeper than SPLIT/CLASS (in day1): move them up into train/{top}, or give --views" in told


def test_a_class_by_option_must_not_contradict_the_folder_above(tmp_path):
    files = ("train/OK/day1/a.png", "BENDNG/day1/x/b.png")
    found, problems = read(tmp_path, *files, classes={"x": "OTHERNG", "day1": "OTHERNG"})
    assert not found.pictures
    assert [problem.partition(", which")[0] for problem in problems] == [
        "BENDNG: expected pictures of the class BENDNG",
        "train/OK: expected pictures of the class OK",
    ]
    assert (
        "got 1 picture below it in a folder of another class, day1 (OTHERNG), as 'train/OK/day1/a.png'" in problems[1]
    )


def test_a_class_that_agrees_with_the_folder_above_is_taken(tmp_path):
    found, problems = read(tmp_path, "train/OK/day1/a.png", "set/test/bent pin/b.png", classes={"day1": "OK"})
    assert labels_of(found) == {"train/OK/day1/a.png": ("train", "OK"), "set/test/bent pin/b.png": ("test", "BENDNG")}
    assert not problems


def test_two_folders_that_name_different_classes_are_refused(tmp_path):
    found, problems = read(tmp_path, "OK/BENDNG/a.png", "OK/BENDNG/day1/b.png")
    assert not found.pictures and len(problems) == 1 and "got 2 pictures below it" in problems[0]


@pytest.mark.parametrize("classes", [{}, {"good": "OK"}], ids=str)
def test_class_above_split_is_one_message(tmp_path, classes):
    top = next(iter(classes), "OK")
    files = [f"{top}/{split}/{n}.png" for split in ("train", "test") for n in range(9)]
    found, problems = read(tmp_path, *files, f"{top}/val/day1/a.png", classes=classes)
    assert not found.pictures and len(problems) == 1 and problems[0].startswith(str(tmp_path / "photos"))
    told = "expected the order SPLIT/CLASS/picture, got CLASS/SPLIT/picture for 19 pictures"
    assert told in problems[0] and problems[0].endswith(f"as from {top}/test/0.png to test/{top}/0.png")


def test_views_of_a_part_lie_one_folder_deeper(tmp_path):
    views = ("center", "left")
    found, problems = read(tmp_path, "OK/p1/center.png", "OK/p1/left.png", "OK/day1/p2/left.png", views=views)
    assert set(labels_of(found)) == {"OK/p1/center.png", "OK/p1/left.png"}
    assert problems == [
        "OK: expected pictures directly in this folder, as its name is that of a class, got 1 picture deeper than "
        "SPLIT/CLASS (in day1): move them up into OK"
    ]


def test_an_unknown_label_is_asked_for_without_a_class_in_the_example(tmp_path):
    _, problems = read(tmp_path, "good/a.png")
    assert problems[0].endswith("state which of these classes each one means, as in --classes 'good=CLASS'")


def test_a_label_that_does_not_occur_is_a_warning():
    assert ClassNames({"kratzer": "OTHERNG"}).notes()[0].startswith("warning: --classes: expected labels that occur")
