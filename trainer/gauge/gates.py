"""The picture gates of a gauge's run: checks whether a picture can be judged.

Each view has its own file, RUN/gates/VIEW/gates.npz (`generator.verdict.gates`). Gates are learned from training and
validation pictures resampled to the run's scale. A picture to be checked must be resampled to this scale, too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from generator.verdict.gates import PictureGates
from trainer.core.errors import InputError, as_input_error
from trainer.gauge.ties import remedy

if TYPE_CHECKING:  # reading datasets takes seconds to import, and a prediction reads none
    from trainer.gauge.picture import Picture

FOLDER = "gates"
# Pictures of one view that its gates are learned from, at most.
_MOST = 400


def learn_gates(run: Path, splits: Mapping[str, Sequence["Picture"]]) -> None:
    """Learn from up to 400 pictures per view of `train` and `validation` what can be judged; writes VIEW/gates.npz."""
    by_view: dict[str, list[Picture]] = {}
    for name in ("train", "validation"):
        for each in splits.get(name, ()):
            by_view.setdefault(str(each.row["camera"]), []).append(each)
    for view, shown in by_view.items():
        some = [shown[index] for index in np.unique(np.linspace(0, len(shown) - 1, _MOST).astype(int))]
        groups = [str(each.row.get("part")) for each in some]
        folder = run / FOLDER / view
        folder.mkdir(parents=True, exist_ok=True)
        PictureGates.of((Image.fromarray(each.pixels) for each in some), groups).save(folder)


def load_gates(run: Path) -> dict[str, PictureGates]:
    """Load the picture gates from a run's folder; returns them by view.

    Raises:
        InputError: the run has no gates, or a file is damaged.
    """
    with as_input_error():
        found = {each.name: PictureGates.load(each) for each in sorted((run / FOLDER).glob("*")) if each.is_dir()}
    known = {view: gates for view, gates in found.items() if gates is not None}
    if not known:
        raise InputError(f"{run}: expected {FOLDER}/VIEW/gates.npz of a finished training, got none: {remedy(run)}")
    return known
