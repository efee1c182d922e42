"""A run's network for the library transformers: configuration, image processor, model.

`from_pretrained` loads a folder of `python -m trainer.vit`; `save_pretrained` writes a folder in transformers' own
layout. `pixel_values` are RGB in [0, 1]: the network itself subtracts the mean and divides by the standard deviation,
because its stem also needs the unchanged pixels. Logits are divided by the run's frozen temperature, so their softmax
gives the probabilities of `trainer.predict`.

This file is copied into every run, so that transformers alone can load it: hence the relative imports.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from transformers import BatchFeature, PretrainedConfig, PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor
from transformers.modeling_outputs import ImageClassifierOutput

from .letterbox import pixels_of
from .model import EvidencePooling, ViT, ViTConfig


class PinsightViTConfig(PretrainedConfig):
    """A run's config.json as a configuration of transformers.

    Args:
        model: Fields of `ViTConfig`.
        logit_temperature: Divides the logits; transformers uses the name `temperature` for text generation.
        kwargs: Keys of transformers, and the settings of the training, kept unchanged.
    """

    model_type = "pinsight_vit"

    def __init__(self, model: dict[str, Any] | None = None, logit_temperature: float = 1.0, **kwargs: Any) -> None:
        self.model = model
        self.logit_temperature = logit_temperature
        if model is not None:
            kwargs["id2label"] = dict(enumerate(model["classes"]))
            kwargs["label2id"] = {name: label for label, name in enumerate(model["classes"])}
        super().__init__(**kwargs)

    @property
    def vit(self) -> ViTConfig:
        """The network's configuration; runs of earlier versions, without `shifts`, judge at one place."""
        return ViTConfig(**{"shifts": 1, **(self.model or {})})


class PinsightViTImageProcessor(BaseImageProcessor):
    """Letterboxes pictures of any size to the network's size, as in the training.

    Args:
        size: `width` and `height` in px; None: 256 and 128.
    """

    model_input_names = ["pixel_values"]  # noqa: RUF012 (transformers' own declaration)

    def __init__(self, size: dict[str, int] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = dict(size or {"width": 256, "height": 128})

    def to_dict(self) -> dict[str, Any]:
        """Return {"size": size} for preprocessor_config.json; config.json (`auto_map`) names the class instead."""
        return {"size": self.size}

    def __call__(self, images: Any, **kwargs: Any) -> BatchFeature:  # type: ignore[override]
        return self.preprocess(images, **kwargs)

    def preprocess(self, images: Any, return_tensors: str | None = "pt", **kwargs: Any) -> BatchFeature:
        """Convert pictures to `pixel_values` (B, 3, H, W) in [0, 1].

        Args:
            images: A picture or a list: Pillow pictures in any mode, or uint8 arrays (H, W) or (H, W, 3).
            return_tensors: `pt` or `np`.
            kwargs: Options of other processors; ignored.
        """
        if not isinstance(images, list | tuple):
            images = [images]
        target = (self.size["width"], self.size["height"])
        pictures = [i if isinstance(i, Image.Image) else Image.fromarray(np.asarray(i)) for i in images]
        pixels = np.stack([pixels_of(picture, target) for picture in pictures])
        # Divided by torch, as in the training, so that the results are equal to the bit.
        values = torch.from_numpy(pixels).float() / 255
        return BatchFeature({"pixel_values": values}, tensor_type=return_tensors)


@dataclass
class PinsightViTOutput(ImageClassifierOutput):
    """`logits` (B, K), divided by the temperature; `patch_logits` (B, K, h, w) or (B, V, K, h, w), not divided."""

    patch_logits: torch.FloatTensor | None = None


class PinsightViTForImageClassification(PreTrainedModel):
    """The network, loaded from RUN/best.safetensors or from a folder of `save_pretrained`."""

    config_class = PinsightViTConfig
    base_model_prefix = "vit"
    main_input_name = "pixel_values"

    def __init__(self, config: PinsightViTConfig) -> None:
        super().__init__(config)
        self.vit = ViT(config.vit)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        # Buffers that are in no file have no values after loading.
        with torch.no_grad():
            if isinstance(module, ViT):
                for buffer, values in ((module.mean, module.config.mean), (module.std, module.config.std)):
                    buffer.copy_(torch.tensor(values).view_as(buffer))
            elif isinstance(module, EvidencePooling):
                module.keep.fill_(1.0)
                module.keep[module.ok_index] = 0.0

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None, **kwargs: Any) -> PinsightViTOutput:
        """Compute class logits of pictures.

        Args:
            pixel_values: (B, C, H, W) in [0, 1]; of a run on V views (B, V, C, H, W), in the order of its `views`.
            labels: (B,) for the loss, computed without the temperature; None: no loss.
            kwargs: Further arguments that transformers passes to every model; ignored.

        Raises:
            ValueError: The pictures have another number of views than the run.
        """
        views = self.vit.config.views
        if (tuple(pixel_values.shape[1:-3]) or (0,)) != (len(views),):
            expected = f"(B, {len(views)}, C, H, W), the views {', '.join(views)}" if views else "(B, C, H, W)"
            raise ValueError(f"pixel_values: expected {expected}, got {tuple(pixel_values.shape)}")
        prediction: Any = self.vit(pixel_values) if self.training else self.vit.judged(pixel_values)
        loss = None if labels is None else F.cross_entropy(prediction.logits, labels)
        return PinsightViTOutput(
            loss=loss, logits=prediction.logits / self.config.logit_temperature, patch_logits=prediction.patch_logits
        )
