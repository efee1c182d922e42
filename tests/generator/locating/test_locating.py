import math

import numpy as np
import pytest
from PIL import Image

from blender_scripts.contract.tolerance import Limits
from blender_scripts.geometry.lens import NO_DISTORTION, Lens
from blender_scripts.geometry.optics import Camera, look_at
from generator.locating.cameras import StationCamera
from generator.locating.judge import judge_pin
from generator.locating.locate import View, shown, sight
from generator.locating.measure import larger_variance, measure
from generator.locating.pose import Points, Pose, find_pose, motion
from generator.locating.scaling import pitch_px, scaled
from generator.locating.triangulation import Place, ViewSights, triangulate
from tests.generator.locating.exact_finder import POSE, ExactFinder, drawing_of

DISTANCE = 120.0
SIGMA_PX = 0.15


def camera(x=0.0, y=0.0, distortion=NO_DISTORTION) -> Camera:
    """A camera 120 mm away, tilted by angles in degrees to the right and up, 256 x 128 px at 0.2 mm a pixel."""
    ax, ay = math.radians(x), math.radians(y)
    place = DISTANCE * np.array([math.sin(ax), math.sin(ay), math.cos(ax) * math.cos(ay)])
    lens = Lens(256, 128, 5.0 * DISTANCE, distortion)
    return Camera("view", look_at(place, np.zeros(3), np.array([0.0, 1.0, 0.0])), lens)


VIEWS = (camera(), camera(x=25.0), camera(y=-25.0, distortion=(-0.2, 0.05, 0.001, -0.001, 0.0)))
GRID = np.array([(x, y, z) for x in (-20.0, -7.0, 6.0, 19.0) for y in (-8.0, 0.0, 8.0) for z in (0.0, 5.0)])


def seen(view: Camera, matrix: np.ndarray, places: np.ndarray, random) -> Points:
    pixels = view.project(places @ matrix[:3, :3].T + matrix[:3, 3])
    noise = random.normal(0.0, SIGMA_PX, pixels.shape)
    return Points(view, places, pixels + noise, np.broadcast_to(SIGMA_PX**2 * np.eye(2), (len(places), 2, 2)))


TRUE = motion(np.array([0.02, -0.03, 0.05, 1.5, -0.8, 0.6]))


@pytest.mark.parametrize("views", [VIEWS[:1], VIEWS[:2], VIEWS])
def test_pose_errors_are_what_its_covariance_says(views):
    random = np.random.default_rng(2)
    scores = []
    for _ in range(60):
        pose = find_pose([seen(view, TRUE, GRID, random) for view in views])
        left = pose.matrix @ np.linalg.inv(TRUE)
        turn = np.array([left[2, 1] - left[1, 2], left[0, 2] - left[2, 0], left[1, 0] - left[0, 1]]) / 2.0
        off = np.concatenate([turn, left[:3, 3]])
        scores.append(off @ np.linalg.inv(pose.covariance) @ off)
    # Chi-square with 6 degrees of freedom: mean 6, its standard error over 60 draws 0.45.
    assert np.mean(scores) == pytest.approx(6.0, abs=1.8)
    assert pose.residual == pytest.approx(1.0, abs=0.25)


def test_a_quarter_of_wrong_points_hardly_moves_the_pose():
    random = np.random.default_rng(3)
    points = [seen(view, TRUE, GRID, random) for view in VIEWS]
    for one in points:
        one.pixels[::4] += random.uniform(4.0, 8.0, (len(one.pixels[::4]), 2))
    pose = find_pose(points)
    assert np.abs(pose.to_station(GRID) - (GRID @ TRUE[:3, :3].T + TRUE[:3, 3])).max() < 0.3
    assert 0.5 < pose.inliers < 0.9


