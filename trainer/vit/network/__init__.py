"""The network and its picture preprocessing. These files are copied into every run, so they import only each other."""
