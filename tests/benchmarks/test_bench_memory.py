"""The renderer's memory stays as docs/reference/records.md says over thousands of frames."""

import pytest

from benchmarks.bench_memory import one_process, recycled_workers
from tests.soak import SOAK


@pytest.mark.soak
def test_a_process_grows_by_little_and_a_recycled_worker_not_beyond_it():
    frames = 150 * max(SOAK, 4)
    points = one_process(frames)
    early, late = points[len(points) // 10], points[-1]
    assert 1024 * (late[1] - early[1]) / (late[0] - early[0]) < 60  # KiB a frame
    assert max(memory for _, memory in recycled_workers(frames)) < early[1] + 60 * 500 / 1024 + 50
