"""Attention maps against their network, scores against values worked out by hand, and the command."""

import json

import pytest
import torch
from PIL import Image

from tests.trainer.conftest import dying_in_epoch
from trainer.attention import main
from trainer.core import console, run_folder
from trainer.core.data import housing_box
from trainer.core.split import IGNORED
from trainer.evaluate import main as evaluate
from trainer.vit import attention
from trainer.vit.attention_maps import METHODS, maps_of, recording, shares
from trainer.vit.attention_scores import centre_map, entropy, scores, summary
from trainer.vit.attention_sheets import overlay
from trainer.vit.command import main as train
from trainer.vit.network.model import ViT, ViTConfig

GRID = (4, 8)
FLAT = torch.full((1, *GRID), 1 / 32)
NG, OK = torch.tensor([0]), torch.tensor([2])


@pytest.fixture(params=[{}, {"registers": 3, "stem": "linear", "positions": "learned"}], ids=["own", "other"])
def network(request) -> ViT:
    torch.manual_seed(0)
    return ViT(ViTConfig(("BENDNG", "NUKENG", "OK"), 64, 32, dim=32, depth=2, heads=2, **request.param)).eval()


def test_recording_changes_no_answer_and_leaves_nothing_behind(network):
    pixels = torch.rand(2, 3, 32, 64)
    with torch.no_grad():
        before = network(pixels).logits
        with recording(network) as layers:
            during = network(pixels).logits
            assert all(torch.allclose(a.recorded.sum(-1), torch.ones(())) for a in layers)
        after = network(pixels).logits
    assert torch.allclose(before, during, atol=1e-5) and torch.equal(before, after)
    assert not any({"forward", "recorded"} & set(vars(layer)) for layer in layers)


def test_maps_are_shares_of_one_and_leave_no_gradients(network):
    found = maps_of(network, torch.rand(3, 3, 32, 64))
    assert set(found) == set(METHODS)
    for maps in found.values():
        assert maps.shape == (3, *GRID) and (maps >= 0).all()
        assert torch.allclose(maps.sum((1, 2)), torch.ones(3), atol=1e-5)
    assert all(p.grad is None for p in network.parameters())


def test_a_map_does_not_depend_on_the_pictures_beside_it(network):
    pixels = torch.rand(3, 3, 32, 64)
    together, alone = maps_of(network, pixels), maps_of(network, pixels[1:2])
    assert all(torch.allclose(together[m][1], alone[m][0], atol=1e-5) for m in METHODS)


def test_no_evidence_is_a_flat_map():
    assert torch.equal(shares(torch.zeros(1, *GRID)), FLAT)


