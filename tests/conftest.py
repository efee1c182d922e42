"""Renders that several test modules use, made once per session."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from blender_scripts.contract.errors import InputError
from tests.soak import SOAK, times

# A shell that starts the tests in the background leaves SIGINT ignored, and every child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline, since the machine may be busy; the same examples each time.
settings.register_profile(
    "patient", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
# A soak draws other examples each time; a failure prints the blob that repeats it.
settings.register_profile(
    "soak", settings.get_profile("patient"), derandomize=False, max_examples=times(100), print_blob=True
)
settings.load_profile("patient" if SOAK == 1 else "soak")

ROOT = Path(__file__).resolve().parent.parent
SCENES = ROOT / "scenes"
RENDER = ROOT / "blender_scripts" / "render.py"
LOOKS = ("camera", "lighting", "marking")
COLUMNS = ("run", "split", "part", "seed", "scene", "housing", "terminal", "defects", *LOOKS)

SEVERAL = "bent@r1c1:tip_offset_mm=1.2,azimuth_deg=300;retracted@r2c2;missing@r3c9"
OTHERS = "foreign@r2c4-r2c5:type=bridge;crushed@r1c2;broken@r3c3;print@print;chipped@housing;stained@r1c8;twisted@r3c9"
# Every camera, housing, terminal, light and marking, and every kind of defect in several places. `plain_` rows repeat
# the part and the capture of another row without its defect. All are of the scene connector_3x9.
ROWS = [
    tuple(cell.strip() for cell in line.split("|"))
    for line in f"""\
bent | train | 11 | 21 | plain | round | bent@r2c5:tilt_deg=16,azimuth_deg=90 | center | ring | numbers
plain_bent | train | 11 | 21 | plain | round | | center | ring | numbers
retracted | train | 12 | 22 | ribbed | square | retracted@r1c3:depth_mm=3 | top | side | text=Quality
plain_retracted | train | 12 | 22 | ribbed | square | | top | side | text=Quality
missing | train | 13 | 23 | plain | round | missing@r3c7 | right | ring | none
plain_missing | train | 13 | 23 | plain | round | | right | ring | none
several | validation | 14 | 24 | plain | square | {SEVERAL} | left | side | none
below | validation | 15 | 25 | ribbed | round | bent@r2c9:tilt_deg=14,azimuth_deg=250 | bottom | ring | numbers
others | validation | 16 | 26 | keyed | square | {OTHERS} | center | ring | numbers
""".splitlines()
]


def write_manifest(path: Path, rows: list[tuple[object, ...]], columns: tuple[str, ...] = COLUMNS) -> Path:
    """A manifest of rows without their scene, which is connector_3x9."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([*row[:4], "connector_3x9", *row[4:]] for row in rows)
    return path


def renderer_command(engine: str, *arguments: object) -> list[str]:
    """render.py in this Python's `bpy`, or in the `blender` executable."""
    start = [sys.executable] if engine == "bpy" else [blender_executable(), "-b", "-P"]
    return [*start, str(RENDER), "--", *map(str, arguments)]


def run_renderer(*arguments: object, engine: str = "bpy") -> subprocess.CompletedProcess[str]:
    command = renderer_command(engine, *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=ROOT)


def blender_executable() -> str:
    return os.environ.get("PINSIGHT_BLENDER", "blender")


def run_code(engine: str, code: str, scratch: Path) -> subprocess.CompletedProcess[str]:
    """Python code in bpy or in the executable, with a temporary folder of its own."""
    python, blender = [sys.executable, "-c"], [blender_executable(), "-b", "-noaudio", "--python-expr"]
    return subprocess.run(
        [*(python if engine == "bpy" else blender), code],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "TMPDIR": str(scratch)},
    )


def faults_of(call: Callable[..., object], *arguments: object, **options: object) -> list[str]:
    """The messages of the InputError that a call raises."""
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    return caught.value.problems


@contextmanager
def edited(path: Path) -> Iterator[Any]:
    """The content of a JSON file, which the block may change."""
    content = json.loads(path.read_text("utf-8"))
    yield content
    path.write_text(json.dumps(content), "utf-8")


def folder_bytes(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def assert_same_files(folder: Path, other: Path) -> None:
    """Assert that two folders hold the same files, byte by byte, but for originals' paths; name those that differ."""
    mine, its = folder_bytes(folder), folder_bytes(other)
    for file in ("manifest_paths.json", "scene_paths.json"):
        assert mine.pop(file) and its.pop(file)
    assert sorted(mine) == sorted(its)
    assert [name for name in mine if mine[name] != its[name]] == []


def records(folder: Path) -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((folder / "records").glob("*.json"))}


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest(tmp_path_factory.mktemp("manifest") / "rows.csv", ROWS)


@pytest.fixture(scope="session")
def rendered_by(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """ROWS rendered by an engine in one process; read it, do not write to it."""

    @lru_cache
    def render(engine: str) -> Path:
        out = tmp_path_factory.mktemp(f"rendered_{engine}") / "out"
        done = run_renderer(manifest, "--out", out, engine=engine)
        assert done.returncode == 0, done.stderr
        return out

    return render


@pytest.fixture(scope="session")
def rendered(rendered_by: Callable[[str], Path]) -> Path:
    return rendered_by("bpy")
