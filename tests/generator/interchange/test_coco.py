"""COCO files as tools write them: ids, names of pictures, segmentations, and what is not one to one."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_scripts.contract.station import CAMERAS
from generator.__main__ import main
from generator.dataset.build import Options, build
from generator.dataset.rows import objects_of
from generator.interchange.coco import read_coco
from generator.interchange.labelled import ClassNames
from tests.generator.augmenting.test_augment import masked_renders, picture, rows_of
from tests.generator.made_renders import SCENES, row

BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [30, 20, 10, 8]}


def read(folder: Path, names=("a.png",), *, images=None, annotations=(BOX,), categories=({"id": 1, "name": "bent"},)):
    """Write a COCO file with the images 1, 2, ... of these names, and read it."""
    entries = [{"id": n, "file_name": name, "width": 64, "height": 40} for n, name in enumerate(names, 1)]
    folder.mkdir(parents=True, exist_ok=True)
    content = {"images": entries, "annotations": list(annotations), "categories": list(categories)}
    (folder / "result.json").write_text(json.dumps(content))
    return read_coco(folder, images, ClassNames({"bent": "BENDNG", "good": "OK"}))


def only(found):
    assert not found.problems and [one.problems for one in found.pictures] == [()]
    return found.pictures[0]


@pytest.mark.parametrize("number", [1, 1.0, "1"])
@pytest.mark.parametrize("key", ["image_id", "category_id"])
def test_an_id_is_the_same_as_a_number_with_a_decimal_point_and_as_text(tmp_path, key, number):
    picture(tmp_path / "a.png")
    assert only(read(tmp_path, annotations=[{**BOX, key: number}])).objects[0].box == (30, 20, 40, 28)


@pytest.mark.parametrize("number", [1.5, True, None, [1], "one", "01"])
def test_other_ids_are_no_ids_of_the_image(tmp_path, number):
    picture(tmp_path / "a.png")
    (problem,) = read(tmp_path, annotations=[{**BOX, "image_id": number}]).problems
    assert "annotation 1: expected an image_id that exactly one entry of images has" in problem


def test_a_category_id_with_two_names_is_a_fault_of_the_file_and_of_each_picture_that_uses_it(tmp_path):
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    pairs = [(1, "bent"), ("1", "good"), (2, "bent"), (2, "bent")]
    categories = [{"id": number, "name": name} for number, name in pairs]
    found = read(
        tmp_path,
        ("a.png", "b.png"),
        annotations=[BOX, {**BOX, "id": 2, "image_id": 2, "category_id": 2}],
        categories=categories,
    )
    assert found.problems == ["result.json categories: expected one name for the id 1, got 'bent, good'"]
    first, second = found.pictures
    assert "got 1, the id of several: bent, good" in first.problems[0] and not first.objects
    assert not second.problems and second.objects[0].category == "BENDNG"


@pytest.mark.parametrize("nothing", [None, [], [[]], [[], []], {}])
def test_an_empty_segmentation_is_none(tmp_path, nothing):
    picture(tmp_path / "a.png")
    (thing,) = only(read(tmp_path, annotations=[{**BOX, "segmentation": nothing}])).objects
    assert thing.segmentation is None and thing.box == (30, 20, 40, 28)


@pytest.mark.parametrize(
    ("segmentation", "box"),
    [
        ([[30, 20, 40.5, 20, 40.5, 28]], (30, 20, 40.5, 28)),
        ([[], [3, 4, 9, 4, 9, 9], [1, 30, 5, 30, 5, 33]], (1, 4, 9, 33)),
        ({"size": [40, 64], "counts": [2 * 40 + 5, 3, 37, 3, 64 * 40 - 128]}, (2, 5, 4, 8)),
    ],
)
@pytest.mark.parametrize("bbox", [None, []])
def test_without_bbox_the_box_is_that_of_the_segmentation(tmp_path, segmentation, box, bbox):
    picture(tmp_path / "a.png")
    given = {**BOX, "bbox": bbox, "segmentation": segmentation}
    assert only(read(tmp_path, annotations=[given])).objects[0].box == box


@pytest.mark.parametrize("segmentation", [[[1, 2, 3]], {"size": [10**6, 10**6], "counts": [10**12]}, "x", [[1, "x"]]])
def test_without_bbox_and_segmentation_the_picture_is_faulty(tmp_path, segmentation):
    picture(tmp_path / "a.png")
    (found,) = read(tmp_path, annotations=[{**BOX, "bbox": None, "segmentation": segmentation}]).pictures
    assert found.problems and not found.objects


@pytest.mark.parametrize(
    ("name", "path", "is_noted"),
    [
        ("images\\a.png", "images/a.png", False),
        ("images\\cam 1\\a.png", "images/cam 1/a.png", False),
        ("images/a%201.png", "images/a 1.png", False),
        ("a%201.png", "a%201.png", False),
        ("images\\1/a.png", "images/a.png", True),
        ("C:\\Users\\me\\photos\\cam1\\a.png", "images/cam1/a.png", True),
        ("/data/upload/1/a.png", "images/a.png", True),
        ("/data/local-files/?d=photos/cam1/a.png", "images/cam1/a.png", True),
    ],
)
def test_names_of_other_computers_lead_to_the_picture(tmp_path, name, path, is_noted):
    picture(tmp_path / path)
    found = read(tmp_path, [name])
    assert only(found).path == tmp_path / path and bool(found.notes) == is_noted


def test_names_below_the_folder_of_images_may_begin_with_its_name_elsewhere(tmp_path):
    picture(tmp_path / "pics/cam1/a.png")
    assert only(read(tmp_path / "in", ["images/cam1/a.png"], images=tmp_path / "pics")).name == "cam1/a.png"


def test_a_shortened_name_of_two_pictures_leads_to_none(tmp_path):
    for place in ("a.png", "images/a.png"):
        picture(tmp_path / place)
    (found,) = read(tmp_path, ["C:\\cam1\\a.png"]).pictures
    assert not found.path.exists()


def test_two_shortened_names_of_one_picture_are_found_twice(tmp_path):
    picture(tmp_path / "a.png")
    first, second = read(tmp_path, ["cam1\\a.png", "cam2\\a.png"]).pictures
    assert first.path == second.path  # the import then refuses both


def test_pictures_without_an_entry_are_named(tmp_path):
    for name in ("images/bad.png", "images/good.png", "images/more/other.png", "masks/bad.png"):
        picture(tmp_path / name)
    for name in ("images/._bad.png", "images/@eaDir/bad.png", "__MACOSX/bad.png", "images/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0")
    (tmp_path / "._result.json").write_bytes(b"\0")
    found = read(tmp_path, ["images/bad.png"])
    assert found.problems == [
        "images/good.png: expected labels in result.json, got none",
        "images/more/other.png: expected labels in result.json, got none",
    ]


def test_of_many_pictures_without_an_entry_five_are_named_and_the_others_counted(tmp_path):
    for number in range(9):
        picture(tmp_path / f"images/{number}.png")
    *named, rest = read(tmp_path, ["images/0.png"]).problems
    assert len(named) == 5 and rest == "images: expected labels of every picture, got none for 3 more pictures"


def test_a_label_that_is_no_name_does_not_make_a_good_part(tmp_path):
    Image.new("L", (64, 40)).save(tmp_path / "a.png")
    content = {"images": [{"id": 1, "file_name": "a.png", "label": 3}], "annotations": [], "categories": []}
    (tmp_path / "result.json").write_text(json.dumps(content))
    (found,) = read_coco(tmp_path, None, ClassNames({})).pictures
    assert found.problems == ("result.json image a.png: expected label as a name, got 3",)


@pytest.mark.parametrize("base", ["", "images"])
@pytest.mark.parametrize("subsets", [("Train", "Validation"), ("train2017", "val2017"), ("train", "val")])
def test_pictures_in_a_folder_of_their_subset(tmp_path, base, subsets):
    """CVAT writes instances_Train.json and images/Train, COCO train2017; file names may be the same in each."""
    (tmp_path / "annotations").mkdir()
    for subset in subsets:
        picture(tmp_path / base / subset.replace("val", "valid") / "a.png")
        content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [BOX], "categories": []}
        content["categories"] = [{"id": 1, "name": "bent"}]
        (tmp_path / f"annotations/instances_{subset}.json").write_text(json.dumps(content))
    found = read_coco(tmp_path, None, ClassNames({"bent": "BENDNG"}))
    places = {one.path.parent.name: one.split for one in found.pictures}
    assert not found.problems and len(places) == 2 and [*places.values()] == ["train", "validation"]
    assert {one.name for one in found.pictures} == {f"{place}/a.png" for place in places}


def test_two_folders_of_one_split_are_not_guessed_between(tmp_path):
    picture(tmp_path / "train2014/a.png")
    picture(tmp_path / "train2017/a.png")
    content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [], "categories": []}
    (tmp_path / "train.json").write_text(json.dumps(content))
    (one,) = read_coco(tmp_path, None, ClassNames({})).pictures
    assert not one.path.exists()


def test_folders_in_file_names_give_the_split(tmp_path):
    names = ("train/a.png", "val2017/a.png", "cam1/a.png")
    for name in names:
        picture(tmp_path / "in" / name)
    assert [one.split for one in read(tmp_path / "in", names).pictures] == ["train", "validation", None]


POLYGON = [[30, 20, 40, 20, 40, 28, 30, 28]]
BEYOND, INSIDE = "segmentation that reaches beyond", "segmentation inside a larger bbox"


@pytest.mark.parametrize(
    ("bbox", "says"),
    [
        ((30, 20, 10, 8), None),
        ((29, 19, 12, 10), None),
        ((34, 20, 8, 8), BEYOND),
        ((26, 20, 14, 8), INSIDE),
        ((10, 2, 32, 30), INSIDE),
    ],
)
def test_a_bbox_that_is_not_around_its_segmentation_is_noted(tmp_path, bbox, says):
    picture(tmp_path / "a.png")
    found = read(tmp_path, annotations=[{**BOX, "bbox": bbox, "segmentation": POLYGON}])
    assert only(found).objects[0].box[0] == bbox[0]
    told = [
        said for said in (BEYOND, INSIDE) for note in found.notes if said in note and "(first: annotation 1" in note
    ]
    assert told == ([says] if says else [])


@pytest.mark.parametrize(
    ("bbox", "expected"),
    [
        ((0.46, 0.5, 0.16, 0.2), "the box around the segmentation"),  # fractions of width and height
        ((20, 30, 8, 10), "the box around the segmentation"),  # y before x
        ((1, 2, 5, 5), "the box around the segmentation"),  # the mask of another picture's object
        ((30, 20, 40, 28), "x, y, width, height"),  # corners: a box around the segmentation, but not the object's
    ],
)
def test_a_bbox_in_other_units_or_of_another_object_is_wrong(tmp_path, bbox, expected):
    picture(tmp_path / "a.png")
    [one] = read(tmp_path, annotations=[{**BOX, "bbox": bbox, "segmentation": POLYGON}]).pictures
    assert [f"annotation 1: expected {expected}" in problem for problem in one.problems] == [True]


def test_partly_hidden_pins_survive_export_and_import(tmp_path, capsys):
    """A retracted pin's box shows the whole of it, its mask what a side camera sees of it over the cavity's edge."""
    rows = [row(f"s{n}", "train", "retracted@r2c3:depth_mm=2", camera=camera) for n, camera in enumerate(CAMERAS)]
    masked_renders(tmp_path / "renders", rows)
    for path in (tmp_path / "renders/masks").glob("*.png"):
        with Image.open(path) as image:
            mask = np.array(image)
        pixels = np.argwhere(mask == 12)
        mask[tuple(pixels[pixels[:, 0] < pixels[:, 0].max()].T)] = 0
        Image.fromarray(mask).save(path)
        record = tmp_path / f"renders/records/{path.stem}.json"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        record.write_text(json.dumps({**json.loads(record.read_text()), "mask_sha256": digest}))
    build(tmp_path / "renders", tmp_path / "set", SCENES, Options({}, masks=True))
    words = ("--format", "coco", "--workers", "1", "--to")
    assert main(["export", str(tmp_path / "set"), *words, str(tmp_path / "coco")]) == 0
    assert main(["import", str(tmp_path / "coco"), *words, str(tmp_path / "back")]) == 0
    before, after = rows_of(tmp_path / "set"), rows_of(tmp_path / "back")
    assert after.keys() == before.keys() and len(after) == len(CAMERAS)
    for name, one in after.items():
        [pin], [back] = [o for o in objects_of(before[name]) if o.category != "OK"], objects_of(one)
        assert back.box == pytest.approx(pin.box) and back.category == "NUKENG"
        old, new = (np.asarray(Image.open(io.BytesIO(each["mask"]["bytes"]))) for each in (before[name], one))
        assert (old == pin.id).any() and np.array_equal(new == back.id, old == pin.id)
    assert INSIDE in capsys.readouterr().err


def test_truth_values_are_no_coordinates_and_marks_on_annotations_are_noted(tmp_path):
    picture(tmp_path / "a.png")
    [one] = read(tmp_path, annotations=[{**BOX, "bbox": [True, False, True, 5]}]).pictures
    assert "annotation 1: expected bbox as four numbers" in one.problems[0]
    for mark, count in ((1, 1), (0, 0)):
        found = read(tmp_path, annotations=[{**BOX, "iscrowd": mark}])
        assert only(found).objects and sum("with iscrowd or ignore: 1" in note for note in found.notes) == count


@pytest.mark.parametrize(
    ("written", "stored"), [("a.png", "A.PNG"), ("St\u00fcck.png", "Stu\u0308ck.png"), ("In/a.png", "in/a.PNG")]
)
def test_a_name_may_differ_in_case_or_unicode_form(tmp_path, written, stored):
    picture(tmp_path / stored)
    assert only(read(tmp_path, [written])).path == tmp_path / stored
    picture(tmp_path / f"{stored[:-3]}pNg")
    assert not read(tmp_path, [written]).pictures[0].path.exists()  # two such files: neither is meant for certain


def test_a_list_of_results_is_named(tmp_path):
    (tmp_path / "r.JSON").write_text("[]")
    (problem,) = read_coco(tmp_path, None, ClassNames({})).problems
    assert problem.endswith(
        "expected a COCO file with the lists images, annotations and categories, got: a single list, as in files of "
        "detection results"
    )
