"""The progress of a rendering: lines in a pipe."""

import pytest

from blender_scripts.contract import progress_lines
from generator.rendering.progress import PictureProgress


def test_in_a_pipe_a_line_is_printed_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_lines, "LEAST_S", 0.0)
    monkeypatch.setattr(progress_lines, "SHARE", 0.0)
    with PictureProgress(3) as bar:
        for _ in range(3):
            bar.update()
    out, err = capsys.readouterr()
    assert not out and [line.partition(" pictures (")[0] for line in err.splitlines()] == ["1 of 3", "2 of 3"]
