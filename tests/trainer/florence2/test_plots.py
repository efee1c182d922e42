"""Figures of Florence-2 runs: the legend covers no bar."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trainer.florence2 import plots


def test_the_legend_of_weight_changes_stands_below(tmp_path, monkeypatch):
    found: list[Figure] = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: found.append(figure))
    parts = ("vision tower", "projection", "encoder", "decoder", "language head")
    rows = [
        {"name": f"{part}.{number}.weight", "part": part, "relative": 1.0, "changed": 1}
        for part in parts
        for number in range(8)
    ]
    plots.weight_changes(rows, tmp_path / "changes.png")
    canvas = FigureCanvasAgg(found[0])
    canvas.draw()
    (axes,) = found[0].axes
    legend, below = axes.get_legend().get_window_extent(), axes.xaxis.get_tightbbox(canvas.get_renderer())
    assert legend.y1 <= min(axes.get_window_extent().y0, below.y0) and legend.y0 >= 0
