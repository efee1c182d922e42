"""`python -m generator push` against a Hub on this computer, with the unmodified client in processes of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blender_scripts.contract.errors import InputError
from generator.__main__ import main
from generator.dataset.build import Options, build
from generator.dataset.folder import split_files
from generator.dataset.push import check_folder
from tests.conftest import faults_of, folder_bytes
from tests.generator.dataset.local_hub import Hub, environment, local_hub
from tests.generator.made_renders import SCENES, row, write_renders

ROOT = Path(__file__).resolve().parents[3]
ROWS = [row("t1"), row("t2", defects="bent@r1c2:tilt_deg=12"), row("t4", "validation", "missing@r3c4")]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("push")
    build(write_renders(folder / "out", ROWS), folder / "set", SCENES, Options({}))
    return folder / "set"


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("push_larger")
    rows = [*ROWS, row("t8"), row("t9", "test_new"), row("t10", "test_new", "missing@r1c1")]
    build(write_renders(folder / "out", rows), folder / "set", SCENES, Options({}))
    return folder / "set"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with local_hub() as running:
        yield running


def push(hub: Hub | None, home: Path, dataset: Path, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "generator", "push", str(dataset), *words]
    own = environment(hub, home, **changes)
    return subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, timeout=120)


LOAD = """
import json, sys
from datasets import load_dataset
data = load_dataset(sys.argv[1])
print(json.dumps({
    "features": str(data["train"].features),
    "rows": {split: [[r["run"], r["bbox_str"], r["image"].tobytes().hex()[:200]] for r in part]
             for split, part in data.items()},
    "streamed": [r["run"] for r in load_dataset(sys.argv[1], split="train", streaming=True)],
}))
"""


def loaded(name: str, env: dict[str, str]) -> dict:
    done = subprocess.run([sys.executable, "-c", LOAD, name], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_what_was_pushed_loads_with_equal_bytes_and_features(hub: Hub, dataset: Path, tmp_path: Path) -> None:
    done = push(hub, tmp_path / "home", dataset, "me/pins", "--private")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith("rows: train 2, validation 1")
    repository = hub.repositories["me/pins"]
    assert repository.private and len(repository.branches["main"]) == 2  # nothing, then everything
    assert repository.head("main") == folder_bytes(dataset)
    there = loaded("me/pins", environment(hub, tmp_path / "home2"))
    here = loaded(str(dataset), environment(None, tmp_path / "home3", HF_HUB_OFFLINE="1"))
    assert there == here
    assert here["streamed"] == ["t1", "t2"]


def test_pushed_again_old_files_go_in_the_same_commit(hub: Hub, dataset: Path, larger: Path, tmp_path: Path) -> None:
    assert push(hub, tmp_path, larger, "me/pins").returncode == 0
    assert push(hub, tmp_path, dataset, "me/pins").returncode == 0
    repository = hub.repositories["me/pins"]
    assert repository.head("main") == folder_bytes(dataset)
    assert len(repository.branches["main"]) == 3
    done = push(hub, tmp_path, dataset, "me/pins")
    assert done.returncode == 0 and len(repository.branches["main"]) <= 4


def test_killed_in_the_middle_nothing_is_visible(hub: Hub, dataset: Path, larger: Path, tmp_path: Path) -> None:
    assert push(hub, tmp_path, dataset, "me/pins").returncode == 0
    before = folder_bytes(dataset)
    hub.stall_from = hub.uploads + 2
    process = subprocess.Popen(
        [sys.executable, "-m", "generator", "push", str(larger), "me/pins"],
        cwd=ROOT, env=environment(hub, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert hub.stalled.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert hub.repositories["me/pins"].head("main") == before
    assert loaded("me/pins", environment(hub, tmp_path / "home2"))["rows"].keys() == {"train", "validation"}
    hub.stall_from = None
    hub.release.set()
    assert push(hub, tmp_path, larger, "me/pins").returncode == 0
    assert hub.repositories["me/pins"].head("main") == folder_bytes(larger)


def test_branches_and_pull_requests(hub: Hub, dataset: Path, larger: Path, tmp_path: Path) -> None:
    assert push(hub, tmp_path, dataset, "me/pins").returncode == 0
    assert push(hub, tmp_path, larger, "me/pins", "--revision", "strict").returncode == 0
    repository = hub.repositories["me/pins"]
    assert repository.head("main") == folder_bytes(dataset)
    assert repository.head("strict") == folder_bytes(larger)
    done = push(hub, tmp_path, larger, "me/pins", "--create-pr")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("/discussions/1")
    assert repository.head("main") == folder_bytes(dataset)
    done = push(hub, tmp_path, larger, "me/none", "--create-pr")
    assert done.returncode == 2
    assert (
        done.stderr
        == "--create-pr: expected an existing dataset me/none on the Hub, got none: push without --create-pr first\n"
    )


def test_somebody_else_s_dataset_is_not_replaced(hub: Hub, dataset: Path, tmp_path: Path) -> None:
    assert push(hub, tmp_path, dataset, "me/pins").returncode == 0
    for files in ({"README.md": b"# Cats"}, {"cats.csv": b"a"}):
        hub.repositories["me/pins"].branches["main"].append(files)
        done = push(hub, tmp_path, dataset, "me/pins")
        assert done.returncode == 2
        assert done.stderr.startswith("OWNER/NAME: expected a new name or a dataset that push made, got me/pins")
        assert hub.repositories["me/pins"].head("main") == files


def test_what_the_hub_refuses_is_said_in_one_line(hub: Hub, dataset: Path, tmp_path: Path) -> None:
    hub.forbidden.add("other")
    done = push(hub, tmp_path, dataset, "other/pins")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("push: expected a token with the right to write to other/pins, got status 403")
    done = push(hub, tmp_path, dataset, "me/pins", HF_TOKEN="hf_wrong")
    assert done.returncode == 1
    assert done.stderr.startswith("push: expected a token that the Hub accepts, got status 401")
    hub.bad_card = "the card's metadata is too long"
    done = push(hub, tmp_path, dataset, "me/pins")
    assert done.returncode == 1
    assert "the card's metadata is too long" in done.stderr and done.stderr.count("\n") == 1
    assert hub.repositories["me/pins"].head("main") == {}


def test_no_network_and_no_token(dataset: Path, tmp_path: Path) -> None:
    done = push(None, tmp_path, dataset, "me/pins")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("push: expected an answer of the Hub, got none: check the network")
    done = push(None, tmp_path, dataset, "me/pins", HF_HUB_OFFLINE="1")
    assert done.stderr == "push: expected access to the Hub, got HF_HUB_OFFLINE=1: unset this variable\n"
    done = push(None, tmp_path, dataset, "me/pins", HF_TOKEN="")
    assert done.returncode == 1
    assert done.stderr.startswith("expected a Hub token in the environment variable HF_TOKEN")


def test_a_dry_run_sends_nothing(hub: Hub, dataset: Path, tmp_path: Path) -> None:
    done = push(hub, tmp_path, dataset, "me/pins", "--dry-run", HF_TOKEN="")
    assert done.returncode == 0
    assert "  data/train-00000-of-00001.parquet\n" in done.stdout
    assert done.stdout.endswith("dry run: nothing was sent to me/pins\n")
    assert hub.seen == []


def test_a_folder_that_is_no_dataset_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"got no data/\*\.parquet file"):
        check_folder(tmp_path)
    broken = tmp_path / "broken"
    for name, content in folder_bytes(dataset).items():
        (broken / name).parent.mkdir(parents=True, exist_ok=True)
        (broken / name).write_bytes(content)
    (broken / "README.md").write_bytes((dataset / "README.md").read_bytes() + b"x" * 1_000_000)
    train = split_files(broken)["train"][0]
    train.write_bytes(train.read_bytes()[:-10])
    problems = faults_of(check_folder, broken)
    assert "expected a card of at most 1,000,000 bytes" in problems[0]
    assert "expected an undamaged Parquet file" in problems[1]
    (broken / "README.md").write_text("# Somebody's")
    with pytest.raises(InputError, match="expected a card that Pinsight wrote"):
        check_folder(broken)


@pytest.mark.parametrize("name", ["pins", "a/b/c", "me/", "me/pi ns", "../x", "me/a--b", "me/x" + "y" * 99])
def test_a_wrong_name_is_refused(dataset: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(dataset), name, "--dry-run"]) == 2
    assert "OWNER/NAME: expected OWNER/NAME" in capsys.readouterr().err
