"""`python -m trainer.vit`: a small vision transformer for classification, from training to the Hub.

command, options, beginning            training: the command, its options, what it begins with (pretrained: weights)
training, loader, closeups, patches    what a step shows and learns; training_check and epoch_report: what is warned of and said
finish                                 the best weights measured, the threshold frozen
network, hub_files, run                the network, whose files travel with a run; what a run keeps of it
answers, verdicts, prediction          what it says of a split; of a picture or part: OK or NG, and where; of files
metrics, evaluation                    what it is worth: every measure; measured on a dataset
evaluation_page, evaluation_plots      the same for people
attention                              where it looks, with attention_maps, attention_scores, attention_sheets
results, run_page, card                what a run holds, read back; its page; its README.md
onnx_export, publication               its network as one file; what of it goes to the Hub
"""
