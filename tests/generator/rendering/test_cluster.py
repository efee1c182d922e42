"""`render --cluster ray`: the bytes of one machine from several nodes, of which some die, join late or are refused.

The nodes are Ray nodes of this machine. Where a renderer has to misbehave, a script does what is asked before a row and
then lets the real renderer work.
"""

import contextlib
import csv
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import yaml
from packaging.requirements import Requirement
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.cluster_utils import Cluster
from ray.scripts.scripts import start

from blender_scripts.manifest.record import encode_record
from generator.__main__ import main
from generator.rendering import cluster, joining
from generator.rendering.shards import cpu
from tests.conftest import COLUMNS, ROOT, assert_same_files, folder_bytes, records, write_manifest
from tests.generator.rendering.test_render import command, wait_for

COUNT = 12
CLIENT_PORT = 10_000 + os.getpid() % 20_000
NAMES = [f"r{row}" for row in range(COUNT)]
# The CPUs of a cluster of this machine alone, the addresses at which its processes listen, and if it needs a token.
ALONE = """
import json, psutil
from generator.rendering.joining import joined
with joined("ray"):
    import ray
    from ray._raylet import AuthenticationMode, get_authentication_mode
    each = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = {one.laddr.ip for of in each for one in of.net_connections("inet") if one.status == "LISTEN"}
    has_token = get_authentication_mode() == AuthenticationMode.TOKEN
    print(json.dumps([ray.cluster_resources()["CPU"], sorted(found), has_token]))
"""


def patiently(start):
    """Start what Ray gives 30 s to start, which is short on a busy machine."""
    for _ in range(2):
        with contextlib.suppress(Exception):
            return start()
    return start()


