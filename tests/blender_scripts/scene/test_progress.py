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


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_rows_that_are_kept_do_not_count_in_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("blender_scripts.contract.progress_lines.time.monotonic", lambda: now)
    stream = Terminal()
    progress = Progress(1000, stream)
    for row_s in [*[0.0] * 900, *[10.0] * 5]:
        now += row_s
        progress.advance()
    assert stream.getvalue().rpartition("\r")[2].endswith("905/1000  0.10 pictures/s  15:50 left ")


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_closed_pipe_ends_no_rendering_and_is_written_once(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    class Closed(io.StringIO):
        writes = 0

        def isatty(self) -> bool:
            return is_terminal

        def write(self, text: str) -> int:
            self.writes += 1
            raise BrokenPipeError

    monkeypatch.setattr(progress_lines, "LEAST_S", 0.0)
    monkeypatch.setattr(progress_lines, "SHARE", 0.0)
    stream = Closed()
    progress = Progress(3, stream)
    for _ in range(3):
        progress.advance()
    progress.close()
    assert stream.writes == 1
