"""Shapes in mm and their projections in pixels, as numpy arrays. No bpy.

pin.py  part.py  solids.py  mesh.py    a pin and its measures, a part, and their meshes
clearance.py                           whether a defective pin would touch walls or other pins
mesh_files.py  ply.py  glb.py  welding.py    a user's CAD: STL, OBJ, PLY, glTF
optics.py  lens.py  sensor.py          the camera's pose, lens distortion, the sensor's response
pixel_filter.py  soiled_lens.py         a picture reduced from a finer pixel grid; dirt on a lens and its blur
whole_boxes.py  boxes.py               projected pins: the amodal and expected boxes
surfaces.py  visibility.py             what the camera sees of pins and flaws: the visible boxes and the mask
facets.py  scan_lines.py               where the lines of a grid cross flat facets, and what hides them there
"""
