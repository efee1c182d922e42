"""Write docs/explanation/results.md and its figures from the results.

Only the text between the page's markers is written; people write the rest. A question without results gets "Not run
yet".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from studies.findings import Found, findings
from studies.glance import glance
from studies.questions import SECTIONS
from studies.results import Document, ResultError
from studies.run import TOPICS
from studies.tables import command, seeds

NOT_RUN = "*Not run yet.*"


def marked(text: str, part: int | str, content: str) -> str:
    """Replace a page's text between two marker comments; returns the new page.

    Args:
        text: The page.
        part: What the markers name: a question's number, or another part's name.
        content: The new text, Markdown.

    Raises:
        ResultError: The markers are missing, repeated or in the wrong order.
    """
    begin, end = f"<!-- study {part}: written by --write -->", f"<!-- end of study {part} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ResultError(
            f"the page: expected the lines {begin} and {end}, each once and in this order; got the first "
            f"{text.count(begin)} times and the second {text.count(end)} times"
        )
    head, rest = text.split(begin)
    return f"{head}{begin}\n\n{content.strip()}\n\n{end}{rest.split(end)[1]}"


def rows_of(text: str, part: int | str) -> list[list[str]]:
    """Return the cells of each row of the first table between two marker comments of a page (see `marked`)."""
    inside = text.partition(f"<!-- study {part}: written by --write -->")[2].partition(f"<!-- end of study {part} -->")[
        0
    ]
    lines = [line for line in inside.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def head_of(found: Found) -> str:
    """Write the first paragraph of a question's section: numbers of runs and seeds, devices, command."""
    documents = [d for some in found.variants.values() for d in some]
    devices = sorted({d["device"] for d in documents})
    kinds = found.renderings
    rendered = (
        f" Their pictures were rendered on {kinds} kinds of processor, which give different bytes." if kinds > 1 else ""
    )
    where = "" if found.size == "reduced" and devices == ["cpu"] else f", size *{found.size}*, {' and '.join(devices)}"
    return f"{found.done} of {found.planned} runs are done, {seeds(found)}{where}: `{command(found)}`.{rendered}"


def section(found: Found, pictures: Path, prefix: str) -> str:
    """Write one question's figure, and return its section as Markdown.

    Args:
        found: The question's finished runs.
        pictures: Folder of the figure.
        prefix: Path of `pictures` relative to the page, for its link.
    """
    picture = pictures / f"results_{found.question}_{TOPICS[found.question]}.png"
    if not found.done:
        picture.unlink(missing_ok=True)
        return NOT_RUN
    parts = [head_of(found)]
    body = SECTIONS[found.question](found, picture)
    if picture.is_file():
        parts.append(f"![Figure of {TOPICS[found.question]}]({prefix}/{picture.name})")
    return "\n\n".join([*parts, *body])


def write(documents: Mapping[str, Document], page: Path, pictures: Path) -> list[str]:
    """Write the page and its figures; returns a status line for each question.

    Args:
        documents: All results by key.
        page: The Markdown page.
        pictures: Folder of the figures.

    Raises:
        ResultError: The page's marker comments are missing, repeated or in the wrong order (see `marked`).
    """
    found = findings(documents)
    text, lines = marked(page.read_text("utf-8"), "at a glance", glance(found)), []
    for question, one in found.items():
        text = marked(
            text, question, section(one, pictures, pictures.relative_to(page.parent, walk_up=True).as_posix())
        )
        lines.append(f"{question} {TOPICS[question]}: {one.done} of {one.planned} runs")
    half = page.with_suffix(".tmp")
    half.write_text(text, "utf-8")
    half.replace(page)
    return lines
