"""The progress of a rendering: lines in a pipe."""

import io

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


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_closed_pipe_ends_no_rendering(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    class Closed(io.StringIO):
        writes, is_closed = 0, False

        def isatty(self) -> bool:
            return is_terminal

        def write(self, text: str) -> int:
            self.writes += self.is_closed
            if self.is_closed:
                raise BrokenPipeError
            return len(text)

    monkeypatch.setattr(progress_lines, "LEAST_S", 0.0)
    monkeypatch.setattr(progress_lines, "SHARE", 0.0)
    stream = Closed()
    monkeypatch.setattr("sys.stderr", stream)
    with PictureProgress(3) as bar:
        stream.is_closed = True
        for _ in range(3):
            bar.update()
        bar.write("a note")
    assert is_terminal or stream.writes == 1
