"""Choose the OK pictures from which a unit space is made: of one size and one part, without copies and outliers.

Limits are set from the scores of the OK pictures, so one bad picture among them widens the limits for all parts, and
copies make the estimated false alarm rate too low. Before the limits are set, these are set aside and reported:

- pictures of another size than most;
- copies: equal up to one grey level, or the same picture saved again as JPEG. A JPEG file contains its quantisation
  table: encoding the original with this table gives the copy again. Two captures of a part that does not move are no
  copies, as their sensor noise differs;
- pictures that do not show the part that most pictures show;
- outliers: by their score (leave-one-out), or by their distance from the median picture; with `inspect --features`
  then also by their score by the features.

If more than a quarter of the pictures stand out, they are taken for a second group of parts, not for outliers: they
are kept, and a warning names them. So are outliers that are found only after ROUNDS rounds, and pictures with high
scores that are no outliers.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from generator.io.pictures import open_picture
from generator.io.wording import some_of
from generator.soart.aligned import greys
from generator.soart.anomaly_degree import box_mean
from generator.soart.estimator import FEWEST, SoartC
from generator.soart.evidence import BLOCK, RESIDUAL_MARGIN, residual
from generator.soart.inspection import as_values
from generator.soart.registration import inside, register, warp

# Copies are sought in the middle of the pictures, px, a multiple of JPEG's blocks.
CROP = 256
# Copies differ by at most this root mean square, grey levels of 255: changes by -1, 0 or 1 give 0.8.
SAME = 1.05
# The same over any square of the pictures, and over the reduced pictures if one was saved as JPEG.
SAME_BLOCK, SAVED_BLOCK = 3.0, 8.0
NEAREST = 3
MOST_OUTLIERS = 0.25
# An outlier's score is above FACTOR (1 + FEW / n) times the median of n pictures, and above SIGMAS robust standard
# deviations of the scores' logs.
FACTOR, FEW, SIGMAS = 3.0, 10, 6.0
# Outliers are set aside in at most so many rounds; each is followed by a new fit to the pictures that are left.
ROUNDS = 3
# A warning names pictures that are no outliers, but above these numbers, in place of FACTOR and SIGMAS. Scores of fewer
# than LEAST_FOR_DOUBT pictures scatter too much for it.
DOUBT_FACTOR, DOUBT_SIGMAS, LEAST_FOR_DOUBT = 2.5, 3.0, 12
# Pictures of two parts: their residuals, at most LARGEST, sorted, have a gap of at least UNLIKE.
UNLIKE, LARGEST = 0.3, 0.6
# Pictures of two lights: residuals differ by this factor. Residuals below LEAST do not count.
LIGHTS, LEAST = 1.7, 0.02
CANDIDATES, COMPARED = 3, 8
SHOWN = 5


@dataclass(frozen=True)
class GoldenPicture:
    """One OK picture, with what is needed to compare it with other OK pictures.

    Attributes:
        path: file of the picture.
        name: its name in messages, different for each picture.
        size: (H, W) of the picture, px.
        small: (h, w[, C]) floats in [0, 1], the picture reduced for the unit space.
        middle: 8-bit grey cut-out of the picture's middle, at most 256 x 256 px, by which copies are found.
        table: luminance quantisation table of a JPEG file; None for other files.
    """

    path: Path
    name: str
    size: tuple[int, int]
    small: np.ndarray
    middle: np.ndarray
    table: tuple[int, ...] | None


@dataclass
class Golden:
    """The OK pictures of a unit space.

    Attributes:
        kept: the pictures that are used.
        set_aside: reason why a picture is not used, by the picture's name.
        copies: name of the original, by the name of its copy.
        warnings: sentences for the user about doubtful pictures.
    """

    kept: list[GoldenPicture]
    set_aside: dict[str, str] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return lines for the user: OK pictures set aside, with reasons; OK pictures that are copies; `warnings`."""
        said = [f"OK picture {name} is set aside: {reason}" for name, reason in self.set_aside.items()]
        if self.copies:
            copies = [f"{copy} (copy of {original})" for copy, original in self.copies.items()]
            said.append(f"copies among the OK pictures count once: {some_of(copies)}")
        return [*said, *self.warnings]

    def to_json(self) -> dict[str, object]:
        """Return, for the saved unit space, `pictures` (number of `kept`) and attributes `set_aside` and `copies`."""
        return {"pictures": len(self.kept), "set_aside": self.set_aside, "copies": self.copies}


