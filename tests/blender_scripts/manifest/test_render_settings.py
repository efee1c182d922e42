"""How many light paths a picture gets on which grid, and the text of the settings that is hashed."""

import pytest

from blender_scripts.manifest.render_settings import CPU, MOST_FINE_PX, RenderSettings, sampling

SETTINGS = RenderSettings(CPU, True, 1, ("depth",))
SMALL = "cycles CPU bounces 3 denoise 1 mask 1 depth"


@pytest.mark.parametrize(
    ("samples", "fine"),
    [(1, (1.0, 1)), (2, (1.25, 1)), (5, (1.5, 1)), (7, (1.5, 2)), (8, (1.75, 2)), (12, (2.0, 2)), (64, (2.0, 8))],
)
def test_a_picture_whose_finer_grid_is_too_large_gets_all_light_paths(samples: int, fine: tuple[float, int]) -> None:
    scale, paths = sampling(256, 128, samples)
    assert (scale, paths) == fine
    width = int(MOST_FINE_PX / scale**2) // 32
    assert sampling(width, 32, samples) == fine and sampling(width + 1, 32, samples) == (1.0, samples)


def test_only_pictures_on_their_own_grid_have_another_hash_than_before() -> None:
    # The text is a part of row_sha256: another one renders finished rows again.
    assert SETTINGS.text(2048, 2048, 16) == SETTINGS.text(4096, 4096, 1) == SMALL
    assert SETTINGS.text(2048, 2049, 16) == SETTINGS.text(4096, 4096, 2) == f"{SMALL} own grid"
    assert SETTINGS._replace(denoised=False).text(4096, 4096, 16) == SMALL.replace("denoise 1", "denoise 0")
