"""What needs Blender: stage, materials, lamps, path tracer, truth masks, pictures. Only this package imports bpy."""
