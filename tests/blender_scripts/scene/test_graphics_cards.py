"""Graphics cards: which are found, chosen and named; Cycles' own list of devices is replaced, so no card is needed."""

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_code

# A machine with these cards: (name, kind) as `_cycles.available_devices` lists them.
_CODE = """
import json, os, sys
sys.path.insert(0, {root!r})
import bpy
import _cycles
from blender_scripts.contract.errors import InputError
bpy.ops.wm.read_factory_settings(use_empty=True)
cpu = _cycles.available_devices("CPU")
cards = {cards!r}
def listed(kind):
    return tuple((name, of, f"{{of}}_{{name}}", *cpu[0][3:]) for name, of in cards if of == kind) + cpu
_cycles.available_devices = listed
kinds = ("CUDA", "OPTIX", "HIP", "METAL", "ONEAPI")
count = len(_cycles.get_device_types())
_cycles.get_device_types = lambda: tuple(kind in {kinds!r} for kind in kinds) + (False,) * (count - len(kinds))
from pathlib import Path
from blender_scripts.scene import graphics_cards
from blender_scripts.scene.path_tracer import PathTracer
answer = {{"described": graphics_cards.described(graphics_cards.interfaces())}}
try:
    tracer = PathTracer(Path("."), gpu=True)
    preferences = bpy.context.preferences.addons["cycles"].preferences
    answer["kind"] = preferences.compute_device_type
    answer["used"] = sorted(device.id for device in preferences.devices if device.use)
    answer["device"] = bpy.context.scene.cycles.device
    answer["by"] = tracer.device
except InputError as error:
    answer["refused"] = error.problems
print("ANSWER" + json.dumps(answer), flush=True)
os._exit(0)
"""


def found(engine: str, kinds: tuple[str, ...], cards: list[tuple[str, str]], scratch: Path) -> dict:
    """What the renderer makes of a machine with these cards under a Blender that supports these kinds."""
    code = _CODE.format(root=str(ROOT), cards=cards, kinds=kinds)
    done = run_code(engine, code, scratch)
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert lines, done.stderr
    return json.loads(lines[0].removeprefix("ANSWER"))


@pytest.mark.parametrize("engine", ["bpy", "blender"])
def test_all_cards_of_the_fastest_interface_are_used(engine: str, tmp_path: Path) -> None:
    cards = [("L4", "CUDA"), ("L4", "OPTIX"), ("A2", "OPTIX"), ("W7900", "HIP")]
    answer = found(engine, ("CUDA", "OPTIX", "HIP"), cards, tmp_path)
    assert answer["described"] == "OptiX: L4, A2; CUDA: L4; HIP: W7900"
    # Not the CPU beside them, and no card twice through another interface.
    assert answer["used"] == ["OPTIX_A2", "OPTIX_L4"]
    assert (answer["kind"], answer["device"]) == ("OPTIX", "GPU")
    assert answer["by"] == "OPTIX"


@pytest.mark.parametrize(
    ("kinds", "cards", "chosen"),
    [
        (("CUDA", "OPTIX"), [("GTX 970", "CUDA")], "CUDA"),
        (("CUDA", "HIP", "ONEAPI"), [("Arc A770", "ONEAPI")], "ONEAPI"),
        # The build does not support the card's faster interface.
        (("CUDA",), [("L4", "OPTIX"), ("L4", "CUDA")], "CUDA"),
    ],
)
def test_an_interface_without_card_is_skipped(
    kinds: tuple[str, ...], cards: list[tuple[str, str]], chosen: str, tmp_path: Path
) -> None:
    assert found("bpy", kinds, cards, tmp_path)["kind"] == chosen


@pytest.mark.parametrize("engine", ["bpy", "blender"])
@pytest.mark.parametrize(("kinds", "named"), [(("CUDA", "HIP"), "CUDA, HIP"), ((), "no kind of card")])
def test_without_a_card_the_message_names_what_was_looked_for(
    engine: str, kinds: tuple[str, ...], named: str, tmp_path: Path
) -> None:
    (message,) = found(engine, kinds, [], tmp_path)["refused"]
    assert message.startswith("--device gpu: expected a graphics card, got none (Blender ")
    assert f" supports {named})" in message
