"""What a gauge's training showed, and parts that are unlike it."""

import io
from types import SimpleNamespace

import numpy as np
import pytest

from blender_scripts.contract.errors import InputError
from generator.locating.cameras import StationCamera
from generator.locating.crops import Crops
from generator.locating.landmarks import queries
from generator.locating.likeness import Likeness, Looks, ViewLikeness, looks_of, pin_colour
from generator.locating.locate import FoundPoints, Sighting, View, located, placing_deviations, spread
from generator.locating.scaling import scaled
from tests.generator.locating.exact_finder import PITCH_PX, ExactFinder, drawing_of, grey

KEYS = frozenset({("a", "plain", "round"), ("a", "ribbed", "square"), ("b", "plain", "flat")})
TIN, GOLD = np.array([0.005, 0.002]), np.array([0.06, 0.125])


def looks(colour: np.ndarray, count: int, seed: int, shift: float = 0.0) -> list[Looks]:
    """Parts of one colour; their features vary in four of twelve directions."""
    source = np.random.default_rng(seed)
    directions = np.random.default_rng(0).normal(0, 1, (4, 12))
    return [
        Looks(
            colour + source.normal(0, 0.004, 2),
            (source.normal(0, 1, 4) @ directions + source.normal(0, 0.1, 12) + shift).astype(np.float32),
        )
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def likeness() -> Likeness:
    view = ViewLikeness.of(looks(TIN, 100, 1), looks(TIN, 40, 2))
    return Likeness(KEYS, {"center": view, "top": view})


def test_parts_like_those_of_training_pass(likeness):
    parts = looks(TIN, 200, 3)
    assert [likeness.reasons(("a", "plain", "round"), {"center": one, "top": one}) for one in parts] == [[]] * 200


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (looks(GOLD, 1, 4)[0], "unlike training: colour of the pins: "),
        (looks(TIN, 1, 4, shift=6.0)[0], "unlike training: features: "),
    ],
)
def test_another_plating_and_other_features_are_refused_with_the_view(likeness, shown, reason):
    said = likeness.reasons(("a", "plain", "round"), {"center": looks(TIN, 1, 5)[0], "top": shown})
    assert said and all(one.startswith(reason) and one.endswith(" (view top)") for one in said)


def test_a_view_that_was_not_trained_and_a_part_without_pins_are_not_compared(likeness):
    assert not likeness.reasons(("a", "plain", "round"), {"left": looks(GOLD, 1, 4, shift=9.0)[0]})
    assert not likeness.reasons(("a", "plain", "round"), {"top": Looks(None, None)})


@pytest.mark.parametrize(
    ("key", "reasons"),
    [
        (("a", "ribbed", "round"), []),  # each was shown, if not together
        (("a", "keyed", "round"), ["unlike training: housing keyed, in training plain, ribbed (scene a)"]),
        (("a", "plain", "flat"), ["unlike training: terminal flat, in training round, square (scene a)"]),
        (("c", "plain", "round"), ["unlike training: scene c, in training a, b"]),
    ],
)
def test_connectors_are_known_by_name(likeness, key, reasons):
    assert likeness.reasons(key, {}) == reasons


def test_a_saved_likeness_says_the_same(likeness):
    again = Likeness.of_bytes(io.BytesIO(likeness.to_bytes()), "file")
    assert again.trained == likeness.trained and list(again.views) == ["center", "top"]
    for one in (*looks(GOLD, 2, 6), *looks(TIN, 2, 7, shift=6.0)):
        wanted = likeness.reasons(("a", "plain", "round"), {"top": one})
        assert again.reasons(("a", "plain", "round"), {"top": one}) == wanted != []
    for damaged in (b"", b"PK", likeness.to_bytes()[:200]):
        with pytest.raises(InputError, match=r"^file: expected limits of colour and features"):
            Likeness.of_bytes(io.BytesIO(damaged), "file")


def test_the_colour_is_that_of_the_tips_of_pins_that_are_there():
    pixels = np.full((40, 60, 3), 20, np.uint8)
    tips = np.array([(10.4, 10.2), (30.7, 10.9), (50.0, 30.0)])
    for x, y in tips[:2].astype(int):
        pixels[y - 1 : y + 2, x - 1 : x + 2] = (200, 160, 90)
    pixels[29:32, 49:52] = (0, 0, 255)  # of a hole: no pin is there
    found = FoundPoints(np.stack([tips, tips], 1), np.zeros((3, 2, 2, 2)), np.array([0.9, 0.99, 0.1]))
    seen = Sighting(View("center", pixels, SimpleNamespace()), np.arange(3), found, np.ones(3))
    assert pin_colour(seen) == pytest.approx(np.array([40.0, 70.0]) / (450.0 + 10.0))
    assert pin_colour(seen.only(np.array([False, False, True]))) is None


class NumberedFinder(ExactFinder):
    """Its features of a crop are the number of the query, so that they tell which queries are compared."""

    def find(self, crops: Crops) -> FoundPoints:
        return super().find(crops)._replace(features=crops.which[:, None].astype(float))


def test_the_same_edge_points_are_compared_by_any_number_of_views():
    drawing, views = drawing_of(), ["center", "top", "left", "right", "bottom"]
    finder = NumberedFinder(drawing, views)
    cameras = [StationCamera.nominal(drawing.cameras[view], 256, 128) for view in views]
    shown = [
        View(view, *scaled(grey(number), drawing, camera, PITCH_PX)[:2])
        for number, (view, camera) in enumerate(zip(views, cameras, strict=True))
    ]
    for count in (1, 2, 3, 5):
        part = located(shown[:count], queries(drawing), finder, placing_deviations(drawing.placing))
        whole = spread(np.arange(len(drawing.positions), len(queries(drawing).kinds)), 8)
        assert {view: found.tolist() for view, found in part.features.items()} == {
            view: [whole.mean()] for view in views[:count]
        }
        assert set(looks_of(part)) == set(views[:count])


def test_limits_follow_further_parts_as_far_as_allowed(likeness):
    key, view = ("a", "plain", "round"), likeness.views["top"]
    near = looks(TIN + 0.018, 20, 6, shift=0.4)
    wider = Likeness(KEYS, {"top": view.widened(near, 1.5)})
    assert any(likeness.reasons(key, {"top": one}) for one in near)
    assert [wider.reasons(key, {"top": one}) for one in near] == [[]] * 20
    far = view.widened(looks(GOLD, 20, 7, shift=6.0), 1.5)
    assert np.ptp(far.colours, axis=1) == pytest.approx(1.25 * np.ptp(view.colours, axis=1))
    assert far.features.limit == pytest.approx(1.5 * view.features.limit)
    assert Likeness(KEYS, {"top": far}).reasons(key, {"top": looks(GOLD, 1, 8)[0]})


def test_limits_stay_for_parts_that_are_accepted_and_for_few_parts(likeness):
    view = likeness.views["top"]
    for some in (looks(TIN, 9, 3), looks(GOLD, 7, 7, shift=6.0)):
        wider = view.widened(some, 1.5)
        assert np.array_equal(wider.colours, view.colours) and wider.features.limit == view.features.limit
