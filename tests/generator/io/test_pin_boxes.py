import json
import re

import pytest

from blender_scripts.contract.errors import InputError
from generator.io.pin_boxes import PinBox, read_pin_boxes

INSPECT = "address,x1,y1,x2,y2\nr1c1,25,26,65,44\n"
PREDICT = "address,cavity,x1,y1,x2,y2\nr1c1,A,25,26,65,44\n"


@pytest.mark.parametrize(
    ("text", "cavity"),
    [
        (INSPECT, None),
        (PREDICT, "A"),
        ("\ufeff" + PREDICT, "A"),
        ("y2,x2,y1,x1,note,address\r\n44,65,26,25,mine,r1c1\r\n\r\n", None),
        ('"address","cavity","x1","y1","x2","y2"\n"r1c1","","2.5e1","26.0"," 65","44"\n', None),
        (PREDICT.replace(",", ";").replace("26", "26,0"), "A"),
        (PREDICT.replace(",", "\t"), "A"),
        ("\ufeffsep=;\r\n;address;x1;y1;x2;y2;;\r\n0;r1c1;25,0;2,6e1;65;44;;\r\n;;;;;;;\r\n", None),
    ],
)
def test_one_table_serves_inspect_and_predict(tmp_path, text, cavity):
    (tmp_path / "pins.csv").write_text(text, "utf-8")
    assert read_pin_boxes(tmp_path / "pins.csv") == ([PinBox("r1c1", (25, 26, 65, 44), cavity)], None)


def test_a_table_without_a_line_has_no_boxes(tmp_path):
    (tmp_path / "pins.csv").write_text("address,x1,y1,x2,y2\n")
    assert read_pin_boxes(tmp_path / "pins.csv") == ([], None)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", [":1: expected the columns address, x1, y1, x2, y2, got no .* in: an empty file"]),
        ("address:x1:y1:x2:y2\n", [":1: expected the columns .*, got no .* in: address:x1:y1:x2:y2"]),
        ("address,x1,y1,x2,y2,x1\nr1c1,1,2,3,4,0\n", [":1 header: expected each column once, got 'x1' twice"]),
        # A decimal comma among separating commas, in quotes, and beside a decimal point.
        ("address,x1,y1,x2,y2\nr1c1,0,5,1,10,9\n", [":2 row: expected 5 values .*, got 6 .*decimal comma.*"]),
        (
            'address,x1,y1,x2,y2\nr1c1,"0,5",1,10,9\n',
            [":2: expected .* got r1c1, 0,5, 1, 10, 9 \\(write one decimal.*"],
        ),
        (
            "address;x1;y1;x2;y2\nr1c1;0,5;1;10.5;9\n",
            [":2: expected .* got r1c1, 0,5, 1, 10.5, 9 \\(write one decimal.*"],
        ),
        ("address;x1;y1;x2;y2\nr1c1;0;1;1.234,5;9\n", [":2: expected .* got .*1.234,5.* \\(write one decimal.*"]),
        ("address;x1;y1;x2;y2;\nr1c1;1;2;3;4;note\n", [":2 column 6: expected a name .*, got 'note'"]),
        ("address,cavity,x1,y1\n", [":1: expected the columns .*, got no x2, y2 in: address, cavity, x1, y1"]),
        (
            INSPECT.replace("\n", ",z\n") + "r1c2,1,2,inf,4\n\nr1c3,5,6,4,9\nr1c4,1,2,3,4\nr1c5,1,2\nr1c6,nan,2,3,4\n",
            [
                ":3: expected an address, and x1 < x2 and y1 < y2 in px, from -1e6 to 1e6, got r1c2, 1, 2, inf, 4",
                ":5: expected .* got r1c3, 5, 6, 4, 9",
                ":7: expected .* got r1c5, 1, 2, nothing, nothing",
                ":8: expected .* got r1c6, nan, 2, 3, 4",
            ],
        ),
        (  # No picture is so large, and arithmetic with such numbers overflows.
            INSPECT + "r1c2,1,2,1e308,4\nr1c3,-1e7,2,3,4\nr1c4,-1e6,2,1e6,4\n",
            [":3: expected .*, from -1e6 to 1e6, got r1c2, 1, 2, 1e308, 4", ":4: expected .* got r1c3, -1e7, 2, 3, 4"],
        ),
        (
            "x1,y1,x2,y2,address\n1,a,3,4,r1c1\n1,2,3,4\n",
            [":2: expected .* got r1c1, 1, a, 3, 4", ":3: expected .* got nothing, 1, 2, 3, 4"],
        ),
    ],
)
def test_every_line_of_a_table_that_is_wrong_is_named(tmp_path, text, problems):
    (tmp_path / "pins.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        read_pin_boxes(tmp_path / "pins.csv")
    assert len(caught.value.problems) == len(problems)
    for found, expected in zip(caught.value.problems, problems, strict=True):
        assert re.fullmatch(rf".*pins\.csv{expected}", found)


@pytest.mark.parametrize("suffix", [".json", ".JSON"])
@pytest.mark.parametrize("has_run", [True, False])
def test_a_record_has_the_expected_boxes_and_names_its_picture(tmp_path, suffix, has_run):
    positions = [
        {"address": "r1c1", "cavity": "A", "boxes": {"expected": [1, 2, 3.5, 4]}},
        {"address": "r1c3", "boxes": {"expected": [5, 6, 7, 8]}},
    ]
    path = tmp_path / "records" / f"p{suffix}"
    path.parent.mkdir()
    path.write_text(json.dumps({"positions": positions, **({"run": "p"} if has_run else {})}))
    boxes, picture = read_pin_boxes(path)
    assert boxes == [PinBox("r1c1", (1, 2, 3.5, 4), "A"), PinBox("r1c3", (5, 6, 7, 8), None)]
    assert picture == (tmp_path / "images" / "p.png" if has_run else None)
    assert [box.place for box in boxes] == [f"{path}: positions[0]", f"{path}: positions[1]"]
    assert str(boxes[0]) == "r1c1, 1, 2, 3.5, 4"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"positions": 3}'])
def test_what_is_no_record_is_said(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match=r"r\.json: expected a record of the renderer with the key `positions`, got "):
        read_pin_boxes(tmp_path / "r.json")


@pytest.mark.parametrize(
    "box", [None, [1, 2], "1234", [3, 2, 1, 4], [1, 2, 3, "4"], [1, 2, 3, True], [1, 2, float("inf"), 4]]
)
def test_a_box_of_a_record_that_is_none_is_named(tmp_path, box):
    positions = [{"address": f"r1c{n}", "boxes": {"expected": b}} for n, b in enumerate([[1, 2, 3, 4], box])]
    (tmp_path / "r.json").write_text(json.dumps({"positions": positions}))
    with pytest.raises(
        InputError, match=r"r\.json: positions\[1\]: expected the keys address, .*, got \{'address': 'r1c1'"
    ):
        read_pin_boxes(tmp_path / "r.json")


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path):
    (tmp_path / "p.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(InputError, match=r"p\.png: expected a record .*, got: bytes that are no UTF-8 text"):
        read_pin_boxes(tmp_path / "p.png")
    with pytest.raises(InputError, match=r"nothing\.csv: expected a record .*, got: No such file"):
        read_pin_boxes(tmp_path / "nothing.csv")
