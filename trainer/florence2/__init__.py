"""`python -m trainer.florence2`: Florence-2 trained to answer `<OD>` with boxes, from training to the Hub.

command, training, auxiliary_loss, lora, tiny, finish, forgetting, comparison      training
network, run, data, truth              the model; a run's files; a dataset's pictures and what is true of them
answers, detect                        boxes as tokens and back, their confidence; boxes of a split and of pictures
verdicts, prediction   of a picture: OK or NG and each box with its pin; of files
metrics, evaluation                    what it is worth: every measure; measured on a dataset
evaluation_page, plots, sheets         the same for people
results, run_page, card, publication   what a run holds, read back; its page; its README.md; what goes to the Hub
"""
