"""The study: the source's experiments repeated with seeds and intervals. `python -m studies --help`."""
