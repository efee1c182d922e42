"""Output of a command on the terminal; of several training processes only the first one writes."""

import os
import sys

from tqdm import tqdm


def speaks() -> bool:
    """Whether this process prints errors: the first process on its machine does."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("LOCAL_RANK", "0") == "0"


def say(text: str) -> None:
    """Print one line above the progress bar; only in the first process of a distributed training."""
    if os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("RANK", "0") != "0":
        return
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()
