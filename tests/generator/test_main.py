"""What `python -m generator` says after Ctrl-C."""

import importlib

import pytest

from generator.__main__ import COMMANDS, main


@pytest.mark.parametrize(
    ("words", "then"),
    [
        (["render", "a.csv"], "resume"),
        (["merge", "a", "--to", "b"], "resume"),
        (["build"], "resume"),
        (["augment", "apply", "a.csv", "--to", "b"], "resume"),
        (["import", "a", "--format", "coco", "--to", "b"], "resume"),
        (["augment", "plan", "a", "-o", "a.csv"], "start anew"),
        (["export", "a", "--format", "coco", "--to", "b"], "start anew"),
        (["push", "a", "me/a", "--dry-run"], "start anew"),
        (["report", "a", "-o", "a.html"], "start anew"),
    ],
)
def test_after_an_interrupt_it_says_whether_the_command_resumes(words, then, monkeypatch, capsys) -> None:
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module(COMMANDS[words[0]][0]), "run", interrupted)
    assert main(words) == 1
    assert capsys.readouterr().err == f"interrupted: repeat the command to {then}\n"
