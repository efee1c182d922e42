import ast
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from blender_scripts.contract.errors import InputError
from generator.io.pictures import (
    LEAST_DEEP_WHITE,
    SUFFIXES,
    decoded,
    eight_bit,
    find_pictures,
    open_picture,
    open_upright,
    pictures_in,
)

# As a camera's: no black, no white.
GREY = np.linspace(89, 200, 48 * 64).reshape(48, 64).round()
LIKE_EIGHT_BIT = {
    "16 bits": (GREY * 257).astype(np.uint16),
    "32 bits": (GREY * 257).astype(np.int32),
    "floats": (GREY * 257).astype(np.float32),
}
ALL_BUT_BLACK = {
    "10 bits": (GREY * 4).astype(np.uint16),
    "12 bits": (GREY * 16).astype(np.uint16),
    "8 bits": GREY.astype(np.int32),
    "values from 0 to 1": (GREY / 255).astype(np.float32),
}


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, kind, **options)
    return sink.getvalue()


@pytest.mark.parametrize("depth", LIKE_EIGHT_BIT)
def test_deep_grey_is_scaled_to_the_grey_of_eight_bits(depth):
    found = open_picture(encoded(Image.fromarray(LIKE_EIGHT_BIT[depth]), "TIFF"), "p.tif")
    assert found.mode == "L"
    assert np.array_equal(np.asarray(found), GREY)


@pytest.mark.parametrize("depth", ALL_BUT_BLACK)
def test_deep_grey_that_would_become_black_is_refused(depth):
    content = encoded(Image.fromarray(ALL_BUT_BLACK[depth]), "TIFF")
    with pytest.raises(InputError, match=rf"^p\.tif: expected .* that reach 4096, got at most .* {depth}: "):
        open_picture(content, "p.tif")


def test_what_keeps_its_depth_may_be_dark():
    """A mask is 16-bit grey of small numbers."""
    numbers = np.arange(12, dtype=np.uint16).reshape(3, 4)
    assert np.array_equal(np.asarray(open_upright(encoded(Image.fromarray(numbers), "PNG"), "mask")), numbers)


@pytest.mark.parametrize(("white", "is_read"), [(LEAST_DEEP_WHITE, True), (LEAST_DEEP_WHITE - 1, False)])
def test_the_least_white_of_deep_grey(white, is_read):
    content = encoded(Image.fromarray(np.full((2, 2), white, np.uint16)), "PNG")
    if is_read:
        assert np.asarray(open_picture(content, "p")).max() == 16
    else:
        with pytest.raises(InputError, match="got at most 4095"):
            open_picture(content, "p")


@pytest.mark.parametrize("value", [-1.0, 65536.0, np.nan, np.inf])
def test_grey_that_is_no_16_bit_value_is_refused(value):
    pixels = np.full((2, 2), 50000, np.float32)
    pixels[0, 0] = value
    with pytest.raises(InputError, match=r"^p: expected grey values of 0 to 65535, got "):
        open_picture(encoded(Image.fromarray(pixels), "TIFF"), "p")


