"""`python -m trainer` names the commands."""

from pathlib import Path

import pytest

from tests.conftest import ROOT
from trainer.__main__ import COMMANDS, main


def test_every_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"python -m trainer.{name}" in shown for name in COMMANDS)
    packages = {path.parent.name for path in (ROOT / "trainer").glob("*/__main__.py")}
    modules = {path.stem for path in (ROOT / "trainer").glob("*.py") if _is_command(path)}
    assert set(COMMANDS) == packages | modules


def _is_command(path: Path) -> bool:
    return path.stem != "__main__" and '__name__ == "__main__"' in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "a.png"], "expected python -m trainer.predict, with a point before the command, got a space"),
        (["vit", "--data", "x"], "expected python -m trainer.vit, with a point before the command, got a space"),
        (["--data", "x"], "expected one of the commands trainer.vit, "),
        (["release"], "expected one of the commands trainer.vit, "),
    ],
)
def test_a_command_given_as_a_word_is_explained(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2 and said in capsys.readouterr().err
