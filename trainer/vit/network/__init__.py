"""The network and its picture reading: these files are copied into every run, so they import only each other."""
