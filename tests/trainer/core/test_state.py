"""The state of a training is refused unless all of it is there."""

import pytest
import torch

from trainer.core.errors import InputError
from trainer.core.run_folder import STATE, read_tensors, save_tensors
from trainer.core.state import RunState, load_state, save_state


@pytest.mark.parametrize("held", [{}, {"state": "{}"}, {"state": "x"}, {"state": '{"best_score": 1}'}])
def test_a_state_without_its_counters_is_refused(held, tmp_path):
    network = torch.nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(network.parameters())
    state = RunState(3, 9, 2, (0.5, 1.0))
    save_state(tmp_path, network, optimizer, {}, state)
    assert load_state(tmp_path, network, optimizer, {}) == state
    tensors, _ = read_tensors(tmp_path / STATE)
    save_tensors(tmp_path / STATE, tensors, held)
    with pytest.raises(
        InputError, match=r"expected a training.s counters \(epoch, step, best epoch, best score\), got"
    ):
        load_state(tmp_path, network, optimizer, {})
