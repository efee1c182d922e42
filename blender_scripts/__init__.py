"""The renderer. It runs in Blender's own Python, with the standard library, numpy and bpy only.

From a manifest (a CSV file, one row per picture) and scene files (TOML, one per connector) it makes for each row a
picture, a mask, and a record: a JSON file with the ground truth.

    render.py    the command
    scene/       all that needs bpy: the part on its station, light, path tracer, mask, the record's contents
    manifest/    rows: reading and checking them, the part that a row describes, the render folder, the record's format
    kinds/       the kinds of defect, one module each
    geometry/    shapes in mm and pixels: pins, housings, collisions, mesh files, lens, camera, boxes
    contract/    scene files: positions, terminals, housings, cameras, light, tolerance

A package imports only those listed below it.
"""
