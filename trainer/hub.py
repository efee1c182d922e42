"""After `import trainer.hub`, transformers loads runs of `trainer.vit` without executing code from the runs' folders.

import trainer.hub
from transformers import pipeline
pipeline("image-classification", model="out/run")("picture.png")
"""

from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification

from trainer.vit.network.modeling_pinsight_vit import (
    PinsightViTConfig,
    PinsightViTForImageClassification,
    PinsightViTImageProcessor,
)

AutoConfig.register(PinsightViTConfig.model_type, PinsightViTConfig)
AutoImageProcessor.register(PinsightViTConfig, slow_image_processor_class=PinsightViTImageProcessor)
AutoModelForImageClassification.register(PinsightViTConfig, PinsightViTForImageClassification)
# `save_pretrained` then also writes the Python files that loading needs.
PinsightViTConfig.register_for_auto_class()  # type: ignore[no-untyped-call]
PinsightViTImageProcessor.register_for_auto_class("AutoImageProcessor")  # type: ignore[no-untyped-call]
PinsightViTForImageClassification.register_for_auto_class("AutoModelForImageClassification")  # type: ignore[no-untyped-call]
