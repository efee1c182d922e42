"""Input and output that all commands share; needs only the base install.

palette        colours of pages, plots and boxes: one hue for each class and verdict
pictures       decodes pictures for all commands: suffixes, orientation, bit depth, modes
drawing        draws boxes, verdicts and captions on pictures, and sheets of pictures
lettering      letters on pictures: texts are shortened or broken into lines
json_text      parses JSON strictly: no key twice in an object
csv_text       rows as the text of a CSV file
wording        words of messages that several commands print
srgb           the sRGB coding of linear light
mask_files     separates the masks of an anomaly data set from its photographs
pin_boxes      reads the file of the option `--positions`: the boxes of the pins in a picture
file_names     finds files whose names another system wrote in another case or Unicode form
output_file    checks that an output can be written, and writes files atomically
view_names     reads part and view (camera) from the names of pictures
photo_folder   lists the photographs of a folder for a command that needs some there
number_option  options whose value is a number
given_once     an option whose value is a list, and which is given only once
shard          reads the option `--shard`: the share of one of several machines
processes      runs work in one process per core
source_code    SHA-256 of the program code, so that results of other code are not reused
onnx_session   opens ONNX files with onnxruntime
checksum       SHA-256 of a file
certificate    reads the certificate of a calibration: the geometry of one or more cameras
png_mark       the mark by which a command knows pictures that it wrote
array_file     reads and writes files of named arrays
"""
