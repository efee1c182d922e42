"""The kind of a run is what its config.json states: a run without it is of no kind."""

import pytest

from trainer.core.errors import InputError
from trainer.run_kinds import RunKind, run_kind


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_run_whose_config_json_is_missing_or_damaged_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"config\.json: expected a trained run's config\.json, got "):
        run_kind(tmp_path)


def test_an_unknown_format_is_left_to_the_reader_of_a_vit(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert run_kind(tmp_path) is RunKind.VIT
