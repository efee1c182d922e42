"""Shapes in mm: pins, parts, solids, clearance, meshes and mesh files, lens and sensor. No bpy."""
