"""`python -m generator augment` on folders and datasets."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Features, load_dataset
from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.__main__ import main
from generator.augmenting.plan import SETTINGS, proposal, read_plan
from generator.augmenting.relabel import moved_housing
from generator.augmenting.transforms import left_half, mirrored, turned
from generator.dataset.build import Options, build
from generator.dataset.folder import read_rows, split_files
from generator.dataset.labels import CLASSES
from generator.dataset.rows import objects_of
from generator.io.pictures import open_upright
from tests.conftest import ROOT
from tests.generator.made_renders import SCENES, make_record, row, write_record, write_renders
from tests.soak import rounds

BENT = "bent@r2c5:tilt_deg=12,azimuth_deg=30"


def run(*words):
    return main(["augment", *map(str, words)])


def picture(path: Path, width=64, height=40, seed=0, mode="RGB", **saved) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **saved)
    return path


def cells(path: Path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def files(folder: Path):
    return {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file() and p.name[0] != "."}


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((601, 400), ("cut",)),
        ((600, 300), ("reverse", "plus90")),
        ((900, 600), ("reverse", "plus90")),
        ((901, 600), ("cut",)),
        ((300, 900), ("reverse", "plus90")),
    ],
)
def test_the_proposal_is_the_source_s(size, expected):
    assert proposal(*size) == expected


def test_a_plan_has_one_line_per_picture(tmp_path):
    picture(tmp_path / "in/NG/a.png", 700, 300)
    picture(tmp_path / "in/OK/b.jpg", 300, 700)
    (tmp_path / "in/notes.txt").write_text("no picture")
    assert run("plan", tmp_path / "in", "-o", tmp_path / "plan.csv") == 0
    assert [list(line.values()) for line in cells(tmp_path / "plan.csv")] == [
        ["NG/a.png", "300", "700", "yes", "no", "no", "in"],
        ["OK/b.jpg", "700", "300", "no", "yes", "yes", "in"],
    ]
    header = ["file", "height", "width", "cut", "reverse", "plus90", "folder"]
    assert list(cells(tmp_path / "plan.csv")[0]) == header
    assert run("plan", tmp_path / "in", "-o", tmp_path / "more.csv", "--light", "--warp") == 0
    assert [r["light"] + r["warp"] for r in cells(tmp_path / "more.csv")] == ["yesyes", "yesyes"]


def test_without_copies_there_is_no_sheet_and_none_is_named(tmp_path, capsys):
    picture(tmp_path / "in/OK/a.png")
    (tmp_path / "out_before_after.jpg").write_bytes(b"of an earlier plan")
    columns = "file,height,width,cut,reverse,plus90,folder"
    (tmp_path / "plan.csv").write_text(f"{columns}\nOK/a.png,40,64,no,no,no,{tmp_path / 'in'}\n")
    assert run("apply", tmp_path / "plan.csv", "--to", tmp_path / "out") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out'}: 1 files written\n"
    assert set(files(tmp_path / "out")) == {"OK/a.png"} and not (tmp_path / "out_before_after.jpg").exists()


def test_apply_keeps_class_folders_and_originals(tmp_path):
    wide = picture(tmp_path / "in/NG/a.png", 700, 300)
    tall = picture(tmp_path / "in/OK/b.jpg", 300, 700, quality=90)
    before = {p: p.read_bytes() for p in (wide, tall)}
    run("plan", tmp_path / "in", "-o", tmp_path / "plan.csv")
    assert run("apply", tmp_path / "plan.csv", "--to", tmp_path / "out") == 0
    assert {p: p.read_bytes() for p in (wide, tall)} == before
    found = files(tmp_path / "out")
    assert set(found) == {
        *("NG/a.png", "NG/a_left.png", "NG/a_right.png", "OK/b.jpg", "OK/b_reverse.png", "OK/b_plus90.png")
    }
    assert found["OK/b.jpg"].read_bytes() == before[tall]
    # Halves of 350 x 300 are trimmed by 5 px, and by 0.3 to 0.5 of 50 px where they are long.
    half = Image.open(found["NG/a_left.png"])
    assert half.height == 290 and 350 - 10 - 26 <= half.width <= 350 - 10 - 14
    turned = Image.open(found["OK/b_plus90.png"])
    assert turned.height == 290 and 700 - 10 - 201 <= turned.width <= 700 - 10 - 119
    sheet = Image.open(tmp_path / "out_before_after.jpg")
    assert sheet.width > 600 and sheet.height > 200


def test_untrimmed_copies_are_the_pixels_of_the_original(tmp_path):
    path = picture(tmp_path / "in/a.png", 700, 300)
    pixels = np.asarray(Image.open(path))
    plan = tmp_path / "plan.csv"
    plan.write_text("file,height,width,cut,reverse,plus90\na.png,300,700,yes,yes,yes\n")
    arguments = ("--folder", tmp_path / "in", "--no-trim", "--only-copies")
    assert run("apply", plan, "--to", tmp_path / "out", *arguments) == 0
    made = {name: np.asarray(Image.open(p)) for name, p in files(tmp_path / "out").items()}
    assert np.array_equal(np.concatenate([made["a_left.png"], made["a_right.png"]], axis=1), pixels)
    assert np.array_equal(made["a_reverse.png"][:, ::-1], pixels)
    assert np.array_equal(np.rot90(made["a_plus90.png"], -1), pixels)
    assert len(made) == 4


def test_names_of_windows_and_of_macos_in_a_plan(tmp_path):
    for name in ("photos/OK/a.png", "photos/OK/Stu\u0308ck.PNG"):
        picture(tmp_path / name)
    rows = ["file,height,width,cut,reverse,plus90,folder", "OK\\a.png,40,64,no,yes,no,.\\photos"]
    (tmp_path / "plan.csv").write_text("\n".join([*rows, "OK\\St\u00fcck.png,40,64,no,yes,no,.\\photos"]), "utf-8")
    found = read_plan(tmp_path / "plan.csv")
    assert [line.file for line in found.lines] == ["OK/a.png", "OK/Stu\u0308ck.PNG"]
    (tmp_path / "plan.csv").write_text("\n".join([*rows, "OK/a.png,40,64,no,yes,no,.\\photos", rows[1][1:]]), "utf-8")
    with pytest.raises(InputError, match=r"expected each picture once, got 'OK/a.png' again \(line 2"):
        read_plan(tmp_path / "plan.csv")


@pytest.mark.parametrize(
    "text",
    [
        ",file,hight,width,cut,reverse,plus90\n0,a b.png,40,64,No,YES,no\n",
        "\ufefffile;height;width;cut;reverse;plus90;;\r\na b.png;40;64;no;yes;no;;\r\n;;;;;;;\r\n",
        "sep=\t\nfile\theight\twidth\tcut\treverse\tplus90\na b.png\t40\t64\t0\t1\t0\n",
    ],
)
def test_a_plan_of_the_source_or_of_a_spreadsheet_is_read(tmp_path, text):
    picture(tmp_path / "a b.png")
    plan = tmp_path / "plan.csv"
    plan.write_bytes(text.encode())
    found = read_plan(plan)
    assert found.folder == tmp_path
    assert [(line.file, line.height, line.width, line.operations) for line in found.lines] == [
        ("a b.png", 40, 64, ("reverse",))
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,height,width,cut,reverse\n", "header: expected the column plus90, got no such column"),
        ("file,height,width,cut,reverse,plus90,flip\n", "got 'flip'"),
        ("file,height,width,cut,reverse,plus90\na,1,1,maybe,no,no\n", ":2 cut: expected yes or no, got 'maybe'"),
        (
            "file,height,width,cut,reverse,plus90\na,0,1,no,no,no\n",
            ":2 height: expected a whole number of px, at least 1, got '0'",
        ),
        (
            "file,height,width,cut,reverse,plus90\n../a,1,1,no,no,no\n",
            "expected a path relative to the folder of the pictures, got '../a'",
        ),
        ("file,height,width,cut,reverse,plus90\na,1,1,no,no,no\na,1,1,no,no,no\n", "again (line 2)"),
        ("file,height,width,cut,reverse,plus90\na,1,1,no\n", "expected 6 values as in the header, got 4"),
        ("file,height,width,cut,reverse,plus90\n", "expected one line per picture below the header, got none"),
        ("", "expected the columns file, height, width, cut, reverse, plus90, got nothing"),
    ],
)
def test_a_wrong_plan_is_refused_by_line(tmp_path, capsys, text, message):
    (tmp_path / "plan.csv").write_text(text)
    assert run("apply", tmp_path / "plan.csv", "--to", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def broken_folder(folder: Path) -> Path:
    """A folder with good pictures of several formats and modes, and broken ones."""
    picture(folder / "傷 あり/ピン 1.png", 80, 60)
    picture(folder / "OK/gray16.png", 70, 50)
    deep = np.linspace(0, 65535, 70 * 50).reshape(50, 70).astype(np.uint16)
    Image.fromarray(deep).save(folder / "OK/gray16.png")
    picture(folder / "OK/ink.jpg", 70, 50, mode="CMYK")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(folder / "OK/phone photo.jpg", 90, 40, exif=exif)
    whole = picture(folder / "OK/cut_off.jpg", 200, 200).read_bytes()
    (folder / "OK/cut_off.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "OK/empty.png").write_bytes(b"")
    (folder / "OK/text.png").write_text("no picture")
    zero = bytearray(picture(folder / "OK/zero.png").read_bytes())
    zero[16:20] = bytes(4)  # a width of 0 in IHDR
    (folder / "OK/zero.png").write_bytes(bytes(zero))
    frames = [Image.new("L", (9, 9), value) for value in (0, 255)]
    frames[0].save(folder / "OK/film.gif", save_all=True, append_images=frames[1:])
    return folder


BROKEN = ("cut_off.jpg", "empty.png", "text.png", "zero.png", "film.gif")


def test_broken_pictures_are_each_refused_by_name(tmp_path, capsys):
    folder = broken_folder(tmp_path / "in")
    assert run("plan", folder, "-o", tmp_path / "plan.csv") == 2
    told = capsys.readouterr().err
    assert all(f"OK/{name}: expected" in told for name in BROKEN) and "Traceback" not in told
    assert not (tmp_path / "plan.csv").exists()
    assert run("plan", folder, "-o", tmp_path / "plan.csv", "--skip-broken") == 0
    told = capsys.readouterr().err
    assert all(f"left out: OK/{name}" in told for name in BROKEN)
    lines = {line["file"]: line for line in cells(tmp_path / "plan.csv")}
    assert set(lines) == {"傷 あり/ピン 1.png", "OK/gray16.png", "OK/ink.jpg", "OK/phone photo.jpg"}
    assert (lines["OK/phone photo.jpg"]["width"], lines["OK/phone photo.jpg"]["height"]) == ("40", "90")
    assert run("apply", tmp_path / "plan.csv", "--to", tmp_path / "out", "--no-trim") == 0
    found = files(tmp_path / "out")
    assert len(found) == 12 and "傷 あり/ピン 1_reverse.png" in found
    deep = Image.open(found["OK/gray16_reverse.png"])
    assert deep.mode == "I;16"
    assert np.array_equal(np.asarray(deep)[:, ::-1], np.asarray(Image.open(folder / "OK/gray16.png")))
    assert Image.open(found["OK/ink_reverse.png"]).mode == "RGB"
    phone = np.asarray(Image.open(found["OK/phone photo_reverse.png"]))
    upright = np.asarray(open_upright(folder / "OK/phone photo.jpg", "x"))
    assert phone.shape == (90, 40, 3) and np.array_equal(phone[:, ::-1], upright)


def test_a_picture_that_breaks_after_planning_stops_no_other(tmp_path, capsys):
    for name in "abc":
        picture(tmp_path / f"in/{name}.png")
    run("plan", tmp_path / "in", "-o", tmp_path / "plan.csv")
    (tmp_path / "in/b.png").write_bytes(b"\x89PNG")
    (tmp_path / "in/c.png").unlink()
    assert run("apply", tmp_path / "plan.csv", "--to", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "b.png: expected a picture that can be decoded" in told
    assert "c.png: expected the picture of the plan, got: No such file" in told
    assert "expected pictures that can be copied, got 2 of 3 with" in told
    assert set(files(tmp_path / "out")) == {"a.png", "a_reverse.png", "a_plus90.png"}


def test_two_pictures_never_make_one_copy(tmp_path, capsys):
    picture(tmp_path / "in/a.png", seed=1)
    picture(tmp_path / "in/a.bmp", seed=2)
    run("plan", tmp_path / "in", "-o", tmp_path / "plan.csv")
    assert run("apply", tmp_path / "plan.csv", "--to", tmp_path / "out") == 0
    assert {"a_png_reverse.png", "a_bmp_reverse.png"} < set(files(tmp_path / "out"))
    picture(tmp_path / "two/a.png")
    picture(tmp_path / "two/a_reverse.png")
    run("plan", tmp_path / "two", "-o", tmp_path / "plan.csv")
    assert run("apply", tmp_path / "plan.csv", "--to", tmp_path / "out2") == 2
    assert "a_reverse.png" in capsys.readouterr().err


@pytest.mark.parametrize("to", ["in", "in/more", "."])
def test_originals_are_never_written_over(tmp_path, capsys, to):
    original = picture(tmp_path / "in/a.png")
    content = original.read_bytes()
    run("plan", tmp_path / "in", "-o", tmp_path / "plan.csv")
    assert run("apply", tmp_path / "plan.csv", "--to", tmp_path / to) == 2
    assert "expected a folder apart from" in capsys.readouterr().err
    assert original.read_bytes() == content and set(files(tmp_path / "in")) == {"a.png"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", "in", "-o", "in/a.png"), "-o: expected an output file outside the input in, got in/a.png"),
        (("plan", "in", "-o", "plan.txt"), "-o: expected a name that ends in .csv, got plan.txt"),
        (("plan", "in", "-o", "in/plan.csv"), "-o: expected an output file outside the input in, got in/plan.csv"),
        (("plan", "in", "-o", "folder.csv"), "-o folder.csv: expected the name of a file, got a folder"),
        (
            ("plan", "in", "-o", "in/a.png/b/plan.csv"),
            "-o: expected an output file outside the input in, got in/a.png/b/plan.csv",
        ),
        (("plan", "in", "-o", "plan.csv/b/p.csv"), "-o plan.csv/b: expected a folder, got the file"),
        (("plan", "in", "-o", "p" * 300 + ".csv"), "-o: expected a name of at most 249 bytes"),
        (
            ("apply", "plan.csv", "--to", "out", "--sheet", "in/a.png"),
            "--sheet: expected an output file outside the input",
        ),
        (
            ("apply", "plan.csv", "--to", "out", "--sheet", "out/a.png"),
            "--sheet: expected an output file outside the input out, got out/a.png",
        ),
        (("apply", "plan.csv", "--to", "out", "--sheet", "plan.csv"), "ends in .jpg or .jpeg or .png, got plan"),
        (("apply", "plan.csv", "--to", "in/a.png/out"), "--to in/a.png/out: expected a folder, got the file"),
        (("apply", "plan.csv", "--to", "out", "--scenes", "nope"), "--scenes nope: expected a folder of scene"),
    ],
)
def test_a_place_that_is_an_input_or_none_to_write_to_is_refused(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "in/a.png")
    Path("folder.csv").mkdir()
    assert run("plan", "in", "-o", "plan.csv") == 0
    before = {name: path.read_bytes() for name, path in files(tmp_path).items()}
    assert run(*words) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert {name: path.read_bytes() for name, path in files(tmp_path).items()} == before


def test_a_name_too_long_for_a_copy_stops_no_other(tmp_path, capsys):
    for name in ("a", "b" * 245, "c"):
        picture(tmp_path / f"in/{name}.png")
    run("plan", tmp_path / "in", "-o", tmp_path / "plan.csv")
    assert run("apply", tmp_path / "plan.csv", "--to", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "bbb.png: expected a shorter name, got one with which a copy's name, bbb" in told
    assert "copied, got 1 of 3 with" in told
    made = {f"{name}{copy}.png" for name in "ac" for copy in ("", "_reverse", "_plus90")}
    assert set(files(tmp_path / "out")) == made


def test_another_s_folder_is_left_alone(tmp_path, capsys):
    picture(tmp_path / "in/a.png")
    run("plan", tmp_path / "in", "-o", tmp_path / "plan.csv")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    assert run("apply", tmp_path / "plan.csv", "--to", tmp_path / "out") == 2
    assert "expected a new or empty folder" in capsys.readouterr().err


def test_a_run_that_was_killed_while_it_wrote_its_settings_is_resumed(tmp_path):
    picture(tmp_path / "in/a.png")
    run("plan", tmp_path / "in", "-o", tmp_path / "plan.csv")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f".{SETTINGS}.part").write_text('{"pl')
    assert run("apply", tmp_path / "plan.csv", "--to", tmp_path / "out") == 0
    assert not list((tmp_path / "out").glob(".*.part"))


@pytest.mark.parametrize("part", rounds(1))
def test_a_killed_run_goes_on_to_the_same_files(tmp_path, part):
    """After 40 of 480 files; in a soak also later."""
    least = 40 + 60 * (part % 6)
    for number in range(160):
        picture(tmp_path / f"in/OK/{number:03d}.png", 200, 120, number)
    run("plan", tmp_path / "in", "-o", tmp_path / "plan.csv")
    arguments = ["augment", "apply", tmp_path / "plan.csv", "--to", tmp_path / "out", "--workers", 2]
    command = [sys.executable, "-m", "generator", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(files(tmp_path / "out")) < least and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    some = {name: p.stat().st_mtime_ns for name, p in files(tmp_path / "out").items()}
    assert least <= len(some) < 480
    assert main(list(map(str, arguments))) == 0
    found = files(tmp_path / "out")
    assert len(found) == 480 and not list((tmp_path / "out").rglob("*.part"))
    assert all(found[name].stat().st_mtime_ns == made for name, made in some.items())
    assert run("apply", tmp_path / "plan.csv", "--to", tmp_path / "fresh", "--workers", 1) == 0
    fresh = files(tmp_path / "fresh")
    assert {n: p.read_bytes() for n, p in found.items()} == {n: p.read_bytes() for n, p in fresh.items()}


def test_another_seed_does_not_go_on_in_the_same_folder(tmp_path, capsys):
    picture(tmp_path / "in/a.png")
    run("plan", tmp_path / "in", "-o", tmp_path / "plan.csv")
    assert run("apply", tmp_path / "plan.csv", "--to", tmp_path / "out") == 0
    assert run("apply", tmp_path / "plan.csv", "--to", tmp_path / "out", "--seed", 1) == 2
    assert "was made with" in capsys.readouterr().err


def test_another_plan_does_not_go_on_in_the_same_folder(tmp_path, capsys):
    for name in ("one", "two"):
        picture(tmp_path / name / "X/1.png", seed=len(name))
        run("plan", tmp_path / name, "-o", tmp_path / f"{name}.csv")
    assert run("apply", tmp_path / "one.csv", "--to", tmp_path / "out") == 0
    assert run("apply", tmp_path / "two.csv", "--to", tmp_path / "out") == 2
    assert f"got one that was made with folder {tmp_path / 'one'}: choose another" in capsys.readouterr().err
    text = (tmp_path / "one.csv").read_text("utf-8-sig")
    (tmp_path / "one.csv").write_text(text.replace("no,yes,yes", "no,yes,no"), "utf-8")
    assert run("apply", tmp_path / "one.csv", "--to", tmp_path / "out") == 2
    assert "was made with another plan: choose another" in capsys.readouterr().err
    assert run("plan", tmp_path / "out", "-o", tmp_path / "more.csv") == 2
    assert "expected a folder of originals, got one of copies" in capsys.readouterr().err


def test_the_working_folder_may_be_the_one_to_fill(tmp_path, monkeypatch):
    picture(tmp_path / "in/a.png")
    run("plan", tmp_path / "in", "-o", tmp_path / "plan.csv")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run("apply", "../plan.csv", "--to", ".") == 0
    assert set(files(tmp_path / "here")) == {"a.png", "a_reverse.png", "a_plus90.png"}
    assert (tmp_path / "here_before_after.jpg").is_file()


# ---- datasets


def masked_renders(folder: Path, rows):
    """A drawn render folder with masks: the box of each pin, in whole px, is filled with its index."""
    write_renders(folder, rows)
    import hashlib

    from blender_scripts.manifest.reader import read_manifest

    for run_ in read_manifest(folder / "manifests/design.csv", SCENES).runs:
        record, _ = make_record(run_)
        mask = np.zeros((run_.height, run_.width), np.uint16)
        for position in record["positions"]:
            for name, box in position["boxes"].items():
                if box is not None:
                    position["boxes"][name] = [float(round(edge)) for edge in box]
            if box := position["boxes"]["visible"]:
                x1, y1, x2, y2 = map(int, box)
                mask[y1:y2, x1:x2] = position["index"]
        buffer = io.BytesIO()
        Image.fromarray(mask).save(buffer, "PNG")
        (folder / "masks" / f"{run_.run}.png").write_bytes(buffer.getvalue())
        image = (folder / "images" / f"{run_.run}.png").read_bytes()
        hashes = {
            "image_sha256": hashlib.sha256(image).hexdigest(),
            "mask_sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        }
        write_record(folder, {**record, **hashes})


def made_rows(count=12, **columns):
    defects = ["", BENT, "missing@r1c8;retracted@r3c1:depth_mm=2", "bent@r1c1:tilt_deg=20,azimuth_deg=0"]
    return [
        row(
            f"t{n:03d}",
            "validation" if n % 5 == 4 else "train",
            defects[n % 4],
            camera=["center", "left", "top"][n % 3],
            **columns,
        )
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    masked_renders(folder / "renders", [*made_rows(), row("p100", "train", BENT, marking="numbers")])
    build(folder / "renders", folder / "dataset", SCENES, Options({}, masks=True))
    build(folder / "renders", folder / "plain", SCENES, Options({}))
    return folder


def rows_of(dataset: Path):
    return {r["run"]: {**r, "_split": s} for s, paths in split_files(dataset).items() for r in read_rows(paths)}


def planned(dataset: Path, plan: Path, **answers):
    run("plan", dataset, "-o", plan, "--light", "--warp")
    lines = cells(plan)
    for line in lines:
        line.update(answers)
    with plan.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return plan


def test_masks_and_points_stand_in_a_dataset_on_request(built):
    row_ = rows_of(built / "dataset")["t001"]
    mask = np.asarray(Image.open(io.BytesIO(row_["mask"]["bytes"])))
    assert mask.dtype == np.uint16 and set(np.unique(mask)) == set(range(28))
    assert row_["synthetic"] is True and row_["original"] is None and row_["augmentation"] is None
    assert len(row_["objects"]["tip_px"]) == 27
    assert "mask" not in rows_of(built / "plain")["t001"]


def test_a_dataset_s_plan_leaves_validation_alone(built, tmp_path):
    run("plan", built / "dataset", "-o", tmp_path / "plan.csv")
    by_run = {line["file"]: line for line in cells(tmp_path / "plan.csv")}
    assert by_run["t001"]["reverse"] == "yes" and by_run["t004"]["reverse"] == "no"


@pytest.fixture(scope="module")
def augmented(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("augmented")
    every = dict.fromkeys(("cut", "reverse", "plus90", "light", "warp"), "yes")
    plan = planned(built / "dataset", folder / "plan.csv", **every)
    assert run("apply", plan, "--to", folder / "out", "--workers", 1) == 0
    return folder


def test_copies_stay_in_the_split_of_their_original(built, augmented):
    originals, found = rows_of(built / "dataset"), rows_of(augmented / "out")
    assert {name for name in found if name in originals} == set(originals)
    copies_made = [r for r in found.values() if r["original"] is not None]
    assert len(copies_made) == 13 * 6 - 1
    for copy in copies_made:
        origin = found[copy["original"]]
        assert copy["_split"] == origin["_split"] == copy["split"] == origin["split"]
        assert copy["synthetic"] is True and copy["part"] == origin["part"]
    assert {r["run"]: r["image"]["bytes"] for r in originals.values()} == {
        name: found[name]["image"]["bytes"] for name in originals
    }


def test_print_is_not_mirrored_unless_asked(built, augmented, tmp_path):
    assert "p100_plus90" in rows_of(augmented / "out") and "p100_reverse" not in rows_of(augmented / "out")
    plan = augmented / "plan.csv"
    assert run("apply", plan, "--to", tmp_path / "out", "--mirror-text", "--workers", 1) == 0
    assert "p100_reverse" in rows_of(tmp_path / "out")


def test_labels_are_those_of_the_moved_masks(augmented):
    """Boxes, classes and answers, recomputed from each copy's own mask and its original's truth."""
    from generator import bbox_str

    found = rows_of(augmented / "out")
    checked = 0
    for copy in found.values():
        if copy["original"] is None:
            continue
        mask = np.asarray(Image.open(io.BytesIO(copy["mask"]["bytes"])))
        size = copy["width"], copy["height"]
        assert mask.shape == size[::-1] == Image.open(io.BytesIO(copy["image"]["bytes"])).size[::-1]
        before = {t.id: t for t in objects_of(found[copy["original"]])}
        after = {t.id: t for t in objects_of(copy)}
        for index, thing in before.items():
            if thing.category == "NUKENG":
                continue
            ys, xs = np.nonzero(mask == index)
            is_warp = copy["augmentation"] == "warp"  # whose boxes are finer than its mask
            assert (index in after) == bool(len(xs)) or is_warp
            if len(xs) and index in after:
                box = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
                assert after[index].box == pytest.approx(box, abs=1.0 if is_warp else 1e-4)
                assert after[index].category == thing.category
                checked += 1
        bad = {t.category for t in after.values() if t.category != "OK"}
        expected = next((c for c in ("NUKENG", "BENDNG") if c in bad), "OK")
        assert CLASSES[copy["label"]] == expected and copy["verdict"] == int(expected != "OK")
        seen = [t for t in after.values() if t.category != "OK" and t.visible >= 0.1]
        answer = bbox_str.encode([t.box for t in seen], [t.category for t in seen], *size)
        assert copy["bbox_str"] == answer
        assert copy["kinds"] == sorted(
            {"bent" for t in after.values() if t.category == "BENDNG"}
            | {"missing" for t in after.values() if t.category == "NUKENG" and t.true_position_mm is None}
            | {"retracted" for t in after.values() if t.category == "NUKENG" and t.true_position_mm is not None}
        )
    assert checked > 500


def test_a_defect_that_is_cut_away_makes_the_picture_ok(augmented):
    found = rows_of(augmented / "out")
    left, right = found["t003_left"], found["t003_right"]  # bent at r1c1
    assert CLASSES[right["label"]] == "OK" and right["kinds"] == [] and right["bbox_str"] == ""
    assert right["observable"] is True
    remains = [t for t in objects_of(left) if t.category != "OK"]
    assert CLASSES[left["label"]] == ("BENDNG" if remains else "OK")


def test_addresses_azimuths_and_views_move_with_the_pixels(augmented):
    found = rows_of(augmented / "out")
    mirror, turned = found["t001_reverse"], found["t001_plus90"]  # bent at r2c5 by 30 degrees, from the left
    bad = [t for t in objects_of(mirror) if t.category != "OK"]
    assert [t.address for t in bad] == ["r2c5"] and mirror["camera"] == "right"
    assert "bent@r2c5" in mirror["defects"] and "azimuth_deg=150" in mirror["defects"]
    assert turned["camera"] == "bottom" and "azimuth_deg=120" in turned["defects"]
    for copy in (mirror, turned, found["t002_reverse"], found["t002_plus90"]):
        rows: dict[int, list[tuple[int, float, float]]] = {}
        for thing in objects_of(copy):
            line, position = map(int, thing.address[1:].split("c"))
            x1, y1, x2, y2 = thing.box
            rows.setdefault(line, []).append((position, (x1 + x2) / 2, (y1 + y2) / 2))
        for places in rows.values():
            places.sort()
            assert [x for _, x, _ in places] == sorted(x for _, x, _ in places)
        heights = [np.mean([y for *_, y in rows[line]]) for line in sorted(rows)]
        assert heights == sorted(heights)


def test_points_move_with_the_pixels(augmented):
    found = rows_of(augmented / "out")
    for name in ("reverse", "plus90", "left", "warp"):
        copy = found[f"t000_{name}"]
        pixels = np.asarray(Image.open(io.BytesIO(copy["mask"]["bytes"])))
        inside = [(t.id, t.tip_px) for t in objects_of(copy) if t.tip_px is not None]
        assert inside
        hits = sum(pixels[min(int(y), len(pixels) - 1), min(int(x), len(pixels[0]) - 1)] == i for i, (x, y) in inside)
        assert hits >= 0.9 * len(inside)


def test_an_augmented_dataset_opens_and_says_what_it_is(augmented):
    data = load_dataset(str(augmented / "out"), cache_dir=str(augmented / "cache"))
    assert set(data) == {"train", "validation"}
    assert data["train"].features["label"].names == list(CLASSES[:3])
    card = (augmented / "out/README.md").read_text("utf-8")
    assert "copies" in card and "seed 0" in card
    assert json.loads((augmented / "out/nsoart.json").read_text())["made_by"] == "pinsight"
    assert Image.open(augmented / "out_before_after.jpg").width > 500


def test_without_masks_boxes_are_clipped(built, tmp_path):
    plan = planned(built / "plain", tmp_path / "plan.csv", cut="yes", light="no", warp="no")
    assert run("apply", plan, "--to", tmp_path / "out", "--no-trim", "--workers", 1) == 0
    found = rows_of(tmp_path / "out")
    original = objects_of(found["t000"])
    halves = [t for name in ("left", "right") for t in objects_of(found[f"t000_{name}"])]
    assert sum(t.area for t in halves) == pytest.approx(sum(t.area for t in original), rel=1e-5)
    for name in ("left", "right"):
        copy = found[f"t000_{name}"]
        assert copy["housing_bbox"] == [0, 0, copy["width"], copy["height"]]


def test_the_housing_s_box_moves_with_the_pixels():
    size = (96, 48)
    assert moved_housing((10, 5, 70, 45), mirrored(size)) == (26, 5, 86, 45)
    assert moved_housing((10, 5, 70, 45), turned(size)) == (5, 26, 45, 86)
    assert moved_housing((10, 5, 70, 45), left_half(size)) == (10, 5, 48, 45)
    assert moved_housing((60, 5, 90, 45), left_half(size)) is None
    assert moved_housing(None, mirrored(size)) is None


LATER = ("synthetic", "original", "augmentation", "housing_bbox", "camera_json", "tolerance_json")
LATER_OF_OBJECTS = ("kinds", "in_answer", "dx_mm", "dy_mm", "tilt_deg", "tip_px", "base_px", "moved_px")


def as_earlier(dataset: Path, to: Path) -> Path:
    """A dataset as earlier versions built it, without the columns added since."""
    shutil.copytree(dataset, to)
    (to / "connectors.json").unlink()
    for path in (to / "data").glob("*.parquet"):
        table = pq.read_table(path)
        columns = Features.from_arrow_schema(table.schema)
        objects = {n: kind for n, kind in columns["objects"].items() if n not in LATER_OF_OBJECTS}
        kept = {name: kind for name, kind in columns.items() if name not in LATER} | {"objects": objects}
        rows = table.to_pylist()
        for row_ in rows:
            row_["objects"] = {name: row_["objects"][name] for name in objects}
        pq.write_table(pa.Table.from_pylist(rows, schema=Features(kept).arrow_schema), path)
    return to


def test_what_a_dataset_of_an_earlier_version_does_not_say_is_not_guessed(built, tmp_path, capsys):
    old = as_earlier(built / "plain", tmp_path / "old")
    plan = planned(old, tmp_path / "plan.csv", cut="yes", light="no", warp="no")
    capsys.readouterr()
    assert run("apply", plan, "--to", tmp_path / "out", "--no-trim", "--workers", 1) == 0
    lacking = ["housing_bbox", "synthetic", "objects.kinds", "camera_json", "objects.dx_mm"]
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "an older dataset without the columns" in line)
    assert line.startswith(f"{old}: ") and all(name in line for name in lacking)
    found = rows_of(tmp_path / "out")
    assert all(r["synthetic"] is True and r["housing_bbox"] is None for r in found.values())
    whole, half = found["t002_reverse"], found["t002_left"]  # of a missing and a retracted pin
    assert whole["kinds"] == ["missing", "retracted"] and len(objects_of(half)) < len(objects_of(whole))
    assert half["label"] == CLASSES.index("NUKENG") and half["kinds"] is None
    assert whole["camera_json"] is None and set(whole["objects"]["dx_mm"]) == {None}
    assert json.loads(half["tolerance_json"]) == {"true_position_mm": 0.8, "retraction_mm": 0.6, "protrusion_mm": 0.6}
    # Whether an object is in the answer follows from its class, box and visible share.
    assert sum(whole["objects"]["in_answer"]) == 2 and whole["bbox_str"].count("<loc_") == 8
    assert found["t000"]["objects"]["kinds"] == [None] * 27


def test_a_photograph_gets_no_tolerance_of_the_card(built, tmp_path):
    mixed = shutil.copytree(built / "plain", tmp_path / "mixed")
    for path in (mixed / "data").glob("*.parquet"):
        table = pq.read_table(path)
        rows = [r | {"tolerance_json": None, "synthetic": r["run"] != "t001"} for r in table.to_pylist()]
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    plan = planned(mixed, tmp_path / "plan.csv", cut="yes", light="no", warp="no")
    assert run("apply", plan, "--to", tmp_path / "out", "--no-trim", "--workers", 1) == 0
    found = rows_of(tmp_path / "out")
    assert found["t001_left"]["tolerance_json"] is None and found["t001"]["tolerance_json"] is None
    assert json.loads(found["t002_left"]["tolerance_json"])["true_position_mm"] == 0.8


def test_copies_carry_measures_and_camera(augmented):
    found = rows_of(augmented / "out")
    before = {t.id: t for t in objects_of(found["t001"])}
    camera = json.loads(found["t001"]["camera_json"])
    for name, sign in {"left": 1, "light": 1, "reverse": -1, "warp": 1}.items():
        copy = found[f"t001_{name}"]
        assert (copy["camera_json"] is None) == (name == "warp")
        for each in objects_of(copy):
            old = before[each.id]
            assert (each.dx_mm, each.dy_mm, each.tilt_deg) == (sign * old.dx_mm, old.dy_mm, old.tilt_deg)
            assert each.kinds == old.kinds and each.in_answer == (old.category != "OK")
    moved = json.loads(found["t001_reverse"]["camera_json"])
    assert moved["matrix_world"] == camera["matrix_world"] and moved["fx"] == camera["fx"]
    assert found["t001_plus90"]["camera_json"] is None  # no drawing has a 9 x 3 grid
    for each in objects_of(found["t001_plus90"]):
        assert (each.dx_mm, each.dy_mm) == (-before[each.id].dy_mm, before[each.id].dx_mm)
    assert json.loads((augmented / "out/connectors.json").read_text("utf-8"))["connectors"]


def test_a_plan_of_another_dataset_is_refused(built, tmp_path, capsys):
    plan = tmp_path / "plan.csv"
    plan.write_text("file,height,width,cut,reverse,plus90\nnobody,48,96,no,yes,no\nt000,47,96,no,yes,no\n")
    assert run("apply", plan, "--to", tmp_path / "out", "--folder", built / "plain") == 2
    told = capsys.readouterr().err
    assert "nobody: expected the run name of a row of the dataset" in told and "t000: expected 96 x 47 px" in told
    assert not (tmp_path / "out").exists()


def test_a_copy_is_not_copied_and_none_is_made_twice(augmented, tmp_path, capsys):
    made = augmented / "out"
    run("plan", made, "-o", tmp_path / "plan.csv")
    lines = {line["file"]: line for line in cells(tmp_path / "plan.csv")}
    rows = rows_of(made)
    copied = {row["original"] for row in rows.values()}
    assert {f for f, line in lines.items() if "yes" in line.values()} == {
        run for run, row in rows.items() if row["_split"] == "train" and not row["original"] and run not in copied
    }
    head = "file,height,width,cut,reverse,plus90\n"
    for name, message in {
        "t000_reverse": "t000_reverse: expected no operation for a row that is a copy, got plus90: plan copies",
        "t000": "t000 plus90: expected a run name for the copy that no row has, got t000_plus90, the name of",
    }.items():
        line = lines[name]
        (tmp_path / "more.csv").write_text(f"{head}{name},{line['height']},{line['width']},no,no,yes\n")
        assert run("apply", tmp_path / "more.csv", "--to", tmp_path / "out", "--folder", made) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_originals_and_copies_there_is_nothing_to_write(built, tmp_path, capsys):
    (tmp_path / "plan.csv").write_text("file,height,width,cut,reverse,plus90\nt000,48,96,no,no,no\n")
    words = ("--to", tmp_path / "out", "--folder", built / "plain", "--only-copies")
    assert run("apply", tmp_path / "plan.csv", *words) == 2
    assert (
        "expected at least one copy that can be made, as --only-copies leaves out the originals, got none"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


def test_rows_are_the_same_with_any_number_of_processes(tmp_path):
    write_renders(tmp_path / "renders", made_rows(200))
    build(tmp_path / "renders", tmp_path / "set", SCENES, Options({}))
    plan = planned(tmp_path / "set", tmp_path / "plan.csv", light="no", warp="no")
    for workers in (1, 2):
        assert run("apply", plan, "--to", tmp_path / f"out{workers}", "--workers", workers) == 0
    one, two = ({n: p.read_bytes() for n, p in files(tmp_path / f"out{workers}").items()} for workers in (1, 2))
    assert one == two
