"""Modules that all kinds of run share: ViT, Florence-2 and gauge.

data, dataset_columns, split, views, augmentation   datasets as tensors: pictures, boxes, labels; random changes of them
row_facts, held_out, defect_size                    facts on each picture's part: factors, defective pins, defect size
loop, settings, state, ema, distributed, time_limit the training loop, its settings, resuming, averaging, processes
run_folder, default_paths, event_files              a run's files; default --data and --out; files for TensorBoard
options, training_command, console, errors          command-line options and main, output, errors
decision, frozen_threshold, max_escape, fitness     verdicts from scores: thresholds in RUN/frozen.json, and fitness
pin_measures                                        displacements and presence of pins as auxiliary targets
calibration                                         probability that a box of a detector's confidence is right
operating_points, operating_tables                  escapes and overkill by threshold
gates, feature_watch, tolerance                     which pictures cannot be judged; the tolerance of a run's training
metrics, intervals, detection_probability, msa      statistics of classifiers and gauges
prediction, verdict_shares, results_folder          writing verdicts and results
publication, card, plots, onnx_file                 uploading to the Hub; model card (README.md), figures, ONNX files
golden_input                                        NSOART pictures made from photographs
adaptation, adaptation_seal, adaptation_page, base  runs adapted to a station, and their page; the base of `--init base`
training_looks, picture_transform                   how renders look; the change that makes photographs look so
"""
