"""Figures of attention: the legend covers no curve."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trainer.vit import attention_sheets
from trainer.vit.attention_maps import METHODS


def test_the_legend_stands_in_the_free_panel(tmp_path, monkeypatch):
    found: list[Figure] = []
    monkeypatch.setattr(attention_sheets, "save_figure", lambda figure, path: found.append(figure))
    keys = ("hit", "energy_ratio", "on_pins", "on_housing", "entropy_ng", "entropy_ok")
    scores = {method: dict.fromkeys(keys, 0.5) for method in METHODS}
    base = {f"random weights, {method}": dict.fromkeys(keys, 0.4) for method in METHODS}
    base |= {name: dict.fromkeys(keys, 0.3) for name in ("uniform", "centre")}
    attention_sheets.curves({"epoch 1": scores, "best": scores}, base, tmp_path / "curves.png")
    FigureCanvasAgg(found[0]).draw()
    *panels, free = found[0].axes
    assert not any(axes.get_legend() for axes in panels)
    legend, place = free.get_legend().get_window_extent(), free.get_window_extent()
    assert len(free.get_legend().get_texts()) == 3 * len(METHODS) + 2
    assert place.x0 <= legend.x0 and legend.x1 <= place.x1 and place.y0 <= legend.y0 and legend.y1 <= place.y1
