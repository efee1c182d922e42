"""All that needs Blender. Only this package imports bpy.

renderer.py        Renderer.render: one row to picture, mask and record
stage.py  objects.py  materials.py  lamps.py    a part on its station, built as a Blender scene
path_tracer.py  versions.py    Cycles, and what differs between Blender 3.4 and 5.2
truth.py           the record's `positions` and `other`: boxes, key points, measures
png.py  exr.py  jpeg.py    picture files
blend_files.py  blend_extract.py    housings from a user's .blend file
progress.py        the progress bar
"""
