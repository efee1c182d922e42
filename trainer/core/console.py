"""What a command says while it works: one line at a time, from the first process of a shared training only."""

import os
import sys

from tqdm import tqdm


def speaks() -> bool:
    """Whether this process tells a person of mistakes: the first one of its machine."""
    return int(os.environ.get("WORLD_SIZE", 1)) == 1 or os.environ.get("LOCAL_RANK", "0") == "0"


def say(text: str) -> None:
    """One line for a person, above a progress bar; from the first process of a shared training only."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and int(os.environ.get("RANK", 0)):
        return
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()
