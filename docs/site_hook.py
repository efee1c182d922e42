"""Hooks of `mkdocs build`: convert the pages of docs/, which are written for GitHub, to Python-Markdown."""

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]+)?\)")


def slug(heading: str, separator: str = "-") -> str:
    """Return the anchor that GitHub gives to a heading; words are joined by `separator`."""
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", separator)


def on_config(config: Any) -> Any:
    """Add pages that mkdocs.yml does not name to the end of their folder's section; make anchors as GitHub does."""
    config.mdx_configs["toc"]["slugify"] = slug
    for section in config.nav[1:]:
        ((title, pages),) = section.items()
        folder = title.lower().replace(" ", "_")
        found = sorted(path.relative_to(DOCS).as_posix() for path in (DOCS / folder).glob("*.md"))
        pages += [page for page in found if page not in pages]
    return config


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Convert a page for Python-Markdown. A link to a file outside the site is replaced by its text."""
    folder = (DOCS / page.file.src_uri).parent

    def kept(match: re.Match[str]) -> str:
        target = (folder / match[2]).resolve()
        outside = "://" not in match[2] and (not target.is_relative_to(DOCS) or target.is_dir())
        return match[1] if outside else match[0]

    return LINK.sub(kept, indented(markdown))


def indented(markdown: str) -> str:
    """Indent lists for Python-Markdown: continuation lines by four spaces, with blank lines before lists."""
    lines: list[str] = []
    width, fenced = 0, False
    for line in markdown.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        marker = re.match(r"(?:\d+\.|[-*]) +", line)
        if marker and not fenced:
            # A blank line before a list, and after an item of several paragraphs; none between other items.
            if lines and lines[-1].strip() and (not width or "" in lines[-_since_marker(lines) :]):
                lines.append("")
            width = len(marker[0])
        elif line.strip() and not line.startswith(" " * max(width, 1)):
            width = 0
        elif width and line.strip():
            line = " " * (4 - width) + line
        lines.append(line)
    return "\n".join(lines)


def _since_marker(lines: list[str]) -> int:
    """Number of lines from the last list marker to the end of `lines`; all if there is none."""
    return next((n for n, line in enumerate(reversed(lines), 1) if re.match(r"(?:\d+\.|[-*]) +", line)), len(lines))
