"""A run that was adapted to a station by photographs of good parts: RUN/adaptation.json, and the seal of its weights.

Good parts show how pictures of the station look and how often it refuses a good part. They do not show that a defect
is still found. So an adapted run has a hash of its own: the file of its weights states the SHA-256 of adaptation.json
and therefore differs from that of the run it was made from. What was released for the old hash does not cover it.

adaptation.json lists the SHA-256 of every other file that verdicts follow from (thresholds, U, limits), so the seal
covers them too. A file may state the hash of the weights, which follows from adaptation.json: it counts as zeros then.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from generator.io.checksum import sha256_of
from trainer.core.adaptation_seal import FILE, SEAL, seal_of
from trainer.core.errors import InputError
from trainer.core.picture_transform import PictureTransform
from trainer.core.run_folder import BEST, read_json, read_tensors, save_tensors, write_json

FORMAT = "pinsight-adaptation/1"
# Files of a run that verdicts follow from, whatever its kind.
_SEALED = ("*.json", "*.npz", "*.safetensors", "gates/*/*")
# Of these, files that are refused if they are new; further JSON files may be results.
_NOT_NEW = (*_SEALED[1:], "frozen.json", "uncertainty.json")
_NO_HASH = b"0" * 64
# A limit of what counts as alike may move away from its middle by at most this factor.
WIDEST = 1.5
# Fewest photographed parts.
FEWEST = 8
# A change of the pictures must bring them this much nearer to the training, or have so many more parts accepted, as
# shares, to be worth it. One that brings them this much farther away than no change is not used.
_NEARER, _MORE, _FARTHER = 0.9, 0.1, 1.05
WARNING = (
    "adapted: this run was adapted by photographs of good parts; what was shown or released for the run it was made "
    "from does not hold for it, and that defects are found on this station has not been shown"
)


@dataclass(frozen=True)
class AdaptationOptions:
    """Options of an adaptation.

    Attributes:
        run, data: folders of the run and of the dataset of its training.
        photos: picture files of good parts.
        out: folder of the new run, which exists.
        kinds: kinds of change that are tried.
    """

    run: Path
    data: Path
    photos: Sequence[Path]
    out: Path
    kinds: Sequence[str]


@dataclass(frozen=True)
class Adaptation:
    """How pictures of a station are changed before a run judges them.

    Attributes:
        transforms: the change of each view's pictures, by name of the view; under "" the same for all views.
        document: content of RUN/adaptation.json.
    """

    transforms: Mapping[str, PictureTransform]
    document: Mapping[str, Any]

    def apply(self, picture: Image.Image, view: str = "") -> Image.Image:
        """Return a view's picture as the run's network gets it.

        Raises:
            InputError: the photographs of the adaptation did not show this view.
        """
        view = "" if "" in self.transforms else view
        if view not in self.transforms:
            raise InputError(
                f"view {view}: expected a view that the photographs of the adaptation show "
                f"({', '.join(self.transforms)}), as nothing is known of how others look on this station"
            )
        return self.transforms[view].apply(picture)


def load(run: Path) -> Adaptation | None:
    """Read RUN/adaptation.json; None for a run that was not adapted.

    Raises:
        InputError: the file is missing although the run's weights state it, or it is damaged or changed, or another
            file of the run is not as it was when the run was adapted.
    """
    path, stated = run / FILE, seal_of(run / BEST)
    if stated is None and not path.is_file():
        return None
    if not path.is_file():
        raise InputError(f"{path}: expected the file with the changes of an adapted run's pictures, got no such file")
    if sha256_of(path) != stated:
        raise InputError(f"{path}: expected the file that {BEST} states (SHA-256 {stated}), got another; adapt again")
    document = read_json(path, "how a run was adapted")
    try:
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r}")
        transforms = {
            str(view): PictureTransform.from_json(one["transform"]) for view, one in document["views"].items()
        }
        sealed = dict(document["files"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: expected what `trainer.adapt` wrote, got damaged content: {error}") from None
    _check_files(run, sealed)
    return Adaptation(transforms, document)


def choose(tried: Sequence[tuple[int, float]], parts: int) -> int:
    """Return the index of the best change of the pictures: the first, no change, unless a later one is clearly better.

    Args:
        tried: for each change, from the simplest up, the number of good parts that the run's limits accept, and how far
            what is seen in their pictures lies from the training.
        parts: number of good parts.
    """
    best = 0
    for index, (accepted, far) in enumerate(tried):
        if far > _FARTHER * tried[0][1]:
            continue
        more = accepted - tried[best][0]
        if more > _MORE * parts or (far < _NEARER * tried[best][1] and more >= 0):
            best = index
    return best


def warned(adapted: Adaptation | None) -> dict[str, str]:
    """Return what an evaluation adds to its evaluation.json for an adapted run, under the key `adapted`."""
    return {} if adapted is None else {"adapted": WARNING}


def refuse(run: Path, command: str) -> None:
    """Refuse an adapted run in a command that would use its network without the changes of the pictures.

    Raises:
        InputError: the run was adapted.
    """
    if load(run) is not None:
        raise InputError(
            f"{run}: expected a run that was not adapted, as {command} does not change pictures as an adapted run "
            "needs it; use the run that it was made from"
        )


def _check_files(run: Path, sealed: Mapping[str, str]) -> None:
    """Refuse an adapted run with a missing, changed or new file that verdicts follow from."""
    weights = sha256_of(run / BEST).encode()
    for name, stated in sealed.items():
        path = run / name
        if not path.is_file() or _sha256_without(path, weights) != stated:
            got = "another" if path.is_file() else "no such file"
            raise InputError(f"{path}: expected the file that {FILE} states (SHA-256 {stated}), got {got}; adapt again")
    for path in _files(run, _NOT_NEW):
        if path.relative_to(run).as_posix() not in sealed:
            raise InputError(f"{path}: expected no file of which {FILE} says nothing; adapt again")


def _files(run: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """The files of a run that match patterns, except adaptation.json and the weights, which states its SHA-256."""
    found = {path for pattern in patterns for path in run.glob(pattern) if path.is_file()}
    yield from sorted(found - {run / FILE, run / BEST})


def _sha256_without(path: Path, weights: bytes) -> str:
    """SHA-256 of a file; `weights`, the hash of the weights in hex, counts as zeros."""
    return hashlib.sha256(path.read_bytes().replace(weights, _NO_HASH)).hexdigest()


def copy(source: Path, out: Path, files: Sequence[str]) -> None:
    """Copy files and folders of a run, as far as they exist, and its best weights into an existing folder."""
    for name in (*files, BEST):
        if (source / name).is_dir():
            shutil.copytree(source / name, out / name, dirs_exist_ok=True)
        elif (source / name).is_file():
            shutil.copyfile(source / name, out / name)


def seal(source: Path, out: Path, document: Mapping[str, Any]) -> None:
    """Write adaptation.json, and weights that state its SHA-256; nothing of what it lists may change afterwards.

    Args:
        source: the run that was adapted.
        out: the new folder with all files that verdicts follow from, and the weights of `source`. Files that state the
            hash of the weights get the new one.
        document: how it was adapted; `format`, the source's name and hash, and the files' hashes are added.
    """
    old = sha256_of(source / BEST)
    sealed = list(_files(out, _SEALED))
    files = {path.relative_to(out).as_posix(): _sha256_without(path, old.encode()) for path in sealed}
    origin = {"run": source.resolve().name, "sha256": old}
    write_json(out / FILE, {"format": FORMAT, "from": origin, "warning": WARNING, **document, "files": files})
    tensors, metadata = read_tensors(source / BEST)
    save_tensors(out / BEST, tensors, {**metadata, SEAL: sha256_of(out / FILE)})
    new = sha256_of(out / BEST).encode()
    for path in sealed:
        content = path.read_bytes()
        if old.encode() in content:
            path.write_bytes(content.replace(old.encode(), new))
