"""The base: a ViT and a gauge that `make base` trains on many connectors, for `--init base`.

Its folder `base` holds a run of each kind, `base/vit` and `base/gauge`, and the digest of their dataset, by which a
base is known. It is looked for in the current folder, then in the clone of the repository from which this program runs.
"""

import os
from pathlib import Path

from trainer.core.errors import InputError
from trainer.core.run_folder import CONFIG, REPORT

NAME = "base"
# Written by `make base` beside the runs: the dataset's content_sha256.
DIGEST = "data.sha256"
_CLONE = Path(__file__).resolve().parents[2]


def begun_with(init: str | None, kind: str) -> str | None:
    """Return the run that `--init` names: the base's run, if it names a base; else the value itself.

    Args:
        init: Value of --init: the word `base` (a run in a folder of this name is that run), or the path of a base's
            folder, such as `../station/base`; any other value is returned as it is.
        kind: Name of the base's run: `vit` or `gauge`.

    Returns:
        For the word `base` a full path, for a folder the path of the run in it.

    Raises:
        InputError: There is no base, or its training has not ended.
    """
    if init is None or (Path(init) / CONFIG).is_file():
        return init
    if init == NAME:
        places = list(dict.fromkeys(os.path.abspath(folder / NAME / kind) for folder in (Path(), _CLONE)))
    elif init and (Path(init) / DIGEST).is_file():
        places = [str(Path(init) / kind)]
    else:
        return init
    for run in places:
        if (Path(run) / REPORT).is_file():  # the last file of a training
            return run
    raise InputError(
        f"--init {init}: expected a trained run in {' or '.join(places)}, got none: `make base`, in a clone of the "
        "repository, trains it in about an hour"
    )


def is_base(init: str) -> bool:
    """Return whether a run that `--init` names, also by a link, is one of a base."""
    runs = (Path(os.path.abspath(init)), Path(init).resolve()) if init else ()
    return any((run.parent / DIGEST).is_file() for run in runs)


def unknown(init: str | None) -> str:
    """Return a note for the user if `--init` names a run by a base's path, but not known as a base's; else empty."""
    run = Path(os.path.abspath(init)) if init else Path()
    if run.parent.name != NAME or not (run / CONFIG).is_file() or is_base(str(run)):
        return ""
    return (
        f"--init {init}: whether this is a base is not known, as {run.parent / DIGEST} is missing: epochs and forecast "
        "are those after any other run. If it is a copy of a base, copy this file, too"
    )
