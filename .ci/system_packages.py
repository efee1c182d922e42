"""Check for system libraries and programs that pip cannot install; install missing ones as root, or name them.

    .venv/bin/python .ci/system_packages.py            the libraries that bpy loads
    .venv/bin/python .ci/system_packages.py --blender  also a `blender` executable with numpy, for the tests

Exit codes: 0 nothing is missing, 1 something is missing and the user is not root (or apt-get failed).
"""

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

# Shared libraries that bpy links to and its wheel lacks, with the Debian package of each.
BPY_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libICE.so.6": "libice6",
    "libSM.so.6": "libsm6",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libXrender.so.1": "libxrender1",
    "libXt.so.6": "libxt6",
    "libxkbcommon.so.0": "libxkbcommon0",
}
# Without --python-exit-code Blender exits with 0 after an exception in Python.
BLENDER_PROBE = ["-b", "--factory-startup", "--python-exit-code", "3", "--python-expr", "import numpy, tomllib"]


def loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing_packages(with_blender: bool) -> list[str]:
    """Names of the Debian packages whose libraries or programs are missing on this machine."""
    packages = [package for library, package in BPY_LIBRARIES.items() if not loads(library)]
    if with_blender:
        blender = os.environ.get("PINSIGHT_BLENDER") or shutil.which("blender")
        if blender is None:
            packages += ["blender", "python3-numpy"]
        elif not blender_works(blender):
            packages.append("python3-numpy")
    return packages


def blender_works(blender: str) -> bool:
    """Whether this executable runs and its Python has tomllib (3.11 or newer) and numpy."""
    try:
        probe = subprocess.run([blender, *BLENDER_PROBE], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return False
    return probe.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blender", action="store_true", help="also check for a Blender whose Python has numpy")
    with_blender = parser.parse_args().blender
    chosen = os.environ.get("PINSIGHT_BLENDER")
    if with_blender and chosen and not blender_works(chosen):
        print(
            f"PINSIGHT_BLENDER={chosen}: expected a Blender that runs, with Python 3.11 or newer and numpy, got "
            "another",
            file=sys.stderr,
        )
        return 1
    packages = missing_packages(with_blender)
    if not packages:
        return 0
    reason = "libraries or programs that rendering needs"
    install = Path(__file__).with_name("install_packages")
    if subprocess.run([install, reason, *packages], check=False).returncode != 0:
        return 1
    if still := missing_packages(with_blender):
        print(f"installed, but their libraries still do not load: {' '.join(still)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
