"""Files of every command.

pictures       the one decoder of pictures: suffixes, orientation, depth, modes, what it refuses
output_file    where a command may write
view_names     which part and which view a picture's name says
processes      one process per core
"""
