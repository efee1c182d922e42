"""A node of a cluster whose disk or renderer fails."""

import tempfile
from pathlib import Path

import pytest
import ray

from generator.rendering import node
from generator.rendering.node import Chunk, Job, NodeRenderer, work
from generator.rendering.pool import WorkerSlot


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(node, "this_node", lambda: ("id", "name"))
    return tmp_path


def job_of(files: dict[str, bytes]) -> Job:
    return Job("rows.csv", files, (), "local", None, 500, "out")


def test_a_node_that_cannot_write_refuses_and_leaves_no_folder(temporary: Path, monkeypatch) -> None:
    # As on a full disk, the second file cannot be written.
    job = job_of({"scenes": b"", "scenes/one.toml": b""})
    monkeypatch.setattr(ray, "get", lambda _: job)
    answer = work("key", [None], Chunk(((0, "r0"),), {}, None))
    assert answer.refusal.startswith("FileExistsError: ") and not answer.is_comparison and not answer.rows
    assert list(temporary.iterdir()) == []


def test_a_renderer_that_ends_by_a_timeout_is_not_waited_for(temporary: Path, monkeypatch) -> None:
    def render(self: WorkerSlot, row: int) -> None:
        raise TimeoutError("the disk does not answer")

    monkeypatch.setattr(WorkerSlot, "render", render)
    renderer = NodeRenderer(job_of({"rows.csv": b""}))
    try:
        with pytest.raises(TimeoutError, match="the disk does not answer"):
            renderer.render(0, "r0", None)
    finally:
        renderer.close()
