"""Driving the renderer: the pool of worker processes, `render` and `preview`."""
