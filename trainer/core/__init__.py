"""What every kind of run shares.

data, columns_read, split, views, augmentation      a dataset read as tensors; its objects as the row type has them
row_facts, held_out, defect_size                    what a row says of its part: factors, pins, the defect's size
loop, settings, state, ema, distributed             the training loop; what a run is trained with and resumes from
run_folder, places, event_files                     a run's files, and where it lies when nobody says
options, console, errors                            what a command takes and says
decision, frozen_threshold                          OK or NG: the threshold on P(NG), and how a run keeps it
metrics, intervals, detection_probability           statistics of classifiers
prediction, results_folder, publication             what commands write: verdicts, results, a model on the Hub
card, plots                                         README.md and figures
"""
