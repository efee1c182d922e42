"""Training from a dataset alone, and judging pictures with what was trained. No Blender is needed here.

core           what every kind of run shares: data, augmentation, loop, run folder, statistics, decision, page, card
vit            a small vision transformer; it classifies pictures, or parts of which each camera took a picture
florence2      Florence-2, which draws a box round each defect
predict, evaluate, attention, export, report, push     commands for both kinds of run; `vit` and `florence2` do the work

Code that decides between OK and NG: `core.decision` (threshold and temperature), `vit.verdicts`, `florence2.verdicts`.
A new evaluation measure is added in `vit.metrics` or `florence2.metrics`, and shown by the `evaluation_page` beside.
"""

from importlib.util import find_spec

_NEEDED = ("torch", "torchvision", "safetensors", "datasets", "pandas", "pydantic", "sklearn", "jinja2", "matplotlib")
if _missing := [name for name in (*_NEEDED, "accelerate", "transformers", "scipy") if find_spec(name) is None]:
    # With its name, Python prints this error of `python -m trainer.…` as one line.
    raise ModuleNotFoundError(
        f"expected the packages of the extra 'train' (pip install 'pinsight[train]'), got no {', '.join(_missing)}",
        name=__name__,
    )
