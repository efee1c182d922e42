"""Files and keys in a run's folder that let the library transformers load it; this module does not import transformers.

config.json has keys for transformers beside those for Pinsight (each ignores the other's) and names best.safetensors as
the weights. The run's folder also holds the network's code, for machines without Pinsight: transformers executes that
code only with `trust_remote_code=True`. After `import trainer.hub` transformers uses Pinsight's own code instead.
"""

import json
from pathlib import Path

from trainer.vit import network
from trainer.vit.network.model import ViTConfig

MODEL_TYPE = "pinsight_vit"
MODULE = "modeling_pinsight_vit"
# The module and the modules that it imports.
CODE = (f"{MODULE}.py", "model.py", "blocks.py", "letterbox.py", "errors.py")
# Name of letterbox.py in runs of earlier versions.
EARLIER_CODE = ("fitting.py",)
PROCESSOR = "preprocessor_config.json"
# transformers' keys in config.json: ours, and those that its own `save_pretrained` adds.
KEYS = frozenset(
    (
        *(
            "model_type",
            "architectures",
            "auto_map",
            "id2label",
            "label2id",
            "transformers_weights",
            "logit_temperature",
        ),
        *("dtype", "transformers_version"),
    )
)


def keys_of(config: ViTConfig) -> dict[str, object]:
    """Return the keys of RUN/config.json that transformers needs, except `logit_temperature`, which is added later."""
    return {
        "model_type": MODEL_TYPE,
        "architectures": ["PinsightViTForImageClassification"],
        "auto_map": {
            "AutoConfig": f"{MODULE}.PinsightViTConfig",
            "AutoModelForImageClassification": f"{MODULE}.PinsightViTForImageClassification",
            # Not in the processor's own file: there transformers would use it for a video processor too.
            "AutoImageProcessor": f"{MODULE}.PinsightViTImageProcessor",
        },
        "id2label": {str(label): name for label, name in enumerate(config.classes)},
        "label2id": {name: label for label, name in enumerate(config.classes)},
        "transformers_weights": "best.safetensors",
    }


def takes_one_picture(config: ViTConfig) -> bool:
    """Return whether the input is one picture of three channels, without an NSOART picture or views beside it."""
    return config.channels == 3 and not config.views


def files_of(config: ViTConfig) -> dict[str, str]:
    """Return, by name, texts of the files that transformers reads: code; if `takes_one_picture`, also `PROCESSOR`."""
    found = {name: (Path(network.__file__).parent / name).read_text(encoding="utf-8") for name in CODE}
    if takes_one_picture(config):
        processor = {"size": {"width": config.width, "height": config.height}}
        found[PROCESSOR] = json.dumps(processor, indent=2) + "\n"
    return found
