"""A manifest as pandas tables, made from its `Run` objects: the reader stays the only parser of manifests.

pandas is imported when a table is made, so that a command's help does not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blender_scripts.manifest.defects import worst_kind
from blender_scripts.manifest.reader import Manifest, Run

if TYPE_CHECKING:
    import pandas as pd

FACTORS = ("scene", "housing", "terminal", "camera", "lighting", "marking")


def factors_of(manifest: Manifest) -> pd.DataFrame:
    """A row per picture, a column per factor, the user's own included; levels as text, `defect` first."""
    import pandas as pd

    rows = pd.DataFrame([run.row() for run in manifest.runs])
    own = rows[[*FACTORS, *manifest.runs[0].extra]].astype(str)
    return pd.DataFrame({"defect": [_kinds(run) for run in manifest.runs]}).join(own)


def splits_of(manifest: Manifest) -> pd.Series[str]:
    """Each picture's split, as categories in the order in which the manifest has them."""
    import pandas as pd

    splits = [run.split for run in manifest.runs]
    return pd.Series(pd.Categorical(splits, categories=list(dict.fromkeys(splits))))


def defects_by_position(manifest: Manifest, scene: str) -> pd.DataFrame:
    """How many defects each position (row, an address) of a scene has in each split (column)."""
    import pandas as pd

    found = [
        (address, run.split)
        for run in manifest.runs
        if run.scene == scene
        for defect in run.defects
        for address in defect.addresses
    ]
    places = [position.address for position in manifest.connectors[scene].positions]
    counts = pd.DataFrame(found, columns=["address", "split"]).value_counts().unstack(fill_value=0)
    return counts.reindex(index=places, columns=splits_of(manifest).cat.categories, fill_value=0)


def _kinds(run: Run) -> str:
    return "+".join(sorted({defect.kind for defect in run.defects})) or worst_kind(())
