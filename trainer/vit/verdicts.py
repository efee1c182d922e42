"""Verdict of a ViT on a picture, or on a part from its views, and the sheet that shows the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from generator.io.drawing import Cell, draw_ring, enlargement, grid, scaled, under_verdict
from generator.verdict.envelope import Verdict
from trainer.core.decision import Thresholds, decide, verdict_of
from trainer.core.gates import Gates
from trainer.vit.gates import watch
from trainer.vit.network.letterbox import fit_of, pixels_of, rgb
from trainer.vit.network.model import ViT, ViTConfig

SIDE_PX = 512
# Of a network without chosen thresholds.
DEFAULT_THRESHOLDS = Thresholds.at(0.5)


@dataclass(frozen=True)
class PictureVerdict:
    """Verdict on one picture.

    Args:
        verdict: OK, NG, UNSURE or INVALID, from `decision.verdict_of`.
        reasons: Why the verdict is not OK; each begins with a keyword and a colon.
        label: `OK` if P(NG) is below the threshold and below 0.5, otherwise the most probable NG class.
        confidence: Probability of the label, in [0, 1].
        probabilities: Probability by class name.
        peak_px: (x, y) of the centre of the most suspicious patch (highest 1 - P(OK)), in px of the picture.
        peak_class: The most probable NG class of the most suspicious patch.
        peak_probability: 1 - P(OK) of the most suspicious patch.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    label: str
    confidence: float
    probabilities: dict[str, float]
    peak_px: tuple[float, float]
    peak_class: str
    peak_probability: float

    @property
    def said(self) -> str:
        """Text beside the verdict. OK or NG: class and its probability; UNSURE: P(NG); INVALID: empty."""
        if self.verdict is Verdict.UNSURE:
            return f"P(NG) {1 - self.probabilities['OK']:.3f}"
        return f"{self.label:<8} {self.confidence:.3f}" if self.verdict is not Verdict.INVALID else ""


@dataclass(frozen=True)
class PartVerdict(PictureVerdict):
    """Verdict on one part from its views; all other fields are those of `PictureVerdict`.

    Args:
        peak_view: The view with the most suspicious patch; `peak_px` is in px of this view's picture.
    """

    peak_view: str


def _said(
    logits: Tensor, config: ViTConfig, limits: Thresholds, temperature: float, invalid: Sequence[str]
) -> dict[str, Any]:
    """Compute verdict, reasons, label, confidence and probabilities from logits (K,): fields of `PictureVerdict`."""
    probabilities = (logits.double() / temperature).softmax(0)
    label = int(decide(probabilities[None].numpy(), config.ok_index, limits.threshold)[0])
    verdict, reasons = verdict_of(float(1 - probabilities[config.ok_index]), limits, invalid)
    return {
        "verdict": verdict,
        "reasons": tuple(reasons),
        "label": config.classes[label],
        "confidence": float(probabilities[label]),
        "probabilities": {name: float(p) for name, p in zip(config.classes, probabilities, strict=True)},
    }


def _on_band(centres: Tensor, first: int, length: int) -> Tensor:
    """Return which patches (n,) have their centre in `first` to `first + length` px; if none, the nearest."""
    beyond = (centres - (first + length / 2)).abs() - length / 2
    return beyond <= beyond.min().clamp(min=0)


def _peak(patch_logits: Tensor, picture: Image.Image, config: ViTConfig) -> tuple[dict[str, Any], np.ndarray]:
    """Find the most suspicious patch of a picture, and its heat map (h, w), from patch logits (K, h, w)."""
    patches = patch_logits.double().softmax(0)
    heat = 1 - patches[config.ok_index]
    fit = fit_of(rgb(picture).size, (config.width, config.height))
    # Patches in the repeated border do not count: the peak would lie outside the picture.
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


def _pixels(inputs: Sequence[Image.Image], config: ViTConfig) -> Tensor:
    """Letterbox pictures to the network's input (C, H, W) in [0, 1], the channels of one after those of the other."""
    channels = [pixels_of(picture, (config.width, config.height)) for picture in inputs]
    return torch.from_numpy(np.concatenate(channels)).float() / 255


def judge(
    model: ViT,
    picture: Image.Image,
    limits: Thresholds = DEFAULT_THRESHOLDS,
    temperature: float = 1.0,
    invalid: Sequence[str] = (),
    gates: Gates | None = None,
    inputs: Sequence[Image.Image] = (),
) -> tuple[PictureVerdict, np.ndarray]:
    """Judge one picture.

    Args:
        model: A trained network in evaluation mode.
        picture: Any size and mode.
        limits: Thresholds of P(NG) = 1 - P(OK).
        temperature: Divides the logits, above 0.
        invalid: Reasons why the picture cannot be judged: see `decision.verdict_of`.
        gates: The run's gates, which may add reasons to `invalid`; None: no gates.
        inputs: Pictures of the size of `picture` that the network gets in its place, such as NSOART; empty: `picture`.

    Returns:
        The verdict and the heat map (h, w) in [0, 1] over the network's patches.
    """
    inputs = inputs or [picture]
    with torch.inference_mode(), watch(model) as seen:
        prediction = model.judged(_pixels(inputs, model.config)[None])
    invalid = [*invalid, *(gates.reasons([inputs[0]], seen.features)[0] if gates else ())]
    peak, heat = _peak(prediction.patch_logits[0], picture, model.config)
    return PictureVerdict(**_said(prediction.logits[0], model.config, limits, temperature, invalid), **peak), heat


