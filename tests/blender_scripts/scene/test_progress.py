"""The progress of render.py: lines where stderr is not a terminal."""

import io

import pytest

from blender_scripts.contract import progress_lines
from blender_scripts.scene.progress import Progress


def test_in_a_pipe_a_line_is_printed_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_lines, "LEAST_S", 0.0)
    monkeypatch.setattr(progress_lines, "SHARE", 0.0)
    stream = io.StringIO()
    progress = Progress(2, stream)
    for _ in range(2):
        progress.advance()
    progress.close()
    assert stream.getvalue().startswith("1 of 2 pictures (50%), ") and stream.getvalue().count("\n") == 1
