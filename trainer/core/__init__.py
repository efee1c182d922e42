"""What every kind of run shares.

data, views, row_facts, positions, defect_size, augmentation      what a dataset's rows show, as tensors and as facts
checkpoint, options, distributed, ema, event_files   a run's files, a command's options, processes
decision, frozen_threshold                           OK or NG: the threshold on P(NG), and how a run keeps it
metrics, intervals, detection_probability            statistics of classifiers
prediction, results_folder, publication              what commands write: verdicts, results, a model on the Hub
page, card, plots                                    HTML, README.md and figures
"""
