"""The study: repeats the source's experiments with several seeds and confidence intervals. `python -m studies --help`.

plan, run            the list of runs; the classes of designs, datasets and runs, with their keys
execution            does runs one after the other, and resumes killed ones
datasets_made        makes renders and datasets, shared by runs
measures, results    extract the result of a finished run; keep the table of all results
findings             means, intervals and differences over seeds
page, glance, tables, figures, questions    docs/explanation/results.md and its figures
locks                locks between processes
"""
