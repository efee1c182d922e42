import ast
import io
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from blender_scripts.contract.errors import InputError
from generator.io.pictures import (
    LEAST_DEEP_WHITE,
    READ_SUFFIXES,
    SUFFIXES,
    UNREAD_SUFFIXES,
    decoded,
    eight_bit,
    empty_folders,
    files_below,
    find_pictures,
    open_picture,
    open_upright,
    passed_over,
    pictures_in,
    plain,
    upright,
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
    "14 bits": (GREY * 64).astype(np.uint16),
    "8 bits": GREY.astype(np.int32),
    "values from 0 to 1": (GREY / 255).astype(np.float32),
}
WHITES = {"8 bits": 255, "10 bits": 1023, "12 bits": 4095, "14 bits": 16383, "values from 0 to 1": 1}


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
    with pytest.raises(
        InputError,
        match=rf"^p\.tif: expected a 16-bit picture whose brightest value is at least 16384, got .* {depth}: ",
    ):
        open_picture(content, "p.tif")


def tiff(pixels: np.ndarray, bits: int, width: int, photometric: int = 1) -> bytes:
    """Write grey TIFF files that Pillow does not write."""
    height, data = len(pixels), pixels.tobytes()
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: height, 279: len(data)}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data


@pytest.mark.parametrize("depth", ALL_BUT_BLACK)
@pytest.mark.parametrize("tag", [281, 341])
def test_a_white_that_the_file_declares_gives_the_grey_of_eight_bits(depth, tag):
    white = WHITES[depth]
    bright: np.ndarray = np.asarray(ALL_BUT_BLACK[depth])
    for pixels in (bright, (bright / 4).astype(bright.dtype)):
        content = encoded(Image.fromarray(pixels), "TIFF", tiffinfo={tag: white})
        grey = pixels / (white / 255)
        assert np.abs(np.asarray(open_picture(content, "p")) - grey).max() <= 0.51
        turned = upright(decoded(encoded(Image.fromarray(pixels), "TIFF", tiffinfo={tag: white, 274: 3}), "p"))
        assert np.abs(np.asarray(eight_bit(plain(turned, "p"))) - grey[::-1, ::-1]).max() <= 0.51


def test_a_largest_value_that_is_no_white_declares_nothing():
    """Some programs write the brightest value of this picture: scaled by it, each picture would get another light."""
    content = encoded(Image.fromarray(ALL_BUT_BLACK["12 bits"]), "TIFF", tiffinfo={281: 3200})
    with pytest.raises(InputError, match="looks like 12 bits: multiply all pictures by 65535 / 4095"):
        open_picture(content, "p")


def test_twelve_packed_bits_are_scaled():
    high, low = (GREY * 16).astype(int)[:, 0::2], (GREY * 16).astype(int)[:, 1::2]
    packed = np.stack([high >> 4, (high & 15) << 4 | low >> 8, low & 255], -1).astype(np.uint8)
    found = np.asarray(open_picture(tiff(packed, 12, 64), "p"))
    assert np.abs(found - GREY * 16 * 255 / 4095).max() <= 0.51


@pytest.mark.parametrize(("hot", "is_read"), [(0, False), (1, False), (3, False), (40, True)])
def test_hot_pixels_do_not_make_a_dark_picture_a_bright_one(hot, is_read):
    pixels = (GREY * 16).astype(np.uint16)
    pixels.flat[:hot] = 65535
    content = encoded(Image.fromarray(pixels), "PNG")
    if is_read:
        assert np.asarray(open_picture(content, "p")).max() == 255
    else:
        with pytest.raises(InputError, match=r"got 3200, .* 12 bits: .* PINSIGHT_WHITE to the value of white"):
            open_picture(content, "p")


@pytest.mark.parametrize(("white", "factor"), [(4095, 16), (65535, 16), (16383, 64), (65535, 257)])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_a_white_of_the_environment_is_that_of_every_picture(monkeypatch, white, factor, kind):
    pixels = (GREY * factor).astype(kind)
    pixels[0, 0] = 65535 if kind is np.uint16 else 0
    monkeypatch.setenv("PINSIGHT_WHITE", str(white))
    found = np.asarray(open_picture(encoded(Image.fromarray(pixels), "TIFF"), "p"), float)
    assert np.abs(found - GREY * factor * 255 / white)[1:].max() <= 0.51
    mask = open_upright(encoded(Image.fromarray(np.full((9, 9), 7, np.uint16)), "PNG"), "mask")
    assert (np.asarray(mask) == 7).all()
    if factor == 64:
        monkeypatch.setenv("PINSIGHT_WHITE", "4095")
        with pytest.raises(InputError, match=r"^p: expected grey values of 0 to 4095"):
            open_picture(encoded(Image.fromarray(pixels), "TIFF"), "p")
    monkeypatch.setenv("PINSIGHT_WHITE", "12 bits")
    with pytest.raises(InputError, match=r"^PINSIGHT_WHITE: expected .* 1 to 65535, got '12 bits'$"):
        open_picture(encoded(Image.fromarray(pixels), "TIFF"), "p")


