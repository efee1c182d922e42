"""What a run's folder holds for transformers' sake; nothing here imports it.

A run is read by transformers as it is: config.json has its keys beside ours, each side ignoring the other's, and points
to best.safetensors. The code lies beside it, for machines without this project: it is executed only for a user who
says `trust_remote_code=True`. With `import trainer.hub` first, none of it is.
"""

import json
from pathlib import Path

from trainer.vit import network
from trainer.vit.network.model import ViTConfig

MODEL_TYPE = "pinsight_vit"
MODULE = "modeling_pinsight_vit"
# The module and what it imports relatively.
CODE = (f"{MODULE}.py", "model.py", "letterbox.py", "errors.py")
# What letterbox.py was called in runs of earlier versions, whose module imports it.
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
    """transformers' part of RUN/config.json; the temperature follows when it is frozen."""
    return {
        "model_type": MODEL_TYPE,
        "architectures": ["PinsightViTForImageClassification"],
        "auto_map": {
            "AutoConfig": f"{MODULE}.PinsightViTConfig",
            "AutoModelForImageClassification": f"{MODULE}.PinsightViTForImageClassification",
            # Here, not in the processor's own file: there transformers takes it for a video processor's as well.
            "AutoImageProcessor": f"{MODULE}.PinsightViTImageProcessor",
        },
        "id2label": {str(label): name for label, name in enumerate(config.classes)},
        "label2id": {name: label for label, name in enumerate(config.classes)},
        "transformers_weights": "best.safetensors",
    }


def takes_one_picture(config: ViTConfig) -> bool:
    """Whether a picture alone is enough: neither two kinds of it, nor several views of a part."""
    return config.channels == 3 and not config.views


def files_of(config: ViTConfig) -> dict[str, str]:
    """Texts by file name: the code, and how pictures are read where a network takes one picture, in three channels."""
    found = {name: (Path(network.__file__).parent / name).read_text(encoding="utf-8") for name in CODE}
    if takes_one_picture(config):
        processor = {"size": {"width": config.width, "height": config.height}}
        found[PROCESSOR] = json.dumps(processor, indent=2) + "\n"
    return found
