"""Compare pictures with pictures of OK parts, without training a network: SOART3, SOARTC, NSOART.

SOART3 is three numbers that say how a signal, such as a window of a picture, differs from a reference. SOARTC, a method
of the Mahalanobis-Taguchi system, judges a picture by its distance from a unit space: the statistics of pictures of OK
parts. NSOART is the SOART3 maps of a picture as a three-channel picture. The base installation is enough, except for
`inspect --features` (extra `features`) and `inspect --model` (extra `gauge`).

soart3_maps      SOART3 of vectors and of every window of a picture; coding of NSOART
kernels, gram    compiled loops of SOART3, for pixels and for row-Gram matrices of windows
estimator        SOARTC: the unit space of OK parts, the anomaly degree of a picture
anomaly_degree   second stage of SOARTC: the distance of each window from the OK parts
unit_space       robust statistics of the OK parts, with a prior where OK parts are few
regions          regions of a map of anomaly degrees that stand out, and their peaks
evidence         whether a picture shows the part, and all of it
golden           choice of the OK pictures: without copies and outliers
registration     alignment of one picture with another: shift, rotation, scale
pin_alignment    a further shift that puts most pins onto those of the mean picture
aligned          pictures resampled onto the mean picture's pixels; grey values
limits           limits set from OK parts, and the false alarm rate to be expected
pins             measures of each pin by the RT method, and a hint in words at how an NG pin differs
pin_places       places of the pins in the mean picture
missing_pins     pins that would not be missed, which are never OK
inspection       a unit space with the connector's pins, and the verdict on one picture
part_model       the verdict on a part shown by several views, each with a unit space of its own
saved_space      reading and checking the file of a unit space
feature_stage    a second stage on the features of a network, in place of SOART3 (`inspect --features`)
feature_space    the unit space of such features
feature_file     reading the ONNX file of a feature network; needs the extra `features`
figure           drawings of a verdict
inspect          the command `python -m generator inspect`
inspect_options  checks of the options of this command
learning         the unit space of this command, from OK pictures or from a saved file
straighteners    what straightens the photographs of `inspect --model`
judging          the verdict on each picture or part, and the files written for it
watch            waiting for new pictures
verdict_log      the log of the verdicts, and the names of the files
nsoart           NSOART: SOART3 maps standardised by OK parts, as pictures of a dataset
golden_reference the mean of aligned OK parts with which golden NSOART compares a picture

The names imported below are the public interface; their arguments do not change.
"""

from generator.soart.estimator import SoartC
from generator.soart.soart3_maps import encode_nsoart, soart3, soart3_map

__all__ = ["SoartC", "encode_nsoart", "soart3", "soart3_map"]
