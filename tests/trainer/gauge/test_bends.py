"""How much the shapes of bends differ, from the truth of drawn points of pins that bend."""

from types import SimpleNamespace

import numpy as np
import pytest

from blender_scripts.geometry.pin import Bend
from generator.locating.landmarks import queries
from generator.locating.measure import SAG_DEVIATION
from tests.generator.locating.exact_finder import PITCH_PX, POSE, ExactFinder, drawing_of
from trainer.gauge.bends import sag_deviation
from trainer.gauge.picture import GaugeData, Picture

ANGLE, RETRACTION = 0.3, 0.2
SHAPES = {"arc": ((1.5, ANGLE),), "kink": ((0.2, ANGLE),), "s_bend": ((1.5, ANGLE), (1.5, -ANGLE))}


def data_of(shapes, views=("center", "top"), parts: int = 2) -> GaugeData:
    """Parts whose 27 pins bend in turn by these shapes; all terminals are retracted by 0.2 mm."""
    drawing = drawing_of()
    finder, sought = ExactFinder(drawing, views), queries(drawing)
    tips, feet = sought.marks[: sought.pins].copy(), sought.besides[: sought.pins]
    for index, (tip, foot) in enumerate(zip(tips, feet, strict=True)):
        bend = Bend(0.7 * index, 0.5, SHAPES[shapes[index % len(shapes)]])
        tip[:] = foot + bend.point(tip[2] - foot[2]) - (0.0, 0.0, RETRACTION)
    off = tips - sought.marks[: sought.pins]
    objects = tuple(SimpleNamespace(dx_mm=x, dy_mm=y, retraction_mm=RETRACTION) for x, y, _ in off.tolist())
    places = np.stack([tips, feet], axis=1)
    shown = [
        Picture(
            row={"camera": view, "part": str(part)},
            objects=objects,
            key=drawing.key,
            pixels=np.zeros((128, 256, 3), np.uint8),
            camera=camera,
            pose=POSE,
            points=camera.project(places @ POSE[:3, :3].T + POSE[:3, 3]),
            present=np.ones(sought.pins, bool),
        )
        for part in range(parts)
        for view, camera in zip(views, finder.cameras, strict=True)
    ]
    return GaugeData({"train": shown}, {drawing.key: drawing}, {drawing.key: sought}, PITCH_PX, ())


def learned(data: GaugeData) -> float:
    return sag_deviation(data, data.splits["train"])


def test_arcs_and_kinks_leave_the_standard_deviation_and_s_bends_make_it_larger():
    assert learned(data_of(["arc", "kink"])) == SAG_DEVIATION
    # Two arcs of length c, out and back, move the tip by about c * angle and lower it by c * angle^2 / 3.
    length = np.ptp([queries(drawing_of()).marks[0, 2], queries(drawing_of()).besides[0, 2]])
    share = length / (3.0 * 1.5)
    assert learned(data_of(["s_bend"])) == pytest.approx((share - 0.65) / 2.0, abs=0.03)
    assert learned(data_of(["arc", "kink", "s_bend"])) == pytest.approx(learned(data_of(["s_bend"])), abs=0.01)


def test_a_part_without_a_pin_teaches_nothing():
    data = data_of(["s_bend"])
    bare = data_of(["s_bend"], parts=1).splits["train"]
    for one in bare:
        one.present[:] = False
    assert sag_deviation(data, [*data.splits["train"], *bare]) == learned(data)


def test_too_few_bends_and_views_from_above_alone_show_nothing():
    assert learned(data_of(["s_bend"], parts=1)) == SAG_DEVIATION  # 27 bends
    assert learned(data_of(["s_bend"], views=("center",))) == SAG_DEVIATION
    nothing = GaugeData({}, {}, {}, PITCH_PX, ())
    assert sag_deviation(nothing, ()) == SAG_DEVIATION
