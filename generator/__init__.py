"""From a design to a dataset: ordinary Python that drives the renderer, builds datasets and inspects. No bpy, no torch."""
