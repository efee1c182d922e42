"""The renderer: manifest to pictures, masks and records, inside Blender's own Python (standard library, numpy and bpy).

    render.py    the command
    scene/       what needs bpy: stage, light, path tracer, instance mask, the truth that goes into a record
    manifest/    the manifest's rows: read and checked, made into a part; the folder they go to; the record's format
    kinds/       the kinds of defect, one module each
    geometry/    shapes in mm and pixels: pins, solids, clearance, mesh files, lens, camera, outlines
    contract/    what a user writes in a scene file: positions, terminals, housings, cameras, light, tolerance

A package uses those below it only.
"""
