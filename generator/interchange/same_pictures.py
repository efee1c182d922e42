"""Find pictures with the same pixels: in two splits, or with labels that contradict each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from generator.dataset.folder import ordered_splits
from generator.dataset.labels import CLASSES, OK, is_in_answer, worst_class
from generator.dataset.rows import objects_of
from generator.interchange.photo_rows import Examined
from generator.io.checksum import sha256_of

# Most notes on copies that are printed, within a split and across splits; the last one has the number of the others.
MOST_NOTES = 5
_SAME = "expected the labels of {}, which has the same pixels"


class Known(NamedTuple):
    """The labels of a picture in the dataset to mix with.

    Attributes:
        split, run: split and run name of its row.
        label: class of the picture; None: unknown.
        seen, bad: classes of its NG objects that can be seen in it, and of all its NG objects; None: unknown.
    """

    split: str
    run: str
    label: str | None
    seen: tuple[str, ...] | None = None
    bad: tuple[str, ...] | None = None

    @classmethod
    def of_row(cls, split: str, row: Mapping[str, Any]) -> Known:
        """Make it of the stored columns `run`, `label` and `objects` of a row."""
        number, objects = row["label"], objects_of(row)
        label = CLASSES[number] if number is not None and 0 <= number < len(CLASSES) else None
        if objects is None:
            return cls(split, row["run"], label)
        bad = [each for each in objects if each.category != OK]
        seen = [each.category for each in bad if is_in_answer(each.category, each.visible, each.area)]
        return cls(split, row["run"], label, tuple(sorted(seen)), tuple(sorted(each.category for each in bad)))

    def contradiction(self, one: Examined) -> str | None:
        """Return in what the labels of an imported picture differ, as "NUKENG instead of OK"; None if in nothing.

        Labels need not contain defects that cannot be seen in the picture: exports leave them out.
        """
        label, objects = one.photo.label, one.row.objects
        possible = {self.label, worst_class(self.seen)} if self.seen else {self.label}
        if self.label is not None and label not in possible:
            return f"{label} instead of {self.label}"
        if objects is None or self.seen is None or self.bad is None:
            return None
        here = sorted(each.category for each in objects if each.category != OK)
        if Counter(self.seen) <= Counter(here) <= Counter(self.bad):
            return None
        got, expected = (", ".join(each) or "none" for each in (here, self.seen))
        return f"boxes of the classes {got} instead of {expected}"


def checked_copies(
    rows: Sequence[Examined], digests: Mapping[str, tuple[str, ...]], others: Mapping[str, Known]
) -> tuple[list[str], list[str], set[str]]:
    """Check that pictures with the same pixels have the same labels and lie in the same split.

    Args:
        rows: the examined pictures.
        digests: SHA-256 of the pixels, and of the files in which a dataset may have it, of each picture, by run name.
        others: the pictures in the dataset to mix with, by the SHA-256 of their files.

    Returns:
        Messages on faults (labels that contradict each other or those of the dataset to mix with, pictures that this
        dataset has in another split); notes on all other equal pictures; the run names of the faulty pictures.
    """
    groups: dict[str, list[Examined]] = {}
    for one in rows:
        groups.setdefault(digests[one.photo.run][0], []).append(one)
    rank = {split: at for at, split in enumerate(ordered_splits({one.photo.split for one in rows}))}
    problems: list[str] = []
    notes: list[str] = []
    warnings: list[str] = []  # the splits of the source are its owner's: they are kept
    wrong: set[str] = set()
    for group in groups.values():
        first, *copies = sorted(group, key=lambda one: rank[one.photo.split])
        if any(_labels(one) != _labels(first) for one in copies):
            wrong |= {one.photo.run for one in group}
        files = [file for one in group for file in digests[one.photo.run][1:]]
        known = next((others[file] for file in files if file in others), None)
        home, name = known[:2] if known else (first.photo.split, first.photo.labelled.name)
        for one in group if known else copies:
            if _labels(one) != _labels(first):
                problems.append(_contradiction(one, first))
                continue
            if known and (got := known.contradiction(one)):
                problems.append(f"{one.photo.labelled.name}: {_SAME.format(f'{name} in DATASET')}, got {got}")
                wrong.add(one.photo.run)
                continue
            if one.photo.split == home:
                notes.append(f"{one.photo.labelled.name}: has the same pixels as {name}")
                continue
            expected = f"a picture that is in split {one.photo.split} only, got the pixels of {name} in split {home}"
            if known:
                problems.append(f"{one.photo.labelled.name}: expected {expected}")
                wrong.add(one.photo.run)
            else:
                warnings.append(f"warning: {one.photo.labelled.name}: expected {expected}")
    told = _first(warnings, "warning: {} more pictures have the same pixels as a picture in another split")
    told += _first(notes, "{} more pictures have the same pixels as another picture in their split")
    return problems, told, wrong


def _first(notes: list[str], rest: str) -> list[str]:
    """Return the first MOST_NOTES notes, and `rest` with the number of the others, if there are any."""
    return notes[:MOST_NOTES] + [rest.format(len(notes) - MOST_NOTES)] * (len(notes) > MOST_NOTES)


def _labels(one: Examined) -> tuple[str, list[str] | None]:
    objects = one.row.objects
    return one.photo.label, None if objects is None else sorted(each.category for each in objects)


def _contradiction(one: Examined, first: Examined) -> str:
    (label, boxes), (other, other_boxes) = _labels(one), _labels(first)
    got = f"{label} instead of {other}"
    if label == other:
        here, there = (", ".join(each) or "none" if each is not None else "unknown" for each in (boxes, other_boxes))
        got = f"boxes of the classes {here} instead of {there}"
    return f"{one.photo.labelled.name}: {_SAME.format(first.photo.labelled.name)}, got {got}"


def same_files(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the SHA-256 of each readable file that has the same size in bytes as another one of `paths`."""
    by_size: dict[int, list[Path]] = {}
    for path in paths:
        if path.is_file():
            by_size.setdefault(path.stat().st_size, []).append(path)
    found = {}
    for group in by_size.values():
        for path in group if len(group) > 1 else ():
            try:
                found[path] = sha256_of(path)
            except OSError:  # named when the picture is opened
                continue
    return found
