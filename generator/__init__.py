"""From a design to a dataset: ordinary Python that drives the renderer, builds datasets, inspects. No bpy, no torch."""
