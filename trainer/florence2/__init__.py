"""`python -m trainer.florence2`: Florence-2 trained to answer `<OD>` with boxes, from training to the Hub.

command, options, beginning, dry_run   training: the command, its options, what it begins with; comparison of modes
training, examples, samples, batches   what a step shows, with losses and auxiliary_loss: what it learns from it
finish, forgetting, epoch_report       the best weights measured; what was forgotten; what is said of each epoch
network, tiny, lora, run               the model, a tiny one, LoRA in it; what a run keeps of it
data, truth                            a dataset's pictures, and what is true of each
answers, detect                        boxes as tokens and back, their confidence; boxes of a split and of pictures
verdicts, prediction   of a picture: OK or NG and each box with its pin; of files
metrics, evaluation                    what it is worth: every measure; measured on a dataset
evaluation_page, plots, sheets                 the same for people
results, run_page, card, publication   what a run holds, read back; its page; its README.md; what goes to the Hub
"""
