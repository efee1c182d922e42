"""One fixed change of all pictures of a view, by which photographs of a station get the statistics of training renders.

The change is fitted once, to many photographs together, and is then the same for every picture. It is not fitted to
each picture anew: that would hide a lamp that fails, and part of the contrast of a defect. Four kinds, each with all of
the one before:

- `smooth`: a blur by a normal distribution, if photographs have more noise than renders, after which both have the same
  fine structure. Photographs that are more blurred stay as they are: nothing brings back what a blur has removed;
- `gain`: a factor on red, green and blue in linear light, as by exposure and white balance: means become equal;
- `tone`: a rising curve for each of red, green and blue, by which the quantiles of the values become equal;
- `fda`: a factor for each low spatial frequency, by which the mean amplitudes become equal, as by a shading of the
  light. It is the low-frequency amplitude of Fourier domain adaptation (Yang and Soatto 2020), as one fixed filter.

A blur is as wide a share of every picture's width as of the pictures it was fitted to. Burnt-out pixels stay white in a
picture with more of them than the photographs: a change that darkens would hide from the gates that it is burnt out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from generator.io.srgb import coded, linear
from generator.verdict.appearance import grey_values
from generator.verdict.measures import BURNT, MEASURE_NAMES, MEASURES, measures_of

NONE, SMOOTH, GAIN, TONE, FDA = KINDS = ("none", "smooth", "gain", "tone", "fda")
# Shares at which quantiles are compared.
_SHARES = np.linspace(0.005, 0.995, 67)
# Frequencies up to this many periods per picture are changed by `fda`.
_REACH = 3
# Limits of a curve's slope and of the factor on a frequency's amplitude: beyond them noise would be amplified, or
# structure removed.
_STEEPEST, _FLATTEST, _FACTORS = 4.0, 0.25, (0.5, 2.0)
# Standard deviations of the blur that are tried, px; less than the least noise that counts, in log of fine structure.
_BLURS, _NOISY = np.arange(0.2, 1.01, 0.05), 0.1
_FINE = [MEASURE_NAMES.index("fine_across"), MEASURE_NAMES.index("fine_down")]
_VALUES = np.arange(256.0)


@dataclass(frozen=True)
class PictureStatistics:
    """Means over some pictures of one view.

    Attributes:
        light: (3,) mean linear light of red, green and blue, 0 to 1.
        quantiles: (3, 67) mean quantiles of the coded values of red, green and blue, 0 to 255.
        amplitudes: (3, 7, 7) mean amplitudes of the frequencies -3 to 3 periods per picture, down and across.
        fine: fine structure, across and down together: see `generator.verdict.measures`.
    """

    light: np.ndarray
    quantiles: np.ndarray
    amplitudes: np.ndarray
    fine: float

    @classmethod
    def of(cls, pictures: Sequence[np.ndarray]) -> "PictureStatistics":
        """Compute the means over pictures (H, W, 3) uint8; at least one."""
        light = np.mean([linear(each).mean(axis=(0, 1)) for each in pictures], axis=0)
        quantiles = np.mean([np.quantile(each.reshape(-1, 3), _SHARES, axis=0).T for each in pictures], axis=0)
        return cls(light, quantiles, np.mean([_amplitudes(each) for each in pictures], axis=0), _fine(pictures))

    def distance(self, other: "PictureStatistics") -> float:
        """Return the root mean square difference of the quantiles of two groups of pictures, grey values 0 to 255."""
        return float(np.sqrt(np.square(self.quantiles - other.quantiles).mean()))


def _fine(pictures: Sequence[np.ndarray]) -> float:
    return float(np.median([measures_of(Image.fromarray(each))[_FINE].mean() for each in pictures]))


def _amplitudes(picture: np.ndarray) -> np.ndarray:
    """Amplitudes (3, 7, 7) of the low frequencies of a picture (H, W, 3), per pixel."""
    found = np.abs(np.fft.fft2(np.asarray(picture, float), axes=(0, 1))) / (picture.shape[0] * picture.shape[1])
    steps = np.arange(-_REACH, _REACH + 1)
    low: np.ndarray = np.moveaxis(found[np.ix_(steps, steps)], 2, 0)
    return low


@dataclass(frozen=True)
class PictureTransform:
    """A fixed change of a view's pictures.

    Attributes:
        kind: `none`, `smooth`, `gain`, `tone` or `fda`.
        blur_px: standard deviation of the blur, which comes first, px in a picture of `width`; 0: none.
        curves: (3, 256) new value of each coded value of red, green and blue, 0 to 255; never falling.
        factors: (3, 7, 7) factors on the amplitudes of the frequencies -3 to 3 periods per picture; None: no filter.
        width: width of the photographs of the fit, px; 0: that of every picture.
        burnt: largest square root of the share of burnt-out pixels in a photograph of the fit.
    """

    kind: str
    curves: np.ndarray
    factors: np.ndarray | None = None
    blur_px: float = 0.0
    width: int = 0
    burnt: float = 1.0

    @classmethod
    def fit(cls, kind: str, photographs: Sequence[np.ndarray], target: PictureStatistics) -> "PictureTransform":
        """Fit the change that gives photographs the statistics of other pictures.

        Args:
            kind: `none`, `smooth`, `gain`, `tone` or `fda`.
            photographs: pictures (H, W, 3) uint8 of one view.
            target: statistics of the pictures that they shall resemble.
        """
        found = cls._fitted(kind, photographs, target)
        width = int(np.median([each.shape[1] for each in photographs]))
        return replace(found, width=width, burnt=max(_burnt(each) for each in photographs))

    @classmethod
    def _fitted(cls, kind: str, photographs: Sequence[np.ndarray], target: PictureStatistics) -> "PictureTransform":
        same = np.tile(_VALUES, (3, 1))
        if kind == NONE:
            return cls(NONE, same)
        blur = _blur(photographs, target.fine)
        photographs = [_smoothed(each, blur) for each in photographs]
        if kind == SMOOTH:
            return cls(SMOOTH, same, blur_px=blur)
        own = PictureStatistics.of(photographs)
        if kind == GAIN:
            gains = target.light / np.maximum(own.light, 1e-6)
            curves = np.stack([coded(np.minimum(gain * linear(_VALUES), 1.0)) for gain in gains])
            return cls(GAIN, curves, blur_px=blur)
        curves = np.stack([_curve(*each) for each in zip(own.quantiles, target.quantiles, strict=True)])
        found = cls(TONE, curves, blur_px=blur)
        if kind == TONE:
            return found
        now = np.mean([_amplitudes(cls(TONE, curves).pixels(each)) for each in photographs], axis=0)
        factors = np.clip(target.amplitudes / np.maximum(now, 1e-6), *_FACTORS)
        factors[:, _REACH, _REACH] = 1.0  # the mean, which the curves have set
        return replace(found, kind=FDA, factors=factors)

    def pixels(self, picture: np.ndarray) -> np.ndarray:
        """Return the changed pixels of a picture (H, W, 3) uint8."""
        if self.kind == NONE:
            return picture
        shown, ratio = picture, picture.shape[1] / self.width if self.width else 1.0
        picture = _smoothed(picture, self.blur_px * ratio)
        changed = np.stack([curve[picture[..., index]] for index, curve in enumerate(self.curves)], axis=2)
        if self.factors is not None:
            steps = np.arange(-_REACH, _REACH + 1)
            spectrum = np.fft.fft2(changed, axes=(0, 1))
            spectrum[np.ix_(steps, steps)] *= np.moveaxis(self.factors, 0, 2)
            changed = np.fft.ifft2(spectrum, axes=(0, 1)).real
        if _burnt(shown, self.width) > self.burnt + MEASURES["burnt"].least:
            changed[_grey(shown) >= BURNT] = 255.0
        found: np.ndarray = np.rint(np.clip(changed, 0.0, 255.0)).astype(np.uint8)
        return found

    def apply(self, picture: Image.Image) -> Image.Image:
        """Return the changed picture, mode RGB; with `none`, the picture itself."""
        return picture if self.kind == NONE else Image.fromarray(self.pixels(np.asarray(picture.convert("RGB"))))

    def to_json(self) -> dict[str, Any]:
        """Return the change as a JSON object."""
        factors = None if self.factors is None else np.round(self.factors, 5).tolist()
        return {
            "kind": self.kind,
            "blur_px": round(self.blur_px, 3),
            "width": self.width,
            "burnt": round(self.burnt, 4),
            "curves": np.round(self.curves, 2).tolist(),
            "factors": factors,
        }

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> "PictureTransform":
        """Read what `to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: `held` is not such an object.
        """
        curves = np.array(held["curves"], float)
        factors = None if held["factors"] is None else np.array(held["factors"], float)
        side = 2 * _REACH + 1
        if held["kind"] not in KINDS or curves.shape != (3, 256) or (curves[:, 1:] < curves[:, :-1]).any():
            raise ValueError("expected a kind of change and three curves of 256 values that never fall")
        if factors is not None and factors.shape != (3, side, side):
            raise ValueError(f"expected 3 x {side} x {side} factors, got {factors.shape}")
        if not 0.0 <= float(held["blur_px"]) <= _BLURS[-1] + 1e-6:
            raise ValueError(f"expected a blur of 0 to 1 px, got {held['blur_px']}")
        width, burnt = int(held["width"]), float(held["burnt"])
        if width < 0 or not 0.0 <= burnt <= 1.0:
            raise ValueError(f"expected a width in px and a share of burnt-out pixels, got {width} and {burnt}")
        return cls(str(held["kind"]), curves, factors, float(held["blur_px"]), width, burnt)


def _grey(picture: np.ndarray, width: int = 0) -> np.ndarray:
    """Grey values, 0 to 1, of a picture (H, W, 3), reduced to a width in px if it is wider; 0: never."""
    height, own = picture.shape[:2]
    size = (width, max(1, round(height * width / own))) if 0 < width < own else None
    return grey_values(Image.fromarray(picture), size)


def _burnt(picture: np.ndarray, width: int = 0) -> float:
    """The measure `burnt` of a picture (H, W, 3), reduced to a width in px."""
    return float(np.sqrt((_grey(picture, width) >= BURNT).mean()))


def _blur(photographs: Sequence[np.ndarray], fine: float) -> float:
    """The least blur, px, after which photographs have no more fine structure than `fine`; 0: they have no more now."""
    if _fine(photographs) <= fine + _NOISY:
        return 0.0
    found = (float(each) for each in _BLURS if _fine([_smoothed(one, each) for one in photographs]) <= fine)
    return next(found, float(_BLURS[-1]))


def _smoothed(picture: np.ndarray, blur_px: float) -> np.ndarray:
    if not blur_px:
        return picture
    from scipy.ndimage import gaussian_filter  # slow to import; predictions of most runs do not need it

    smooth: np.ndarray = gaussian_filter(picture.astype(np.float32), (blur_px, blur_px, 0.0), mode="nearest")
    return np.rint(smooth).astype(np.uint8)


def _curve(own: np.ndarray, target: np.ndarray) -> np.ndarray:
    """A curve (256,) from 0 to 255 through the quantiles (67,), with a slope of 0.25 to 4.

    Beyond the darkest and the brightest quantile it is a straight line to 0 and to 255.
    """
    known, first = np.unique(np.round(own, 3), return_index=True)
    values = np.interp(_VALUES, [-1.0, *known, 256.0], [0.0, *target[first], 255.0])
    steps = np.clip(np.diff(values), _FLATTEST, _STEEPEST)
    # Limited steps add up from the middle, so that neither end of the curve takes all of the difference.
    middle = int(np.clip(np.rint(np.median(own)), 1, 254))
    least, most = _FLATTEST * middle, 255.0 - _FLATTEST * (255 - middle)
    value = float(np.clip(values[middle], least, most))
    below = value - np.cumsum(_within(steps[:middle], value)[::-1])[::-1]
    above = value + np.cumsum(_within(steps[middle:], 255.0 - value))
    curve: np.ndarray = np.clip(np.concatenate([below, [value], above]), 0.0, 255.0)
    return np.maximum.accumulate(curve)


def _within(steps: np.ndarray, room: float) -> np.ndarray:
    """Steps of a curve whose sum is at most `room`, which allows a slope of 0.25."""
    more = steps - _FLATTEST
    left = room - _FLATTEST * len(steps)
    return _FLATTEST + more * min(1.0, left / max(float(more.sum()), 1e-9))
