"""Waiting for pictures: links that lead to no file."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
from PIL import Image

from generator.soart import inspect as inspect_command
from generator.soart import watch
from generator.soart.watch import arrivals, arriving_parts


def write_picture(path: Path) -> Path:
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def incoming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(watch, "UNFINISHED_S", 0.1)
    (tmp_path / "incoming").mkdir()
    return tmp_path / "incoming"


def test_a_broken_link_is_yielded_once_until_it_leads_to_a_picture(incoming: Path, tmp_path: Path) -> None:
    (incoming / "a.png").symlink_to(tmp_path / "later.png")
    (incoming / "circle.png").symlink_to(incoming / "circle.png")
    found = arrivals(incoming, pause_s=0.01)
    assert [path.name for path in islice(found, 2)] == ["a.png", "circle.png"]
    Timer(0.3, write_picture, [incoming / "b.png"]).start()
    assert next(found).name == "b.png"  # neither link again
    write_picture(tmp_path / "later.png")
    assert next(found).name == "a.png"


def test_a_view_that_is_a_broken_link_is_the_part_s(incoming: Path, tmp_path: Path) -> None:
    write_picture(incoming / "p_center.png")
    (incoming / "p_left.png").symlink_to(tmp_path / "none.png")
    found = next(arriving_parts(incoming, ("center", "left"), 60.0, lambda *_: False, pause_s=0.01))
    assert sorted(found.files) == ["center", "left"] and found.sha256["left"] == ""


def test_a_removed_picture_is_passed_over(incoming: Path) -> None:
    (incoming / "a.png").symlink_to("none.png")
    watched = watch._Watched()
    assert list(watched.complete([incoming / "a.png"])) == [] and watched.unfinished
    (incoming / "a.png").unlink()
    assert list(watched.complete([incoming / "a.png"])) == [] and not watched.unfinished


def test_the_command_names_a_broken_link(
    incoming: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (incoming / "a.png").symlink_to("none.png")

    def first(folder: Path) -> Iterator[Path]:
        yield from islice(arrivals(folder, pause_s=0.01), 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(inspect_command, "arrivals", first)
    assert inspect_command._watch(None, incoming) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert (
        said
        == f"{incoming / 'a.png'}: expected a picture file that exists and can be read, got: No such file or directory"
    )
