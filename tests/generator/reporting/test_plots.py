"""The report's figures: what they show, as elements of a page that follow its colours."""

from __future__ import annotations

import re

import pytest

from generator.reporting.plots import histogram, position_map


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_histogram_draws_each_class_and_the_limit() -> None:
    svg = histogram({"OK": [0.1, 0.1, 0.2], "BENDNG": [1.5]}, 0.8, "mm")
    assert {"OK", "BENDNG", "3 pins", "1 pins", "tolerance 0.8", "mm"} <= set(texts(svg))
    (outline,) = re.findall(r'<path d="([^"]*)"[^>]*fill: var\(--OK\)', svg)
    heights = [-float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", outline)]
    tall = sorted({round(height - min(heights), 2) for height in heights} - {0})
    assert tall[1] == pytest.approx(2 * tall[0], abs=0.02)
    assert "fill: var(--BENDNG)" in svg and "stroke: var(--NG)" in svg
    assert histogram({"OK": []}, 0.8, "mm") == ""
    for values in ([0.0], [-0.4, 0.2], [1e-4], [250.0]):
        assert "nan" not in histogram({"OK": values}, None, "mm")


def test_position_map_states_counts_at_their_addresses() -> None:
    svg = position_map((2, 3), {(1, 3): 4, (2, 1): 2}, most=4)
    assert sorted(texts(svg)) == ["1", "2", "2", "3", "4", "r1", "r2"]
    depths = [float(depth) for depth in re.findall(r"var\(--accent\); opacity: ([\d.]+)", svg)]
    assert len(depths) == 2 and max(depths) == depths[0]  # r1c3 is the darker


def test_figures_are_the_same_each_time_and_stand_alone_in_a_page() -> None:
    one, two = (position_map((1, 2), {(1, 1): 1}, 1) for _ in range(2))
    assert one == two
    assert one.startswith("<svg") and "http" not in one and "<style" not in one and "<?xml" not in one
    assert not re.search(r"#[0-9a-f]{6}\b(?!\))", one.replace('href="#', "")), "a colour that no light or dark changes"
