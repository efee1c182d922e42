"""Folders of photographs that have none."""

import pytest

from blender_scripts.contract.errors import InputError
from generator.__main__ import main
from generator.io.photo_folder import photographs_in


def test_a_folder_without_pictures_names_itself_and_its_files(tmp_path, capsys):
    with pytest.raises(InputError, match=r"expected at least one picture \(.*\), got none$"):
        photographs_in(tmp_path)
    (tmp_path / "x.txt").touch()
    with pytest.raises(InputError) as error:
        photographs_in(tmp_path)
    told = str(error.value)
    assert told.startswith(f"{tmp_path}: expected") and told.count(str(tmp_path)) == 1
    assert told.endswith("got none: passed over 1 file without the suffix of a picture: 1 .txt (first: x.txt)")
    (tmp_path / "a.png").touch()
    assert photographs_in(tmp_path) == [tmp_path / "a.png"]
    assert capsys.readouterr().err == f"{told.partition(':')[0]}: {told.partition('none: ')[2]}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("match", "{}", "--scene", "connector_3x9", "-o", "m.toml"),
        ("calibrate", "{}", "--target", "dots:11x9:2", "-o", "c.json"),
        ("calibrate", "center={}", "--target", "dots:11x9:2", "-o", "c.json"),
    ],
    ids=" ".join,
)
def test_commands_name_the_folder_and_its_files(words, tmp_path, capsys):
    (tmp_path / "x.txt").touch()
    assert main([word.format(tmp_path) for word in words]) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path}: expected at least one picture")
