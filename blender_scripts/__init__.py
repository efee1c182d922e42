"""The renderer: pictures, masks and records from a manifest, in Blender's own Python (standard library, numpy, bpy).

    render.py    the command
    scene/       all that needs bpy: stage, light, path tracer, instance mask, the truth in a record
    manifest/    reading and checking rows, the part of a row, the render folder, the record's format
    kinds/       the kinds of defect, one module each
    geometry/    shapes in mm and pixels: pins, solids, clearance, mesh files, lens, camera, outlines
    contract/    what a user writes in a scene file: positions, terminals, housings, cameras, light, tolerance

A package imports only those listed below it.
"""
