"""The order of verdicts, and the document that every judge writes."""

import ast
import hashlib
import json
import re
from itertools import product
from pathlib import Path

import pytest

from generator.io.checksum import sha256_of
from generator.verdict.conformity import Decision
from generator.verdict.envelope import KEYWORDS, Envelope, Verdict, in_short, keyword_of, overall
from generator.verdict.measures import MEASURE_GATES

ROOT = Path(__file__).parents[3]
# The modules that write reasons.
WRITERS = (
    *(f"generator/verdict/{name}.py" for name in ("gates", "feature_gate", "conformity")),
    *(f"generator/locating/{name}.py" for name in ("fit", "search", "likeness", "pin_places", "gauge")),
    *(f"generator/soart/{name}.py" for name in ("inspection", "judging")),
    *(f"trainer/core/{name}.py" for name in ("fitness", "gates", "decision", "prediction")),
    *(f"trainer/gauge/{name}.py" for name in ("prediction", "station_parts")),
)
# Other texts of these modules that begin with words and a colon: warnings, lines of reports, errors.
OTHERS = {"tolerance", "connector", "fit", "not checked", "arrays that do not fit each other", "colour of the pins"}


@pytest.mark.parametrize(
    ("verdicts", "right"),
    [
        ((), "INVALID"),
        (("OK", "OK"), "OK"),
        (("OK", "UNSURE"), "UNSURE"),
        (("UNSURE", "INVALID", "OK"), "INVALID"),
        (("OK", "INVALID", "NG"), "NG"),
    ],
)
def test_ng_comes_before_invalid_before_unsure_before_ok(verdicts, right):
    assert overall(Verdict(one) for one in verdicts) == right


def test_a_whole_is_ok_only_if_all_of_it_is():
    for verdicts in product(Verdict, repeat=3):
        assert (overall(verdicts) is Verdict.OK) == (set(verdicts) == {Verdict.OK})


def test_a_line_has_the_first_reason_and_the_keywords_of_the_others():
    assert in_short([]) == "" and in_short(["size: 3 px"]) == "size: 3 px"
    reasons = ["contrast: hardly any", "contrast: none", "noise: much", "view: cut off", "noise: (view top)"]
    assert in_short(reasons) == "contrast: hardly any; also noise, view"


def test_the_document_has_the_common_keys_and_those_of_its_judge():
    envelope = Envelope(Verdict.INVALID, ["exposure: too dark"], file="a.png", sha256="0" * 64)
    document = json.loads(json.dumps(envelope.to_json(score=1.5)))
    assert document["schema"] == "pinsight-verdict/1"
    assert (document["verdict"], document["reasons"]) == ("INVALID", ["exposure: too dark"])
    assert document["software"].startswith("pinsight ")
    assert document["time"].endswith("Z")
    assert document["score"] == 1.5
    assert "files" not in document and "tolerance" not in document


def test_the_hash_is_that_of_the_file(tmp_path):
    (tmp_path / "a").write_bytes(b"bytes")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"bytes").hexdigest()


def beginnings(path: Path) -> set[str]:
    """Return what stands before a colon at the beginning of a module's texts."""
    texts = {node.value for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)}
    found = (re.match(r"([a-z][a-z_ ]*): ", text) for text in texts if isinstance(text, str))
    return {match[1] for match in found if match}


def test_every_reason_begins_with_a_keyword_of_the_list():
    written = set().union(*(beginnings(ROOT / path) for path in WRITERS))
    assert written >= OTHERS
    made = {each.keyword for each in MEASURE_GATES} | {str(each) for each in Decision if each is not Decision.CONFORM}
    assert (written - OTHERS) | made == set(KEYWORDS)


def test_the_reference_has_the_list_of_keywords():
    text = (ROOT / "docs/reference/runs.md").read_text("utf-8").partition("### Keywords of reasons")[2]
    table = re.findall(r"^\| `([a-z_ ]+)` \| (.+) \|$", text.partition("\n### ")[0], re.MULTILINE)
    assert dict(table) == KEYWORDS


def test_a_reason_s_keyword_stands_before_its_first_colon():
    assert keyword_of("view: pins outside the picture: r1c1") == "view"
