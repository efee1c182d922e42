"""Rate-limited progress lines of a long rendering: at least 30 s apart, with growing intervals."""

import pytest

from blender_scripts.contract.progress_lines import ProgressLines


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("blender_scripts.contract.progress_lines.time.monotonic", clock)
    return clock


def lines(clock: Clock, total: int, row_s: float) -> list[str]:
    of, found = ProgressLines(total), []
    for done in range(1, total + 1):
        clock.now += row_s
        found.append(of.line(done))
    return [each for each in found if each is not None]


def test_a_short_rendering_prints_none(clock: Clock) -> None:
    assert lines(clock, 29, 1.0) == [] == lines(clock, 1, 100.0)


def test_the_first_comes_after_half_a_minute(clock: Clock) -> None:
    assert lines(clock, 100, 1.0) == [
        "30 of 100 pictures (30%), 1.00/s, 0:01:10 left",
        "60 of 100 pictures (60%), 1.00/s, 0:00:40 left",
        "90 of 100 pictures (90%), 1.00/s, 0:00:10 left",
    ]


def test_a_rendering_of_ten_hours_does_not_flood_a_log(clock: Clock) -> None:
    found = lines(clock, 3600, 10.0)
    assert 40 < len(found) < 80
    assert found[0] == "3 of 3600 pictures (0%), 0.10/s, 9:59:30 left"


def test_rows_that_a_resumed_rendering_keeps_do_not_count_in_the_rate(clock: Clock) -> None:
    of, found = ProgressLines(10_000), []
    for done in range(1, 10_000):
        clock.now += 0.001 if done <= 9000 else 10.0
        found.append(of.line(done))
    said = [each for each in found if each is not None]
    assert said[0] == "9003 of 10000 pictures (90%), 0.10/s, 2:46:10 left"
    assert all(", 0.10/s, " in each for each in said)
