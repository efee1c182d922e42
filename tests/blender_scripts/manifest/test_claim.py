"""Which folder a manifest may be rendered into: foreign files, other rows, equal names, the default folder."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.claim import Claim, claim, default_folder
from blender_scripts.manifest.output_folder import PATHS, OutputFolder
from blender_scripts.manifest.reader import Manifest, read_manifest
from tests.conftest import COLUMNS, SCENES, faults_of, folder_bytes, write_manifest

# Rows of one part each: name and seed.
FIRST = {"a1": 1, "a2": 2}


def write(path: Path, rows: dict[str, int]) -> Manifest:
    """A manifest of small rows: the seed of each by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [(run, "train", seed, seed, "plain", "round", "", "center", "ring", "none") for run, seed in rows.items()]
    return read_manifest(write_manifest(path, cells), SCENES)


def take(manifest: Manifest, out: Path | None, *, force: bool = False) -> Claim:
    """Claim a folder and keep the manifest in it."""
    claimed = claim(manifest, SCENES, out, force)
    claimed.save_inputs()
    return claimed


def rendered(claimed: Claim, *runs: str) -> None:
    for run in runs:
        claimed.output.write(run, b"image", b"mask", {}, {})


def take_scene(out: Path, name: str, run: str, scene: str, samples: str = "") -> None:
    """Claim the folder for a manifest of one row, whose scene lies in a separate folder."""
    folder = out.parent / name
    folder.mkdir(exist_ok=True)
    shutil.copy(SCENES / "connector_3x9.toml", folder / f"{scene}.toml")
    row = (run, "train", 1, 2, scene, "plain", "round", "", "center", "ring", "none", samples)
    path = folder / f"{name}.csv"
    path.write_text(f"{','.join(COLUMNS)},samples\n{','.join(map(str, row))}\n", "utf-8")
    claim(read_manifest(path, folder), folder, out, False).save_inputs()


def test_manifests_of_other_scenes_share_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    take_scene(out, "first", "one", "own")
    take_scene(out, "second", "two", "other")
    samples = str(read_connector(SCENES / "connector_3x9.toml").samples)
    take_scene(out, "third", "two", "other", samples=samples)
    with pytest.raises(
        InputError, match=r"^fourth\.csv: expected a new run name, got two, which second\.csv in .*\n.* third"
    ):
        take_scene(out, "fourth", "two", "other", samples="99")
    with pytest.raises(InputError, match=r"^second\.csv: expected a new run name, got one, which first\.csv in "):
        take_scene(out, "second", "one", "other")


