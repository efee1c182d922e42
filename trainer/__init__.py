"""Train networks on a dataset, and judge pictures with them. Blender is not needed here.

core           modules that all three kinds of network use: data, augmentation, training loop, run folder, statistics
vit            a small vision transformer; it classifies pictures, or parts that several cameras show
florence2      Florence-2, which draws a box round each defect
gauge          a network that measures every pin of a connector in mm
features       networks that compute features, as ONNX files for `generator inspect --features`
run_kinds      which kind of run a folder holds
predict, evaluate, adapt, attention, export, report, push     commands, which call the packages above
hub            runs of a ViT in transformers

Code that decides between OK and NG: `core.decision` (threshold and temperature), `vit.verdicts`, `florence2.verdicts`,
`generator.locating.judge` (gauge). A new evaluation measure belongs into `vit.metrics`, `florence2.metrics` or
`gauge.figures`, and into the module `evaluation_page` of the same package.
"""

from importlib.util import find_spec

_NEEDED = ("torch", "torchvision", "safetensors", "datasets", "pandas", "pydantic", "sklearn", "jinja2", "matplotlib")
if _missing := [name for name in (*_NEEDED, "accelerate", "transformers", "scipy") if find_spec(name) is None]:
    # With its name, Python prints this error of `python -m trainer.…` as one line.
    raise ModuleNotFoundError(
        f"expected the packages that `pip install 'pinsight[train]'` installs, got no {', '.join(_missing)}",
        name=__name__,
    )
