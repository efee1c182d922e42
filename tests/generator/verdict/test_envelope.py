"""The order of verdicts, and the document that every judge writes."""

import hashlib
import json
from itertools import product

import pytest

from generator.io.checksum import sha256_of
from generator.verdict.envelope import Envelope, Verdict, in_short, overall


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
