"""A merge of LoRA that changes the answers is an error of the program, which the command prints without traceback."""

from types import SimpleNamespace

import pytest
import torch

from trainer.core.errors import DifferentResultsError
from trainer.core.options import exit_code
from trainer.florence2 import lora


class Adapted:
    """A model whose merged form gives logits that differ by `off`."""

    def __init__(self, off: float) -> None:
        self.off = off

    def eval(self):
        return self

    def __call__(self, **_):
        return SimpleNamespace(logits=torch.ones(1, 2, 3))

    def merge_and_unload(self):
        return lambda **_: SimpleNamespace(logits=torch.ones(1, 2, 3) + self.off)


@pytest.mark.parametrize("off", [0.5, float("nan"), float("inf")])
def test_a_merge_with_other_logits_is_refused_without_a_traceback(capsys, off):
    assert lora.merge(Adapted(0.0), {}, torch.zeros(1))[1] == 0.0
    with pytest.raises(DifferentResultsError, match="merging LoRA: expected the same logits as before, got a diff"):
        lora.merge(Adapted(off), {}, torch.zeros(1))
    assert exit_code(lambda: lora.merge(Adapted(off), {}, torch.zeros(1))[1]) == 1
    assert capsys.readouterr().err.startswith("error: merging LoRA: expected the same logits")
