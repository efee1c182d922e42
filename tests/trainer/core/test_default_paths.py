"""Where a training reads and writes when nobody says: the bare command in a folder with datasets/."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.other_python import other_python
from tests.trainer.conftest import dying_in_epoch
from trainer.core import default_paths
from trainer.core.errors import InputError
from trainer.vit.command import main

ROOT = Path(__file__).resolve().parents[3]
CARD = f"---\npinsight:\n  content_sha256: {'a' * 64}\n---\n"


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(tiny_dataset: Path, name: str = "ladder") -> Path:
    """A copy of a dataset in datasets/, with a card."""
    folder = shutil.copytree(tiny_dataset, Path("datasets") / name)
    (folder / "README.md").write_text(CARD)
    return folder


def test_no_dataset_is_refused(place, capsys):
    for folder in ("datasets/.hidden/data", "datasets/without_card/data"):
        Path(folder).mkdir(parents=True)
    Path("datasets/.hidden/README.md").touch()
    Path("datasets/without_data").mkdir()
    Path("datasets/without_data/README.md").touch()
    assert main([]) == 2
    assert capsys.readouterr().err == (
        "error: --data: expected --data DATASET, or a dataset in datasets/ (a folder with README.md and data/); got "
        "neither: make a dataset with `python -m generator build`\n"
    )
    assert not Path("runs").exists()


def test_several_datasets_are_listed(place, tiny_dataset, capsys):
    put(tiny_dataset), put(tiny_dataset, "other")
    assert main([]) == 2
    assert capsys.readouterr().err == (
        "error: --data: expected --data DATASET, because datasets/ has 2 datasets (datasets/ladder, datasets/other)\n"
    )


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--overwrite", "--overwrite: expected --out RUN with it, the run to overwrite; got no --out"),
        ("--resume", "of datasets/ladder with a default name such as runs/ladder-vit, got none; give --out RUN"),
    ],
)
def test_options_that_need_a_run(place, tiny_dataset, capsys, option, said):
    put(tiny_dataset)
    assert main([option]) == 2
    assert said in capsys.readouterr().err
    assert not Path("runs").exists()


def test_the_bare_command_again_and_again(place, tiny_dataset, small_options, capsys):
    data = put(tiny_dataset)
    (data / "connectors.json").write_text('{"of": "ladder"}')
    options = [*small_options, "--epochs", "2", "--close-ups", "0", "--no-check"]
    with dying_in_epoch(2):
        assert main(options) == 1
    said = capsys.readouterr()
    assert "--data datasets/ladder: chosen as the only dataset" in said.out and "--out runs/ladder-vit\n" in said.out
    assert "continue with --resume --out runs/ladder-vit" in said.err
    assert json.loads(Path("runs/ladder-vit/connectors.json").read_text()) == {"of": "ladder"}
    before = Path("runs/ladder-vit/config.json").read_bytes()

    # Other settings are another run; it is finished.
    assert main([*options, "--seed", "5"]) == 0
    assert "--out runs/ladder-vit-2\n" in capsys.readouterr().out
    assert main(options) == 0
    assert (
        "--out runs/ladder-vit: resumed as an unfinished run with the same settings and dataset"
        in capsys.readouterr().out
    )
    assert Path("runs/ladder-vit/config.json").read_bytes() != before  # the temperature came to it
    assert json.loads(Path("runs/ladder-vit/summary.json").read_text())["epochs"] == 2

    # A finished run is never taken again; of another dataset's none.
    (data / "README.md").write_text(CARD.replace("a" * 64, "b" * 64))
    with dying_in_epoch(1):
        assert main(options) == 1
    (data / "README.md").write_text(CARD)
    with dying_in_epoch(2):
        assert main(options) == 1
    assert sorted(os.listdir("runs")) == [f"ladder-vit{end}" for end in ("", "-2", "-3", "-4")]
    assert main(["--resume", "--device", "cpu"]) == 0
    assert "--out runs/ladder-vit-4: resumed as the newest unfinished run" in capsys.readouterr().out
    assert json.loads(Path("runs/ladder-vit-4/summary.json").read_text())["epochs"] == 2


def test_a_dataset_whose_content_nobody_knows_is_not_known_to_be_the_same(place, tiny_dataset, small_options):
    (put(tiny_dataset) / "README.md").write_text("somebody else's")
    options = [*small_options, "--epochs", "1", "--close-ups", "0", "--no-check"]
    with dying_in_epoch(1):
        assert main(options) == 1
    with dying_in_epoch(1):
        assert main(options) == 1
    assert sorted(os.listdir("runs")) == ["ladder-vit", "ladder-vit-2"]


def test_a_run_is_whole_or_not_there(place):
    def fails(run: Path) -> None:
        (run / "config.json").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), default_paths.Hold() as hold:
        default_paths.make_run(Path("runs/a-vit"), fails, hold)
    assert os.listdir("runs") == []

    def while_another_takes_the_name(run: Path) -> None:
        (run / "mine").touch()
        Path("runs/a-vit").mkdir()
        Path("runs/a-vit/theirs").touch()

    with default_paths.Hold() as hold:
        made = default_paths.make_run(Path("runs/a-vit"), while_another_takes_the_name, hold)
        assert made == Path("runs/a-vit-2") and default_paths.is_in_training(made)
    assert not default_paths.is_in_training(made)
    assert os.listdir("runs/a-vit") == ["theirs"] and os.listdir("runs/a-vit-2") == ["mine"]


def test_a_broken_run_is_none_to_resume(place):
    run = Path("runs/a-vit")
    run.mkdir(parents=True)
    (run / "config.json").write_text('{"format": "pinsight-vit"}')

    def is_same(run: Path) -> bool:
        raise InputError("broken")

    assert default_paths.unfinished_run(run, "pinsight-vit", is_same) is None
    assert default_paths.unfinished_run(run, "pinsight-vit", lambda run: True) == run
    assert default_paths.unfinished_run(run, "pinsight-florence2", lambda run: True) is None


def test_a_run_in_training_is_neither_resumed_nor_adopted(place, tiny_dataset, small_options, capsys):
    put(tiny_dataset)
    options = [*small_options, "--epochs", "2", "--close-ups", "0", "--no-check"]
    with dying_in_epoch(2):
        assert main(options) == 1
    with default_paths.Hold() as another:
        another.take(Path("runs/ladder-vit"))
        assert main(["--resume", "--out", "runs/ladder-vit", "--device", "cpu"]) == 2
        said = capsys.readouterr().err
        assert "runs/ladder-vit: expected a run that no other command is training, got one in use" in said
        with dying_in_epoch(1):
            assert main(options) == 1  # a run of its own
    assert sorted(os.listdir("runs")) == ["ladder-vit", "ladder-vit-2"]


def test_the_run_that_was_begun_last_is_taken_whatever_its_number(place):
    for seconds, name in enumerate(("x-vit-10", "x-vit-3", "x-vit-other")):
        run = Path("runs", name)
        run.mkdir(parents=True)
        (run / "config.json").write_text('{"format": "pinsight-vit"}')
        os.utime(run / "config.json", (seconds, seconds))
    found = default_paths.unfinished_run(Path("runs/x-vit"), "pinsight-vit", lambda run: True)
    assert found == Path("runs/x-vit-3")


def test_resume_without_a_place_takes_no_run_of_another_dataset(place, tiny_dataset, small_options, capsys):
    data = put(tiny_dataset)
    with dying_in_epoch(1):
        assert main([*small_options, "--epochs", "1", "--close-ups", "0", "--no-check"]) == 1
    (data / "README.md").write_text(CARD.replace("a" * 64, "b" * 64))
    assert main(["--resume"]) == 2
    assert "expected an unfinished run of datasets/ladder with a default name" in capsys.readouterr().err
    (data / "README.md").write_text("somebody else's")
    assert main(["--resume"]) == 2
    assert "--resume: expected --out RUN with it, because" in capsys.readouterr().err


def test_the_folder_datasets_does_not_hide_the_library(place, tiny_dataset, small_options):
    """With `-m` the current folder is where Python looks first."""
    put(tiny_dataset)
    words = ("-m", "trainer.vit", *small_options, "--epochs", "1", "--no-check")
    other_python(*words, cwd=Path.cwd(), PYTHONPATH=str(ROOT))
    assert Path("runs/ladder-vit/summary.json").is_file()
