"""A manifest as pandas tables, made from its `Run` objects, so that manifests have a single parser.

pandas is imported only when a table is made, so that `--help` does not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blender_scripts.manifest.defects import worst_kind
from blender_scripts.manifest.reader import Manifest

if TYPE_CHECKING:
    import pandas as pd

FACTORS = ("scene", "housing", "terminal", "camera", "lighting", "marking")


def factors_of(manifest: Manifest) -> pd.DataFrame:
    """Make a table with a row per picture and a column per factor; all its cells are texts.

    The columns are `defect` (kinds of defect, joined by `+`), FACTORS (scene, housing and so on), and the user's own.
    If one of the user's own is called `defect` too, the table has two columns of this name, the user's after the other.
    """
    import pandas as pd

    kinds = ["+".join(sorted({defect.kind for defect in run.defects})) or worst_kind(()) for run in manifest.runs]
    rows = pd.DataFrame([run.row() for run in manifest.runs])
    factors = rows[[*FACTORS, *manifest.runs[0].extra]].astype(str)
    return pd.concat([pd.Series(kinds, name="defect"), factors], axis=1)


def defects_by_position(manifest: Manifest, scene: str) -> pd.DataFrame:
    """Return the number of defects at each position of a scene (rows: addresses) in each split (columns)."""
    import pandas as pd

    found = [
        (address, run.split)
        for run in manifest.runs
        if run.scene == scene
        for defect in run.defects
        for address in defect.addresses
    ]
    counts = pd.DataFrame(found, columns=["address", "split"]).value_counts().unstack(fill_value=0)
    places = [position.address for position in manifest.connectors[scene].positions]
    return counts.reindex(index=places, columns=dict.fromkeys(run.split for run in manifest.runs), fill_value=0)
