"""What a command says while it works: one line at a time, from the first process of a shared training only."""

import os
import sys

import torch
from tqdm import tqdm


def speaks() -> bool:
    """Whether this process tells a person of mistakes: the first one of its machine."""
    return int(os.environ.get("WORLD_SIZE", 1)) == 1 or os.environ.get("LOCAL_RANK", "0") == "0"


def say(text: str) -> None:
    """One line for a person, above a progress bar; from the first process of a shared training only."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        rank = torch.distributed.get_rank()
    else:  # not joined yet
        rank = int(os.environ.get("RANK", 0)) if int(os.environ.get("WORLD_SIZE", 1)) > 1 else 0
    if rank:
        return
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()