def judge_part(
    model: ViT,
    pictures: Mapping[str, Image.Image],
    limits: Thresholds = DEFAULT_THRESHOLDS,
    temperature: float = 1.0,
    invalid: Sequence[str] = (),
    gates: Gates | None = None,
    inputs: Mapping[str, Sequence[Image.Image]] | None = None,
) -> tuple[PartVerdict, dict[str, np.ndarray]]:
    """Judge one part from its views.

    Args:
        model: A network in evaluation mode that was trained on several views.
        pictures: The picture of each of the network's views, in their order; any size and mode.
        limits, temperature: Thresholds of P(NG) = 1 - P(OK), and what divides the logits (above 0).
        invalid: Reasons why the part cannot be judged: see `decision.verdict_of`.
        gates: The run's gates, which may add reasons to `invalid`; None: no gates.
        inputs: By view, the pictures that the network gets in place of the view's picture, of its size, such as NSOART;
            None: the pictures themselves.

    Returns:
        The verdict and each view's heat map (h, w) in [0, 1].
    """
    config, given = model.config, inputs or {view: [picture] for view, picture in pictures.items()}
    with torch.inference_mode(), watch(model) as seen:
        prediction = model.judged(torch.stack([_pixels(given[view], config) for view in pictures])[None])
    if gates is not None:
        found_in = zip(pictures, gates.reasons([given[view][0] for view in pictures], seen.features), strict=True)
        invalid = [*invalid, *(f"{reason} (view {view})" for view, reasons in found_in for reason in reasons)]
    found = {
        view: _peak(patch_logits, picture, config)
        for (view, picture), patch_logits in zip(pictures.items(), prediction.patch_logits[0], strict=True)
    }
    strongest = max(found, key=lambda view: found[view][0]["peak_probability"])
    said = _said(prediction.logits[0], config, limits, temperature, invalid)
    verdict = PartVerdict(**said, peak_view=strongest, **found[strongest][0])
    return verdict, {view: heat for view, (_, heat) in found.items()}


def _heat_on(picture: Image.Image, heat: np.ndarray, config: ViTConfig) -> Image.Image:
    """Return the picture with its heat map (h, w) in [0, 1] drawn over it in red."""
    fit = fit_of(picture.size, (config.width, config.height))
    whole = Image.fromarray((heat * 255).astype(np.uint8)).resize(
        (heat.shape[1] * config.patch_size, heat.shape[0] * config.patch_size), Image.Resampling.BILINEAR
    )
    inside = whole.crop((fit.left, fit.top, fit.left + fit.width, fit.top + fit.height))
    strength = inside.resize(picture.size, Image.Resampling.BILINEAR).point(lambda v: v * 0.75)
    return Image.composite(Image.new("RGB", picture.size, (255, 40, 0)), picture, strength)


def annotate(picture: Image.Image, verdict: PictureVerdict, heat: np.ndarray, model: ViT) -> Image.Image:
    """Draw a sheet: a bar with verdict and class, or reasons; below it the picture, then the picture with its heat map.

    If NG, both have a ring around the most suspicious patch.

    Args:
        picture, model: The picture as opened, and the network.
        verdict, heat: What `judge` returned for it.
    """
    return _sheet({"": picture}, verdict, {"": heat}, model.config, "")


def annotate_part(
    pictures: Mapping[str, Image.Image], verdict: PartVerdict, heats: Mapping[str, np.ndarray], model: ViT
) -> Image.Image:
    """Draw a part's sheet: `pictures` of its views above their heat maps `heats`; if NG, the peak patch is ringed."""
    return _sheet(pictures, verdict, heats, model.config, verdict.peak_view)


def _sheet(
    pictures: Mapping[str, Image.Image],
    verdict: PictureVerdict,
    heats: Mapping[str, np.ndarray],
    config: ViTConfig,
    marked: str,
) -> Image.Image:
    """Draw pictures above their heat maps; if NG, ring the most suspicious patch in the picture of view `marked`."""
    plain, warm = [], []
    for view, picture in pictures.items():
        picture = rgb(picture)
        factor = enlargement(picture.size, SIDE_PX)
        both = [scaled(one, factor) for one in (picture, _heat_on(picture, heats[view], config))]
        if verdict.verdict is Verdict.NG and view == marked:
            x, y = verdict.peak_px
            radius = 1.5 * config.patch_size * both[0].width / config.width
            both = [draw_ring(one, (x * factor, y * factor), radius) for one in both]
        plain.append(Cell(both[0], [view] if view else []))
        warm.append(Cell(both[1]))
    said = (
        f"{verdict.label}  {verdict.confidence:.0%}" if verdict.verdict is Verdict.NG else f"{verdict.confidence:.0%}"
    )
    shown = {Verdict.NG: said, Verdict.OK: said}.get(verdict.verdict, "  ".join(verdict.reasons))
    return under_verdict(grid([plain, warm]), verdict.verdict, shown)
