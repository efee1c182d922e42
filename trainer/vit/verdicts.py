"""What a ViT says of a picture, or of a part from its views: the verdict, and the sheet that shows it to a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from trainer.core.decision import decide
from trainer.vit.network.letterbox import fit_of, pixels_of, rgb
from trainer.vit.network.model import OK_CLASS, ViT, ViTConfig

GREEN, RED = (40, 167, 69), (214, 48, 49)
SMALLEST_SIDE = 512
GAP = 4


@dataclass(frozen=True)
class Verdict:
    """What the network says of one picture.

    Args:
        file: The picture's path as given or found.
        verdict: `OK` or `NG`.
        label: `OK` below the threshold, else the most likely other class; without a threshold the most likely class.
        confidence: Its probability.
        probabilities: Probability by class name.
        peak_px: (x, y) of the most suspicious patch's centre, in px of the picture.
        peak_class: Most likely NG class there.
        peak_probability: 1 - P(OK) there.
    """

    file: str
    verdict: str
    label: str
    confidence: float
    probabilities: dict[str, float]
    peak_px: tuple[float, float]
    peak_class: str
    peak_probability: float


@dataclass(frozen=True)
class PartVerdict:
    """What the network says of one part from its views: as `Verdict`, and of these

    Args:
        part: The part's name.
        files: The pictures' paths by view.
        peak_view: The view whose patch is the most suspicious; `peak_px` are px of its picture.
    """

    part: str
    files: dict[str, str]
    verdict: str
    label: str
    confidence: float
    probabilities: dict[str, float]
    peak_view: str
    peak_px: tuple[float, float]
    peak_class: str
    peak_probability: float


def _said(logits: Tensor, config: ViTConfig, threshold: float | None, temperature: float) -> dict[str, Any]:
    """Verdict, label, confidence and probabilities of logits (K,)."""
    probabilities = (logits.double() / temperature).softmax(0)
    label = int(probabilities.argmax())
    if threshold is not None:
        label = int(decide(probabilities[None].numpy(), config.ok_index, threshold)[0])
    return {
        "verdict": "OK" if label == config.ok_index else "NG",
        "label": config.classes[label],
        "confidence": float(probabilities[label]),
        "probabilities": {name: float(p) for name, p in zip(config.classes, probabilities, strict=True)},
    }


def _on_band(centres: Tensor, first: int, length: int) -> Tensor:
    """(n,) which patches belong to px `first` to `first + length`: those with their centre in it, else the nearest."""
    beyond = (centres - (first + length / 2)).abs() - length / 2
    return beyond <= beyond.min().clamp(min=0)


def _peak(patch_logits: Tensor, picture: Image.Image, config: ViTConfig) -> tuple[dict[str, Any], np.ndarray]:
    """The most suspicious patch of a picture, and its heat map (h, w), from patch logits (K, h, w)."""
    patches = patch_logits.double().softmax(0)
    heat = 1 - patches[config.ok_index]
    fit = fit_of(rgb(picture).size, (config.width, config.height))
    # The repeated border is no part of the picture: a peak there would point outside.
    patch = config.patch_size
    y, x = ((torch.arange(count) + 0.5) * patch for count in heat.shape)
    inside = _on_band(y, fit.top, fit.height)[:, None] & _on_band(x, fit.left, fit.width)
    row, column = divmod(int(torch.where(inside, heat, -1.0).argmax()), heat.shape[1])
    at_peak = patches[:, row, column].clone()
    at_peak[config.ok_index] = -1
    at = zip((float(x[column]), float(y[row])), (fit.left, fit.top), rgb(picture).size, strict=True)
    found = {
        "peak_px": tuple(min(max((place - first) / fit.scale, 0.0), float(side)) for place, first, side in at),
        "peak_class": config.classes[int(at_peak.argmax())],
        "peak_probability": float(heat[row, column]),
    }
    return found, heat.numpy()


def _pixels(picture: Image.Image, config: ViTConfig) -> Tensor:
    """(C, H, W) in [0, 1]."""
    return torch.from_numpy(pixels_of(picture, (config.width, config.height)).copy()).float() / 255


def judge(
    model: ViT, picture: Image.Image, file: str, threshold: float | None = None, temperature: float = 1.0
) -> tuple[Verdict, np.ndarray]:
    """Judge one picture.

    Args:
        model: A trained network in evaluation mode.
        picture: Any size and mode.
        file: Name in the verdict.
        threshold: NG from so much 1 - P(OK) on; without, the most likely class decides.
        temperature: Divides the logits.

    Returns:
        The verdict and the heat map (h, w) in [0, 1] over the network's patches.
    """
    with torch.inference_mode():
        prediction = model(_pixels(picture, model.config)[None])
    peak, heat = _peak(prediction.patch_logits[0], picture, model.config)
    return Verdict(file, **_said(prediction.logits[0], model.config, threshold, temperature), **peak), heat


def judge_part(
    model: ViT,
    pictures: Mapping[str, Image.Image],
    part: str,
    files: Mapping[str, str],
    threshold: float | None = None,
    temperature: float = 1.0,
) -> tuple[PartVerdict, dict[str, np.ndarray]]:
    """Judge one part from its views.

    Args:
        model: A network in evaluation mode that was trained on several views.
        pictures: One for each of its views, in their order; any size and mode.
        part, files: Names in the verdict.
        threshold, temperature: As for `judge`.

    Returns:
        The verdict and each view's heat map (h, w) in [0, 1].
    """
    config = model.config
    with torch.inference_mode():
        prediction = model(torch.stack([_pixels(picture, config) for picture in pictures.values()])[None])
    found = {
        view: _peak(patch_logits, picture, config)
        for (view, picture), patch_logits in zip(pictures.items(), prediction.patch_logits[0], strict=True)
    }
    strongest = max(found, key=lambda view: found[view][0]["peak_probability"])
    said = _said(prediction.logits[0], config, threshold, temperature)
    verdict = PartVerdict(part, dict(files), **said, peak_view=strongest, **found[strongest][0])
    return verdict, {view: heat for view, (_, heat) in found.items()}


def _heat_on(picture: Image.Image, heat: np.ndarray, config: ViTConfig) -> Image.Image:
    """The picture with its heat map in red, both in the picture's size."""
    fit = fit_of(picture.size, (config.width, config.height))
    whole = Image.fromarray((heat * 255).astype(np.uint8)).resize(
        (heat.shape[1] * config.patch_size, heat.shape[0] * config.patch_size), Image.Resampling.BILINEAR
    )
    inside = whole.crop((fit.left, fit.top, fit.left + fit.width, fit.top + fit.height))
    strength = inside.resize(picture.size, Image.Resampling.BILINEAR).point(lambda v: v * 0.75)
    return Image.composite(Image.new("RGB", picture.size, (255, 40, 0)), picture, strength)


