"""Everything that needs Blender: only this package imports bpy.

renderer.py        Renderer.render: one row to picture, mask and record
stage.py  objects.py  materials.py  lamps.py  backdrop.py    a part on its station, built as a Blender scene
surroundings.py    what metal reflects beside the lamps in the wide world
path_tracer.py  versions.py  graphics_cards.py    Cycles, differences between Blender 3.4 and 5.2, GPUs
truth.py           the record's `positions` and `other`: boxes, key points, measures
png.py  exr.py  jpeg.py    picture files
blend_files.py  blend_extract.py    housings from a user's .blend file
progress.py        the progress bar
"""
