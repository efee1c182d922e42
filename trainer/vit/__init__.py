"""`python -m trainer.vit`: a small vision transformer for classification, from training to the Hub.

command, options, setup                the training command, its options; its settings, data and network at the start
pretrained, training_check             weights of published ViTs; checks of data and network before and during training
training, loader, closeups             steps of the training, their pictures and close-ups
data_defaults, forecast                settings that follow the data; forecast of the result
patches, measures                      losses from boxes, and from the displacements of pins
epoch_report, finish                   a line for each epoch; measurement and threshold at the end
network, run, hub_files                the network, copied into each run; settings and weights; files for transformers
answers, verdicts, prediction          output for a split; verdict on a picture or part; verdicts on picture files
metrics, evaluation                    all measures of a split; evaluation of a run on a dataset
evaluation_page, evaluation_plots      page and figures of an evaluation
gates, adapting                        pictures that cannot be judged; adaptation to a station
attention, attention_maps              attention of the network, and its maps
attention_scores, attention_sheets     scores and sheets of the maps
results, run_page, card                reading a run's results; its page; its model card (README.md)
onnx_export, publication               export as ONNX; files for the Hub
"""
