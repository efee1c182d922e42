"""RUN/state.safetensors: the complete state of a training after an epoch, for --resume.

One file holds trained weights, the optimizer's moments, averaged weights and counters, so that a killed training never
leaves the weights of one epoch beside the counters of another.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from trainer.core.errors import InputError
from trainer.core.run_folder import STATE, read_tensors, save_tensors

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class RunState:
    """Counters of a training after an epoch.

    Args:
        epoch, step: Numbers of finished epochs and of finished steps.
        best_epoch: Epoch whose weights best.safetensors holds; 0 = none yet.
        best_score: Score of that epoch; scores are compared as tuples, higher is better; empty = none yet.
    """

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_score: tuple[float, ...] = ()


def _weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that a training changes, by name: trained parameters and persistent buffers."""
    kept = network.state_dict().keys()
    found: dict[str, Tensor] = {name: p for name, p in network.named_parameters() if p.requires_grad}
    return found | {name: buffer for name, buffer in network.named_buffers() if name in kept}


def save_state(
    run: Path, network: nn.Module, optimizer: torch.optim.Optimizer, average: Mapping[str, Tensor], state: RunState
) -> None:
    """Write RUN/state.safetensors.

    Args:
        run, network: The run's folder, and the network with its own weights, not the averaged ones.
        optimizer: The AdamW optimizer.
        average: Averaged weights (EMA) by name; empty without averaging.
        state: The counters after the epoch.
    """
    tensors = {f"weight.{name}": tensor for name, tensor in _weights(network).items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            for key, value in optimizer.state[parameter].items():
                tensors[f"optimizer.{key}.{name}"] = value
    save_tensors(run / STATE, tensors, {"state": json.dumps(asdict(state))})


def load_state(
    run: Path, network: nn.Module, optimizer: torch.optim.Optimizer, average: Mapping[str, Tensor]
) -> RunState:
    """Read RUN/state.safetensors and copy it into a network, its optimizer and `average`; returns its `RunState`.

    Raises:
        InputError: The file is missing, its tensors are not those of this network, or its counters are damaged.
    """
    path = run / STATE
    tensors, metadata = read_tensors(path)
    own = {f"weight.{name}": tensor for name, tensor in _weights(network).items()}
    own |= {f"average.{name}": tensor for name, tensor in average.items()}
    held = {name: t for name, t in tensors.items() if name.startswith(("weight.", "average."))}
    if {name: t.shape for name, t in held.items()} != {name: t.shape for name, t in own.items()}:
        raise InputError(
            f"{path}: expected the state of this network with these settings, got tensors of another network or of an "
            "earlier version: train anew, with --overwrite or another --out"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(held[name])
    for name, parameter in network.named_parameters():
        # A parameter without a gradient in any step so far has no moments.
        moments = {key: tensors[at] for key in MOMENTS if (at := f"optimizer.{key}.{name}") in tensors}
        if len(moments) == len(MOMENTS):
            optimizer.state[parameter] = {
                key: moment if key == "step" else moment.to(parameter) for key, moment in moments.items()
            }
    try:
        values = json.loads(metadata.get("state", "{}"))
        return RunState(**{**values, "best_score": tuple(values["best_score"])})
    except (KeyError, TypeError, ValueError) as e:
        raise InputError(
            f"{path}: expected a training's counters (epoch, step, best epoch, best score), got {metadata.get('state')}"
        ) from e
