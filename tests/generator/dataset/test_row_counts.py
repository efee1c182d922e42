"""Counts over rows of chunks: added, and read back from the note of a chunk as earlier builds wrote it."""

import json
from dataclasses import asdict

from generator.dataset.first_pass import FirstPass
from generator.dataset.render_folder import Findings

# The note of a chunk, as it was written before the counts stood in a class of their own.
NOTE = {
    "key": "k", "problems": [], "missing": [], "rows": [["a", "OK", ["s", "h", "t", "center", "none"]]],
    "tolerances": [], "connectors": [["s", "h", "t", None]], "other": True, "grey_rows": 1, "hidden_rows": 2,
    "blank_rows": 3, "unseen_rows": 4, "ceilings": [2, 1.8, 0.85], "renderers": ["5"], "blenders": ["5.2"],
    "sizes": [[256, 128]], "statistics": [], "records": 7,
}  # fmt: skip


def test_the_note_of_a_chunk_keeps_its_form():
    findings = Findings.of_note(NOTE)
    assert json.loads(json.dumps(asdict(findings))) == NOTE


def test_counts_of_chunks_are_added():
    whole = FirstPass()
    whole.add(Findings.of_note(NOTE))
    whole.add(Findings.of_note({**NOTE, "other": False, "ceilings": [1, 0.9, 0.9], "unseen_rows": 0}))
    assert (whole.grey_rows, whole.hidden_rows, whole.blank_rows, whole.unseen_rows) == (2, 4, 6, 4)
    assert whole.other and whole.records == 14
    assert whole.ceilings == (3, 2.7, 0.85)
