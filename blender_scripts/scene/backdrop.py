"""The user's photographs on the table under the part, as Blender images."""

from __future__ import annotations

import bpy

from blender_scripts.contract.cad_file import FileProblem
from blender_scripts.contract.connector import Connector
from blender_scripts.contract.photographs import Photograph

# Images are named after their bytes; one stays loaded from row to row.
_NAME = "photograph "


def image_of(photograph: Photograph) -> bpy.types.Image:
    """Load a photograph into Blender as an sRGB image; images of other photographs are removed from memory.

    Raises:
        FileProblem: the file has changed since the scene was read, or Blender cannot decode it.
    """
    name = f"{_NAME}{photograph.sha256[:40]}"
    bpy.data.batch_remove([image for image in bpy.data.images if image.name.startswith(_NAME) and image.name != name])
    image = bpy.data.images.get(name)
    if image is None:
        photograph.content()
        image = bpy.data.images.load(str(photograph.path))
        image.name = name
        image.colorspace_settings.name = "sRGB"
        # Decoded when its size is asked for.
        if tuple(image.size) != (photograph.width, photograph.height):
            raise FileProblem(photograph.name, "a picture that Blender can decode", "a damaged file")
    return image


def check_photographs_in_blender(connector: Connector) -> None:
    """Check that Blender can decode every photograph of a scene.

    Raises:
        InputError: a photograph cannot be decoded, or has changed since the scene was read.
    """
    for photograph in connector.backdrop.photographs if connector.backdrop else ():
        image_of(photograph)
