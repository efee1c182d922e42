"""`python -m trainer.florence2`: train Florence-2 to answer its task `<OD>` (object detection) with boxes.

command, options, beginning, dry_run   the command, its options, its data and model at the start
comparison                             `--compare`: the same training in several modes, each in its own process
training, examples, samples, batches   Florence-2's part of the training loop, training rows, augmentation, batches
losses, auxiliary_loss                 loss of the answer; auxiliary losses on cells, attention and lists of pins
finish, forgetting, epoch_report       final measurement, check of forgetting, output of each epoch
network, tiny, lora, run               loading a model, making the tiny model, LoRA, the files of a run
data, truth, drawn_texts               splits of a dataset; true boxes of a picture; texts drawn on pictures
answers, regions, detect               boxes to tokens and back; classes of boxes; boxes of a split or of pictures
verdicts, prediction                   verdict on a picture; verdicts on picture files
decision, gates, verdict_counts        thresholds and fitness; pictures that cannot be judged; counts of verdicts
metrics, average_precision, evaluation counts and mAP of boxes; evaluation on a dataset
evaluation_page, plots, sheets         page, plots and sheets of pictures with boxes
results, run_page, card, publication   summary.json, page of a run, model card, files for the Hub
"""
