"""Shapes in mm and their places in a picture, as numpy arrays. No bpy.

pin.py  part.py  solids.py  mesh.py    a pin as it stands and its measures, a part, and their meshes
clearance.py                           whether a defective pin stands free of walls and neighbours
mesh_files.py  ply.py  glb.py  welding.py    a user's CAD: STL, OBJ, PLY, glTF
optics.py  lens.py  sensor.py          where the camera stands, distortion, and what its sensor makes of light
outlines.py  hulls.py                  projected pins: the amodal and expected boxes
"""
