"""Shapes in mm and their projections in pixels, as numpy arrays. No bpy.

pin.py  part.py  solids.py  mesh.py    a pin and its measures, a part, and their meshes
clearance.py                           whether a defective pin would collide with walls, floor or other pins
mesh_files.py  ply.py  glb.py  welding.py    a user's CAD files: STL, OBJ, PLY, glTF
optics.py  lens.py  sensor.py  pixel_filter.py    the camera's pose, lens distortion, the sensor's response, pixels
outlines.py  hulls.py                  projected pins: boxes of whole pins (amodal) and of intact pins (expected)
surfaces.py  visibility.py  facets.py  what the camera sees of pins and flaws: the visible boxes and the mask
"""
