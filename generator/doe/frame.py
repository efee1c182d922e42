"""A manifest as pandas tables, made from its `Run` objects, so that manifests have a single parser.

pandas is imported only when a table is made, so that `--help` does not wait for it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING

from blender_scripts.contract.world import SCENE
from blender_scripts.manifest.defects import worst_kind
from blender_scripts.manifest.reader import Manifest

if TYPE_CHECKING:
    import pandas as pd

FACTORS = ("scene", "housing", "terminal", "camera", "lighting", "marking")
_WORLD = "world"


def factors_of(manifest: Manifest) -> pd.DataFrame:
    """Make a table with a row per picture and a column per factor; all its cells are texts.

    The columns are `defect` (kinds of defect, joined by `+`), FACTORS (scene, housing and so on), `world` unless it is
    SCENE in all rows, and the user's own. If one of the user's own is called `defect` too, the table has two columns of
    this name, the user's after the other.
    """
    import pandas as pd

    names = [*FACTORS, _WORLD, *manifest.runs[0].extra]
    # Numbers of levels in place of texts, so that a million rows fit in memory.
    codes, levels = [array("i") for _ in ("", *names)], [dict[str, int]() for _ in ("", *names)]
    for run in manifest.runs:
        kinds = "+".join(sorted({defect.kind for defect in run.defects})) or worst_kind(())
        cells = (kinds, *(getattr(run, name) for name in (*FACTORS, _WORLD)), *run.extra.values())
        for column, known, cell in zip(codes, levels, cells, strict=True):
            column.append(known.setdefault(str(cell), len(known)))
    columns = [
        pd.Series(pd.Categorical.from_codes(column, categories=list(known)), name=name)
        for name, column, known in zip(("defect", *names), codes, levels, strict=True)
        if name != _WORLD or set(known) != {SCENE}
    ]
    return pd.concat(columns, axis=1)


def splits_of(manifest: Manifest) -> pd.Series[str]:
    """Return the split of each row."""
    import pandas as pd

    known: dict[str, int] = {}
    codes = array("i", (known.setdefault(run.split, len(known)) for run in manifest.runs))
    return pd.Series(pd.Categorical.from_codes(codes, categories=list(known)))


def defects_by_position(manifest: Manifest, scene: str) -> pd.DataFrame:
    """Count the defects at each position of a scene (rows: addresses) in all pictures of each split (columns)."""
    import pandas as pd

    counts: dict[str, Counter[str]] = {}
    for run in manifest.runs:
        found = counts.setdefault(run.split, Counter())
        if run.scene == scene:
            found.update(address for defect in run.defects for address in defect.addresses)
    places = [position.address for position in manifest.connectors[scene].positions]
    return pd.DataFrame(counts, index=places, dtype=float).fillna(0).astype(int)
