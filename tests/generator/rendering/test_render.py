"""`python -m generator render`: workers that die, refuse, or are stopped, and command lines that are wrong.

For renderers that misbehave, a script with the same protocol replaces the renderer: it reads row numbers and writes a
line of JSON per row.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blender_scripts.contract.connector import read_connector
from blender_scripts.manifest.output_folder import PATHS, SCENE_PATHS
from blender_scripts.manifest.reader import read_manifest
from blender_scripts.manifest.record import RENDERER, encode_record
from generator.__main__ import main
from tests.conftest import COLUMNS, RENDER, ROOT, ROWS, SCENES, folder_bytes, write_manifest
from tests.soak import rounds

NAMES = ("one", "two", "three", "four")


def small_manifest(folder: Path) -> Path:
    """A manifest of four rows with pictures of the smallest size."""
    rows = [
        (name, "train", i, i, "plain", "round", "", "center", "ring", "none", 32, 32, 1) for i, name in enumerate(NAMES)
    ]
    return write_manifest(folder / "small.csv", rows, (*COLUMNS, "width", "height", "samples"))


def command(manifest: Path, out: Path, *more: object) -> list[str]:
    return [*map(str, (sys.executable, "-m", "generator", "render", manifest, "--out", out, *more))]


def drive(manifest: Path, out: Path, *more: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(manifest, out, *more),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=600,
        env={**os.environ, **environment},
    )


def stand_in(folder: Path, body: str) -> Path:
    """An executable that calls `answer(row)` for each row number that it reads, and writes the result."""
    path = folder / "stand_in"
    path.write_text(
        f"#!{sys.executable}\n"
        "import json, os, signal, sys, time\n"
        "def good(row):\n"
        "    return {'row': row, 'rendered': True, 'problem': None}\n"
        f"{body}\n"
        "print('Blender 9.9.9', flush=True)\n"
        "for line in sys.stdin:\n"
        "    print(json.dumps(answer(int(line))), flush=True)\n"
    )
    path.chmod(0o755)
    return path


def children(pid: int) -> list[int]:
    """Processes that any thread of a process has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