def one_box(category: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Row 1, columns 2 and 3 of the grid of 8 px patches; a second, empty, box as padding."""
    return torch.tensor([[[16.0, 8.0, 32.0, 16.0], [0, 0, 0, 0]]]), torch.tensor([[category, IGNORED]])


def test_a_flat_map_has_ratio_one_and_hits_as_often_as_chance():
    (row,) = scores(FLAT, *one_box(0), NG, 2, 8)
    assert row["energy_ratio"] == pytest.approx(1) and row["hit"] == pytest.approx(2 / 32)
    assert row["entropy"] == pytest.approx(1) and row["on_pins"] == pytest.approx(2 / 32)


def test_pins_housing_and_background_share_the_map():
    """The housing covers rows 0 to 2 and columns 1 to 5 of 4 x 8 patches, its pins two of them; one is cut in half."""
    (row,) = scores(FLAT, *one_box(0), NG, 2, 8, torch.tensor([[8.0, 0, 44, 24]]))
    assert row["on_housing"] == pytest.approx((3 * 4.5 - 2) / 32)
    (row,) = scores(FLAT, *one_box(0), NG, 2, 8, torch.zeros(1, 4))
    assert row["on_housing"] is None and row["on_pins"] is not None
    assert summary([row])["on_housing"] is None


def test_the_housing_s_box_is_scaled_with_the_picture():
    row = {"housing_bbox": [10.0, 5.0, 60.0, 40.0], "width": 100, "height": 50}
    assert housing_box(row, (200, 200)) == [20, 60, 140, 140]  # scaled by 2, centred
    assert housing_box({**row, "housing_bbox": None}, (200, 200)) == [0, 0, 0, 0]


@pytest.mark.parametrize(("place", "hit", "ratio"), [((1, 2), 1, 16), ((0, 0), 0, 0)])
def test_a_single_peak(place, hit, ratio):
    peak = torch.zeros(1, *GRID)
    peak[(0, *place)] = 1
    (row,) = scores(peak, *one_box(1), NG, 2, 8)
    assert (row["hit"], row["energy_ratio"]) == (hit, pytest.approx(ratio))
    assert row["entropy"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("category", [2, IGNORED])
def test_without_an_ng_box_nothing_is_hit(category):
    found = summary(scores(FLAT, *one_box(category), OK, 2, 8))
    assert found["ng_pictures"] == 0 and found["hit"] is None and found["entropy_ng"] is None
    assert found["entropy_ok"] == pytest.approx(1)


def test_the_entropy_of_ng_needs_no_box():
    found = summary(scores(FLAT, torch.zeros(1, 0, 4), torch.zeros(1, 0), NG, 2, 8))
    assert found["hit"] is None and found["entropy_ok"] is None
    assert found["entropy_ng"] == pytest.approx(1)


def test_the_centre_map_is_a_bell():
    bell = centre_map((5, 9))
    assert bell.sum() == pytest.approx(1) and bell.argmax() == 2 * 9 + 4
    assert entropy(bell[None])[0] < 1


def test_a_flat_map_is_not_drawn():
    pixels = torch.full((3, 32, 64), 90, dtype=torch.uint8)
    shown = overlay(pixels, FLAT[0], 8, torch.zeros(0, 4))
    assert shown.getcolors() == [(shown.width * shown.height, (90, 90, 90))]


def test_command_shows_and_scores(trained_run, tiny_dataset, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--model", str(trained_run), "--data", str(tiny_dataset), "-o", str(out), "--split", "train"]
    assert main([*options, "--weights", "best", "last", "--probes", "3"]) == 0
    document = json.loads((out / "attention.json").read_text("utf-8"))
    assert document["pictures"] == 12 and document["weights"]["best"]["patches"]["ng_pictures"] == 8
    # It learned these by heart, from boxes: its patches must point at them.
    assert document["weights"]["best"]["patches"]["hit"] >= 0.75
    assert document["baselines"]["uniform"]["energy_ratio"] == pytest.approx(1)
    for name in ("attention_best.png", "attention_last.png", "curves.png"):
        with Image.open(out / name) as picture:
            assert min(picture.size) > 200
    with Image.open(out / "attention.gif") as animation:
        # Equal frames are stored once: best and last may be the same epoch.
        assert animation.n_frames in (1, 2)  # type: ignore[attr-defined]
    assert "hit" in capsys.readouterr().out


def test_stages_are_looked_at_during_training_with_the_same_pictures(tiny_dataset, small_options, tmp_path, capsys):
    run = tmp_path / "run"
    given = ["--data", str(tiny_dataset), "--out", str(run), "--epochs", "4", "--close-ups", "0.25"]
    with dying_in_epoch(2):
        assert train([*given, *small_options, "--no-check", "--stages", "1,3"]) == 1
    assert (run / "stages" / "00001" / "attention.png").is_file() and not (run / "attention").exists()
    assert train([*given, *small_options, "--no-check", "--stages", "1,3", "--resume"]) == 0
    document = json.loads((run / "attention" / "attention.json").read_text("utf-8"))
    assert list(document["weights"]) == ["1", "3", "best"] and len(document["probes"]) == 6
    for epoch in (1, 3):
        folder = run / "stages" / f"{epoch:05d}"
        assert json.loads((folder / "attention.json").read_text("utf-8")) == document["weights"][str(epoch)]
        sheet = (run / "attention" / f"attention_{epoch}.png").read_bytes()
        assert sheet == (folder / "attention.png").read_bytes()
    with Image.open(run / "attention" / "attention.gif") as animation:
        assert animation.n_frames == 3  # type: ignore[attr-defined]
    # The command gives the same for the finished run.
    again = ["--model", str(run), "--data", str(tiny_dataset), "-o", str(tmp_path / "again"), "--stages"]
    assert main(again) == 0
    assert json.loads((tmp_path / "again" / "attention.json").read_text("utf-8")) == document


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--stages"], "--stages: expected copies of the run in"),
        (["--split", "nowhere"], "nowhere"),
        (["--weights", "no_such.safetensors"], "no_such"),
        (["--weights", "best", "best"], "twice"),
    ],
)
def test_wrong_requests_are_refused(trained_run, tiny_dataset, options, said, capsys):
    assert main(["--model", str(trained_run), "--data", str(tiny_dataset), *options]) == 2
    assert said in capsys.readouterr().err


def test_one_split_is_enough_and_a_person_s_files_stay(trained_run, make_dataset, make_rows, tmp_path, capsys):
    data = make_dataset(tmp_path / "data", {"test": make_rows("test", 6, 3)})
    out = tmp_path / "out"
    words = ["--model", str(trained_run), "--data", str(data), "--split", "test", "--probes", "3", "-o"]
    out.mkdir()
    (out / "curves.png").write_bytes(b"mine")
    assert main([*words, str(out)]) == 0
    assert main([*words, str(out), "--weights", "last"]) == 0
    assert {path.name for path in out.iterdir()} == {"attention.json", "attention_last.png", "curves.png"}
    assert (out / "curves.png").read_bytes() == b"mine"
    assert main([*words, str(out), "--weights", "best", "last"]) == 2
    assert "got other files, whose names the results need: curves.png; give another --out" in capsys.readouterr().err
    assert main([*words, str(trained_run)]) == 2
    assert "expected another folder than the run's (--model)" in capsys.readouterr().err
    assert (trained_run / "curves.png").is_file() and not (trained_run / "attention.json").exists()


def test_the_commands_show_how_far_they_are(trained_run, tiny_dataset, tmp_path, monkeypatch):
    counted = []

    class Bar:
        def __init__(self, total, disable, **_):
            if disable is None:  # shown on a terminal only
                counted.append([total, 0])
                self.count = counted[-1]
            else:
                self.count = [0, 0]

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def close(self):
            pass

        @staticmethod
        def write(text, file):
            print(text, file=file)

        def update(self, n):
            self.count[1] += n

    for module in (attention, console):
        monkeypatch.setattr(module, "tqdm", Bar)
    words = ["--model", str(trained_run), "--data", str(tiny_dataset), "--out"]
    assert main([*words, str(tmp_path / "attention")]) == 0
    assert evaluate([*words, str(tmp_path / "evaluation")]) == 0
    assert counted == [[6 * 4, 6 * 4], [6, 6]]


def test_weights_of_another_network_are_refused(trained_run, tiny_dataset, network, tmp_path, capsys):
    run_folder.save_tensors(tmp_path / "other.safetensors", network.state_dict(), {})
    weights = str(tmp_path / "other.safetensors")
    assert main(["--model", str(trained_run), "--data", str(tiny_dataset), "--weights", weights]) == 2
    assert "unknown tensor" in capsys.readouterr().err
