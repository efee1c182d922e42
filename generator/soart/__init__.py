"""Compare pictures with pictures of OK parts, without training: SOART3, SOARTC, NSOART. Needs the base install only.

soart3_maps      SOART3 of vectors and of every window of a picture; coding of NSOART
kernels, gram    its compiled loops, for pixels and for row-Gram matrices of windows
estimator        SOARTC: the unit space of OK parts, the anomaly degree of a picture
anomaly_degree   its second stage: the distance of each window from the OK parts
registration     alignment of one picture with another: shift, rotation, scale
limits           limits set from OK parts, and the false alarm rate that they promise
pins             the RT method at each pin, and a hint at how an NG pin differs
inspection       a station: unit space, pins, the verdict on one picture
figure           drawings of a verdict
inspect          the command `python -m generator inspect`
nsoart           NSOART: SOART3 maps standardised by OK parts, as pictures of a dataset

The four names below are the public interface; their arguments do not change.
"""

from generator.soart.estimator import SoartC
from generator.soart.soart3_maps import encode_nsoart, soart3, soart3_map

__all__ = ["SoartC", "encode_nsoart", "soart3", "soart3_map"]