@contextlib.contextmanager
def driver_of(*arguments: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The driver as a process of its own, which does not outlive the test."""
    driver = subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    try:
        yield driver
    finally:
        driver.kill()
        driver.communicate()


def assert_same_bytes(out: Path, whole: Path, rows: list[tuple[object, ...]]) -> None:
    """Check that a folder holds exactly these rows, with the same bytes as another folder."""
    names = [
        f"{kind}/{row[0]}.{end}"
        for row in rows
        for kind, end in (("images", "png"), ("masks", "png"), ("records", "json"))
    ]
    expected = folder_bytes(whole)
    found = folder_bytes(out)
    assert found.pop(PATHS) and found.pop(SCENE_PATHS)
    assert found == {name: expected[name] for name in (*names, "manifests/rows.csv", "scenes/connector_3x9.toml")}


def wait_for(condition, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


@pytest.mark.parametrize("part", rounds(1))
def test_a_killed_worker_is_replaced_and_the_bytes_are_the_same(
    rendered: Path, manifest: Path, tmp_path: Path, part: int
) -> None:
    """After one row; in a soak also after two."""
    out = tmp_path / "out"
    with driver_of(manifest, out, "--workers", 1, "--rows", "0:4") as driver:
        wait_for(lambda: len(list((out / "records").glob("*.json"))) > part % 2)
        (worker,) = children(driver.pid)
        os.kill(worker, signal.SIGKILL)
        told, words = driver.communicate(timeout=300)
    assert driver.returncode == 0, words
    assert f" 0 failed, in {out}" in told
    assert_same_bytes(out, rendered, ROWS[:4])


def test_an_interrupt_stops_everything_and_the_rest_follows(rendered: Path, manifest: Path, tmp_path: Path) -> None:
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    scratch.mkdir()
    with driver_of(manifest, out, "--workers", 1, "--rows", "4:8", TMPDIR=str(scratch)) as driver:
        wait_for(lambda: list((out / "records").glob("*.json")))
        (worker,) = children(driver.pid)
        driver.send_signal(signal.SIGINT)
        told, words = driver.communicate(timeout=60)
    assert driver.returncode == 1
    assert words == "interrupted: repeat the command to resume\n" and told == ""
    assert not Path(f"/proc/{worker}").exists()
    assert not list(out.rglob("*.tmp")) and not list(scratch.iterdir())
    finished = len(list((out / "records").glob("*.json")))
    assert 1 <= finished < 4
    again = drive(manifest, out, "--workers", 1, "--rows", "4:8")
    assert again.returncode == 0
    assert f"{4 - finished} rendered, {finished} already there, 0 failed" in again.stdout
    assert_same_bytes(out, rendered, ROWS[4:8])


def test_a_renderer_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    deaf += f"def answer(row):\n    open({str(begun)!r}, 'w').close()\n    time.sleep(600)"
    with driver_of(small_manifest(tmp_path), tmp_path / "out", "--blender", stand_in(tmp_path, deaf)) as driver:
        wait_for(begun.exists)
        workers = children(driver.pid)
        driver.send_signal(signal.SIGINT)
        _, words = driver.communicate(timeout=60)
    assert driver.returncode == 1 and words == "interrupted: repeat the command to resume\n"
    assert workers
    wait_for(
        lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers)
    )  # a killed one ends a little later


def test_only_the_rows_that_are_asked_for(tmp_path: Path) -> None:
    done = drive(small_manifest(tmp_path), tmp_path / "out", "--rows", "1:3", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "2 rendered, 0 already there, 0 failed" in done.stdout
    assert sorted(path.stem for path in (tmp_path / "out" / "records").iterdir()) == ["three", "two"]


def test_a_renderer_that_always_dies_is_reported_by_row(tmp_path: Path) -> None:
    dying = stand_in(tmp_path, "def answer(row):\n    print('no luck', file=sys.stderr)\n    os.kill(os.getpid(), 9)")
    done = drive(small_manifest(tmp_path), tmp_path / "out", "--blender", dying, "--workers", 2)
    assert done.returncode == 1
    assert sorted(done.stderr.splitlines()) == sorted(
        f"failed: {name}: the renderer ended with signal SIGKILL: no luck" for name in NAMES
    )
    assert done.stdout == f"0 rendered, 0 already there, 4 failed, in {tmp_path / 'out'}\n"


def test_a_row_that_kills_every_renderer_does_not_stop_the_others(tmp_path: Path) -> None:
    body = "def answer(row):\n    if row == 1:\n        sys.exit(3)\n    return good(row)"
    done = drive(small_manifest(tmp_path), tmp_path / "out", "--blender", stand_in(tmp_path, body), "--workers", 1)
    assert done.returncode == 1
    assert done.stderr == "failed: two: the renderer ended with exit code 3\n"
    assert done.stdout.startswith("3 rendered, 0 already there, 1 failed")


def test_a_row_is_tried_once_more(tmp_path: Path) -> None:
    mark = tmp_path / "tried"
    body = f"def answer(row):\n    if row == 2 and not os.path.exists({str(mark)!r}):\n"
    body += f"        open({str(mark)!r}, 'w').close()\n        sys.exit(3)\n    return good(row)"
    done = drive(small_manifest(tmp_path), tmp_path / "out", "--blender", stand_in(tmp_path, body), "--workers", 1)
    assert done.returncode == 0 and done.stderr == "" and mark.exists()
    assert done.stdout.startswith("4 rendered, 0 already there, 0 failed")


def test_a_row_that_fails_in_the_renderer_is_named(tmp_path: Path) -> None:
    body = "def answer(row):\n    problem = 'three: RuntimeError: dark' if row == 2 else None\n"
    body += "    return {'row': row, 'rendered': False, 'problem': problem}"
    done = drive(small_manifest(tmp_path), tmp_path / "out", "--blender", stand_in(tmp_path, body))
    assert done.returncode == 1
    assert done.stderr == "failed: three: RuntimeError: dark\n"
    assert done.stdout.startswith("0 rendered, 3 already there, 1 failed")


def test_a_worker_is_recycled(tmp_path: Path) -> None:
    log = tmp_path / "log"
    body = f"open({str(log)!r}, 'a').write('x')\ndef answer(row):\n    return good(row)"
    done = drive(
        small_manifest(tmp_path),
        tmp_path / "out",
        "--blender",
        stand_in(tmp_path, body),
        "--workers",
        1,
        "--recycle",
        2,
    )
    assert done.returncode == 0
    assert log.read_text() == "xx"


def test_an_edit_of_the_manifest_while_it_renders_reaches_no_worker(tmp_path: Path) -> None:
    path, log = small_manifest(tmp_path), tmp_path / "log"
    body = "given = open(sys.argv[sys.argv.index('--') + 1]).read().splitlines()\n"
    body += f"open({str(path)!r}, 'w').write('\\n'.join([given[0], *given[:0:-1]]))\n"
    body += f"def answer(row):\n    print(given[row + 1].split(',')[0], file=open({str(log)!r}, 'a'))\n"
    body += "    return good(row)"
    renderer = stand_in(tmp_path, body)
    done = drive(path, tmp_path / "out", "--blender", renderer, "--workers", 1, "--recycle", 1)
    assert done.returncode == 0, done.stderr
    assert path.read_text().splitlines()[1].startswith(NAMES[-1])
    assert log.read_text().split() == list(NAMES)


def test_a_blender_that_is_too_old_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    line = "blender: expected Blender 3.4 or newer with Python 3.11 or newer, got Blender 2.79 with Python 3.5"
    old = stand_in(
        tmp_path, f"print('Warning: no sound', file=sys.stderr)\nprint({line!r}, file=sys.stderr)\nsys.exit(2)"
    )
    done = drive(small_manifest(tmp_path), tmp_path / "out", "--blender", old, "--workers", 2)
    assert done.returncode == 2
    assert done.stderr == line + "\n"


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--device", "gpu")], ids=["render", "dry run", "graphics card"])
@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"\x7fNOT A PROGRAM", "a file that cannot be executed: Exec format error"),
        (b"#!/nonexistent/python\n", "a program whose interpreter (first line of a script) or loader is missing"),
        (b"#!/bin/sh\necho 'unknown option -b' >&2\nexit 2\n", "a program that ended with exit code 2: unknown option"),
        (b"#!/bin/sh\nexit 2\n", "a program that ended with exit code 2\n"),
        (None, "a file that is not executable\n"),
    ],
    ids=["junk", "no interpreter", "another program", "silent", "not executable"],
)
def test_a_file_that_is_no_blender_is_one_line(
    content: bytes | None, got: str, more: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "program"
    path.write_bytes(content or b"")
    path.chmod(0o755 if content else 0o644)
    done = drive(small_manifest(tmp_path), tmp_path / "out", "--workers", 1, "--blender", path, *more)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"--blender {path}: expected an executable Blender, got {got}")


def test_a_dry_run_with_another_program_does_not_succeed(tmp_path: Path) -> None:
    done = drive(small_manifest(tmp_path), tmp_path / "out", "--blender", "/bin/true", "--dry-run")
    assert done.returncode == 2 and done.stdout == ""
    got = "got a program that gives no answer, but ended with exit code 0"
    assert done.stderr == f"--blender /bin/true: expected an executable Blender, {got}\n"


@pytest.mark.parametrize("by", ["option", "environment"])
@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("/nonexistent/blender", "no file"),
        ("/tmp", "a folder"),
        ("no_such_blender", "no program of this name on the PATH (--blender FILE names one elsewhere)"),
    ],
)
def test_a_blender_that_is_not_there(by: str, name: str, got: str, tmp_path: Path) -> None:
    more, environment = (["--blender", name], {}) if by == "option" else ([], {"PINSIGHT_BLENDER": name})
    done = drive(small_manifest(tmp_path), tmp_path / "out", "--engine", "blender", *more, **environment)
    assert done.returncode == 2
    place = f"--blender {name}" if by == "option" else f"PINSIGHT_BLENDER={name}"
    assert done.stderr == f"{place}: expected an executable Blender, got {got}\n"
    assert not (tmp_path / "out").exists()


def test_a_refused_manifest_renders_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_manifest(tmp_path)
    path.write_text(path.read_text().replace("two,train", "one,train"))
    assert main(["render", str(path), "--out", str(tmp_path / "out")]) == 2
    assert (
        capsys.readouterr().err == "small.csv:3 run: expected a name that no other row has (line 2 has it), got 'one'\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["rendr"],
        ["render", "m.csv", "--out", "o", "--turbo"],
        ["render", "m.csv", "--out", "o", "--workers", "0"],
        ["render", "m.csv", "--out", "o", "--workers", "two"],
        ["render", "m.csv", "--out", "o", "--workers", "9" * 5000],
        ["render", "m.csv", "--out", "o", "--mask-scale", "9"],
        ["render", "m.csv", "--out", "o", "--engine", "povray"],
        ["render", "m.csv", "--out", "o", "--device", "abacus"],
        ["render", "m.csv", "--out", "o", "--recycle", "-1"],
    ],
    ids=lambda arguments: " ".join(arguments)[:50],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_a_manifest_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render"]) == 2
    assert capsys.readouterr().err == "manifest: expected the CSV manifest to render, got nothing\n"


def test_the_script_s_place_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--print-script"]) == 0
    assert capsys.readouterr().out == f"{RENDER}\n"


@pytest.mark.parametrize("code", [3, -9])
def test_a_renderer_that_dies_while_it_compares_is_named(code: int, tmp_path: Path) -> None:
    """Where finished rows cannot be compared nothing is rendered."""
    path = small_manifest(tmp_path)
    good = stand_in(tmp_path, "def answer(row):\n    return good(row)")
    words = [sys.executable, "-m", "generator", "render", path, "--workers", "1", "--blender", good]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def here() -> subprocess.CompletedProcess[str]:
        return subprocess.run([*map(str, words)], capture_output=True, text=True, cwd=tmp_path, env=environment)

    assert here().stdout.splitlines()[-1].startswith("4 rendered")
    (tmp_path / "renders" / "small" / "records" / "one.json").touch()
    dies = "if '--compare' in sys.argv:\n    print('no luck', file=sys.stderr)\n"
    dies += f"    sys.stderr.flush()\n    sys.exit({code}) if {code} > 0 else os.kill(os.getpid(), {-code})\n"
    stand_in(tmp_path, dies + "def answer(row):\n    return good(row)")
    done = here()
    assert done.returncode == 1 and "rendered" not in done.stdout
    ended = f"the renderer ended with {'exit code 3' if code > 0 else 'signal SIGKILL'}: no luck"
    expected = "expected a renderer that checks finished rows and graphics cards, got"
    (line,) = done.stderr.splitlines()
    log = re.fullmatch(rf"{re.escape(str(good))}: {expected}: {ended} \(whole output: (.+)\)", line)[1]
    assert "no luck\n" in Path(log).read_text()
    Path(log).unlink()


def write_records(path: Path, out: Path, edited: tuple[int, ...]) -> None:
    """Records of all rows of a manifest, those of some rows with another lighting than the manifest has now."""
    (out / "records").mkdir(parents=True, exist_ok=True)
    scene = read_connector(SCENES / "connector_3x9.toml")
    for number, run in enumerate(read_manifest(path, SCENES).runs):
        row = run.row() | ({"lighting": "side"} if number in edited else {})
        known = {"schema": 1, "run": run.run, "row": row, "renderer": RENDERER, "blender": "9.9.9"}
        known |= dict.fromkeys(("image_sha256", "mask_sha256", "row_sha256"), "0") | {"width": 32, "height": 32}
        known |= {"camera": {}, "tolerance": {}, "housing": {}, "positions": [], "other": []}
        (out / "records" / f"{run.run}.json").write_bytes(encode_record(known | {"scene_sha256": scene.sha256}))


EDITED = "rows not chosen now whose manifest row or scene was edited since they were rendered: "
STAY = ". They stay as they are (`build` may refuse them): render them, too\n"


def test_edited_rows_outside_of_the_selection_are_named(tmp_path: Path) -> None:
    """Records of rows that were not rendered again stay as they are; `build` would refuse them without a hint."""
    path, out = small_manifest(tmp_path), tmp_path / "out"
    write_records(path, out, edited=(1, 2))
    good = stand_in(tmp_path, "def answer(row):\n    return good(row)")
    for rows, count in (("0:1", "2 (such as two)"), ("1:2", "1 (such as three)"), ("1:3", "")):
        done = drive(path, out, "--workers", 1, "--blender", good, "--rows", rows)
        assert done.returncode == 0, done.stderr
        assert done.stderr == (f"{out}: {EDITED}{count}{STAY}" if count else "")


def test_edited_rows_of_the_folder_s_other_manifests_are_named(tmp_path: Path) -> None:
    path, out = small_manifest(tmp_path), tmp_path / "out"
    other = path.with_name("other.csv")
    other.write_text(path.read_text().replace("\none,", "\nfive,").replace("\ntwo,", "\nsix,"))
    write_records(path, out, edited=())
    write_records(other, out, edited=(0,))
    for name in ("manifests", "scenes"):
        (out / name).mkdir()
    shutil.copy(other, out / "manifests")
    shutil.copy(SCENES / "connector_3x9.toml", out / "scenes")
    good = stand_in(tmp_path, "def answer(row):\n    return good(row)")
    done = drive(path, out, "--workers", 1, "--blender", good)
    assert done.returncode == 0 and done.stderr == f"{out}: {EDITED}1 (such as five){STAY}"


@pytest.mark.parametrize("engine", ["local", "blender"])
def test_a_dry_run_prints_the_plan_and_writes_nothing(engine: str, tmp_path: Path) -> None:
    path, out = small_manifest(tmp_path), tmp_path / "out"
    chosen = ("--engine", engine, "--workers", 2, "--rows", "1:4")
    done = drive(path, out, *chosen, "--dry-run")
    assert done.returncode == 0, done.stderr
    cards, rows, workers = done.stdout.splitlines()
    assert cards.startswith("graphics cards that Blender ") and "CUDA: " in cards
    assert rows == f"to render: 3 rows on the CPU; already there: 0, in {out}"
    assert workers.startswith("renderer processes: 2, threads of each: ")
    assert not out.exists()
    if engine == "local":
        assert drive(path, out, "--rows", "1:2").returncode == 0
        before = folder_bytes(out)
        assert "to render: 2 rows on the CPU; already there: 1, in " in drive(path, out, *chosen, "--dry-run").stdout
        assert "to render: 3 rows on the CPU; already" in drive(path, out, *chosen, "--dry-run", "--force").stdout
        assert folder_bytes(out) == before


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["render", "dry run"])
def test_a_graphics_card_is_used_or_said_to_be_missing(more: tuple[str, ...], tmp_path: Path) -> None:
    done = drive(small_manifest(tmp_path), tmp_path / "out", "--engine", "local", "--device", "gpu", *more)
    if done.returncode == 0:
        assert "on the CPU" not in done.stdout
        return
    assert done.returncode == 2
    assert done.stderr.startswith("--device gpu: expected a graphics card, got none (Blender ")
    assert done.stderr.count("\n") == 1 and done.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rows", ["x", "1", "3:1", "9:", "-1:2", "1:2:3", "1.0:2"])
def test_wrong_rows_are_exit_code_2(rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(small_manifest(tmp_path)), "--out", str(tmp_path / "out"), f"--rows={rows}"]) == 2
    assert capsys.readouterr().err.startswith("--rows: expected ")
    assert not (tmp_path / "out").exists()
