"""SOARTC: how anomalous each window of a picture is, as its distance from the unit space of OK parts.

A unit space, in the Mahalanobis-Taguchi system, is the group of OK parts that defines the unit of distance; its members
are pictures of OK parts. A picture is judged in two stages:

1. SOART3 compares each window (its pixels or its row-Gram matrix) with a reference, which gives three numbers:
   log_beta, log_yita, log_gamma. The reference is the window of the unit space's mean picture at the same position
   ("golden"), or the mean window of the picture itself ("self").
2. The anomaly degree of a window is the Mahalanobis distance of its three numbers from those of the members at that
   position.

Before stage 1, a picture is reduced so that its longer side has at most `grid` windows, aligned with the unit space's
mean picture (`generator.soart.registration`), and scaled to the mean picture's brightness.

    model = SoartC(window=16, grid=250).fit(ok_pictures)         # (H, W) floats in [0, 1]
    model.anomaly(picture)                                        # (H, W) float32; about 1 for OK parts
    model.threshold.promise                                       # a sentence on the expected rate of false alarms
    model.save("unit_space.npz"); SoartC.load("unit_space.npz")
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from generator.soart.aligned import by_channel, grey, greys, moved
from generator.soart.anomaly_degree import distance
from generator.soart.evidence import Evidence, Turned, evidence, limits_of, turned_copies
from generator.soart.limits import ScoreLimit, score_limit
from generator.soart.pin_alignment import Part, shift_of_pins, shifts_of_pins
from generator.soart.pins import PRINT, Pin, as_box, parts_of
from generator.soart.registration import Placed, Pose, fewest_px, inside, register, resized
from generator.soart.saved_space import PIN_SHIFT, POSITIONS, UNNOTICED_PINS, read_saved
from generator.soart.soart3_maps import size_of, soart3_map
from generator.soart.unit_space import UnitSpace

SCHEMA = 1
FEWEST = 3
# Up to this many members, leave-one-out refits the whole unit space. With more, a single member changes the others'
# reference by less than the interval can resolve.
REFIT = 12
EXTRA = "extra_"  # begins the names of further arrays in a saved file
ROUNDS = 2
LEVELS = 65535  # grey levels of the OK pictures in a saved file
GOLDEN, SELF = "golden", "self"


class Registered(NamedTuple):
    """The alignment of OK pictures, as a whole, with their median.

    Attributes:
        poses: the alignment of each reduced picture.
        against: (h, w[, C]) the median with which they were aligned.
        shape: (H, W[, C]) of each picture before it was reduced.
    """

    poses: list[Pose]
    against: np.ndarray
    shape: tuple[int, ...]


class PictureResult(NamedTuple):
    """All results of SOARTC for one picture.

    Attributes:
        anomaly: (H, W) float32, the anomaly degree of each pixel of the given picture.
        seen: (h, w[, C]) the picture, reduced, matched in brightness and aligned with the unit space's mean picture.
        maps: (K, gh, gw) the SOART3 maps of `seen` (stage 1), K = 3 per channel.
        degrees: (h, w) the anomaly degree of each pixel of `seen`; the largest is the picture's score.
        placed: alignment of the picture with the unit space's mean picture.
        evidence: how well the picture shows the part.
    """

    anomaly: np.ndarray
    seen: np.ndarray
    maps: np.ndarray
    degrees: np.ndarray
    placed: Placed
    evidence: Evidence


class SecondStage(Protocol):
    """Another second stage than the one on SOART3 (`generator.soart.feature_stage`)."""

    def degrees(self, seen: np.ndarray) -> np.ndarray:
        """Compute the degree of each pixel of an aligned picture: (h, w[, C]) to (h, w), about 1 for OK parts."""


class SoartC:
    """SOARTC, an estimator of how anomalous a picture is; used like scikit-learn's estimators.

    A picture is reduced until at most `grid` windows fit along its longer side. Stage 1 compares each window with a
    reference by three numbers (maps of SOART3). Stage 2 measures how far these numbers lie from those of the *unit
    space*, which is the set of OK pictures.

    Args:
        window: side of the windows, px of the reduced picture.
        grid: largest number of windows along the reduced picture's longer side; 100 suits a small computer.
        similarity: "gram" (S = A A^T of each window A) or "pixels".
        reference: "golden" (the unit space's mean picture) or "self" (the picture's own mean window).
        rotation_deg: largest rotation that registration searches, degrees either way; 0: no rotation; negative: no
            registration.
        scaling: largest relative deviation of a part's size in the picture, as its distance varies; 0: not fitted.
        gain: whether the brightness of a picture is matched to the unit space before stage 1.
        tolerance: displacement of an edge, px of the reduced picture, that does not count as an anomaly.
        noise: standard deviation of sensor noise (grey values 0 to 1) that a picture may have beyond the OK pictures'.
        shrinkage: least weight, 0 to 1, of the prior (`unit_space`) in each window's covariance; more for few members.
        neighbourhood: number of windows on each side of a window whose covariances are averaged with its own.
        above: number of OK pictures whose score may be above `threshold`.

    Attributes:
        reference_: (h, w[, C]) the unit space's mean picture.
        mean_, precision_: (K, gh, gw) and (K (K + 1) / 2, gh, gw) for gh x gw windows: mean and inverse covariance
            (upper triangle) of the OK pictures' stage 1 maps; K = 3 per colour channel.
        threshold: `threshold.value` is the limit of a picture's `score`, set from `scores_`.
        scores_: (n,) the score of each OK picture by a unit space made without it (leave-one-out).
        members_: (n, h, w[, C]) the OK pictures aligned with each other, rounded to 16 bits.
        core_: (h, w) bool, the pixels of the mean picture that lie in every OK picture.
        evidence_: limits beyond which a picture does not show the part well enough to be judged.
        second_stage: computes the degrees in place of the distance of SOART3's values; None: this distance is used.
        lacks: what a file saved by an older version does not contain; empty for a fitted model.
        notes, extras: further JSON values and arrays that are saved with the model, such as the boxes of pins and the
            limits of picture quality (gates) of `inspect`.
    """

    def __init__(
        self,
        window: int = 16,
        grid: int = 250,
        similarity: str = "pixels",
        reference: str = GOLDEN,
        rotation_deg: float = 3.0,
        scaling: float = 0.03,
        gain: bool = True,
        tolerance: float = 0.25,
        noise: float = 2 / 255,
        shrinkage: float = 0.1,
        neighbourhood: int = 2,
        above: int = 0,
    ) -> None:
        if reference not in (GOLDEN, SELF):
            raise ValueError(f"reference must be golden or self, got {reference!r}")
        self.notes: dict[str, Any] = {}
        self.extras: dict[str, np.ndarray] = {}
        self.lacks: tuple[str, ...] = ()
        self.second_stage: SecondStage | None = None
        self._registered: Registered | None = None
        self.settings: dict[str, Any] = {
            "window": window,
            "grid": grid,
            "similarity": similarity,
            "reference": reference,
            "rotation_deg": rotation_deg,
            "scaling": scaling,
            "gain": gain,
            "tolerance": tolerance,
            "noise": noise,
            "shrinkage": shrinkage,
            "neighbourhood": neighbourhood,
            "above": above,
        }

    def fit(self, images: Iterable[np.ndarray], pins: Sequence[Pin] = (), again: bool = False) -> SoartC:
        """Make the unit space from pictures of OK parts; returns this model.

        Args:
            images: at least 3 pictures, (H, W) grey or (H, W, C) colour, floats in [0, 1], all of one shape. They are
                read once, and only reduced copies are kept.
            pins: pins on which pictures are aligned, in px of the mean picture of a fit to the same pictures without
                pins; empty: pictures are aligned as a whole.
            again: whether the last fit was to the same pictures in the same order; their alignment as a whole is kept,
                which gives the same result sooner.

        Raises:
            ValueError: too few pictures, different shapes, values that are no floats in [0, 1], pictures that,
                reduced, are smaller than a window, or the box of a pin outside the mean picture; with `again`, no last
                fit, or another number or size of pictures.
        """
        small, shapes = [], dict[tuple[int, ...], int]()
        for number, image in enumerate(images, 1):
            small.append(self.reduced(image))
            shapes.setdefault(np.shape(image), number)
        if len(small) < FEWEST:
            raise ValueError(f"expected at least {FEWEST} OK pictures, got {len(small)}")
        if len(shapes) > 1:
            found = ", ".join(f"{size_of(shape)} (picture {number})" for shape, number in shapes.items())
            raise ValueError(f"expected OK pictures of one size, got {found}")
        self._registered = self._same(len(small), *shapes) if again else self._aligned(small, *shapes)
        poses = self._registered.poses
        members, reference = self._put_together(small, poses, self._registered.against)
        self.notes.pop(UNNOTICED_PINS, None)  # found with an earlier unit space
        self.notes |= {POSITIONS: [[pin.address, *pin.box] for pin in pins], PIN_SHIFT: 0.0}
        if (parts := self._pin_parts(reference.shape)) and self.settings["rotation_deg"] >= 0:
            shifts, self.notes[PIN_SHIFT] = shifts_of_pins(greys(members), parts)
            poses = [pose.shifted(shift) for pose, shift in zip(poses, shifts, strict=True)]
            members, reference = self._put_together(small, poses, reference)
        # Rounded as in the saved file, so that this judges as the loaded model does.
        self.members_ = members = (np.round(LEVELS * members) / LEVELS).astype(np.float32)
        shape = reference.shape[:2]
        space = self._fit_members(members)
        self._fit_evidence(np.stack([inside(p, shape, one.shape[:2]) for one, p in zip(small, poses, strict=True)]))
        self.scores_ = self._leave_one_out(members, space)
        self.threshold = score_limit(self.scores_, min(self.settings["above"], len(members) - 1))
        return self

    def transform(self, image: np.ndarray) -> np.ndarray:
        """Align a picture with the unit space, and compute its SOART3 maps (K, gh, gw); K = 3 per channel."""
        return self._maps(self.registered(image), self.reference_)

    def registered(self, image: np.ndarray) -> np.ndarray:
        """Return a picture ready for stage 1, (h, w[, C]) float32: reduced, aligned and matched in brightness."""
        picture = self.reduced(image)
        return self._moved(picture, self._placed(np.shape(image), picture).pose, self.reference_)

    def degrees(self, image: np.ndarray) -> np.ndarray:
        """Compute the degree of each of a picture's windows: (gh, gw) float32, about 1 for OK parts.

        With a second stage, such as that on features, they are its degrees of each pixel of `registered`: (h, w).

        Raises:
            ValueError: as `look`.
        """
        if self.second_stage is not None or self.features_used:
            return self.look(image).degrees
        degrees: np.ndarray = distance(self.transform(image), self.mean_, self.precision_)
        return degrees

    def anomaly(self, image: np.ndarray) -> np.ndarray:
        """Compute the anomaly degree of each pixel of the given picture: (H, W) float32, about 1 for OK parts."""
        return self.look(image).anomaly

    def look(self, image: np.ndarray) -> PictureResult:
        """Compute all results for a picture, (H, W[, C]) floats in [0, 1], with a single alignment.

        Raises:
            ValueError: as `reduced`; or the limit was set with features (`feature_stage`), which are not given.
        """
        picture = self.reduced(image)
        whole = self._pose(picture, self.reference_)
        as_whole = self._moved(picture, whole, self.reference_)
        placed = self._on_pins(np.shape(image), picture, whole, as_whole)
        seen = as_whole if placed.pose == whole else self._moved(picture, placed.pose, self.reference_)
        maps, degrees = self._stages(seen)
        within = inside(placed.pose, placed.reference, placed.small)
        either = [grey(seen)] if placed.pose == whole else [grey(seen), grey(as_whole)]
        shown = evidence(either, within, grey(self.reference_), self.core_, self.turned)
        return PictureResult(placed.resampled(degrees), seen, maps, degrees, placed, shown)

    def degrees_of_aligned(self, seen: np.ndarray) -> np.ndarray:
        """Compute the degree of each pixel of an aligned picture, such as one changed from the mean picture: (h, w).

        Raises:
            ValueError: the limit was set with features, which are not given.
        """
        return self._stages(seen)[1]

    def _stages(self, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the SOART3 maps of an aligned picture, and the degree of each of its pixels."""
        if self.second_stage is None and self.features_used:
            raise ValueError("expected the features with which this unit space was made, got none")
        maps = self._maps(seen, self.reference_)
        if self.second_stage is not None:
            return maps, self.second_stage.degrees(seen)
        return maps, self._at_pixels(distance(maps, self.mean_, self.precision_))

    def placed(self, image: np.ndarray) -> Placed:
        """Return the alignment of a picture, (H, W[, C]) floats in [0, 1], with the unit space's mean picture."""
        return self._placed(np.shape(image), self.reduced(image))

    def _placed(self, shape: tuple[int, ...], picture: np.ndarray) -> Placed:
        """Find the alignment of a reduced picture; `shape`: that of the original, (H, W[, C])."""
        whole = self._pose(picture, self.reference_)
        return self._on_pins(shape, picture, whole, self._moved(picture, whole, self.reference_))

    def _on_pins(self, shape: tuple[int, ...], picture: np.ndarray, pose: Pose, as_whole: np.ndarray) -> Placed:
        """Align a reduced picture on pins, given its alignment as a whole and the picture aligned so."""
        if self.notes.get(PIN_SHIFT) and (parts := self._pin_parts(self.reference_.shape)):
            shift = shift_of_pins(grey(as_whole), grey(self.reference_), parts, self.notes[PIN_SHIFT])
            pose = pose.shifted(shift) if shift.any() else pose
        return Placed((shape[0], shape[1]), picture.shape[:2], pose, self.reference_.shape[:2])

    def _at_pixels(self, degrees: np.ndarray) -> np.ndarray:
        """Pad a map of windows (gh, gw) to the unit space's size (h, w), with each value at its window's middle."""
        before = self.settings["window"] // 2
        after = [n - g - before for n, g in zip(self.reference_.shape[:2], degrees.shape, strict=True)]
        return np.pad(degrees, ((before, after[0]), (before, after[1])), mode="edge")

    def score(self, image: np.ndarray) -> float:
        """Compute a picture's score, whose limit is `threshold.value`: the largest of its `degrees`."""
        return float(self.degrees(image).max())

    def save(self, path: Path | str) -> None:
        """Write the unit space to one .npz file: arrays and a JSON header, without pickled objects."""
        header = {
            "schema": SCHEMA,
            "made_by": "pinsight",
            "settings": self.settings,
            "threshold": self.threshold.to_json(),
            "evidence": asdict(self.evidence_),
            "notes": self.notes,
        }
        with Path(path).open("wb") as file:
            extras: dict[str, Any] = {f"{EXTRA}{name}": array for name, array in self.extras.items()}
            np.savez_compressed(
                file,
                header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
                reference=self.reference_,
                mean=self.mean_,
                precision=self.precision_,
                scores=self.scores_,
                core=self.core_,
                **extras,
                members=np.round(LEVELS * self.members_).astype(np.uint16),
            )

    @classmethod
    def load(cls, path: Path | str) -> SoartC:
        """Load a fitted model from a file that `save` wrote.

        Raises:
            ValueError: the file is damaged, of another kind, or of another version.
        """
        header, data = read_saved(Path(path), SCHEMA, cls().settings)
        model = cls(**header["settings"])
        model.threshold = ScoreLimit.from_json(header["threshold"])
        model.notes = header["notes"]
        model.reference_, model.mean_ = data["reference"], data["mean"]
        model.precision_, model.scores_ = data["precision"], data["scores"]
        levels = np.float32(np.iinfo(data["members"].dtype).max)  # 255 in files of older versions
        model.members_ = (data["members"] / levels).astype(np.float32)
        try:
            maps = model._maps(model.reference_, model.reference_).shape
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if maps != model.mean_.shape:
            raise ValueError(f"{path}: expected the array `mean` with shape {maps}, got {model.mean_.shape}")
        model.extras = {name.removeprefix(EXTRA): array for name, array in data.items() if name.startswith(EXTRA)}
        if header.get("evidence") and "core" in data:
            model.core_, model.evidence_ = data["core"], Evidence(**header["evidence"])
        else:
            model._fit_evidence(np.ones((len(model.members_), *model.reference_.shape[:2]), dtype=bool))
            model.lacks = ("the part of the mean picture that every OK picture shows",)
        return model

    def _fit_evidence(self, seen: np.ndarray) -> None:
        """Set the limits of evidence from the members and the pixels that lie in each, (n, h, w) bool."""
        self.core_ = seen.all(axis=0)
        self.evidence_ = limits_of(greys(self.members_), seen, self.turned)

    @functools.cached_property
    def turned(self) -> tuple[Turned, ...]:
        """Copies of the mean picture turned by 180 degrees, or also by 90 and 270: see `evidence.turned_copies`."""
        most, scaling = self.settings["rotation_deg"], self.settings["scaling"]
        return turned_copies(grey(self.reference_), most, scaling)

    @property
    def features_used(self) -> tuple[dict[str, str], ...]:
        """What `notes` say of the features of the second stage (`generator.soart.feature_stage`); empty without."""
        return (self.notes["features"],) if "features" in self.notes else ()

    def reduced(self, image: np.ndarray) -> np.ndarray:
        """Reduce a picture to at most `grid` windows along its longer side, as float32; a smaller one keeps its size.

        Raises:
            ValueError: the picture is not floats in [0, 1] of shape (H, W) or (H, W, C), or is too small to be aligned.
        """
        image = np.asarray(image)
        if image.ndim not in (2, 3) or image.size == 0 or not np.issubdtype(image.dtype, np.floating):
            raise ValueError(
                f"image must be floats of shape (H, W) or (H, W, C), got {image.dtype} of shape {image.shape}"
            )
        low, high = float(image.min()), float(image.max())
        if not (low >= 0.0 and high <= 1.0):  # written so that NaN fails too
            raise ValueError(f"image must be in [0, 1] without NaN, got {low:.6g} to {high:.6g}")
        most = self.settings["grid"] + self.settings["window"] - 1
        scale = most / max(image.shape[:2])
        small = by_channel(image, lambda grey: resized(grey, scale))
        if self.settings["rotation_deg"] >= 0 and min(small.shape[:2]) < (least := fewest_px(most)):
            raise ValueError(
                "expected a picture large enough to be aligned with the OK pictures, with a shorter side of at least "
                f"{math.ceil(least / min(scale, 1.0))} px, got {size_of(image.shape)}"
            )
        return small

    def _aligned(self, small: Sequence[np.ndarray], shape: tuple[int, ...]) -> Registered:
        """Align reduced pictures: with the first, then with the median of all, which has less noise and few defects."""
        against = small[0]
        for _ in range(ROUNDS - 1):
            against = self._put_together(small, [self._pose(one, against) for one in small], against)[1]
        return Registered([self._pose(one, against) for one in small], against, shape)

    def _same(self, count: int, shape: tuple[int, ...]) -> Registered:
        """Return the alignment of the last fit; ValueError unless it was to as many pictures of this shape."""
        last = self._registered
        if last is None or len(last.poses) != count or last.shape != shape:
            got = f"one to {len(last.poses)} pictures of {size_of(last.shape)}" if last else "none"
            raise ValueError(f"expected that the last fit was to these {count} pictures of {size_of(shape)}, got {got}")
        return last

    def _put_together(
        self, small: Sequence[np.ndarray], poses: Sequence[Pose], reference: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the aligned pictures (n, h, w[, C]), and their median."""
        members = np.stack([self._moved(one, pose, reference) for one, pose in zip(small, poses, strict=True)])
        return members, np.median(members, axis=0).astype(np.float32)

    def _pose(self, picture: np.ndarray, reference: np.ndarray) -> Pose:
        if self.settings["rotation_deg"] < 0:
            return Pose()
        return register(grey(picture), grey(reference), self.settings["rotation_deg"], self.settings["scaling"])

    def _moved(self, picture: np.ndarray, pose: Pose, reference: np.ndarray) -> np.ndarray:
        return moved(picture, pose, reference, self.settings["gain"])

    def _pin_parts(self, shape: tuple[int, ...]) -> list[Part]:
        """Return rows and columns of the pins' boxes, but not those of print, in a mean picture (h, w[, C])."""
        pins = [Pin(address, as_box(box)) for address, *box in self.notes.get(POSITIONS, [])]
        return parts_of([pin for pin in pins if pin.address != PRINT], shape)

    def _maps(self, picture: np.ndarray, reference: np.ndarray) -> np.ndarray:
        golden = reference if self.settings["reference"] == GOLDEN else None
        maps = soart3_map(picture, golden, self.settings["window"], 1, self.settings["similarity"])
        return maps.reshape(-1, *maps.shape[-2:])

    def _fit_members(self, members: np.ndarray) -> UnitSpace:
        """Compute reference, mean and precision of the unit space from aligned members (n, h, w[, C])."""
        space = UnitSpace(members, self._maps, self.settings)
        self.reference_, self.mean_, self.precision_ = space.reference, space.mean, space.precision
        self.__dict__.pop("turned", None)  # turned copies of an earlier mean picture
        return space

    def _leave_one_out(self, members: np.ndarray, space: UnitSpace) -> np.ndarray:
        """Compute the score of each member by a unit space made without it: (n,)."""
        count = len(members)
        if not FEWEST < count <= REFIT:
            return space.leave_one_out()
        scores = np.empty(count)
        for i in range(count):
            rest = UnitSpace(np.delete(members, i, axis=0), self._maps, self.settings, space)
            scores[i] = distance(self._maps(members[i], rest.reference), rest.mean, rest.precision).max()
        return scores
