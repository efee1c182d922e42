"""The study: repeats the experiments of three articles with several seeds and confidence intervals.

plan, run            the list of runs; the classes of designs, datasets and runs, with their keys
execution            does runs one after the other, and resumes killed runs
datasets_made        makes renders and datasets, each shared by several runs
measures, results    extract the result of a finished run; keep the table of all results
findings             means, intervals and differences over seeds
page, glance, tables, figures, questions    docs/explanation/results.md and its figures
locks                locks between processes
gates                how often the judges call unsuitable and regular pictures INVALID, for docs/explanation/gates.md
gauge_rr, gauge_capability    gauge R&R of trained gauges, for docs/explanation/gauge.md
gauge_learning       errors of gauges by number of training pictures, epochs, seed and scene, for the same page
vit_learning         learning curves for the forecasts of trainer.vit, and a table for docs/explanation/vit.md
gauge_search, search_pictures    how often a gauge finds its connector in composed photographs, for the same page
reality_gap          what runs do on foreign stations and on a disturbed shop floor, for docs/explanation/reality_gap.md
detector_beside      a RetinaNet beside Florence-2, from equal pictures in equal time, for docs/explanation/florence2.md
foreign_stations, gap_runs    its stations; the runs that it measures
gap_measures, gap_tables      verdicts beside the truth; its tables
"""

from blender_scripts.contract.interrupt import one_line_at_start

one_line_at_start()
