"""Photographs that `trainer.evaluate --reference` takes: a copy of a part's photograph is no further part."""

from types import SimpleNamespace

import pytest
from PIL import Image

from trainer.core.errors import InputError
from trainer.gauge import against_reference, prediction
from trainer.gauge.reference_file import read_reference


def test_a_copy_of_a_photograph_does_not_count_as_another_part(tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    photos.mkdir()
    named = {part: {"center": photos / f"{part}.png"} for part in ("a", "b")}
    for level, files in enumerate(named.values()):  # the same pixels in files of other bytes
        Image.radial_gradient("L").save(files["center"], compress_level=9 * level)
    monkeypatch.setattr(prediction, "grouped", lambda *_: (named, [], []))
    (tmp_path / "measured.csv").write_text("part,address,dx_mm,dy_mm\na,r1c1,0,0\nb,r1c1,0,0\n")
    bench = SimpleNamespace(drawing=SimpleNamespace(positions=[SimpleNamespace(address="r1c1")]))
    reference = read_reference(tmp_path / "measured.csv")
    with pytest.raises(InputError, match=r"b\.png: expected another photograph than .*a\.png, got a copy of it"):
        against_reference._photographed(bench, photos, reference)
    Image.linear_gradient("L").save(photos / "b.png")
    assert against_reference._photographed(bench, photos, reference)[0] == named
