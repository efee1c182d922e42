"""Shared by all kinds of run (ViT and Florence-2).

data, dataset_columns, split, views, augmentation   datasets as tensors: pictures, boxes, labels; random changes of them
row_facts, held_out, defect_size                    the part in a picture: factors, pins with defects, defect size
loop, settings, state, ema, distributed             the training loop, its settings, resuming, averaging, processes
run_folder, default_paths, event_files              a run's files; default --data and --out; files for TensorBoard
options, console, errors                            command-line options, output, errors
decision, frozen_threshold                          OK or NG: the threshold on P(NG), and RUN/frozen.json that keeps it
metrics, intervals, detection_probability           statistics of classifiers
golden_input                                        NSOART pictures made from photographs
prediction, results_folder, publication             writing verdicts and results; uploading a model to the Hub
card, plots                                         model card (README.md) and figures
"""
