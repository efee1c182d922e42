"""The renderer: what runs inside Blender's own Python, with the standard library, numpy and bpy only."""
