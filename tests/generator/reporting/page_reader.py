"""Parse a page, and check the rules that hold for every page of the project."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from generator.dataset.labels import ANSWER_LABELS, CLASSES
from generator.reporting.glossary import CLASS_WORDS

VOID = ("meta", "input", "img", "br")


class Page(HTMLParser):
    """Tags with their attributes, the text of the first script, and text with the number of the section it is in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.sections: list[str] = [""]
        self.meanings: dict[str, tuple[int, str]] = {}
        self.open: list[str] = []
        self.script = ""
        self.term = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self.sections.append("")
        if tag == "dt":
            self.term = ""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.script = self.script or data
        elif self.open[-1:] != ["style"]:
            self.text.append(data)
            self.sections[-1] += f" {data}"
        if "dt" in self.open:
            self.term += data.strip()
        if self.open[-1:] == ["dd"]:
            assert self.term not in self.meanings, "explained twice"
            self.meanings[self.term] = len(self.sections) - 1, data


def read_page(path: Path) -> Page:
    """Read a page; check that it needs no other file or network, and explains each class where it first occurs."""
    text = path.read_text("utf-8")
    page = Page(text)
    assert page.open == []
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert re.match("data:|#", attributes.get(name) or "#"), (tag, attributes)
        assert tag not in ("link", "iframe", "object")
    assert not re.search(r"url\((?!#)|@import|https?:", text)
    for word in (*CLASSES, "NG"):
        spellings = {word, *(labels.get(word, word) for labels in ANSWER_LABELS.values())}
        used = re.compile(rf"(?<![\w-])({'|'.join(spellings)})(?![\w-])")
        first = next((n for n, section in enumerate(page.sections) if used.search(section)), None)
        if first is not None:
            number, meaning = page.meanings[word]
            assert number <= first and meaning == CLASS_WORDS[word]
    return page
