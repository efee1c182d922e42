"""Training from a dataset alone: a small ViT, its metrics and its verdicts. No Blender is needed here."""
