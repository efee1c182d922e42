"""A run's network as transformers knows networks: configuration, image processor, model.

`from_pretrained` takes the folder of `python -m trainer.vit`, and `save_pretrained` writes a folder in transformers'
own arrangement. The network itself subtracts the mean and divides by the spread, for its stem also looks at the local
contrast of the pixels as they are: `pixel_values` are RGB in [0, 1]. Logits come divided by the temperature that the
run froze on validation, so their softmax is what `trainer.predict` says.

This file goes along with every run, so that transformers alone can load it: hence the relative imports.
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
    """A run's config.json.

    Args:
        model: Fields of `ViTConfig`.
        logit_temperature: Divides the logits; transformers keeps the plain name for the generation of text.
        kwargs: transformers' own, and the settings of the training, which are kept as they are.
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
        """The network's shape."""
        return ViTConfig(**(self.model or {}))


class PinsightViTImageProcessor(BaseImageProcessor):
    """Pictures of any size to pixels of the network's size, as in the training: fitted whole, the border repeated.

    Args:
        size: `width` and `height` in px.
    """

    model_input_names = ["pixel_values"]  # noqa: RUF012 (transformers' own declaration)

    def __init__(self, size: dict[str, int] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = dict(size or {"width": 256, "height": 128})

    def to_dict(self) -> dict[str, Any]:
        """What `save_pretrained` writes. The model's configuration names the class (see `trainer.vit.hub_files`)."""
        return {"size": self.size}

    def __call__(self, images: Any, **kwargs: Any) -> BatchFeature:  # type: ignore[override]
        return self.preprocess(images, **kwargs)

    def preprocess(self, images: Any, return_tensors: str | None = "pt", **kwargs: Any) -> BatchFeature:
        """Pictures to `pixel_values` (B, 3, H, W) in [0, 1].

        Args:
            images: A picture or a list of them: Pillow's in any mode, or uint8 arrays (H, W) or (H, W, 3).
            return_tensors: `pt` or `np`.
            kwargs: Other processors' options; none changes anything here.
        """
        if not isinstance(images, list | tuple):
            images = [images]
        target = (self.size["width"], self.size["height"])
        pictures = [i if isinstance(i, Image.Image) else Image.fromarray(np.asarray(i)) for i in images]
        pixels = np.stack([pixels_of(picture, target) for picture in pictures])
        # Divided in torch, as the training does: no last bit differs.
        values = torch.from_numpy(pixels).float() / 255
        return BatchFeature({"pixel_values": values}, tensor_type=return_tensors)


@dataclass
class PinsightViTOutput(ImageClassifierOutput):
    """`logits` (B, K) after the temperature, and `patch_logits` (B, K, h, w) of each patch without it."""

    patch_logits: torch.FloatTensor | None = None


class PinsightViTForImageClassification(PreTrainedModel):
    """The network. RUN/best.safetensors and its own `save_pretrained` both hold its weights."""

    config_class = PinsightViTConfig
    base_model_prefix = "vit"
    main_input_name = "pixel_values"

    def __init__(self, config: PinsightViTConfig) -> None:
        super().__init__(config)
        self.vit = ViT(config.vit)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        # Buffers that no file holds are memory without content after a loading.
        with torch.no_grad():
            if isinstance(module, ViT):
                for buffer, values in ((module.mean, module.config.mean), (module.std, module.config.std)):
                    buffer.copy_(torch.tensor(values).view_as(buffer))
            elif isinstance(module, EvidencePooling):
                module.keep.fill_(1.0)
                module.keep[module.ok_index] = 0.0

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None, **kwargs: Any) -> PinsightViTOutput:
        """Class logits of pictures.

        Args:
            pixel_values: (B, C, H, W) in [0, 1]; of a run on V views (B, V, C, H, W), in the order of its `views`.
            labels: (B,); with them there is a loss, of the logits before the temperature.
            kwargs: What transformers passes to every model; none changes anything here.

        Raises:
            ValueError: Not as many views as the run has.
        """
        views = self.vit.config.views
        if (tuple(pixel_values.shape[1:-3]) or (0,)) != (len(views),):
            expected = f"(B, {len(views)}, C, H, W), the views {', '.join(views)}" if views else "(B, C, H, W)"
            raise ValueError(f"pixel_values: expected {expected}, got {tuple(pixel_values.shape)}")
        prediction = self.vit(pixel_values)
        loss = None if labels is None else F.cross_entropy(prediction.logits, labels)
        return PinsightViTOutput(
            loss=loss,
            logits=prediction.logits / self.config.logit_temperature,
            patch_logits=prediction.patch_logits,
        )
