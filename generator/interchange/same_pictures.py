"""Find pictures with the same pixels: in two splits, or with labels that contradict each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from generator.dataset.folder import ordered_splits
from generator.interchange.photo_rows import Examined
from generator.io.checksum import sha256_of

# Most notes on copies that are printed, within a split and across splits; the last one has the number of the others.
MOST_NOTES = 5


def checked_copies(
    rows: Sequence[Examined], digests: Mapping[str, tuple[str, str]], others: Mapping[str, tuple[str, str]]
) -> tuple[list[str], list[str], set[str]]:
    """Check that pictures with the same pixels have the same labels and lie in the same split.

    Args:
        rows: the examined pictures.
        digests: (SHA-256 of the pixels, SHA-256 of the file) of each picture, by run name.
        others: split and run name of the pictures in the dataset to mix with, by the SHA-256 of their files.

    Returns:
        Messages on faults (labels that contradict each other, pictures that the dataset to mix with has in another
        split); notes on all other equal pictures; the run names of the faulty pictures.
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
        known = next((others[file] for one in group if (file := digests[one.photo.run][1]) in others), None)
        home, name = known or (first.photo.split, first.photo.labelled.name)
        for one in group if known else copies:
            if _labels(one) != _labels(first):
                problems.append(_contradiction(one, first))
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
    if len(warnings) > MOST_NOTES:
        rest = len(warnings) - MOST_NOTES
        warnings[MOST_NOTES:] = [f"warning: {rest} more pictures have the same pixels as a picture in another split"]
    if len(notes) > MOST_NOTES:
        rest = len(notes) - MOST_NOTES
        notes[MOST_NOTES:] = [f"{rest} more pictures have the same pixels as another picture in their split"]
    return problems, warnings + notes, wrong


def _labels(one: Examined) -> tuple[str, list[str] | None]:
    objects = one.row.objects
    return one.photo.label, None if objects is None else sorted(each.category for each in objects)


def _contradiction(one: Examined, first: Examined) -> str:
    (label, boxes), (other, other_boxes) = _labels(one), _labels(first)
    got = f"{label} instead of {other}"
    if label == other:
        here, there = (", ".join(each) or "none" if each is not None else "unknown" for each in (boxes, other_boxes))
        got = f"boxes of the classes {here} instead of {there}"
    return (
        f"{one.photo.labelled.name}: expected the labels of {first.photo.labelled.name}, which has the same pixels, "
        f"got {got}"
    )


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
