"""The study of the search: its manifest, its composites' truth, and its tables of made outcomes."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from blender_scripts.contract.connector import read_connector
from blender_scripts.manifest.reader import read_manifest
from generator.locating.search import SearchResult
from studies.gauge_rr import PAGE, ROOT
from studies.gauge_search import outcome_of, tables
from studies.page import marked
from studies.search_pictures import BACKGROUNDS, HEIGHT, WIDTH, Composite, Part, composite, manifest
from tests.generator.locating.drawn_photographs import camera_of, drawing_of, tips_of
from tests.generator.locating.exact_finder import PITCH_PX

CONNECTOR = read_connector(ROOT / "scenes" / "connector_3x9.toml")
DRAWING = drawing_of("connector_3x9")


def test_the_manifest_can_be_rendered(tmp_path):
    path = tmp_path / "search.csv"
    others = {"dsub_9": read_connector(ROOT / "scenes" / "dsub_9.toml")}
    keys = [("connector_3x9", "plain", "round"), ("connector_3x9", "keyed", "square")]
    path.write_text(manifest(CONNECTOR, keys, others, 20), "utf-8")
    runs = read_manifest(path, ROOT / "scenes").runs
    assert [run.scene for run in runs].count("dsub_9") == 2 and len(runs) == 22
    assert {run.camera for run in runs[:20]} == {"center", "left", "right", "top", "bottom"}
    assert {(run.housing, run.terminal) for run in runs[:20]} == {("plain", "round"), ("keyed", "square")}


def part() -> Part:
    """A part whose tips are white on grey, drawn at the size of the renders."""
    camera = camera_of(DRAWING).resized(2.0, 2.0)
    moved = type(camera)(camera.matrix, camera.fx, camera.fy, 0.5 * WIDTH, 0.5 * HEIGHT, camera.distortion)
    picture = Image.new("RGB", (WIDTH, HEIGHT), (60, 60, 60))
    places = np.array([(each.x_mm, each.y_mm, each.z_mm) for each in DRAWING.positions])
    for x, y in moved.project(places):
        ImageDraw.Draw(picture).ellipse((x - 6, y - 6, x + 6, y + 6), fill=(200, 200, 200))
    return Part(picture, moved, DRAWING, 14.0, False)


@pytest.mark.parametrize("number", range(len(BACKGROUNDS)))
def test_a_composite_shows_the_tips_where_its_truth_says(number):
    plain = Image.new("RGB", (300, 200), (90, 120, 80))
    made = composite([part()], [plain], [plain], PITCH_PX, number, True)
    grey = np.asarray(made.picture.convert("L"), float)
    assert made.background == BACKGROUNDS[number] and made.tips.shape == (27, 2)
    reach = 3.0 * made.scale
    rows, columns = np.indices(grey.shape) + 0.5
    for x, y in made.tips[::5]:
        near = np.hypot(columns - x, rows - y) < 2.2 * reach
        weight = (grey - np.percentile(grey[near], 20)).clip(0) * near
        middle = (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()
        assert np.hypot(middle[0] - x, middle[1] - y) < 0.6
    empty = composite([part()], [plain], [plain], PITCH_PX, number, False)
    assert empty.tips is None and empty.background == made.background


def test_outcomes_are_counted_in_whichever_half_turn_fits():
    tips = tips_of(DRAWING, np.eye(4))
    shown = Composite(Image.new("RGB", (9, 9)), "noise", DRAWING, 1.0, False, tips)
    spread = np.broadcast_to(np.eye(2), (27, 2, 2))
    right, turned = (
        outcome_of(shown, SearchResult((), None, each, spread, 2), 1.0) for each in (tips + 0.3, tips[::-1])
    )
    assert right.error_px == pytest.approx(0.3 * np.sqrt(2)) and right.covered == 1.0
    assert turned.error_px == pytest.approx(0.0)
    lost = outcome_of(shown, SearchResult((), None, tips + 40.0, spread, 2), 1.0)
    refused = outcome_of(shown, SearchResult(("not located: x",)), 1.0)
    empty = outcome_of(Composite(shown.picture, "noise", DRAWING), SearchResult(("not found: y",)), 1.0)
    written = tables([right, turned, lost, refused, empty])
    assert "| all | 4 | 3 of 4 (" in written and "| all | 0 of 1 (" in written
    assert "| 2 of 3 (9.4–99.2 %) | 1 | 0.21 | 100% |" in written
    assert written.split("\n\n")[0] in marked(PAGE.read_text("utf-8"), "gauge search", written)