MODES = {
    "PNG": ("RGB", "L", "RGBA", "LA", "P", "1"),
    "JPEG": ("RGB", "L", "CMYK", "YCbCr"),
    "TIFF": ("RGB", "L", "RGBA", "LA", "CMYK", "P", "1", "YCbCr"),
    "GIF": ("RGB", "L", "RGBA", "LA", "P", "1"),
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
def test_every_mode_is_read_as_pillow_converts_it(kind, mode):
    pixels = np.random.default_rng(3).integers(0, 256, (9, 12, 3), np.uint8)
    content = encoded(Image.fromarray(pixels).convert(mode), kind)
    stored = decoded(content, "p")
    found = open_picture(content, "p")
    grey = stored.mode in ("1", "L")
    assert found.mode == ("L" if grey else "RGB")
    assert np.array_equal(np.asarray(found), np.asarray(stored.convert("L" if grey else "RGB")))


def test_a_palette_with_transparency_keeps_it_until_eight_bits():
    palette = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)).convert("P")
    content = encoded(palette, "PNG", transparency=2)
    upright = open_upright(content, "p")
    assert upright.mode == "RGBA" and sorted(np.unique(np.asarray(upright)[..., 3])) == [0, 255]
    assert np.array_equal(np.asarray(eight_bit(upright)), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("is_damaged", [False, True])
def test_pictures_are_turned_as_their_exif_tag_says(orientation, is_damaged):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x011A] = 72.0
    sound = encoded(Image.fromarray(GREY.astype(np.uint8)), "JPEG", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(sound)))
    content = sound.replace(b"\x01\x1a\x00\x05", b"\x01\x00\x00\x05") if is_damaged else sound
    if is_damaged and 1 < orientation < 9:
        with pytest.raises(struct.error):
            ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    found = open_picture(content, "p")
    assert np.array_equal(np.asarray(found), np.asarray(expected))
    assert found.size == ((48, 64) if 5 <= orientation <= 8 else (64, 48))
    if 1 < orientation < 9:
        assert 0x0112 not in found.getexif()  # whoever turns it again leaves it as it is


PICTURE = encoded(Image.fromarray(GREY.astype(np.uint8)), "PNG")
TWO_FRAMES = {"save_all": True, "append_images": [Image.new("L", (64, 48), 9)]}


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "expected a picture, got an empty file"),
        (b"no picture", "got: bytes of no picture format"),
        (PICTURE[:60], "expected a picture that can be decoded, got: "),
        (b"\0\0\0\x18ftypheic" + bytes(30), "got: HEIC or AVIF, which this Pillow does not read"),
        *(
            (encoded(Image.new("L", (64, 48)), kind, **TWO_FRAMES), "expected one picture, got 2 in one file")
            for kind in ("TIFF", "GIF", "PNG", "WEBP")
        ),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, content, got):
    (tmp_path / "p.png").write_bytes(content)
    for source in (content, tmp_path / "p.png"):
        with pytest.raises(InputError, match=f"^p: .*{got}"):
            open_picture(source, "p")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"^q: .*No such file"):
        open_picture(tmp_path / "nothing.png", "q")


def test_a_photo_with_a_preview_in_it_is_one_picture():
    both = encoded(Image.new("RGB", (64, 48), "red"), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 6))])
    assert open_picture(both, "p").size == (64, 48)


def test_the_pictures_of_a_folder(tmp_path):
    assert pictures_in(tmp_path) == []
    with pytest.raises(InputError, match=r"expected pictures \(\.png, \.jpg, .*\), got none$"):
        find_pictures(tmp_path)
    with pytest.raises(InputError, match=r"expected a folder of pictures, got no such folder$"):
        find_pictures(tmp_path / "none")
    names = [f"a{suffix}" for suffix in SUFFIXES] + ["B.PNG", "below/c.jpg"]
    for name in [*names, ".hidden.png", ".kept/d.png", "notes.txt", "e.png.part"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert find_pictures(tmp_path) == sorted(tmp_path / name for name in names)
    assert pictures_in(tmp_path) == sorted(tmp_path / name for name in names[:-1])


# Whoever else calls Pillow's open reads what this project has written, and why.
OPENED_ELSEWHERE = {
    "generator/augmenting/transforms.py": "a JPEG coded in memory",
    "generator/reporting/pages.py": "the width of a plot",
    "trainer/core/prediction.py": "the mark in a sheet",
}


def test_pictures_of_users_are_decoded_in_one_place():
    root = Path(__file__).resolve().parents[3]
    found = {
        path.relative_to(root).as_posix()
        for package in ("generator", "trainer")
        for path in (root / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Image.open", "PIL.Image.open", "imread")
    }
    assert found <= {"generator/io/pictures.py", *OPENED_ELSEWHERE}
