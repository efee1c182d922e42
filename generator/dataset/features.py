"""Gone into rows: goes when augmenting and interchange import from there."""

from generator.dataset.rows import MANIFEST_COLUMNS, PICTURES, class_names, features

__all__ = ["MANIFEST_COLUMNS", "PICTURES", "class_names", "features"]