def test_grey_values_above_the_declared_white_are_refused():
    content = encoded(Image.fromarray((GREY * 64).astype(np.uint16)), "TIFF", tiffinfo={281: 4095})
    with pytest.raises(InputError, match=r"^p: expected grey values of 0 to 4095, got 5696 to 12800$"):
        open_picture(content, "p")


def test_deep_grey_with_white_as_zero_is_refused():
    assert np.array_equal(np.asarray(open_picture(tiff((GREY * 257).astype("<u2"), 16, 64), "p")), GREY)
    with pytest.raises(InputError, match=r"^p: expected black as the value 0, got a TIFF with white as 0"):
        open_picture(tiff((GREY * 257).astype("<u2"), 16, 64, photometric=0), "p")


def deep_colours(kind: str, factor: float) -> bytes:
    pixels = np.repeat((GREY * factor).astype(">u2")[..., None], 4 if kind == "RGBA" else 3, -1)
    if kind == "PPM":
        return b"P6 64 48 65535\n" + pixels.tobytes()
    header = struct.pack(">IIBBBBB", 64, 48, 16, 6 if kind == "RGBA" else 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))
    chunks = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    written = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "PPM"])
def test_deep_colours_that_would_become_black_are_refused(monkeypatch, kind):
    """Pillow drops the low byte of 16-bit colours: of 12 bits, four would stay. No white but 65535 can be stated."""
    assert np.array_equal(np.asarray(open_picture(deep_colours(kind, 257), "p"))[..., 0], GREY)
    with pytest.raises(
        InputError, match=r"^p: expected a 16-bit picture whose brightest value is at least 16384, got .* 12 bits: "
    ) as refused:
        open_picture(deep_colours(kind, 16), "p")
    (advised,) = re.findall(r"PINSIGHT_WHITE to (\d+)", str(refused.value))
    monkeypatch.setenv("PINSIGHT_WHITE", advised)
    assert np.abs(np.asarray(open_picture(deep_colours(kind, 16), "p"))[..., 0] - GREY * 16 / 257).max() <= 1
    monkeypatch.delenv("PINSIGHT_WHITE")
    if kind == "PPM":  # Pillow rounds its values, so 200 is 257
        return
    with pytest.raises(InputError, match="got 0, which looks like 8 bits: multiply all pictures by 65535 / 255"):
        open_picture(deep_colours(kind, 1), "p")


def test_what_keeps_its_depth_may_be_dark():
    """A mask is 16-bit grey of small numbers."""
    numbers = np.arange(12, dtype=np.uint16).reshape(3, 4)
    assert np.array_equal(np.asarray(open_upright(encoded(Image.fromarray(numbers), "PNG"), "mask")), numbers)


@pytest.mark.parametrize(("white", "is_read"), [(LEAST_DEEP_WHITE, True), (LEAST_DEEP_WHITE - 1, False)])
def test_the_least_white_of_deep_grey(white, is_read):
    content = encoded(Image.fromarray(np.full((2, 2), white, np.uint16)), "PNG")
    if is_read:
        assert np.asarray(open_picture(content, "p")).max() == 64
    else:
        with pytest.raises(InputError, match="at least 16384, got 16383"):
            open_picture(content, "p")


def test_floats_just_below_the_least_white_are_refused_too():
    content = encoded(Image.fromarray(np.full((2, 2), LEAST_DEEP_WHITE - 0.5, np.float32)), "TIFF")
    with pytest.raises(InputError, match=r"got 16383\.5, which looks like 14 bits"):
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
    found = open_upright(content, "p")
    assert found.mode == "RGBA" and sorted(np.unique(np.asarray(found)[..., 3])) == [0, 255]
    assert np.array_equal(np.asarray(eight_bit(found)), np.asarray(palette.convert("RGB")))


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
        (b"no picture", "got: a file of no known picture format"),
        (PICTURE[:60], "expected a picture that can be decoded, got: "),
        (
            b"\0\0\0\x18ftypheic" + bytes(30),
            "got: HEIC or AVIF, which the installed Pillow cannot read: convert it to PNG",
        ),
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


@pytest.mark.parametrize(("suffix", "content"), [(".heic", b"no"), (".DNG", None), (".nef", None), (".jxl", b"\xff\n")])
def test_what_is_not_read_is_named_with_a_remedy(tmp_path, suffix, content):
    """Pillow would open a camera's raw file, a TIFF inside, as its small preview."""
    path = tmp_path / f"p{suffix}"
    path.write_bytes(encoded(Image.new("RGB", (8, 6)), "TIFF") if content is None else content)
    for source in (path, path.read_bytes()):
        with pytest.raises(
            InputError, match=rf"{suffix.lower()} file, a format that is not supported: convert it to PNG"
        ):
            open_picture(source, f"p{suffix}")
    path.write_bytes(PICTURE)  # a PNG under a wrong name
    assert open_picture(path, path.name).size == (64, 48)