def _column(picture: Image.Image, heat: np.ndarray, config: ViTConfig, peak: tuple[float, float] | None) -> Image.Image:
    """A picture above its heat map, enlarged by a whole factor, with a ring round the peak (px) where there is one."""
    picture = rgb(picture)
    factor = max(1, -(-SMALLEST_SIDE // picture.width))
    size = (picture.width * factor, picture.height * factor)
    both = Image.new("RGB", (size[0], 2 * size[1] + GAP), "white")
    both.paste(picture.resize(size, Image.Resampling.NEAREST), (0, 0))
    both.paste(_heat_on(picture, heat, config).resize(size, Image.Resampling.NEAREST), (0, size[1] + GAP))
    if peak is not None:
        x, y = peak[0] * factor, peak[1] * factor
        radius = 1.5 * config.patch_size * size[0] / config.width
        draw = ImageDraw.Draw(both)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=RED, width=max(2, factor))
    return both


def _sheet(verdict: Verdict | PartVerdict, columns: Sequence[Image.Image], names: Sequence[str]) -> Image.Image:
    """Columns side by side, under their names where they have any, under a bar with verdict, class and confidence."""
    width = sum(one.width for one in columns) + GAP * (len(columns) - 1)
    bar = max(28, columns[0].width // 22)
    top = bar + (bar if names else 0)
    sheet = Image.new("RGB", (width, top + max(one.height for one in columns)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((0, 0, width, bar), fill=GREEN if verdict.verdict == "OK" else RED)
    text = verdict.verdict if verdict.label == OK_CLASS else f"{verdict.verdict}  {verdict.label}"
    font = ImageFont.load_default(size=bar * 0.6)
    draw.text((bar // 3, bar // 2), f"{text}  {verdict.confidence:.0%}", fill="white", font=font, anchor="lm")
    left = 0
    for index, one in enumerate(columns):
        sheet.paste(one, (left, top))
        if names:
            draw.text((left + bar // 3, bar + bar // 2), names[index], fill="black", font=font, anchor="lm")
        left += one.width + GAP
    return sheet


def annotate(picture: Image.Image, verdict: Verdict, heat: np.ndarray, model: ViT) -> Image.Image:
    """The picture and its heat map, one above the other, under a bar with verdict, class and confidence.

    Args:
        picture: As opened.
        verdict: From `judge`.
        heat: (h, w) from `judge`.
        model: The network that judged.
    """
    peak = verdict.peak_px if verdict.verdict == "NG" else None
    return _sheet(verdict, [_column(picture, heat, model.config, peak)], ())


def annotate_part(
    pictures: Mapping[str, Image.Image],
    verdict: PartVerdict,
    heats: Mapping[str, np.ndarray],
    model: ViT,
) -> Image.Image:
    """The same of a part: its views side by side, the ring in the one with the peak."""
    marked = verdict.peak_view if verdict.verdict == "NG" else None
    columns = [
        _column(picture, heats[view], model.config, verdict.peak_px if view == marked else None)
        for view, picture in pictures.items()
    ]
    return _sheet(verdict, columns, list(pictures))