def read_golden(
    path: Path,
    model: SoartC,
    colour: bool = False,
    name: str | None = None,
    read: Callable[[bytes, str], Image.Image] = open_picture,
) -> GoldenPicture:
    """Read an OK picture, and reduce it for a unit space.

    Args:
        path: file of the picture.
        model: the model that will be fitted; its settings give the reduced size.
        colour: whether red, green and blue are compared separately; else grey values.
        name: the picture's name in messages; None: its file name.
        read: returns the picture, given the bytes of the file and its name in messages.

    Raises:
        InputError: the file is damaged or not a picture.
    """
    content = path.read_bytes()
    picture = read(content, str(path))
    values = as_values(picture, colour)
    grey = np.asarray(picture.convert("L"))
    top, left = (max(0, side - CROP) // 2 // 16 * 16 for side in grey.shape)
    middle = grey[top : top + CROP, left : left + CROP].copy()
    size = grey.shape[0], grey.shape[1]
    return GoldenPicture(path, name or path.name, size, model.reduced(values), middle, _table(content))


def choose(pictures: Sequence[GoldenPicture], model: SoartC, keep_outliers: bool = False) -> Golden:
    """Choose OK pictures for a unit space, and fit the model to them; returns the chosen, the refused, and warnings.

    Args:
        pictures: all OK pictures.
        model: the model; it is fitted to the chosen pictures.
        keep_outliers: whether outliers are used, with a warning, instead of set aside.

    Raises:
        ValueError: fewer than 3 different pictures, or several sizes or parts without a clear majority.
    """
    golden = Golden(list(pictures))
    golden.kept = _different(_of_one_size(pictures, golden.set_aside), golden.copies)
    if len(golden.kept) < FEWEST:
        copies = f", not counting copies ({len(golden.copies)})" if golden.copies else ""
        raise ValueError(f"expected at least {FEWEST} different OK pictures, got {len(golden.kept)}{copies}")
    first, misfits = _misfits(golden.kept, model)
    unlike = _above_gap(np.minimum(misfits, LARGEST))
    is_two_parts = unlike.sum() > _most(len(unlike))
    if is_two_parts and not keep_outliers:
        names = [one.name for one, is_unlike in zip(golden.kept, unlike, strict=True) if is_unlike]
        raise ValueError(
            f"expected OK pictures of one type of part in the same light, got {len(names)} of {len(unlike)} that do "
            f"not look like {first.name}: {_some(names)}; move them to another folder, or give --keep-outliers"
        )
    if is_two_parts:
        _warn_of_many(golden, unlike, f"do not look like {first.name}", "as --keep-outliers is given")
    elif not _drop(golden, unlike, "it does not show the same part as the other OK pictures", keep_outliers):
        _warn_of_groups(golden, misfits, model)
    golden.kept.sort(key=lambda one: one is not first)  # the first picture is the one that the others are aligned with
    model.fit(one.small for one in golden.kept)
    _drop_in_rounds(golden, model, keep_outliers, lambda: None)
    if model.evidence_.residual - RESIDUAL_MARGIN > LARGEST:
        golden.warnings.append(
            f"warning: the OK pictures differ much from each other after alignment (misfit up to "
            f"{model.evidence_.residual - RESIDUAL_MARGIN:.2f}; 0 is a full match), so a bad or a wrong part may be "
            "judged OK; take sharp pictures with the part in nearly the same place, or raise --rotation"
        )
    return golden


def warn_of_doubtful(golden: Golden, scores: np.ndarray) -> None:
    """Warn of pictures with high scores that are no outliers: they may be defective, as they may be good.

    Args:
        golden: what `choose` returned; its warnings are added to.
        scores: (n,) the scores of the model that `choose` fitted. Those of a second stage were not tried.
    """
    logs = np.log(np.maximum(scores / np.median(scores), 1e-12))
    doubtful = logs > max(math.log(DOUBT_FACTOR), DOUBT_SIGMAS * _sigma(logs))
    if len(scores) < LEAST_FOR_DOUBT or not doubtful.any() or golden.warnings:  # those name pictures that stand out
        return
    names = [one.name for one, is_one in zip(golden.kept, doubtful, strict=True) if is_one]
    golden.warnings.append(
        f"warning: {len(names)} of {len(scores)} OK pictures have high scores ({_some(names)}), up to "
        f"{np.exp(logs.max()):.1f} times the median, but are no outliers; where they are used, defects with such "
        "scores are judged OK; move those that are not OK to another folder"
    )


def choose_by_features(golden: Golden, model: SoartC, keep_outliers: bool, fit_stage: Callable[[], object]) -> None:
    """Set outliers by the scores of a second stage aside, by the rule of `choose`, and fit model and stage to the rest.

    Args:
        golden: what `choose` returned; changed.
        model: the model, fitted by `choose`.
        keep_outliers: whether outliers are used, with a warning, instead of set aside.
        fit_stage: fits the second stage to the fitted model, and sets the model's scores.

    Raises:
        ValueError: as `fit_stage`.
    """
    fit_stage()
    _drop_in_rounds(golden, model, keep_outliers, fit_stage)


def _drop_in_rounds(golden: Golden, model: SoartC, keep: bool, fit_stage: Callable[[], object]) -> None:
    """Set outliers aside in at most ROUNDS rounds; after each, fit the model, then its second stage, to the rest."""
    for _ in range(ROUNDS):
        if not _drop_outliers(golden, model, keep):
            break
        model.fit(one.small for one in golden.kept)
        fit_stage()
    else:
        _drop_outliers(golden, model, keep=True)


def _drop_outliers(golden: Golden, model: SoartC, keep: bool) -> bool:
    """Set outliers aside; return whether the unit space has to be fitted again."""
    many = np.zeros(len(golden.kept), dtype=bool)
    by_features = model.second_stage is not None  # then `choose` has compared the pictures themselves before
    what = " in features" if by_features else ""
    for scores in (model.scores_,) if by_features else (model.scores_, _distances(greys(model.members_))):
        bad = _stand_out(scores)
        reason = f"its difference{what} from the other OK pictures is {{}} times the median difference"
        if _drop(golden, bad, reason, keep, np.round(scores / np.median(scores), 1)):
            return True
        many |= bad & (bad.sum() > _most(len(bad)))
    _warn_of_many(golden, many, f"differ much{what} from the others")
    return False


def _warn_of_many(golden: Golden, many: np.ndarray, how: str, why: str = "as they are more than a quarter") -> None:
    """Warn of pictures that stand out, marked in `many`, and are kept; `how` they do, and `why` they are kept."""
    if not many.any():
        return
    names = [one.name for one, is_one in zip(golden.kept, many, strict=True) if is_one]
    golden.warnings.append(
        f"warning: {len(names)} of {len(many)} OK pictures {how}: {_some(names)}; {why}, they are "
        "kept, and the limits may be wide; move those that are not OK to another folder"
    )


def _warn_of_groups(golden: Golden, misfits: np.ndarray, model: SoartC) -> None:
    """Warn if the pictures form two groups, neither of them a few outliers; `misfits`: residuals with one of them."""
    near = np.maximum(misfits, LEAST)
    if np.quantile(near, 0.9) < LIGHTS * np.quantile(near, 0.1):
        return
    distant = golden.kept[int(np.abs(near - np.quantile(near, 0.9)).argmin())]
    far = np.maximum([_misfit(_flat(one.small), _flat(distant.small), model) for one in golden.kept], LEAST)
    others = far < near
    few = _most(len(others))
    if few < others.sum() < len(others) - few and np.median(np.maximum(near, far) / np.minimum(near, far)) >= LIGHTS:
        names = [one.name for one, is_other in zip(golden.kept, others, strict=True) if is_other]
        golden.warnings.append(
            f"warning: the OK pictures form two groups, as under two lights: {len(names)} of {len(others)} are like "
            f"{distant.name} ({_some(names)}); the limits include both groups, so they are wide"
        )


def _above_gap(values: np.ndarray) -> np.ndarray:
    """Mark the values above the widest gap between neighbours, if it is at least UNLIKE wide."""
    ordered = np.sort(values)
    gaps = np.diff(ordered)
    if not gaps.size or gaps.max() < UNLIKE:
        return np.zeros(len(values), dtype=bool)
    above: np.ndarray = values > ordered[int(gaps.argmax())]
    return above


def _drop(golden: Golden, bad: np.ndarray, reason: str, keep: bool, numbers: np.ndarray | None = None) -> bool:
    """Set the marked pictures aside, if they are few enough; return whether any was."""
    if not bad.any() or bad.sum() > _most(len(bad)):
        return False
    named = {
        one.name: reason.format(numbers[n] if numbers is not None else "")
        for n, one in enumerate(golden.kept)
        if bad[n]
    }
    if keep:
        golden.warnings += [f"warning: OK picture {name}: {text}; kept" for name, text in named.items()]
        return False
    golden.set_aside |= named
    golden.kept = [one for one, is_bad in zip(golden.kept, bad, strict=True) if not is_bad]
    return True


def _most(count: int) -> int:
    return int(MOST_OUTLIERS * count)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _of_one_size(pictures: Sequence[GoldenPicture], set_aside: dict[str, str]) -> list[GoldenPicture]:
    """Return the pictures of the most frequent size; the few others are added to `set_aside`."""
    sizes = Counter(one.size for one in pictures)
    if not sizes:
        return []
    size, count = sizes.most_common(1)[0]
    if len(pictures) - count > _most(len(pictures)):
        raise ValueError(f"expected OK pictures of one size, got {', '.join(f'{w} x {h} px' for h, w in sizes)}")
    height, width = size
    for one in pictures:
        if one.size != size:
            set_aside[one.name] = (
                f"its size is {one.size[1]} x {one.size[0]} px, most OK pictures have {width} x {height} px"
            )
    return [one for one in pictures if one.size == size]


def _different(pictures: Sequence[GoldenPicture], copies: dict[str, str]) -> list[GoldenPicture]:
    """Return the pictures without copies; name of copy and original are added to `copies`."""
    kept: list[GoldenPicture] = []
    middles = np.empty((len(pictures), *(pictures[0].middle.shape if pictures else (0,))), dtype=np.uint8)
    for one in pictures:
        apart = np.array([_rms(one.middle, other) for other in middles[: len(kept)]])
        nearest = [kept[n] for n in np.argsort(apart, kind="stable")[:NEAREST]]
        original = next((other for other in nearest if _is_copy(one, other)), None)
        if original is None:
            middles[len(kept)] = one.middle
            kept.append(one)
        else:
            copies[one.name] = original.name
    return kept


def _is_copy(one: GoldenPicture, other: GoldenPicture) -> bool:
    tables = (one.table, other.table)
    apart = 255 * (one.small - other.small).reshape(*one.small.shape[:2], -1).mean(axis=2)
    if max(one.size) > CROP and _largest_block(apart) > (SAME_BLOCK if tables == (None, None) else SAVED_BLOCK):
        return False  # they differ outside their middles
    if _is_same(one.middle, other.middle):
        return True
    return any(
        table is not None and _rms(_encoded(source.middle, table), target.middle) <= SAME
        for source, target, table in ((one, other, other.table), (other, one, one.table))
    )


def _is_same(one: np.ndarray, other: np.ndarray) -> bool:
    return _rms(one, other) <= SAME and _largest_block(one.astype(np.float32) - other) <= SAME_BLOCK


def _largest_block(apart: np.ndarray) -> float:
    """Compute the largest root mean square of a difference (h, w) over squares of BLOCK + 1 px."""
    return float(np.sqrt(box_mean(np.square(apart, dtype=np.float64)[None], BLOCK // 2).max()))


def _rms(one: np.ndarray, other: np.ndarray) -> float:
    """Root mean square difference of two pictures in grey levels, without a common shift of up to 1.5."""
    apart = one.astype(np.float32) - other
    shift = min(max(float(apart.mean()), -1.5), 1.5)
    return float(np.sqrt(np.square(apart - shift).mean()))


def _table(content: bytes) -> tuple[int, ...] | None:
    with Image.open(io.BytesIO(content)) as picture:
        tables = getattr(picture, "quantization", None)
        try:
            is_turned = picture.getexif().get(ExifTags.Base.Orientation, 1) != 1
        except Exception:  # damaged EXIF data may raise anything
            is_turned = True
    return tuple(tables[0]) if tables and not is_turned else None


def _encoded(grey: np.ndarray, table: tuple[int, ...]) -> np.ndarray:
    """Encode and decode a grey picture as JPEG with this quantisation table."""
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "JPEG", qtables=[list(table)])
    return np.asarray(Image.open(file))


def _misfits(pictures: Sequence[GoldenPicture], model: SoartC) -> tuple[GoldenPicture, np.ndarray]:
    """Find the picture that most others look like; return it and the residual of each picture with it, (n,)."""
    grey = [_flat(one.small) for one in pictures]
    drawn, compared = (
        np.unique(np.linspace(0, len(grey) - 1, min(most, len(grey))).round().astype(int))
        for most in (CANDIDATES, COMPARED)
    )
    medians = [np.median([_misfit(grey[n], grey[c], model) for n in compared if n != c]) for c in drawn]
    first = int(drawn[int(np.argmin(medians))])
    return pictures[first], np.array([_misfit(one, grey[first], model) for one in grey])


def _flat(picture: np.ndarray) -> np.ndarray:
    grey: np.ndarray = greys(picture[None])[0]
    return grey


def _misfit(picture: np.ndarray, reference: np.ndarray, model: SoartC) -> float:
    pose = register(picture, reference, max(model.settings["rotation_deg"], 0.0), model.settings["scaling"])
    aligned = warp(picture, pose, (reference.shape[0], reference.shape[1]), reference)
    return residual(aligned, inside(pose, (reference.shape[0], reference.shape[1]), picture.shape[:2]), reference)


def _stand_out(scores: np.ndarray) -> np.ndarray:
    """Mark the scores (n,) that are outliers."""
    logs = np.log(np.maximum(scores, 1e-12))
    limit = max(float(np.log(FACTOR * (1 + FEW / len(scores)))), SIGMAS * _sigma(logs))
    found: np.ndarray = logs - np.median(logs) > limit
    return found


def _sigma(values: np.ndarray) -> float:
    """Robust standard deviation: from the median distance from the median."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _distances(members: np.ndarray) -> np.ndarray:
    """Compute the largest distance of each aligned picture (n, h, w) from the median picture, over its usual size."""
    away = np.abs(members - np.median(members, axis=0))
    away = np.stack([box_mean(one[None], 1)[0] for one in away])
    usual = np.median(away, axis=0)
    distances: np.ndarray = (away / (usual + np.median(usual) + 2 / 255)).max(axis=(1, 2))
    return distances