def rendered_alone(folder: Path) -> Path:
    """The render folder `whole`, of one process, beside its manifest, rows.csv."""
    rows = [(name, "train", i, i, "plain", "round", "", "center", "ring", "none") for i, name in enumerate(NAMES)]
    sized = [(*row, 48, 32, 1) for row in rows]
    manifest = write_manifest(folder / "rows.csv", sized, (*COLUMNS, "width", "height", "samples"))
    assert main(["render", str(manifest), "--out", str(folder / "whole"), "--workers", "1"]) == 0
    return folder / "whole"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rendered_alone(tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a second node's Blender."""
    return tmp_path_factory.mktemp("other")


@pytest.fixture(scope="module")
def nodes(other: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Ray cluster with one node of two CPUs; with --engine blender it renders four rows, then waits for the other."""
    wait = f"while row > 4 and not os.path.isdir({str(other / 'begun')!r}): time.sleep(0.05)"
    patient = blender(tmp_path_factory.mktemp("head"), f"row > 3 and once({str(other / 'answered')!r})\n        {wait}")
    head = {"num_cpus": 2, "ray_client_server_port": CLIENT_PORT, "env_vars": {"PINSIGHT_BLENDER": str(patient)}}
    found = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
    yield found
    found.shutdown()


@pytest.fixture
def joined(nodes: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    return nodes


def render(whole: Path, out: Path, *more: object, to: str = "ray") -> int:
    return main(["render", str(whole.parent / "rows.csv"), "--out", str(out), "--cluster", to, *map(str, more)])


def driver_of(whole: Path, out: Path, *more: object) -> subprocess.Popen[str]:
    words = command(whole.parent / "rows.csv", out, "--cluster", "ray", *more)
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def blender(folder: Path, before_row: str, first: str = "") -> Path:
    """An executable that runs code, with `row` and `once(name)`, before the real renderer renders a row."""
    path = folder / "blender"
    path.write_text(
        f"#!{sys.executable}\n"
        "import os, sys, time\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from blender_scripts import render\n"
        "def once(name):\n"
        "    try:\n"
        f"        os.mkdir(os.path.join({str(folder)!r}, name))\n"
        "    except FileExistsError:\n"
        "        return False\n"
        "    return True\n"
        "fed = render._fed_rows\n"
        "def rows(count):\n"
        "    for row in fed(count):\n"
        f"        {before_row}\n"
        "        yield row\n"
        "render._fed_rows = rows\n"
        f"{first}\n"
        "render._leave(render.main())\n"
    )
    path.chmod(0o755)
    return path


def renderers(out: Path) -> list[Path]:
    """Processes that render for Ray with the stand-in of a test."""
    stand_in = str(out.parent / "blender").encode()
    return [path.parent for path in Path("/proc").glob("[0-9]*/cmdline") if stand_in in content(path)]


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_cluster_gives_the_bytes_of_one_machine_and_resumes(whole: Path, joined: Cluster, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    assert render(whole, out) == 0
    assert f"{COUNT} rendered, 0 already there, 0 failed" in capsys.readouterr().out
    assert_same_files(out, whole)
    before = {name: (out / "images" / f"{name}.png").stat().st_mtime_ns for name in NAMES}
    (out / "records" / "r3.json").unlink()
    (out / "masks" / "r7.png").write_bytes(b"damaged")
    assert render(whole, out) == 0
    assert f"2 rendered, {COUNT - 2} already there, 0 failed" in capsys.readouterr().out
    assert_same_files(out, whole)
    changed = {name for name in NAMES if (out / "images" / f"{name}.png").stat().st_mtime_ns != before[name]}
    assert changed == {"r3", "r7"}


def test_rows_that_kill_their_renderer_or_worker_are_rendered_again_or_named(
    whole: Path, joined: Cluster, tmp_path, capsys
) -> None:
    killer = "if row in (1, 4) or row == 7 and once('killed'): os.kill(os.getpid() if row == 1 else os.getppid(), 9)"
    assert render(whole, tmp_path / "out", "--blender", blender(tmp_path, killer)) == 1
    told, words = capsys.readouterr()
    assert f"{COUNT - 2} rendered, 0 already there, 2 failed" in told
    assert "failed: r1: the renderer ended with signal SIGKILL" in words
    assert "failed: r4: lost 4 times with its worker or node, at last WorkerCrashedError: " in words
    assert (tmp_path / "killed").is_dir()
    expected = folder_bytes(whole / "records")
    assert folder_bytes(tmp_path / "out" / "records") == {
        n: e for n, e in expected.items() if n[:-5] not in ("r1", "r4")
    }


@pytest.mark.soak
def test_a_killed_driver_s_finished_rows_are_kept(whole: Path, joined: Cluster, tmp_path, capsys) -> None:
    out, slow = tmp_path / "out", blender(tmp_path, "time.sleep(0.3)")
    driver = driver_of(whole, out, "--blender", slow)
    wait_for(lambda: list((out / "records").glob("*.json")))
    driver.kill()
    driver.communicate()
    wait_for(lambda: not renderers(out))
    finished = len(list((out / "records").glob("*.json")))
    assert 1 <= finished < COUNT
    assert render(whole, out) == 0
    assert f"{COUNT - finished} rendered, {finished} already there, 0 failed" in capsys.readouterr().out
    assert_same_files(out, whole)


@pytest.mark.soak
def test_an_interrupt_ends_the_tasks(whole: Path, joined: Cluster, tmp_path) -> None:
    out, slow = tmp_path / "out", blender(tmp_path, "time.sleep(600)")
    driver = driver_of(whole, out, "--blender", slow)
    wait_for(lambda: len(renderers(out)) == 2)
    driver.send_signal(signal.SIGINT)
    _, words = driver.communicate(timeout=300)
    assert driver.returncode == 1 and words == "interrupted: repeat the command to resume\n"
    wait_for(lambda: not renderers(out), seconds=60)


@pytest.mark.parametrize(
    "more",
    [pytest.param((), id="refused"), pytest.param(("--mixed",), id="accepted on request", marks=pytest.mark.soak)],
)
def test_a_node_of_another_blender(
    more: tuple[str, ...], whole: Path, joined: Cluster, other, tmp_path, capsys
) -> None:
    shutil.rmtree(other / "begun", ignore_errors=True)
    shutil.rmtree(other / "answered", ignore_errors=True)
    named = "from blender_scripts.scene import versions\nversions.blender_version = lambda: '9.9.9'"
    # It waits until the first node has answered.
    wait = f"while not os.path.isdir({str(other / 'answered')!r}): time.sleep(0.05)"
    path = blender(other, f"once('begun')\n        {wait}", named)
    node = patiently(lambda: joined.add_node(num_cpus=1, env_vars={"PINSIGHT_BLENDER": str(path)}))
    assert render(whole, tmp_path / "out", "--engine", "blender", *more) == 0
    joined.remove_node(node)
    told, words = capsys.readouterr()
    assert f"{COUNT} rendered, 0 already there, 0 failed" in told and (other / "begun").is_dir()
    versions = {record["blender"] for record in records(tmp_path / "out").values()}
    if more:
        assert "9.9.9" in versions and len(versions) == 2 and words == ""
        with (tmp_path / "out" / "nodes.csv").open(encoding="utf-8", newline="") as file:
            noted = {line["run"]: (line["blender"], line["processor"]) for line in csv.DictReader(file)}
        assert noted == {run: (one["blender"], cpu()) for run, one in records(tmp_path / "out").items()}
    else:
        assert "got Blender 9.9.9 on " in words and words.endswith(": other nodes get its rows\n")
        assert_same_files(tmp_path / "out", whole)


def test_a_node_of_other_code_is_refused(whole: Path, joined: Cluster, tmp_path, capsys, monkeypatch) -> None:
    def no_head(self: cluster.Scheduler) -> None:
        raise ConnectionError("the first machine is lost")

    # An error while tasks are cancelled does not replace that of the command.
    monkeypatch.setattr(cluster.Scheduler, "_cancel", no_head)
    monkeypatch.setattr(cluster, "code", lambda: "pinsight 9.9.9, renderer 77, code 0123456789ab")
    assert render(whole, tmp_path / "out") == 2
    words = capsys.readouterr().err
    assert "expected the driver's pinsight 9.9.9, renderer 77, code 0123456789ab, got pinsight " in words
    assert words.endswith("--cluster: expected a node that can render, got none\n")
    assert not list((tmp_path / "out").glob("images/*"))


def test_an_error_of_the_program_ends_the_command_at_once(whole: Path, joined: Cluster, tmp_path, monkeypatch):
    def task(key, job, chunk):
        raise KeyError("a mistake of the program")

    monkeypatch.setattr(cluster, "_task", lambda ours: task)
    with pytest.raises(KeyError, match="a mistake of the program"):
        render(whole, tmp_path / "out")
    assert not list((tmp_path / "out").glob("images/*"))


def other_blender(record: Path) -> None:
    """Let a finished row say that another Blender has rendered it."""
    known = json.loads(record.read_text("utf-8"))
    record.write_bytes(encode_record(known | {"blender": "9.9.9", "row_sha256": "0" * 64}))


@pytest.mark.parametrize(
    ("more", "edit", "said"),
    [
        (["--no-denoise"], {}, "(such as r1: other render settings)"),
        ([], {"scene": "roughness = 0.43"}, "(such as r1: the scene file was edited)"),
        ([], {"record": "r2"}, "r2: expected Blender 9.9.9, which rendered this finished row, got "),
    ],
)
def test_finished_rows_of_other_settings_stay_in_the_default_folder(
    more: list[str], edit: dict[str, str], said: str, whole: Path, joined: Cluster, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    renders = Path(shutil.copytree(whole, tmp_path / "renders" / "rows")).parent
    shutil.copy(whole.parent / "rows.csv", renders)
    scene = Path(shutil.copytree(ROOT / "scenes", tmp_path / "scenes")) / "connector_3x9.toml"
    scene.write_text(
        scene.read_text("utf-8").replace("roughness = 0.42", edit.get("scene", "roughness = 0.42")), "utf-8"
    )
    if "record" in edit:
        other_blender(renders / "rows" / "records" / f"{edit['record']}.json")
    (renders / "rows" / "records" / "r0.json").unlink()  # it would be rendered
    before = folder_bytes(renders)
    assert main(["render", "renders/rows.csv", "--scenes", "scenes", "--cluster", "ray", "--workers", "1", *more]) == 2
    assert said in capsys.readouterr().err
    assert folder_bytes(renders) == before


def test_the_blender_of_finished_rows_is_kept(whole: Path, joined: Cluster, tmp_path, capsys) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    other_blender(out / "records" / "r0.json")
    assert render(whole, out, "--rows", "0:2") == 2
    assert ": expected Blender 9.9.9, as the finished row r0, got Blender " in capsys.readouterr().err
    assert render(whole, out, "--rows", "0:2", "--mixed") == 0
    assert "1 rendered, 1 already there, 0 failed" in capsys.readouterr().out
    assert folder_bytes(out / "records") == folder_bytes(whole / "records")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--cluster", "dask"], "--cluster: expected ray or ray://ADDRESS, got 'dask'"),
        (["--cluster", "ray", "--dry-run"], "--dry-run: expected no --cluster with it, got both"),
        (["--cluster", "ray", "--shard", "0/2"], "--shard: expected no --cluster with it, got both"),
        (["--mixed"], "--mixed: expected --cluster with it, got none"),
        (["--threads", "2"], "--threads: expected --cluster with it, got none"),
    ],
)
def test_options_that_do_not_go_together(more: list[str], said: str, whole: Path, tmp_path: Path, capsys) -> None:
    assert main(["render", str(whole.parent / "rows.csv"), "--out", str(tmp_path / "out"), *more]) == 2
    assert capsys.readouterr().err == f"{said}\n"


@pytest.mark.soak
def test_a_driver_outside_of_the_cluster(whole: Path, nodes: Cluster, tmp_path: Path) -> None:
    wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", CLIENT_PORT)) == 0)
    assert render(whole, tmp_path / "out", "--rows", "0:3", to=f"ray://127.0.0.1:{CLIENT_PORT}") == 0
    assert sorted(records(tmp_path / "out")) == NAMES[:3]
    assert folder_bytes(tmp_path / "out" / "images").items() <= folder_bytes(whole / "images").items()


def test_without_ray_the_extra_is_named(whole: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert render(whole, tmp_path / "out") == 2
    install = "pip install '.[cluster]' in a clone of the repository"
    assert capsys.readouterr().err.startswith(f"expected the extra 'cluster' ({install}), got ")
    assert not (tmp_path / "out").exists()


def test_a_client_server_that_ends_at_its_start_is_tried_again(monkeypatch) -> None:
    """As Ray's does now and then."""
    calls = []

    def init(address, **settings):
        calls.append(address)
        if len(calls) < 3:
            raise ConnectionAbortedError("Initialization failure from server")

    monkeypatch.setattr(ray, "init", init)
    with joining.joined("ray://somewhere"):
        pass
    assert calls == ["ray://somewhere"] * 3


def test_a_cluster_of_this_machine_is_closed_whatever_the_environment_says(tmp_path: Path, monkeypatch) -> None:
    deep = tmp_path / "a folder too deep for the sockets of Ray"
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    given = {}
    monkeypatch.setattr(ray, "init", lambda address, **settings: given.update(settings))
    with joining.joined("ray"):
        folder = Path(given["_temp_dir"])
        assert folder.is_dir() and folder.parent == Path("/tmp")
        assert os.environ["RAY_AUTH_MODE"] == "token" and len(os.environ["RAY_AUTH_TOKEN"]) == 64
    assert not folder.exists() and list(deep.iterdir()) == []
    assert os.environ["RAY_AUTH_MODE"] == "disabled" and "RAY_AUTH_TOKEN" not in os.environ


def test_a_cluster_that_is_not_there(whole: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert render(whole, tmp_path / "out") == 2
    assert capsys.readouterr().err.startswith("--cluster: expected a Ray cluster at 127.0.0.1:1, got: [Errno ")
    assert not (tmp_path / "out").exists()


@pytest.mark.soak
def test_a_cluster_of_this_machine_is_not_reached_from_others_and_leaves_no_files(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        known = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
        words = [sys.executable, "-c", ALONE]
        # The user's environment is that of another cluster.
        hostile = {"RAY_AUTH_MODE": "disabled", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
        own = known | hostile | {"HOME": str(tmp_path), "TMPDIR": short}
        done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, env=own)
        assert done.returncode == 0, done.stderr
        # Processes of Ray that end write logs.
        wait_for(lambda: list(Path(short).iterdir()) == list(tmp_path.iterdir()) == [])
    cores, addresses, has_token = json.loads(done.stdout)
    assert has_token and cores >= 1 and addresses and set(addresses) <= {"127.0.0.1", "::ffff:127.0.0.1"}


def test_the_sample_cluster_file_installs_ray_and_starts_both_kinds_of_node() -> None:
    sample = yaml.safe_load((ROOT / "docs" / "cluster" / "ray-cluster.yaml").read_text("utf-8"))
    validate_config(prepare_config(sample))
    assert sample["provider"]["type"] == "local" and len(sample["provider"]["worker_ips"]) == sample["max_workers"]
    command, place, _ = sample["setup_commands"][1].split("'")
    assert command == "cd ~/clone && ~/pinsight/bin/pip install " and place.startswith(".[")
    extras = Requirement(f"pinsight{place[1:]}").extras
    assert (
        extras
        == {"render", "cluster"}
        <= set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    )
    for kind, needed in (
        ("head", ["--head", "--include-dashboard", "--port", "--ray-client-server-port"]),
        ("worker", ["--address"]),
    ):
        (words,) = [shlex.split(line) for line in sample[f"{kind}_start_ray_commands"] if " start " in line]
        given = [word.partition("=")[0] for word in words if word.startswith("--")]
        assert given == needed and set(given) <= {option for each in start.params for option in each.opts}
