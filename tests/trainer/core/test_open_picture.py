import io
import json

import numpy as np
import pytest
from PIL import Image

from generator.io import pictures as decoder
from trainer.core.errors import InputError
from trainer.core.prediction import find_pictures
from trainer.core.split import open_picture
from trainer.predict import main
from trainer.vit.network.letterbox import rgb, upright

GREY = np.linspace(89, 200, 6 * 9).reshape(6, 9).round()


def encoded(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, kind, **options)
    return sink.getvalue()


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_deep_grey_is_trained_on_and_judged_as_it_is_imported(tmp_path, kind):
    content = encoded((GREY * 257).astype(kind), "TIFF")
    (tmp_path / "p.tif").write_bytes(content)
    for source in (tmp_path / "p.tif", {"bytes": content, "path": "p.tif"}, {"path": str(tmp_path / "p.tif")}):
        assert np.array_equal(np.asarray(open_picture(source, "p")), GREY)


@pytest.mark.parametrize("source", [None, {}, {"bytes": None, "path": None}])
def test_a_row_without_a_picture_is_named(source):
    with pytest.raises(InputError, match=r"^row 3: expected a picture, got null$"):
        open_picture(source, "row 3")


def test_what_import_refuses_is_refused_as_the_trainers_own_error(tmp_path):
    two = encoded(GREY.astype(np.uint8), "TIFF", save_all=True, append_images=[Image.new("L", (9, 6))])
    for content, got in ((two, "got 2 in one file"), (b"", "got an empty file"), (b"text", "no known picture format")):
        with pytest.raises(InputError, match=rf"^p: expected .*{got}"):
            open_picture({"bytes": content}, "p")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as caught:
        find_pictures([tmp_path / "nothing.png", tmp_path / "empty"])
    assert [problem.rpartition(", ")[2] for problem in caught.value.problems] == [
        "got no such file or folder",
        "got none",
    ]


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_a_run_that_travels_scales_deep_grey_as_the_decoder_does(kind):
    content = encoded((GREY * 257.0).astype(kind), "TIFF")
    found = np.asarray(rgb(Image.open(io.BytesIO(content))))
    assert np.array_equal(found[..., 0], np.asarray(open_picture({"bytes": content}, "p")))


@pytest.mark.parametrize("orientation", range(10))
def test_a_run_that_travels_turns_pictures_as_the_decoder_does(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(GREY.astype(np.uint8), "PNG", exif=exif)
    stored = Image.open(io.BytesIO(content))
    assert np.array_equal(np.asarray(upright(stored)), np.asarray(decoder.upright(stored)))
    found = open_picture({"bytes": content}, "p")
    assert np.array_equal(np.asarray(rgb(found)), np.asarray(found.convert("RGB")))  # not turned again


def test_predict_judges_the_pixels_that_import_stores(tmp_path, trained_run, make_rows, capsys):
    grey = np.asarray(Image.open(io.BytesIO(make_rows("train", 1, 0)[0]["image"]["bytes"])).convert("L"))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.fromarray(grey).save(pictures / "eight.png")
    Image.fromarray((grey * 257.0).astype(np.float32)).save(pictures / "float.tif")
    Image.fromarray(grey.astype(np.uint16) * 257).save(pictures / "sixteen.jp2")
    Image.fromarray(grey).save(pictures / "lossless.webp", lossless=True)
    (pictures / "notes.txt").touch()
    assert main(["--model", str(trained_run), str(pictures), "--json", str(tmp_path / "v.json")]) == 0
    verdicts = json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))
    assert len(verdicts) == 4
    assert (
        len(
            {
                json.dumps({key: value for key, value in one.items() if key not in ("file", "sha256", "time")})
                for one in verdicts
            }
        )
        == 1
    )
    assert "passed over 1 file without the suffix of a picture: 1 .txt" in capsys.readouterr().err
    Image.fromarray((grey / 255).astype(np.float32)).save(pictures / "float.tif")
    Image.fromarray(grey).save(pictures / "two.gif", save_all=True, append_images=[Image.new("L", (9, 6))])
    (pictures / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(30))
    assert main(["--model", str(trained_run), str(pictures)]) == 2
    said = capsys.readouterr().err
    for got in ("values from 0 to 1", "got 2 in one file", "HEIC or AVIF, which the installed Pillow cannot read"):
        assert got in said
