"""Find split and class of a picture by the folders above it: SPLIT/CLASS/picture or CLASS/picture.

Folders in another order are faults, with one message each for all pictures concerned: CLASS/SPLIT/picture, pictures in
folders below that of their class (OK/day1/picture), and two folders that name different classes (OK/BENDNG/picture).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from blender_scripts.contract.errors import shown
from generator.interchange.labelled import ClassNames, Labelled, ReadLabels, split_of
from generator.io.wording import counted, some_of


class ClassFolders:
    """Reads pictures whose class is the name of their folder.

    Args:
        source: the imported folder.
        names: maps folder names to Pinsight's classes.
        views: names of cameras. A picture with the name of a camera lies in the folder of its part, whose name is not
            that of a class: CLASS/PART/left.png.
        found: gets the labelled pictures, and messages on faults.
    """

    def __init__(self, source: Path, names: ClassNames, views: Sequence[str], found: ReadLabels) -> None:
        self._source, self._names, self._views, self._found = source, names, views, found
        # Pictures by the folder of their class: below a folder of a split, in folders below, of another class by word.
        self._turned: list[tuple[PurePosixPath, int]] = []
        self._deeper: dict[PurePosixPath, list[PurePosixPath]] = {}
        self._other: dict[tuple[PurePosixPath, str, str], list[PurePosixPath]] = {}

    def read(self, path: Path) -> None:
        """Add the picture with this path, labelled, to what was found, or keep its fault for `name_faults`."""
        name = PurePosixPath(path.relative_to(self._source).as_posix())
        folders = name.parts[: -2 if path.stem in self._views else -1]
        # The folders above the picture's own that name a class, by their number of parents.
        classes = {
            at: label
            for at, word in enumerate(folders[:-1])
            if not split_of(word) and (label := self._names.find(word)) is not None
        }
        if classes and any(split_of(word) for word in folders[min(classes) :]):
            self._keep(path)
            self._turned.append((name, min(classes)))
        elif not folders or split_of(folders[-1]):
            got = "no folder of a class directly above the picture"
            self._found.problems.append(f"{name}: expected a path CLASS/picture or SPLIT/CLASS/picture, got {got}")
        elif not classes:
            split = next((s for word in folders[:-1] if (s := split_of(word))), None)
            label = self._names[folders[-1]]
            self._found.pictures.append(Labelled(path, str(name), split, label, None, folders[-1]))
        else:
            self._read_below(path, name, folders, classes)

    def _read_below(self, path: Path, name: PurePosixPath, folders: tuple[str, ...], classes: dict[int, str]) -> None:
        """Read a picture in a folder below one of a class; accepted if its own folder states the same class."""
        own = self._names.find(folders[-1])
        stated = {**classes, **({len(folders) - 1: own} if own is not None else {})}
        first = min(stated)
        other = next((at for at in sorted(stated) if stated[at] != stated[first]), None)
        if other is not None:
            self._keep(path)
            above = PurePosixPath(*folders[: first + 1])
            self._other.setdefault((above, stated[first], f"{folders[other]} ({stated[other]})"), []).append(name)
        elif own is None:
            self._keep(path)
            self._deeper.setdefault(PurePosixPath(*folders[: max(classes) + 1]), []).append(name)
        else:
            split = next((s for word in folders[:-1] if (s := split_of(word))), None)
            self._found.pictures.append(Labelled(path, str(name), split, own, None, folders[-1]))

    def _keep(self, path: Path) -> None:
        # The messages state the pictures' number, not every name; these pictures need no other message.
        self._found.noted.add(path)

    def name_faults(self) -> None:
        """Add the messages on folders in another order to the problems that were found."""
        problems = self._found.problems
        if self._turned:
            name, at = self._turned[0]
            *folders, file = name.parts
            splits = [word for word in folders if split_of(word)]
            right = PurePosixPath(*splits, *(word for word in folders[at:] if word not in splits), file)
            problems.append(
                f"{self._source}: expected the order SPLIT/CLASS/picture, got CLASS/SPLIT/picture for "
                f"{counted(len(self._turned), 'picture')}: turn the order of the folders, as from {name} to {right}"
            )
        hint = "" if self._views else ", or give --views, if each of the deeper folders holds the views of one part"
        for above, names in self._deeper.items():
            below = some_of(list(dict.fromkeys(name.relative_to(above).parts[0] for name in names)))
            expected = "expected pictures directly in this folder, as its name is that of a class"
            got = f"{counted(len(names), 'picture')} deeper than SPLIT/CLASS (in {below})"
            problems.append(f"{above}: {expected}, got {got}: move them up into {above}{hint}")
        for (above, label, other), names in self._other.items():
            expected = f"expected pictures of the class {label}, which this folder's name states"
            got = f"{counted(len(names), 'picture')} below it in a folder of another class, {other}"
            problems.append(
                f"{above}: {expected}, got {got}, as {shown(str(names[0]))}: state one class, by one folder"
            )
