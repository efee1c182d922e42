"""Photographs that a scene names: which files are taken, what is refused, and what the scene's hash covers."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_scripts.contract.connector import Connector, read_connector
from generator.__main__ import main
from tests.conftest import COLUMNS, SCENES, faults_of

SCENE = (SCENES / "connector_3x9.toml").read_text("utf-8")


def coded(size: tuple[int, int], kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    levels = np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(levels).save(file, kind, **options)
    return file.getvalue()


def scene(folder: Path, keys: str = 'photographs = "backs"') -> Path:
    path = folder / "mine.toml"
    path.write_text(f"{SCENE}\n[fixture]\n{keys}\n", encoding="utf-8")
    return path


def kept(folder: Path, **files: bytes) -> Connector:
    (folder / "backs").mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / "backs" / name.replace("__", ".")).write_bytes(content)
    return read_connector(scene(folder))


def test_pictures_are_found_by_name_with_their_size(tmp_path: Path) -> None:
    found = kept(
        tmp_path,
        b__PNG=coded((30, 20)),
        a__jpg=coded((31, 21), "JPEG", progressive=True, exif=b"Exif\0\0" + bytes(300)),
        c__jpeg=coded((5, 400), "JPEG"),
        notes__txt=b"not a picture",
        __hidden__png=coded((3, 3)),
    ).backdrop
    assert found is not None
    listed = [(photograph.name, photograph.width, photograph.height) for photograph in found.photographs]
    assert listed == [("backs/a.jpg", 31, 21), ("backs/b.PNG", 30, 20), ("backs/c.jpeg", 5, 400)]
    # What the camera sees of the table: (118 - 2.5 + 7.5 + 7 + 0.5) mm away, 14.8 mm of sensor behind 35 mm.
    assert found.width_mm == pytest.approx(130.5 * 14.8 / 35.0)
    assert read_connector(SCENES / "connector_3x9.toml").backdrop is None


def test_the_scene_s_hash_covers_the_pictures_and_their_names(tmp_path: Path) -> None:
    first = kept(tmp_path, a__png=coded((30, 20)))
    again, more = kept(tmp_path), kept(tmp_path, b__png=coded((31, 20)))
    (tmp_path / "backs" / "b.png").rename(tmp_path / "backs" / "c.png")
    renamed = kept(tmp_path)
    assert first.sha256 == again.sha256
    assert len({first.sha256, more.sha256, renamed.sha256}) == 3


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('photographs = ""', "expected a folder below the scene's folder, such as photographs, got '': the scene's"),
        ('photographs = "."', "expected a folder below the scene's folder"),
        ('photographs = "../backs"', "expected a path below the scene's folder, such as photographs, got"),
        ('photographs = "/backs"', "got '/backs': an absolute path"),
        ('photographs = "none"', "got none: no such folder"),
        ('photographs = "link"', "got link: a symbolic link that leads out of the scene's folder"),
        ('photographs = "mine.toml"', "expected a folder, got mine.toml: a file"),
        ('photographs = "empty"', "expected a folder with 1 to 1000 PNG or JPEG files, got empty: 0"),
        ('photographs = "text"', "got text/a.png: a damaged file, or another format"),
        ('photographs = "huge"', "expected a PNG or JPEG file of at most 16384 x 16384 px, got huge/a.png: 99999 x 2"),
        ('photographs = "backs"\ncolor = [0, 0, 0]', "color: expected either `color` or `photographs`, got both"),
        ("width_mm = 50", "width_mm: expected the key `photographs` beside width_mm, got no such key"),
        ('photographs = "backs"\nwidth_mm = 0', "width_mm: expected a number from 1 to 4000, got 0"),
    ],
)
def test_what_is_no_folder_of_pictures_is_refused(tmp_path: Path, keys: str, says: str) -> None:
    own = tmp_path / "own"
    for name in ("backs", "empty", "text", "huge"):
        (own / name).mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (own / "link").symlink_to(tmp_path / "outside")
    (own / "backs" / "a.png").write_bytes(coded((3, 3)))
    (own / "text" / "a.png").write_bytes(b"GIF89a" + bytes(40))
    huge = coded((3, 2))
    (own / "huge" / "a.png").write_bytes(huge[:16] + (99999).to_bytes(4) + huge[20:])
    (problem,) = faults_of(read_connector, scene(own, keys))
    assert problem.startswith("mine.toml:") and says in problem


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_check_names_a_picture_that_ends_early(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    whole = coded((200, 100), kind)
    (tmp_path / "m.csv").write_text(
        f"{','.join(COLUMNS)}\na,train,1,1,mine,plain,round,,center,ring,none\n", encoding="utf-8"
    )
    kept(tmp_path, a__png=coded((8, 8)), b__jpg=whole)
    command = ["check", str(tmp_path / "m.csv"), "--scenes", str(tmp_path)]
    assert main(command) == 0
    kept(tmp_path, b__jpg=whole[: len(whole) // 2])
    capsys.readouterr()
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mine.toml fixture.photographs: backs/b.jpg: expected a picture that can be decoded, got: ")
