"""Comparing pictures with good ones, without training: SOART3, SOARTC, NSOART. Base install only.

soart3_maps      SOART3 of vectors and of every window of a picture; coding of NSOART
kernels, gram    the compiled loops behind it: windows' pixels, windows' self-similarity
estimator        SOARTC: the unit space of good parts, the anomaly degree of a picture
anomaly_degree   its second stage: the distance of each place from the good parts
registration     laying a picture over another: shift, rotation, scale
limits           what a limit set from good parts promises
pins             the RT method at each pin, and the hint at how it differs
inspection       a station: unit space, pins, the verdict on one picture
figure           what was found, drawn
inspect          the command `python -m generator inspect`
nsoart           NSOART: maps standardised by good parts, as pictures of a dataset

The four names below are what others call; their arguments stay.
"""

from generator.soart.estimator import SoartC
from generator.soart.soart3_maps import encode_nsoart, soart3, soart3_map

__all__ = ["SoartC", "encode_nsoart", "soart3", "soart3_map"]