@pytest.mark.parametrize("places", [GRID[:2], np.linspace([0, 0, 0], [10, 0, 0], 8)])
def test_points_that_do_not_determine_a_pose_are_refused(places):
    with pytest.raises(ValueError, match="do not determine"):
        find_pose([seen(VIEWS[0], TRUE, places, np.random.default_rng(0))])


WIDE = np.diag([1.0, 1.0, 1.0]) ** 2


def tip(views, place, pose, random, prior) -> Place:
    """The place as found by views whose pixels err, with what is known beforehand: mean and covariance."""
    sights = [
        ViewSights(
            view,
            (view.project(pose.to_station(place)) + random.normal(0, SIGMA_PX, 2))[None],
            SIGMA_PX**2 * np.eye(2)[None],
        )
        for view in views
    ]
    return triangulate(sights, pose, prior[0][None], prior[1])[0]


def exact(matrix=TRUE) -> Pose:
    return Pose(matrix, np.zeros((6, 6)), 1.0, 1.0)


def test_three_views_determine_a_tip_and_say_how_well():
    random = np.random.default_rng(5)
    place, prior = np.array([15.4, -6.2, 6.3]), (np.array([15.0, -6.0, 7.0]), 25.0 * WIDE)
    found = [tip(VIEWS, place, exact(), random, prior) for _ in range(200)]
    offs = np.array([one.mean - place for one in found])
    assert all(one.determined.all() for one in found)
    expected = np.sqrt(np.diag(found[0].covariance))
    assert np.abs(offs.mean(axis=0)).max() < 0.02
    assert offs.std(axis=0) == pytest.approx(expected, rel=0.2)
    assert expected[2] < 0.08


def test_a_centre_view_alone_does_not_determine_height():
    random = np.random.default_rng(6)
    place, prior = np.array([15.4, -6.2, 6.3]), (np.array([15.0, -6.0, 7.0]), WIDE)
    found = tip(VIEWS[:1], place, exact(), random, prior)
    assert found.determined.tolist() == [True, True, False]
    # Not knowing the height by 1 mm moves the tip by |x| / D along its ray: that belongs to the uncertainty of x.
    sigma_x = math.sqrt(found.covariance[0, 0])
    assert sigma_x == pytest.approx(math.hypot(SIGMA_PX / 5.0, 15.4 / DISTANCE), rel=0.15)
    assert abs(found.mean[0] - place[0]) < 3.0 * sigma_x


def test_uncertainty_of_the_pose_is_shared_by_a_tip():
    random = np.random.default_rng(7)
    covariance = np.diag([0.0, 0.0, 0.0, 0.1, 0.0, 0.0]) ** 2
    loose = Pose(np.eye(4), covariance, 1.0, 1.0)
    place = np.array([3.0, 2.0, 6.0])
    free = tip(VIEWS, place, exact(np.eye(4)), random, (place, 25.0 * WIDE))
    held = tip(VIEWS, place, loose, random, (place, 25.0 * WIDE))
    added = held.covariance - free.covariance
    assert math.sqrt(added[0, 0]) == pytest.approx(0.1, rel=0.02)
    assert abs(added[1, 1]) < 1e-6


def test_without_a_view_the_prior_is_returned():
    found = triangulate([], exact(), np.array([[1.0, 2.0, 3.0]]), WIDE)[0]
    assert found.mean.tolist() == [1.0, 2.0, 3.0] and not found.determined.any()


