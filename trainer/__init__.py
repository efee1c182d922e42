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

import os
from importlib.util import find_spec

from blender_scripts.contract.interrupt import one_line_at_start

one_line_at_start()
_NEEDED = ("torch", "torchvision", "safetensors", "datasets", "pandas", "pydantic", "sklearn", "jinja2", "matplotlib")
if _missing := [name for name in (*_NEEDED, "accelerate", "transformers", "scipy") if find_spec(name) is None]:
    # With its name, Python prints this error of `python -m trainer.…` as one line.
    raise ModuleNotFoundError(
        "expected the packages that `pip install '.[train]'` installs in a clone of the repository, got no "
        f"{', '.join(_missing)}",
        name=__name__,
    )

# Before torch is imported: its threads wait for each other after every operation. By default a waiting thread keeps its
# core busy, so that on a machine with other work two threads took 16 times as long as one. With this number they give
# the core away soon: 1.6 times as long, on an idle machine two threads are then 10 % slower than by default.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
