"""Train networks on a dataset, and judge pictures with them. Blender is not needed here.

core           modules that every kind of run uses: data, augmentation, loop, run folder, statistics, decision, card
vit            a small vision transformer; it classifies pictures, or parts that several cameras show
florence2      Florence-2, which draws a box round each defect
gauge          a network that measures every pin of a connector in mm
predict, evaluate, attention, export, report, push     commands; the packages of the kinds of run do the work

OK or NG is decided in `core.decision` (threshold and temperature), `vit.verdicts`, `florence2.verdicts` and
`gauge.judging`. A new evaluation measure belongs into `vit.metrics`, `florence2.metrics` or `gauge.figures`, and into
the `evaluation_page` of the same package.
"""

from importlib.util import find_spec

_NEEDED = ("torch", "torchvision", "safetensors", "datasets", "pandas", "pydantic", "sklearn", "jinja2", "matplotlib")
if _missing := [name for name in (*_NEEDED, "accelerate", "transformers", "scipy") if find_spec(name) is None]:
    # With its name, Python prints this error of `python -m trainer.…` as one line.
    raise ModuleNotFoundError(
        f"expected the packages of the extra 'train' (pip install 'pinsight[train]'), got no {', '.join(_missing)}",
        name=__name__,
    )
