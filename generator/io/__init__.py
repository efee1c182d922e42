"""Files: where a command may write, the one picture decoder, processes, view names."""
