"""Which files a scene may name, and the first bytes of each kind."""

import gzip
import hashlib
import os
import socket
from pathlib import Path

import pytest

from blender_scripts.contract.cad_file import CadFile, FileProblem, blend_version, inside
from tests.blender_scripts.geometry.mesh_bytes import CUBE, TRIANGLES, binary_stl

STL = binary_stl(CUBE[TRIANGLES])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A scene's folder with a mesh, beside another folder with one."""
    for path in ("scenes/meshes/a.stl", "scenes/b.stl", "elsewhere/c.stl"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(STL)
    return tmp_path / "scenes"


def problem(folder: Path, name: str) -> str:
    with pytest.raises(FileProblem) as caught:
        CadFile.find(folder, name)
    (text,) = caught.value.problems
    assert text.isprintable() and len(text) < 500
    return text


def test_a_file_below_the_folder_is_found_with_its_hash(folder: Path) -> None:
    file = CadFile.find(folder, "meshes/a.stl")
    assert (file.name, file.format) == ("meshes/a.stl", "stl")
    assert file.sha256 == hashlib.sha256(STL).hexdigest() and file.content() == STL
    assert CadFile.find(folder, "./b.stl").name == "b.stl"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../elsewhere/c.stl", "a path with .."),
        ("meshes/../../elsewhere/c.stl", "a path with .."),
        ("meshes/../b.stl", "a path with .."),
        ("/etc/passwd", "an absolute path"),
        ("~/a.stl", "an absolute path"),
        ("", "''"),
        ("a" * 300 + ".stl", "of at most 255 characters"),
        ("meshes\\a.stl", "characters without \\ and :"),
        ("C:/a.stl", "characters without \\ and :"),
        ("a\0.stl", "at most 255"),
        ("a\n.stl", "at most 255"),
        ("none.stl", "no such file"),
        ("b.stl/a.stl", "got not a directory"),
        ("meshes", "expected a regular file, got a folder"),
        (".", "expected a regular file, got a folder"),
    ],
)
def test_paths_that_lead_elsewhere_or_nowhere(folder: Path, name: str, expected: str) -> None:
    assert expected in problem(folder, name)


def test_symbolic_links_out_of_the_folder_are_refused_and_those_within_are_not(folder: Path) -> None:
    (folder / "out.stl").symlink_to(folder.parent / "elsewhere" / "c.stl")
    (folder / "way").symlink_to(folder.parent / "elsewhere")
    (folder / "in.stl").symlink_to("meshes/a.stl")
    (folder / "loop.stl").symlink_to("loop.stl")
    (folder / "dangling.stl").symlink_to("nothing.stl")
    for name in ("out.stl", "way/c.stl"):
        assert "got a symbolic link that leads out of the scene's folder" in problem(folder, name)
    assert "loop.stl: expected a readable file" in problem(folder, "loop.stl")
    assert "no such file" in problem(folder, "dangling.stl")
    assert CadFile.find(folder, "in.stl").path == (folder / "meshes" / "a.stl").resolve()


def test_a_folder_that_is_a_link_itself_is_the_users_own_choice(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert inside(tmp_path / "link", "b.stl") == (folder / "b.stl").resolve()


def test_pipes_devices_and_sockets_are_not_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.stl")
    assert "expected a regular file, got a pipe" in problem(folder, "pipe.stl")
    (folder / "null.stl").symlink_to("/dev/null")
    assert "leads out of the scene's folder" in problem(folder, "null.stl")
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(str(folder / "s.stl"))
        except OSError:
            return  # the folder's path is longer than a socket's may be
        assert "expected a regular file, got a device or a socket" in problem(folder, "s.stl")


def test_size_and_ending(folder: Path) -> None:
    (folder / "empty.stl").touch()
    (folder / "part.step").write_bytes(STL)
    with (folder / "huge.stl").open("wb") as file:
        file.truncate(300 * 2**20)
    assert "expected a mesh, got an empty file" in problem(folder, "empty.stl")
    assert "got .step" in problem(folder, "part.step")
    assert "expected a file of at most 268,435,456 bytes, got 314,572,800 bytes" in problem(folder, "huge.stl")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    (folder / "b.stl").chmod(0)
    assert "b.stl: expected a readable file, got permission denied" in problem(folder, "b.stl")


def test_a_file_that_changes_later_is_refused(folder: Path) -> None:
    file = CadFile.find(folder, "b.stl")
    (folder / "b.stl").write_bytes(STL + b"x")
    with pytest.raises(FileProblem, match=r"^b\.stl: expected a file unchanged since the scene was read"):
        file.content()
    (folder / "b.stl").unlink()
    (folder / "b.stl").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(FileProblem, match=r"^b\.stl: expected a readable file, got "):
        file.content()


def blend(head: bytes, end: bytes = b"ENDB" + b"\0" * 28) -> bytes:
    return head + b"\0" * 100 + end


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (blend(b"BLENDER-v304REND"), (3, 4)),
        (blend(b"BLENDER-v279REND"), (2, 79)),
        (blend(b"BLENDER17-01v0502REND"), (5, 2)),
        (gzip.compress(blend(b"BLENDER-v293REND"), mtime=0), (2, 93)),
        (b"\x28\xb5\x2f\xfd" + b"\0" * 20, None),
    ],
)
def test_the_version_of_a_blend_file(content: bytes, version: tuple[int, int] | None) -> None:
    assert blend_version(content, "a.blend") == version


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (STL, "which begins with BLENDER"),
        (b"BLENDER", "which begins with BLENDER"),
        (b"BLENDER17-01", "which begins with BLENDER"),
        (gzip.compress(b"something else, not a scene", mtime=0), "which begins with BLENDER"),
        (b"\x1f\x8b\xff\xff", "which begins with BLENDER"),
        (blend(b"BLENDER_v279REND"), "expected a .blend file from a 64-bit little-endian machine"),
        (blend(b"BLENDER-V279REND"), "expected a .blend file from a 64-bit little-endian machine"),
        (blend(b"BLENDER-v304REND", b""), "which ends with ENDB, got a truncated file"),
    ],
)
def test_what_is_no_blend_file(folder: Path, content: bytes, expected: str) -> None:
    (folder / "a.blend").write_bytes(content)
    assert expected in problem(folder, "a.blend")
