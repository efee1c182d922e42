"""Several pictures of one part: which part and which view a file's name says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def view_of(file: Path, views: Sequence[str]) -> tuple[str, str] | None:
    """Part and view that a picture's file name says: `part7_left.png`, or `left.png` in a folder `part7`.

    Args:
        file: Its name ends in the view's, after `_` or `-`, or is the view's.
        views: Their names.

    Returns:
        The part, as the path without the view, and the view; None where the name ends in none of them.
    """
    for view in sorted(views, key=len, reverse=True):  # `top_left` before `left`
        if file.stem == view:
            return str(file.parent if file.parent.name else file.resolve().parent), view
        if file.stem.endswith((f"_{view}", f"-{view}")):
            return str(file.parent / file.stem[: -len(view) - 1]), view
    return None


def parts_of(files: Sequence[Path], views: Sequence[str]) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """Files by part and view, in the order of the parts' first files; only parts that are whole.

    Args:
        files: Pictures whose names say their view: see `view_of`.
        views: Their names.

    Returns:
        The parts, and what is wrong with the others, in sentences.
    """
    found: dict[str, dict[str, Path]] = {}
    problems = []
    for file in files:
        said = view_of(file, views)
        if said is None:
            problems.append(
                f"{file}: expected a name that ends in one of the views ({', '.join(views)}), such as "
                f"part7_{views[0]}.png, or {views[0]}.png in a folder of the part"
            )
            continue
        part, view = said
        pictures = found.setdefault(part, {})
        if view in pictures:
            problems.append(f"{part}: expected one picture from {view}, got {pictures[view]} and {file}")
            continue
        pictures[view] = file
    whole = {}
    for part, pictures in found.items():
        if missing := [view for view in views if view not in pictures]:
            problems.append(f"{part}: expected a picture from {', '.join(missing)}, got none")
        else:
            whole[part] = {view: pictures[view] for view in views}
    return whole, problems