@pytest.mark.parametrize("suffix", READ_SUFFIXES)
def test_every_listed_suffix_is_read(suffix):
    assert suffix in Image.registered_extensions() and suffix not in UNREAD_SUFFIXES
    kind = Image.registered_extensions()[suffix]
    mode = "1" if suffix == ".pbm" else "RGB"
    content = encoded(Image.new("RGB", (64, 48), (200, 200, 200)).convert(mode), kind)
    assert abs(np.asarray(open_picture(content, f"p{suffix}")).mean() - (255 if mode == "1" else 200)) < 60


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"^q: .*No such file"):
        open_picture(tmp_path / "nothing.png", "q")


def test_a_photo_with_a_preview_in_it_is_one_picture():
    both = encoded(Image.new("RGB", (64, 48), "red"), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 6))])
    assert open_picture(both, "p").size == (64, 48)


def test_the_pictures_of_a_folder(tmp_path):
    assert pictures_in(tmp_path) == []
    with pytest.raises(InputError, match=r"expected at least one picture \(\.png, \.jpg, .*\), got none$"):
        find_pictures(tmp_path)
    with pytest.raises(InputError, match=r"expected a folder of pictures, got no such folder$"):
        find_pictures(tmp_path / "none")
    names = [f"a{suffix}" for suffix in SUFFIXES] + ["B.PNG", "below/c.jpg"]
    left_by_systems = [
        ".DS_Store",
        "._a.png",
        "__MACOSX/a.png",
        "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg",
        "below/Thumbs.db",
    ]
    for name in [*names, ".hidden.png", ".kept/d.png", "notes.txt", "below/e.png.part", "f", *left_by_systems]:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert find_pictures(tmp_path) == sorted(tmp_path / name for name in names)
    assert pictures_in(tmp_path) == sorted(tmp_path / name for name in names[:-1])
    kinds = r"1 \.part, 1 \.txt, 1 no suffix \(first: below/e.png.part\)"
    assert re.search(r"passed over 3 files without the suffix of a picture: " + kinds, passed_over(tmp_path) or "")
    assert re.search(
        r"over 2 files .*; 1 picture in subfolders \(first: below/", passed_over(tmp_path, below=False) or ""
    )
    own = [tmp_path / "f", tmp_path / "notes.txt", tmp_path / "below"]
    assert passed_over(tmp_path, False, own) is None


def test_links_are_followed_and_broken_ones_are_not_lost(tmp_path: Path, monkeypatch):
    real, source = tmp_path / "real", tmp_path / "source"
    (real / "deep").mkdir(parents=True)
    (real / "deep" / "a.png").touch()
    (source / "OK").mkdir(parents=True)
    (source / "BENDNG").symlink_to(real)
    (source / "OK" / "back").symlink_to(source)  # a circle
    (real / "self").symlink_to(real)
    (source / "OK" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (source / "OK" / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    found = [source / "BENDNG" / "deep" / "a.png", source / "OK" / "gone.png"]
    assert find_pictures(source) == found
    (source / "OK" / "up").symlink_to(tmp_path.parent)
    monkeypatch.chdir(source)  # a relative path leads out of nothing either
    assert find_pictures(Path()) == [each.relative_to(source) for each in found]
    assert find_pictures(Path("../source/OK")) == [Path("../source/OK/gone.png")]
    assert "over 1 file without the suffix of a picture: 1 .txt (first: OK/gone.txt)" in (passed_over(source) or "")
    with pytest.raises(InputError, match=r"gone\.png: .*No such file"):
        decoded(found[1], str(found[1]))


def test_a_folder_that_cannot_be_read_is_an_error_only_for_who_reads_it(tmp_path: Path, monkeypatch):
    for name in ("a.png", "private/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    real = os.scandir

    def scandir(path):
        if Path(path).name == "private":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    with pytest.raises(InputError, match=r"private: expected a folder that can be read, got: Permission denied"):
        find_pictures(tmp_path)
    assert [path.name for path in files_below(tmp_path)] == ["a.png", "private"]


def test_links_among_folders_end(tmp_path: Path):
    for name in "abcdefgh":
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.png").touch()
        for other in set("abcdefgh") - {name}:
            (tmp_path / name / f"to_{other}").symlink_to(tmp_path / other)
    assert len(find_pictures(tmp_path)) == 8 * (1 + 7 + 7 * 6 + 7 * 6 * 5)


def test_folders_without_files_are_found(tmp_path: Path):
    for name in ("full/OK", "full/BENDNG", "empty/OK", "system"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "full" / "OK" / "a.png").touch()
    (tmp_path / "system" / "Thumbs.db").touch()
    assert empty_folders(tmp_path) == [tmp_path / name for name in ("empty", "full/BENDNG", "system")]


# Whoever else calls Pillow's open reads what this project has written, and why.
OPENED_ELSEWHERE = {
    "generator/augmenting/transforms.py": "a JPEG coded in memory",
    "generator/soart/golden.py": "how a JPEG was coded, and one coded in memory",
    "generator/reporting/pages.py": "the width of a plot",
    "generator/io/png_mark.py": "the mark of a picture of a verdict, or of a sheet",
    "generator/rendering/preview.py": "a mask that was just rendered",
    "generator/matching/renders.py": "a mask that was just rendered",
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
