"""Labels that labelling tools write and that need a message."""

import pytest

from generator.dataset.rows import objects_of
from tests.generator.interchange.test_import_export import box, coco, image, import_, picture, rows_of


def test_an_annotation_id_twice_is_a_fault(tmp_path, capsys):
    picture(tmp_path / "in/a.png")
    coco(tmp_path / "in", [image(1, "a.png")], [{**box(1, 2, 2, 9, 9), "id": 7}, {**box(1, 20, 2, 9, 9), "id": 7.0}])
    assert import_(tmp_path / "in", "--format", "coco", "--to", tmp_path / "out") == 2
    assert "annotation 7: expected an id that no other annotation has" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["coco", "yolo"])
def test_the_same_box_again_is_read_once(tmp_path, capsys, kind):
    picture(tmp_path / "in/a.png")
    if kind == "coco":
        coco(tmp_path / "in", [image(1, "a.png")], [box(1, 2, 2, 9, 9), box(1, 2, 2, 9, 9), box(1, 30, 2, 9, 9)])
    else:
        (tmp_path / "in/data.yaml").write_text("train: .\nnames: [BENDNG]\n")
        (tmp_path / "in/a.txt").write_text("0 0.5 0.5 0.2 0.2\n0 0.50 0.5 0.2 0.2\n0 0.2 0.5 0.2 0.2\n")
    assert import_(tmp_path / "in", "--format", kind, "--to", tmp_path / "out") == 0
    assert "a.png: left out 1 box, each equal to another box" in capsys.readouterr().err
    (row,) = rows_of(tmp_path / "out").values()
    assert len(objects_of(row)) == 2


@pytest.mark.parametrize("turn", [0, 45.0])
def test_a_turned_box_is_noted(tmp_path, capsys, turn):
    picture(tmp_path / "in/a.png")
    coco(tmp_path / "in", [image(1, "a.png")], [{**box(1, 2, 2, 9, 9), "attributes": {"rotation": turn}}])
    assert import_(tmp_path / "in", "--format", "coco", "--to", tmp_path / "out") == 0
    assert ("1 boxes have a rotation (first: annotation 1)" in capsys.readouterr().err) == bool(turn)


def test_cameras_and_words_that_do_not_exist_are_named(tmp_path, capsys):
    picture(tmp_path / "in/Good/a.png")
    words = (
        tmp_path / "in",
        "--format",
        "imagefolder",
        "--classes",
        "good=OK,Scrach=OTHERNG",
        "--to",
        tmp_path / "out",
    )
    assert import_(*words, "--known", "camera=middle") == 2
    assert "--known camera: expected one of center, left, right, top, bottom, got 'middle'" in capsys.readouterr().err
    assert import_(*words, "--known", "camera=left") == 0
    assert "--classes: expected labels that occur in the imported files, got 'Scrach'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["all.json", "data.yaml", "a.txt", "list.txt", "metadata.csv", "metadata.jsonl"])
def test_a_file_in_utf_16_is_named_so(tmp_path, capsys, name):
    picture(tmp_path / "in/a.png")
    kind = {"json": "coco", "yaml": "yolo", "txt": "yolo"}.get(name.rpartition(".")[2], "imagefolder")
    if name.endswith(".txt"):
        train = "list.txt" if name == "list.txt" else "."
        (tmp_path / "in/data.yaml").write_text(f"train: {train}\nnames: [BENDNG]\n")
    (tmp_path / "in" / name).write_text("0 0.5 0.5 0.2 0.2\n", "utf-16")
    assert import_(tmp_path / "in", "--format", kind, "--to", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert name in told and "(UTF-16) in line 1, not UTF-8" in told
