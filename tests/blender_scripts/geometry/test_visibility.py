"""Visible boxes, areas and masks of small hand-made surfaces, against values that can be worked out by hand."""

from itertools import pairwise

import numpy as np
import pytest

from blender_scripts.geometry.facets import Facets, facing
from blender_scripts.geometry.visibility import Seen, Sight, Target

NO_MESH = (np.zeros((3, 0)), np.zeros((0, 3), int))


def quads(*corners: list[tuple[float, float, float]]) -> Facets:
    """Facets that face the camera from (u, v, w), counter-clockwise from outside; v points down."""
    facets, _ = facing(np.array(corners, float).transpose(2, 1, 0))
    assert facets.size == len(corners)
    return facets


def rectangle(x1: float, y1: float, x2: float, y2: float, w: float = 1.0) -> list[tuple[float, float, float]]:
    return [(x1, y2, w), (x2, y2, w), (x2, y1, w), (x1, y1, w)]


def target(*corners: list[tuple[float, float, float]], hides: bool = True) -> Target:
    return Target(quads(*corners), np.arange(len(corners)), hides)


def mesh(*corners: list[tuple[float, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    vertices = np.array(corners, float).reshape(-1, 3).T
    first = 4 * np.arange(len(corners))[:, None, None]
    return vertices, (first + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)


def seen(*targets: Target, others: tuple = NO_MESH, scale: float = 1.0) -> list[Seen]:
    return Sight(targets, [others]).seen()


def test_nothing_hides_a_lone_surface() -> None:
    [(box, area)] = seen(target(rectangle(3.0, 5.0, 11.0, 7.0)))
    assert box == pytest.approx([3.0, 5.0, 11.0, 7.0]) and area == pytest.approx(16.0)


@pytest.mark.parametrize("size", [0.1, 1.0, 30.0])
def test_a_surface_in_front_hides_and_one_behind_does_not(size: float) -> None:
    back = target(rectangle(3.0 * size, 5.0 * size, 11.0 * size, 7.0 * size))
    nearer, farther = (mesh(rectangle(0.0, 0.0, 5.0 * size, 9.0 * size, w)) for w in (1.1, 0.9))
    [(box, area)] = seen(back, others=nearer)
    assert box == pytest.approx([5.0 * size, 5.0 * size, 11.0 * size, 7.0 * size], abs=1e-3 * size)
    assert area == pytest.approx(12.0 * size**2, rel=0.03)
    [(box, area)] = seen(back, others=farther)
    assert box == pytest.approx([3.0 * size, 5.0 * size, 11.0 * size, 7.0 * size])
    assert area == pytest.approx(16.0 * size**2)


def test_targets_hide_one_another_by_depth_and_may_be_hidden_wholly() -> None:
    near, far = target(rectangle(0.0, 0.0, 10.0, 10.0, 2.0)), target(rectangle(2.0, 2.0, 8.0, 8.0, 1.0))
    assert seen(far, near) == [Seen(None, 0.0), Seen(pytest.approx([0.0, 0.0, 10.0, 10.0]), pytest.approx(100.0))]
    unseen = near._replace(hides=False)
    assert seen(far, unseen)[0] == Seen(pytest.approx([2.0, 2.0, 8.0, 8.0]), pytest.approx(36.0))


@pytest.mark.parametrize("thick", [0.5, 0.01, 0.001])
def test_a_thin_strip_that_is_seen_counts_in_full(thick: float) -> None:
    # All right of x = 4 is hidden, but for a strip along the upper edge.
    [(box, area)] = seen(target(rectangle(0.0, 0.0, 20.0, 6.0)), others=mesh(rectangle(4.0, thick, 30.0, 9.0, 1.5)))
    assert box == pytest.approx([0.0, 0.0, 20.0, 6.0])
    assert area == pytest.approx(24.0 + 16.0 * thick, rel=0.05)


def test_facets_of_one_surface_leave_no_crack_between_them() -> None:
    corners = np.linspace(0.0, 1.0, 14) ** 2 * 20.0 / 3.0
    fan = [[(x1, 8.0, 2.0), (x2, 8.0, 2.0), (10.0 / 3.0, -1.0, 2.0)] for x1, x2 in pairwise(corners)]
    vertices = np.array(fan).reshape(-1, 3).T
    hider = vertices, np.arange(vertices.shape[1]).reshape(-1, 3)
    [(box, area)] = seen(target(rectangle(3.0, 1.0, 3.6, 2.0)), others=hider)
    assert (box, area) == (None, 0.0)


def test_surfaces_that_cross_hide_each_other_in_part() -> None:
    # Both are 10 px square and flat; one is level, the other rises from left to right through it at x = 4.
    level = target(rectangle(0.0, 0.0, 10.0, 10.0, 1.0))
    rising = [(x, y, 1.0 + 0.1 * (x - 4.0)) for x, y, _ in rectangle(0.0, 0.0, 10.0, 10.0)]
    found = seen(level, target(rising))
    assert [each.box for each in found] == [
        pytest.approx([0.0, 0.0, 4.0, 10.0], abs=0.005),
        pytest.approx([4.0, 0.0, 10.0, 10.0], abs=0.005),
    ]
    assert [each.area for each in found] == pytest.approx([40.0, 60.0], rel=0.03)


def test_pieces_that_overlap_count_once() -> None:
    [(box, area)] = seen(target(rectangle(0.0, 0.0, 6.0, 4.0), rectangle(4.0, 0.0, 10.0, 4.0, 1.2)))
    assert box == pytest.approx([0.0, 0.0, 10.0, 4.0]) and area == pytest.approx(40.0)


def test_a_lens_moves_what_is_seen_and_an_edge_may_end_between_its_corners() -> None:
    # Columns bulge to the right by up to 1 px in the middle of the picture's height.
    def bent(points: np.ndarray) -> np.ndarray:
        return points + np.stack([1.0 - ((points[..., 1] - 20.0) / 20.0) ** 2, np.zeros_like(points[..., 0])], axis=-1)

    hider = mesh(rectangle(-50.0, -50.0, 12.0, 90.0, 1.5))
    [(box, _)] = Sight([target(rectangle(8.0, 10.0, 30.0, 30.0))], [hider], bent).seen()
    assert box == pytest.approx([12.75, 10.0, 31.0, 30.0], abs=0.02)


def test_a_mask_shows_what_is_at_the_pixels_centres() -> None:
    near, far = target(rectangle(2.6, 1.4, 6.4, 3.6, 2.0)), target(rectangle(0.4, 0.6, 9.6, 2.4, 1.0))
    drawn = Sight([near, far, far._replace(hides=False)], [NO_MESH]).draw(np.array([7, 9, 0], np.uint16), 8, 5, 1)
    assert drawn.dtype == np.uint16
    assert drawn.tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [9, 9, 9, 7, 7, 7, 9, 9],
        [0, 0, 0, 7, 7, 7, 0, 0],
        [0, 0, 0, 7, 7, 7, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_a_finer_mask_shows_what_covers_most_of_a_pixel() -> None:
    # The strip lies beside the centres of the pixels of its row, and covers 0.4 of each; three quarters of a corner.
    targets = [target(rectangle(0.0, 0.0, 4.0, 0.4)), target(rectangle(0.0, 2.25, 1.75, 4.0))]
    sight = Sight(targets, [NO_MESH])
    assert sight.draw(np.array([1, 2], np.uint16), 4, 4, 1)[0].tolist() == [0, 0, 0, 0]
    assert sight.draw(np.array([1, 2], np.uint16), 4, 4, 4).tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [2, 2, 0, 0],
        [2, 2, 0, 0],
    ]