@pytest.mark.parametrize(
    ("finished", "then", "refused"),
    [
        (["a1", "a2"], {"b1": 1}, "a1), got none"),
        (["a2"], {"b1": 1, "b2": 2, "b3": 3}, "a2), got none"),
        ([], {"b1": 1}, None),  # nothing is lost
        (["a1", "a2"], {"a2": 2, "b1": 7}, None),  # one row removed, one added
        (["a1"], {"a2": 9}, None),
    ],
)
@pytest.mark.parametrize("remembered", [True, False], ids=["its_place", "rendered_before_paths_were_kept"])
def test_an_edited_manifest_replaces_its_copy_unless_no_run_is_left(
    remembered: bool, finished: list[str], then: dict[str, int], refused: str | None, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    rendered(take(write(tmp_path / "m.csv", FIRST), out), *finished)
    if not remembered:
        (out / PATHS).unlink()
    before = folder_bytes(out)
    second = write(tmp_path / ("m.csv" if remembered else "else/m.csv"), then)
    if refused:
        with pytest.raises(
            InputError, match=rf"^m\.csv: expected at least one of the runs .*such as {re.escape(refused)}"
        ):
            take(second, out)
        assert folder_bytes(out) == before
        return
    take(second, out)
    assert (out / "manifests" / "m.csv").read_bytes() == second.content
    # From now on the folder holds the original's path.
    assert (out / json.loads((out / PATHS).read_text("utf-8"))["m.csv"]).resolve() == second.path.resolve()


@pytest.mark.parametrize(
    ("finished", "then", "refused"),
    [
        (
            ["a1", "a2"],
            {"a1": 1, "a2": 9},
            ["expected a new run name, got a2, which {home} in {out} has with other settings"],
        ),
        ([], {"a1": 9}, ["expected a new run name, got a1, which {home} in {out} has with other settings"]),
        (["a1", "a2"], {"a2": 2, "b1": 7}, ["expected all runs of {home} that are finished in {out}, got"]),
        (["a1", "a2"], {"b1": 7}, ["expected all runs of {home} that are finished in {out}, got"]),
        (["a1"], {"a2": 9}, ["expected a new run name, got a2, which {home}", "expected all runs of {home}"]),
        (["a1", "a2"], {"a1": 1, "a2": 2, "b1": 7}, []),  # no row changes, one is added
        (["a1", "a2"], FIRST, []),
        (["a1"], {"a1": 1}, []),
    ],
)
def test_a_manifest_of_the_same_name_from_elsewhere_changes_and_loses_nothing(
    finished: list[str], then: dict[str, int], refused: list[str], tmp_path: Path
) -> None:
    out, home = tmp_path / "out", tmp_path / "first" / "m.csv"
    rendered(take(write(home, FIRST), out), *finished)
    before, second = folder_bytes(out), write(tmp_path / "second" / "m.csv", then)
    if not refused:
        take(second, out)
        assert (out / "manifests" / "m.csv").read_bytes() == second.content
        assert json.loads((out / PATHS).read_text("utf-8")) == {"m.csv": "../second/m.csv"}
        return
    for force in (False, True):
        problems = faults_of(take, second, out, force=force)
        assert len(problems) == len(refused)
        for problem, start in zip(problems, refused, strict=True):
            assert problem.startswith(f"m.csv: {start.format(home=home, out=out)}")
    assert folder_bytes(out) == before


def test_the_copy_itself_does_not_become_the_manifest(tmp_path: Path) -> None:
    out = tmp_path / "out"
    take(write(tmp_path / "m.csv", FIRST), out)
    before = folder_bytes(out)
    take(read_manifest(out / "manifests" / "m.csv", SCENES), out)
    assert folder_bytes(out) == before


@pytest.mark.parametrize("content", ["", "[1]", '{"m.csv": 3}', "{", "\x00", "[" * 100_000])
def test_what_is_no_list_of_paths_remembers_none(content: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rendered(take(write(tmp_path / "m.csv", FIRST), out), "a1")
    (out / PATHS).write_text(content)
    take(write(tmp_path / "else" / "m.csv", {"a1": 9}), out)
    assert json.loads((out / PATHS).read_text("utf-8")) == {"m.csv": "../else/m.csv"}


def test_the_default_folder_is_named_after_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "parts" / "m.csv", FIRST)
    claimed = take(read_manifest(Path("parts/m.csv"), SCENES), None)
    assert claimed.is_default and claimed.output.root == Path("renders/m")
    assert json.loads((tmp_path / "renders/m" / PATHS).read_text("utf-8")) == {"m.csv": "../../parts/m.csv"}
    assert not take(read_manifest(Path("parts/m.csv"), SCENES), Path("renders/m")).is_default


@pytest.mark.parametrize("name", [".csv", ".hidden.csv", "..csv"])
def test_a_name_that_begins_with_a_dot_has_no_default_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = write(tmp_path / name, FIRST)
    with pytest.raises(InputError, match=rf"^{re.escape(name)}: expected --out DIR, as the manifest's name"):
        claim(manifest, SCENES, None, False)
    assert not (tmp_path / "renders").exists()
    assert not take(manifest, tmp_path / "out").is_default
    assert default_folder(Path("a.b.csv")) == Path("renders/a.b")


@pytest.mark.parametrize("force", [False, True])
def test_a_default_folder_belongs_to_one_place(force: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused even if the rows are the same; with --out they may be rendered there."""
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "first" / "m.csv"
    rendered(take(write(home, FIRST), None), "a1")
    before, second = folder_bytes(tmp_path / "renders"), write(tmp_path / "second" / "m.csv", FIRST)
    with pytest.raises(
        InputError,
        match=rf"^{second.path}: expected {home}, whose pictures are in .*, got another manifest of this name",
    ):
        claim(second, SCENES, None, force)
    assert folder_bytes(tmp_path / "renders") == before
    take(second, Path("renders/m"))
    take(second, None)


def test_a_project_that_moves_whole_keeps_its_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    write(before / "m.csv", FIRST)
    monkeypatch.chdir(before)
    rendered(take(read_manifest(Path("m.csv"), SCENES), None), "a1")
    before.rename(after)
    monkeypatch.chdir(after)
    take(read_manifest(Path("m.csv"), SCENES), None)


@pytest.mark.parametrize("file", ["images/a1.png", "masks/a2.png", "depth/a1.npy"])
def test_a_folder_of_others_files_is_not_written_into(file: str, tmp_path: Path) -> None:
    manifest, out = write(tmp_path / "m.csv", FIRST), tmp_path / "out"
    (out / file).parent.mkdir(parents=True)
    (out / file).with_stem("another").touch()
    claim(manifest, SCENES, out, False)
    (out / file).touch()
    with pytest.raises(InputError, match=rf"^--out .* would be replaced \({file}\): choose another folder, or give"):
        claim(manifest, SCENES, out, False)
    take(manifest, out, force=True)
    claim(manifest, SCENES, out, False)  # as after a crash


@pytest.mark.parametrize("file", ["images/b1.png", "masks/b1.png", "normal/b1.npy", "records/b1.json"])
def test_files_of_others_in_a_render_folder_are_not_replaced(file: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    rendered(take(write(tmp_path / "m.csv", FIRST), out), "a1")
    (out / "images" / "a2.png").touch()  # of a row that was interrupted
    (out / file).parent.mkdir(exist_ok=True)
    (out / file).write_text("{}")
    take(write(tmp_path / "m.csv", {**FIRST, "b2": 2}), out)
    second = write(tmp_path / "second.csv", {"b1": 3, "b2": 2})
    before = folder_bytes(out)
    with pytest.raises(InputError, match=rf"^--out .* would be replaced \({file}\): choose another folder, or give"):
        claim(second, SCENES, out, False)
    assert folder_bytes(out) == before
    take(second, out, force=True)


def test_files_of_a_row_with_a_record_are_the_renderer_s(tmp_path: Path) -> None:
    out, manifest = tmp_path / "out", write(tmp_path / "m.csv", {"a1": 1})
    claimed = take(manifest, out)
    texts = dict.fromkeys(("row_sha256", "renderer", "blender", "image_sha256", "mask_sha256"), "")
    tables = {name: {} for name in ("row", "camera", "tolerance", "housing")}
    numbers = {"schema": 1, "width": 32, "height": 32}
    record = {**texts, **tables, **numbers, "run": "a1", "positions": [], "other": []}
    claimed.output.write("a1", b"image", b"mask", record, {})
    shutil.rmtree(out / "manifests")
    claim(manifest, SCENES, out, False)
    (out / "records" / "a1.json").unlink()
    with pytest.raises(InputError, match=r"would be replaced \(images/a1.png and 1 more\)"):
        claim(manifest, SCENES, out, False)


@pytest.mark.parametrize("name", ["m" * 251, "ü" * 125])
def test_a_manifest_may_have_the_longest_name(name: str, tmp_path: Path) -> None:
    take(write(tmp_path / f"{name}.csv", FIRST), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "manifests").iterdir()] == [f"{name}.csv"]
    short = write(tmp_path / ("m" * 255), FIRST)
    with pytest.raises(InputError, match="expected a file that can be written, got: File name too long"):
        take(short, tmp_path / "out")


def test_what_a_killed_process_left_half_written_goes(tmp_path: Path) -> None:
    output = OutputFolder(tmp_path / "out")
    for left in (f".{PATHS}.7.tmp", "images/.a.png.7.tmp"):
        (output.root / left).touch()
    output.sweep(8)
    assert len(folder_bytes(output.root)) == 2
    output.sweep(7)
    assert not folder_bytes(output.root)


def test_hidden_files_of_the_user_are_not_swept(tmp_path: Path) -> None:
    output = OutputFolder(tmp_path / "out")
    (output.root / "mine").mkdir()
    mine, left = (".notes.2024.tmp", "mine/.notes.7.tmp"), (f".{PATHS}.7.tmp", "masks/.a.png.8.tmp")
    for name in (*mine, *left):
        (output.root / name).touch()
    output.sweep()
    assert sorted(folder_bytes(output.root)) == sorted(mine)


def test_the_path_of_a_manifest_may_hold_bytes_that_are_no_text(tmp_path: Path) -> None:
    out, strange = tmp_path / "out", Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    take(write(strange / "m.csv", FIRST), out)
    take(write(tmp_path / "other.csv", {"b1": 3}), out)
    paths = json.loads((out / PATHS).read_bytes())
    assert paths == {"m.csv": os.path.relpath(strange / "m.csv", out), "other.csv": "../other.csv"}


def test_a_path_is_kept_before_its_copy(tmp_path: Path) -> None:
    out = tmp_path / "out"
    claimed = claim(write(tmp_path / "m.csv", FIRST), SCENES, out, False)
    (out / "manifests" / "m.csv").mkdir(parents=True)  # no copy can be written
    with pytest.raises(InputError, match="expected a file that can be written"):
        claimed.save_inputs()
    assert json.loads((out / PATHS).read_bytes()) == {"m.csv": "../m.csv"}
