"""Names of splits in other people's folders and files."""

import json

import pytest

from generator.interchange.coco import read_coco
from generator.interchange.image_folder import read_image_folder
from generator.interchange.labelled import ClassNames, split_of
from generator.interchange.voc import read_voc

WORDS = {
    "train": ("Training", "trainset"),
    "validation": ("validate", "Val", "dev"),
    "test": ("Testing", "tests", "testset", "eval", "Evaluation", "holdout"),
}


@pytest.mark.parametrize(("split", "word"), [(split, word) for split, words in WORDS.items() for word in words])
def test_usual_names_give_the_split(tmp_path, split, word):
    assert split_of(word) == split
    for folder in ("train", word):
        (tmp_path / folder / "OK").mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "OK" / f"{folder}.png").touch()
    found = read_image_folder(tmp_path, ClassNames({}))
    assert {one.path.stem: one.split for one in found.pictures} == {"train": "train", word: split}
    assert not found.notes


@pytest.mark.parametrize("kind", ["imagefolder", "metadata", "voc", "coco", "coco entry"])
def test_an_unknown_name_beside_a_split_is_named(tmp_path, kind):
    tmp_path /= "photos"  # pytest's own folder is named test_...: a split
    entries = []
    for number, name in enumerate(("train", "spare"), 1):
        folder = tmp_path / name / ("OK" if kind == "imagefolder" else "")
        folder.mkdir(parents=True)
        (folder / f"{name}.png").touch()
        entries.append({"id": number, "file_name": f"{name}/{name}.png", "split": name})
        content = {"images": entries, "annotations": [], "categories": []}
        if kind == "metadata":
            (folder / "metadata.csv").write_text(f"file_name,label\n{name}.png,OK\n")
        elif kind == "voc":
            (folder / f"{name}.xml").write_text(f"<annotation><filename>{name}.png</filename></annotation>")
        elif kind == "coco":
            own = [{"id": 1, "file_name": f"{name}/{name}.png"}]
            (tmp_path / f"instances_{name}.json").write_text(json.dumps(content | {"images": own}))
        elif kind == "coco entry":
            (tmp_path / "all.json").write_text(json.dumps(content))
    names = ClassNames({})
    if kind == "voc":
        found = read_voc(tmp_path, None, names)
    else:
        found = read_coco(tmp_path, None, names) if "coco" in kind else read_image_folder(tmp_path, names)
    assert not found.problems
    warnings = [note for note in found.notes if note.startswith("warning:")]
    assert len(warnings) == 1 and "spare" in warnings[0] and "1 picture without one, put into train" in warnings[0]
