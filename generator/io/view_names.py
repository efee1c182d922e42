"""Read part and view (camera name) from the file names of pictures, for parts with several pictures."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

# The view of pictures whose names state none, if there is a camera of this name.
DEFAULT_VIEW = "center"


def view_list(text: str, more: str = "") -> tuple[str, ...]:
    """Parse the names of two or more different cameras (views), such as `center,left`, the value of an option.

    Args:
        text: the value.
        more: what else the option accepts, for the error, such as ", or the word all".

    Raises:
        ArgumentTypeError: the text names fewer than two cameras, or one twice.
    """
    names = tuple(name.strip() for name in text.split(","))
    if len(names) < 2 or "" in names or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(
            f"expected two or more different cameras, such as center,left,right{more}, got {text!r}"
        )
    return names


def view_of(file: Path, views: Sequence[str]) -> tuple[str, str] | None:
    """Split a picture's path into part and view (the camera's name).

    `part7_left.png`, and `left.png` in a folder `part7`, give the part `part7` and the view `left`.

    Args:
        file: path of the picture; its name is a view, or ends in `_` or `-` and a view.
        views: names of the views.

    Returns:
        The part, as the path without the view, and the view; None if the name does not end in a view.
    """
    for view in sorted(views, key=len, reverse=True):  # `top_left` before `left`
        if file.stem == view:
            return str(file.parent if file.parent.name else file.resolve().parent), view
        if file.stem.endswith((f"_{view}", f"-{view}")):
            return str(file.parent / file.stem[: -len(view) - 1]), view
    return None


def parts_of(
    files: Sequence[Path], views: Sequence[str], all_views: bool = True
) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """Group pictures by part and view, in the order of the parts' first files.

    If there are both a folder `part7` and files such as `part7_left.png` beside it, they are two parts; the part of the
    files is then called `part7_`.

    Args:
        files: pictures whose names contain their view: see `view_of`.
        views: names of the views.
        all_views: whether a part needs a picture from every view; otherwise one or more suffice.

    Returns:
        The files by part and view, and a message for each reason why files are left out. A part is returned if it has
        a file of every view (if `all_views` is false: of one or more views) and never two files of one view.
    """
    found: dict[tuple[str, bool], dict[str, Path]] = {}  # key: part, and whether the part is a folder
    problems, doubtful = [], set()
    for file in files:
        parsed = view_of(file, views)
        if parsed is None:
            problems.append(
                f"{file}: expected a name that ends in one of the views ({', '.join(views)}), such as "
                f"part7_{views[0]}.png, or {views[0]}.png in a folder named after the part"
            )
            continue
        part, view = parsed
        key = (part, file.stem == view)
        pictures = found.setdefault(key, {})
        if view in pictures:
            problems.append(f"{part}: expected one picture of view {view}, got {pictures[view]} and {file}")
            doubtful.add(key)
            continue
        pictures[view] = file
    whole = {}
    for (part, in_folder), pictures in found.items():
        name = part
        while not in_folder and ((name, True) in found or (name != part and (name, False) in found)):
            name += "_"
        missing = [view for view in views if view not in pictures]
        if missing and all_views:
            problems.append(f"{name}: expected a picture of every view, got none of {', '.join(missing)}")
        elif (part, in_folder) not in doubtful:
            whole[name] = {view: pictures[view] for view in views if view in pictures}
    return whole, problems