@pytest.mark.parametrize("views", [2, 3, 5])
def test_views_that_contradict_each_other_enlarge_the_uncertainty(views):
    random = np.random.default_rng(11)
    stated = random.chisquare(2 * views - 3, (400, 27))
    there, views = np.ones(27, bool), np.full(27, views)
    factors = np.array([larger_variance(each, there, views) for each in stated])
    assert np.median(factors) == 1.0 and factors.mean() < 1.2
    # Errors twice as large as stated, in all pins of a part: four times the variance.
    twice = np.array([larger_variance(4.0 * each, there, views) for each in stated])
    assert np.median(twice) == pytest.approx(4.0 / 1.2, rel=0.2)
    # One pin alone, of which most pictures show another: only its own grows.
    one = stated[0].copy()
    one[4] = 300.0
    alone = larger_variance(one, there, views)
    assert alone[4] > 20.0 and np.delete(alone, 4).max() < 4.0
    assert (larger_variance(stated[0], there, np.ones(27, int)) == 1.0).all()
    # A pin that one view alone shows is judged by its part's other pins.
    fewer = np.where(np.arange(27) == 4, 1, views)
    assert larger_variance(one, there, fewer)[4] == larger_variance(one, there, fewer).min() < 2.0


def test_a_picture_is_resampled_in_linear_light():
    drawing = drawing_of()
    camera = StationCamera.nominal(drawing.cameras["center"], 512, 256)
    stripes = np.zeros((256, 512, 3), np.uint8)
    stripes[:, ::2] = 255  # as much light as half of the full light, of which the sRGB code is 188
    wanted = pitch_px(drawing, StationCamera.nominal(drawing.cameras["center"], 256, 128))
    pixels, half, ratio = scaled(Image.fromarray(stripes), drawing, camera, wanted)
    assert pixels.shape == (128, 256, 3) and ratio == 0.5 and np.abs(pixels[8:-8, 8:-8].astype(int) - 188).max() <= 1
    assert half.project(np.zeros((1, 3))) == pytest.approx(0.5 * camera.project(np.zeros((1, 3))))


def test_pins_beyond_the_picture_s_edge_are_not_seen_and_never_conform():
    drawing = drawing_of()
    finder = ExactFinder(drawing, ("center",))
    pins, view = np.arange(finder.queries.pins), finder.cameras[0]
    tips = view.project(finder.queries.marks[pins] @ POSE[:3, :3].T + POSE[:3, 3])
    width = int(np.mean(np.sort(tips[:, 0])[[-4, -3]]))  # the last column of three pins is cut off
    pose = Pose(POSE, np.zeros((6, 6)), 1.0, 1.0)
    cut_off = tips[:, 0] > width
    for right in (width, width + 60):
        picture = View("center", np.zeros((128, right, 3), np.uint8), view)
        seen = shown(sight(picture, finder.queries, finder, POSE, pins), finder.queries, POSE)
        assert (seen.sees(0) == (tips[:, 0] <= right)).all()
        measured = measure([seen], finder.queries, pose)
        for pin, is_out in zip(measured, cut_off & (right == width), strict=True):
            decisions = judge_pin(pin, Limits(0.8, 0.6, 0.6)).decisions
            expected = ("undecided", "not_seen") if is_out else ("conform", "conform")
            assert (decisions["presence"], decisions["true_position"]) == expected
    assert cut_off.sum() == 3


def test_presence_is_that_of_the_views_that_show_the_pin():
    drawing = drawing_of()
    finder = ExactFinder(drawing, ("center", "top"), {"r1c9": None})
    pins, sought, pose = np.arange(finder.queries.pins), finder.queries, Pose(POSE, np.zeros((6, 6)), 1.0, 1.0)
    seen = []
    for number, view in enumerate(finder.cameras):
        tips = view.project(sought.marks[pins] @ POSE[:3, :3].T + POSE[:3, 3])
        width = int(np.mean(np.sort(tips[:, 0])[[-4, -3]])) if number else 256
        picture = View(("center", "top")[number], np.full((128, width, 3), number, np.uint8), view)
        seen.append(shown(sight(picture, sought, finder, POSE, pins), sought, POSE))
    present = np.array([each.present for each in measure(seen, sought, pose)])
    addresses = [each.address for each in drawing.positions]
    missing = np.array(addresses) == "r1c9"
    assert not seen[1].sees(0)[missing].any() and present[missing].max() < 1e-5 and present[~missing].min() > 0.999
