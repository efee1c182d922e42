"""Figures of runs: legends cover no curve."""

import math

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trainer.core.plots import legend_below


@pytest.mark.parametrize("is_labelled", [True, False])
@pytest.mark.parametrize("height", [2.4, 6.0])
def test_a_legend_stands_below_the_axes_and_in_the_figure(height, is_labelled):
    figure = Figure(figsize=(5, height), layout="constrained")
    axes = figure.subplots()
    for number in range(4):
        axes.plot([0, 1], [number, 0], label=f"curve {number}")
    if is_labelled:
        axes.set_xlabel("epoch")
    else:
        axes.tick_params(labelbottom=False)
    legend_below(axes, 2, is_labelled)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    legend, below = axes.get_legend().get_window_extent(), axes.xaxis.get_tightbbox(canvas.get_renderer())
    assert legend.y1 <= min(axes.get_window_extent().y0, below.y0 if below else math.inf)  # None: without labels
    assert legend.y0 >= 0 and legend.x0 >= 0 and legend.x1 <= figure.bbox.x1
