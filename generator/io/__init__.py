"""Files of every command. Base install only.

palette        the colours of pages, plots and boxes: one hue for each class and verdict
pictures       where a picture is decoded, for import, build, inspect, training and prediction: suffixes, orientation,
               depth, modes, what is refused
pin_boxes      where pins lie on a picture: what `--positions` reads
output_file    where a command may write; files that are there whole or not at all
view_names     which part and which view a picture's name says
processes      one process per core
source_code    the hash of the code that made a result
"""
