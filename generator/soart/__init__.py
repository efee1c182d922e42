"""SOART3, SOARTC and NSOART, and `inspect`: comparing pictures with good ones, without training. Base install only."""

from generator.soart.estimator import SoartC
from generator.soart.soart3_maps import encode_nsoart, soart3, soart3_map

__all__ = ["SoartC", "encode_nsoart", "soart3", "soart3_map"]
